"""The self-test of a model as a Magpie: does its template open a user's turn, and does the model speak as a user there?

Each finding has a figure, the limit that it is held to, and what to do when it fails. The first ones need the tokenizer alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ..filters import rules
from ..filters.language import languages
from ..generators.sanitise import sanitise
from ..schemas.digest import digest, seed_of
from ..schemas.llm import LLM, Decoding, Reply
from ..schemas.reasoning import leaks
from ..schemas.tables import Chat, Sampling, Turn, frame
from .engines.tokens import Chatter

HOT, COLD = Decoding(temperature=1.0, max_tokens=256), Decoding(temperature=0.0, max_tokens=512)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    figure: str
    good: bool
    remedy: str = ""


def of_template(chatter: Chatter) -> list[Finding]:
    """What can be said without the model."""
    text, ids = chatter.pre_query(), chatter.user_ids(())
    answer = chatter.answer_ids([Turn("user", "Is 7 prime?")])
    tokenizer = chatter.tokenizer
    raw_gets_bos = tokenizer.bos_token_id is not None and tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
    counts = [] if tokenizer.bos_token_id is None else [ids.count(tokenizer.bos_token_id), answer.count(tokenizer.bos_token_id)]
    lost = raw_gets_bos and counts == [0, 0]
    stop_ids, stops = chatter.user_stops()
    return [
        Finding(
            "decodes to itself", repr(tokenizer.decode(ids)), tokenizer.decode(ids) == text, "the tokenizer changes the text"
        ),
        Finding("BOS at the start", "/".join(map(str, counts)) or "no BOS", max(counts, default=0) <= 1, "two BOS"),
        Finding(
            "BOS of raw text is the template's", str(not lost), not lost, "the template prints no BOS; see phi-3-as-published"
        ),
        Finding("stops", f"ids {stop_ids}, texts {stops}", bool(stop_ids or stops), "nothing ends a user's turn"),
        Finding(
            "system slot", str(chatter.pieces.steered is not None), True, "domains and steered follow-ups are not possible"
        ),
        Finding("several turns", str(chatter.pieces.follow_up is not None), True, "the template refuses a second user turn"),
    ]


async def of_model(llm: LLM, rows: int) -> list[Finding]:
    """What the model does in a user's turn, and when it answers."""
    seeds = [seed_of("template", i) for i in range(rows)]
    replies: Sequence[Reply] = await asyncio.gather(*(llm.chat([], HOT, seed, speaker="user") for seed in seeds))
    texts = [reply.text.strip() for reply in replies]
    spoken = [text for text in texts if text]
    asked = [text for text in (sanitise(text).text for text in spoken) if text][: max(1, rows // 4)]
    answers = await asyncio.gather(*(llm.chat([Turn("user", text)], COLD, seed_of(text)) for text in asked))
    errors = [reply.error for reply in (*replies, *answers) if reply.finish == "error"]
    table = pl.DataFrame({"text": spoken}, schema={"text": pl.String})
    broken = {
        name: table.select(rule(pl.col("text")).is_not_null().sum()).item()
        for name, rule in (("role leakage", rules.role_leak), ("template leakage", rules.leaked_template))
    }
    fired = sum(bool(sanitise(text).fired) for text in spoken)
    return [
        Finding("errors", errors[0] if errors else "none", not errors, "see the message"),
        _share("empty", rows - len(spoken), rows, 0.2, "keep the default system turn, or lower the temperature"),
        _share(
            "cut off", sum(reply.finish == "length" for reply in replies), rows, 0.2, "a stop is missing: see the stops above"
        ),
        *(_share(name, count, rows, 0.05, "the turn runs on: a stop is missing") for name, count in broken.items()),
        _share("reasoning in the user's turn", sum(map(leaks, texts)), rows, 0.02, "`template.thinking: false`"),
        _share(
            "reasoning left in answers", sum(leaks(a.text) for a in answers), len(answers), 0.0, "`template.thinking: false`"
        ),
        _share(
            "nothing said in answers", sum(not a.text.strip() for a in answers), len(answers), 0.2, "reasoning is never closed"
        ),
        _share("the same as another", len(spoken) - len(set(spoken)), rows, 0.5, "raise the temperature"),
        _share("changed by the sanitiser", fired, rows, 0.5, "ban the first tokens that open headers: `ban_first`"),
        Finding("languages", _languages(spoken), True),
    ]


def _share(name: str, count: int, of: int, limit: float, remedy: str) -> Finding:
    share = count / of if of else 0.0
    return Finding(name, f"{count} of {of}", share <= limit, remedy)


def _languages(texts: Sequence[str]) -> str:
    drawn = Sampling(1.0, 1.0, 1, None)
    chats = [Chat(digest(i), [], [Turn("user", text)], "", "", "", drawn, "stop", 0, 0) for i, text in enumerate(texts)]
    try:
        labels = languages(frame(Chat, chats))["label"]
    except ModuleNotFoundError as missing:
        return str(missing)
    counts = labels.fill_null("?").value_counts(sort=True).head(5)
    return ", ".join(f"{label} {count}" for label, count in counts.iter_rows())
