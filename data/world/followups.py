"""Second turns: the same task in another form, a step further, or asked again after a complaint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from .constraints import CONSTRAINTS, fitting
from .kinds import Solution, last_number, near_numbers
from .tasks import Task, read_task

_AGAIN = ("Are you sure?", "Is that right?", "Can you check that?", "Please check again.")
_WRONG = (
    "That is wrong.",
    "No, that is not right.",
    "That is a mistake. Try again.",
    "I think that is wrong.",
    "Not correct, try again.",
)
_SHIFTS = (
    ("Now add {n} to that.", 1),
    ("Add {n} to your answer.", 1),
    ("And plus {n}?", 1),
    ("Now take {n} away from that.", -1),
    ("And minus {n}?", -1),
)
_FORMS = ("Say that again. {phrase}", "The same again. {phrase}", "Once more. {phrase}")
_THANKS = ("Thanks! ", "Thank you. ", "Great! ", "Perfect, thanks. ", "Ok. ")


def draw_followup(task: Task, rng: Random) -> tuple[str, Task] | None:
    """A further turn on a task, with the task that it amounts to; None when nothing natural follows."""
    choices = ["again", "wrong"]
    if task.solution.key.isdecimal() and not task.constraint:
        choices += ["shift"] * 3
    forms = [one for one in fitting(task.solution) if one is not task.constraint]
    if forms:
        choices += ["form"] * 4 + ["complaint"] * 2
    if task.solution.free:
        return None
    text = ""
    match rng.choice(choices):
        case "again":
            text = rng.choice(_AGAIN)
        case "wrong":
            text = rng.choice(_WRONG)
        case "shift":
            shape, _ = rng.choice(_SHIFTS)
            text = shape.replace("{n}", str(rng.randint(1, 9)))
        case "complaint":
            text = rng.choice(forms).complaint
        case _:
            text = rng.choice(_FORMS).replace("{phrase}", rng.choice(rng.choice(forms).phrases))
    if rng.random() < 0.2 and text not in _WRONG:
        text = rng.choice(_THANKS) + text
    after = follow(task, text)
    return None if after is None else (text, after)


def follow(task: Task, text: str) -> Task | None:
    """The task that a further turn amounts to."""
    for thanks in _THANKS:
        text = text.removeprefix(thanks)
    text = text.strip()
    if text in _AGAIN or text in _WRONG:
        return replace(task, instruction=text)
    for constraint in CONSTRAINTS:
        said = {constraint.complaint, *(form.replace("{phrase}", phrase) for form in _FORMS for phrase in constraint.phrases)}
        if text in said and constraint.applies(task.solution):
            return replace(task, instruction=text, constraint=constraint)
    for shape, sign in _SHIFTS:
        match = re.fullmatch(re.escape(shape).replace(r"\{n\}", r"([0-9]{1,3})"), text)
        if match and task.solution.key.isdecimal():
            value = int(task.solution.key) + sign * int(match.group(1))
            if value < 0:
                return None
            word = "plus" if sign > 0 else "minus"
            say = (f"{task.solution.key} {word} {match.group(1)} is {{key}}.", "That makes {key}.")
            level = min(4, task.solution.difficulty + 1)
            solution = Solution(str(value), say, last_number(str(value)), level, near_numbers(value))
            return replace(task, instruction=text, solution=solution, constraint=None)
    return None


def resolve(user_turns: Sequence[str]) -> Task | None:
    """The task that stands open after these user turns."""
    task: Task | None = None
    for text in user_turns:
        fresh = read_task(text)
        if fresh is None:
            for thanks in _THANKS:
                fresh = fresh or (read_task(text.removeprefix(thanks)) if text.startswith(thanks) else None)
        task = fresh or (follow(task, text) if task is not None else None)
    return task
