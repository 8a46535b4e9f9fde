"""Candidates that are unlike one another because the model is asked for it: in one call, with probabilities, or in turn.

- `NegativelyCorrelated`: one call for n responses that represent diverse values; Zhang et al., "Cultivating Pluralism in
  Algorithmic Monoculture: The Community Alignment Dataset", arXiv:2507.09650. It is a prompt, not an algorithm.
- `Verbalized`: n responses, each with a stated probability; Zhang et al., arXiv:2510.01171.
- `Regenerated`: each answer is asked for in sight of those before; arXiv:2509.21267 calls it in-context regeneration.

Asked for diversity, a model gives wrong answers to a question that has one right answer (arXiv:2509.21267). So a guard asks
first whether several replies could all be right, and a prompt that fails it gets independent samples. Departures: our own
short prompts, since the papers' were not to be had; headings and end tokens are stripped, as they tell a judge what was asked;
the order is shuffled, and each answer's place in the reply is noted. A reply that cannot be cut into n different answers is
asked for again, and at last replaced by independent samples, which are labelled as such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.digest import seed_of
from ..schemas.llm import LLM, Decoding, Reply
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Answer, Chat, Drop, Note, Row, Turn
from .candidates import Independent

HEADING = re.compile(r"(?m)^[ \t>*#]*Response[ \t]+(?:[A-Z]|\d{1,2})\b[ \t*]*(?:\([^)\n]*\)[ \t*]*)?(?::[ \t*]*\n?|$\n?)")
CHANCE = re.compile(r"(?m)^[ \t>*-]*(?:p(?:robability)?[ \t]*[:=]?[ \t]*)?(0?\.\d+|1\.0+|\d{1,2}(?:\.\d+)?[ ]?%)[ \t*]*:[ \t]*")
ARTEFACT = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</s>"  # a special token as text
    r"|\A[ \t*#]*(?:from|taking|as) an? [^.\n:]{1,40}(?:point of view|perspective|standpoint|viewpoint)[ \t*]*[:,][ \t*]*",  # a label of values
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One of the answers in a reply: its place there, from 0, and the probability that was said of it."""

    text: str
    place: int
    chance: float | None = None


