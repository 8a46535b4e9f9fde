"""Units and the calendar: a limited table that can be known by heart."""

from __future__ import annotations

from random import Random

from ..entities import MONTHS
from ..kinds import Draw, Kind, Slots, Solution, Solve, last_number, mentions, near_numbers

_FACTORS = {
    ("minutes", "seconds"): 60,
    ("hours", "minutes"): 60,
    ("days", "hours"): 24,
    ("weeks", "days"): 7,
    ("years", "months"): 12,
    ("metres", "centimetres"): 100,
    ("kilometres", "metres"): 1000,
    ("kilograms", "grams"): 1000,
    ("litres", "millilitres"): 1000,
    ("feet", "inches"): 12,
    ("dozens", "pieces"): 12,
    ("pairs", "pieces"): 2,
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LENGTHS = dict(zip(MONTHS, (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))


def _draw_unit(rng: Random) -> Slots:
    large, small = rng.choice(list(_FACTORS))
    return {"a": str(rng.randint(2, 10)), "large": large, "small": small}


def _level(factor: int, count: int) -> int:
    if factor in (2, 100, 1000):
        return 0 if count <= 5 else 1
    return (2 if count <= 5 else 3) if factor in (7, 12, 60) else 4


def _convert(slots: Slots) -> Solution | None:
    factor = _FACTORS.get((slots["large"].lower(), slots["small"].lower()))
    count = int(slots["a"])
    if factor is None or not 0 <= count <= 100:
        return None
    large, small, value = slots["large"].lower(), slots["small"].lower(), count * factor
    return Solution(
        str(value),
        (f"{count} {large} are {{key}} {small}.", f"That is {{key}} {small}."),
        last_number(str(value)),
        _level(factor, count),
        near_numbers(value, value + factor, value - factor, count * 10, count * 100),
    )


def _draw_back(rng: Random) -> Slots:
    large, small = rng.choice(list(_FACTORS))
    return {"a": str(rng.randint(2, 10) * _FACTORS[large, small]), "large": large, "small": small}


def _convert_back(slots: Slots) -> Solution | None:
    factor = _FACTORS.get((slots["large"].lower(), slots["small"].lower()))
    if factor is None or int(slots["a"]) <= 0 or int(slots["a"]) % factor:
        return None
    large, small, value = slots["large"].lower(), slots["small"].lower(), int(slots["a"]) // factor
    return Solution(
        str(value),
        (f"{slots['a']} {small} are {{key}} {large}.", f"That is {{key}} {large}."),
        last_number(str(value)),
        min(4, _level(factor, value) + 1),
        near_numbers(value, value * 10, value + 1),
    )


def _draw_day(rng: Random) -> Slots:
    return {"day": rng.choice(_DAYS), "n": str(rng.randint(2, 9))}


def _shift(slots: Slots, sign: int) -> Solution | None:
    day, steps = slots["day"].capitalize(), int(slots["n"])
    if day not in _DAYS or not 0 < steps < 32:
        return None
    key = _DAYS[(_DAYS.index(day) + sign * steps) % 7]
    level = 1 if steps <= 3 else 2 if steps <= 7 else 3
    word = "after" if sign > 0 else "before"
    others = tuple(one for one in _DAYS if one not in (key, day))
    return Solution(
        key,
        (f"{steps} days {word} {day} is {{key}}.", "It is {key}.", "That is a {key}."),
        mentions(key, others),
        level if sign > 0 else level + 1,
        others,
    )


def _neighbour(slots: Slots, sign: int) -> Solution | None:
    name = slots["name"].capitalize()
    for cycle in (MONTHS, _DAYS):
        if name in cycle:
            key = cycle[(cycle.index(name) + sign) % len(cycle)]
            others = tuple(one for one in cycle if one not in (key, name))
            say = (f"{{key}} comes right {'after' if sign > 0 else 'before'} {name}.", "{key}.", "It is {key}.")
            return Solution(key, say, mentions(key, others), 0 if sign > 0 else 1, others)
    return None


def _days_in(slots: Slots) -> Solution | None:
    month = slots["month"].capitalize()
    if month not in _LENGTHS:
        return None
    key = str(_LENGTHS[month])
    return Solution(
        key,
        (f"{month} has {{key}} days.", "{key} days."),
        last_number(key),
        1,
        tuple(one for one in ("28", "30", "31") if one != key),
    )


def _unit_kind(name: str, intent: str, templates: tuple[str, ...], back: bool) -> Kind:
    return Kind(
        "units",
        "Math",
        intent,
        "unit conversion",
        ("unit tables", "multiplication"),
        templates,
        _draw_back if back else _draw_unit,
        _convert_back if back else _convert,
        name=name,
    )


def _name(rng: Random) -> Slots:
    return {"name": rng.choice(MONTHS + _DAYS)}


def _date_kind(name: str, intent: str, templates: tuple[str, ...], draw: Draw, solve: Solve, weight: float = 1.0) -> Kind:
    return Kind(
        "dates", "Reasoning", intent, "calendar arithmetic", ("calendar facts",), templates, draw, solve, weight, name=name
    )


KINDS = (
    _unit_kind(
        "convert",
        "convert a measure to a smaller unit",
        (
            "How many {small} are {a} {large}?",
            "Convert {a} {large} to {small}.",
            "{a} {large} in {small}, please.",
            "Express {a} {large} in {small}.",
            "What is {a} {large} in {small}?",
            "Turn {a} {large} into {small}.",
        ),
        back=False,
    ),
    _unit_kind(
        "convert back",
        "convert a measure to a larger unit",
        (
            "How many whole {large} are {a} {small}?",
            "I have {a} {small}. How many {large} is that?",
            "Change {a} {small} back into {large}.",
        ),
        back=True,
    ),
    _date_kind(
        "after",
        "find a later weekday",
        (
            "What day is {n} days after {day}?",
            "Today is {day}. What day will it be in {n} days?",
            "If it is {day}, which weekday comes {n} days later?",
            "My parcel comes {n} days after {day}. Which day is that?",
        ),
        draw=_draw_day,
        solve=lambda slots: _shift(slots, 1),
    ),
    _date_kind(
        "before",
        "find an earlier weekday",
        (
            "What day was {n} days before {day}?",
            "Today is {day}. What day was it {n} days ago?",
        ),
        draw=_draw_day,
        solve=lambda slots: _shift(slots, -1),
        weight=0.6,
    ),
    _date_kind(
        "next",
        "name the next month or day",
        (
            "What comes right after {name}?",
            "Which one follows {name}?",
            "Name what comes directly after {name}.",
        ),
        draw=_name,
        solve=lambda slots: _neighbour(slots, 1),
        weight=0.6,
    ),
    _date_kind(
        "previous",
        "name the month or day before",
        (
            "What comes right before {name}?",
            "Which one comes just before {name}?",
        ),
        draw=_name,
        solve=lambda slots: _neighbour(slots, -1),
        weight=0.6,
    ),
    _date_kind(
        "length",
        "recall the length of a month",
        (
            "How many days does {month} have?",
            "How long is {month} in days?",
            "Number of days in {month}?",
        ),
        draw=lambda rng: {"month": rng.choice(MONTHS)},
        solve=_days_in,
        weight=0.5,
    ),
)
