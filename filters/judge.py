"""A judge that rates one answer at a time: the expectation over the digits that it might have written.

The reply is never parsed. The probabilities of the digits 1 to 5 at the first position of the reply are read and averaged, as
G-Eval does (Liu et al., arXiv:2303.16634, section 2.3) and Deita's scorers (arXiv:2312.15685): a finer number than one sampled
digit, without a failure to parse, and with ties made rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score, Turn, text_of

DIGITS = ("1", "2", "3", "4", "5")


class Pointwise(Step):
    """One score from 1 to 5 for an answer."""

    method: Literal["pointwise"] = "pointwise"
    engine: str = Field("main", description="which engine judges")
    least_mass: float = Field(0.05, ge=0, le=1, description="probability that the digits must hold together, else no score")

    consumes: ClassVar = Chat  # a conversation that ends in the answer to be judged; its id is the answer's
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("judge/pointwise",)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Show instruction and answer, and read the digits' probabilities."""
        *asked, answer = row.turns
        instruction = asked[-1].content if len(asked) == 1 else text_of(asked)
        question = fill(prompt("judge/pointwise"), instruction=instruction, response=answer.content)
        choice = await llm.choose([Turn("user", question)], DIGITS)

        if choice.finish == "error":
            return [Score(row.id, self.method, None, None, llm.model, choice.error)]
        if choice.mass < self.least_mass:
            return [
                Score(
                    row.id,
                    self.method,
                    None,
                    None,
                    llm.model,
                    f"only {choice.mass:.3f} of the probability is on digits",
                )
            ]
        rating = sum(int(digit) * share for digit, share in choice.probabilities.items())
        return [Score(row.id, self.method, rating, None, llm.model, None)]
