"""Rows to engines: small units to whoever is free, so that no engine waits and the last one to finish has little to do.

A unit is run again when its actor dies. A row that keeps killing engines is found by halving (Knuth's group testing) and
dropped with that reason; it costs itself alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Named, Row, text_of
from .cluster import ActorHandle, ClusterError, Died, Finished, Pool, Remote, Unavailable, reason_of

UNIT_ROWS = 16  # rows to a call: a call costs about a millisecond of the driver's time
AHEAD = 1.25  # rows handed to an actor, of those it works on at once: the next ones are there when one is finished
DEATHS_WITHOUT_PROGRESS = 6  # then it is the engine that is broken, and not a row

Deliver = Callable[[list[tuple[str, list[Row]]], int, int], None]  # what rows became, tokens in, tokens out


@dataclass(slots=True)
class _Unit:
    rows: list[Named]
    deaths: int = 0


@dataclass(slots=True)
class Dispatcher:
    """One stage's rows, on the actors of its first engine."""

    step: Step
    stage: str
    pool: Pool
    others: Sequence[Remote]
    deliver: Deliver
    _waiting: deque[_Unit] = field(default_factory=deque)
    _suspects: deque[_Unit] = field(default_factory=deque)
    _deaths: int = 0  # calls lost since something was finished
    _lanes: int = 1
    _reason: str = ""

    async def run(self, rows: Sequence[Named]) -> None:
        """Run all rows; results are delivered as they come, in any order.

        Raises:
            ClusterError: if engines die again and again and nothing gets done.
        """
        actors, in_flight = self.pool.actors, self.pool.spec.in_flight
        size = max(1, min(UNIT_ROWS, in_flight // 8))
        self._waiting.extend(_Unit(list(rows[i : i + size])) for i in range(0, len(rows), size))
        self._lanes = max(1, min(round(AHEAD * in_flight / size), -(-len(self._waiting) // len(actors))))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._lanes):  # lane by lane, so that a short queue is spread over all actors
                for actor in actors:
                    group.create_task(self._lane(actor))
        while self._suspects:
            await self._question(self._suspects.popleft())
        if self._waiting:
            raise ClusterError(
                f"all engines {self.pool.name} ({self.pool.spec.name}) are gone; the last reason: {self._reason}"
            )

    async def _lane(self, actor: ActorHandle) -> None:
        while self._waiting:
            unit = self._waiting.popleft()
            if not await self._try(actor, unit):
                (self._waiting if unit.deaths < 2 else self._suspects).append(unit)
                if not await self._revived(actor):
                    return

    async def _question(self, unit: _Unit) -> None:
        """Run suspects with nothing else in flight: halve those with whom the engine dies until one row is left."""
        actor = self.pool.actors[0]
        if await self._try(actor, unit):
            return
        if not await self._revived(actor):
            self._waiting.append(unit)  # which ends the stage: there is no engine left to ask
            self._waiting.extend(self._suspects)
            self._suspects.clear()
        elif len(unit.rows) > 1:
            half = len(unit.rows) // 2
            self._suspects.extendleft([_Unit(unit.rows[half:], 2), _Unit(unit.rows[:half], 2)])
        elif unit.deaths < 4:  # twice alone: not somebody's kill that happened to fall on it
            self._suspects.appendleft(unit)
        else:
            [row] = unit.rows
            text = text_of(row.turns) if isinstance(row, Chat) else ""
            why = f"the engine died {unit.deaths} times on this row, twice with nothing else in flight"
            self._progress(Finished([(row.id, [Drop(row.id, self.stage, "engine_died", why, text)])], 0, 0, ""))

    async def _try(self, actor: ActorHandle, unit: _Unit) -> bool:
        try:
            finished = await actor.run.remote(self.step, self.stage, unit.rows, self.others)
        except Died as error:
            unit.deaths += 1
            self._deaths += 1
            self._reason = reason_of(error)
            if self._deaths > DEATHS_WITHOUT_PROGRESS * self._lanes * len(self.pool.actors):
                raise ClusterError(
                    f"engines {self.pool.name} ({self.pool.spec.name}) die again and again and finish nothing in between; "
                    f"the last reason: {self._reason}"
                ) from error
            return False
        self._progress(finished)
        return True

    async def _revived(self, actor: ActorHandle) -> bool:
        """Wait until the actor is up again. False if it will not be."""
        refusals = 0
        while refusals < 3:
            try:
                await actor.about.remote()
                return True
            except Unavailable:
                await asyncio.sleep(0.5)
            except Died as error:
                self._reason = reason_of(error)
                refusals += 1
                await asyncio.sleep(0.5)
        return False

    def _progress(self, finished: Finished) -> None:
        self._deaths = 0
        self.deliver(finished.done, *self.pool.tokens_since(finished))
