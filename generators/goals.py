"""Reward-augmented pairs: every scored pair twice, each time under the score that one of its two answers has.

Zhang et al., "Reward-Augmented Data Enhances Direct Preference Alignment of LLMs", arXiv:2410.08067, section 3.2. For a goal g
an answer is worth -(g - score)^2, so under the better answer's score the better one wins, and under the worse answer's score
the *worse* one does. Departures: the goal text is our own; the copy with the goal in the user's turn is swapped as well (the
released script forgets to, and so rewards the better answer under the worse one's goal); pairs whose two goals print alike
are left out, since their copies would contradict each other; one score decides (the script picks by one and filters by another).
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..schemas.exports import Goal, Pair
from ..schemas.tables import conform, schema

GOAL = (
    "Answer so that your reply would be given the overall score below, from 1 (lowest) to 10 (highest). Do not speak of the score.\n"
    "Overall score: {goal}."
)
LOWEST, HIGHEST = 1.0, 10.0


class Goals(BaseModel):
    """How goals are written. `least` and `most` are the ends of the judge's scale, mapped to 1 and 10."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least: float = Field(1.0, description="lowest score that the judge gives")
    most: float = Field(5.0, description="highest score that the judge gives")
    role: Literal["system", "user"] = Field("system", description="turn that holds the goal; user for Gemma and Mistral")
    keep: Literal["both", "pos", "neg"] = Field("both", description="copies to keep")
    min_gap: float = Field(0.0, ge=0, description="difference that the two goals must exceed, on the scale of 1 to 10")
    decimals: int = Field(1, ge=0, le=3, description="of a goal; whole ones are printed without")

    @model_validator(mode="after")
    def _ordered(self) -> Goals:
        if not self.least < self.most:
            raise ValueError(f"least={self.least} is not below most={self.most}: these are the ends of the judge's scale")
        return self

    def goal(self, score: float) -> float:
        """A score on the scale of 1 to 10, rounded as it is printed."""
        return round(LOWEST + (HIGHEST - LOWEST) * (score - self.least) / (self.most - self.least), self.decimals)

    def text(self, goal: float) -> str:
        """What the model is told."""
        return GOAL.format(goal=int(goal) if goal == int(goal) else goal)

    def ask(self, turns: list[dict[str, str]], goal: float = HIGHEST) -> list[dict[str, str]]:
        """The conversation with the goal in front. At inference ask for the highest."""
        first, *rest = turns
        if self.role == "user":
            said = next(i for i, turn in enumerate(turns) if turn["role"] == "user")
            asked = {"role": "user", "content": f"{self.text(goal)}\n\n{turns[said]['content']}"}
            return [*turns[:said], asked, *turns[said + 1 :]]
        if first["role"] == "system":
            return [{"role": "system", "content": f"{first['content']}\n\n{self.text(goal)}"}, *rest]
        return [{"role": "system", "content": self.text(goal)}, *turns]


def relabel(pairs: pl.DataFrame, goals: Goals) -> tuple[pl.DataFrame, dict[str, int]]:
    """Rows of `default` -> rows of `reward_augmented`, all first copies and then all second ones, and what was skipped."""
    conform(Pair, pairs)
    copies: dict[str, list[dict]] = {"pos": [], "neg": []}
    skipped: Counter[str] = Counter()
    for row in pairs.iter_rows(named=True):
        high, low = goals.goal(row["score_chosen"]), goals.goal(row["score_rejected"])
        if not LOWEST <= low <= high <= HIGHEST:
            skipped["off_the_scale"] += 1
        elif high - low <= goals.min_gap:
            skipped["goals_too_close"] += 1
        else:
            copies["pos"].append(_copy(row, goals, "pos", (high, low), ("chosen", "rejected")))
            copies["neg"].append(_copy(row, goals, "neg", (low, high), ("rejected", "chosen")))
    kept = [row for sign in ("pos", "neg") if goals.keep in ("both", sign) for row in copies[sign]]
    return conform(Goal, pl.DataFrame(kept, schema=schema(Goal), orient="row")), dict(skipped)


def _copy(row: dict, goals: Goals, sign: str, scores: tuple[float, float], sides: tuple[str, str]) -> dict:
    """Under the first score the answer on the first side wins."""
    winner, loser = sides
    return {
        "prompt": goals.ask(row["prompt"], scores[0]),
        "chosen": row[winner],
        "rejected": row[loser],
        "goal": scores[0],
        "augmentation": sign,
        "parent_id": row["prompt_id"],
        "chosen_id": row[f"{winner}_id"],
        "rejected_id": row[f"{loser}_id"],
        "score_chosen": scores[0],
        "score_rejected": scores[1],
        "source": row["source"],
    }
