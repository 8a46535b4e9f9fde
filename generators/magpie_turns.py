"""Magpie over several turns: the model is the user again and again, and answers itself in between.

Xu et al., arXiv:2406.08464, section 2.2 ("multi-turn"), and the authors' `gen_mt.py`. Follow-ups are written under a system prompt
that announces a conversation of several turns; answers are greedy and never see it. The conversation ends in a user's
turn, so that candidates for its last answer are drawn like any others.

Departures: any model (the authors' code knows Llama-3 alone), two models if wanted, a quota for each length; the follow-up
goes through the sanitiser too; a conversation that breaks off anywhere is dropped with its turn and reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..schemas.digest import seed_of
from ..schemas.llm import LLM, Decoding, Reply
from ..schemas.prompts import prompt
from ..schemas.tables import Chat, Drop, Note, Row, Seed, Turn
from .magpie import UserTurns, domain_of, fault_of, notes_on, spoken, steered
from .sanitise import sanitise


class Length(BaseModel):
    """How many user turns a conversation has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: int = Field(ge=1, le=16)
    share: float = Field(1.0, ge=0, description="of the rows, relative to the other lengths")


class MagpieTurns(UserTurns):
    """One conversation for each seed, up to the user's last turn."""

    method: Literal["magpie_turns"] = "magpie_turns"
    answerer: str = Field("main", description="which engine answers in between")
    lengths: tuple[Length, ...] = Field((Length(turns=2),), min_length=1, description="user turns, with quotas")
    follow_up_prompt: str | None = Field(
        None, description="system prompt of follow-ups; default: the shipped one; empty: none, for models without a system slot"
    )
    answer_temperature: float = Field(0.0, ge=0, le=2, description="of the answers in between; the authors' are greedy")
    answer_max_tokens: int = Field(1024, gt=0)

    engines: ClassVar = ("engine", "answerer")
    prompts: ClassVar = (*UserTurns.prompts, "magpie/multi_turn")

    async def __call__(self, row: Seed, writer: LLM, answerer: LLM) -> Sequence[Row]:
        """Open a conversation, then answer and ask on until it is as long as its quota says."""
        name, turns, notes = self.id_of(writer, row.id, answerer.model, answerer.revision), spoken(row.turns), []
        asking, answering = self.decoding(row.ordinal), self._answering()
        domain = self.domain(row.ordinal)
        for t in range(self.turns(row.ordinal)):
            if t > 0:
                answer = await answerer.chat(turns, answering, seed_of(row.seed, "answer", t))
                if fault := broken(answer):
                    return [Drop(name, "generate", fault[0], f"answer {t}: {fault[1]}", answer.text)]
                turns = [*turns, Turn("assistant", answer.text.strip())]
                notes += [Note(name, "reasoning", t - 1, answer.reasoning)] if answer.reasoning else []

            steering = steered(row.turns, domain) if t == 0 else self._announcement()
            seed = row.seed if t == 0 else seed_of(row.seed, "ask", t)
            said = await writer.chat([*steering, *turns], asking, seed, speaker="user")
            cleaned = sanitise(said.text)
            if fault := fault_of(said, cleaned):
                return [Drop(name, "generate", fault[0], f"user turn {t + 1}: {fault[1]}", said.text)]
            turns = [*turns, Turn("user", cleaned.text)]
            notes += notes_on(name, t, said.text, cleaned, steering)
        asked = Chat(
            id=name,
            parents=[row.id],
            turns=turns,
            method=self.method,
            model=writer.model,
            revision=writer.revision,
            sampling=asking.recorded(seed),
            finish=said.finish,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
        )
        return [asked, *notes, *domain_of(name, domain)]

    def steers(self) -> bool:
        """Whether any user turn is written under a system prompt of ours."""
        return super().steers() or bool(self._announcement())

    def turns(self, ordinal: int) -> int:
        """How many user turns a row has."""
        shares = tuple(length.share for length in self.lengths)
        return self.lengths[self._choice("lengths", shares, ordinal)].turns

    def _answering(self) -> Decoding:
        return Decoding(temperature=self.answer_temperature, max_tokens=self.answer_max_tokens)

    def _announcement(self) -> list[Turn]:
        text = prompt("magpie/multi_turn") if self.follow_up_prompt is None else self.follow_up_prompt
        return [Turn("system", text)] if text else []


def broken(answer: Reply) -> tuple[str, str] | None:
    """(reason, detail) if an answer cannot be spoken on from."""
    if answer.finish == "error":
        return "engine_error", answer.error
    if answer.finish == "length":
        return "cut_off", f"not finished after {answer.tokens_out} tokens"
    return None if answer.text.strip() else ("empty", "the model closed its turn at once")
