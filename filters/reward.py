"""A reward model's raw score of an answer in its conversation.

The engine does the work (vLLM with `runner: pooling`, one row at a time in its own place of the batch: no padding, so a score
does not depend on its neighbours, which peers that pad without an attention mask cannot say). The value is raw, not
squashed: differences between two answers to one prompt mean something, the number alone does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score


class RewardModel(Step):
    """One raw score for an answer."""

    method: Literal["reward"] = "reward"
    engine: str = Field("reward", description="which engine scores; a vLLM engine with `runner: pooling`")

    consumes: ClassVar = Chat  # a conversation that ends in the answer to be judged; its id is the answer's
    produces: ClassVar = (Score,)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Score the whole conversation."""
        reward = await llm.score(row.turns)
        if reward.finish == "error" or not isfinite(reward.value):
            why = reward.error or f"the reward is {reward.value}"
            return [Score(row.id, self.method, None, None, llm.model, why)]
        return [Score(row.id, self.method, reward.value, None, llm.model, None)]
