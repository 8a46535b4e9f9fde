"""A judge of one answer aspect by aspect: helpfulness, honesty, instruction following, truthfulness.

UltraFeedback (arXiv:2310.01377, section 2.3) has GPT-4 write a rating and a rationale for each of these four. Departures: each aspect is a
question of its own about one answer (so answers cannot be mixed up, nor a rating list have the wrong length, as happens in
released parsers), and the rating is the expectation over the digits 1 to 5 rather than a sampled digit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM, Choice
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score, Turn, text_of

DIGITS = ("1", "2", "3", "4", "5")


class Aspects(Step):
    """One score from 1 to 5 for each aspect, and their mean as `aspects`; no mean unless every aspect has a score."""

    method: Literal["aspects"] = "aspects"
    engine: str = Field("main", description="which engine judges")
    aspects: tuple[str, ...] = Field(("helpfulness", "honesty", "instruction following", "truthfulness"), min_length=1)
    least_mass: float = Field(0.05, ge=0, le=1, description="probability that the digits must hold together, else no score")

    consumes: ClassVar = Chat  # a conversation that ends in the answer to be judged; its id is the answer's
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("judge/aspects",)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Ask for every aspect at once."""
        *asked, answer = row.turns
        instruction = asked[-1].content if len(asked) == 1 else text_of(asked)
        questions = [
            fill(prompt("judge/aspects"), aspect=aspect, instruction=instruction, response=answer.content)
            for aspect in self.aspects
        ]
        choices = await asyncio.gather(*(llm.choose([Turn("user", text)], DIGITS) for text in questions))
        found = [self._score(row.id, aspect, choice, llm) for aspect, choice in zip(self.aspects, choices, strict=True)]
        values = [score.value for score in found if score.value is not None]
        whole = len(values) == len(found)
        mean = sum(values) / len(values) if whole else None
        why = None if whole else f"{len(found) - len(values)} of {len(found)} aspects have no score"
        return [*found, Score(row.id, self.method, mean, None, llm.model, why)]

    def _score(self, about: str, aspect: str, choice: Choice, llm: LLM) -> Score:
        name = "aspect_" + aspect.replace(" ", "_")
        if choice.finish == "error":
            return Score(about, name, None, None, llm.model, choice.error)
        if choice.mass < self.least_mass:
            why = f"only {choice.mass:.3f} of the probability is on digits"
            return Score(about, name, None, None, llm.model, why)
        return Score(about, name, sum(int(d) * share for d, share in choice.probabilities.items()), None, llm.model, None)
