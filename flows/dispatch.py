"""Rows to engines: small units to whoever is free, so that no engine waits and the last one to finish has little to do.

Actors come and go with the cluster's machines: an actor gets no work before it is up, what a lost one held goes to whoever is free,
and the others stay until the last unit is done, for it may come back to them. A row that keeps killing engines is found by
halving (Knuth's group testing) and dropped with that reason; it costs itself alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Named, Row, text_of
from .cluster import ClusterError, Pool, Unavailable, reason_of
from .engines.death import is_out_of_memory
from .watchdog import Watchdog
from .worker import Died, Finished, Full

UNIT_ROWS = 16  # rows to a call: a call costs about a millisecond of the driver's time
AHEAD = 1.25  # rows handed to an actor, of those it works on at once: the next ones are there when one is finished
DEATHS_WITHOUT_PROGRESS = 6  # then it is the engine that is broken, and not a row
OTHERS_EVERY_SECONDS = 2.0  # how often a step's second engines are asked what they have done
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What rows became, which of them failed, and the tokens that engines have read and written since the last delivery."""

    done: list[tuple[str, list[Row]]]
    failed: frozenset[str] = frozenset()
    tokens: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # engine -> in, out


Deliver = Callable[[Delivery], None]


def _never() -> bool:
    return False


def _first(group: BaseExceptionGroup) -> BaseException:
    """Of what went wrong in several lanes at once, the first: it is written for a reader, and the others follow from it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


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
    others: Sequence[Pool]  # of the step's further engines, in its order
    deliver: Deliver
    enough: Callable[[], bool] = _never  # asked before a unit is handed out: whether no more is to be
    say: Callable[[str], None] = log.warning  # what a person should know at once
    _waiting: deque[_Unit] = field(default_factory=deque)
    _suspects: deque[_Unit] = field(default_factory=deque)
    _deaths: int = 0  # calls lost since something was finished
    _lanes: int = 1  # of each actor
    _out: int = 0  # units that engines have
    _turn: asyncio.Condition = field(default_factory=asyncio.Condition)  # told when a unit is done or comes back
    _over: asyncio.Event = field(default_factory=asyncio.Event)  # nothing is left to hand out, or nobody to take it
    _reason: str = ""

    async def run(self, rows: Sequence[Named]) -> list[Named]:
        """Run all rows; results are delivered as they come, in any order. Returns those that were not run, if it was enough.

        Raises:
            ClusterError: if engines die again and again and nothing gets done.
        """
        actors, in_flight = len(self.pool.actors), self.pool.spec.in_flight
        size = max(1, min(UNIT_ROWS, in_flight // 8))
        self._waiting.extend(_Unit(list(rows[i : i + size])) for i in range(0, len(rows), size))
        self._lanes = max(1, min(round(AHEAD * in_flight / size), -(-len(self._waiting) // actors)))
        beside = [asyncio.create_task(self._count_others()), asyncio.create_task(self._watchdog().run())]
        try:
            async with asyncio.TaskGroup() as group:
                # Lane by lane, so that a short queue is spread over all actors.
                lanes = [group.create_task(self._lane(n)) for _ in range(self._lanes) for n in range(actors)]
                group.create_task(self._end(lanes))
            while self._suspects and not self.enough():
                await self._question(self._suspects.popleft())
        except BaseExceptionGroup as group_of:
            raise _first(group_of) from group_of
        finally:
            for task in beside:
                task.cancel()
        await self._count()
        left = [row for unit in (*self._suspects, *self._waiting) for row in unit.rows]
        if left and not self.enough():
            raise ClusterError(
                f"all engines {self.pool.name} ({self.pool.spec.name}) are gone; the last reason: {self._reason}"
            )
        return left

    def _second(self) -> list[Pool]:
        """The pools beside the first, each once."""
        return list({pool.name: pool for pool in self.others if pool is not self.pool}.values())

    def _watchdog(self) -> Watchdog:
        return Watchdog([self.pool, *self._second()], self.say)

    async def _count_others(self) -> None:
        while self._second():
            await asyncio.sleep(OTHERS_EVERY_SECONDS)
            await self._count()

    async def _count(self) -> None:
        """Deliver what the other engines have read and written."""
        if second := self._second():
            self.deliver(Delivery([], tokens={pool.name: await pool.tokens() for pool in second}))

    async def _lane(self, number: int) -> None:
        up = await self._revived(number)
        while up and (unit := await self._take()) is not None:
            done = await self._try(number, unit)
            await self._settle(unit, done)
            up = done or await self._revived(number)

    async def _end(self, lanes: Sequence[asyncio.Task[None]]) -> None:
        """End the lanes of actors that are not up when all is done: their machine may never come."""
        all_gone = asyncio.ensure_future(asyncio.wait(lanes))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((all_gone, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (*lanes, all_gone, over):
                waiting.cancel()

    async def _take(self) -> _Unit | None:
        """The next unit; while there is none, but engines are at work on some, wait whether one comes back. None: it is over."""
        async with self._turn:
            await self._turn.wait_for(lambda: self._waiting or not self._out or self.enough())
            if not self._waiting or self.enough():
                if not self._out:
                    self._over.set()
                return None
            self._out += 1
            return self._waiting.popleft()

    async def _settle(self, unit: _Unit, done: bool) -> None:
        """A unit is done, or is there to be taken again."""
        async with self._turn:
            self._out -= 1
            if not done:
                (self._waiting if unit.deaths < 2 else self._suspects).append(unit)
            if not self._out and (not self._waiting or self.enough()):
                self._over.set()
            self._turn.notify_all()

    async def _anyone(self) -> int | None:
        """The first actor that is up; None if none will be."""
        asked = {asyncio.create_task(self._revived(number)): number for number in range(len(self.pool.actors))}
        found: int | None = None
        while asked and found is None:
            told, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            answers = {asked.pop(task): task.result() for task in told}
            found = min((number for number, up in answers.items() if up), default=None)
        for task in asked:
            task.cancel()
        return found

    async def _question(self, unit: _Unit) -> None:
        """Run suspects with nothing else in flight: halve those with whom the engine dies until one row is left."""
        if (number := await self._anyone()) is None:
            self._waiting.append(unit)  # which ends the stage: there is no engine left to ask
            self._waiting.extend(self._suspects)
            self._suspects.clear()
        elif await self._try(number, unit):
            return
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

    async def _try(self, number: int, unit: _Unit) -> bool:
        try:
            others = [pool.remote() for pool in self.others]
            finished = await self.pool.actors[number].run.remote(self.step, self.stage, unit.rows, others)
        except Full as error:
            [pool] = {pool.name: pool for pool in (self.pool, *self.others) if pool.name == error.pool}.values()
            if pool.shrink(error.in_flight, error.why):
                self._deaths = 0
                self.say(f"engine {pool.name}: {error.why}; it starts again with {pool.spec.in_flight} rows at once")
            return False
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

    async def _revived(self, number: int) -> bool:
        """Wait until the actor, or one in its place, is up again. False if it will not be."""
        refusals = 0
        while refusals < 3:
            try:
                await self.pool.actors[number].about.remote()
                return True
            except Unavailable:
                await asyncio.sleep(0.5)
            except Died as error:
                self._reason = reason_of(error)
                if is_out_of_memory(str(error)):
                    self.pool.shrink(self.pool.spec.in_flight, self._reason)
                refusals += 1
                await asyncio.sleep(0.5)
        return False

    def _progress(self, finished: Finished) -> None:
        self._deaths = 0
        self.deliver(Delivery(finished.done, finished.failed, {self.pool.name: self.pool.tokens_since(finished)}))
