"""Methods side by side on one pool: what each chooses, and the two controls that a report may not leave out.

Of every selection: overlap with the others, mean score, NovelSum (arXiv:2502.17184), coverage (facility location's value),
lengths, turns, sources, similarity to the nearest other chosen row, and time. Numbers that look at pairs are taken on
samples of at most `SAMPLE` rows, seeded; embedding is done once, before the clock starts.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ..selectors.near import neighbours
from ..selectors.novelselect import density, novelsum
from ..selectors.picks import Picks, Progress, Shortfall, unusable
from .durable import write, write_parquet
from .select import METHODS, Given, Inputs, choose, rows_of
from .select_pool import Pool, PoolError, read_pool

CONTROLS = ("random", "longest")
SAMPLE = 2000
BINS = np.linspace(0, 1, 21)
SOURCES = ("source", "dataset", "origin", "category", "task_category", "method")


@dataclass(frozen=True, eq=False)
class Comparison:
    """One row for each method, the overlaps, the histograms, and the methods that could not run."""

    table: pl.DataFrame
    overlap: pl.DataFrame  # |A ∩ B| / |A ∪ B|
    nearest: dict[str, np.ndarray]  # shares in BINS of the cosine to the nearest other chosen row
    refused: dict[str, str]


def compare_selectors(
    pool: Pool | str,
    methods: Sequence[str],
    budget: int | str,
    out: Path | None = None,
    given: Given | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Run the methods and the controls, and write `comparison.{json,md,svg}` and `chosen.parquet` into `out`."""
    pool = read_pool(pool) if isinstance(pool, str) else pool
    given = given or Given()
    rows, have = rows_of(budget, pool.frame.height), Inputs(pool, given, progress)
    _ = have.vectors
    chosen: dict[str, tuple[Picks, float]] = {}
    refused: dict[str, str] = {}
    for method in dict.fromkeys([*methods, *CONTROLS]):
        known = {name: value for name, value in given.settings.items() if name in _settings_of(method)}
        part = Inputs(pool, _with(given, known), progress)
        part.__dict__.update({name: made for name, made in have.__dict__.items() if name in ("vectors", "encoder")})
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Shortfall)  # the table says how many rows
                picks, _ = choose(method, part, rows)
            chosen[method] = (picks, time.perf_counter() - began)
        except (PoolError, ValueError) as error:  # written for a reader: the table says why, the other methods go on
            refused[method] = str(error)
    found = _compared(pool, have, chosen, refused)
    if out is not None:
        _write(found, pool, rows, chosen, out)
    return found


def _settings_of(method: str) -> list[str]:
    import inspect

    if method not in METHODS:
        raise PoolError(f"no method {method!r}; there are {', '.join(METHODS)}")
    return list(inspect.signature(METHODS[method].selector).parameters)


def _with(given: Given, settings: dict) -> Given:
    from dataclasses import replace

    return replace(given, settings=settings)


def _compared(pool: Pool, have: Inputs, chosen: dict[str, tuple[Picks, float]], refused: dict[str, str]) -> Comparison:
    usable = np.flatnonzero(unusable(have.vectors) == "")
    rng = np.random.default_rng(have.given.seed)
    reference = np.sort(rng.permutation(usable)[: 5 * SAMPLE])
    scores = have.scores if have.given.score else None
    rows, nearest = [], {}
    for method, (picks, seconds) in chosen.items():
        sample = np.sort(rng.permutation(np.intersect1d(picks.rows_K, usable))[:SAMPLE])
        described, nearest[method] = _described(pool, have.vectors, picks.rows_K, sample, reference, scores)
        rows.append({"method": method, "rows": len(picks), "seconds": seconds, **described})
    sets = {method: set(picks.rows_K.tolist()) for method, (picks, _) in chosen.items()}
    overlap = [{"method": a, **{b: len(sets[a] & sets[b]) / max(len(sets[a] | sets[b]), 1) for b in sets}} for a in sets]
    return Comparison(pl.DataFrame(rows, infer_schema_length=None), pl.DataFrame(overlap), nearest, refused)


