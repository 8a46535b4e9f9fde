"""Moderation by prompt: how safe an exchange is, asked of any chat model. Guard models with a template of their own: `safety.py`.

WildFeedback (arXiv:2408.15549) drops what a moderation service flags, because users also wish for harmful things. The score is
that of `Safety`, the probability of `safe`, so the two stand in for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score, Turn, text_of

OPTIONS = ("safe", "unsafe")


class Guard(Step):
    """The probability that the last reply of a conversation is safe."""

    method: Literal["guard"] = "guard"
    engine: str = Field("judge", description="which engine moderates")
    least_mass: float = Field(0.05, ge=0, le=1, description="probability that the two words must hold, else no verdict")

    consumes: ClassVar = Chat  # a conversation that ends in the reply
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("safety/guard",)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Show the request, or the whole history, and the reply."""
        *asked, reply = row.turns
        instruction = asked[-1].content if len(asked) == 1 else text_of(asked)
        question = fill(prompt("safety/guard"), instruction=instruction, response=reply.content)
        choice = await llm.choose([Turn("user", question)], OPTIONS)
        if choice.finish == "error":
            return [Score(row.id, "safety", None, None, llm.model, choice.error)]
        if choice.mass < self.least_mass:
            said = f"only {choice.mass:.3f} of the probability is on safe and unsafe"
            return [Score(row.id, "safety", None, None, llm.model, said)]
        safe = choice.probabilities["safe"]
        return [Score(row.id, "safety", safe, OPTIONS[safe < 0.5], llm.model, None)]
