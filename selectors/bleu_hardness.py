"""Hard prompts by BLEU: those whose reference the base model's own answer resembles least.

Chang et al., "BLEUBERI", arXiv:2505.11080, section 3.2: one answer of the base model to each prompt, BLEU against the
references (`filters.bleu`), the lowest N are "hard", the highest "easy", the N in the middle "medium".
What it finds is where the model's *style* is farthest from the reference, and answers cut at the token limit: `hard`
says how many of its rows were cut. Ties, of which there are many near 0, go to the lower row number (theirs:
arbitrary). The authors' `random` is `controls.random`.
"""

from __future__ import annotations

import numpy as np

from .picks import Picks, best_first, check, picked


def hard(bleu_N: np.ndarray, budget: int, *, cut_off_N: np.ndarray | None = None) -> Picks:
    """Lowest BLEU first; gains are 1 - BLEU. `cut_off_N` marks answers that ran into the token limit."""
    rows_K = _lowest_first(bleu_N, budget)[:budget]
    notes: tuple[str, ...] = ()
    if cut_off_N is not None and len(rows_K):
        notes = (f"{int(np.asarray(cut_off_N)[rows_K].sum())} of {len(rows_K)} answers were cut at the token limit",)
    return picked(rows_K, 1.0 - np.asarray(bleu_N, dtype=float)[rows_K], "among the lowest BLEU", *notes)


def easy(bleu_N: np.ndarray, budget: int) -> Picks:
    """Highest BLEU first; gains are BLEU."""
    check(scores_N=np.asarray(bleu_N), budget=budget)
    rows_K = best_first(bleu_N)[:budget]
    return picked(rows_K, np.asarray(bleu_N, dtype=float)[rows_K], "among the highest BLEU")


def medium(bleu_N: np.ndarray, budget: int) -> Picks:
    """The `budget` rows that start at ⌊(n - budget) / 2⌋ in rising order of BLEU; gains are BLEU. Not nested."""
    start = max(0, (len(bleu_N) - budget) // 2)
    rows_K = _lowest_first(bleu_N, budget)[start : start + budget]
    return picked(rows_K, np.asarray(bleu_N, dtype=float)[rows_K], "of middling BLEU")


def _lowest_first(bleu_N: np.ndarray, budget: int) -> np.ndarray:
    check(scores_N=np.asarray(bleu_N), budget=budget)
    return np.argsort(np.asarray(bleu_N, dtype=np.float64), kind="stable")
