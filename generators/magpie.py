"""Magpie: shown an open user turn, an aligned model writes the user's line itself.

Xu et al., "Magpie: Alignment Data Synthesis from Scratch by Prompting Aligned LLMs with Nothing", arXiv:2406.08464,
section 2.1, step 1, over the decoding grid of table 7; section 2.2's system prompts for a domain or a language, which are
dropped again before anyone answers. Step 2, the response, is `generators/candidates.py`, with as many samples as a
preference needs; several turns are `generators/magpie_turns.py`.

Departures from the authors' code: the opening of the user's turn is cut from the model's own chat template (by the engine:
`speaker="user"`), so no model is named here; every row has its own seed; the text is sanitised by our own rules
(`generators/sanitise.py`) for every model; what is no instruction is dropped with a reason rather than answered; the newline
stop is off, as it cuts code and data, and can be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..schemas.llm import LLM, Decoding, Reply
from ..schemas.prompts import PROMPTS, prompt
from ..schemas.quota import allotment
from ..schemas.reasoning import leaks
from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Note, Row, Seed, Turn
from .sanitise import Sanitised, sanitise

LEAST_WORDS = 3  # an instruction of fewer is none; where words are not set apart, of fewer characters
_UNBROKEN = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")  # Thai, Lao, kana, Han: no blanks between words


class Heat(BaseModel):
    """One cell of the decoding grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    share: float = Field(1.0, ge=0, description="of the rows, relative to the other cells")


class Domain(BaseModel):
    """What users ask about, said in a system prompt that only the writer of the user's turn sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="a prompt of data/prompts/magpie/domains, unless `prompt` is given")
    prompt: str | None = Field(None, description="the system prompt, in any language; empty: no system prompt")
    share: float = Field(1.0, ge=0, description="of the rows, relative to the other domains")

    @model_validator(mode="after")
    def _exists(self) -> Domain:
        shipped = sorted(path.stem for path in (PROMPTS / "magpie" / "domains").glob("*.txt"))
        if self.prompt is None and self.name not in shipped:
            raise ValueError(f"no shipped prompt for domain {self.name!r}; there is {', '.join(shipped)}; or give a `prompt`")
        return self

    def text(self) -> str:
        """The system prompt."""
        return prompt(f"magpie/domains/{self.name}") if self.prompt is None else self.prompt


class UserTurns(Step):
    """A step that lets a model be the user: how hot, about what, how long."""

    method: str  # each step's own
    engine: str = Field("main", description="which engine writes the user's turns")
    rows: int = Field(gt=0, description="user turns to open; some are dropped on the way")
    temperature: float = Field(1.0, ge=0, le=2, description="hot, for variety; above 1.25 texts fall apart (figure 11)")
    top_p: float = Field(1.0, gt=0, le=1)
    grid: tuple[Heat, ...] = Field((), description="several settings with quotas, as in table 7, in place of the one above")
    domains: tuple[Domain, ...] = Field((), description="system prompts that steer the user; none: the bare template")
    max_tokens: int = Field(512, gt=0)
    ban_first: tuple[str, ...] = Field(
        (), description="tokens that must not open the turn, besides those of the template's entry"
    )
    stop_at_newline: bool = Field(False, description="end the turn at a line's end, as the authors did for models of 2024")

    consumes: ClassVar = Seed
    produces: ClassVar = (Chat, Note, Drop)
    opens_user_turn: ClassVar = True
    prompts: ClassVar = tuple(f"magpie/domains/{p.stem}" for p in sorted((PROMPTS / "magpie" / "domains").glob("*.txt")))

    @model_validator(mode="after")
    def _one_heat(self) -> Self:
        if self.grid and (self.temperature, self.top_p) != (1.0, 1.0):
            raise ValueError(
                f"temperature {self.temperature} and top_p {self.top_p} beside a grid: leave them out, or the grid"
            )
        return self

    def steers(self) -> bool:
        """Whether any row is written under a system prompt of ours."""
        return any(domain.text() for domain in self.domains)

    def decoding(self, ordinal: int) -> Decoding:
        """The grid cell of a row."""
        if not self.grid:
            return self._decodings[0]
        return self._decodings[self._choice("grid", tuple(cell.share for cell in self.grid), ordinal)]

    @cached_property
    def _decodings(self) -> list[Decoding]:
        cells = self.grid or (Heat(temperature=self.temperature, top_p=self.top_p),)
        stop = ("\n",) if self.stop_at_newline else ()
        return [
            Decoding(
                temperature=cell.temperature, top_p=cell.top_p, max_tokens=self.max_tokens, stop=stop, ban_first=self.ban_first
            )
            for cell in cells
        ]

    def domain(self, ordinal: int) -> Domain | None:
        """The domain of a row."""
        if not self.domains:
            return None
        return self.domains[self._choice("domains", tuple(domain.share for domain in self.domains), ordinal)]

    def _choice(self, quota: str, shares: tuple[float, ...], ordinal: int) -> int:
        return int(allotment(shares, self.rows, f"{self.method}/{quota}")[ordinal % self.rows])


class Magpie(UserTurns):
    """One instruction for each seed."""

    method: Literal["magpie"] = "magpie"

    async def __call__(self, row: Seed, llm: LLM) -> Sequence[Row]:
        """Open a user turn after the steering and the seed's own turns, and let the model be the user."""
        decoding, domain = self.decoding(row.ordinal), self.domain(row.ordinal)
        steering = steered(row.turns, domain)
        said = await llm.chat([*steering, *spoken(row.turns)], decoding, row.seed, speaker="user")

        name, cleaned = self.id_of(llm, row.id), sanitise(said.text)
        if fault := fault_of(said, cleaned):
            return [Drop(name, "generate", *fault, said.text)]
        asked = Chat(
            id=name,
            parents=[row.id],
            turns=[*spoken(row.turns), Turn("user", cleaned.text)],
            method=self.method,
            model=llm.model,
            revision=llm.revision,
            sampling=decoding.recorded(row.seed),
            finish=said.finish,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
        )
        return [asked, *notes_on(name, 0, said.text, cleaned, steering), *domain_of(name, domain)]


