"""Candidates: k independent answers to one prompt, the room in which a preference can be found.

Magpie-DPO (arXiv:2406.08464, section 2.3) draws k = 5 at temperature 0.8 from the generator. Each candidate has a seed of its
own, so the first k of a larger draw are the same as a draw of k.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.digest import seed_of
from ..schemas.llm import LLM, Decoding, Reply
from ..schemas.step import Step
from ..schemas.tables import Answer, Chat, Drop, Note, Row


class Independent(Step):
    """k independent samples."""

    method: Literal["independent"] = "independent"
    engine: str = Field("main", description="which engine answers")
    k: int = Field(4, ge=1, description="candidates to each prompt; a preference needs two")
    temperature: float = Field(0.8, ge=0, le=2)
    temperatures: tuple[float, ...] = Field((), description="candidates take these in turn; default: all at `temperature`")
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(1024, gt=0)

    consumes: ClassVar = Chat
    produces: ClassVar = (Answer, Note, Drop)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Ask k times at once. A cut-off or failed answer is dropped with its reason; the others stay."""
        hot = self.temperatures or (self.temperature,)
        decodings = [
            Decoding(temperature=hot[i % len(hot)], top_p=self.top_p, max_tokens=self.max_tokens) for i in range(self.k)
        ]
        seeds = [seed_of(row.id, "answer", ordinal) for ordinal in range(self.k)]
        draws = list(zip(decodings, seeds, strict=True))
        replies = await asyncio.gather(*(llm.chat(row.turns, decoding, seed) for decoding, seed in draws))
        made = [
            self._kept(row, llm, ordinal, reply, decoding, seed)
            for ordinal, (reply, (decoding, seed)) in enumerate(zip(replies, draws, strict=True))
        ]
        thoughts = zip(made, replies, strict=True)
        return [*made, *(Note(one.id, "reasoning", 0, reply.reasoning) for one, reply in thoughts if reply.reasoning)]

    def _kept(self, row: Chat, llm: LLM, ordinal: int, reply: Reply, decoding: Decoding, seed: int) -> Answer | Drop:
        name = self.id_of(llm, row.id, ordinal)
        text = reply.text.strip()
        if reply.finish == "error":
            return Drop(name, "answer", "engine_error", reply.error, "")
        if reply.finish == "length":
            return Drop(name, "answer", "cut_off", f"not finished after {reply.tokens_out} tokens", text)
        if not text:
            return Drop(name, "answer", "empty", "the model closed its turn at once", reply.text)
        return Answer(
            id=name,
            prompt=row.id,
            ordinal=ordinal,
            text=text,
            method=self.method,
            model=llm.model,
            revision=llm.revision,
            sampling=decoding.recorded(seed),
            finish=reply.finish,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
        )
