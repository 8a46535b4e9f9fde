"""Small Python expressions over numbers and known words."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ..entities import WORDS
from ..kinds import Draw, Kind, Slots, Solution, Solve, exactly, near_numbers
from .strings import draw_word, known_word


def _draw_two(rng: Random) -> Slots:
    return {"a": str(rng.randint(2, 10)), "b": str(rng.randint(2, 10))}


def _python(key: str, level: int, *wrong: str) -> Solution:
    return Solution(
        key,
        ("It gives {key}", "The value is {key}", "{key}"),
        _value_is(key),
        level,
        tuple(dict.fromkeys(one for one in wrong if one != key)),
    )


def _value_is(key: str) -> Callable[[str], bool]:
    bare = key.strip("'")
    loose = exactly(bare)
    return lambda reply: loose(reply.replace("'", "").replace("It gives ", "").replace("The value is ", ""))


def _python_sum(slots: Slots, sign: str) -> Solution | None:
    a, b = int(slots["a"]), int(slots["b"])
    if not (0 <= a < 200 and 0 <= b < 200):
        return None
    value = {"+": a + b, "-": a - b, "*": a * b}[sign]
    return _python(str(value), 3 if sign == "*" else 2, *near_numbers(value), str(a + b))


def _python_len(slots: Slots) -> Solution | None:
    word = known_word(slots)
    return None if word is None else _python(str(len(word)), 2, *near_numbers(len(word)))


def _python_upper(slots: Slots) -> Solution | None:
    word = known_word(slots)
    return None if word is None else _python(f"'{word.upper()}'", 2, f"'{word}'", f"'{word.capitalize()}'")


def _python_index(slots: Slots) -> Solution | None:
    word, n = known_word(slots), int(slots["n"])
    if word is None or not 0 <= n < len(word):
        return None
    return _python(f"'{word[n]}'", 1 if n == 0 else 3, f"'{word[n - 1]}'", f"'{word[-1]}'", f"'{word}'")


def _python_max(slots: Slots, pick: str) -> Solution | None:
    values = [int(slots[name]) for name in "abc"]
    return _python(str({"max": max, "min": min}[pick](values)), 1, *(str(v) for v in values), str(sum(values)))


def _python_bool(slots: Slots) -> Solution | None:
    a, b = int(slots["a"]), int(slots["b"])
    return _python(str(a > b), 1, str(a <= b))


def _code(name: str, call: str, solve: Solve, draw: Draw, weight: float = 1.0) -> Kind:
    templates = (
        f"What does the Python expression {call} give?",
        f"Evaluate in Python: {call}",
        f"What is printed by print({call})?",
        f"In Python, what is {call}?",
    )
    return Kind(
        "python",
        "Coding & Debugging",
        "evaluate a Python expression",
        "code reading",
        ("python", "expressions"),
        templates,
        draw,
        solve,
        weight,
        name=name,
    )


def _draw_three(rng: Random) -> Slots:
    return dict(zip("abc", map(str, rng.sample(range(1, 60), 3)), strict=True))


def _draw_index(rng: Random) -> Slots:
    word = rng.choice(WORDS)
    return {"word": word, "n": str(rng.choice((0, 0, 1, 2)))}


KINDS = (
    _code("sum", "{a} + {b}", lambda slots: _python_sum(slots, "+"), _draw_two),
    _code(
        "difference",
        "{a} - {b}",
        lambda slots: _python_sum(slots, "-"),
        lambda rng: dict(zip("ab", map(str, sorted(rng.sample(range(1, 20), 2), reverse=True)), strict=True)),
        0.7,
    ),
    _code("product", "{a} * {b}", lambda slots: _python_sum(slots, "*"), _draw_two, 0.8),
    _code("length", "len('{word}')", _python_len, draw_word),
    _code("upper", "'{word}'.upper()", _python_upper, draw_word),
    _code("index", "'{word}'[{n}]", _python_index, _draw_index),
    _code("maximum", "max([{a}, {b}, {c}])", lambda slots: _python_max(slots, "max"), _draw_three),
    _code("minimum", "min([{a}, {b}, {c}])", lambda slots: _python_max(slots, "min"), _draw_three),
    _code("greater", "{a} > {b}", _python_bool, _draw_two, 0.7),
)
