"""The watchdog: an engine that has rows and does nothing is named, shown with its stack, and restarted.

A hang without a word is what users of such pipelines complain of most. Engines are asked for their pulse on an event loop of
its own in their process, which answers when the one that works stands still.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .cluster import Pool
from .worker import Pulse

LOOKS = 5  # in the time that an engine may be silent
LOADING = 4  # times as long may pass without any answer: an engine that loads gives none


@dataclass(slots=True)
class _Seen:
    mark: object = None  # the process and what it has done
    since: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Watchdog:
    """Looks after the engines of one stage."""

    pools: Sequence[Pool]
    say: Callable[[str], None]
    _seen: dict[tuple[str, int], _Seen] = field(default_factory=dict)

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(min(pool.spec.silent_seconds for pool in self.pools) / LOOKS)
            await asyncio.gather(*(self._look(pool, i) for pool in self.pools for i in range(len(pool.actors))))

    async def _look(self, pool: Pool, number: int) -> None:
        limit = pool.spec.silent_seconds
        seen = self._seen.setdefault((pool.name, number), _Seen())
        pulse = await pool.pulse(number, limit / LOOKS)
        if pulse is not None and (pulse.rows == 0 or pulse.mark != seen.mark):
            self._seen[pool.name, number] = _Seen(pulse.mark)
            return
        silent = time.monotonic() - seen.since
        if silent > (limit if pulse is not None else limit * LOADING):
            self.say(await self._told(pool, number, pulse, silent))
            pool.restart(number)
            self._seen[pool.name, number] = _Seen()

    async def _told(self, pool: Pool, number: int, pulse: Pulse | None, silent: float) -> str:
        who = f"engine {pool.name} ({pool.spec.name}), actor {number}"
        if pulse is None:
            return (
                f"{who}: no answer for {silent:.0f} s, not even of its watching thread; it is restarted, and its rows run again"
            )
        stack = await pool.stack(number, 10.0)
        return (
            f"{who}: no token for {silent:.0f} s with {pulse.rows} rows at hand; process {pulse.process} on {pulse.node} stands at\n"
            f"{stack}\nit is restarted, and its rows run again"
        )