def _described(
    pool: Pool,
    vectors_ND: np.ndarray,
    rows_K: np.ndarray,
    sample: np.ndarray,
    reference: np.ndarray,
    scores_N: np.ndarray | None,
) -> tuple[dict[str, object], np.ndarray]:
    near = np.zeros(0)
    told: dict[str, object] = {}
    if scores_N is not None:
        told["score_mean"] = float(np.nanmean(scores_N[rows_K])) if len(rows_K) else None
    if len(sample) > 1:
        vectors_SD = vectors_ND[sample]
        near = neighbours(vectors_SD, vectors_SD, 1, skip_self=True).similarity_QK[:, 0].astype(np.float64)
        told["novelsum"] = novelsum(vectors_SD, density(vectors_SD, vectors_ND[reference]))
        told["coverage"] = float(np.maximum(neighbours(vectors_ND[reference], vectors_SD, 1).similarity_QK, 0).mean())
        told |= {f"nearest_p{q}": float(np.quantile(near, q / 100)) for q in (50, 90, 99)}
    at = pl.Series(rows_K, dtype=pl.UInt32)
    told["text_chars"] = pool.texts[at].str.len_chars().mean()
    told["response_chars"] = pool.responses[at].str.len_chars().mean()
    told["turns"] = pool.turns[at].mean()
    source = next((name for name in SOURCES if pool.frame.schema.get(name) == pl.String), None)
    if source:
        mix = pool.frame[at][source].value_counts(sort=True, normalize=True).head(4)
        told["sources"] = ", ".join(f"{name} {share:.0%}" for name, share in mix.iter_rows())
    return told, np.histogram(np.clip(near, 0, 1), BINS)[0] / max(len(near), 1)


def _write(found: Comparison, pool: Pool, budget: int, chosen: dict[str, tuple[Picks, float]], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    ranks = [
        pl.DataFrame({"method": method, "id": pool.frame["id"][picks.rows_K], "rank": range(1, len(picks) + 1)})
        for method, (picks, _) in chosen.items()
    ]
    write_parquet(out / "chosen.parquet", pl.concat(ranks))
    told = {
        "pool": pool.name,
        "pool_rows": pool.frame.height,
        "budget": budget,
        "methods": found.table.to_dicts(),
        "overlap": found.overlap.to_dicts(),
        "nearest_bins": BINS.round(3).tolist(),
        "nearest": {method: shares.round(5).tolist() for method, shares in found.nearest.items()},
        "refused": found.refused,
    }
    write(out / "comparison.md", (f"# {pool.name}, {budget} of {pool.frame.height} rows\n\n{markdown(found)}").encode())
    write(out / "comparison.svg", drawn(found).encode())
    write(out / "comparison.json", json.dumps(told, indent=2).encode() + b"\n")


def markdown(found: Comparison) -> str:
    """The tables for people."""
    parts = [_table(found.table), "Overlap, shared rows over all rows of both:", _table(found.overlap)]
    parts += [f"- {method} could not run: {why}" for method, why in found.refused.items()]
    return "\n\n".join(parts) + "\n"


def _table(frame: pl.DataFrame) -> str:
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * frame.width]
    for row in frame.iter_rows():
        cells = (f"{cell:.3g}" if isinstance(cell, float) else "" if cell is None else str(cell) for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def drawn(found: Comparison) -> str:
    """Histograms of the nearest neighbour's similarity, one below another on one scale, as SVG."""
    tall, wide, left = 46, 24, 150
    top = max([float(shares.max()) for shares in found.nearest.values() if len(shares)] + [1e-9])
    height = tall * len(found.nearest) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide * 20 + 20}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<text x="8" y="16">Cosine to the nearest other chosen row, share of rows</text>',
    ]
    for place, (method, shares) in enumerate(found.nearest.items()):
        base = 24 + tall * (place + 1)
        parts.append(f'<text x="{left - 8}" y="{base - 4}" text-anchor="end">{method}</text>')
        parts.append(f'<line x1="{left}" x2="{left + wide * 20}" y1="{base}" y2="{base}" stroke="#999"/>')
        for i, share in enumerate(shares):
            bar = (tall - 8) * float(share) / top
            parts.append(
                f'<rect x="{left + wide * i + 1}" y="{base - bar:.1f}" width="{wide - 2}" height="{bar:.1f}" fill="#3b6ea5">'
                f"<title>{BINS[i]:.2f} to {BINS[i + 1]:.2f}: {share:.1%}</title></rect>"
            )
    marks = "".join(f'<text x="{left + wide * 4 * i}" y="{height - 8}">{i / 5:.1f}</text>' for i in range(6))
    return "\n".join([*parts, marks, "</svg>"]) + "\n"
