"""Sentences said again: politely, formally, more briefly."""

from __future__ import annotations

from random import Random

from ..entities import ADJECTIVES, GOODS, NOUNS, TOWNS
from ..kinds import Draw, Kind, Slots, Solution, Solve, exactly

_SHOPS = ("baker", "inn", "market", "ferry", "school", "theatre", "doctor", "library")
_REQUESTS = {
    "give me {thing}": ("May I please have {thing}?", "I would like to receive {thing}."),
    "send me {thing}": ("Could you please send me {thing}?", "I kindly ask you to send {thing}."),
    "bring me {thing}": ("Could you please bring me {thing}?", "I kindly ask you to bring {thing}."),
    "show me {thing}": ("Could you please show me {thing}?", "I would be glad to see {thing}."),
    "sell me {thing}": ("Could you please sell me {thing}?", "I would like to buy {thing}."),
}
_THINGS = tuple(f"{count} {goods}" for count in ("two", "three", "five", "ten") for goods in GOODS)
_CONTRACTIONS = {"it's": "it is", "don't": "do not", "can't": "cannot", "I'm": "I am", "we're": "we are", "won't": "will not"}
_CASUAL = ("{c} late", "{c} cold in {town}", "{c} ready for the market", "{c} far from {town}", "{c} easy to find")
_FITS = {"it's": (0, 1, 3, 4), "I'm": (0, 2, 3, 4), "we're": (0, 2, 3, 4)}
_FILLERS = ("really", "very", "quite", "actually", "just")


def _polite(slots: Slots) -> Solution | None:
    given = slots["request"].strip(' ".!').lower()
    for blunt, (polite, formal) in _REQUESTS.items():
        start = blunt.split("{")[0]
        if given.startswith(start) and given[len(start) :] in _THINGS:
            thing = given[len(start) :]
            key, other = polite.replace("{thing}", thing), formal.replace("{thing}", thing)

            def holds(reply: str, thing: str = thing) -> bool:
                low = reply.lower()
                courteous = any(word in low for word in ("please", "would like", "kindly", "glad", "may i"))
                return thing in low and courteous and not low.strip(' "').startswith(("give", "send", "bring", "show", "sell"))

            wrong = (
                given.capitalize() + ".",
                given.capitalize() + " now!",
                key.replace(thing, "two maps"),
                key.replace(thing, "a chair"),
            )
            return Solution(key, ("{key}", other), holds, 2, wrong, free=True)
    return None


def _formal(slots: Slots) -> Solution | None:
    given = slots["casual"].strip(' ".')
    for short, long in _CONTRACTIONS.items():
        if given.lower().startswith(short.lower() + " "):
            rest = given[len(short) :]
            key = (long + rest)[0].upper() + (long + rest)[1:] + "."
            wrong = (
                given[0].upper() + given[1:] + ".",
                long.capitalize() + ".",
                key.replace(rest, " fine"),
                "Not" + rest + ".",
            )
            return Solution(key, ("{key}",), exactly(key), 2, tuple(one for one in wrong if one != key), free=True)
    return None


def _draw_casual(rng: Random) -> Slots:
    short = rng.choice(list(_FITS))
    shape = _CASUAL[rng.choice(_FITS[short])]
    return {"casual": shape.replace("{c}", short).replace("{town}", rng.choice(list(TOWNS)))}


def _shorter(slots: Slots) -> Solution | None:
    words = slots["long"].strip(' ".').split()
    kept = [word for word in words if word.lower() not in _FILLERS]
    if not 3 <= len(kept) <= 12 or len(kept) == len(words):
        return None
    key = " ".join(kept) + "."
    wrong = (" ".join(words) + ".", " ".join(kept[:-1]) + ".", " ".join(kept[:2]) + ".")
    return Solution(key, ("{key}",), exactly(key), 2 if len(words) - len(kept) == 1 else 3, wrong, free=True)


def _draw_long(rng: Random) -> Slots:
    one, two = rng.sample(_FILLERS, 2)
    adjective = rng.choice(list(ADJECTIVES))
    return {
        "long": rng.choice(
            (
                f"The {rng.choice(_SHOPS)} in {rng.choice(list(TOWNS))} is {one} {adjective}.",
                f"My {rng.choice(list(NOUNS))} is {one} {two} {adjective}.",
                f"The {rng.choice(list(NOUNS))} is {one} {adjective} and {two} {rng.choice(list(ADJECTIVES))}.",
            )
        )
    }


def _kind(name: str, intent: str, skill: str, templates: tuple[str, ...], draw: Draw, solve: Solve) -> Kind:
    return Kind("rewriting", "Editing", intent, "text editing", (skill,), templates, draw, solve, name=name)


KINDS = (
    _kind(
        "polite",
        "make a request polite",
        "tone",
        (
            "Make this polite: {request}.",
            'Say this more kindly: "{request}."',
            "Rewrite as a polite request: {request}.",
        ),
        lambda rng: {"request": rng.choice(list(_REQUESTS)).replace("{thing}", rng.choice(_THINGS)).capitalize()},
        _polite,
    ),
    _kind(
        "formal",
        "remove contractions",
        "tone",
        (
            "Write this without contractions: {casual}.",
            'Make this sentence formal: "{casual}."',
        ),
        _draw_casual,
        _formal,
    ),
    _kind(
        "shorter",
        "shorten a sentence",
        "concision",
        (
            "Remove the filler words: {long}",
            "Make this sentence shorter: {long}",
            "Tighten this up: {long}",
        ),
        _draw_long,
        _shorter,
    ),
)
