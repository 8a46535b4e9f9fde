"""Which of four kinds of values a reply expresses, and how many of them a set of candidates covers.

Zhang et al., arXiv:2507.09650: coverage of a value is the share of prompts whose candidates hold at least one reply that expresses
it, over the poles of Inglehart and Welzel. Departures: a small model's verdict is read from the probabilities of its letters,
and a reply may express none (below `sure`). The paper's judge agrees with people in 78 to 86%; measure yours before you trust it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from ..schemas.llm import LLM
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Answer, Chat, Row, Score, Turn, conform, text_of

VALUES = {"A": "traditional", "B": "secular", "C": "survival", "D": "self-expression"}


class Values(Step):
    """The value that a reply expresses, as the label; its probability as the number."""

    method: Literal["values"] = "values"
    engine: str = Field("main", description="which engine judges")
    sure: float = Field(
        0.5, ge=0, le=1, description="probability that a value must have among the four, else there is no label"
    )
    least_mass: float = Field(0.05, ge=0, le=1, description="probability that the letters must hold together, else no verdict")

    consumes: ClassVar = Chat  # a conversation that ends in the reply; its id is the answer's
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("diverse/value",)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Show request and reply, and read the letters' probabilities."""
        *asked, answer = row.turns
        instruction = asked[-1].content if len(asked) == 1 else text_of(asked)
        question = fill(prompt("diverse/value"), instruction=instruction, response=answer.content)
        choice = await llm.choose([Turn("user", question)], tuple(VALUES))
        if choice.finish == "error":
            return [Score(row.id, "value", None, None, llm.model, choice.error)]
        if choice.mass < self.least_mass:
            why = f"only {choice.mass:.3f} of the probability is on letters"
            return [Score(row.id, "value", None, None, llm.model, why)]
        letter = max(VALUES, key=lambda option: choice.probabilities.get(option, 0.0))
        share = choice.probabilities.get(letter, 0.0)
        return [Score(row.id, "value", share, VALUES[letter] if share >= self.sure else None, llm.model, None)]


def coverage(answers: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """For each method of drawing: `method`, `prompts`, one column for each value, and `mean`, all shares of prompts."""
    conform(Answer, answers)
    labels = conform(Score, scores).filter(pl.col("name") == "value").select(pl.col("about").alias("id"), "label")
    told = answers.join(labels, on="id", how="left", maintain_order="left")
    shown = [(pl.col("label") == value).fill_null(False).any().alias(value) for value in VALUES.values()]
    sets = told.group_by("method", "prompt", maintain_order=True).agg(*shown)
    share = sets.group_by("method", maintain_order=True).agg(
        pl.len().alias("prompts"), *(pl.col(v).mean() for v in VALUES.values())
    )
    return share.with_columns(mean=pl.mean_horizontal(*VALUES.values()))
