"""InsTag's selector: complexity first, then diversity of tags.

Lu et al., "#InsTag", arXiv:2308.07074, section 4: complexity is the number of an instruction's tags; rows go from
the most tags to the fewest, a row is taken if it brings a tag that the round has not covered, and when no row is
left that does, a new round begins. The authors' repository does not hold the selector; the rounds follow the paper's
description.
"""

from __future__ import annotations

from collections.abc import Sequence

from .picks import Picks, check, picked, shortfall


def instag(tags: Sequence[Sequence[str]], budget: int) -> Picks:
    """Rows in the order taken; gains are how many tags each brought to its round. Rows without tags are never taken."""
    check(budget=budget)
    sets = [frozenset(row) for row in tags]
    waiting = sorted((row for row, mine in enumerate(sets) if mine), key=lambda row: -len(sets[row]))
    rows: list[int] = []
    gains: list[int] = []
    while waiting and len(rows) < budget:
        covered: set[str] = set()
        left = []
        for row in waiting:
            brings = len(sets[row] - covered)
            if brings and len(rows) < budget:
                covered |= sets[row]
                rows.append(row)
                gains.append(brings)
            else:
                left.append(row)
        waiting = left
    notes = shortfall(len(rows), min(budget, len(sets)), "the other rows have no tags")
    return picked(rows, gains, "most tags, one of them new to the round", *notes)
