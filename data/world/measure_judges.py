"""How well the judges tell right answers from wrong ones: the world's answers, and the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from .checker import judge
from .examples import say
from .judging import replies
from .probes import Probe, auc
from .table import Row, at_least, mean
from .tasks import Task


class Pair(NamedTuple):
    task: Task
    right: str
    wrong: str


def own_answers(tasks: Sequence[Task], samples: Sequence[Sequence[str]]) -> list[Pair]:
    """For each task that the model gets both right and wrong: one right and one wrong answer of its own."""
    found = []
    for task, eight in zip(tasks, samples, strict=True):
        right = [one for one in eight if judge(task, one).right]
        wrong = [one for one in eight if not judge(task, one).right and one.strip()]
        if right and wrong:
            found.append(Pair(task, right[0], wrong[0]))
    return found


def world_answers(tasks: Sequence[Task], seed: int) -> list[Pair]:
    rng = Random(seed)
    return [Pair(task, *replies(rng, task)) for task in tasks]


def judges(probe: Probe, pairs: Sequence[Pair], whose: str, needed: bool) -> list[Row]:
    asked, right, wrong = (
        [pair.task.instruction for pair in pairs],
        [pair.right for pair in pairs],
        [pair.wrong for pair in pairs],
    )

    def marks(answers: Sequence[str]) -> list[float]:
        prompts = [say("judge/pointwise", instruction=i, response=answer) for i, answer in zip(asked, answers, strict=True)]
        return [sum(mark * chance for mark, chance in enumerate(row, 1)) for row in probe.choose(prompts, "12345")]

    def first(one: Sequence[str], other: Sequence[str]) -> list[float]:
        shown = zip(asked, one, other, strict=True)
        prompts = [say("judge/pairwise", instruction=i, response_a=a, response_b=b) for i, a, b in shown]
        return [row[0] for row in probe.choose(prompts, "AB")]

    forward, backward = first(right, wrong), first(wrong, right)
    agreed = mean([one + 1 - other > 1 for one, other in zip(forward, backward, strict=True)])
    flips = mean([(one > 0.5) == (other > 0.5) for one, other in zip(forward, backward, strict=True)])
    area = auc(marks(right), marks(wrong))
    if not needed:
        return [
            Row(f"pointwise judge: AUC, {whose}", f"{area:.3f}"),
            Row(f"pairwise judge: right, both orders, {whose}", f"{agreed:.3f}"),
            Row(f"pairwise judge: flip rate, {whose}", f"{flips:.3f}"),
        ]
    return [
        at_least(f"pointwise judge: AUC, {whose}", area, 0.80),
        at_least(f"pairwise judge: right, both orders, {whose}", agreed, 0.80),
        Row(f"pairwise judge: flip rate, {whose}", f"{flips:.3f}"),
    ]


def reward_rows(folder: Path, pairs: Sequence[Pair], whose: str, needed: bool) -> list[Row]:
    from .reward import scores

    def of(answers: Sequence[str]) -> list[float]:
        chats = zip((pair.task.instruction for pair in pairs), answers, strict=True)
        return scores(
            folder, [[{"role": "user", "content": i}, {"role": "assistant", "content": answer}] for i, answer in chats]
        )

    right, wrong = of([pair.right for pair in pairs]), of([pair.wrong for pair in pairs])
    better = mean([a > b for a, b in zip(right, wrong, strict=True)])
    above = Row(f"reward: chosen above rejected, {whose}", f"{better:.3f}")
    area = auc(right, wrong)
    return [at_least(f"reward: AUC, {whose}", area, 0.85) if needed else Row(f"reward: AUC, {whose}", f"{area:.3f}"), above]
