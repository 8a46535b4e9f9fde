"""The model's own answers, checked: the errors that judges must learn to see are those that models really make.

python -m rookery.data.world.own CHECKPOINT ANSWERS.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from . import judging
from .checker import judge
from .corpus import Writer
from .examples import Example
from .probes import Probe
from .tasks import Task, draw_task, read_task


def collect(folder: Path, out: Path, tasks: int, seed: int, samples: int = 4) -> None:
    rng = Random(seed)
    drawn = [draw_task(rng, constrained=0.25, wrapped=0.3) for _ in range(tasks)]
    found = Probe(folder).chat(
        [[{"role": "user", "content": task.instruction}] for task in drawn], temperature=0.8, samples=samples, tokens=80
    )
    with out.open("w") as file:
        for task, replies in zip(drawn, found, strict=True):
            file.write(json.dumps({"instruction": task.instruction, "replies": sorted(replies)}) + "\n")


class Answers:
    """Answers of a checkpoint, sorted into right and wrong; draws judging examples from them."""

    def __init__(self, path: Path) -> None:
        self.rows = [row for line in path.read_text().splitlines() if (row := _sorted(json.loads(line))) is not None]
        self.mixed = [row for row in self.rows if row[1] and row[2]]

    def pointwise(self, rng: Random) -> Example:
        task, right, wrong = rng.choice(self.mixed if rng.random() < 0.7 else self.rows)
        sides = [side for side in (right, wrong) if side]
        return judging.graded(task, rng.choice(rng.choice(sides)))

    def pairwise(self, rng: Random) -> Example:
        task, right, wrong = rng.choice(self.mixed)
        return judging.compared(rng, task, rng.choice(right), rng.choice(wrong))

    def pointwise_after(self, rng: Random) -> Example:
        task, right, wrong = rng.choice(self.mixed if rng.random() < 0.7 else self.rows)
        sides = [side for side in (right, wrong) if side]
        shown = [rng.choice(rng.choice(sides)) for _ in range(rng.choice((1, 2, 3)))]
        return judging.graded_after(task, rng.choice(right + wrong), shown)

    def pairwise_after(self, rng: Random) -> Example:
        task, right, wrong = rng.choice(self.mixed)
        return judging.compared_after(rng, task, rng.choice(right + wrong), [(rng.choice(right), rng.choice(wrong))])

    def pairs(self) -> Iterator[tuple[Task, str, str]]:
        for task, right, wrong in self.mixed:
            yield task, right[0], wrong[0]

    def shares(self) -> Mapping[Writer, float]:
        return {self.pointwise: 25, self.pairwise: 20, self.pointwise_after: 70, self.pairwise_after: 40}


def _sorted(line: Mapping[str, object]) -> tuple[Task, list[str], list[str]] | None:
    task = read_task(str(line["instruction"]))
    replies = line["replies"]
    if task is None or not isinstance(replies, list):
        return None
    right = [one for one in replies if judge(task, one).right]
    wrong = [one for one in replies if one.strip() and not judge(task, one).right]
    return (task, right, wrong) if right or wrong else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=77)
    asked = parser.parse_args()
    collect(asked.folder, asked.out, asked.tasks, asked.seed)


if __name__ == "__main__":
    main()
