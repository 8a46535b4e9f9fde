"""The controls that every report includes: random rows, and the longest.

At the scale of millions most methods hardly beat random (arXiv:2410.09335), and response length alone comes close to
Deita's quality scorer in Deita's own table (arXiv:2312.15685).
"""

from __future__ import annotations

import numpy as np

from .picks import Picks, best_first, check, picked


def random(size: int, budget: int, rng: np.random.Generator) -> Picks:
    """`budget` of `size` rows in random order, nested in the budget for one state of `rng`. Gains are 0."""
    check(budget=budget)
    rows_K = rng.permutation(size)[:budget]
    return picked(rows_K, np.zeros(len(rows_K)), "drawn at random")


def longest(lengths_N: np.ndarray, budget: int) -> Picks:
    """The longest rows first; gains are the lengths, in whatever unit they came."""
    return highest(lengths_N, budget, reason="among the longest")


def highest(scores_N: np.ndarray, budget: int, *, reason: str = "among the highest scores") -> Picks:
    """The best scores first, and nothing else."""
    check(scores_N=np.asarray(scores_N), budget=budget)
    rows_K = best_first(scores_N)[:budget]
    return picked(rows_K, np.asarray(scores_N, dtype=np.float64)[rows_K], reason)
