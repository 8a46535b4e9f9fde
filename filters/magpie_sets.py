"""Magpie's named filters: who stays, by tags, rewards and repeats, and then the longest answers.

Xu et al., arXiv:2406.08464, table 5 (Air, Pro, Pro2 to Pro6), the authors' released notebook, and the cards of later sets. They work on
frames in the published column layout (`flows/magpie_export.py`), so on downloaded Magpie sets as well. The length cut comes last.

Departures: the paper's "distance above 0" removes *every* copy of a duplicate; here, as in the authors' code, the first of each
neighbourhood stays (`min_similar_uuid` from `selectors/duplicates.py`, null or the row's own id). Whatever a set needs and a
row does not have (a tag that could not be read, a reward) drops the row.
"""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from . import rules
from .taggers import DIFFICULTIES, QUALITIES

Difficulty = Literal["very easy", "easy", "medium", "hard", "very hard"]
Quality = Literal["very poor", "poor", "average", "good", "excellent"]
REWARD, DIFFERENCE = -12.0, 0.0  # the paper's thresholds τ1 and τ2: a row must be above


class MagpieSet(BaseModel):
    """One filter: rules a row must pass alone, and how many of the longest answers are taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quality: Quality | None = Field(None, description="lowest input quality")
    difficulty: Difficulty | None = Field(None, description="lowest difficulty")
    reward: float | None = Field(None, description="instruct_reward must be above it")
    reward_difference: float | None = Field(None, description="reward over the base model's answer must be above it")
    repeats: Literal["first", "all"] = Field("first", description="of near duplicates: keep the first, or all")
    colon: Literal["drop", "keep"] = Field("keep", description="instructions that end in a colon")
    newlines: int | None = Field(None, ge=0, description="most line ends in an instruction that is not about code")
    step_1: Literal["any", "both"] = Field("any", description="both: raw instruction and answer must hold `## Step 1`")
    halves: Difficulty | None = Field(None, description="half of the rows from this difficulty, half from above")
    longest: int | None = Field(None, gt=0, description="how many of the longest answers are taken, characters; default: all")

    def rules(self) -> list[pl.Expr]:
        """What a row must pass, in the order of the paper's table."""
        made: list[pl.Expr] = []
        if self.quality is not None:
            made.append(_at_least("input_quality", QUALITIES, self.quality))
        lowest = self.halves or self.difficulty
        if lowest is not None:
            made.append(_at_least("difficulty", DIFFICULTIES, lowest))
        if self.repeats == "first":
            similar, own = pl.col("min_similar_uuid"), pl.col("uuid")
            made.append(rules.rule("near_duplicate", similar.is_not_null() & (similar != own)))
        if self.reward is not None:
            made.append(_above("instruct_reward", self.reward))
        if self.reward_difference is not None:
            made.append(_above("reward_difference", self.reward_difference))
        if self.colon == "drop":
            made.append(rules.ends_with_colon(pl.col("instruction")))
        if self.newlines is not None:
            about_code = pl.col("task_category").eq_missing("Coding & Debugging")
            lines = rules.too_many_lines(pl.col("instruction"), newlines=self.newlines)
            made.append(pl.when(~about_code).then(lines))
        if self.step_1 == "both":
            held = [pl.col(name).str.contains("## Step 1", literal=True) for name in ("raw_instruction", "response")]
            made.append(rules.rule("no_step_1", ~(held[0] & held[1])))
        return made

    def __call__(self, published: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows that stay, in their order; and those that go, with `reason`."""
        kept, dropped = rules.partition(published, *self.rules())
        chosen = self._longest(kept)
        cut = kept.join(chosen, on="uuid", how="anti").with_columns(reason=pl.lit("not_among_longest"))
        return kept.join(chosen, on="uuid", how="semi"), pl.concat([dropped, cut.select(dropped.columns)])

    def _longest(self, kept: pl.DataFrame) -> pl.DataFrame:
        """The ids of the longest answers; ties go to the lower id."""
        ranked = kept.sort("response_length", "uuid", descending=[True, False])
        if self.halves is None:
            return ranked.head(self.longest or kept.height).select("uuid")
        easy = ranked.filter(pl.col("difficulty").str.to_lowercase() == self.halves)
        above = ranked.filter(pl.col("difficulty").str.to_lowercase() != self.halves)
        half = min(easy.height, above.height, (self.longest or kept.height) // 2)
        return pl.concat([easy.head(half), above.head(half)]).select("uuid")


NAMED: dict[str, MagpieSet] = {
    "air": MagpieSet(quality="good", difficulty="medium", reward_difference=DIFFERENCE, longest=300_000),
    "pro": MagpieSet(quality="average", reward=REWARD, longest=300_000),
    "pro2": MagpieSet(quality="good", difficulty="easy", reward=REWARD, longest=300_000),
    "pro3": MagpieSet(reward=REWARD, longest=300_000),
    "pro4": MagpieSet(quality="good", difficulty="easy", reward_difference=DIFFERENCE, longest=300_000),
    "pro5": MagpieSet(quality="good", difficulty="easy", reward=REWARD),
    "pro6": MagpieSet(halves="easy", reward=REWARD, longest=200_000),
    "notebook": MagpieSet(quality="good", reward=-10.0, colon="drop", longest=300_000),
    "llama-3.3-500k": MagpieSet(reward=-10.0, colon="drop", newlines=4, longest=500_000),
    "reasoning": MagpieSet(quality="good", reward=-10.0, colon="drop", step_1="both"),
    "dpo": MagpieSet(quality="good", difficulty="medium", reward=-5.0),
}


def named(name: str) -> MagpieSet:
    """A set of the paper, the notebook or a card.

    Raises:
        KeyError: with the names there are.
    """
    if name not in NAMED:
        raise KeyError(f"no Magpie set {name!r}; there is {', '.join(NAMED)}")
    return NAMED[name]


def _at_least(column: str, levels: tuple[str, ...], lowest: str) -> pl.Expr:
    label = pl.col(column).str.to_lowercase()
    return rules.not_among(label, allowed=levels[levels.index(lowest) :], name=column)


def _above(column: str, threshold: float) -> pl.Expr:
    value = pl.col(column).cast(pl.Float64).fill_nan(None)
    return rules.rule(column, ~(value > threshold))
