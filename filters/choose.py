"""Which tagged prompts are worth answering: levels to reach, languages, and quotas of categories.

Magpie's preference sets (arXiv:2406.08464, section 2.3, and issue 36 of the authors' repository) take prompts of at least medium difficulty and
good quality, then draw at random so that the categories are balanced. The authors' quotas are unknown; here a category gets
its share of the rows, and what a small category cannot fill goes to the others. The draw follows the prompts' ids, so it
does not depend on their order.
"""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ..schemas.tables import Chat, Score, conform
from . import rules
from .taggers import CATEGORIES, DIFFICULTIES, QUALITIES


class Choose(BaseModel):
    """Rules over tags, then quotas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quality: Literal[QUALITIES] | None = Field(None, description="lowest input quality")  # type: ignore[valid-type]
    difficulty: Literal[DIFFICULTIES] | None = Field(None, description="lowest difficulty")  # type: ignore[valid-type]
    languages: tuple[str, ...] = Field((), description="languages that stay, such as EN; none: all")
    rows: int | None = Field(None, gt=0, description="prompts to take; default: all that pass")
    shares: dict[str, float] = Field({}, description="category -> its share of the rows; none: no quotas; not named: 0")

    def __call__(self, prompts: pl.DataFrame, scores: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Tables of `Chat` and `Score` -> the prompts that stay, in their order; and the others, with `reason`."""
        conform(Chat, prompts)
        labels = conform(Score, scores).filter(pl.col("about").is_in(prompts["id"].to_list())).select("about", "name", "label")
        tags = labels.pivot("name", index="about", values="label") if labels.height else labels.select("about")
        absent = [name for name in self._needed() if name not in tags.columns]
        tags = tags.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)
        tagged = prompts.join(tags, left_on="id", right_on="about", how="left", maintain_order="left")
        kept, dropped = rules.partition(tagged, *self._rules())
        chosen = self._drawn(kept)
        over = kept.join(chosen, on="id", how="anti").with_columns(reason=pl.lit("over_quota"))
        columns = [*prompts.columns, "reason"]
        return (
            kept.join(chosen, on="id", how="semi", maintain_order="left").select(prompts.columns),
            pl.concat([dropped.select(columns), over.select(columns)]),
        )

    def _needed(self) -> dict[str, bool]:
        wanted = {
            "input_quality": self.quality is not None,
            "difficulty": self.difficulty is not None,
            "language": bool(self.languages),
            "task_category": bool(self.shares),
        }
        return {name: True for name, needed in wanted.items() if needed}

    def _rules(self) -> list[pl.Expr]:
        allowed = {
            "input_quality": QUALITIES[QUALITIES.index(self.quality) :] if self.quality else (),
            "difficulty": DIFFICULTIES[DIFFICULTIES.index(self.difficulty) :] if self.difficulty else (),
            "language": self.languages,
            "task_category": tuple(name for name, share in self.shares.items() if share > 0),
        }
        return [rules.not_among(pl.col(name), allowed=allowed[name], name=name) for name in self._needed()]

    def _drawn(self, kept: pl.DataFrame) -> pl.DataFrame:
        """The ids that are taken. Ids are digests, so their order is a draw."""
        order = kept.sort("id")
        if not self.shares:
            return order.head(self.rows or kept.height).select("id")
        sizes = dict(order.group_by("task_category").len().iter_rows())
        quota = fill_quotas(self.shares, sizes, self.rows or kept.height)
        rank = pl.int_range(pl.len()).over("task_category")
        limit = pl.col("task_category").replace_strict(quota, default=0, return_dtype=pl.Int64)
        return order.filter(rank < limit).select("id")


def fill_quotas(shares: dict[str, float], sizes: dict[str, int], rows: int) -> dict[str, int]:
    """How many of each category: by share, never more than there are, the rest shared out among those that have some left."""
    taken = dict.fromkeys(shares, 0)
    left = min(rows, sum(sizes.get(name, 0) for name, share in shares.items() if share > 0))
    while left > 0:
        open_ = {name: share for name, share in shares.items() if share > 0 and taken[name] < sizes.get(name, 0)}
        total = sum(open_.values())
        added = {name: min(int(left * share / total), sizes[name] - taken[name]) for name, share in open_.items()}
        if not any(added.values()):  # less than one row each: the largest shares first
            ranked = sorted(open_, key=lambda name: (-open_[name], CATEGORIES.index(name) if name in CATEGORIES else 99, name))
            added = dict.fromkeys(ranked[:left], 1)
        for name, count in added.items():
            taken[name] += count
        left -= sum(added.values())
    return taken
