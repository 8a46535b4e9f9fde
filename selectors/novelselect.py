"""NovelSelect and NovelSum: diversity that counts how near the nearest are and how dense the place is.

Yang et al., "Measuring Data Diversity for Instruction Tuning: A Systematic Analysis and A Reliable Metric",
arXiv:2502.17184, sections 4 and 6, with the formulas of the authors' code. Density is σ = 1 / √(mean squared L2
distance to the 10 nearest others + 1e-9); the paper says distance, faiss returns its square, and the code is
followed.

- Metric: the mean over x of the weighted average of σ_x (1 - cos(x, y)) over all y of the set *with x itself*, in
  rising order, weights 1/rank. So the nearest other weighs ½.
- Selection: a random first row, then again and again the row with the largest Σ_r d_(r) / r, where the d are
  (1 - cos(x, s)) (σ_x + σ_s) over the rows s taken, in rising order. As in theirs a row may not be taken twice
  (theirs cannot prevent it: a row taken has a distance of 0 to itself, which merely makes it unlikely).
- Theirs recomputes and sorts everything at each step. Here a step adds at most d/t to a sum (t rows taken, d the
  distance to the newest), so the old sum plus that is an upper bound and few rows need sorting: exact, with O(n)
  memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .near import Neighbours, neighbours, scaled
from .picks import BLOCK, Picks, Progress, check, lengths, picked, settled

NEAREST = 10


def novelselect(
    features_ND: np.ndarray,
    budget: int,
    rng: np.random.Generator,
    *,
    densities_N: np.ndarray | None = None,
    scores_N: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Picks:
    """Rows in greedy order; gains are mean weighted distances to the rows taken before (the first has 0).

    Densities are of the pool itself unless given. With `scores_N`, the distance is multiplied by the score: the
    authors' suggestion for quality.
    """
    check(features_ND=features_ND, scores_N=scores_N, budget=budget)
    limit = min(budget, len(features_ND))
    if limit == 0:
        return picked([], [], "farthest, the near and the dense weighing most")
    densities_N = density(features_ND, features_ND) if densities_N is None else densities_N
    state = _Sums(features_ND, densities_N, np.ones(len(features_ND)) if scores_N is None else scores_N, limit)
    rows, gains = [int(rng.integers(len(features_ND)))], [0.0]
    while True:
        state.add(rows[-1])
        if progress:
            progress(len(rows), limit)
        if len(rows) == limit:
            return picked(rows, gains, "farthest, the near and the dense weighing most")
        row, total = state.best()
        rows.append(row)
        gains.append(total / (len(rows) - 1))


def novelsum(features_ND: np.ndarray, densities_N: np.ndarray, *, power: float = 1.0) -> float:
    """The diversity of a set; higher is more diverse. Densities come from a reference pool: `density(set, pool)`."""
    check(features_ND=features_ND, scores_N=densities_N)
    if not len(features_ND):
        return 0.0
    unit_ND = scaled(features_ND, lengths(features_ND), np.float64)
    weights_N = 1.0 / np.arange(1, len(unit_ND) + 1) ** power
    total, step = 0.0, max(1, BLOCK // len(unit_ND))
    for start in range(0, len(unit_ND), step):
        distance_BN = np.maximum(1.0 - unit_ND[start : start + step] @ unit_ND.T, 0.0)
        means_B = np.sort(distance_BN, axis=1) @ weights_N / weights_N.sum()
        total += float(densities_N[start : start + step] @ means_B)
    return total / len(unit_ND)


def density(
    features_ND: np.ndarray,
    reference_MD: np.ndarray,
    *,
    power: float = 0.5,
    find: Callable[[np.ndarray, np.ndarray, int], Neighbours] = neighbours,
) -> np.ndarray:
    """σ of each row within a reference pool, of which copies of one direction count once; the row itself does not.

    Copies have the same σ to the last bit, whatever block they fell into: else rounding and not the id would break their tie.
    Exact neighbours of a million rows take hours: `find=neighbours_in_cells` is the approximation for those.
    """
    distinct_MD = np.unique(scaled(reference_MD, lengths(reference_MD), np.float32).round(6), axis=0)
    unit_ND = scaled(features_ND, lengths(features_ND), np.float32).round(6)
    _, first_U, back_N = np.unique(unit_ND, axis=0, return_index=True, return_inverse=True)
    found = find(features_ND[first_U], distinct_MD, min(NEAREST + 1, len(distinct_MD)))
    squared_UK = np.maximum(2.0 - 2.0 * found.similarity_QK.astype(np.float64), 0.0)[:, 1:]
    mean_U = squared_UK.mean(axis=1) if squared_UK.shape[1] else np.ones(len(first_U))
    return (1.0 / (mean_U + 1e-9) ** power)[back_N]


class _Sums:
    """For each row an upper bound of Σ_r d_(r) / r over the rows taken, made exact where it matters."""

    def __init__(self, features_ND: np.ndarray, densities_N: np.ndarray, scores_N: np.ndarray, limit: int) -> None:
        self.unit_ND = scaled(features_ND, lengths(features_ND), np.float32)
        self.densities_N, self.scores_N = np.asarray(densities_N, float), np.asarray(scores_N, float)
        self.taken_KD = np.empty((limit, features_ND.shape[1]))
        self.rows: list[int] = []
        self.bound_N, self.open_N = np.zeros(len(features_ND)), np.ones(len(features_ND), dtype=bool)

    def add(self, row: int) -> None:
        self.taken_KD[len(self.rows)] = self.unit_ND[row]
        self.rows.append(row)
        self.open_N[row] = False
        newest_N = np.maximum(1.0 - self.unit_ND @ self.unit_ND[row], 0.0) + 1e-5  # above what float32 can have lost
        self.bound_N += self.scores_N * newest_N * (self.densities_N + self.densities_N[row]) / len(self.rows)

    def best(self) -> tuple[int, float]:
        """The open row of the largest sum, ties to the lower row, and that sum."""
        bound_N = np.where(self.open_N, self.bound_N, -np.inf)
        row, best, width, exact_N = -1, -np.inf, 16, np.zeros(len(bound_N), dtype=bool)
        while True:
            waiting = np.flatnonzero((bound_N >= best) & ~exact_N & self.open_N)
            if not len(waiting):
                return row, best
            if len(waiting) > width:
                waiting = np.sort(waiting[np.argpartition(-bound_N[waiting], width - 1)[:width]])
            sums_B = self._exact(waiting)
            self.bound_N[waiting] = bound_N[waiting] = sums_B
            exact_N[waiting] = True
            first = int(sums_B.argmax())
            if sums_B[first] > best or (sums_B[first] == best and waiting[first] < row):
                row, best = int(waiting[first]), float(sums_B[first])
            width = min(4 * width, 1024)

    def _exact(self, rows_B: np.ndarray) -> np.ndarray:
        count = len(self.rows)
        distance_BK = np.maximum(1.0 - self.unit_ND[rows_B].astype(np.float64) @ self.taken_KD[:count].T, 0.0)
        distance_BK *= self.densities_N[rows_B, None] + self.densities_N[self.rows]
        distance_BK.sort(axis=1)
        return settled(self.scores_N[rows_B] * (distance_BK @ (1.0 / np.arange(1, count + 1))))
