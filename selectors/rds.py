"""RDS+: choose for a target, each of its examples taking its nearest row in turn.

Ivison et al., "Large-Scale Data Selection for Instruction Tuning", arXiv:2503.01807, section 3: cosines between pool
rows and target examples, then round robin: every example takes its best row that is not taken yet, and again.
Vectors are position-weighted means of a model's last hidden states in the paper (`embed.hidden_states` with
`weighted_mean`).
"""

from __future__ import annotations

import numpy as np

from .near import scaled
from .picks import BLOCK, Picks, Progress, check, lengths, picked, settled

AHEAD = 64  # rows sorted for each example beyond those it needs, before looking further down its list


def rds(features_ND: np.ndarray, targets_QD: np.ndarray, budget: int, *, progress: Progress | None = None) -> Picks:
    """Rows in the order taken; gains are cosines to the example that took them.

    Nested in the budget; O(n q d), and memory for the nearest rows of each example only.
    """
    check(features_ND=features_ND, budget=budget)
    check(features_ND=targets_QD)
    if not len(targets_QD):
        raise ValueError("no target examples: RDS chooses for a target, give one vector for each of its examples")
    limit = min(budget, len(features_ND))
    lists = _Lists(features_ND, targets_QD, limit)
    taken_N = np.zeros(len(features_ND), dtype=bool)
    rows, gains = np.empty(limit, dtype=np.int64), np.empty(limit)
    for k in range(limit):
        rows[k], gains[k] = lists.take(k % len(targets_QD), taken_N)
        taken_N[rows[k]] = True
        if progress:
            progress(k + 1, limit)
    reasons_K = np.array([f"nearest left to target {k % len(targets_QD)}" for k in range(limit)], dtype=object)
    return picked(rows, gains, reasons_K)


class _Lists:
    """Each example's pool rows, nearest first, sorted only as far as they are read."""

    def __init__(self, features_ND: np.ndarray, targets_QD: np.ndarray, limit: int) -> None:
        self.features_ND, self.lengths_N = features_ND, lengths(features_ND)
        self.targets_QD = scaled(targets_QD, lengths(targets_QD), np.float64)
        self.deep = min(len(features_ND), -(-limit // len(targets_QD)) + AHEAD)
        self.sorted: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.read = np.zeros(len(targets_QD), dtype=np.int64)

    def take(self, target: int, taken_N: np.ndarray) -> tuple[int, float]:
        while True:
            rows, near = self.sorted.get(target) or self._sort(target, self.deep)
            while self.read[target] < len(rows):
                place = self.read[target]
                self.read[target] += 1
                if not taken_N[rows[place]]:
                    return int(rows[place]), float(near[place])
            self._sort(target, min(len(self.features_ND), 4 * len(rows)))

    def _sort(self, target: int, deep: int) -> tuple[np.ndarray, np.ndarray]:
        near_N = np.empty(len(self.features_ND))
        step = max(1, BLOCK // self.features_ND.shape[1])
        for start in range(0, len(near_N), step):
            part = slice(start, start + step)
            unit_BD = scaled(self.features_ND[part], self.lengths_N[part], np.float64)
            near_N[part] = settled(unit_BD @ self.targets_QD[target])
        least = np.partition(near_N, len(near_N) - deep)[len(near_N) - deep]
        rows = np.flatnonzero(near_N >= least)  # more than `deep` where there are ties
        rows = rows[np.argsort(-near_N[rows], kind="stable")]
        self.sorted[target] = (rows, near_N[rows])
        return self.sorted[target]
