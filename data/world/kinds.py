"""The words in which the world is described: a kind of task, its slots, its solution.

A kind is written once and used in both directions: its templates are filled to write an instruction, and turned into
regular expressions to read one back. Slots with one-letter names hold whole numbers, all others hold free text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from random import Random

Slots = dict[str, str]
DIFFICULTIES = ("very easy", "easy", "medium", "hard", "very hard")


@dataclass(frozen=True)
class Solution:
    """What is right for one filled task. `say` holds ways to answer in full, with `{key}` where the answer stands."""

    key: str
    say: tuple[str, ...]
    holds: Callable[[str], bool]
    difficulty: int
    wrong: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    free: bool = False  # many replies are right, so that no constraint on the form is added to the request
    value_of: Callable[[str], str | None] | None = None


Draw = Callable[[Random], Slots]
Solve = Callable[[Slots], Solution | None]


@dataclass(frozen=True)
class Kind:
    """One sort of task: how it is asked, drawn and solved, and what an analyst would say of it."""

    family: str
    tag: str
    intent: str
    use_case: str
    skills: tuple[str, ...]
    templates: tuple[str, ...]
    draw: Draw
    solve: Solve
    weight: float = 1.0
    wrappable: bool = True
    name: str = field(default="")

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(_pattern(template), re.IGNORECASE | re.DOTALL) for template in self.templates)


def fill_slots(template: str, slots: Slots) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: slots[match.group(1)], template)


def _pattern(template: str) -> str:
    seen: set[str] = set()

    def group(name: str) -> str:
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>-?[0-9]{{1,6}})" if len(name) == 1 else f"(?P<{name}>.+?)"

    pieces = re.split(r"\{(\w+)\}", template)
    return "".join(group(piece) if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))


def last_number(key: str) -> Callable[[str], bool]:
    """The last whole number in the reply is the key."""

    def holds(reply: str) -> bool:
        numbers = re.findall(r"-?\d+", re.sub(r"(?<=\d),(?=\d{3})", "", reply))
        return bool(numbers) and numbers[-1] == key

    return holds


def mentions(key: str, others: tuple[str, ...] = ()) -> Callable[[str], bool]:
    """The reply names the key as a whole word, and none of the answers that would be wrong."""
    wanted = _whole(key)
    unwanted = [_whole(other) for other in others if not wanted.search(other) and other.lower() not in key.lower()]
    return lambda reply: bool(wanted.search(reply)) and not any(one.search(reply) for one in unwanted)


def says_yes(yes: bool) -> Callable[[str], bool]:
    """The first yes or no in the reply is the right one."""

    def holds(reply: str) -> bool:
        found = re.search(r"\b(yes|no|true|false)\b", reply, re.IGNORECASE)
        return found is not None and (found.group(1).lower() in ("yes", "true")) == yes

    return holds


def lists(items: tuple[str, ...]) -> Callable[[str], bool]:
    """The reply ends in exactly these items in this order, in prose, bullets, lines or JSON."""
    wanted = [item.lower() for item in items]

    def holds(reply: str) -> bool:
        tail = reply.rsplit(":", 1)[-1]
        tail = re.sub(r"(?m)^\s*(?:[-*•]|\d+[.)])\s+", " ", tail)
        words = re.findall(r"[\w'-]+", tail.lower())
        return [word for word in words if word != "and"] == wanted

    return holds


def exactly(key: str) -> Callable[[str], bool]:
    """The reply, or what follows its last colon, is the key to the letter, quotes and a final full stop aside."""

    def bare(text: str) -> str:
        return text.strip().strip("\"'{}").strip().rstrip(".!").strip().strip('"').strip()

    return lambda reply: bare(key) in (bare(reply), bare(reply.rsplit(": ", 1)[-1]))


def _whole(key: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(key)}(?!\w)", re.IGNORECASE)


def near_numbers(key: int, *likely: int) -> tuple[str, ...]:
    """Wrong answers that a careless reader would give, nearest first."""
    steps = (1, -1, 2, -2, 10, -10)
    candidates = [*likely, *(key + step for step in steps)]
    return tuple(dict.fromkeys(str(value) for value in candidates if value != key and value >= 0))
