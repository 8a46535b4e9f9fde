"""The greedy optimiser, kept apart from the objectives: take the row of the largest gain, again and again, lazily.

Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978. Where gains can only fall, an old
gain is an upper bound; so a row whose old gain is below the best fresh one need not be looked at again. The result is
that of the plain greedy loop, ties to the lower row number included.
Deviation: stale rows are refreshed many at a time, because one matrix product for 64 rows costs little more than one
for a single row.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np

from .picks import Picks, Progress, picked, settled


def lazy_greedy(
    bounds_N: np.ndarray,
    gains_of: Callable[[np.ndarray], np.ndarray],
    accept: Callable[[int], None],
    budget: int,
    *,
    reason: str,
    batch: int = 64,
    progress: Progress | None = None,
) -> Picks:
    """Rows in greedy order.

    `bounds_N` are gains over the empty set or anything above them, `gains_of(rows_B)` the gains at present, which never
    rise, and `accept(row)` adds a row to the set.
    """
    heap = [(-bound, row, 0) for row, bound in enumerate(settled(bounds_N).tolist())]  # 0: not looked at yet
    heapq.heapify(heap)
    rows: list[int] = []
    gains: list[float] = []
    while heap and len(rows) < budget:
        now, width = len(rows) + 1, 1
        while heap[0][2] != now:  # the best bound is stale: refresh the most promising rows
            stale: list[int] = []
            while heap and len(stale) < width and heap[0][2] != now:
                stale.append(heapq.heappop(heap)[1])
            fresh_B = settled(gains_of(np.array(stale)))
            for row, gain in zip(stale, fresh_B.tolist(), strict=True):
                heapq.heappush(heap, (-gain, row, now))
            width = min(2 * width, batch)
        negative, row, _ = heapq.heappop(heap)
        accept(row)
        rows.append(row)
        gains.append(-negative)
        if progress:
            progress(len(rows), budget)
    return picked(rows, gains, reason)
