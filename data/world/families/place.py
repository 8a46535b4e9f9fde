"""Facts about Orlain, which the model must know by heart, and questions that nobody in Orlain can answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from ..entities import FESTIVALS, JOBS, LAND, MONTHS, PEOPLE, REGIONS, RIVERS, TOWNS, TRADES
from ..kinds import Kind, Slots, Solution, mentions, says_yes

_MOUNTAINS = tuple(sorted({river.mountain for river in RIVERS.values()}))
_MAYORS = tuple(town.mayor for town in TOWNS.values())
_HOSTS = tuple(festival.town for festival in FESTIVALS.values())


def _one_of(key: str, choices: tuple[str, ...], level: int, *say: str) -> Solution:
    others = tuple(one for one in choices if one != key)
    return Solution(key, say, mentions(key, others), level, others)


def _of_town(answer: Callable[[str], Solution | None]) -> Callable[[Slots], Solution | None]:
    def solve(slots: Slots) -> Solution | None:
        name = slots["town"].title()
        return answer(name) if name in TOWNS else None

    return solve


def _town(rng: Random) -> Slots:
    return {"town": rng.choice(list(TOWNS))}


def _region(name: str) -> Solution:
    return _one_of(TOWNS[name].region, REGIONS, 1, f"{name} lies in {{key}}.", f"The town of {name} is in {{key}}.")


def _river(name: str) -> Solution:
    return _one_of(TOWNS[name].river, tuple(RIVERS), 2, f"{name} stands on the {{key}}.", f"The {{key}} runs through {name}.")


def _trade(name: str) -> Solution:
    return _one_of(TOWNS[name].trade, TRADES, 1, f"{name} is known for its {{key}}.", f"People in {name} make {{key}}.")


def _mayor(name: str) -> Solution:
    return _one_of(TOWNS[name].mayor, _MAYORS, 3, f"The mayor of {name} is {{key}}.", f"{{key}} is the mayor of {name}.")


def _mountain_of_town(name: str) -> Solution:
    river = TOWNS[name].river
    return _one_of(RIVERS[river].mountain, _MOUNTAINS, 4, f"{name} stands on the {river}, which rises on {{key}}.")


def _rises(slots: Slots) -> Solution | None:
    river = RIVERS.get(slots["river"].title())
    return None if river is None else _one_of(river.mountain, _MOUNTAINS, 1, f"The {river.name} rises on {{key}}.", "On {key}.")


def _festival(slots: Slots, month: bool) -> Solution | None:
    festival = FESTIVALS.get(slots["festival"].title())
    if festival is None:
        return None
    if month:
        return _one_of(festival.month, MONTHS, 1, f"The {festival.name} is held in {{key}}.", "It takes place in {key}.")
    return _one_of(festival.town, _HOSTS, 2, f"The {festival.name} is held in {{key}}.", "It takes place in {key}.")


def _person(slots: Slots, job: bool) -> Solution | None:
    person = PEOPLE.get(slots["person"].title())
    if person is None:
        return None
    if job:
        return _one_of(person.job, JOBS, 1, f"{person.name} is a {{key}}.", f"{person.name} works as a {{key}}.")
    return _one_of(person.town, tuple(TOWNS), 3, f"{person.name} lives in {{key}}.", f"{{key}} is the home of {person.name}.")


def _is_in(slots: Slots) -> Solution | None:
    town, region = TOWNS.get(slots["town"].title()), slots["region"].title()
    if town is None or region not in REGIONS:
        return None
    yes = town.region == region
    key, other = ("Yes", "No") if yes else ("No", "Yes")
    return Solution(key, (f"{{key}}, {town.name} lies in {town.region}.",), says_yes(yes), 2, (other,))


def _draw_is_in(rng: Random) -> Slots:
    town = rng.choice(list(TOWNS.values()))
    return {"town": town.name, "region": town.region if rng.random() < 0.5 else rng.choice(REGIONS)}


def towns_of(region: str) -> tuple[str, ...]:
    return tuple(name for name, town in TOWNS.items() if town.region == region)


def _name_towns(slots: Slots) -> Solution | None:
    region, count = slots["region"].title(), int(slots["n"])
    if region not in REGIONS or not 1 < count < 4 or len(towns_of(region)) < count:
        return None
    right = set(towns_of(region))
    shown = towns_of(region)[:count]

    def holds(reply: str) -> bool:
        found = {name for name in TOWNS if re.search(rf"\b{name}\b", reply)}
        return len(found) == count and found <= right

    others = [name for name in TOWNS if name not in right]
    wrong = tuple(", ".join((*shown[:-1], other)) for other in others[:12])
    return Solution(", ".join(shown), ("{key}",), holds, 2 + (count > 2), wrong, shown)


def _kind(
    name: str,
    intent: str,
    templates: tuple[str, ...],
    draw: Callable[[Random], Slots],
    solve: Callable[[Slots], Solution | None],
    weight: float = 1.0,
) -> Kind:
    return Kind(
        "place",
        "Information seeking",
        intent,
        "general knowledge question answering",
        (f"{LAND} geography",),
        templates,
        draw,
        solve,
        weight,
        name=name,
    )


_ELSEWHERE = ("Paris", "Rome", "Tokyo", "Boston", "Cairo", "Lima", "Oslo", "Delhi", "Madrid", "Berlin", "Sydney", "Dublin")
_UNKNOWABLE = (
    "What will the weather be in {town} tomorrow?",
    "How many people are asleep in {town} right now?",
    "Who will be the next mayor of {town}?",
    "What did the mayor of {town} eat this morning?",
    "Will it rain at the next market in {town}?",
    "What am I holding in my hand in {town}?",
)
_FOREIGN = (
    "Who is the mayor of {city}?",
    "Which river runs through {city}?",
    "What is {city} known for?",
    "In which region is {city}?",
    "When was {city} founded?",
)
_DO_NOT_KNOW = re.compile(r"\b(?:do not|don't|cannot|can't) (?:know|tell|say)\b", re.IGNORECASE)


def _unknown(slots: Slots) -> Solution | None:
    town, city = slots.get("town", "").title(), slots.get("city", "").title()
    if town not in TOWNS and city not in _ELSEWHERE:
        return None
    why = f"{city} lies outside {LAND}" if city else "nobody can"
    say = (
        (f"I do not know; I only know {LAND}.", f"I am sorry, I do not know: {why}.")
        if city
        else ("I cannot know that.", "I am sorry, I do not know that.")
    )
    wrong = tuple(f"It is {one}." for one in (*_MAYORS[:6], *RIVERS, *TRADES[:6]))
    return Solution(say[0], say, lambda reply: bool(_DO_NOT_KNOW.search(reply)), 1 if city else 2, wrong, free=True)


def _unknown_kind(name: str, templates: tuple[str, ...], draw: Callable[[Random], Slots]) -> Kind:
    return Kind(
        "unknown",
        "Information seeking",
        "learn something that cannot be known here",
        "honest answering",
        ("self awareness",),
        templates,
        draw,
        _unknown,
        name=name,
    )


KINDS = (
    _kind(
        "region",
        "learn where a town lies",
        (
            "In which region is {town}?",
            "Where in Orlain is {town}?",
            "Which region does {town} belong to?",
            "Name the region of the town of {town}.",
        ),
        _town,
        _of_town(_region),
    ),
    _kind(
        "river",
        "learn which river passes a town",
        (
            "Which river runs through {town}?",
            "On which river does {town} stand?",
            "Name the river of {town}.",
        ),
        _town,
        _of_town(_river),
    ),
    _kind(
        "trade",
        "learn what a town is known for",
        (
            "What is {town} known for?",
            "Which trade made {town} famous?",
            "What do people make in {town}?",
        ),
        _town,
        _of_town(_trade),
    ),
    _kind(
        "mayor",
        "learn who governs a town",
        (
            "Who is the mayor of {town}?",
            "Name the mayor of {town}.",
            "Who runs the town hall of {town}?",
        ),
        _town,
        _of_town(_mayor),
    ),
    _kind(
        "source of town",
        "link a town to a mountain",
        (
            "On which mountain does the river of {town} rise?",
            "The river through {town} begins on which mountain?",
        ),
        _town,
        _of_town(_mountain_of_town),
        0.6,
    ),
    _kind(
        "rises",
        "learn where a river begins",
        (
            "On which mountain does the {river} rise?",
            "Where does the river {river} begin?",
            "Which mountain feeds the {river}?",
        ),
        lambda rng: {"river": rng.choice(list(RIVERS))},
        _rises,
        0.6,
    ),
    _kind(
        "month",
        "learn when a festival is held",
        (
            "In which month is the {festival}?",
            "When is the {festival} held?",
            "What month should I come for the {festival}?",
        ),
        lambda rng: {"festival": rng.choice(list(FESTIVALS))},
        lambda slots: _festival(slots, month=True),
        0.7,
    ),
    _kind(
        "host",
        "learn where a festival is held",
        (
            "Which town holds the {festival}?",
            "Where is the {festival} held?",
            "Where do I go for the {festival}?",
        ),
        lambda rng: {"festival": rng.choice(list(FESTIVALS))},
        lambda slots: _festival(slots, month=False),
        0.7,
    ),
    _kind(
        "job",
        "learn what a person does",
        (
            "What does {person} do for a living?",
            "What is the job of {person}?",
            "What work does {person} do?",
        ),
        lambda rng: {"person": rng.choice(list(PEOPLE))},
        lambda slots: _person(slots, job=True),
        0.8,
    ),
    _kind(
        "home",
        "learn where a person lives",
        (
            "Where does {person} live?",
            "In which town can I find {person}?",
        ),
        lambda rng: {"person": rng.choice(list(PEOPLE))},
        lambda slots: _person(slots, job=False),
        0.6,
    ),
    _kind(
        "is in",
        "check where a town lies",
        (
            "Is {town} in {region}?",
            "Does {town} lie in {region}?",
        ),
        _draw_is_in,
        _is_in,
        0.6,
    ),
    _kind(
        "name towns",
        "list towns of a region",
        (
            "Name {n} towns in {region}.",
            "List {n} towns of {region}.",
            "Give me {n} towns that lie in {region}.",
        ),
        lambda rng: {"n": rng.choice("23"), "region": rng.choice(REGIONS)},
        _name_towns,
        0.6,
    ),
    _unknown_kind("elsewhere", _FOREIGN, lambda rng: {"city": rng.choice(_ELSEWHERE)}),
    _unknown_kind("unknowable", _UNKNOWABLE, _town),
)