def steered(turns: Sequence[Turn], domain: Domain | None) -> list[Turn]:
    """The system turn that only the writer sees: the domain's, or the seed's own."""
    if domain is not None:
        return [Turn("system", domain.text())] if domain.text() else []
    return [turn for turn in turns[:1] if turn.role == "system"]


def spoken(turns: Sequence[Turn]) -> list[Turn]:
    """The conversation without its steering."""
    return [turn for turn in turns if turn.role != "system"]


def fault_of(said: Reply, cleaned: Sanitised) -> tuple[str, str] | None:
    """(reason, detail) if what was said is no instruction."""
    if said.finish == "error":
        return "engine_error", said.error
    if not said.text.strip():
        return "empty", "the model closed the user's turn at once"
    if leaks(said.text):
        return "reasoning_leak", "the user's turn holds marks of reasoning"
    words = max(len(cleaned.text.split()), len(_UNBROKEN.findall(cleaned.text)))
    if words < LEAST_WORDS:
        rules = ", ".join(cleaned.fired) or "no rule"
        return "too_short", f"{cleaned.text!r} is left of it after the sanitiser ({rules}); {LEAST_WORDS} words are needed"
    return None


def notes_on(about: str, ordinal: int, raw: str, cleaned: Sanitised, steering: Sequence[Turn]) -> list[Note]:
    """What is recorded beside a user's turn: the raw text and the rules if these changed it, and the steering."""
    notes = [Note(about, "system_prompt", ordinal, turn.content) for turn in steering]
    if cleaned.text != raw:
        notes += [Note(about, "raw_instruction", ordinal, raw), Note(about, "sanitised_by", ordinal, " ".join(cleaned.fired))]
    return notes


def domain_of(about: str, domain: Domain | None) -> list[Note]:
    """The domain by name, for quotas and for readers."""
    return [] if domain is None else [Note(about, "domain", 0, domain.name)]
