"""Personal data that a text should not carry into a data set: found by its form, replaced by its kind, or a rule's reason.

What has a form is found by Presidio's recognisers (e-mail, phone, payment card with Luhn's check, IBAN with its checksum, IP,
crypto wallet, US social security number) and by a pattern of ours for access keys. Names of people and places have none:
WildFeedback's card (arXiv:2408.15549) names Presidio and spaCy for those, and `analysed` asks both where spaCy's model is at hand.

Departures: recognisers are asked directly, which leaves out Presidio's engine and its own download of a language model. E-mail
addresses go by Presidio's pattern without its check of the top-level domain, because that check fetches a list from the web.
What identifies nobody is let be: addresses of example.com and the like, and IP addresses that are not public.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from ..schemas.tables import Chat, Turn
from .rules import rule

if TYPE_CHECKING:
    from presidio_analyzer import PatternRecognizer, RecognizerResult
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer

    Recognizer = PatternRecognizer | PhoneRecognizer

KINDS = (
    "EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "CRYPTO", "US_SSN", "ACCESS_KEY",
)  # fmt: skip
LEAST_SCORE = 0.4  # Presidio's own "very weak" patterns, such as nine digits for a social security number, stay below
REGIONS = ("US", "GB", "DE", "FR", "IN", "BR")  # whose phone numbers are known without a country code
KEY = r"\b(?:sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}|xox[abp]-[A-Za-z0-9-]{10,})"
PLACEHOLDER = re.compile(r"(?i)@(?:[\w-]+\.)*(?:example\.(?:com|org|net)|(?:your|my)(?:domain|company|email)\.com)$")
# What every finding holds: a text without any of it need not be looked at by Python. Four digits are close to one another in all
# but wallets, IPv6 addresses, some IBANs and some keys.
SUSPECT = (
    r"(?i)@|\d(?:\D{0,5}\d){3}|\b(?:bc1|[13])[a-z0-9]{25}|:[0-9a-f]{0,4}:|\b[a-z]{2}\d{2}[ -]?[a-z0-9]{4}"
    r"|\bsk-|\bakia|\bgh[pousr]_|\bhf_|\bxox[abp]-"
)


def found(text: str, kinds: Sequence[str] = KINDS) -> list[tuple[str, int, int]]:
    """(kind, start, end) of each piece of personal data, in order. Where two overlap the surer one counts, then the longer.

    Raises:
        ValueError: for a kind that is none of `KINDS`.
        ModuleNotFoundError: without Presidio.
    """
    _check(kinds)
    hits = [(-hit.score, hit.start, hit.end, kind) for kind in kinds for hit in _hits(kind, text)]
    chosen: list[tuple[str, int, int]] = []
    for _, start, end, kind in sorted(hits, key=lambda hit: (hit[0], hit[1] - hit[2], hit[1], hit[3])):
        if all(end <= other[1] or start >= other[2] for other in chosen):
            chosen.append((kind, start, end))
    # Only now, or a netmask that is let be as an address would be taken for a phone number.
    kept = [one for one in chosen if not _identifies_nobody(one[0], text[one[1] : one[2]])]
    return sorted(kept, key=lambda one: one[1])


def masked(text: str, kinds: Sequence[str] = KINDS) -> str:
    """The text with each piece replaced by its kind, as `<EMAIL_ADDRESS>`."""
    return _without(text, found(text, kinds))


def scrubbed(chat: Chat) -> tuple[Chat, Counter[str]]:
    """The chat with personal data replaced, and how often which kind was found."""
    counts: Counter[str] = Counter()
    turns = []
    for turn in chat.turns:
        pieces = found(turn.content)
        counts.update(kind for kind, _, _ in pieces)
        turns.append(Turn(turn.role, _without(turn.content, pieces)))
    return (replace(chat, turns=turns) if counts else chat), counts


def personal(text: pl.Expr, *, kinds: Sequence[str] = KINDS) -> pl.Expr:
    """The rule: a text that holds personal data. A pattern first in Rust, `found` in Python for the few that match."""
    _check(kinds)
    suspect = pl.when(text.str.contains(SUSPECT)).then(text)
    seen = suspect.map_elements(lambda one: bool(found(one, kinds)), return_dtype=pl.Boolean)
    return rule("personal_data", pl.when(text.is_null()).then(None).otherwise(seen.fill_null(False)))


def analysed(texts: pl.Series, *, language: str = "en", least_score: float = 0.5) -> pl.Series:
    """Kinds of personal data in each text by Presidio's engine, names and places among them. Downloads spaCy's model."""
    from presidio_analyzer import AnalyzerEngine

    engine = AnalyzerEngine()
    kinds = [
        sorted({hit.entity_type for hit in engine.analyze(text, language=language) if hit.score >= least_score})
        for text in texts.fill_null("")
    ]
    return pl.Series("personal_data", kinds, dtype=pl.List(pl.String))


def _check(kinds: Sequence[str]) -> None:
    if strange := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"kinds: {', '.join(strange)}; expected some of {', '.join(KINDS)}")


def _without(text: str, pieces: Sequence[tuple[str, int, int]]) -> str:
    for kind, start, end in reversed(pieces):
        text = f"{text[:start]}<{kind}>{text[end:]}"
    return text


def _hits(kind: str, text: str) -> list[RecognizerResult]:
    hits = _recognizers()[kind].analyze(text, [kind])
    return [hit for hit in hits if hit.score >= LEAST_SCORE]


def _identifies_nobody(kind: str, piece: str) -> bool:
    if kind == "EMAIL_ADDRESS":
        return PLACEHOLDER.search(piece) is not None
    return kind == "IP_ADDRESS" and not ipaddress.ip_interface(piece).is_global


@cache
def _recognizers() -> dict[str, Recognizer]:
    try:  # imported here: Presidio pulls in spaCy, which takes seconds
        from presidio_analyzer import Pattern, PatternRecognizer
        from presidio_analyzer import predefined_recognizers as known
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("finding personal data needs Presidio: pip install 'rookery[privacy]'") from error

    email = PatternRecognizer("EMAIL_ADDRESS", name="email", patterns=known.EmailRecognizer.PATTERNS)
    key = PatternRecognizer("ACCESS_KEY", name="key", patterns=[Pattern("key", KEY, 0.9)], global_regex_flags=0)
    phone, card, iban = known.PhoneRecognizer(supported_regions=REGIONS), known.CreditCardRecognizer(), known.IbanRecognizer()
    asked = (email, phone, card, iban, known.IpRecognizer(), known.CryptoRecognizer(), known.UsSsnRecognizer(), key)
    return dict(zip(KINDS, asked, strict=True))
