"""Personal data by pattern: addresses, numbers and keys that a text should not carry into a data set.

Patterns find what has a form (e-mail, IP, payment card, IBAN, US social security number, phone, access key); names and
street addresses have none and need a model: `analysed` asks Microsoft's presidio, if it is installed. Documentation
addresses (example.com, 192.0.2.x, 127.0.0.1) are let be; payment cards must pass Luhn's check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import polars as pl

from .rules import rule

PATTERNS = {
    "email": r"(?i)\b[a-z0-9._%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}\b",
    "ip": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
    "card": r"\b(?:\d[ -]?){12,18}\d\b",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b",
    "ssn": r"\b\d{3}-\d{2}-\d{4}\b",
    "phone": r"(?:\+\d{1,3}[ .-]?)(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){2,4}\b|\(\d{3}\) ?\d{3}-\d{4}\b",
    "key": r"\b(?:sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}|xox[abp]-[A-Za-z0-9-]{10,})",
}
PLACEHOLDER = re.compile(
    r"(?i)@(?:[a-z0-9-]+\.)*example\.(?:com|org|net)$|@(?:your|my)?(?:domain|company|email)\.com$"
    r"|^(?:127\.|0\.0\.0\.0|10\.|192\.168\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|255\.)"
)
_COMPILED = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}


def found(text: str, kinds: Sequence[str] = tuple(PATTERNS)) -> list[tuple[str, int, int]]:
    """(kind, start, end) of each piece of personal data, in order; where two overlap, the first named kind."""
    taken: list[tuple[str, int, int]] = []
    for kind in kinds:
        for hit in _hits(kind, text):
            if all(hit.end() <= start or end <= hit.start() for _, start, end in taken):
                taken.append((kind, hit.start(), hit.end()))
    return sorted(taken, key=lambda one: one[1])


def masked(text: str, kinds: Sequence[str] = tuple(PATTERNS)) -> str:
    """The text with each piece replaced by its kind, as `<EMAIL>`."""
    for kind, start, end in reversed(found(text, kinds)):
        text = f"{text[:start]}<{kind.upper()}>{text[end:]}"
    return text


def personal(text: pl.Expr, *, kinds: Sequence[str] = tuple(PATTERNS)) -> pl.Expr:
    """The rule: a text that holds personal data. Patterns first in Rust, checks in Python for the few that match."""
    strange = [kind for kind in kinds if kind not in PATTERNS]
    if strange:
        raise ValueError(f"kinds={list(kinds)}: expected some of {', '.join(PATTERNS)}")
    suspect = pl.any_horizontal(*(text.str.contains(PATTERNS[kind]) for kind in kinds))
    checked = pl.when(suspect).then(text).map_elements(lambda one: bool(found(one, kinds)), return_dtype=pl.Boolean)
    return rule("personal_data", pl.when(text.is_null()).then(None).otherwise(checked.fill_null(False)))


def analysed(texts: pl.Series, *, language: str = "en", least_score: float = 0.5) -> pl.Series:
    """Kinds of personal data in each text by presidio, names and places among them (`pip install presidio-analyzer`)."""
    from presidio_analyzer import AnalyzerEngine

    engine = AnalyzerEngine()
    kinds = [
        sorted({hit.entity_type for hit in engine.analyze(text, language=language) if hit.score >= least_score})
        for text in texts.fill_null("")
    ]
    return pl.Series("personal_data", kinds, dtype=pl.List(pl.String))


def _hits(kind: str, text: str) -> Iterator[re.Match[str]]:
    for hit in _COMPILED[kind].finditer(text):
        if PLACEHOLDER.search(hit[0]) and kind in ("email", "ip"):
            continue
        if kind == "card" and not luhn(hit[0]):
            continue
        yield hit


def luhn(number: str) -> bool:
    """The check of payment card numbers."""
    digits = [int(character) for character in reversed(number) if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
