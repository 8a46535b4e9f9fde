"""A run as a Magpie set: the published columns, with the repeats found, filtered as one of the named sets is."""

from __future__ import annotations

from collections import Counter

import polars as pl

from ..filters.magpie_sets import MagpieSet
from ..schemas.tables import Note, Score
from ..selectors.duplicates import magpie_columns
from ..selectors.embed import SentenceEncoder, embed
from .export import Skipped, ratings
from .facts import every
from .magpie_export import published
from .stage import Line


def magpie_set(
    line: Line, prompts: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame, wanted: MagpieSet
) -> tuple[pl.DataFrame, Skipped]:
    """The best answer to each prompt, with all that the run's models said of prompt and answer, and what the set leaves out."""
    asked = prompts["turns"].list.last().struct.field("content").to_list()
    near = magpie_columns(embed(asked, SentenceEncoder()), prompts["id"])
    best = answers.join(ratings(scores), left_on="id", right_on="answer_id", how="left", maintain_order="left")
    best = best.sort("score", "id", descending=[True, False], nulls_last=True).unique(
        "prompt", keep="first", maintain_order=True
    )
    files = [file for stage, _ in line.finished for file in sorted(stage.path.rglob("part-*.parquet"))]
    named = [*prompts["id"], *best["id"]]
    about = pl.col("about").is_in(named)
    told, notes = (
        every(Score, files).filter(about).unique(["about", "name"], keep="first", maintain_order=True),
        every(Note, files),
    )
    table = published(prompts, best.select(answers.columns), told, notes.filter(about), near=near)
    kept, dropped = wanted(table)
    skipped = Counter(dropped["reason"].to_list())
    if unanswered := prompts.height - table.height:
        skipped["no_answer"] = unanswered
    return kept, dict(skipped)
