"""Determinantal point processes: sets of rows that are good and unlike one another, the likeliest one or a drawn one.

L = diag(q) S diag(q) with S the cosines: log det L[T, T] = Σ 2 log q + log det S[T, T].
- `dpp_map`: greedy maximum, after Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process",
  arXiv:1709.05135, algorithm 1. Deviation: L has linear features, so the Cholesky rows are kept as directions in
  feature space: O(n d) a step and O(n) memory, where theirs needs O(n k).
- `dpp_sample`: Kulesza and Taskar, "k-DPPs: Fixed-Size Determinantal Point Processes", ICML 2011: P(T) is proportional
  to det L[T, T]. The work is done in the dual, C = Bᵀ B: O(n d²), never n².

Both give at most rank(features) rows: this is for choosing 4 of 32 candidates or a few hundred rows.
"""

from __future__ import annotations

import numpy as np

from .near import scaled
from .picks import Picks, Progress, check, lengths, picked, settled

FLAT = 1e-9  # a row whose unexplained share is below this adds no volume


def dpp_map(
    features_ND: np.ndarray, budget: int, *, quality_N: np.ndarray | None = None, progress: Progress | None = None
) -> Picks:
    """Greedy most probable set; gains are log det ratios in nats, and never rise.

    Raises:
        ValueError: for a quality that is not above zero, and for a budget beyond what the features span.
    """
    weighted_ND = _weighted(features_ND, quality_N, budget)
    whole_N = (weighted_ND * weighted_ND).sum(axis=1)
    left_N, spanned_KD = whole_N.copy(), np.zeros((budget, weighted_ND.shape[1]))
    rows, gains = np.empty(budget, dtype=np.int64), np.empty(budget)
    for k in range(budget):
        volume_N = np.where(left_N > FLAT * whole_N, settled(np.log(np.maximum(left_N, 1e-300))), -np.inf)
        volume_N[rows[:k]] = -np.inf
        row = int(np.argmax(volume_N)) if len(volume_N) else 0
        if not len(volume_N) or volume_N[row] == -np.inf:
            raise ValueError(_beyond_rank(budget, k))
        rows[k], gains[k] = row, volume_N[row]
        rest_D = weighted_ND[row].copy()
        for _ in range(2):  # twice is enough (Kahan): once leaves a trace of the directions spanned before
            rest_D -= spanned_KD[:k].T @ (spanned_KD[:k] @ rest_D)
        spanned_KD[k] = rest_D / np.linalg.norm(rest_D)
        left_N -= (weighted_ND @ spanned_KD[k]) ** 2
        if progress:
            progress(k + 1, budget)
    return picked(rows, gains, "most volume beside the rows taken")


def dpp_sample(features_ND: np.ndarray, budget: int, rng: np.random.Generator, *, quality_N: np.ndarray | None = None) -> Picks:
    """Draw `budget` distinct rows from a k-DPP, in order drawn; a gain is the log of the row's chance in its draw."""
    weighted_ND = _weighted(features_ND, quality_N, budget)
    values_D, vectors_DD = np.linalg.eigh(weighted_ND.T @ weighted_ND)
    live_D = values_D > 1e-10 * max(values_D[-1], 1e-300)
    if budget > live_D.sum():
        raise ValueError(_beyond_rank(budget, int(live_D.sum())))
    values_D, vectors_DD = values_D[live_D], vectors_DD[:, live_D]
    directions = _directions(values_D, budget, rng)
    basis_NK = weighted_ND @ vectors_DD[:, directions] / np.sqrt(values_D[directions])

    left_N = (basis_NK**2).sum(axis=1)  # how much of each row the picks so far leave unexplained
    rows: list[int] = []
    gains: list[float] = []
    spent_KN = np.zeros((budget, len(left_N)))
    for i in range(budget):
        share_N = left_N / left_N.sum()
        row = int(rng.choice(len(left_N), p=share_N))
        spent_KN[i] = (basis_NK @ basis_NK[row] - spent_KN[:i, row] @ spent_KN[:i]) / np.sqrt(left_N[row])
        left_N = np.maximum(left_N - spent_KN[i] ** 2, 0.0)
        left_N[[*rows, row]] = 0.0
        rows.append(row)
        gains.append(float(np.log(share_N[row])))
    return picked(rows, gains, "drawn: probability grows with quality and unlikeness")


def _directions(values_D: np.ndarray, k: int, rng: np.random.Generator) -> list[int]:
    """Draw k eigenvectors, each k-subset in proportion to the product of its eigenvalues."""
    logs_D = np.log(values_D)  # in logs: on 100,000 rows the sums overflow before k = 100
    sums = np.full((k + 1, len(logs_D) + 1), -np.inf)  # [j, i]: symmetric polynomial of degree j in the first i
    sums[0] = 0.0
    for i, log in enumerate(logs_D):
        sums[1:, i + 1] = np.logaddexp(sums[1:, i], log + sums[:-1, i])
    chosen: list[int] = []
    for i in reversed(range(len(logs_D))):
        j = k - len(chosen)
        if j and rng.random() < np.exp(logs_D[i] + sums[j - 1, i] - sums[j, i + 1]):
            chosen.append(i)
    return chosen


def _weighted(features_ND: np.ndarray, quality_N: np.ndarray | None, budget: int) -> np.ndarray:
    check(features_ND=features_ND, scores_N=quality_N, budget=budget)
    unit_ND = scaled(features_ND, lengths(features_ND), np.float64)
    if quality_N is None:
        return unit_ND
    if (np.asarray(quality_N) <= 0).any():
        rows = np.flatnonzero(np.asarray(quality_N) <= 0)
        raise ValueError(f"quality of row {rows[0]} is {quality_N[rows[0]]}: expected above 0; exp(score) always is")
    return unit_ND * np.asarray(quality_N, dtype=np.float64)[:, None]


def _beyond_rank(budget: int, rank: int) -> str:
    return (
        f"budget={budget} rows from features that span {rank} directions: a DPP gives at most that many; "
        "choose cluster by cluster (`quotas.within`), or give it wider features"
    )
