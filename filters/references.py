"""BLEU against references as a cheap judge: a score for each answer, or the reason why there is none.

Chang et al., "BLEUBERI", arXiv:2505.11080: BLEU with one good reference agrees with people's preferences nearly as often as a reward
model. The number is `filters.bleu`'s; ours are the guards, because a wrong number is worse than none: no reference, a
reference of few words (unrelated short texts score 0.2), a script without blanks, and candidates that copy a reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ..schemas.tables import Answer, Score, conform, frame
from .bleu import bleu, tokens_13a


def bleu_scores(
    answers: pl.DataFrame, references: Mapping[str, Sequence[str]], *, copy: float = 0.9, min_tokens: int = 4
) -> pl.DataFrame:
    """Table of `Answer` and the references of each prompt id -> table of `Score` named `bleu`.

    A candidate above `copy` is a reference in disguise; a reference below `min_tokens` tokens says too little.
    """
    conform(Answer, answers)
    found = []
    for name, prompt, text in answers.select("id", "prompt", "text").iter_rows():
        known = references.get(prompt, ())
        value, why = _score(text or "", known, copy, min_tokens)
        found.append(Score(name, "bleu", value, None, f"bleu_nmt_smooth of {len(known)}", why))
    return frame(Score, found)


def _score(text: str, references: Sequence[str], copy: float, min_tokens: int) -> tuple[float | None, str | None]:
    sizes = [len(tokens_13a(reference)) for reference in references]
    if not sizes or not all(sizes):
        return None, "no reference, or an empty one"
    try:
        value = bleu(text, references)
    except ValueError as refusal:
        return None, str(refusal)
    if min(sizes) < min_tokens:
        return None, f"a reference has {min(sizes)} tokens, fewer than {min_tokens}"
    if value > copy:
        return None, f"a copy of a reference (BLEU {value:.3f} is above {copy})"
    return value, None
