"""BLEU as a cheap score of an answer against references, in the variant of BLEUBERI.

Chang et al., "BLEUBERI: BLEU is a surprisingly effective reward for instruction following", arXiv:2505.11080: Hugging
Face `evaluate`'s "bleu" with `smooth=True`, which is tensorflow/nmt's `compute_bleu` on 13a tokens, for one answer.
Not sacreBLEU's smoothing: (matches + 1) / (possible + 1) holds for single words too, and the brevity penalty takes
the *shortest* reference. So short strings score high without any overlap (0.2), one short reference switches the
penalty off, and two unlike Chinese sentences, each a single token, score 0.84: `bleu` refuses text without blanks
unless told to cut it into characters.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

Tokens = Callable[[str], list[str]]
ORDER = 4
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_SPLITS = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),  # ASCII punctuation but . , - and the apostrophe
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def tokens_13a(text: str) -> list[str]:
    """mteval-v13a's tokens, case kept."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = f" {text} "
    for pattern, spaced in _SPLITS:
        text = pattern.sub(spaced, text)
    return text.split()


def characters(text: str) -> list[str]:
    """Every character that is not blank: for languages written without blanks."""
    return [character for character in text if not character.isspace()]


def bleu_nmt_smooth(answer: str, references: Sequence[str], tokens: Tokens = tokens_13a) -> float:
    """BLEU in (0, 1]; 0 for an answer of no tokens, as the authors' guard has it.

    Raises:
        ValueError: without references, or with one that has no tokens: the metric divides by its length.
    """
    pieces, others = tokens(answer), [tokens(reference) for reference in references]
    if not others or not all(others):
        raise ValueError(f"references {list(references)!r}: expected at least one, each with a token; drop the row")
    if not pieces:
        return 0.0
    logs = 0.0
    for n in range(1, ORDER + 1):
        most: Counter[tuple[str, ...]] = Counter()
        for other in others:
            most |= _grams(other, n)
        matches = sum((_grams(pieces, n) & most).values())
        possible = max(len(pieces) - n + 1, 0)
        logs += math.log((matches + 1) / (possible + 1)) / ORDER
    ratio = len(pieces) / min(map(len, others))
    penalty = 1.0 if ratio > 1 else math.exp(1 - 1 / ratio)
    return penalty * math.exp(logs)


def bleu(answer: str, references: Sequence[str], *, tokens: Tokens = tokens_13a) -> float:
    """`bleu_nmt_smooth`, refused where words cannot be told apart.

    Raises:
        ValueError: for text whose words average over 15 characters when it is cut into words.
    """
    for text in (answer, *references):
        if tokens is tokens_13a and _letters_without_blanks(text):
            raise ValueError(f"{text[:40]!r} is written without blanks: BLEU of words means nothing, use `characters`")
    return bleu_nmt_smooth(answer, references, tokens)


def _letters_without_blanks(text: str) -> bool:
    """Whether most letters are Han, kana, Thai, Lao, Khmer or Burmese."""
    letters = [character for character in text if character.isalpha()]
    unbroken = re.findall(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]", text)
    return len(unbroken) > len(letters) / 2


def _grams(pieces: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(pieces[i : i + n]) for i in range(len(pieces) - n + 1))