class Diverse(Step):
    """What the three ways share: the guard, the tries, the way back to independent samples."""

    method: str
    engine: str = Field("main", description="which engine answers")
    k: int = Field(4, ge=2, le=26, description="candidates to each prompt")
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(1024, gt=0, description="of one answer; a call for k of them may take k times as many")
    guard: float = Field(0.5, ge=0, le=1, description="least probability that several replies can be right; 0 lets all through")
    tries: int = Field(3, ge=1, description="calls before it falls back to independent samples")

    consumes: ClassVar = Chat
    produces: ClassVar = (Answer, Note, Drop)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Guard, ask, cut, and ask again while there are not k different answers."""
        if self.guard > 0 and await self._several_can_be_right(row, llm) < self.guard:
            return await self._independent(row, llm)
        for attempt in range(self.tries):
            decoding = Decoding(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens * self.k)
            seed = seed_of(row.id, self.method, attempt)
            reply, pieces = await self.ask(row, llm, decoding, seed)
            if len(different(pieces)) >= self.k:
                return self._answers(row, llm, different(pieces)[: self.k], reply, decoding, seed)
        why = f"{len(different(pieces))} different answers of {self.k} after {self.tries} tries: {reply.error or reply.finish}"
        fell = Drop(self.id_of(llm, row.id), "answer", "not_k_answers", why, reply.text)
        return [*await self._independent(row, llm), fell]

    async def ask(self, row: Chat, llm: LLM, decoding: Decoding, seed: int) -> tuple[Reply, list[Piece]]:
        """One try: what the model wrote, and the answers found in it."""
        raise NotImplementedError

    async def _several_can_be_right(self, row: Chat, llm: LLM) -> float:
        question = fill(prompt("diverse/task_guard"), instruction=row.turns[-1].content)
        choice = await llm.choose([Turn("user", question)], ("yes", "no"))
        return choice.probabilities.get("yes", 0.0)

    async def _independent(self, row: Chat, llm: LLM) -> Sequence[Row]:
        plain = Independent(
            engine=self.engine, k=self.k, temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens
        )
        return await plain(row, llm)

    def _answers(self, row: Chat, llm: LLM, pieces: list[Piece], reply: Reply, decoding: Decoding, seed: int) -> list[Row]:
        Random(seed).shuffle(pieces)
        whole = sum(len(piece.text) for piece in pieces)
        made: list[Row] = []
        for ordinal, piece in enumerate(pieces):
            name = self.id_of(llm, row.id, ordinal)
            tokens = round(reply.tokens_out * len(piece.text) / whole)  # the call's, by length: it is one text to the engine
            drawn = (self.method, llm.model, llm.revision, decoding.recorded(seed), "stop", reply.tokens_in, tokens)
            made.append(Answer(name, row.id, ordinal, piece.text, *drawn))
            made.append(Note(name, "place_in_reply", 0, str(piece.place)))
            if piece.chance is not None:
                made.append(Note(name, "stated_probability", 0, f"{piece.chance:g}"))
        return made


class NegativelyCorrelated(Diverse):
    """k answers that represent diverse values, from one call."""

    method: Literal["negatively_correlated"] = "negatively_correlated"
    prompts: ClassVar = ("diverse/negatively_correlated", "diverse/task_guard")

    async def ask(self, row: Chat, llm: LLM, decoding: Decoding, seed: int) -> tuple[Reply, list[Piece]]:
        """One call under a system turn."""
        told = fill(prompt("diverse/negatively_correlated"), count=str(self.k))
        reply = await llm.chat(instructed(row.turns, told), decoding, seed)
        return reply, cut(reply, HEADING)


class Verbalized(Diverse):
    """k answers from one call, each with the probability that the model says it has."""

    method: Literal["verbalized"] = "verbalized"
    prompts: ClassVar = ("diverse/verbalized", "diverse/task_guard")

    async def ask(self, row: Chat, llm: LLM, decoding: Decoding, seed: int) -> tuple[Reply, list[Piece]]:
        """One call under a system turn."""
        told = fill(prompt("diverse/verbalized"), count=str(self.k))
        reply = await llm.chat(instructed(row.turns, told), decoding, seed)
        return reply, cut(reply, CHANCE)


class Regenerated(Diverse):
    """k answers, each asked for in sight of those before: k calls, one after the other."""

    method: Literal["regenerated"] = "regenerated"
    prompts: ClassVar = ("diverse/regenerate", "diverse/task_guard")

    async def ask(self, row: Chat, llm: LLM, decoding: Decoding, seed: int) -> tuple[Reply, list[Piece]]:
        """Answer, and then k - 1 times: give a different one."""
        one = decoding.model_copy(update={"max_tokens": self.max_tokens})
        turns, pieces, tokens_in, tokens_out = list(row.turns), [], 0, 0
        for place in range(self.k):
            reply = await llm.chat(turns, one, seed_of(seed, place))
            tokens_in, tokens_out = tokens_in + reply.tokens_in, tokens_out + reply.tokens_out
            text = bare(reply.text)
            if reply.finish != "stop" or not text:
                break
            pieces.append(Piece(text, place))
            turns += [Turn("assistant", reply.text), Turn("user", prompt("diverse/regenerate"))]
        return Reply(reply.text, reply.finish, tokens_in, tokens_out, reply.error), pieces


def instructed(turns: Sequence[Turn], told: str) -> list[Turn]:
    """The conversation with an instruction in its system turn, after what stands there already."""
    if turns and turns[0].role == "system":
        return [Turn("system", f"{turns[0].content}\n\n{told}"), *turns[1:]]
    return [Turn("system", told), *turns]


def cut(reply: Reply, mark: re.Pattern[str]) -> list[Piece]:
    """The answers that follow the marks. The last one of a reply that ran into the limit is not whole, and left out."""
    marks = list(mark.finditer(reply.text))
    ends = [*(found.start() for found in marks), len(reply.text)][1:]
    pieces = [
        Piece(bare(reply.text[found.end() : end]), place, chance(found.group(1)) if mark.groups else None)
        for place, (found, end) in enumerate(zip(marks, ends, strict=True))
    ]
    return pieces[:-1] if reply.finish == "length" else pieces


def chance(said: str) -> float:
    """A probability as it was written: 0.25, .25 or 25%."""
    return float(said.rstrip(" %")) / 100 if said.endswith("%") else float(said)


def bare(text: str) -> str:
    """An answer without what betrays how it was asked for."""
    return ARTEFACT.sub("", text.strip()).strip()


def different(pieces: Sequence[Piece]) -> list[Piece]:
    """Those that say something that none before said, case and white space aside."""
    first: dict[str, Piece] = {}
    for piece in pieces:
        if key := " ".join(piece.text.casefold().split()):
            first.setdefault(key, piece)
    return list(first.values())
