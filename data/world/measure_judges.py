"""How well the judges tell right answers from wrong ones: the world's answers, and the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from .checker import judge
from .examples import say
from .judging import replies
from .probes import Messages, Probe, auc
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


def judges(probe: Probe, pairs: Sequence[Pair], whose: str, first: bool, needed: bool = False) -> list[Row]:
    """Both judges on both answers of each pair; with `first` they answer before they judge, as the demo recipe has it."""
    asked = [[{"role": "user", "content": pair.task.instruction}] for pair in pairs]
    own = [replies[0] for replies in probe.chat(asked, tokens=160)] if first else []

    def shown(number: int, name: str, **answers: str) -> Messages:
        if first:
            return [
                *asked[number],
                {"role": "assistant", "content": own[number]},
                *_user(say(f"judge/{name}_after", **answers)),
            ]
        return _user(say(f"judge/{name}", instruction=pairs[number].task.instruction, **answers))

    def marks(answers: Sequence[str]) -> list[float]:
        rows = probe.choose([shown(i, "pointwise", response=answer) for i, answer in enumerate(answers)], "12345")
        return [sum(mark * chance for mark, chance in enumerate(row, 1)) for row in rows]

    def chances(one: Sequence[str], other: Sequence[str]) -> list[float]:
        both = enumerate(zip(one, other, strict=True))
        return [row[0] for row in probe.choose([shown(i, "pairwise", response_a=a, response_b=b) for i, (a, b) in both], "AB")]

    right, wrong = [pair.right for pair in pairs], [pair.wrong for pair in pairs]
    forward, backward = chances(right, wrong), chances(wrong, right)
    agreed = mean([one + 1 - other > 1 for one, other in zip(forward, backward, strict=True)])
    flips = mean([(one > 0.5) == (other > 0.5) for one, other in zip(forward, backward, strict=True)])
    area = auc(marks(right), marks(wrong))
    how = f"{whose}{', after its own answer' if first else ''}"
    found = ((f"pointwise judge: AUC, {how}", area), (f"pairwise judge: right, both orders, {how}", agreed))
    rows = [at_least(what, value, 0.80) if needed else Row(what, f"{value:.3f}") for what, value in found]
    return [*rows, Row(f"pairwise judge: flip rate, {how}", f"{flips:.3f}")]


def _user(text: str) -> Messages:
    return [{"role": "user", "content": text}]


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
