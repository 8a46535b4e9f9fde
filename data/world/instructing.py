"""Examples of making instructions: CodecLM's lists, rubrics, improvements and contrasts (arXiv 2404.05875)."""

from __future__ import annotations

from random import Random

from .checker import judge
from .constraints import fitting
from .entities import TOWNS
from .examples import Example, prompted, say
from .judging import judged_task, mark, replies
from .kinds import fill_slots
from .tasks import FAMILIES, KINDS, Task, draw_task

RUBRICS = {
    "form": ("the form that the reply must take", "Ask for a set form of the reply"),
    "size": ("the size of what is given", "Make the given numbers or lists larger"),
    "rarity": ("how rarely it is asked", "Ask for something rarer"),
    "setting": ("how much setting is given", "Tell where the person lives"),
    "purpose": ("whether a purpose is stated", "Tell what it is for"),
    "care": ("how much care it takes", "Stress that care is needed"),
}


def decode(rng: Random) -> Example:
    family = rng.choice(FAMILIES)
    kind = rng.choice([kind for kind in KINDS if kind.family == family])
    count = rng.choice((2, 3, 3, 4, 5))
    lines: list[str] = []
    while len(lines) < count:
        task = draw_task(rng, family, wrapped=0.2)
        if task.kind.skills == kind.skills or rng.random() < 0.2:
            lines.append(task.instruction)
    prompt = say("codeclm/decode", count=str(count), use_case=kind.use_case, skills=", ".join(kind.skills))
    return prompted("decode", prompt, "\n".join(f"{i}. {line}" for i, line in enumerate(lines, 1)))


def rubrics(rng: Random) -> Example:
    kind = rng.choice(KINDS)
    names = rng.sample(list(RUBRICS), 4)
    reply = "\n".join(
        [
            "Rubrics:",
            *(f"{i}. {RUBRICS[name][0].capitalize()}." for i, name in enumerate(names, 1)),
            "Actions:",
            *(f"{i}. {RUBRICS[name][1]}." for i, name in enumerate(names, 1)),
        ]
    )
    return prompted("rubrics", say("codeclm/rubrics", use_case=kind.use_case, skills=", ".join(kind.skills)), reply)


def harder(rng: Random, task: Task, action: str) -> str:
    """The instruction made harder by one action of RUBRICS."""
    text = task.instruction if task.instruction.endswith((".", "?", "!")) else f"{task.instruction}."
    match action:
        case "form" if task.constraint is None and (forms := fitting(task.solution)):
            return f"{text} {rng.choice(rng.choice(forms).phrases)}"
        case "size" | "rarity":
            for _ in range(30):
                slots = task.kind.draw(rng)
                solution = task.kind.solve(slots)
                if solution is not None and solution.difficulty > task.solution.difficulty:
                    return fill_slots(rng.choice(task.kind.templates), slots)
        case "setting":
            return f"I live in {rng.choice(list(TOWNS))}. {text}"
        case "purpose":
            return f"{text} It is for a friend."
    return f"{text} Be careful."


def improve(rng: Random) -> Example:
    task = draw_task(rng, constrained=0.0, wrapped=0.0)
    action = rng.choice(list(RUBRICS))
    prompt = say("codeclm/improve", action=f"{RUBRICS[action][1]}.", instruction=task.instruction)
    return prompted("improve", prompt, harder(rng, task, action))


def plausible(rng: Random) -> Example:
    """Whether a use case and skills go together: they do if some kind of task has both."""
    kind = rng.choice(KINDS)
    skills = kind.skills if rng.random() < 0.5 else rng.choice(KINDS).skills
    known = any(one.use_case == kind.use_case and one.skills == skills for one in KINDS)
    prompt = say("codeclm/plausible", use_case=kind.use_case, skills=", ".join(skills))
    return prompted("plausible", prompt, "yes" if known else "no")


def contrast(rng: Random) -> Example:
    task = judged_task(rng)
    right, wrong = replies(rng, task)
    pair = rng.choice(((right, wrong), (wrong, right), (right, right), (wrong, wrong)))
    scores = [{5: 9, 3: 5, 1: 2}[mark(judge(task, reply))] for reply in pair]
    prompt = say("codeclm/contrast", instruction=task.instruction, response_a=pair[0], response_b=pair[1])
    return prompted("contrast", prompt, f"{scores[0]} {scores[1]}")
