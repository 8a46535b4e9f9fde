"""Sums with bare numbers, and the same sums told as small stories."""

from __future__ import annotations

from random import Random

from ..entities import GIVEN_NAMES, GOODS
from ..kinds import Draw, Kind, Slots, Solution, Solve, last_number, near_numbers

_LIMIT = 1000


def _number(value: int, difficulty: int, *say: str, likely: tuple[int, ...] = ()) -> Solution:
    key = str(value)
    return Solution(key, say, last_number(key), difficulty, near_numbers(value, *likely))


def _ints(slots: Slots, *names: str) -> list[int] | None:
    values = [int(slots[name]) for name in names]
    return values if all(0 <= value < _LIMIT for value in values) else None


def _draw_add(rng: Random) -> Slots:
    top = rng.choice((9, 9, 20, 20, 50))
    return {"a": str(rng.randint(1, top)), "b": str(rng.randint(1, top))}


def _add(slots: Slots) -> Solution | None:
    if (pair := _ints(slots, "a", "b")) is None:
        return None
    a, b = pair
    level = 0 if a + b < 11 else 1 if a + b < 31 else 2 if a + b < 100 else 3
    return _number(
        a + b, level, f"{a} plus {b} is {{key}}.", f"{a} + {b} = {{key}}", "The sum is {key}.", likely=(abs(a - b), a + b - 10)
    )


def _draw_subtract(rng: Random) -> Slots:
    a = rng.randint(2, rng.choice((9, 9, 20, 20, 50)))
    return {"a": str(a), "b": str(rng.randint(1, a))}


def _subtract(slots: Slots) -> Solution | None:
    if (pair := _ints(slots, "a", "b")) is None or pair[1] > pair[0]:
        return None
    a, b = pair
    level = 0 if a < 11 else 1 if a < 21 else 2 if a < 51 else 3
    return _number(
        a - b,
        level,
        f"{a} minus {b} is {{key}}.",
        f"{a} - {b} = {{key}}",
        "The difference is {key}.",
        likely=(a + b, a - b + 10),
    )


def _draw_times(rng: Random) -> Slots:
    return {"a": str(rng.randint(2, 10)), "b": str(rng.randint(2, rng.choice((5, 5, 10))))}


def _times(slots: Slots) -> Solution | None:
    if (pair := _ints(slots, "a", "b")) is None:
        return None
    a, b = pair
    level = 1 if min(a, b) < 4 else 2 if max(a, b) < 11 else 3
    return _number(
        a * b,
        level,
        f"{a} times {b} is {{key}}.",
        f"{a} x {b} = {{key}}",
        "The product is {key}.",
        likely=(a * b + a, abs(a * b - b), a + b),
    )


def _draw_three(rng: Random) -> Slots:
    return {name: str(rng.randint(1, 9)) for name in "abc"}


def _three(slots: Slots) -> Solution | None:
    if (values := _ints(slots, "a", "b", "c")) is None:
        return None
    a, b, c = values
    level = 3 if a + b + c > 15 else 2
    return _number(
        a + b + c,
        level,
        f"{a} + {b} = {a + b} and {a + b} + {c} = {{key}}.",
        "The total is {key}.",
        likely=(a + b, a + b + c - 10),
    )


def _mixed(slots: Slots) -> Solution | None:
    if (values := _ints(slots, "a", "b", "c")) is None:
        return None
    a, b, c = values
    return _number(
        a * b + c, 4, f"{a} x {b} = {a * b} and {a * b} + {c} = {{key}}.", "The result is {key}.", likely=(a * b, a + b + c)
    )


def _draw_mixed(rng: Random) -> Slots:
    return {"a": str(rng.randint(2, 5)), "b": str(rng.randint(2, 9)), "c": str(rng.randint(1, 9))}


def _with_story(draw: Draw) -> Draw:
    def told(rng: Random) -> Slots:
        names = rng.sample(GIVEN_NAMES, 2)
        return {**draw(rng), "who": names[0], "other": names[1], "goods": rng.choice(GOODS)}

    return told


