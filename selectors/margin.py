"""Preference pairs by the gap between chosen and rejected: the clearest, or the closest.

Two papers point in opposite directions: keep pairs with a *small* implicit reward gap (arXiv:2508.04149), keep pairs
with *clear* differences (arXiv:2501.15109). So there are two functions and no default direction. The gap is whatever
the caller measures: a judge's margin, or DPO's implicit reward gap from `implicit_gap`.
"""

from __future__ import annotations

import numpy as np

from .picks import Picks, best_first, check, picked


def clearest(margins_N: np.ndarray, budget: int) -> Picks:
    """Largest margins first; gains are the margins."""
    return _ordered(margins_N, budget, best_first(margins_N), "clear: among the largest margins")


def closest(margins_N: np.ndarray, budget: int) -> Picks:
    """Smallest margins first, negative ones (the judge prefers the rejected) before all; gains are the margins."""
    return _ordered(margins_N, budget, best_first(-np.asarray(margins_N, dtype=float)), "hard: among the smallest margins")


def implicit_gap(
    chosen_policy_N: np.ndarray,
    chosen_reference_N: np.ndarray,
    rejected_policy_N: np.ndarray,
    rejected_reference_N: np.ndarray,
    *,
    beta: float = 0.1,
) -> np.ndarray:
    """DPO's implicit reward gap from four log-probabilities of whole answers, in nats times beta."""
    return beta * ((chosen_policy_N - chosen_reference_N) - (rejected_policy_N - rejected_reference_N))


def tails(margins_N: np.ndarray, share: float = 0.1) -> dict[str, float]:
    """Both ends for a report: the means of the lowest and highest `share`, the median, and how many are negative."""
    check(scores_N=np.asarray(margins_N))
    if not len(margins_N):
        return {}
    ordered_N = np.sort(np.asarray(margins_N, dtype=np.float64))
    count = max(1, round(share * len(ordered_N)))
    return {
        "lowest": float(ordered_N[:count].mean()),
        "median": float(np.median(ordered_N)),
        "highest": float(ordered_N[-count:].mean()),
        "share_negative": float((ordered_N < 0).mean()),
    }


def _ordered(margins_N: np.ndarray, budget: int, order_N: np.ndarray, reason: str) -> Picks:
    check(scores_N=np.asarray(margins_N), budget=budget)
    rows_K = order_N[:budget]
    return picked(rows_K, np.asarray(margins_N, dtype=np.float64)[rows_K], reason)
