"""Personal data out of chat logs: what Presidio finds by patterns alone is replaced by its kind, such as <EMAIL_ADDRESS>.

WildFeedback's card names Presidio and spaCy. Here no language model of spaCy is loaded, none being at hand offline: what has
a form is found (e-mail, phone, card, IBAN, IP, crypto wallet, US social security number), names of people and places are
*not*. Recognisers are asked directly, which leaves out Presidio's engine and its own download of a model. E-mail
addresses go by Presidio's pattern without its check of the top-level domain, because that check fetches a list from the web.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from ..schemas.tables import Chat, Turn

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer

LEAST_SCORE = 0.4  # Presidio's own "very weak" patterns, such as nine digits for a social security number, stay below
REGIONS = ("US", "GB", "DE", "FR", "IN", "BR")  # whose phone numbers are known without a country code


def scrubbed(chat: Chat) -> tuple[Chat, Counter[str]]:
    """The chat with personal data replaced, and how often which kind was found."""
    found: Counter[str] = Counter()
    turns = []
    for turn in chat.turns:
        text, kinds = scrub(turn.content)
        found.update(kinds)
        turns.append(Turn(turn.role, text))
    return (replace(chat, turns=turns) if found else chat), found


def scrub(text: str) -> tuple[str, list[str]]:
    """The text with personal data replaced by <KIND>, and the kinds in order. Where two overlap, the surer one counts."""
    spans = [(hit.start, hit.end, hit.entity_type, hit.score) for r in _recognizers() for hit in _hits(r, text)]
    chosen: list[tuple[int, int, str]] = []
    for start, end, kind, _ in sorted(spans, key=lambda span: (-span[3], span[0] - span[1], span[0], span[2])):
        if all(end <= other[0] or start >= other[1] for other in chosen):
            chosen.append((start, end, kind))
    chosen.sort()
    for start, end, kind in reversed(chosen):
        text = f"{text[:start]}<{kind}>{text[end:]}"
    return text, [kind for _, _, kind in chosen]


def _hits(recognizer: EntityRecognizer, text: str) -> Sequence:
    found = recognizer.analyze(text, recognizer.supported_entities, None)
    return [hit for hit in found or [] if hit.score >= LEAST_SCORE]


@cache
def _recognizers() -> tuple[EntityRecognizer, ...]:
    # Imported here: Presidio pulls in spaCy, which takes seconds.
    from presidio_analyzer import PatternRecognizer
    from presidio_analyzer import predefined_recognizers as known

    return (
        PatternRecognizer("EMAIL_ADDRESS", name="email", patterns=known.EmailRecognizer.PATTERNS),
        known.PhoneRecognizer(supported_regions=REGIONS),
        known.CreditCardRecognizer(),
        known.IbanRecognizer(),
        known.IpRecognizer(),
        known.CryptoRecognizer(),
        known.UsSsnRecognizer(),
    )
