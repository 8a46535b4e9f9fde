"""An engine as one row sees it, with a memory for failure: what a step makes of an error reply differs, that it failed does not."""

from __future__ import annotations

from collections.abc import Sequence

from ...schemas.llm import LLM, Choice, Decoding, JSONSchema, Reply, Reward, Speaker
from ...schemas.tables import Turn


class Witness:
    """Passes every question on, and remembers whether one was answered with an error."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self.model, self.revision = llm.model, llm.revision
        self.failed = False

    async def complete(self, prompt: str | Sequence[int], decoding: Decoding, seed: int) -> Reply:
        return self._seen(await self._llm.complete(prompt, decoding, seed))

    async def chat(
        self,
        turns: Sequence[Turn],
        decoding: Decoding,
        seed: int,
        schema: JSONSchema | None = None,
        speaker: Speaker = "assistant",
    ) -> Reply:
        return self._seen(await self._llm.chat(turns, decoding, seed, schema, speaker))

    async def choose(self, asked: str | Sequence[Turn], options: Sequence[str]) -> Choice:
        choice = await self._llm.choose(asked, options)
        self.failed |= choice.finish == "error"
        return choice

    async def score(self, turns: Sequence[Turn]) -> Reward:
        reward = await self._llm.score(turns)
        self.failed |= reward.finish == "error"
        return reward

    def _seen(self, reply: Reply) -> Reply:
        self.failed |= reply.finish == "error"
        return reply
