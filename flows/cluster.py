"""Ray: engines as actors, and nothing else. Only this file and `worker.py` import Ray.

An actor holds one engine and runs a step on many rows at once, so that continuous batching is always full.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Self

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError

from ..schemas.errors import PlainError
from .engines.death import is_out_of_memory
from .engines.spec import AnySpec
from .environment import for_actors
from .worker import Died, Finished, Pulse, Remote, Worker

WATCH = "watch"  # Ray's name for the event loop on which actors answer the watchdog
RESTARTS = 100  # of one actor; a run that makes no progress is stopped long before, by `dispatch`
Unavailable = ActorUnavailableError  # of these, the ones that may come back


class ClusterError(PlainError, RuntimeError):
    """The cluster cannot give what the recipe asks for."""


class TooLarge(ClusterError):
    """An engine does not fit into its memory however few rows it works on: trying again is of no use."""


def reason_of(error: Exception) -> str:
    """The last line of Ray's account of a death, which is the actor's own."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


class Pool:
    """The actors of one engine."""

    def __init__(self, name: str, spec: AnySpec, cpus: float) -> None:
        self.name, self.spec, self._cpus = name, spec, cpus
        self.actors: list[ActorHandle] = []
        self._about: tuple[str, str] | None = None
        self._counted: dict[str, tuple[int, int]] = {}
        self._start()

    def _start(self) -> None:
        remote: Any = ray.remote(concurrency_groups={WATCH: 2})(Worker).options(
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

    def about(self) -> tuple[str, str]:
        """Model and revision; waits until an engine is up, a smaller one if it is too large for its memory.

        Raises:
            ClusterError: if the engine cannot start, with its own reason.
        """
        while self._about is None:
            try:
                told: tuple[str, str] = ray.get(self.actors[0].about.remote())
            except Died as error:
                if is_out_of_memory(str(error)):
                    self.shrink(self.spec.in_flight, reason_of(error))
                    continue
                raise ClusterError(f"engine {self.name} ({self.spec.name}) does not start: {reason_of(error)}") from error
            self._about = told
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
            asked = self.actors[number].pulse.options(concurrency_group=WATCH).remote()
            return await asyncio.wait_for(asked, seconds)
        except (TimeoutError, Died):
            return None

    async def stack(self, number: int, seconds: float) -> str:
        """Where one actor stands, for a reader."""
        try:
            asked = self.actors[number].stack.options(concurrency_group=WATCH).remote()
            return await asyncio.wait_for(asked, seconds)
        except (TimeoutError, Died) as error:
            return f"  its stack cannot be had ({type(error).__name__})"

    def tokens_since(self, finished: Finished) -> tuple[int, int]:
        """Tokens in and out that an engine has processed since it was last heard of."""
        before = self._counted.get(finished.life, (0, 0))
        self._counted[finished.life] = (finished.tokens_in, finished.tokens_out)
        return finished.tokens_in - before[0], finished.tokens_out - before[1]

    async def tokens(self) -> tuple[int, int]:
        """Tokens in and out since it was last asked, or heard of, by all its actors that answer."""
        calls = [actor.counted.remote() for actor in self.actors]
        told = await asyncio.gather(*calls, return_exceptions=True)
        since = [self.tokens_since(one) for one in told if isinstance(one, Finished)]
        return sum(read for read, _ in since), sum(written for _, written in since)

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

    def pool(self, name: str) -> Pool:
        """The actors of an engine, started if they are not there."""
        if name not in self._pools:
            self._connect()
            self._pools[name] = Pool(name, self._specs[name], self._cpus(self._specs[name]))
        return self._pools[name]

    def gpus(self) -> dict[str, float]:
        """GPUs that each running engine holds, its actors together."""
        return {name: pool.spec.gpus() * len(pool.actors) for name, pool in self._pools.items()}

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
        share = ray.cluster_resources().get("CPU", 1.0) / sum(each.actors for each in self._specs.values())
        if not spec.computes_on_cpu():
            share = min(1.0, share)
        return float(int(share)) if share >= 1.0 else int(share * 100) / 100
