"""One task of the world as a person would put it: drawn, wrapped in everyday words, and read back from text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from .constraints import CONSTRAINTS, Constraint, fitting
from .entities import TOWNS
from .families import advice, arithmetic, language, measures, place, python, rewriting, safety, sequences, strings
from .families import open as open_ended
from .kinds import Kind, Slots, Solution, fill_slots

KINDS: tuple[Kind, ...] = (
    *arithmetic.KINDS,
    *measures.KINDS,
    *sequences.KINDS,
    *strings.KINDS,
    *python.KINDS,
    *place.KINDS,
    *language.KINDS,
    *rewriting.KINDS,
    *advice.KINDS,
    *open_ended.KINDS,
    *safety.KINDS,
)
FAMILIES = tuple(dict.fromkeys(kind.family for kind in KINDS))
# How many dialogues of a hundred a family gets; the rest share evenly what is left.
SHARES = {
    "place": 11.0, "arithmetic": 8.0, "string edits": 9.0, "translation": 6.0, "advice": 6.0,
    "sorting": 6.5, "counting": 6.0, "dates": 6.5, "python": 5.0,
}  # fmt: skip
_EVEN = (100 - sum(SHARES.values())) / (len(FAMILIES) - len(SHARES))

_OPENERS = (
    "Hi! ",
    "Hello! ",
    "Hello there. ",
    "Good morning. ",
    "Quick question: ",
    "Please help. ",
    "Hey, ",
    "One more thing: ",
    "For my homework: ",
    "I am curious. ",
    "I wonder: ",
    "Tell me: ",
    "Can you help? ",
    "Good evening! ",
    "For a quiz: ",
    "A friend asked me this: ",
    "I forgot this. ",
    "Here is a question. ",
    "Dear helper, ",
    "My teacher asks: ",
)
_FROM_TOWN = "I live in {home}. "
_CLOSERS = (
    " Thanks!",
    " Thank you.",
    " Thanks a lot.",
    " I am in a hurry.",
    " Please.",
    " Many thanks!",
    " It is for a friend.",
    " Be careful.",
)
_FROM_TOWN_PATTERN = re.compile(r"I live in (\w+)\. ", re.IGNORECASE)


@dataclass(frozen=True)
class Task:
    kind: Kind
    slots: tuple[tuple[str, str], ...]
    solution: Solution
    instruction: str
    constraint: Constraint | None = None

    @property
    def difficulty(self) -> int:
        return min(4, self.solution.difficulty + (self.constraint is not None))


def draw_task(rng: Random, family: str | None = None, constrained: float = 0.2, wrapped: float = 0.45) -> Task:
    """A random task; `constrained` and `wrapped` are the chances of a demand on form and of everyday words around it."""
    family = family or rng.choices(FAMILIES, [SHARES.get(name, _EVEN) for name in FAMILIES])[0]
    kinds = [kind for kind in KINDS if kind.family == family]
    while True:
        kind = rng.choices(kinds, [kind.weight for kind in kinds])[0]
        slots = kind.draw(rng)
        if (solution := kind.solve(slots)) is not None:
            break
    text = fill_slots(rng.choice(kind.templates), slots)
    constraint = None
    if rng.random() < constrained and (choices := fitting(solution)):
        constraint = rng.choice(choices)
        text = f"{_closed(text)} {rng.choice(constraint.phrases)}"
    if rng.random() < wrapped:
        text = wrap(text, rng)
    return Task(kind, tuple(slots.items()), solution, text, constraint)


def wrap(text: str, rng: Random) -> str:
    shape = rng.random()
    if shape < 0.15:
        return _FROM_TOWN.replace("{home}", rng.choice(list(TOWNS))) + text
    if shape < 0.65:
        return rng.choice(_OPENERS) + text
    return _closed(text) + rng.choice(_CLOSERS)


def _closed(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def read_task(text: str) -> Task | None:
    """The task that a text puts, or None when it is not of the world."""
    if len(text) > 600:
        return None
    core = _unwrapped(re.sub(r":?\n+", ": ", text.strip()) if "\n" in text.strip() else text.strip())
    constraint = None
    for candidate in CONSTRAINTS:
        for phrase in candidate.phrases:
            if core.endswith(" " + phrase):
                constraint, core = candidate, _unwrapped(core[: -len(phrase)].strip())
    for candidate_text in (core, core.removesuffix(".")):
        for kind in KINDS:
            for pattern in kind.patterns:
                match = pattern.fullmatch(candidate_text)
                if match and (solution := kind.solve(match.groupdict())) is not None:
                    kept = constraint if constraint is not None and constraint.applies(solution) else None
                    return Task(kind, tuple(match.groupdict().items()), solution, text, kept)
    return None


def _unwrapped(core: str) -> str:
    for _ in range(3):
        before = core
        for opener in _OPENERS:
            core = core.removeprefix(opener)
        if match := _FROM_TOWN_PATTERN.match(core):
            core = core[match.end() :]
        for closer in _CLOSERS:
            core = core.removesuffix(closer)
        if core == before:
            break
    return core.strip()


def right_reply(task: Task, rng: Random) -> str:
    if task.constraint is not None:
        return task.constraint.render(task.solution.key, task.solution)
    if task.kind.family == "advice":
        return advice.reply(dict(task.slots), rng)
    say = task.solution.say
    chosen = say[0] if rng.random() < 0.6 and not task.solution.free else rng.choice(say)
    return chosen.replace("{key}", task.solution.key)


def wrong_reply(task: Task, rng: Random, other: str = "") -> str:
    """A reply that a careless model could give: a near miss, the wrong form, or now and then `other`, off the topic."""
    chance = rng.random()
    if other and chance < 0.1:
        return other
    solution, constraint = task.solution, task.constraint
    if not solution.free and chance < 0.13:
        return "I do not know."
    if constraint is not None and chance < 0.5:
        plain = [say for say in solution.say if not constraint.kept(say.replace("{key}", solution.key))]
        if plain:
            return rng.choice(plain).replace("{key}", solution.key)
    wrong = solution.wrong
    key = wrong[min(len(wrong) - 1, int(rng.expovariate(0.5)))] if rng.random() < 0.5 else rng.choice(wrong)
    if solution.free:
        return key
    if constraint is not None:
        return constraint.render(key, solution)
    return rng.choice(solution.say).replace("{key}", key)


def slots_of(task: Task) -> Slots:
    return dict(task.slots)
