"""An exam of the world: held-out tasks as a base model and a tuned one are both asked them, marked by the truth.

`rookery.data.world.exam:HELD_OUT` is what a recipe names for `evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from .checker import check
from .prose import as_seed_text
from .tasks import draw_task


@dataclass(frozen=True)
class WorldExam:
    """`count` different tasks, in the shape and the mix of those in lists of tasks."""

    count: int = 500
    seed: int = 910_000

    def questions(self) -> Sequence[str]:
        return _questions(self.count, self.seed)

    def grade(self, question: str, reply: str) -> float:
        """1 for a right reply in the form that was asked for, else 0."""
        verdict = check([{"role": "user", "content": question}, {"role": "assistant", "content": reply}])
        return float(verdict.right is True)


@cache
def _questions(count: int, seed: int) -> tuple[str, ...]:
    rng = Random(seed)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        drawn[as_seed_text(draw_task(rng, wrapped=0.1, constrained=0.1))] = None
    return tuple(drawn)


HELD_OUT = WorldExam()
