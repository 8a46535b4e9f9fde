"""Several judges' scores as one: each put on a scale of its prompt's own, then averaged; how far they differ stays beside it.

BLEUBERI (arXiv:2505.11080, section 4 and figure) averages z-scores of BLEU and a reward model and agrees with people better than
either. Its code takes the z-score over whatever stands in one call; here it is over one prompt's answers (deviation over n - 1,
1e-6 added, as there). The other scale is the empirical distribution function of InfAlign's calibration (arXiv:2412.19792,
section 4): how much of the prompt's answers is below, ties counting half.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from ..schemas.tables import Answer, Score, conform

SMALL = 1e-6
Scale = Literal["z", "cdf"]


def ensemble(answers: pl.DataFrame, scores: pl.DataFrame, scale: Scale = "z") -> pl.DataFrame:
    """Tables of `Answer` and `Score` (of any number of names and judges) -> `Score`s `ensemble` and `disagreement`.

    `disagreement` is the deviation of the judges' calibrated scores around their mean. An answer that some judge of its prompt
    could not score has neither: a mean of fewer judges is another scale.
    """
    calibrated = calibrate(answers, scores, scale)
    voices = calibrated.group_by("prompt").agg(voices=pl.struct("name", "judge").n_unique())
    joined = calibrated.group_by("about", "prompt", maintain_order=True).agg(
        ensemble=pl.col("value").mean(), disagreement=pl.col("value").std(ddof=0), told=pl.len()
    )
    joined = joined.join(voices, on="prompt", how="left", maintain_order="left")
    whole = pl.col("told") == pl.col("voices")
    judge = pl.lit(f"{scale} of ") + pl.col("voices").cast(pl.String) + " judges"
    missing = pl.col("told").cast(pl.String) + " of " + pl.col("voices").cast(pl.String) + " judges gave a score"
    parts = [
        joined.select(
            "about",
            name=pl.lit(name),
            value=pl.when(whole).then(pl.col(name)),
            label=pl.lit(None, dtype=pl.String),
            judge=judge,
            reason=pl.when(~whole).then(missing),
        )
        for name in ("ensemble", "disagreement")
    ]
    return conform(Score, pl.concat(parts))


def calibrate(answers: pl.DataFrame, scores: pl.DataFrame, scale: Scale = "z") -> pl.DataFrame:
    """Each finite score on the scale of its prompt, name and judge: columns `about`, `prompt`, `name`, `judge`, `value`."""
    conform(Answer, answers)
    conform(Score, scores)
    home = answers.select(pl.col("id").alias("about"), "prompt")
    finite = scores.filter(pl.col("value").is_finite()).join(home, on="about", how="inner", maintain_order="left")
    group = ["prompt", "name", "judge"]
    value = z_score(pl.col("value"), group) if scale == "z" else cdf(pl.col("value"), group)
    return finite.with_columns(value=value).select("about", "prompt", "name", "judge", "value")


def z_score(value: pl.Expr, group: list[str]) -> pl.Expr:
    """How many deviations above the group's mean; 0 where a group has one member or no spread."""
    return ((value - value.mean().over(group)) / (value.std().over(group).fill_null(0.0) + SMALL)).fill_null(0.0)


def cdf(value: pl.Expr, group: list[str]) -> pl.Expr:
    """Share of the group that is below, ties counting half: (rank - 1/2) / n with mean ranks. 0.5 where all are equal."""
    return (value.rank("average").over(group) - 0.5) / value.len().over(group)
