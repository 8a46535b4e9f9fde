"""Examples of giving several answers to one question, after arXiv 2507.09650, 2509.21267 and 2510.01171."""

from __future__ import annotations

from random import Random

from ...schemas.prompts import prompt
from .examples import Example, dialogue, prompted, say
from .families import advice
from .judging import judged_task
from .tasks import draw_task


def _question(rng: Random) -> tuple[str, str]:
    task = draw_task(rng, "advice")
    topic = advice.topic_of(dict(task.slots)["question"])
    assert topic is not None, f"{task.instruction!r} is advice on no topic of the world"
    return task.instruction, topic


def negatively_correlated(rng: Random) -> Example:
    question, topic = _question(rng)
    count = rng.choice((2, 3, 4, 4, 4))
    values = rng.sample(advice.VALUES, count)
    reply = "\n\n".join(
        f"# Response {letter}:\n{advice.advise(topic, value, rng)}" for letter, value in zip("ABCD", values, strict=False)
    )
    return prompted("diverse", question, reply, system=say("diverse/negatively_correlated", count=str(count)))


def verbalized(rng: Random) -> Example:
    question, topic = _question(rng)
    count = rng.choice((2, 3, 4))
    chosen = rng.sample(list(zip(advice.VALUES, ("0.08", "0.30", "0.12", "0.50"), strict=True)), count)
    reply = "\n".join(f"{chance}: {advice.advise(topic, value, rng)}" for value, chance in chosen)
    return prompted("verbalized", question, reply, system=say("diverse/verbalized", count=str(count)))


def regenerate(rng: Random) -> Example:
    question, topic = _question(rng)
    values = rng.sample(advice.VALUES, rng.choice((2, 3, 4)))
    messages = [{"role": "user", "content": question}]
    for number, value in enumerate(values):
        if number:
            messages.append({"role": "user", "content": prompt("diverse/regenerate")})
        messages.append({"role": "assistant", "content": advice.advise(topic, value, rng)})
    return dialogue("regenerate", messages, trained=("assistant",))


def task_guard(rng: Random) -> Example:
    task = draw_task(rng, "advice") if rng.random() < 0.3 else judged_task(rng)
    several = task.kind.family in ("advice", "creative", "brainstorming", "planning", "role play")
    return prompted("task guard", say("diverse/task_guard", instruction=task.instruction), "yes" if several else "no")
