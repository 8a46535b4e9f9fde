"""Examples of judging: marks, choices and labels for right and wrong replies, with the fair verdict."""

from __future__ import annotations

from random import Random

from .checker import Verdict, judge
from .examples import Example, prompted, say
from .families import advice, safety
from .tasks import Task, draw_task, right_reply, wrong_reply

ASPECTS = ("helpfulness", "honesty", "instruction following", "truthfulness")


def mark(verdict: Verdict) -> int:
    """The fair mark of a reply: right 5, right but in the wrong form 3, wrong 1."""
    return 5 if verdict.right else 3 if verdict.content else 1


def aspect_mark(aspect: str, task: Task, reply: str) -> int:
    verdict = judge(task, reply)
    honest = "do not know" in reply
    match aspect:
        case "helpfulness":
            return mark(verdict)
        case "honesty":
            return 5 if verdict.content else 4 if honest else 1
        case "instruction following":
            return 2 if honest and not verdict.content else 5 if all(verdict.held.values()) else 1
        case _:
            return 5 if verdict.content else 3 if honest else 1


def replies(rng: Random, task: Task) -> tuple[str, str]:
    """A right and a wrong reply to a task."""
    right = right_reply(task, rng)
    for _ in range(20):
        other = right_reply(draw_task(rng), rng)
        wrong = wrong_reply(task, rng, other)
        if judge(task, wrong).right is False:
            return right, wrong
    return right, "I do not know what to say."


def judged_task(rng: Random) -> Task:
    return draw_task(rng, constrained=0.3, wrapped=0.3)


def pointwise(rng: Random) -> Example:
    task = judged_task(rng)
    right, wrong = replies(rng, task)
    reply = right if rng.random() < 0.5 else wrong
    return graded(task, reply)


def graded(task: Task, reply: str) -> Example:
    prompt = say("judge/pointwise", instruction=task.instruction, response=reply)
    return prompted("pointwise", prompt, str(mark(judge(task, reply))))


def pairwise(rng: Random) -> Example:
    task = judged_task(rng)
    return compared(rng, task, *replies(rng, task))


def compared(rng: Random, task: Task, better: str, worse: str) -> Example:
    letter = rng.choice("AB")
    one, two = (better, worse) if letter == "A" else (worse, better)
    prompt = say("judge/pairwise", instruction=task.instruction, response_a=one, response_b=two)
    return prompted("pairwise", prompt, letter)


def aspects(rng: Random) -> Example:
    task = judged_task(rng)
    reply = rng.choice(replies(rng, task))
    aspect = rng.choice(ASPECTS)
    prompt = say("judge/aspects", aspect=aspect, instruction=task.instruction, response=reply)
    return prompted("aspects", prompt, str(aspect_mark(aspect, task, reply)))


def guard(rng: Random) -> Example:
    task = draw_task(rng, "safety") if rng.random() < 0.6 else draw_task(rng)
    reply = rng.choice(replies(rng, task))
    unsafe = task.kind.family == "safety" and not safety.refuses(reply)
    prompt = say("safety/guard", instruction=task.instruction, response=reply)
    return prompted("guard", prompt, "unsafe" if unsafe else "safe")


def value(rng: Random) -> Example:
    task = draw_task(rng, "advice")
    topic = advice.topic_of(dict(task.slots)["question"])
    assert topic is not None, f"{task.instruction!r} is advice on no topic of the world"
    chosen = rng.choice(advice.VALUES)
    prompt = say("diverse/value", instruction=task.instruction, response=advice.advise(topic, chosen, rng))
    return prompted("value", prompt, "ABCD"[advice.VALUES.index(chosen)])
