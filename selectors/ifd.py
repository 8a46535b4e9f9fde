"""IFD, instruction-following difficulty: keep where the instruction helps little, but does help.

Li et al., "Superfiltering", arXiv:2402.00530, section 2 (and "Cherry", arXiv:2308.12032): IFD = ppl(A | Q) / ppl(A)
under a small model; rows of 1 and more (the instruction hurts: it does not belong to the answer) are discarded, the
highest left are kept. The budget is a number of rows (the authors' code turns a rate into a count with Alpaca's
52,002 written in). A ratio of *losses*, as one toolkit computes under the same name, orders rows otherwise:
`loss_ratio` for comparison.
"""

from __future__ import annotations

import numpy as np

from .picks import Picks, check, picked, shortfall


def ifd(ifd_N: np.ndarray, budget: int) -> Picks:
    """The highest IFD below 1, first; gains are the IFD."""
    ifd_N = np.asarray(ifd_N, dtype=np.float64)
    check(scores_N=ifd_N, budget=budget)
    if (ifd_N <= 0).any():
        row = int(np.argmin(ifd_N))
        raise ValueError(f"row {row} has an IFD of {ifd_N[row]}: expected a ratio of perplexities, above 0")
    order_N = np.argsort(-ifd_N, kind="stable")
    rows_K = order_N[ifd_N[order_N] < 1][:budget]
    why = f"the other {int((ifd_N >= 1).sum())} have an IFD of 1 or more, where the instruction does not help"
    notes = shortfall(len(rows_K), min(budget, len(ifd_N)), why)
    return picked(rows_K, ifd_N[rows_K], "hardest that the instruction still helps", *notes)


def perplexity_ratio(given_nats_N: np.ndarray, alone_nats_N: np.ndarray) -> np.ndarray:
    """IFD from mean negative log-likelihoods per answer token, with and without the instruction."""
    return np.exp(np.asarray(given_nats_N, dtype=np.float64) - np.asarray(alone_nats_N, dtype=np.float64))


def loss_ratio(given_nats_N: np.ndarray, alone_nats_N: np.ndarray) -> np.ndarray:
    """The ratio of losses, which is not IFD."""
    return np.asarray(given_nats_N, dtype=np.float64) / np.asarray(alone_nats_N, dtype=np.float64)
