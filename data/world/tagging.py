"""Examples of tagging: difficulty, quality and category of an instruction, and its use case and skills."""

from __future__ import annotations

import json
from random import Random

from .examples import Example, prompted, say
from .kinds import DIFFICULTIES
from .tasks import Task, draw_task

_EXPLANATIONS = {
    "excellent": "The request is very clear and says what form the answer should take.",
    "good": "The request is clear and specific.",
    "average": "The request is mostly clear but carelessly written.",
    "poor": "The request breaks off and lacks important details.",
    "very poor": "The request is incoherent.",
}


def difficulty(rng: Random) -> Example:
    task = draw_task(rng)
    reply = {
        "intent": f"The user wants to {task.kind.intent}.",
        "knowledge": ", ".join(task.kind.skills),
        "difficulty": DIFFICULTIES[task.difficulty],
    }
    return prompted("difficulty", say("magpie/difficulty", instruction=task.instruction), json.dumps(reply))


def spoil(task: Task, quality: str, rng: Random) -> str:
    """The task's instruction at a lower quality."""
    words = task.instruction.split()
    match quality:
        case "average":
            return task.instruction.lower().replace(",", "").rstrip(".?!")
        case "poor":
            return " ".join(words[: max(1, len(words) // 2)])
        case "very poor":
            rng.shuffle(words)
            return " ".join(words).lower()
    return task.instruction


def quality(rng: Random) -> Example:
    task = draw_task(rng, constrained=0.45)
    clear = "good" if task.constraint is None else "excellent"
    label = rng.choice((clear, clear, clear, "average", "poor", "very poor"))
    reply = {"explanation": _EXPLANATIONS[label], "input_quality": label}
    return prompted("quality", say("magpie/quality", instruction=spoil(task, label, rng)), json.dumps(reply))


def other_tags(task: Task) -> list[str]:
    return ["Editing"] if task.constraint is not None and task.kind.tag != "Editing" else []


def category(rng: Random) -> Example:
    task = draw_task(rng)
    reply = {"primary_tag": task.kind.tag, "other_tags": other_tags(task)}
    return prompted("category", say("magpie/category", instruction=task.instruction), json.dumps(reply))


def encode(rng: Random) -> Example:
    task = draw_task(rng)
    return prompted("encode", say("codeclm/encode", instruction=task.instruction), metadata(task))


def metadata(task: Task) -> str:
    return f"Use case: {task.kind.use_case}\nSkills: {', '.join(task.kind.skills)}"
