"""Picks: what every selector returns, and the checks that every selector makes first.

A selector is a function of arrays: it returns row numbers in rank order, with the gain of each. Ties go to the lower
row number everywhere, so a pool that is sorted by id has its ties broken by id. What cannot be compared (a score that
is not a number, a vector without a direction) is refused with its row numbers; `unusable` names it, for whoever would
rather drop than stop.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

Progress = Callable[[int, int], None]  # (done, of), called now and then by whatever can take longer than two seconds
BLOCK = 1 << 22  # numbers looked at together in a pass over the pool: 32 MiB as float64


class Shortfall(UserWarning):
    """Fewer rows were chosen than asked for."""


@dataclass(frozen=True, eq=False)
class Picks:
    """Row numbers in rank order, with what each added when it was taken, and why it was taken."""

    rows_K: np.ndarray  # int64
    gains_K: np.ndarray  # float64; the unit is the selector's own
    reasons_K: np.ndarray  # str
    notes: tuple[str, ...] = ()  # what a reader of the result must know: a budget not reached, a direction taken

    def __len__(self) -> int:
        return len(self.rows_K)

    def first(self, budget: int) -> Picks:
        """The best `budget` of them: what a nested selector would have chosen with that budget."""
        return Picks(self.rows_K[:budget], self.gains_K[:budget], self.reasons_K[:budget], self.notes)

    def mapped(self, rows_N: np.ndarray) -> Picks:
        """The same picks where pool row i is row `rows_N[i]` of something larger."""
        return Picks(np.asarray(rows_N)[self.rows_K], self.gains_K, self.reasons_K, self.notes)


def picked(rows: object, gains: object, reason: str | np.ndarray, *notes: str) -> Picks:
    rows_K = np.asarray(rows, dtype=np.int64).reshape(-1)
    reasons_K = np.full(len(rows_K), reason, dtype=object) if isinstance(reason, str) else reason
    return Picks(rows_K, np.asarray(gains, dtype=np.float64).reshape(-1), reasons_K, notes)


def take(pool: pl.DataFrame, picks: Picks) -> pl.DataFrame:
    """The chosen rows of the pool in rank order, with columns `rank` (from 1), `gain` and `why`."""
    return pool[picks.rows_K].with_columns(
        pl.Series("rank", np.arange(1, len(picks) + 1)),
        pl.Series("gain", picks.gains_K),
        pl.Series("why", picks.reasons_K.tolist(), dtype=pl.String),
    )


def best_first(scores_N: np.ndarray) -> np.ndarray:
    """Row numbers from the highest score to the lowest; equal scores in row order."""
    return np.argsort(-np.asarray(scores_N, dtype=np.float64), kind="stable")


def settled(gains: np.ndarray) -> np.ndarray:
    """Gains without the last bits, in which equal rows differ with their place in a matrix product: ties stay ties."""
    return np.round(np.asarray(gains, dtype=np.float64), 9)


def lengths(features_ND: np.ndarray) -> np.ndarray:
    """Euclidean length of each row, float64; a pass in blocks, so a memory-mapped pool is never read whole."""
    lengths_N = np.empty(len(features_ND))
    step = max(1, BLOCK // max(1, features_ND.shape[1]))
    for start in range(0, len(features_ND), step):
        block_BD = np.asarray(features_ND[start : start + step], dtype=np.float64)
        lengths_N[start : start + step] = np.sqrt((block_BD * block_BD).sum(axis=1))
    return lengths_N


def unusable(features_ND: np.ndarray | None = None, scores_N: np.ndarray | None = None) -> np.ndarray:
    """For each row, why no selector can compare it: `not_finite_vector`, `zero_vector`, `not_finite_score`, or ""."""
    size = len(features_ND) if features_ND is not None else len(scores_N) if scores_N is not None else 0
    reasons_N = np.full(size, "", dtype=object)
    if scores_N is not None:
        reasons_N[~np.isfinite(np.asarray(scores_N, dtype=np.float64))] = "not_finite_score"
    if features_ND is not None:
        lengths_N = lengths(features_ND)
        reasons_N[lengths_N == 0] = "zero_vector"
        reasons_N[~np.isfinite(lengths_N)] = "not_finite_vector"
    return reasons_N


def check(*, features_ND: np.ndarray | None = None, scores_N: np.ndarray | None = None, budget: int | None = None) -> None:
    """Refuse what cannot be selected from, all faults at once.

    Raises:
        ValueError: for a negative budget, tables that do not fit one another, and rows that cannot be compared.
    """
    faults = []
    if budget is not None and budget < 0:
        faults.append(f"budget={budget}: expected 0 or more")
    if features_ND is not None and features_ND.ndim != 2:
        faults.append(f"features of shape {features_ND.shape}: expected one row per pool row (n, d)")
    elif features_ND is not None and scores_N is not None and len(features_ND) != len(scores_N):
        faults.append(f"{len(scores_N)} scores for {len(features_ND)} vectors: expected one each; join them by id first")
    if not faults:
        reasons_N = unusable(features_ND, scores_N)
        for reason in sorted(set(reasons_N) - {""}):
            rows = np.flatnonzero(reasons_N == reason)
            shown = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
            faults.append(f"{reason} in {len(rows)} rows ({shown}): drop them first, `picks.unusable` names them")
    if faults:
        raise ValueError("; ".join(faults))


def shortfall(found: int, budget: int | None, why: str) -> tuple[str, ...]:
    """Warn if the budget was not reached. Returns the warning as a note for the picks."""
    if budget is None or found >= budget:
        return ()
    note = f"{found} of {budget} rows chosen: {why}"
    warnings.warn(note, Shortfall, stacklevel=3)
    return (note,)
