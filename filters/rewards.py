"""Rewards of answers, and how much better an answer is than what the base model would have said.

Xu et al., arXiv:2406.08464, section 3.2: r* is the reward of the answer, r_base that of the answer of the *base* model, which is shown a few
exchanges first (URIAL, Lin et al., arXiv:2312.01552); their difference is a filter of table 5. The authors published no code
for it: the exchanges in `data/prompts/magpie/base.txt` are ours. Rewards are raw. A conversation that is longer than the reward
model's window is not scored, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.digest import seed_of
from ..schemas.llm import LLM, Decoding, Reward
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Note, Row, Score, Turn

NEXT_QUERY = "\n# Query"  # where the base model goes on with an exchange of its own


class RewardDifference(Step):
    """The reward of an answer, that of the base model's answer, and their difference."""

    method: Literal["reward_difference"] = "reward_difference"
    engine: str = Field("reward", description="which engine rewards")
    base: str = Field("base", description="which engine holds the base model")
    max_tokens: int = Field(1024, gt=0, description="of the base model's answer")

    consumes: ClassVar = Chat
    produces: ClassVar = (Score, Note)
    engines: ClassVar = ("engine", "base")
    prompts: ClassVar = ("magpie/base",)

    async def __call__(self, row: Chat, rewarder: LLM, base: LLM) -> Sequence[Row]:
        """Scores `reward`, `base_reward`, `reward_difference`; note `base_output`."""
        *asked, _ = row.turns
        shown = fill(prompt("magpie/base"), instruction=asked[-1].content)
        decoding = Decoding(temperature=0.0, max_tokens=self.max_tokens, stop=(NEXT_QUERY,))
        said, reward = await asyncio.gather(base.complete(shown, decoding, seed_of(row.id, "base")), rewarder.score(row.turns))
        if said.finish == "error" or not said.text.strip():
            before = Reward(float("nan"), "error", f"no answer of the base model: {said.error or 'it said nothing'}")
        else:
            before = await rewarder.score([*asked, Turn("assistant", said.text.strip())])
        ours, theirs = _scored(row, "reward", rewarder, reward), _scored(row, "base_reward", rewarder, before)
        if ours.value is None or theirs.value is None:
            why = ours.reason if ours.value is None else theirs.reason
            difference = Score(row.id, "reward_difference", None, None, rewarder.model, why)
        else:
            difference = Score(row.id, "reward_difference", ours.value - theirs.value, None, rewarder.model, None)
        return [ours, theirs, difference, *([Note(row.id, "base_output", 0, said.text.strip())] if said.text.strip() else [])]


def _scored(row: Chat, name: str, llm: LLM, reward: Reward) -> Score:
    if reward.finish == "error":
        return Score(row.id, name, None, None, llm.model, reward.error)
    return Score(row.id, name, reward.value, None, llm.model, None)
