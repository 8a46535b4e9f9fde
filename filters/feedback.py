"""Finding feedback: each utterance of the user is labelled with what it says about the reply before it.

WildFeedback (arXiv:2408.15549, section 3): nine signs of satisfaction (SAT) and nine of dissatisfaction (DSAT), and the
state of the dialogue, in one call for each conversation at temperature 0. The authors' prompt and states were not to be
had; prompt, states and limits are ours. A conversation of more than 40 turns is read in windows that overlap by two turns; an
utterance of more than 2,000 characters is mostly pasted matter and shown by its head and tail. The reply is JSON; if it
cannot be read it is asked for again, this time held to its form by the engine. Names that are not in the rubric are dropped,
and a first utterance, which follows no reply, has no feedback whatever the model says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.digest import seed_of
from ..schemas.feedback import DSAT, SAT, STATES, Signal, numbered, scores_of, user_turns
from ..schemas.llm import LLM, Decoding, JSONSchema
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Row, Score, Turn, text_of

_NAMES = {"sat": {name.lower(): name for name in SAT}, "dsat": {name.lower(): name for name in DSAT}}
_REPLY_SCHEMA: JSONSchema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "turn": {"type": "integer"},
            "state": {"enum": list(STATES)},
            "sat": {"type": "array", "items": {"enum": list(SAT)}},
            "dsat": {"type": "array", "items": {"enum": list(DSAT)}},
            "reason": {"type": "string"},
        },
        "required": ["turn", "state", "sat", "dsat", "reason"],
    },
}


class FindFeedback(Step):
    """State, SAT and DSAT criteria for each utterance of the user."""

    method: Literal["find_feedback"] = "find_feedback"
    engine: str = Field("judge", description="which engine reads the conversations")
    rubrics: Literal["defined", "named"] = Field("defined", description="send the criteria's definitions as a system turn")
    window: int = Field(40, ge=4, description="turns read in one call; longer conversations are read in overlapping windows")
    longest: int = Field(2000, ge=100, description="characters shown of one turn")
    max_tokens: int = Field(2048, gt=0)

    consumes: ClassVar = Chat
    produces: ClassVar = (Score, Drop)
    prompts: ClassVar = ("wildfeedback/feedback", "wildfeedback/rubrics")

    async def __call__(self, row: Chat, judge: LLM) -> Sequence[Row]:
        """Read the conversation window by window; what cannot be read after a second try costs the conversation."""
        signals: dict[int, Signal] = {}
        for places in windows(row.turns, self.window):
            found, said = await self._read(row, places, judge)
            if found is None:
                return [Drop(row.id, "feedback", "no_labels", said, text_of(row.turns))]
            for signal in found:
                signals.setdefault(signal.turn, signal)  # in the overlap, the window with the longer past has the word
        return scores_of(row.id, (signals[turn] for turn in sorted(signals)), judge.model)

    async def _read(self, row: Chat, places: range, judge: LLM) -> tuple[list[Signal] | None, str]:
        question = fill(prompt("wildfeedback/feedback"), utterances=numbered([row.turns[i] for i in places], self.longest))
        asked = [Turn("system", prompt("wildfeedback/rubrics"))] if self.rubrics == "defined" else []
        said = ""
        decoding = Decoding(temperature=0.0, max_tokens=self.max_tokens)
        seed = seed_of(row.id, "feedback", places.start)
        for schema in (None, _REPLY_SCHEMA):  # a grammar slows the engine down, and most models keep the form unforced
            reply = await judge.chat([*asked, Turn("user", question)], decoding, seed, schema)
            said = reply.error or reply.text
            signals = read_labels(reply.text, row.turns, places)
            if signals is not None:
                return signals, said
        return None, said


def windows(turns: Sequence[Turn], size: int) -> list[range]:
    """Places of the turns cut into windows of at most `size` that overlap by two, so that no reaction loses its reply."""
    if len(turns) <= size:
        return [range(len(turns))]
    starts = range(0, len(turns) - 2, size - 2)
    return [range(start, min(start + size, len(turns))) for start in starts]


def read_labels(text: str, turns: Sequence[Turn], places: range) -> list[Signal] | None:
    """The labels in a reply, for the user turns in the window; None if no label can be found at all.

    An object belongs to the user turn whose number it names. Some models count the assistant's turns too: where the numbers
    fit no user turn but there are as many objects as user turns, each belongs to the turn at its own position.
    """
    objects = [found for found in _objects(text) if isinstance(found.get("state", found.get("sat")), str | list)]
    speaking = [place for place in user_turns(turns) if place in places]
    if not objects or not speaking:
        return None
    named = [turn - 1 if isinstance(turn := found.get("turn"), int) else -1 for found in objects]
    if len(objects) == len(speaking) and sorted(named) != list(range(len(speaking))):
        named = list(range(len(speaking)))
    by_turn = dict(reversed(list(zip(named, objects, strict=True))))  # of two that name one turn, the first counts
    signals = [_signal(place, by_turn[number], turns) for number, place in enumerate(speaking) if number in by_turn]
    return signals or None


def _signal(place: int, found: dict[str, object], turns: Sequence[Turn]) -> Signal:
    state = str(found.get("state", "")).upper().replace(" ", "_")
    state = state if state in STATES else "OTHER"
    if place == 0 or turns[place - 1].role != "assistant":
        return Signal(place, state)
    reason = str(found.get("reason", "")).strip()
    sat, dsat = _named(found, "sat"), _named(found, "dsat")
    return Signal(place, state, sat, dsat, reason if sat else "", reason if dsat else "")


def _named(found: dict[str, object], polarity: str) -> tuple[str, ...]:
    said = found.get(polarity)
    listed = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    known = (_NAMES[polarity].get(str(name).strip().lower()) for name in listed)
    return tuple(dict.fromkeys(name for name in known if name is not None))


def _objects(text: str) -> list[dict[str, object]]:
    """The JSON objects of a list; from a broken or cut-off list those that are whole."""
    found: object = None
    start, end = text.find("["), text.rfind("]")
    if start != -1 < end:
        try:
            found = json.loads(text[start : end + 1])
        except (json.JSONDecodeError, RecursionError):
            found = None
    if not isinstance(found, list):
        found = [_loaded(piece) for piece in re.findall(r"\{[^{}]*\}", text)]
    return [each for each in found if isinstance(each, dict)]


def _loaded(piece: str) -> object:
    try:
        return json.loads(piece)
    except json.JSONDecodeError:
        return None
