"""Facility location, alone and blended with quality (QDIT): choose rows that between them are near every row.

f(S) = Σ_{i ∈ V} max_{j ∈ S} s_ij, monotone submodular, so greedy is within 1 - 1/e of the best (Nemhauser et al. 1978).
QDIT: Bukharin et al., "Data Diversity Matters for Robust Instruction Tuning", arXiv:2311.14736, section 3: greedy on
(1 - α) (f(S ∪ a) - f(S)) + α q(a).

- Similarity is the cosine, and 0 where it is negative: a row that points away represents nobody, and f stays monotone.
- The paper does not say how the two terms are scaled. Here f is divided by |V|, and quality is scaled to [0, 1].
- Similarities are computed as they are needed, never stored: lazy greedy looks at few columns, many at a time. For
  pools beyond about 50,000 rows give `represented_VD`, a sample of the rows to be represented, or use the sparse form.
"""

from __future__ import annotations

import numpy as np

from .greedy import lazy_greedy
from .near import Neighbours, scaled
from .picks import Picks, Progress, check, lengths

BLOCK_ROWS = 4096
LARGE = 1 << 27  # numbers: beyond 1 GiB the represented rows are held in float32, and ties may break on its rounding


def facility_location(
    features_ND: np.ndarray,
    budget: int,
    *,
    represented_VD: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Picks:
    """Greedy facility location. Gains are means over the represented rows: they add up to f(S) / |V|.

    O(n v d) for the first look at every row, O(v d) for each further one.
    """
    scores_N = np.zeros(len(features_ND))
    return qdit(features_ND, scores_N, budget, weight_of_score=0.0, represented_VD=represented_VD, progress=progress)


def qdit(
    features_ND: np.ndarray,
    scores_N: np.ndarray,
    budget: int,
    *,
    weight_of_score: float = 0.7,
    represented_VD: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Picks:
    """Quality-blended facility location; a gain is (1 - α) · mean gain in similarity + α · quality in [0, 1]."""
    check(features_ND=features_ND, scores_N=scores_N, budget=budget)
    quality_N = weight_of_score * _in_unit_range(scores_N, weight_of_score)
    cover = _Cover(features_ND, features_ND if represented_VD is None else represented_VD)
    weight = 1.0 - weight_of_score

    def gains_of(rows_B: np.ndarray) -> np.ndarray:
        return weight * cover.gains(rows_B) + quality_N[rows_B]

    bounds_N = np.empty(len(features_ND))
    for start in range(0, len(bounds_N), 512):
        rows_B = np.arange(start, min(start + 512, len(bounds_N)))
        bounds_N[rows_B] = gains_of(rows_B)
        if progress:
            progress(start, len(bounds_N))
    reason = "represents most of what is not yet represented" if weight_of_score == 0 else "represents much, of quality"
    return lazy_greedy(bounds_N, gains_of, cover.add, budget, reason=reason, progress=progress)


def facility_location_sparse(near: Neighbours, budget: int, *, progress: Progress | None = None) -> Picks:
    """Facility location where row i is represented only by itself (1) and its given neighbours: O(n k) memory.

    Exact for that kernel. `near` comes from `near.neighbours(..., skip_self=True)`, or from `neighbours_in_cells`.
    """
    size, k = near.rows_QK.shape
    real = near.rows_QK.reshape(-1) >= 0
    represented = np.concatenate([np.arange(size), np.repeat(np.arange(size), k)[real]])
    by = np.concatenate([np.arange(size), near.rows_QK.reshape(-1)[real]])
    value = np.concatenate([np.ones(size), np.clip(near.similarity_QK.reshape(-1)[real].astype(np.float64), 0, 1)])
    order = np.lexsort((represented, by))
    represented, value = represented[order], value[order]
    starts_N = np.searchsorted(by[order], np.arange(size + 1))
    cover_N = np.zeros(size)

    def gains_of(rows_B: np.ndarray) -> np.ndarray:
        parts = [slice(starts_N[row], starts_N[row + 1]) for row in rows_B]
        return np.array([np.maximum(value[p] - cover_N[represented[p]], 0).sum() for p in parts]) / max(size, 1)

    def accept(row: int) -> None:
        part = slice(starts_N[row], starts_N[row + 1])
        cover_N[represented[part]] = np.maximum(cover_N[represented[part]], value[part])

    bounds_N = np.bincount(by[order], weights=value, minlength=size) / max(size, 1)
    reason = "represents most of what is not yet represented"
    return lazy_greedy(bounds_N, gains_of, accept, budget, reason=reason, progress=progress)


def coverage(features_ND: np.ndarray, rows_K: np.ndarray) -> float:
    """f(S) / |V|: how well the rows represent the pool, from 0 to 1."""
    cover = _Cover(features_ND, features_ND)
    for row in rows_K:
        cover.add(int(row))
    return float(cover.best_V.mean())


class _Cover:
    """How well each represented row is represented by the rows chosen so far."""

    def __init__(self, features_ND: np.ndarray, represented_VD: np.ndarray) -> None:
        check(features_ND=represented_VD)
        self.features_ND, self.lengths_N = features_ND, lengths(features_ND)
        dtype = np.float64 if represented_VD.size <= LARGE else np.float32
        self.represented_VD = scaled(represented_VD, lengths(represented_VD), dtype)
        self.best_V = np.zeros(len(represented_VD))

    def gains(self, rows_B: np.ndarray) -> np.ndarray:
        """Mean rise of the represented rows' best similarity, for each candidate; float64 sums of float64 products."""
        unit_BD = scaled(self.features_ND[rows_B], self.lengths_N[rows_B], np.float64)
        gain_B = np.zeros(len(rows_B))
        for start in range(0, len(self.represented_VD), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            rise_PB = self.represented_VD[part].astype(np.float64, copy=False) @ unit_BD.T
            rise_PB -= self.best_V[part, None]
            gain_B += np.maximum(rise_PB, 0.0, out=rise_PB).sum(axis=0)
        return gain_B / max(len(self.best_V), 1)

    def add(self, row: int) -> None:
        unit_D = self.features_ND[row].astype(np.float64) / self.lengths_N[row]
        for start in range(0, len(self.represented_VD), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            near_P = self.represented_VD[part].astype(np.float64, copy=False) @ unit_D
            self.best_V[part] = np.maximum(self.best_V[part], near_P)


def _in_unit_range(scores_N: np.ndarray, weight: float) -> np.ndarray:
    if not 0 <= weight <= 1:
        raise ValueError(f"weight_of_score={weight}: expected 0 (representation alone) to 1 (quality alone)")
    scores_N = np.asarray(scores_N, dtype=np.float64)
    spread = np.ptp(scores_N) if len(scores_N) else 0.0
    return (scores_N - scores_N.min()) / spread if spread > 0 else np.zeros(len(scores_N))
