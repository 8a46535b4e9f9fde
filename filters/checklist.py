"""The checklist judge: of two replies, which meets the wishes that the user of this very conversation showed?

WildFeedback (arXiv:2408.15549, checklist-guided evaluation, in later versions so called): without the checklist a judge
follows its own taste. Both orders are asked; a side wins only if it wins in both, anything else is a tie, and a tie
drops a pair as a loss does. The same judge evaluates a model on the held-out set: `report` gives win, tie and loss with
bootstrap intervals. The verdict is read from the probabilities of the two letters, not from text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from ..schemas.llm import LLM, Choice
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score, Seed, Turn, text_of

SPOKEN = ("system", "user", "assistant")
VERDICTS = ("win", "tie", "lose")


def comparison(asked: Chat, first: str, second: str, wishes: Sequence[str]) -> Seed:
    """The row that `Checklist` reads: the prompt, then two replies and the wishes in roles of their own."""
    turns = [*asked.turns, Turn("first", first), Turn("second", second), *(Turn("wish", wish) for wish in wishes)]
    return Seed(asked.id, 0, 0, turns)


class Checklist(Step):
    """Whether the first reply meets the wishes better than the second: 1 win, 0 tie, -1 loss."""

    method: Literal["checklist"] = "checklist"
    engine: str = Field("judge", description="which engine judges; better not the one that wrote the replies")
    least_mass: float = Field(0.05, ge=0, le=1, description="probability the letters must hold together, else no verdict")

    consumes: ClassVar = Seed
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("wildfeedback/checklist",)

    async def __call__(self, row: Seed, judge: LLM) -> Sequence[Row]:
        """Ask in both orders. `checklist` is the verdict, `checklist_share` the mean probability of the first reply."""
        said = {role: [turn.content for turn in row.turns if turn.role == role] for role in ("first", "second", "wish")}
        spoken = [turn for turn in row.turns if turn.role in SPOKEN]
        shown = {
            "instruction": spoken[-1].content if len(spoken) == 1 else text_of(spoken),
            "preferences": "\n".join(f"- {wish}" for wish in said["wish"]),
        }
        one, two = said["first"][0], said["second"][0]
        orders = ({"response_a": one, "response_b": two}, {"response_a": two, "response_b": one})
        questions = [fill(prompt("wildfeedback/checklist"), **shown, **order) for order in orders]
        ahead, behind = await asyncio.gather(*(judge.choose([Turn("user", text)], ("A", "B")) for text in questions))
        fault = next((why for why in map(self._fault, (ahead, behind)) if why), "")
        if fault:
            return [Score(row.id, name, None, None, judge.model, fault) for name in ("checklist", "checklist_share")]
        shares = (ahead.probabilities["A"], behind.probabilities["B"])
        value = float(all(share > 0.5 for share in shares)) - float(all(share < 0.5 for share in shares))
        why = f"{shares[0]:.2f} shown first, {shares[1]:.2f} shown second"
        return [
            Score(row.id, "checklist", value, VERDICTS[1 - int(value)], judge.model, why),
            Score(row.id, "checklist_share", sum(shares) / 2, None, judge.model, why),
        ]

    def _fault(self, choice: Choice) -> str:
        if choice.finish == "error":
            return choice.error or "engine error"
        return f"only {choice.mass:.3f} of the probability is on the letters" if choice.mass < self.least_mass else ""


def report(scores: pl.DataFrame, *, draws: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Shares of win, tie and loss among the verdicts, each with its 95% bootstrap interval."""
    labels = scores.filter(pl.col("name") == "checklist")["label"].drop_nulls().to_numpy()
    if not len(labels):
        return pl.DataFrame(schema={"verdict": pl.String, "share": pl.Float64, "low": pl.Float64, "high": pl.Float64})
    counts = [int((labels == verdict).sum()) for verdict in VERDICTS]
    rng = np.random.default_rng(seed)
    shares = rng.multinomial(len(labels), np.array(counts) / len(labels), size=draws) / len(labels)
    low, high = np.quantile(shares, (0.025, 0.975), axis=0)
    return pl.DataFrame({"verdict": VERDICTS, "share": np.array(counts) / len(labels), "low": low, "high": high}, strict=False)
