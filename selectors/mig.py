"""MIG: maximise information gain over a graph of labels, weighted by quality.

Chen et al., "MIG: Automatic Data Selection for Instruction Tuning by Maximizing Information Gain in Semantic Space",
arXiv:2504.13835, section 3, with the formulas of the authors' code: a row with labels v and quality s carries s·v; it
spreads along edges (labels whose embeddings have a cosine of at least 0.9) by A, the columns of which sum to 1; and
E(S) = Σ_labels φ(Σ_{i ∈ S} e'_i) with φ(x) = x^0.8. Greedy takes the row of the largest first-order gain e'·φ'(now).

- φ' falls and e' is never negative, so gains only fall: lazy greedy gives the authors' order without their n × K
  matrix.
- Quality in the paper is Deita's complexity times quality, mean over turns: `deita.turn_scores(…, "mean")`.
- Rows without labels carry nothing and are never taken (theirs can be, on ties).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .greedy import lazy_greedy
from .near import unit
from .picks import Picks, Progress, check, shortfall

POWER = 0.8
START = 1e-6  # the authors' guard of φ' at 0


def mig(
    labels: Sequence[Sequence[int]],
    quality_N: np.ndarray,
    budget: int,
    *,
    label_vectors_TD: np.ndarray,
    least_similarity: float = 0.9,
    spread: float = 1.0,
    progress: Progress | None = None,
) -> Picks:
    """Rows in greedy order; gains are first-order gains of E.

    `labels[i]` are label numbers, rows of `label_vectors_TD`. `spread` is the paper's α: the weight of neighbours
    against a label itself. With `spread=0` labels are told apart entirely.
    """
    quality_N = np.asarray(quality_N, dtype=np.float64)
    check(scores_N=quality_N, budget=budget)
    _check_labels(labels, quality_N, len(label_vectors_TD))
    to, weight, starts_T = propagation(label_vectors_TD, least_similarity=least_similarity, spread=spread)
    carried = [_carried(sorted(set(mine)), q, to, weight, starts_T) for mine, q in zip(labels, quality_N, strict=True)]
    now_T = np.zeros(len(label_vectors_TD))

    def gains_of(rows_B: np.ndarray) -> np.ndarray:
        return np.array([(carried[row][1] * _slope(now_T[carried[row][0]])).sum() for row in rows_B])

    def accept(row: int) -> None:
        now_T[carried[row][0]] += carried[row][1]

    useful = [row for row, (_, amount) in enumerate(carried) if amount.sum() > 0]
    bounds_N = gains_of(np.arange(len(carried)))
    bounds_N[[row for row in range(len(carried)) if row not in set(useful)]] = -1.0
    reason = "adds most where labels are least covered"
    picks = lazy_greedy(bounds_N, gains_of, accept, min(budget, len(useful)), reason=reason, progress=progress)
    notes = shortfall(len(picks), min(budget, len(carried)), "the other rows have no labels, or a quality of 0")
    return Picks(picks.rows_K, picks.gains_K, picks.reasons_K, notes)


def propagation(
    label_vectors_TD: np.ndarray, *, least_similarity: float = 0.9, spread: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrix A by rows, sparse: (to, weight, starts); label p sends `weight` of what it gets to each of `to`.

    A = (diag(w) + spread · offdiag(w)) with each column divided by its sum; w_pq is the cosine where it is at least
    `least_similarity`, w_pp is 1.
    """
    vectors_TD = unit(label_vectors_TD)
    to, weight, counts = [], [], []
    for start in range(0, len(vectors_TD), 1024):
        near_BT = (vectors_TD[start : start + 1024] @ vectors_TD.T).astype(np.float64)
        for i, near_T in enumerate(near_BT):
            edges_T = np.where(near_T >= least_similarity, spread * near_T, 0.0)
            edges_T[start + i] = 1.0
            others = np.flatnonzero(edges_T)
            to.append(others)
            weight.append(edges_T[others])
            counts.append(len(others))
    sums_T = np.zeros(len(vectors_TD))
    for others, amount in zip(to, weight, strict=True):
        sums_T[others] += amount
    flat_to = np.concatenate([np.empty(0, np.int64), *to])
    flat_weight = np.concatenate([np.empty(0), *weight]) / sums_T[flat_to]
    return flat_to, flat_weight, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def information_of(totals_T: np.ndarray) -> float:
    """E(S) for what each label has received."""
    return float((np.asarray(totals_T) ** POWER).sum())


def _slope(now: np.ndarray) -> np.ndarray:
    return POWER * (now + START) ** (POWER - 1)


def _carried(
    mine: list[int], quality: float, to: np.ndarray, weight: np.ndarray, starts_T: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What one row adds to which labels, after propagation."""
    parts = [slice(starts_T[label], starts_T[label + 1]) for label in mine]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0)
    reached, where = np.unique(np.concatenate([to[part] for part in parts]), return_inverse=True)
    return reached, quality * np.bincount(where, weights=np.concatenate([weight[part] for part in parts]))


def _check_labels(labels: Sequence[Sequence[int]], quality_N: np.ndarray, known: int) -> None:
    faults = []
    if len(labels) != len(quality_N):
        faults.append(f"{len(labels)} rows of labels for {len(quality_N)} qualities: expected one each")
    if (quality_N < 0).any():
        row = int(np.argmin(quality_N))
        faults.append(f"quality of row {row} is {quality_N[row]}: expected 0 or more, as information cannot be taken away")
    strange = sorted({label for mine in labels for label in mine if not 0 <= label < known})
    if strange:
        faults.append(f"labels {strange[:5]}: expected numbers of the {known} label vectors, from 0")
    if faults:
        raise ValueError("; ".join(faults))
