"""What runs in an actor: an engine, and rows running through it.

A step with two models runs beside its first one; the others answer through their own actors. When an engine dies its process ends
at once (`os._exit`: Ray restarts a crashed actor, but not one that left politely), and the units it held are run again.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import platform
import sys
import threading
import traceback
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from ..schemas.llm import LLM, Choice, Decoding, JSONSchema, Reply, Reward, Speaker
from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Named, Row, Turn, text_of
from .engines.death import EngineDead, OutOfMemory
from .engines.spec import AnySpec
from .engines.witness import Witness
from .load import Busy
from .metrics import Metrics
from .stacks import stacks

Died = RayActorError  # what a call to an actor raises when its process is gone
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a unit of rows became, and the engine's running totals."""

    done: list[tuple[str, list[Row]]]
    tokens_in: int
    tokens_out: int
    life: str  # changes when the actor restarts, and with it the totals
    row_seconds: float = 0.0  # also a total: rows at hand, over time
    failed: frozenset[str] = frozenset()  # rows of which an engine answered a question with an error


@dataclass(frozen=True, slots=True)
class Pulse:
    """A sign of life: the process, how much it has done so far, and how many rows it has at hand."""

    node: str
    process: int
    steps: int
    rows: int

    @property
    def mark(self) -> tuple[str, int, int]:
        """What changes while the engine lives and works."""
        return self.node, self.process, self.steps


class Full(OutOfMemory):
    """An engine ran out of memory; which one, and how many rows it worked on at once."""

    def __init__(self, pool: str, in_flight: int, why: str) -> None:
        super().__init__(pool, in_flight, why)  # all of them, so that the error survives pickling
        self.pool, self.in_flight, self.why = pool, in_flight, why


def exit_with(death: EngineDead) -> NoReturn:
    """End this process as a crash does, after saying why where Ray's log of the worker will hold it."""
    traceback.print_exception(death, file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)


class Worker:
    """An engine, and rows running through it. A plain class: Ray is put around it below."""

    def __init__(self, name: str, spec: AnySpec, keys: Mapping[str, str]) -> None:
        os.environ.update(keys)
        self.llm = spec.build()
        self._name, self._in_flight = name, spec.in_flight
        self._room = asyncio.Semaphore(spec.in_flight)
        self._life = f"{os.getpid()}-{id(self)}"
        self._busy, self._metrics = Busy(spec.at_once()), Metrics(name, spec.name)
        self._works_at: tuple[asyncio.AbstractEventLoop, int] | None = None
        gc.freeze()  # what is imported by now stays: a collection that looks it all over would stop every row

    async def about(self) -> tuple[str, str]:
        """Model and revision, once the engine is up."""
        return self.llm.model, self.llm.revision

    async def process(self) -> int:
        """The process that holds the engine."""
        return os.getpid()

    async def pulse(self) -> Pulse:
        """A sign of life, from an event loop of its own."""
        return Pulse(platform.node(), os.getpid(), self.llm.steps, self._busy.rows)

    async def stack(self) -> str:
        """Where the loop that runs the engine stands, from an event loop of its own."""
        return stacks(*self._works_at) if self._works_at else "  it has not begun"

    async def run(self, step: Step, stage: str, rows: Sequence[Named], others: Sequence[Remote]) -> Finished:
        """Run a unit of rows; each is on its own."""
        self._works_at = asyncio.get_running_loop(), threading.get_ident()
        told = await asyncio.gather(*(self._one(step, stage, row, others) for row in rows))
        failed = frozenset(name for name, _, failed in told if failed)
        return self._finished([(name, made) for name, made, _ in told], failed)

    async def counted(self) -> Finished:
        """The engine's running totals alone."""
        return self._finished([])

    def _finished(self, done: list[tuple[str, list[Row]]], failed: frozenset[str] = frozenset()) -> Finished:
        read, written = self.llm.tokens_in, self.llm.tokens_out
        self._metrics.tokens(read, written)
        for name, _ in done:
            self._metrics.finished("failed" if name in failed else "done")
        return Finished(done, read, written, self._life, self._busy.row_seconds(), failed)

    def _at_hand(self, more: int) -> None:
        self._busy.change(more)
        self._metrics.at_hand(self._busy.rows, self._busy.most)

    async def _one(self, step: Step, stage: str, row: Named, others: Sequence[Remote]) -> tuple[str, list[Row], bool]:
        async with self._room:
            llms: tuple[LLM, ...] = (self.llm, *others)
            witnesses = [Witness(llm) for llm in llms]
            self._at_hand(1)
            try:
                made = list(await step(row, *witnesses))
                return row.id, made, any(witness.failed for witness in witnesses)
            except Full:
                raise  # of another engine of this step
            except OutOfMemory as death:
                raise Full(self._name, self._in_flight, str(death)) from None
            except EngineDead as death:
                exit_with(death)
            except Died:
                raise  # another engine of this step died: the unit runs again
            except Exception as error:  # a row that the method cannot digest costs itself alone, and says why
                text = text_of(row.turns) if isinstance(row, Chat) else ""
                return row.id, [Drop(row.id, stage, "exception", f"{type(error).__name__}: {error}", text)], True
            finally:
                self._at_hand(-1)

    async def complete(self, *asked: Any) -> Reply:
        return await self._ask(self.llm.complete(*asked))

    async def chat(self, *asked: Any) -> Reply:
        return await self._ask(self.llm.chat(*asked))

    async def choose(self, *asked: Any) -> Choice:
        return await self._ask(self.llm.choose(*asked))

    async def score(self, *asked: Any) -> Reward:
        return await self._ask(self.llm.score(*asked))

    async def _ask(self, answer: Awaitable[T]) -> T:
        self._works_at = asyncio.get_running_loop(), threading.get_ident()
        self._at_hand(1)
        try:
            return await answer
        except OutOfMemory as death:
            raise Full(self._name, self._in_flight, str(death)) from None
        except EngineDead as death:
            exit_with(death)
        finally:
            self._at_hand(-1)


class Remote:
    """An engine of another actor, behind the `LLM` protocol: a step's second model."""

    def __init__(self, actors: Sequence[ActorHandle], model: str, revision: str) -> None:
        self.model, self.revision = model, revision
        self._actors = itertools.cycle(actors)

    async def complete(self, prompt: str | Sequence[int], decoding: Decoding, seed: int) -> Reply:
        return await next(self._actors).complete.remote(prompt, decoding, seed)

    async def chat(
        self,
        turns: Sequence[Turn],
        decoding: Decoding,
        seed: int,
        schema: JSONSchema | None = None,
        speaker: Speaker = "assistant",
    ) -> Reply:
        return await next(self._actors).chat.remote(turns, decoding, seed, schema, speaker)

    async def choose(self, asked: str | Sequence[Turn], options: Sequence[str]) -> Choice:
        return await next(self._actors).choose.remote(asked, options)

    async def score(self, turns: Sequence[Turn]) -> Reward:
        return await next(self._actors).score.remote(turns)

    def __reduce__(self) -> tuple[type[Remote], tuple[list[ActorHandle], str, str]]:
        count = len({actor._actor_id for actor in (next(self._actors) for _ in range(64))})
        return Remote, ([next(self._actors) for _ in range(count)], self.model, self.revision)
