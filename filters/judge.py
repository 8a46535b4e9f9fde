"""A judge that rates one answer at a time: the expectation over the digits that it might have written.

The reply is never parsed. The probabilities of the digits 1 to 5 at the first position of the reply are read and averaged, as
G-Eval does (Liu et al., arXiv:2303.16634, section 2.3) and Deita's scorers (arXiv:2312.15685): a finer number than one sampled
digit, without a failure to parse, and with ties made rare.

With `answers_first` the judge answers the request itself and marks with its answer in view: MT-Bench's reference-guided judge (Zheng
et al., arXiv:2306.05685, section 3.4), meant for questions that have a right answer. Here the judge's answer is its own turn of
the conversation, so all candidates of a prompt share one prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM, Decoding, Reply
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score, Turn, text_of

DIGITS = ("1", "2", "3", "4", "5")


class Pointwise(Step):
    """One score from 1 to 5 for an answer."""

    method: Literal["pointwise"] = "pointwise"
    engine: str = Field("main", description="which engine judges")
    least_mass: float = Field(0.05, ge=0, le=1, description="probability that the digits must hold together, else no score")
    answers_first: bool = Field(False, description="answer the request greedily before judging, with that answer in view")
    max_tokens: int = Field(512, gt=0, description="of the judge's own answer")

    consumes: ClassVar = Chat  # a conversation that ends in the answer to be judged; its id is the answer's
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("judge/pointwise", "judge/pointwise_after")

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Show instruction and answer, and read the digits' probabilities."""
        *asked, answer = row.turns
        if self.answers_first:
            own = await own_answer(asked, llm, self.max_tokens)
            if own.finish == "error":
                return [Score(row.id, self.method, None, None, llm.model, own.error)]
            question = fill(prompt("judge/pointwise_after"), response=answer.content)
            shown = [*asked, Turn("assistant", own.text), Turn("user", question)]
        else:
            instruction = asked[-1].content if len(asked) == 1 else text_of(asked)
            shown = [Turn("user", fill(prompt("judge/pointwise"), instruction=instruction, response=answer.content))]
        choice = await llm.choose(shown, DIGITS)

        if choice.finish == "error":
            return [Score(row.id, self.method, None, None, llm.model, choice.error)]
        if choice.mass < self.least_mass:
            why = f"only {choice.mass:.3f} of the probability is on digits"
            return [Score(row.id, self.method, None, None, llm.model, why)]
        rating = sum(int(digit) * share for digit, share in choice.probabilities.items())
        return [Score(row.id, self.method, rating, None, llm.model, None)]


async def own_answer(asked: Sequence[Turn], llm: LLM, max_tokens: int) -> Reply:
    """What the judge would say itself: greedy, so that it is the same before every candidate."""
    return await llm.chat(asked, Decoding(temperature=0.0, max_tokens=max_tokens), 0)
