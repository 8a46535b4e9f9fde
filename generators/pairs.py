"""Preference pairs from scored candidates: the best answer against the worst.

Magpie-DPO (arXiv:2406.08464, section 2.3): chosen is the argmax, rejected the argmin. Departures: a pair needs a margin
above zero, a tie or a missing score makes no pair, and two answers with the same text are never paired (the authors' code pairs them).
Rows are joined by id, never by position.
"""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ..schemas.digest import digest
from ..schemas.tables import Answer, Drop, Preference, Score, conform, frame


class BestWorst(BaseModel):
    """The best of a prompt's answers against the worst."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["best_worst"] = "best_worst"
    min_margin: float = Field(0.0, ge=0, description="score difference that a pair must exceed")

    def __call__(self, answers: pl.DataFrame, scores: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Tables of `Answer` and `Score` -> tables of `Preference` and of `Drop` (prompts without a pair, with the reason)."""
        conform(Answer, answers)
        conform(Score, scores)
        named = scores.filter(pl.col("value").is_finite()).select(pl.col("about").alias("id"), pl.col("value").alias("score"))
        if named["id"].is_duplicated().any():
            twice = named.filter(pl.col("id").is_duplicated())["id"][0]
            raise ValueError(f"answer {twice} has two scores; hand over the scores of one judge only")

        scored = answers.join(named, on="id", how="left")
        pairs, drops = [], []
        for (prompt,), group in scored.group_by("prompt", maintain_order=True):
            made = self._pair(str(prompt), group)
            (pairs if isinstance(made, Preference) else drops).append(made)
        return frame(Preference, pairs), frame(Drop, drops)

    def _pair(self, prompt: str, group: pl.DataFrame) -> Preference | Drop:
        # Ties at either end are broken by id, so that the pair does not depend on the order of the rows.
        judged = group.drop_nulls("score").sort("score", "id", descending=[True, False])
        if judged.height < 2:
            reason = "missing_scores" if group.height >= 2 else "too_few_answers"
            return Drop(prompt, "pair", reason, f"{judged.height} of {group.height} answers have a score", "")
        best, worst = judged.row(0, named=True), judged.row(-1, named=True)
        margin = best["score"] - worst["score"]
        if margin <= self.min_margin:
            return Drop(prompt, "pair", "small_margin", f"{margin:.4f} is not above {self.min_margin}", best["text"])
        if best["text"] == worst["text"]:
            return Drop(prompt, "pair", "same_text", "best and worst answer are the same text", best["text"])
        return Preference(
            id=digest(prompt, best["id"], worst["id"]),
            prompt=prompt,
            chosen=best["id"],
            rejected=worst["id"],
            score_chosen=best["score"],
            score_rejected=worst["score"],
            score_margin=margin,
            source=self.method,
        )
