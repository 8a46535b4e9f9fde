"""Ray: engines as actors, and nothing else. The only file that imports Ray.

An actor holds one engine and runs a step on many rows at once, so that continuous batching is always full. A step with two
models runs beside its first one; the others answer through their own actors. When an engine dies its process ends at once
(`os._exit`: Ray restarts a crashed actor, but not one that left politely), and the units it held are run again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Self, TypeVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from ..schemas.errors import PlainError
from ..schemas.llm import Choice, Decoding, JSONSchema, Reply, Reward, Speaker
from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Named, Row, Turn, text_of
from .engines.spec import AnySpec
from .engines.vllm import EngineDead
from .environment import for_actors

RESTARTS = 100  # of one actor; a run that makes no progress is stopped long before, by `dispatch`
T = TypeVar("T")
Died = RayActorError  # what a call to an actor raises when its process is gone
Unavailable = ActorUnavailableError  # of these, the ones that may come back


class ClusterError(PlainError, RuntimeError):
    """The cluster cannot give what the recipe asks for."""


class Crashed(ClusterError):
    """The process of an errand has ended without a word: killed, most often for want of memory."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a unit of rows became, and the engine's running totals."""

    done: list[tuple[str, list[Row]]]
    tokens_in: int
    tokens_out: int
    life: str  # changes when the actor restarts, and with it the totals


def reason_of(error: Exception) -> str:
    """The last line of Ray's account of a death, which is the actor's own."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def exit_with(death: EngineDead) -> NoReturn:
    """End this process as a crash does, after saying why where Ray's log of the worker will hold it."""
    traceback.print_exception(death, file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)