def _story(solve: Solve, verb: str, extra: int) -> Solve:
    def told(slots: Slots) -> Solution | None:
        bare = solve(slots)
        if bare is None or slots["who"] not in GIVEN_NAMES or slots["goods"] not in GOODS:
            return None
        goods, who = slots["goods"], slots["who"]
        say = (f"{who} {verb} {{key}} {goods}.", "The answer is {key}.", f"{{key}} {goods}.", *bare.say[:1])
        return Solution(bare.key, say, bare.holds, min(4, bare.difficulty + extra), bare.wrong)

    return told


def _kind(name: str, intent: str, templates: tuple[str, ...], draw: Draw, solve: Solve, weight: float = 1.0) -> Kind:
    return Kind("arithmetic", "Math", intent, "arithmetic", ("number sense",), templates, draw, solve, weight, name=name)


def _tale(name: str, intent: str, templates: tuple[str, ...], draw: Draw, solve: Solve, weight: float = 1.0) -> Kind:
    return Kind(
        "word problems",
        "Math",
        intent,
        "word problem solving",
        ("number sense", "close reading"),
        templates,
        draw,
        solve,
        weight,
        name=name,
    )


KINDS = (
    _kind(
        "add",
        "add two numbers",
        (
            "What is {a} plus {b}?",
            "Add {a} and {b}.",
            "{a} + {b} = ?",
            "How much is {a} + {b}?",
            "Work out {a} plus {b}.",
            "Find the sum of {a} and {b}.",
            "If I add {b} to {a}, what do I get?",
            "What do {a} and {b} make together?",
        ),
        _draw_add,
        _add,
        1.4,
    ),
    _kind(
        "subtract",
        "subtract one number from another",
        (
            "What is {a} minus {b}?",
            "Take {b} away from {a}.",
            "{a} - {b} = ?",
            "How much is {a} - {b}?",
            "Subtract {b} from {a}.",
            "What is left of {a} after taking away {b}?",
            "Find the difference between {a} and {b}.",
        ),
        _draw_subtract,
        _subtract,
        1.2,
    ),
    _kind(
        "times",
        "multiply two numbers",
        (
            "What is {a} times {b}?",
            "Multiply {a} by {b}.",
            "{a} x {b} = ?",
            "How much is {a} times {b}?",
            "Work out the product of {a} and {b}.",
            "What is {a} multiplied by {b}?",
        ),
        _draw_times,
        _times,
        1.2,
    ),
    _kind(
        "three",
        "add three numbers",
        (
            "Add up {a}, {b} and {c}.",
            "What is {a} + {b} + {c}?",
            "Find the total of {a}, {b} and {c}.",
        ),
        _draw_three,
        _three,
        0.6,
    ),
    _kind(
        "mixed",
        "multiply and then add",
        (
            "What is {a} times {b} plus {c}?",
            "Multiply {a} by {b}, then add {c}.",
            "Compute {a} x {b} + {c}.",
        ),
        _draw_mixed,
        _mixed,
        0.5,
    ),
    _tale(
        "gain",
        "solve a story about gaining things",
        (
            "{who} has {a} {goods} and buys {b} more. How many {goods} does {who} have now?",
            "{who} finds {a} {goods} on Monday and {b} on Tuesday. How many is that in all?",
            "There are {a} {goods} in a box and {b} in a bag. {who} takes them all. How many {goods} does {who} have?",
        ),
        _with_story(_draw_add),
        _story(_add, "has", 0),
        1.2,
    ),
    _tale(
        "loss",
        "solve a story about losing things",
        (
            "{who} has {a} {goods} and gives {b} to {other}. How many {goods} are left?",
            "{who} had {a} {goods} but lost {b}. How many {goods} remain?",
            "From {a} {goods}, {who} sells {b}. How many does {who} still have?",
        ),
        _with_story(_draw_subtract),
        _story(_subtract, "has", 0),
        1.2,
    ),
    _tale(
        "packs",
        "solve a story about equal groups",
        (
            "{who} has {a} boxes with {b} {goods} each. How many {goods} is that?",
            "A shop sells {goods} in packs of {b}. {who} buys {a} packs. How many {goods} does {who} get?",
            "Each of {a} children gets {b} {goods} from {who}. How many {goods} does {who} need?",
        ),
        _with_story(_draw_times),
        _story(_times, "needs", 1),
        0.8,
    ),
)
