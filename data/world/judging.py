"""Examples of judging: marks, choices and labels for right and wrong replies, with the fair verdict."""

from __future__ import annotations

from random import Random

from .checker import Verdict, judge
from .examples import Example, dialogue, judged, say
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
    return judged("pointwise", prompt, str(mark(judge(task, reply))))


def pairwise(rng: Random) -> Example:
    task = judged_task(rng)
    return compared(rng, task, *replies(rng, task))


def compared(rng: Random, task: Task, better: str, worse: str) -> Example:
    letter = rng.choice("AB")
    one, two = (better, worse) if letter == "A" else (worse, better)
    prompt = say("judge/pairwise", instruction=task.instruction, response_a=one, response_b=two)
    return judged("pairwise", prompt, letter)


def _after(sort: str, task: Task, own: str, question: str, verdict: str) -> Example:
    """A judge that has answered first. Its own answer is learnt where it is right, and only read where it is not."""
    asked = dialogue(
        sort,
        [{"role": "user", "content": task.instruction}, {"role": "assistant", "content": own}],
        trained=("assistant",) if judge(task, own).right else (),
    )
    return Example(sort, (*asked.pieces, *judged(sort, question, verdict).pieces))


def graded_after(task: Task, own: str, reply: str) -> Example:
    question = say("judge/pointwise_after", response=reply)
    return _after("pointwise", task, own, question, str(mark(judge(task, reply))))


def compared_after(rng: Random, task: Task, own: str, better: str, worse: str) -> Example:
    letter = rng.choice("AB")
    one, two = (better, worse) if letter == "A" else (worse, better)
    return _after("pairwise", task, own, say("judge/pairwise_after", response_a=one, response_b=two), letter)


def pointwise_after(rng: Random) -> Example:
    task = judged_task(rng)
    right, wrong = replies(rng, task)
    return graded_after(task, own_answer(rng, task), right if rng.random() < 0.5 else wrong)


def pairwise_after(rng: Random) -> Example:
    task = judged_task(rng)
    return compared_after(rng, task, own_answer(rng, task), *replies(rng, task))


def own_answer(rng: Random, task: Task) -> str:
    """What the judge says itself before it judges: mostly right."""
    return right_reply(task, rng) if rng.random() < 0.85 else replies(rng, task)[1]


def aspects(rng: Random) -> Example:
    task = judged_task(rng)
    reply = rng.choice(replies(rng, task))
    aspect = rng.choice(ASPECTS)
    prompt = say("judge/aspects", aspect=aspect, instruction=task.instruction, response=reply)
    return judged("aspects", prompt, str(aspect_mark(aspect, task, reply)))


def guard(rng: Random) -> Example:
    task = draw_task(rng, "safety") if rng.random() < 0.6 else draw_task(rng)
    reply = rng.choice(replies(rng, task))
    unsafe = task.kind.family == "safety" and not safety.refuses(reply)
    prompt = say("safety/guard", instruction=task.instruction, response=reply)
    return judged("guard", prompt, "unsafe" if unsafe else "safe")


def value(rng: Random) -> Example:
    task = draw_task(rng, "advice")
    topic = advice.topic_of(dict(task.slots)["question"])
    assert topic is not None, f"{task.instruction!r} is advice on no topic of the world"
    chosen = rng.choice(advice.VALUES)
    prompt = say("diverse/value", instruction=task.instruction, response=advice.advise(topic, chosen, rng))
    return judged("value", prompt, "ABCD"[advice.VALUES.index(chosen)])