class Worker:
    """An engine, and rows running through it. A plain class: Ray is put around it below."""

    def __init__(self, spec: AnySpec) -> None:
        self.llm = spec.build()
        self._room = asyncio.Semaphore(spec.in_flight)
        self._life = f"{os.getpid()}-{id(self)}"

    async def about(self) -> tuple[str, str]:
        """Model and revision, once the engine is up."""
        return self.llm.model, self.llm.revision

    async def process(self) -> int:
        """The process that holds the engine."""
        return os.getpid()

    async def run(self, step: Step, stage: str, rows: Sequence[Named], others: Sequence[Remote]) -> Finished:
        """Run a unit of rows; each is on its own."""
        done = await asyncio.gather(*(self._one(step, stage, row, others) for row in rows))
        return Finished(list(done), self.llm.tokens_in, self.llm.tokens_out, self._life)

    async def _one(self, step: Step, stage: str, row: Named, others: Sequence[Remote]) -> tuple[str, list[Row]]:
        async with self._room:
            try:
                return row.id, list(await step(row, self.llm, *others))
            except EngineDead as death:
                exit_with(death)
            except Died:
                raise  # another engine of this step died: the unit runs again
            except Exception as error:  # a row that the method cannot digest costs itself alone, and says why
                text = text_of(row.turns) if isinstance(row, Chat) else ""
                return row.id, [Drop(row.id, stage, "exception", f"{type(error).__name__}: {error}", text)]

    async def complete(self, *asked: Any) -> Reply:
        return await self._ask(self.llm.complete(*asked))

    async def chat(self, *asked: Any) -> Reply:
        return await self._ask(self.llm.chat(*asked))

    async def choose(self, *asked: Any) -> Choice:
        return await self._ask(self.llm.choose(*asked))

    async def score(self, *asked: Any) -> Reward:
        return await self._ask(self.llm.score(*asked))

    async def _ask(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except EngineDead as death:
            exit_with(death)


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

    async def choose(self, turns: Sequence[Turn], options: Sequence[str]) -> Choice:
        return await next(self._actors).choose.remote(turns, options)

    async def score(self, turns: Sequence[Turn]) -> Reward:
        return await next(self._actors).score.remote(turns)

    def __reduce__(self) -> tuple[type[Remote], tuple[list[ActorHandle], str, str]]:
        count = len({actor._actor_id for actor in (next(self._actors) for _ in range(64))})
        return Remote, ([next(self._actors) for _ in range(count)], self.model, self.revision)


class Pool:
    """The actors of one engine."""

    def __init__(self, name: str, spec: AnySpec, cpus: float) -> None:
        self.name, self.spec = name, spec
        remote: Any = ray.remote(Worker).options(
            num_cpus=cpus,
            num_gpus=spec.gpus(),
            max_restarts=RESTARTS,
            max_concurrency=4096,
            # Ray would give an actor one thread, whatever it asked for, if this were not set.
            runtime_env={"env_vars": {**for_actors(), "OMP_NUM_THREADS": str(max(1, int(cpus)))}},
        )
        self.actors: list[ActorHandle] = [remote.remote(spec) for _ in range(spec.actors)]
        self._about: tuple[str, str] | None = None
        self._counted: dict[str, tuple[int, int]] = {}

    def about(self) -> tuple[str, str]:
        """Model and revision; waits until an engine is up.

        Raises:
            ClusterError: if the engine cannot start, with its own reason.
        """
        if self._about is None:
            try:
                told: ray.ObjectRef[tuple[str, str]] = self.actors[0].about.remote()
                self._about = ray.get(told)
            except Died as error:
                raise ClusterError(f"engine {self.name} ({self.spec.name}) does not start: {reason_of(error)}") from error
        return self._about

    def tokens_since(self, finished: Finished) -> tuple[int, int]:
        """Tokens in and out that an engine has processed since it was last heard of."""
        before = self._counted.get(finished.life, (0, 0))
        self._counted[finished.life] = (finished.tokens_in, finished.tokens_out)
        return finished.tokens_in - before[0], finished.tokens_out - before[1]

    def remote(self) -> Remote:
        """The pool as a step's second model."""
        return Remote(self.actors, *self.about())

    def close(self) -> None:
        """End the actors; their memory is free for the next stage."""
        for actor in self.actors:
            ray.kill(actor, no_restart=True)


class Fleet:
    """All engines of a recipe. An engine starts when a stage has work for it, and ends when no later stage names it."""

    def __init__(self, specs: Mapping[str, AnySpec], address: str | None) -> None:
        self._specs, self._address = specs, address
        self._recruits: dict[str, AnySpec] = {}
        self._pools: dict[str, Pool] = {}
        self._own = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        if self._own:
            ray.shutdown()

    def enlist(self, name: str, spec: AnySpec) -> None:
        """Add an engine that the recipe does not know, such as a model that was trained on the way."""
        self._recruits[name] = spec

    def spec(self, name: str) -> AnySpec:
        """What is known of an engine."""
        return self._recruits.get(name) or self._specs[name]

    def pool(self, name: str) -> Pool:
        """The actors of an engine, started if they are not there."""
        if name not in self._pools:
            self._connect()
            self._pools[name] = Pool(name, self.spec(name), self._cpus(self.spec(name)))
        return self._pools[name]

    def errand(self, function: Callable[..., T], *args: object, cpus: float | None, gpus: float) -> T:
        """Run a function once, in a process of its own on any machine of the cluster that has these resources free.

        Without `cpus` it gets those of the widest machine. What it raises is raised here.

        Raises:
            ClusterError: if no machine has that much.
            Crashed: if its process ended without a word.
        """
        self._connect()
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fitting = [free.get("CPU", 0.0) for free in machines if free.get("GPU", 0.0) >= gpus]
        wanted = cpus or max(fitting, default=1.0)
        if wanted > max(fitting, default=0.0):
            raise ClusterError(
                f"no machine of the cluster has {wanted:g} CPUs and {gpus:g} GPUs; there is {_told(machines)}. Lower `cpus` or "
                "`gpus`, or name a larger cluster with `cluster:`"
            )
        environment = {**for_actors(), "OMP_NUM_THREADS": str(max(1, int(wanted)))}
        remote: Any = ray.remote(function).options(
            num_cpus=wanted, num_gpus=gpus, max_retries=0, runtime_env={"env_vars": environment}
        )
        try:
            done: T = ray.get(remote.remote(*args))
        except RayTaskError as error:
            raise error.cause from error
        except (WorkerCrashedError, OutOfMemoryError, NodeDiedError) as error:
            raise Crashed(reason_of(error)) from error
        return done

    def release(self, keep: Callable[[str], bool]) -> None:
        """End the engines that are not to be kept."""
        for name in [name for name in self._pools if not keep(name)]:
            self._pools.pop(name).close()

    def _connect(self) -> None:
        if not ray.is_initialized():
            self._own = True
            ray.init(
                address=self._address,
                include_dashboard=False if self._address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        needed = sum(spec.gpus() * spec.actors for spec in self._specs.values())
        there = ray.cluster_resources().get("GPU", 0.0)
        widest = max((spec.gpus() for spec in self._specs.values()), default=0.0)
        if widest > there:
            raise ClusterError(
                f"one engine wants {widest:g} GPUs and the cluster has {there:g} (all engines together: {needed:g}); lower "
                "`tensor_parallel`, or name a larger cluster with `cluster:`"
            )

    def _cpus(self, spec: AnySpec) -> float:
        """An engine's share of the CPUs; one is enough for an engine that computes elsewhere."""
        if spec.cpus is not None:
            return spec.cpus
        share = ray.cluster_resources().get("CPU", 1.0) / sum(each.actors for each in self._specs.values())  # no recruits
        if not spec.computes_on_cpu():
            share = min(1.0, share)
        return float(int(share)) if share >= 1.0 else int(share * 100) / 100


def _told(machines: Sequence[Mapping[str, float]]) -> str:
    return "; ".join(f"{free.get('CPU', 0.0):g} CPUs and {free.get('GPU', 0.0):g} GPUs" for free in machines)
