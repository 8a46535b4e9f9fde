"""Walk rows in order and keep each that is not too like a row already kept: what Deita and de-duplication share.

Exact for any block size and any number of threads. Most pairs are judged by a *shadow*: the first p coordinates of each
row on the pool's main axes, and the length of what is left. By Cauchy and Schwarz the dot product of two shadows is
never below the cosine, so a pair whose shadows stay under the ceiling is under it. The few others are looked at whole,
and in float64 (`near.cosines`) where float32 cannot tell: so the outcome depends on the pair alone. Where shadows would
not pay (small pools, no main axes) the shadow is the whole row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .near import cosines, doubt, scaled
from .picks import BLOCK, Progress, lengths

CHUNK = 8192  # kept rows compared with a block at once: bounds memory, and lets rejected rows leave early
SMALL = 20_000  # walks shorter than this are not worth a projection
LOOK = 4000.0  # what a look at a whole pair costs, in products of 64 coordinates; measured on one core


@dataclass(frozen=True, eq=False)
class Walk:
    """Which rows were kept, in order; and for every row of the pool which kept row rejected it."""

    kept_K: np.ndarray  # row numbers, in the order of the walk
    like_N: np.ndarray  # for a rejected row the kept row that it resembles; -1 where kept or not visited


def walk(
    features_ND: np.ndarray,
    order_V: np.ndarray,
    ceiling: float,
    *,
    limit: int | None = None,
    kept: int = 0,
    block: int = 512,
    progress: Progress | None = None,
) -> Walk:
    """Keep the rows of `order_V`, in order, whose cosine to every row kept before is at most `ceiling`.

    The first `kept` of the order are kept unseen (rows that are published already). O(v k p) for v rows visited.
    """
    if not -1 <= ceiling <= 1:
        raise ValueError(f"ceiling={ceiling}: expected a cosine similarity, from -1 to 1")
    limit = len(order_V) if limit is None else min(limit, len(order_V))
    state = _State(features_ND, ceiling, len(order_V), limit)
    if ceiling == 1:  # no cosine is above it
        return Walk(order_V[:limit], state.like_N)
    for start in range(0, kept, 4096):
        rows_B = order_V[start : min(start + 4096, kept)]
        state.keep(rows_B, state.shadows(rows_B))
    for start in range(kept, len(order_V), block):
        if state.size >= limit:
            break
        state.visit(order_V[start : start + block])
        if progress:
            progress(max(state.size, min(start + block, len(order_V)) if limit == len(order_V) else 0), limit)
    return Walk(state.kept_K[: state.size], state.like_N)


class _State:
    """The rows kept so far and their shadows, which candidates are compared with."""

    def __init__(self, features_ND: np.ndarray, ceiling: float, visits: int, limit: int) -> None:
        self.features_ND, self.lengths_N, self.ceiling, self.limit = features_ND, lengths(features_ND), ceiling, limit
        self.size, self.kept_K = 0, np.empty(limit, dtype=np.int64)
        self.like_N = np.full(len(features_ND), -1, dtype=np.int64)
        self.axes_DP = _axes(features_ND, self.lengths_N, ceiling) if min(visits, 2 * limit) > SMALL else None
        width = features_ND.shape[1] if self.axes_DP is None else self.axes_DP.shape[1] + 1
        self.margin = doubt(features_ND.shape[1])
        self.shadow_KP = np.empty((min(limit, 1024), width), dtype=np.float32)

    def shadows(self, rows_B: np.ndarray) -> np.ndarray:
        unit_BD = self._unit(rows_B)
        return unit_BD if self.axes_DP is None else shadows(unit_BD, self.axes_DP)

    def too_like(self, left_M: np.ndarray, right_M: np.ndarray) -> np.ndarray:
        """Pair by pair, whether the cosine is above the ceiling: by `near.cosines` where float32 leaves it in doubt."""
        like_M = np.empty(len(left_M), dtype=bool)
        step = max(1, BLOCK // self.features_ND.shape[1])
        for start in range(0, len(left_M), step):
            left, right = left_M[start : start + step], right_M[start : start + step]
            near = np.einsum("md,md->m", self._unit(left), self._unit(right))
            like = near > self.ceiling
            for i in np.flatnonzero(np.abs(near - self.ceiling) <= self.margin):
                exact_2D = self._unit(np.array([left[i], right[i]]), np.float64)
                like[i] = cosines(exact_2D[0], exact_2D[1:])[0] > self.ceiling
            like_M[start : start + step] = like
        return like_M

    def _unit(self, rows_B: np.ndarray, dtype: type = np.float32) -> np.ndarray:
        return scaled(self.features_ND[rows_B], self.lengths_N[rows_B], dtype)

    def keep(self, rows_B: np.ndarray, shadow_BP: np.ndarray) -> None:
        end = self.size + len(rows_B)
        if end > len(self.shadow_KP):  # doubled as it fills: a limit of a million may meet a thousand rows
            grown_KP = np.empty((min(self.limit, max(end, 2 * self.size)), self.shadow_KP.shape[1]), dtype=np.float32)
            grown_KP[: self.size] = self.shadow_KP[: self.size]
            self.shadow_KP = grown_KP
        self.kept_K[self.size : end], self.shadow_KP[self.size : end] = rows_B, shadow_BP
        self.size = end

    def visit(self, rows_B: np.ndarray) -> None:
        """Keep from one block of candidates what stays under the ceiling."""
        shadow_BP = self.shadows(rows_B)
        live = np.arange(len(rows_B))
        for start in range(0, self.size, CHUNK):  # against the rows kept before this block
            near_LC = shadow_BP[live] @ self.shadow_KP[start : min(start + CHUNK, self.size)].T
            like_L = self._rejected_by(rows_B[live], near_LC, self.kept_K[start : start + CHUNK])
            self.like_N[rows_B[live]] = like_L
            live = live[like_L < 0]
        rows_L, shadow_LP = rows_B[live], shadow_BP[live]
        above_LL = self._above(rows_L, shadow_LP)
        open_L = np.ones(len(live), dtype=bool)
        chosen: list[int] = []
        for i in range(len(live)):  # within the block: only rows that were kept reject
            if not open_L[i]:
                continue
            chosen.append(i)
            if self.size + len(chosen) == self.limit:
                break
            rejected_L = open_L & above_LL[i]
            rejected_L[: i + 1] = False
            self.like_N[rows_L[rejected_L]] = rows_L[i]
            open_L &= ~rejected_L
        self.keep(rows_L[chosen], shadow_LP[chosen])

    def _rejected_by(self, rows_L: np.ndarray, near_LC: np.ndarray, kept_C: np.ndarray) -> np.ndarray:
        """For each candidate a kept row that is too like it, or -1: the likeliest first, then all in doubt."""
        like_L = np.full(len(rows_L), -1, dtype=np.int64)
        column_L = near_LC.argmax(axis=1)
        nearest_L = near_LC[np.arange(len(rows_L)), column_L]
        suspect = np.flatnonzero(nearest_L > self.ceiling - self.margin)
        sure = self._sure(nearest_L[suspect])
        sure[~sure] = self.too_like(rows_L[suspect[~sure]], kept_C[column_L[suspect[~sure]]])
        like_L[suspect[sure]] = kept_C[column_L[suspect[sure]]]
        suspect = suspect[~sure]
        at, column = np.nonzero(near_LC[suspect] > self.ceiling - self.margin)
        above = self.too_like(rows_L[suspect[at]], kept_C[column])
        found, first = np.unique(at[above], return_index=True)
        like_L[suspect[found]] = kept_C[column[above][first]]
        return like_L

    def _above(self, rows_L: np.ndarray, shadow_LP: np.ndarray) -> np.ndarray:
        """Which pairs of a block are more alike than the ceiling allows (upper triangle)."""
        near_LL = np.triu(shadow_LP @ shadow_LP.T, 1)
        above_LL = np.triu(self._sure(near_LL), 1)
        left, right = np.nonzero(np.triu(near_LL > self.ceiling - self.margin, 1) & ~above_LL)
        above_LL[left, right] = self.too_like(rows_L[left], rows_L[right])
        return above_LL

    def _sure(self, near: np.ndarray) -> np.ndarray:
        """Where a product of shadows proves that the cosine is above: only if the shadows are the whole rows."""
        return near > (self.ceiling + self.margin if self.axes_DP is None else np.inf)


def shadows(unit_BD: np.ndarray, axes_DP: np.ndarray) -> np.ndarray:
    """Coordinates on the axes, and the length of the rest: dot products of shadows are at least the cosines."""
    on_BP = unit_BD @ axes_DP
    rest_B = np.sqrt(np.maximum(1.0 - (on_BP.astype(np.float64) ** 2).sum(axis=1), 0.0) + doubt(len(axes_DP)))
    return np.column_stack([on_BP, rest_B.astype(np.float32)])


def _axes(features_ND: np.ndarray, lengths_N: np.ndarray, ceiling: float) -> np.ndarray | None:
    """The main axes of a sample of the pool: as many as make a walk cheapest, None if whole rows are."""
    sample = np.linspace(0, len(features_ND) - 1, 1024).astype(np.int64)
    unit_SD = scaled(features_ND[sample], lengths_N[sample], np.float64)
    _, _, axes_PD = np.linalg.svd(unit_SD, full_matrices=False)
    tests_TD = unit_SD[1::2].astype(np.float32)
    pairs = np.triu_indices(len(tests_TD), 1)
    best, cost = None, 0.6 * unit_SD.shape[1] / 64
    for width in (15, 31, 63, 127, 255):
        if width + 1 >= unit_SD.shape[1]:
            break
        axes_DP = np.ascontiguousarray(axes_PD[:width].T, dtype=np.float32)
        shadow_TP = shadows(tests_TD, axes_DP)
        suspects = float(((shadow_TP @ shadow_TP.T)[pairs] > ceiling).mean())
        if (spent := (width + 1) / 64 + suspects * LOOK) < cost:
            best, cost = axes_DP, spent
    return best
