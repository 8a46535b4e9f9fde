"""Moderation: the probability that an exchange is unsafe, asked of a general model by prompt or of a guard model by its template.

WildFeedback (arXiv:2408.15549) drops what a moderation service flags, because users also wish for harmful things. `Guard`
asks any chat model with a prompt of ours; `GuardModel` hands the conversation to a model trained for this (Llama Guard
and its kin), whose own chat template holds the policy and whose first word is `safe` or `unsafe`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM, Choice
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score, Turn, text_of

OPTIONS = ("safe", "unsafe")


class Guard(Step):
    """The probability of `unsafe`, by prompt."""

    method: Literal["guard"] = "guard"
    engine: str = Field("judge", description="which engine moderates")

    consumes: ClassVar = Chat  # a conversation that ends in the reply
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("safety/guard",)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Show the request, or the whole history, and the reply."""
        *asked, reply = row.turns
        instruction = asked[-1].content if len(asked) == 1 else text_of(asked)
        question = fill(prompt("safety/guard"), instruction=instruction, response=reply.content)
        return [_score(row, llm, await llm.choose([Turn("user", question)], OPTIONS))]


class GuardModel(Step):
    """The probability of `unsafe`, by a guard model's own template."""

    method: Literal["guard_model"] = "guard_model"
    engine: str = Field("guard", description="which engine, a guard model, moderates")

    consumes: ClassVar = Chat
    produces: ClassVar = (Score,)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """The conversation as it is."""
        return [_score(row, llm, await llm.choose(row.turns, OPTIONS))]


def _score(row: Chat, llm: LLM, choice: Choice) -> Score:
    if choice.finish == "error":
        return Score(row.id, "unsafe", None, None, llm.model, choice.error)
    unsafe = choice.probabilities["unsafe"]
    return Score(row.id, "unsafe", unsafe, OPTIONS[unsafe > 0.5], llm.model, None)
