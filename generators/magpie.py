"""Magpie: shown an open user turn, an aligned model writes the user's line itself.

Xu et al., "Magpie: Alignment Data Synthesis from Scratch by Prompting Aligned LLMs with Nothing", arXiv:2406.08464,
section 2.1, step 1. Step 2, the response, is `generators/candidates.py`, with as many samples as a preference needs.

Departures from the authors' code: the opening of the user turn is cut from the model's own chat template (by the engine:
`speaker="user"`), so no model is named here; an empty instruction is dropped with a reason rather than answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM, Decoding
from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Row, Seed, Turn


class Magpie(Step):
    """One instruction for each seed."""

    method: Literal["magpie"] = "magpie"
    engine: str = Field("main", description="which engine writes")
    rows: int = Field(gt=0, description="user turns to open; some are dropped on the way")
    temperature: float = Field(1.0, ge=0, le=2, description="hot, for variety; section 3.1 uses 1.0 to 1.25")
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(512, gt=0)

    consumes: ClassVar = Seed
    produces: ClassVar = (Chat, Drop)
    opens_user_turn: ClassVar = True

    async def __call__(self, row: Seed, llm: LLM) -> Sequence[Row]:
        """Open a user turn after the seed's own turns, and let the model be the user."""
        decoding = Decoding(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens)
        said = await llm.chat(row.turns, decoding, row.seed, speaker="user")

        name = self.id_of(llm, row.id)
        instruction = said.text.strip()
        if said.finish == "error":
            return [Drop(name, "generate", "engine_error", said.error, "")]
        if not instruction:
            return [Drop(name, "generate", "empty", "the model closed the user's turn at once", said.text)]
        return [
            Chat(
                id=name,
                parents=[row.id],
                turns=[*row.turns, Turn("user", instruction)],
                method=self.method,
                model=llm.model,
                revision=llm.revision,
                sampling=decoding.recorded(row.seed),
                finish=said.finish,
                tokens_in=said.tokens_in,
                tokens_out=said.tokens_out,
            )
        ]
