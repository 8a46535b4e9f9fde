"""Examples of judging: marks, choices and labels for right and wrong replies, with the fair verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from .checker import Verdict, judge
from .entities import NOUNS, TOWNS, WORDS
from .examples import VERDICT_WEIGHT, Example, Piece, dialogue, judged, say
from .families import advice, safety
from .tasks import Task, draw_task, right_reply, wrong_reply
from .tokens import END, START

_THINGS = (*WORDS, *TOWNS, *NOUNS.values())
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


SHOWN_WEIGHT = 0.5  # of a right reply that is being judged: who expects it sees at once where another one departs


def after(sort: str, task: Task, own: str, asked: Sequence[tuple[str, tuple[str, ...], str]]) -> Example:
    """A judge that has answered first, and then judges once or several times: (prompt, replies shown in it, verdict).

    Its own answer, and right replies that it is shown, are learnt; wrong ones are only read.
    """
    said = dialogue(
        sort,
        [{"role": "user", "content": task.instruction}, {"role": "assistant", "content": own}],
        trained=("assistant",) if judge(task, own).right else (),
    )
    pieces = list(said.pieces)
    for question, shown, verdict in asked:
        pieces += [Piece(f"{START}user\n", 0.0), *_learning(question, {one for one in shown if judge(task, one).right})]
        pieces += [Piece(f"{END}\n{START}assistant\n", 0.0), Piece(f"{verdict}{END}", VERDICT_WEIGHT), Piece("\n", 0.0)]
    return Example(sort, tuple(pieces))


def _learning(text: str, right: set[str]) -> Iterator[Piece]:
    """The text in pieces, with weight on the right replies in it."""
    places = sorted((place, one) for one in right if (place := text.find(f":\n{one}\n")) >= 0)
    end = 0
    for place, one in places:
        start = place + len(":\n")
        yield Piece(text[end:start], 0.0)
        yield Piece(one, SHOWN_WEIGHT)
        end = start + len(one)
    yield Piece(text[end:], 0.0)


def graded_after(task: Task, own: str, shown: Sequence[str]) -> Example:
    asked = [(say("judge/pointwise_after", response=one), (one,), str(mark(judge(task, one)))) for one in shown]
    return after("pointwise after", task, own, asked)


def compared_after(rng: Random, task: Task, own: str, pairs: Sequence[tuple[str, str]]) -> Example:
    """`pairs` are of a better and a worse reply."""
    asked = []
    for better, worse in pairs:
        letter = rng.choice("AB")
        one, two = (better, worse) if letter == "A" else (worse, better)
        asked.append((say("judge/pairwise_after", response_a=one, response_b=two), (one, two), letter))
    return after("pairwise after", task, own, asked)


def pointwise_after(rng: Random) -> Example:
    task = judged_task(rng)
    shown = [rng.choice(replies(rng, task)) for _ in range(rng.choice((1, 2, 3)))]
    return graded_after(task, own_answer(rng, task), shown)


def pairwise_after(rng: Random) -> Example:
    task = judged_task(rng)
    return compared_after(rng, task, own_answer(rng, task), [replies(rng, task) for _ in range(rng.choice((1, 2)))])


def matching(rng: Random) -> Example:
    """Plain comparing, which judging stands on: a line of things, and lines that are the same or differ in one place."""
    line = [rng.choice(_THINGS) if rng.random() < 0.5 else str(rng.randint(0, 999)) for _ in range(rng.randint(1, 5))]
    own = ", ".join(line)
    pieces = [Piece(f"{START}user\nSay: {own}{END}\n{START}assistant\n", 0.0), Piece(f"{own}{END}", 0.3), Piece("\n", 0.0)]
    for _ in range(4):
        other = list(line)
        same = rng.random() < 0.5
        while not same and other == line:
            other[rng.randrange(len(line))] = rng.choice(_THINGS) if rng.random() < 0.5 else str(rng.randint(0, 999))
        shown = ", ".join(other)
        pieces += [
            Piece(f"{START}user\n", 0.0),
            *_learning(say("judge/pointwise_after", response=shown), {shown} if same else set()),
        ]
        pieces += [
            Piece(f"{END}\n{START}assistant\n", 0.0),
            Piece(f"{5 if same else 1}{END}", VERDICT_WEIGHT),
            Piece("\n", 0.0),
        ]
    return Example("matching", tuple(pieces))


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
