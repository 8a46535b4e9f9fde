"""WildFeedback as stages of the line: logs -> feedback -> complaints -> pairs -> moderation and checklist -> what is kept.

Shi et al., arXiv:2408.15549. Logs are read as a stream and labelled chunk by chunk, so that memory is that of one chunk and of
the complaints, whatever the length of the log. A log in the layout of the published annotations comes labelled and asks no
model. The expert version keeps all its pairs, as the paper does, unless a checklist judge is named; the on-policy version
always has one, for about half of what a small model writes to the wishes does not meet them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice

import numpy as np
import polars as pl

from ..filters.checklist import comparison
from ..generators.chatlogs import Logged
from ..generators.wildfeedback import approved, complaints
from ..generators.wildfeedback_layout import annotated
from ..schemas.feedback import Signal, signals_of
from ..schemas.tables import Answer, Chat, Drop, Note, Row, Score, Seed, Turn, frame, text_of
from ..schemas.tables import rows as rows_of
from .durable import write_parquet
from .made import Made, take
from .methods import HeldOut, WildFeedback
from .readers import Record, batches, conversations, records
from .stage import Line, Tables, content

WISHES, REPLIES = "#wishes", ("#chosen", "#rejected")  # what is moderated of a pair, by the end of its id


def make(method: WildFeedback, line: Line) -> Made:
    """Run the stages."""
    found: list[Row] = []
    liked: list[Row] = []
    spoke: dict[str, tuple[str, str | None]] = {}  # complaint -> conversation, and its user where the log tells
    for number, batch in enumerate(batches(_conversations(method), method.chunk_rows), 1):
        chats, signals = _labelled(method, line, number, batch)
        users = {row.about: row.text for rows in batch for row in rows if isinstance(row, Note) and row.kind == "user"}
        for chat in chats:
            cut, dropped = complaints(chat, signals.get(chat.id, ()), most=method.most_per_chat, longest=method.longest_prompt)
            found += [*cut, *dropped]
            spoke |= {row.id: (chat.id, users.get(chat.id)) for row in cut}
            liked += approved(chat, signals.get(chat.id, ())) if method.approved else []
    made = line.spread("pairs", method.pairs, take(line, "complaints", Seed, found))
    kept = _kept(method, line, made)
    if method.held_out is not None:
        kept = _without_held_out(method.held_out, line, kept, made, spoke)
    tables = {kind: frame(kind, (row for row in liked if type(row) is kind)) for kind in (Chat, Answer, Score)}
    return Made(
        pl.concat([kept, tables[Chat]]),
        pl.concat([made[Answer], tables[Answer]]),
        pl.concat([made[Score], tables[Score]]),
    )


def _conversations(method: WildFeedback) -> Iterator[list[Row]]:
    """Each conversation with all that is known of it, or the `Drop` that stands in its place."""
    if method.layout == "wildfeedback":
        stream = annotated(record.value for record in records(method.logs) if isinstance(record, Record))
    else:
        stream = _grouped(conversations(method.logs, method.layout, method.select, method.scrub))
    yield from islice(stream, method.rows)


def _labelled(
    method: WildFeedback, line: Line, number: int, batch: Sequence[list[Row]]
) -> tuple[list[Chat], dict[str, list[Signal]]]:
    flat = [row for rows in batch for row in rows]
    table = take(line, f"read-{number}", Chat, (row for row in flat if isinstance(row, Chat | Drop)))
    known = [row for row in flat if isinstance(row, Score)]
    if method.layout != "wildfeedback":
        known = rows_of(Score, line.spread(f"feedback-{number}", method.find, table)[Score])
    return rows_of(Chat, table), signals_of(known)


def _kept(method: WildFeedback, line: Line, made: Tables) -> pl.DataFrame:
    """The prompts whose pair is safe and, where a judge must agree, won by its chosen side."""
    sides = _sides(made)
    verdicts: list[pl.DataFrame] = [frame(Score, [])]
    if method.moderation is not None:
        verdicts.append(line.spread("moderate", method.moderation, frame(Chat, _moderated(sides)))[Score])
    if (judge := method.pair_judge()) is not None:
        rows = [comparison(asked, chosen, rejected, wishes) for asked, chosen, rejected, wishes in sides]
        verdicts.append(line.spread("checklist", judge, frame(Seed, rows))[Score])
    scores = pl.concat(verdicts)
    faults = pair_faults(rows_of(Score, scores), method.least_safe, judged=judge is not None)

    def safe_and_won(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        lost = [Drop(a.id, "keep", *faults[a.id], text_of(a.turns)) for a in rows_of(Chat, table) if a.id in faults]
        return table.filter(~pl.col("id").is_in(list(faults))), frame(Drop, lost)

    told = {"least_safe": method.least_safe, "verdicts": content(scores), "judged": judge is not None}
    return line.sieve("keep", Chat, made[Chat], told, safe_and_won)


def _without_held_out(
    wanted: HeldOut,
    line: Line,
    kept: pl.DataFrame,
    made: Tables,
    spoke: dict[str, tuple[str, str | None]],
) -> pl.DataFrame:
    """Write mainstream items to `held_out/`, and take them and all else of their conversations and users out of the rest."""
    from ..selectors.embed import SentenceEncoder, embed  # loads torch, so not before it is needed
    from ..selectors.held_out import mainstream, related

    ids = set(kept["id"])
    sides = [side for side in _sides(made) if side[0].id in ids]
    texts = ["\n".join([asked.turns[-1].content, *wishes]) for asked, _, _, wishes in sides]
    vectors_ND = embed(texts, SentenceEncoder(wanted.encoder))
    vectors_ND = vectors_ND / np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), 1e-12)
    picks = mainstream(vectors_ND, groups=wanted.groups, nearest=wanted.nearest, seed=line.recipe.seed)
    of = [spoke[asked.parents[0]] for asked, *_ in sides]
    apart = related(picks, [chat for chat, _ in of], [user for _, user in of])
    write_parquet(line.folder.path / "held_out" / "test-00000-of-00001.parquet", _items([sides[i] for i in picks]))
    held = {sides[i][0].id: "held_out" for i in picks}
    held |= {sides[i][0].id: "kin_of_held_out" for i in apart if sides[i][0].id not in held}

    def rest(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        lost = [Drop(a.id, "held_out", held[a.id], "", text_of(a.turns)) for a in rows_of(Chat, table) if a.id in held]
        return table.filter(~pl.col("id").is_in(list(held))), frame(Drop, lost)

    return line.sieve("held_out", Chat, kept, {"held_out": sorted(held)}, rest)


def _items(sides: Sequence[tuple[Chat, str, str, list[str]]]) -> pl.DataFrame:
    """Prompts with the checklist to judge an answer by, and the chosen side for reference."""
    turn = pl.Struct({"role": pl.String, "content": pl.String})
    texts = pl.List(pl.String)
    columns: dict[str, pl.DataType] = {
        "id": pl.String(),
        "prompt": pl.List(turn),
        "preferences": texts,
        "reference": pl.String(),
    }
    rows = [(a.id, [asdict(turn) for turn in a.turns], wishes, chosen) for a, chosen, _, wishes in sides]
    return pl.DataFrame(rows, schema=columns, orient="row")


def _grouped(rows: Iterator[Logged]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        if not isinstance(row, Note) and group:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _sides(made: Tables) -> list[tuple[Chat, str, str, list[str]]]:
    """(prompt, chosen, rejected, wishes) of each pair."""
    said = {(answer.prompt, answer.ordinal): answer.text for answer in rows_of(Answer, made[Answer])}
    wishes: dict[str, list[str]] = {}
    for note in rows_of(Note, made[Note]):
        wishes.setdefault(note.about, []).append(note.text)
    chats = rows_of(Chat, made[Chat])
    return [(chat, said[chat.id, 0], said[chat.id, 1], wishes.get(chat.id, [])) for chat in chats]


def _moderated(sides: Sequence[tuple[Chat, str, str, list[str]]]) -> Iterator[Chat]:
    """What the guard reads of each pair: both sides as exchanges, and the wishes as a request that is complied with."""
    for asked, chosen, rejected, wishes in sides:
        facts = (asked.method, asked.model, asked.revision, asked.sampling, "stop", 0, 0)
        for end, reply in zip(REPLIES, (chosen, rejected), strict=True):
            yield Chat(asked.id + end, [asked.id], [*asked.turns, Turn("assistant", reply)], *facts)
        wanted = [Turn("user", "\n".join(f"- {wish}" for wish in wishes)), Turn("assistant", "Yes, I will do that.")]
        yield Chat(asked.id + WISHES, [asked.id], wanted, *facts)


def pair_faults(scores: Sequence[Score], least_safe: float, *, judged: bool) -> dict[str, tuple[str, str]]:
    """Why a pair must go, by its prompt. What could not be moderated or judged goes too."""
    faults: dict[str, tuple[str, str]] = {}
    for score in scores:
        prompt, _, part = score.about.partition("#")
        if score.name == "safety" and (score.value is None or score.value < least_safe):
            reason = "spurious_wish" if f"#{part}" == WISHES else f"unsafe_{part}"
            faults.setdefault(prompt, (reason, score.reason or f"safe with probability {score.value:.2f}"))
        elif judged and score.name == "checklist" and score.label != "win":
            faults.setdefault(prompt, (f"checklist_{score.label or 'unread'}", score.reason or ""))
    return faults
