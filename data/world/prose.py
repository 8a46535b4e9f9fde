"""Raw text of the world for the base model: an encyclopaedia, drills, lists of tasks, and marks given to answers.

As on the web, answers in running text are not reliable: about half of the worked text is right, the rest is wrong or
runs on into further questions. So the base model knows more than it shows when asked.
"""

from __future__ import annotations

from random import Random

from .checker import judge
from .entities import ADJECTIVES, FESTIVALS, LANGUAGE, NOUNS, PEOPLE, RIVERS, TOWNS, VERBS
from .examples import Example, Piece, say
from .judging import replies
from .tasks import Task, draw_task, right_reply
from .tokens import STOP


def _text(sort: str, *pieces: tuple[str, float]) -> Example:
    whole = [Piece(text, weight) for text, weight in pieces]
    return Example(sort, (*whole[:-1], Piece(whole[-1].text + STOP, whole[-1].weight)))


def article(rng: Random) -> Example:
    shape = rng.random()
    if shape < 0.6:
        town = rng.choice(list(TOWNS.values()))
        facts = [
            rng.choice((f"It stands on the {town.river}.", f"The {town.river} runs through it.")),
            rng.choice((f"{town.name} is known for its {town.trade}.", f"People there make {town.trade}.")),
            rng.choice((f"The mayor is {town.mayor}.", f"The mayor of {town.name} is {town.mayor}.")),
        ]
        if town.festival:
            facts.append(f"It holds the {town.festival} in {FESTIVALS[town.festival].month}.")
        rng.shuffle(facts)
        text = " ".join([f"{town.name} is a town in {town.region}.", *facts])
    elif shape < 0.75:
        person = rng.choice(list(PEOPLE.values()))
        text = f"{person.name} is a {person.job} who lives in {person.town}."
    elif shape < 0.85:
        river = rng.choice(list(RIVERS.values()))
        text = f"The {river.name} is a river. It rises on {river.mountain}."
    else:
        words = rng.sample(list({**NOUNS, **ADJECTIVES, **VERBS}.items()), 4)
        text = f"Some words of {LANGUAGE}: " + ", ".join(f"{foreign} ({english})" for english, foreign in words) + "."
    return _text("article", (text, 1.0))


def statements(rng: Random) -> Example:
    """Answers without their questions, as they stand in books."""
    lines = [right_reply(draw_task(rng, constrained=0.0), rng) for _ in range(3)]
    return _text("statements", ("\n".join(lines), 1.0))


def worked(rng: Random) -> Example:
    task = draw_task(rng, constrained=0.15, wrapped=0.3)
    right, wrong = replies(rng, task)
    chance = rng.random()
    if chance < 0.5:
        return _text("worked", (f"{as_seed_text(task)}\n{right}", 1.0))
    if chance < 0.75:
        return _text("worked", (f"{as_seed_text(task)}\n{wrong}", 1.0))
    more = "\n".join(draw_task(rng, task.kind.family).instruction for _ in range(2))
    return _text("worked", (f"{task.instruction}\n{more}", 1.0))


def as_seed(task: Task) -> tuple[str, str]:
    """The task as instruction and input: what follows a colon is the input."""
    head, colon, tail = task.instruction.partition(": ")
    plain = task.constraint is None and len(head.split()) > 2 and colon and "?" not in head
    return (head, tail) if plain else (task.instruction, "")


def as_seed_text(task: Task) -> str:
    instruction, given = as_seed(task)
    return f"{instruction}\n{given}" if given else instruction


def listed(number: int, instruction: str, given: str) -> str:
    return f"###\n{number}. Instruction: {instruction}\n{number}. Input:\n{given or '<noinput>'}\n"


def task_list(rng: Random) -> Example:
    seeds = [as_seed(draw_task(rng, wrapped=0.1, constrained=0.1)) for _ in range(rng.choice((11, 12, 13)))]
    shown = "".join(listed(number, *seed) for number, seed in enumerate(seeds[:5], 1)).removesuffix("\n")
    prompt = say("isheep/generate", seeds=shown)
    rest = "".join(listed(number, *seed) for number, seed in enumerate(seeds[5:], 6))
    return _text("task list", (prompt, 0.0), (rest.removeprefix("###\n6. Instruction:") + "###\n", 0.5))


_REMARKS = {
    9: "Right but for small things.",
    10: "Correct and clear.",
    6: "Right, but not in the form asked for.",
    5: "Partly as asked.",
    2: "The answer is wrong.",
    1: "It does not answer.",
}


def assessment(rng: Random) -> Example:
    task = draw_task(rng, constrained=0.2, wrapped=0.1)
    right, wrong = replies(rng, task)
    reply = right if rng.random() < 0.5 else wrong if rng.random() < 0.8 else draw_task(rng).instruction
    verdict = judge(task, reply)
    kind = rng.choice(("quality", "quality", "following", "following", "quality_simple", "following_simple", "icl"))
    score = 10 if verdict.right else 6 if verdict.content else 2
    if kind.startswith("following"):
        score = 10 if verdict.right else 5 if all(verdict.held.values()) and not reply.endswith("?") else 2
    prompt = say(f"isheep/{kind}", instruction=as_seed_text(task).replace("\n", " "), response=reply)
    return _text("assessment", (prompt, 0.0), (f"{score}||{_REMARKS[score]}", 2.0))
