"""BLEU against references as a cheap judge: smoothed at every order, the shortest reference, 13a tokens.

BLEUBERI (arXiv:2505.11080, section 3) uses Hugging Face `evaluate`'s metric with `smooth=True`, which is tensorflow/nmt's
`compute_bleu`: (matches + 1) / (possible + 1) at *every* order, unigrams too, and the brevity penalty of the *shortest*
reference. So it is neither sacreBLEU's nor NLTK's BLEU; short strings without a word in common score about 0.2. Guards are
ours: no reference, or a text in a script without blanks (one token a sentence), gives no score rather than a wrong one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import exp, log
from operator import or_

import polars as pl

from ..schemas.tables import Answer, Score, conform, frame

ORDERS = 4
_UNBLANKED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_PUNCTUATION = re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])")
_NOT_BETWEEN_DIGITS = ((re.compile(r"([^0-9])([\.,])"), r"\1 \2 "), (re.compile(r"([\.,])([^0-9])"), r" \1 \2"))
_DASH = re.compile(r"([0-9])(-)")


def tokens(text: str) -> list[str]:
    """mteval-v13a, case kept."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        text = text.replace(entity, sign)
    text = _PUNCTUATION.sub(r" \1 ", f" {text} ")
    for pattern, put in _NOT_BETWEEN_DIGITS:
        text = pattern.sub(put, text)
    return _DASH.sub(r"\1 \2 ", text).split()


@dataclass(frozen=True, slots=True)
class References:
    """The references of one prompt, counted once for all its candidates."""

    shortest: int
    counts: Counter[tuple[str, ...]]  # the most that any one reference has

    @classmethod
    def of(cls, texts: Sequence[str]) -> References:
        """
        Raises:
            ValueError: without references, or if one has no token.
        """
        cut = [tokens(text) for text in texts]
        if not cut or not all(cut):
            raise ValueError(f"{len(cut)} references, of which {sum(not c for c in cut)} are empty; BLEU needs one with words")
        return cls(min(map(len, cut)), reduce(or_, map(_ngrams, cut)))


def bleu(candidate: str, references: References) -> float:
    """Between 0 and 1; 0 for a blank candidate alone, since smoothing leaves no precision at 0."""
    words = tokens(candidate)
    if not words:
        return 0.0
    found, possible = _ngrams(words), [max(len(words) - n, 0) for n in range(ORDERS)]
    matched = [0] * ORDERS
    for gram, count in (found & references.counts).items():
        matched[len(gram) - 1] += count
    precisions = [(m + 1) / (p + 1) for m, p in zip(matched, possible, strict=True)]
    ratio = len(words) / references.shortest
    brevity = 1.0 if ratio > 1 else exp(1 - 1 / ratio)
    return brevity * exp(sum(map(log, precisions)) / ORDERS)


def bleu_scores(
    answers: pl.DataFrame, references: Mapping[str, Sequence[str]], *, copy: float = 0.9, min_tokens: int = 4
) -> pl.DataFrame:
    """Table of `Answer` and the references of each prompt id -> table of `Score` named `bleu`.

    A candidate above `copy` is a reference in disguise and has no score; nor has one where references are missing, have
    fewer than `min_tokens` tokens, or are mostly in a script without blanks.
    """
    conform(Answer, answers)
    counted: dict[str, References | str] = {}
    found = []
    for name, prompt, text in answers.select("id", "prompt", "text").iter_rows():
        if prompt not in counted:
            counted[prompt] = _counted(references.get(prompt, ()), min_tokens)
        known = counted[prompt]
        value, why = (None, known) if isinstance(known, str) else (bleu(text or "", known), None)
        if value is not None and value > copy:
            value, why = None, f"a copy of a reference (BLEU {value:.3f} is above {copy})"
        found.append(Score(name, "bleu", value, None, f"bleu_nmt_smooth of {len(references.get(prompt, ()))}", why))
    return frame(Score, found)


def _counted(texts: Sequence[str], min_tokens: int) -> References | str:
    whole = "".join(texts)
    if not whole.strip() or not all(tokens(text) for text in texts):
        return "no reference, or an empty one"
    if len(_UNBLANKED.findall(whole)) > 0.3 * len(whole.replace(" ", "")):
        return "the references are in a script without blanks, where a sentence is one token"
    counted = References.of(texts)
    return counted if counted.shortest >= min_tokens else f"a reference has {counted.shortest} tokens, fewer than {min_tokens}"


def _ngrams(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for n in range(1, ORDERS + 1) for i in range(len(words) - n + 1))
