"""Safety by a guard model: any model whose chat template frames a conversation and whose first word is safe or unsafe.

Llama Guard and its kin (Inan et al., arXiv:2312.06674; Magpie, arXiv:2406.08464, section 2.2, tags with Llama-Guard-2). The
first token's probabilities are read, so the verdict is a number and a threshold costs no second pass:
`rules.below(pl.col("safety"), least=0.5, name="unsafe")`. A guard is an engine like any other: name it in the recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score


class Safety(Step):
    """The probability that a conversation is safe, and the likelier word as label."""

    method: Literal["safety"] = "safety"
    engine: str = Field("guard", description="which engine guards")
    safe: str = Field("safe", description="the guard's first word for a safe conversation")
    unsafe: str = Field("unsafe", description="the guard's first word for an unsafe one")
    least_mass: float = Field(0.5, ge=0, le=1, description="probability that the two words must hold, else no verdict")

    consumes: ClassVar = Chat
    produces: ClassVar = (Score,)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Show the guard the conversation and read its first word."""
        choice = await llm.choose(row.turns, [self.safe, self.unsafe])
        if choice.finish == "error":
            return [Score(row.id, self.method, None, None, llm.model, choice.error)]
        if choice.mass < self.least_mass:
            said = f"only {choice.mass:.3f} of the probability is on {self.safe} and {self.unsafe}"
            return [Score(row.id, self.method, None, None, llm.model, said)]
        safe = choice.probabilities[self.safe]
        return [Score(row.id, self.method, safe, self.safe if safe >= 0.5 else self.unsafe, llm.model, None)]
