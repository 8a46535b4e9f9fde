"""k-center greedy, or farthest first: take again and again the row farthest from all rows taken.

Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985: the radius is at most twice the best. Used
for core-sets by Sener and Savarese, arXiv:1708.00489. It ignores quality and loves outliers: filter first.

- Distance is 1 - cosine. Under it the factor of 2 holds for the Euclidean distance of unit rows, which orders alike.
- The first row is the one farthest from the mean direction, so that the result does not depend on chance.
- Distances to the nearest taken row only fall, so stale ones are upper bounds and the lazy greedy loop applies.
"""

from __future__ import annotations

import numpy as np

from .greedy import lazy_greedy
from .near import scaled
from .picks import BLOCK, Picks, Progress, check, lengths


def k_center(features_ND: np.ndarray, budget: int, *, progress: Progress | None = None) -> Picks:
    """Rows farthest first; gains are the distance (1 - cosine) to the nearest row taken before, of the first row 2.

    O(n k d) at worst; memory beside the pool is k d numbers.
    """
    check(features_ND=features_ND, budget=budget)
    lengths_N = lengths(features_ND)
    limit = min(budget, len(features_ND))
    taken_KD = np.empty((limit, features_ND.shape[1]))
    nearest_N = np.full(len(features_ND), 2.0)
    seen_N = np.zeros(len(features_ND), dtype=np.int64)  # how many of the taken rows each row was compared with
    size = 0

    def unit(rows_B: np.ndarray) -> np.ndarray:
        return scaled(features_ND[rows_B], lengths_N[rows_B], np.float64)

    def gains_of(rows_B: np.ndarray) -> np.ndarray:
        first = int(seen_N[rows_B].min())
        if first < size:
            distance_BK = 1.0 - unit(rows_B) @ taken_KD[first:size].T
            nearest_N[rows_B] = np.maximum(np.minimum(nearest_N[rows_B], distance_BK.min(axis=1)), 0.0)
        seen_N[rows_B] = size
        return nearest_N[rows_B]

    def accept(row: int) -> None:
        nonlocal size
        taken_KD[size] = unit(np.array([row]))[0]
        size += 1

    if limit == 0:
        return lazy_greedy(np.empty(0), gains_of, accept, 0, reason="farthest from all taken")
    first_row = _outermost(features_ND, lengths_N)
    bounds_N = np.full(len(features_ND), 2.0)
    bounds_N[first_row] = nearest_N[first_row] = 3.0  # before any other
    picks = lazy_greedy(bounds_N, gains_of, accept, limit, reason="farthest from all taken", batch=512, progress=progress)
    picks.gains_K[0] = 2.0
    return picks


def radius(features_ND: np.ndarray, rows_K: np.ndarray) -> float:
    """The largest distance (1 - cosine) of any row from the nearest chosen one."""
    lengths_N = lengths(features_ND)
    chosen_KD = scaled(features_ND[rows_K], lengths_N[rows_K], np.float64)
    step = max(1, BLOCK // max(1, len(rows_K)))
    parts = (slice(start, start + step) for start in range(0, len(features_ND), step))
    return max(float((1 - scaled(features_ND[p], lengths_N[p], np.float64) @ chosen_KD.T).min(axis=1).max()) for p in parts)


def _outermost(features_ND: np.ndarray, lengths_N: np.ndarray) -> int:
    step = max(1, BLOCK // max(1, features_ND.shape[1]))
    parts = [slice(start, start + step) for start in range(0, len(features_ND), step)]
    mean_D = sum((scaled(features_ND[p], lengths_N[p], np.float64).sum(axis=0) for p in parts), np.zeros(1))
    toward_N = np.concatenate([scaled(features_ND[p], lengths_N[p], np.float64) @ mean_D for p in parts])
    return int(np.argmin(np.round(toward_N / max(float(np.linalg.norm(mean_D)), 1e-12), 9)))
