"""Community Alignment, people's own choices: four negatively correlated answers to a turn, one preferred, by one annotator.

Zhang et al., arXiv:2507.09650; `facebook/community-alignment-dataset` on the Hub. Each turn that an annotator judged becomes three
pairs, the preferred answer against each other one, with the annotator named in `source`: people differ, so there is no
majority vote before export. The context of a later turn is the earlier prompts with the answers preferred there (a choice;
the rule of continuation was not to be had). Traps met: the text `EMPTY STRING` for a missing one, end tokens left as text,
candidates equal to the preferred one, turns that are missing. A prompt's id is a digest of its messages, so the annotators of one
prompt share it, and a split by prompt is a split by id.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from ..schemas.digest import digest
from ..schemas.errors import PlainError
from ..schemas.tables import Answer, Chat, Drop, Note, Preference, Sampling, Turn, frame

TURNS = ("first", "second", "third", "fourth")
SIDES = ("a", "b", "c", "d")
TOLD = ("annotator_id", "annotator_country", "assigned_lang", "wave", "in_balanced_subset", "is_pregenerated_first_prompt")
METHOD = "community_alignment"
UNKNOWN = Sampling(1.0, 1.0, 0, None)  # not published
_MISSING = {"", "EMPTY STRING", "nan", "None"}
_END = re.compile(r"(?:\s*<\|(?:end_of_text|eot_id|im_end|endoftext)\|>)+\s*\Z")


class ColumnsMissing(PlainError, ValueError):
    """The table is not the published one. The message lists what it lacks."""


@dataclass
class Choices:
    """The tables that people's choices become."""

    chats: pl.DataFrame
    answers: pl.DataFrame
    preferences: pl.DataFrame
    notes: pl.DataFrame  # about preferences: annotator, country, language, flags, and the explanation in words
    drops: pl.DataFrame


@dataclass
class _Made:
    chats: dict[str, Chat] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    pairs: dict[str, Preference] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)


def choices(table: pl.DataFrame) -> Choices:
    """Every judged turn of every conversation.

    Raises:
        ColumnsMissing: if the table lacks columns of the published one.
    """
    wanted = ["conversation_id", "annotator_id"]
    wanted += [f"first_turn_{name}" for name in ("prompt", "preferred_response", *(f"response_{s}" for s in SIDES))]
    if missing := [name for name in wanted if name not in table.columns]:
        raise ColumnsMissing(f"no column {', '.join(missing)}; expected the columns of facebook/community-alignment-dataset")
    made = _Made()
    for row in table.iter_rows(named=True):
        _conversation(row, made)
    return Choices(
        frame(Chat, made.chats.values()),
        frame(Answer, made.answers.values()),
        frame(Preference, made.pairs.values()),
        frame(Note, made.notes),
        frame(Drop, made.drops),
    )


def disagreement(preferences: pl.DataFrame) -> pl.DataFrame:
    """`prompt`, `annotators`, `agreement`: the share of annotators who chose the answer that most chose."""
    voted = preferences.select("prompt", "source", "chosen").unique()
    found = []
    for (prompt,), group in voted.group_by("prompt", maintain_order=True):
        votes = Counter(group["chosen"])
        found.append((prompt, group["source"].n_unique(), max(votes.values()) / votes.total()))
    columns = {"prompt": pl.String, "annotators": pl.Int64, "agreement": pl.Float64}
    return pl.DataFrame(found, schema=columns, orient="row")


def _conversation(row: dict, made: _Made) -> None:
    turns: list[Turn] = []
    for which in TURNS:
        asked = _clean(row.get(f"{which}_turn_prompt"))
        if asked is None:
            return
        turns = [*turns, Turn("user", asked)]
        here = f"{row['conversation_id']}/{which}"
        sides = {side: _clean(row.get(f"{which}_turn_response_{side}")) for side in SIDES}
        chosen = str(row.get(f"{which}_turn_preferred_response") or "").removeprefix("response_").strip().lower()
        preferred = sides.get(chosen)
        if preferred is None:
            said = f"preferred is {row.get(f'{which}_turn_preferred_response')!r}"
            made.drops.append(Drop(here, METHOD, "no_choice", said, asked))
            return  # without the preferred answer there is no context for the turns after it
        _judged(row, which, turns, sides, chosen, made)
        turns = [*turns, Turn("assistant", preferred)]


def _judged(row: dict, which: str, turns: list[Turn], sides: dict[str, str | None], chosen: str, made: _Made) -> None:
    annotator, here = str(row["annotator_id"]), f"{row['conversation_id']}/{which}"
    prompt = digest(METHOD, [[turn.role, turn.content] for turn in turns])
    facts = (METHOD, "people", "0", UNKNOWN, "stop", 0, 0)
    made.chats.setdefault(prompt, Chat(prompt, [], turns, *facts))
    ids = {side: digest(METHOD, prompt, text) for side, text in sides.items() if text is not None}
    for ordinal, side in enumerate(SIDES):
        if text := sides[side]:
            answer = Answer(ids[side], prompt, ordinal, text, "negatively_correlated", "unknown", "0", UNKNOWN, "stop", 0, 0)
            made.answers.setdefault(ids[side], answer)
    for side in SIDES:
        if side == chosen or side not in ids:
            continue
        if ids[side] == ids[chosen]:
            made.drops.append(Drop(f"{here}/{side}", METHOD, "same_text", f"as the preferred {chosen}", sides[side] or ""))
            continue
        name = digest(METHOD, annotator, here, ids[chosen], ids[side])
        if name not in made.pairs:
            made.pairs[name] = Preference(name, prompt, ids[chosen], ids[side], 1.0, 0.0, 1.0, f"annotator:{annotator}")
            made.notes.extend(_notes(name, row, which))


def _notes(pair: str, row: dict, which: str) -> Iterator[Note]:
    told = {name: row.get(name) for name in TOLD} | {"feedback": row.get(f"{which}_turn_feedback")}
    for kind, value in told.items():
        if (text := _clean(value)) is not None:
            yield Note(pair, kind, 0, text)


def _clean(value: object) -> str | None:
    """A text without the end tokens that were left in it; None for what stands for nothing."""
    if value is None:
        return None
    text = _END.sub("", str(value)).strip()
    return None if text in _MISSING else text
