"""Instructions that are too like an earlier one, by ROUGE-L: Self-Instruct's diversity filter, which I-SHEEP keeps.

Wang et al., arXiv:2212.10560, section 2.2: an instruction goes if its ROUGE-L F with a seed or an instruction kept so far exceeds
0.7. ROUGE-L F is 2 LCS / (|a| + |b|) on words (Lin 2004), which is the normalised Indel similarity. Exact, O(n k) in n rows and k kept.

I-SHEEP (arXiv:2408.08072) compares within one call of its generator only, some hundred instructions, so that "What is the capital
of France?" is in its data eleven times; `forget_after=100` does the same. The default compares with all that was kept.
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl
from rapidfuzz.distance import Indel
from rapidfuzz.process import cdist

from .duplicates import Duplicates, grouped
from .picks import Progress

_WORD = re.compile(r"[^\W_]+")
_ROWS = 256  # compared at once
_ROUNDING = 1e-9


def rouge_l(
    texts: pl.Series,
    *,
    similarity: float = 0.7,
    published: pl.Series | None = None,
    forget_after: int | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Rows whose ROUGE-L F to an earlier kept row, or to a published one, is above `similarity`.

    With `forget_after`, kept rows are forgotten whenever there are that many of them; published ones never.
    """
    before = [] if published is None else published.to_list()
    words = _as_letters([*before, *texts.to_list()])
    like_A, found_A = np.full(len(words), -1, dtype=np.int64), np.full(len(words), np.nan)
    known, fresh = list(range(len(before))), list[int]()
    for start in range(len(before), len(words), _ROWS):
        rows = list(range(start, min(start + _ROWS, len(words))))
        others = known + fresh + rows
        place = {row: column for column, row in enumerate(others)}
        alike_RO = cdist(
            [words[row] for row in rows],
            [words[row] for row in others],
            scorer=Indel.normalized_similarity,
            dtype=np.float64,
        )
        for row, alike_O in zip(rows, alike_RO, strict=True):
            candidates = known + fresh
            found_K = alike_O[[place[other] for other in candidates]]
            if len(found_K) and found_K.max() > similarity + _ROUNDING:
                nearest = int(found_K.argmax())
                like_A[row], found_A[row] = candidates[nearest], found_K[nearest]
                continue
            fresh.append(row)
            if forget_after is not None and len(fresh) >= forget_after:
                fresh.clear()
        if progress:
            progress(rows[-1] - len(before) + 1, len(texts))
    return grouped(like_A, found_A, len(before))


def _as_letters(texts: list[str]) -> list[str]:
    """Every text with each of its words as one character: rapidfuzz compares characters at the speed of C.

    A text without letters and digits is its own characters, so that no two of them are taken as one.
    """
    code: dict[str, str] = {}
    made = []
    for text in texts:
        words = _WORD.findall(text.lower()) or list(text.strip())
        made.append("".join(code.setdefault(word, _letter(len(code))) for word in words))
    return made


def _letter(number: int) -> str:
    """The character of a number; surrogates, which are no characters, are passed over."""
    return chr(number + 1 if number + 1 < 0xD800 else number + 1 + 0x800)
