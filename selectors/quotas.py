"""Quotas: give each group of rows (source, category, label, turns) its share of the budget, by any selector inside it.

Shares are apportioned by largest remainders (Hamilton's method), ties to the group that comes first. A group smaller
than its quota gives what it has, and the rest is apportioned again among the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import polars as pl

from .picks import Picks, picked, shortfall

Shares = Literal["proportional", "equal"] | Mapping[str, float]


def within(
    groups: pl.Series, budget: int, select: Callable[[np.ndarray, int], Picks], *, shares: Shares = "proportional"
) -> Picks:
    """Rows of each group as `select(rows_of_the_group, its_quota)` ranks them, groups interleaved by rank.

    `select` is given row numbers of the pool and answers with positions among them:
    `lambda rows, k: deita(features_ND[rows], scores_N[rows], k)`.
    """
    labels = groups.cast(pl.String).fill_null("null")
    names = labels.unique(maintain_order=True).to_list()
    rows_of = {name: np.flatnonzero((labels == name).to_numpy()) for name in names}
    quota = quotas({name: len(rows) for name, rows in rows_of.items()}, budget, shares)
    parts = [(name, select(rows_of[name], quota[name]).mapped(rows_of[name])) for name in names if quota[name]]
    entries = sorted(
        ((rank + 0.5) / len(picks), number, rank) for number, (_, picks) in enumerate(parts) for rank in range(len(picks))
    )
    reasons = np.empty(len(entries), dtype=object)
    rows, gains = np.empty(len(entries), dtype=np.int64), np.empty(len(entries))
    for place, (_, number, rank) in enumerate(entries):
        name, picks = parts[number]
        rows[place], gains[place] = picks.rows_K[rank], picks.gains_K[rank]
        reasons[place] = f"{picks.reasons_K[rank]}; quota of {name}"
    notes = tuple(f"{name}: {note}" for name, picks in parts for note in picks.notes)
    short = shortfall(len(rows), min(budget, len(groups)), "some groups did not fill their quota")
    return picked(rows, gains, reasons, *notes, *short)


def quotas(sizes: Mapping[str, int], budget: int, shares: Shares = "proportional") -> dict[str, int]:
    """How many rows each group gives, never more than it has, together `budget` if there are as many.

    Raises:
        ValueError: for shares of groups that are not there, or that are negative or all zero.
    """
    weights = _weights(sizes, shares)
    quota = dict.fromkeys(sizes, 0)
    open_ = [name for name in sizes if weights[name] > 0]
    left = min(budget, sum(sizes[name] for name in open_))
    while True:  # a group that is full leaves its surplus to the others
        total = sum(weights[name] for name in open_)
        full = [name for name in open_ if left * weights[name] >= sizes[name] * total]
        if not full:
            break
        for name in full:
            quota[name] = sizes[name]
            left -= sizes[name]
        open_ = [name for name in open_ if name not in full]
    exact = {name: left * weights[name] / total for name in open_}
    whole = {name: int(exact[name] + 1e-9) for name in open_}
    order = sorted(open_, key=lambda name: round(whole[name] - exact[name], 9))
    more = set(order[: left - sum(whole.values())])
    return quota | {name: whole[name] + (name in more) for name in open_}


def _weights(sizes: Mapping[str, int], shares: Shares) -> dict[str, float]:
    if shares == "proportional":
        return {name: float(size) for name, size in sizes.items()}
    if shares == "equal":
        return dict.fromkeys(sizes, 1.0)
    assert not isinstance(shares, str)
    unknown = sorted(set(shares) - set(sizes))
    if unknown or any(share < 0 for share in shares.values()) or not any(shares.values()):
        raise ValueError(
            f"shares={dict(shares)}: expected shares of 0 or more, one above 0, for groups among {sorted(sizes)}"
            + (f"; there is no {', '.join(unknown)}" if unknown else "")
        )
    return {name: float(shares.get(name, 0.0)) for name in sizes}
