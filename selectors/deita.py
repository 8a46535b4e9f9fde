"""Deita's Repr Filter: the best-scored rows, none of which resembles a better one too closely.

Liu et al., "What Makes Good Data for Alignment?", arXiv:2312.15685, section 2.4: walk the pool from the best score down
and take a row if its greatest cosine similarity to the rows already taken does not exceed the ceiling (0.9).

- The paper prints "distance < τ"; its code and its authors mean similarity, and reject when strictly above.
- Result is that of the authors' loop with batch_size 1. Larger batches of theirs reject rows for resembling rejected
  rows; blocks here do not, for any block size.
- Equal scores go by row number (theirs: an unstable sort). Rows without a direction and scores that are not numbers are
  refused (theirs: always accepted, for NaN > τ is false).
- A short result warns (theirs: silent); `deita_relaxed` raises the ceiling until the budget is met, and says so.
- Exact for any block size and number of threads: see `ceiling`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from .ceiling import walk
from .picks import Picks, Progress, best_first, check, picked, shortfall

TurnReduction = Literal["sum", "mean", "max", "first"]
_REDUCE: dict[TurnReduction, Callable[[np.ndarray], float]] = {
    "sum": np.sum, "mean": np.mean, "max": np.max, "first": lambda products_T: products_T[0],
}  # fmt: skip


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
    order_N = best_first(scores_N)
    rows_K = walk(features_ND, order_N, ceiling, limit=budget, block=block, progress=progress).kept_K
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
        rows_K = walk(features_ND, best_first(scores_N), tried, limit=wanted, progress=progress).kept_K
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
    reduce = _REDUCE[reduction]
    return np.array([reduce(np.multiply(c, q)) for c, q in zip(complexity, quality, strict=True)], dtype=np.float64)


def _as_picks(rows_K: np.ndarray, scores_N: np.ndarray, *notes: str) -> Picks:
    reason = "best score left under the ceiling"
    return picked(rows_K, np.asarray(scores_N, dtype=float)[rows_K], reason, *filter(None, notes))
