"""Ray: engines as actors, and nothing else. Only this file, `worker.py` and `metrics.py` import Ray.

An actor holds one engine and runs a step on many rows at once, so that continuous batching is always full.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeVar

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

from ..schemas.errors import PlainError
from .engines.death import is_out_of_memory
from .engines.spec import AnySpec
from .environment import for_actors
from .load import Load
from .worker import Died, Finished, Pulse, Remote, Worker

WATCH = "watch"  # Ray's name for the event loop on which actors answer the watchdog
RESTARTS = 100  # of one actor; a run that makes no progress is stopped long before, by `dispatch`
T = TypeVar("T")
Unavailable = ActorUnavailableError  # of these, the ones that may come back


class ClusterError(PlainError, RuntimeError):
    """The cluster cannot give what the recipe asks for."""


class TooLarge(ClusterError):
    """An engine does not fit into its memory however few rows it works on: trying again is of no use."""


class Crashed(ClusterError):
    """The process of an errand has ended without a word: killed, most often for want of memory."""


def reason_of(error: Exception) -> str:
    """The last line of Ray's account of a death, which is the actor's own."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


class Pool:
    """The actors of one engine."""

    def __init__(self, name: str, spec: AnySpec, cpus: float) -> None:
        self.name, self.spec, self._cpus = name, spec, cpus
        self.actors: list[ActorHandle] = []
        self._ups: list[ray.ObjectRef[tuple[str, str]]] = []  # the actors' first answers
        self._about: tuple[str, str] | None = None
        self._counted: dict[str, tuple[int, int, float]] = {}
        self.load = Load()
        self._start()

    def _start(self) -> None:
        as_actor: Any = ray.remote  # its stub knows no concurrency groups
        remote = as_actor(concurrency_groups={WATCH: 2})(Worker).options(
            num_cpus=self._cpus,
            num_gpus=self.spec.gpus(),
            max_restarts=RESTARTS,
            max_concurrency=4096,
            # Ray would give an actor one thread, whatever it asked for, if this were not set.
            runtime_env={"env_vars": {**for_actors(), "OMP_NUM_THREADS": str(max(1, int(self._cpus)))}},
        )
        # As an argument: what is in a runtime environment, Ray writes into its logs and shows in its dashboard.
        keys = {name: os.environ[name] for name in self.spec.secrets() if name in os.environ}
        self.actors = [remote.remote(self.name, self.spec, keys) for _ in range(self.spec.actors)]
        self._ups = [actor.about.remote() for actor in self.actors]

    def about(self) -> tuple[str, str]:
        """Model and revision; waits until the first engine is up, a smaller one if it is too large for its memory.

        Raises:
            ClusterError: if the engine cannot start, with its own reason.
        """
        while self._about is None:
            try:
                [first], _ = ray.wait(self._ups, num_returns=1)  # the others' machines may be still to come
                self._about = ray.get(first)
            except Died as error:
                if is_out_of_memory(str(error)):
                    self.shrink(self.spec.in_flight, reason_of(error))
                    continue
                raise ClusterError(f"engine {self.name} ({self.spec.name}) does not start: {reason_of(error)}") from error
        return self._about

    def shrink(self, in_flight: int, why: str) -> bool:
        """Start all actors anew with half the rows at once. False if that has been done since there were `in_flight`.

        Raises:
            TooLarge: if they are at one row already.
        """
        if in_flight != self.spec.in_flight:
            return False
        if (smaller := self.spec.smaller()) is None:
            raise TooLarge(
                f"engine {self.name} ({self.spec.name}) is out of memory even with one row at once: lower `max_model_len` or "
                f"`gpu_share`, raise `tensor_parallel`, or take a smaller model; it said: {why}"
            )
        self.close()
        self.spec = smaller
        self._start()
        return True

    def restart(self, number: int) -> None:
        """End an actor's process; Ray starts it again."""
        ray.kill(self.actors[number], no_restart=False)

    async def pulse(self, number: int, seconds: float) -> Pulse | None:
        """A sign of life of one actor; None if there is none in time, or no process at present."""
        try:
            asked: Any = self.actors[number].pulse.options(concurrency_group=WATCH).remote()
            return await asyncio.wait_for(asked, seconds)
        except (TimeoutError, Died):
            return None

    async def stack(self, number: int, seconds: float) -> str:
        """Where one actor stands, for a reader."""
        try:
            asked: Any = self.actors[number].stack.options(concurrency_group=WATCH).remote()
            return await asyncio.wait_for(asked, seconds)
        except (TimeoutError, Died) as error:
            return f"  its stack cannot be had ({type(error).__name__})"

    def tokens_since(self, finished: Finished) -> tuple[int, int]:
        """Tokens in and out that an engine has processed since it was last heard of."""
        read, written, row_seconds = self._counted.get(finished.life, (0, 0, 0.0))
        self._counted[finished.life] = (finished.tokens_in, finished.tokens_out, finished.row_seconds)
        since = finished.tokens_in - read, finished.tokens_out - written
        self.load.add(*since, finished.row_seconds - row_seconds)
        return since

    def begin(self) -> None:
        """A stage begins: what its engine does from now on is counted for it."""
        self.load = Load()

    def told(self) -> dict[str, str]:
        """How busy the engine is in this stage, for a reader."""
        load, seconds = self.load, self.load.seconds
        return {
            "engine": self.name,
            "model": self.spec.name,
            "actors": str(len(self.actors)),
            "tokens/s read": f"{load.tokens_in / seconds:,.0f}",
            "tokens/s written": f"{load.tokens_out / seconds:,.0f}",
            "saturation": f"{self.saturation():.0%} of {self.places()} rows at once",
        }

    def figures(self) -> dict[str, object]:
        """The same for a machine."""
        return {
            "tokens_per_second": round(self.load.tokens_out / self.load.seconds, 1),
            "saturation": round(self.saturation(), 4),
        }

    def places(self) -> int:
        """Rows that all actors together work on at once."""
        return self.spec.at_once() * len(self.actors)

    def saturation(self) -> float:
        """The mean share of the places that were taken in this stage."""
        return self.load.saturation(self.places())

    async def tokens(self) -> tuple[int, int]:
        """Tokens in and out since it was last asked, or heard of, by all its actors that answer."""
        calls = [actor.counted.remote() for actor in self.actors]
        told: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
        since = [self.tokens_since(one) for one in told if isinstance(one, Finished)]
        return sum(read for read, _ in since), sum(written for _, written in since)

    def remote(self) -> Remote:
        """The pool as a step's second model: the actors that have come up."""
        about = self.about()
        up, _ = ray.wait(self._ups, num_returns=len(self._ups), timeout=0)
        return Remote([actor for actor, told in zip(self.actors, self._ups, strict=True) if told in up], *about)

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

    def gpus(self) -> dict[str, float]:
        """GPUs that each running engine holds, its actors together."""
        return {name: pool.spec.gpus() * len(pool.actors) for name, pool in self._pools.items()}

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
                address=self._address or "local",  # without one, Ray would join any cluster that it finds on this machine
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
