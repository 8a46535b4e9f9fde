"""Decontamination: rows that hold a piece of an evaluation set, found by n-grams of words.

As Tülu 3 does (Lambert et al., arXiv:2411.15124, section 3.2): n-grams of 8 words; a row is contaminated if it holds more
than half of the n-grams of one evaluation item. Words are runs of letters and digits, case ignored. Deviations: the share
is of an item's distinct n-grams, not of its tokens; a text without blanks counts in characters; an item of fewer than n
words must be found as a whole text, because three common words prove nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from .duplicates import shingles

TEXTS = ("question", "prompt", "instruction", "problem", "input", "text", "query")


@dataclass(frozen=True, eq=False)
class Contamination:
    """For each row the evaluation item that it holds most of, if it holds enough of one."""

    kept_N: np.ndarray  # bool
    evaluation_N: np.ndarray  # name of the evaluation set, "" if kept
    item_N: np.ndarray  # row of that set, -1 if kept
    share_N: np.ndarray  # of the item's n-grams, 0 to 1: also for kept rows

    def reasons(self) -> list[str | None]:
        return [f"contaminated_by_{name}" if name else None for name in self.evaluation_N]


def contamination(
    texts: pl.Series, evaluations: Mapping[str, pl.Series], *, words: int = 8, share: float = 0.5
) -> Contamination:
    """Which rows hold more than `share` of the n-grams of an item of an evaluation set. O(total length)."""
    names = [name for name, items in evaluations.items() for _ in range(len(items))]
    numbers = [number for items in evaluations.values() for number in range(len(items))]
    kept = Contamination(
        np.ones(len(texts), bool), np.full(len(texts), "", object), np.full(len(texts), -1), np.zeros(len(texts))
    )
    if not names or not len(texts):
        return kept
    wanted, of_item = _grams(pl.concat([items.cast(pl.String).alias("text") for items in evaluations.values()]), words)
    found, of_row = _grams(texts, words)
    known = np.isin(found, wanted)
    shared = _shared(found[known], of_row[known], wanted, of_item, len(names))
    best = shared.sort(["row", "share", "item"], descending=[False, True, False]).unique(
        "row", keep="first", maintain_order=True
    )
    rows, items, shares = (best[name].to_numpy() for name in ("row", "item", "share"))
    kept.share_N[rows] = shares
    taken = shares > share
    kept.kept_N[rows[taken]] = False
    kept.item_N[rows[taken]] = np.array(numbers)[items[taken]]
    kept.evaluation_N[rows[taken]] = np.array(names, dtype=object)[items[taken]]
    return kept


def read_evaluations(folder: Path) -> dict[str, pl.Series]:
    """Every Parquet and JSONL file of a folder, by its name: the first column called question, prompt, … text."""
    sets = {}
    for file in sorted(path for path in folder.rglob("*") if path.suffix in (".parquet", ".jsonl")):
        frame = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_ndjson(file, infer_schema_length=None)
        column = next((name for name in TEXTS if frame.schema.get(name) == pl.String), None)
        if column is None:
            raise ValueError(f"{file}: expected a text column named {', '.join(TEXTS)}; it has {', '.join(frame.columns)}")
        sets[file.relative_to(folder).with_suffix("").as_posix()] = frame[column].drop_nulls()
    if not sets:
        raise ValueError(f"{folder} holds no .parquet or .jsonl file: put evaluation sets there, a file each")
    return sets


def _grams(texts: pl.Series, words: int) -> tuple[np.ndarray, np.ndarray]:
    """All distinct n-grams of each text, and the text of each."""
    plain = texts.fill_null("").str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ")
    codes, starts = shingles(plain, words)
    return codes, np.repeat(np.arange(len(texts)), np.diff(starts))


def _shared(found: np.ndarray, of_row: np.ndarray, wanted: np.ndarray, of_item: np.ndarray, items: int) -> pl.DataFrame:
    """row, item and the share of the item's n-grams that the row holds, wherever it holds one."""
    sizes = pl.DataFrame({"item": np.arange(items), "size": np.bincount(of_item, minlength=items)})
    hits = pl.DataFrame({"gram": found, "row": of_row}).join(pl.DataFrame({"gram": wanted, "item": of_item}), on="gram")
    counted = hits.group_by("row", "item").agg(hits=pl.len()).join(sizes, on="item")
    return counted.with_columns(share=pl.col("hits") / pl.col("size"))
