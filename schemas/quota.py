"""Quotas: which of several weighted choices each row gets. Exact, mixed, and the same for any shard.

Each choice gets its share of the rows by largest remainders; rows are then shuffled by a draw that depends on the quota's name
and the number of rows alone. So row i's choice needs nothing but i, and two quotas over the same rows are independent.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import numpy as np


def apportion(shares: Sequence[float], rows: int) -> list[int]:
    """Whole numbers that sum to `rows` and follow the shares: largest remainders, ties to the earlier choice.

    Raises:
        ValueError: if there is no positive share, or a negative one.
    """
    total = sum(shares)
    if not shares or min(shares) < 0 or total <= 0:
        raise ValueError(f"shares {list(shares)}: expected numbers of at least 0, one of them above it")
    exact = [rows * share / total for share in shares]
    whole = [int(x) for x in exact]
    missing = rows - sum(whole)
    for i in sorted(range(len(shares)), key=lambda i: whole[i] - exact[i])[:missing]:
        whole[i] += 1
    return whole


@cache
def allotment(shares: tuple[float, ...], rows: int, name: str) -> np.ndarray:
    """The choice of each of `rows` rows, as choices_N (int16)."""
    quota = apportion(shares, rows)
    in_order_N = np.repeat(np.arange(len(shares), dtype=np.int16), quota)
    if len(shares) == 1:
        return in_order_N
    source = random.Random(f"{name}:{rows}")  # its stream is fixed for good, as numpy's is not
    keys_N = np.fromiter((source.random() for _ in range(rows)), dtype=np.float64, count=rows)
    return in_order_N[np.argsort(keys_N, kind="stable")]
