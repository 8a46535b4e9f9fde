"""Deita's Repr Filter: the best-scored rows, none of which resembles a better one too closely.

Liu et al., "What Makes Good Data for Alignment?", arXiv:2312.15685, section 2.4: walk the pool from the best score down
and take a row if its greatest cosine similarity to the rows already taken does not exceed the ceiling (0.9).

- The paper prints "distance < τ"; its code and its authors mean similarity, and reject when strictly above.
- Result is that of the authors' loop with batch_size 1. Larger batches of theirs reject rows for resembling rejected
  rows; blocks here do not, for any block size.
- Equal scores go by row number (theirs: an unstable sort). Rows without a direction and scores that are not numbers are
  refused (theirs: always accepted, for NaN > τ is false).
- A short result warns (theirs: silent); `deita_relaxed` raises the ceiling until the budget is met, and says so.
- Similarities are computed in float32, and again in float64 where float32 cannot tell: exact for any block size and
  number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .near import cosines, doubt, scaled
from .picks import Picks, Progress, best_first, check, lengths, picked, shortfall

CHUNK = 8192  # accepted rows compared with a block at once: bounds memory, and lets rejected rows leave early

TurnReduction = Literal["sum", "mean", "max", "first"]


def deita(
    features_ND: np.ndarray,
    scores_N: np.ndarray,
    budget: int | None,
    *,
    ceiling: float = 0.9,
    block: int = 512,
    progress: Progress | None = None,
) -> Picks:
    """Rows best first under a ceiling of similarity; gains are the scores. `budget=None` is no limit.

    O(v k d) for v rows visited and k taken; memory beside the pool is k d numbers and a block.
    """
    check(features_ND=features_ND, scores_N=scores_N, budget=budget)
    rows_K = _best_under(features_ND, scores_N, budget, ceiling, block, progress)
    why = f"no other of {len(scores_N)} rows stays under the ceiling of {ceiling}; raise it, or use `deita_relaxed`"
    return _as_picks(rows_K, scores_N, *shortfall(len(rows_K), budget, why))


def deita_relaxed(
    features_ND: np.ndarray,
    scores_N: np.ndarray,
    budget: int,
    *,
    ceiling: float = 0.9,
    step: float = 0.01,
    progress: Progress | None = None,
) -> Picks:
    """`deita` under the first ceiling of `ceiling`, `ceiling + step`, … 1 that meets the budget; a note says which."""
    if not step > 0:
        raise ValueError(f"step={step}: expected above 0, by how much the ceiling rises at a time")
    check(features_ND=features_ND, scores_N=scores_N, budget=budget)
    wanted = min(budget, len(features_ND))
    for tried in [*np.arange(ceiling, 1.0, step).tolist(), 1.0]:
        rows_K = _best_under(features_ND, scores_N, wanted, tried, 512, progress)
        if len(rows_K) == wanted:
            break
    raised = tried > ceiling
    return _as_picks(rows_K, scores_N, f"ceiling raised from {ceiling} to {tried:.6g} to find {wanted} rows" * raised)


def turn_scores(
    complexity: Sequence[Sequence[float]], quality: Sequence[Sequence[float]], reduction: TurnReduction = "sum"
) -> np.ndarray:
    """One score per conversation: complexity times quality of each turn, then the paper's sum over turns, or another.

    The sum favours long conversations, which the authors intend; `mean` is MIG's choice.

    Raises:
        ValueError: where the two lists of a row differ in length or are empty (theirs broadcast [5, 2] × [5] to 35).
    """
    faults = [
        f"row {i}: {len(c)} complexities, {len(q)} qualities"
        for i, (c, q) in enumerate(zip(complexity, quality, strict=True))
        if len(c) != len(q) or not c
    ]
    if faults:
        raise ValueError("expected as many complexity as quality scores, one for each turn: " + "; ".join(faults[:5]))
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max, "first": lambda products: products[0]}[reduction]
    return np.array([reduce(np.multiply(c, q)) for c, q in zip(complexity, quality, strict=True)], dtype=np.float64)


def _as_picks(rows_K: np.ndarray, scores_N: np.ndarray, *notes: str) -> Picks:
    reason = "best score left under the ceiling"
    return picked(rows_K, np.asarray(scores_N, dtype=float)[rows_K], reason, *filter(None, notes))


def _best_under(
    features_ND: np.ndarray,
    scores_N: np.ndarray,
    budget: int | None,
    ceiling: float,
    block: int,
    progress: Progress | None,
) -> np.ndarray:
    if not -1 <= ceiling <= 1:
        raise ValueError(f"ceiling={ceiling}: expected a cosine similarity, from -1 to 1")
    order_N = best_first(scores_N)
    limit = len(order_N) if budget is None else min(budget, len(order_N))
    if ceiling == 1:  # no cosine is above it
        return order_N[:limit]
    lengths_N, taken = lengths(features_ND), _Taken(features_ND.shape[1], limit)
    for start in range(0, len(order_N), block):
        if taken.size == limit:
            break
        rows_B = order_N[start : start + block]
        exact_BD = scaled(features_ND[rows_B], lengths_N[rows_B], np.float64)
        _walk(taken, rows_B, exact_BD, features_ND, lengths_N, ceiling)
        if progress:
            progress(taken.size if budget is not None else min(start + block, len(order_N)), limit)
    return taken.rows_K[: taken.size]


class _Taken:
    """The rows taken so far, in rank order, as unit float32 rows that a block is compared with."""

    def __init__(self, dimensions: int, limit: int) -> None:
        self.size, self.limit = 0, limit
        self.rows_K = np.empty(limit, dtype=np.int64)
        self.unit_KD = np.empty((min(limit, 1024), dimensions), dtype=np.float32)

    def add(self, row: int, unit_D: np.ndarray) -> None:
        if self.size == len(self.unit_KD):  # doubled as it fills: a limit of a million may meet a thousand rows
            grown_KD = np.empty((min(self.limit, 2 * self.size), self.unit_KD.shape[1]), dtype=np.float32)
            grown_KD[: self.size] = self.unit_KD
            self.unit_KD = grown_KD
        self.rows_K[self.size], self.unit_KD[self.size] = row, unit_D
        self.size += 1


def _walk(
    taken: _Taken,
    rows_B: np.ndarray,
    exact_BD: np.ndarray,
    features_ND: np.ndarray,
    lengths_N: np.ndarray,
    ceiling: float,
) -> None:
    """Take from one block of candidates what stays under the ceiling."""
    margin = doubt(exact_BD.shape[1])
    unit_BD = exact_BD.astype(np.float32)
    live = np.arange(len(rows_B))
    for start in range(0, taken.size, CHUNK):  # against the rows taken before this block
        near_LC = unit_BD[live] @ taken.unit_KD[start : min(start + CHUNK, taken.size)].T
        nearest_L = near_LC.max(axis=1)
        out_L = nearest_L > ceiling + margin
        for i in np.flatnonzero(~out_L & (nearest_L > ceiling - margin)):
            unsure = taken.rows_K[start + np.flatnonzero(near_LC[i] > ceiling - margin)]
            others_MD = scaled(features_ND[unsure], lengths_N[unsure], np.float64)
            out_L[i] = cosines(exact_BD[live[i]], others_MD).max() > ceiling
        live = live[~out_L]
    above_LL = _above(unit_BD[live], exact_BD[live], ceiling, margin)
    open_L = np.ones(len(live), dtype=bool)
    for i, candidate in enumerate(live):  # within the block: only rows that were taken reject
        if not open_L[i]:
            continue
        taken.add(int(rows_B[candidate]), unit_BD[candidate])
        if taken.size == taken.limit:
            return
        open_L[i + 1 :] &= ~above_LL[i, i + 1 :]


def _above(unit_LD: np.ndarray, exact_LD: np.ndarray, ceiling: float, margin: float) -> np.ndarray:
    """Which pairs of a block are more alike than the ceiling allows."""
    near_LL = unit_LD @ unit_LD.T
    above_LL = near_LL > ceiling + margin
    for i in range(len(near_LL)):
        unsure = i + 1 + np.flatnonzero(np.abs(near_LL[i, i + 1 :] - ceiling) <= margin)
        if len(unsure):
            above_LL[i, unsure] = cosines(exact_LD[i], exact_LD[unsure]) > ceiling
    return above_LL
