"""One stage's work: the parts of its input, and what becomes of rows as they are finished: journal, parts, costs, manifest."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import polars as pl
from rich.console import Console

from ..schemas.digest import digest
from ..schemas.manifest import StageManifest, StageStatus
from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Row, Seed, rows, text_of
from .cluster import Fleet
from .dispatch import Delivery
from .durable import Journal, Spent
from .ledger import Ledger, cost_of
from .lineage import NOT_RUN, Outcome, index, keys, state_of
from .logs import log
from .progress import Meter
from .store import StageFolder

TELL_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """One stage that is to be done, handed to Prefect as one thing that it need not look into."""

    name: str
    step: Step
    table: pl.DataFrame
    stage: StageFolder
    shard_rows: int
    fleet: Fleet
    console: Console
    ledger: Ledger
    run: str

    def log(self, event: str, told: Mapping[str, object], level: int = logging.INFO) -> None:
        """A line in the run's log, with run and stage."""
        log.log(level, event, extra={"run": self.run, "stage": self.name, **told})

    def say(self, words: str) -> None:
        """What a person should know at once."""
        self.console.print(words)
        self.log(words, {}, logging.WARNING)

    @property
    def kinds(self) -> list[type[Row]]:
        """The tables that the step makes, the main one first."""
        return list(dict.fromkeys((*self.step.produces, Drop)))

    @property
    def parts(self) -> int:
        """Into how many parts the table is cut; an empty table has one, so that its columns are on disk."""
        return max(1, -(-self.table.height // self.shard_rows))

    def shards(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """The parts' input, by number."""
        for part in range(self.parts):
            yield part, self.table.slice(part * self.shard_rows, self.shard_rows)


class Collector:
    """Takes finished rows in any order, journals them, and commits a part when all its rows are there, in their order.

    Parts are written by a thread beside: to make one durable takes as long as a few hundred rows, and lanes would wait for it.
    The journal holds the rows until then.
    """

    def __init__(
        self,
        work: Work,
        pending: dict[int, pl.DataFrame],
        journaled: dict[str, list[Row]],
        journal: Journal,
        meter: Meter,
        spent: Spent,
    ) -> None:
        self._work, self._journal, self._meter, self._spent = work, journal, meter, spent
        self._done = journaled
        self._failed: set[str] = set()
        self._dropped = Counter(row.reason for made in journaled.values() for row in made if isinstance(row, Drop))
        self._writer = ThreadPoolExecutor(1, "parts")  # one, so that parts are written in turn
        self._writing: list[Future[None]] = []
        self._told = 0.0  # when the status was written, seconds of the monotonic clock
        self._shards = pending
        self._ids = {part: shard["id"].to_list() for part, shard in pending.items()}
        self._part = {name: part for part, ids in self._ids.items() for name in ids}
        self._missing = {part: sum(name not in journaled for name in ids) for part, ids in self._ids.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.shutdown()

    def loaded(self) -> None:
        """GPUs are held while engines load, too."""
        self._spend(self._cost({}, self._meter.lap()))

    def take(self, delivery: Delivery) -> None:
        """Journal what is finished, but for what failed, which a resumed run tries again; commit the parts that are whole."""
        self._failed |= delivery.failed
        seconds = self._meter.lap()
        cost = self._cost(delivery.tokens, seconds) + Spent(seconds=seconds)
        self._spend(cost, [(name, made) for name, made in delivery.done if name not in self._failed])
        self._meter.add(len(delivery.done), cost.tokens_in, cost.tokens_out)
        self._add(delivery.done)
        self._tell()

    def enough(self) -> bool:
        """Whether the budget says that no more rows are to be run."""
        ledger = self._work.ledger
        done = self._work.table.height - sum(self._missing.values())
        if stop := ledger.used_up(self._work.name, self._spent, done):
            ledger.stopped[self._work.name] = stop
        return bool(stop)

    def leave_out(self) -> None:
        """Drop the rows that the budget left no room for."""
        step, stopped = self._work.step, self._work.ledger.stopped.get(self._work.name, "")
        for part in list(self._missing):
            left = self._shards[part].filter(~pl.col("id").is_in(list(self._done)))
            why = f"the budget's {stopped} were used up"
            texts = [(row.id, text_of(row.turns) if isinstance(row, Chat | Seed) else "") for row in rows(step.consumes, left)]
            self._add([(name, [Drop(name, self._work.name, NOT_RUN, why, text)]) for name, text in texts])

    def _cost(self, tokens: Mapping[str, tuple[int, int]], held_seconds: float) -> Spent:
        return cost_of(tokens, held_seconds, self._work.fleet.gpus(), self._work.ledger.budget.prices)

    def _spend(self, cost: Spent, done: Sequence[tuple[str, list[Row]]] = ()) -> None:
        self._journal.append(done, cost)
        self._spent += cost

    def _add(self, done: list[tuple[str, list[Row]]]) -> None:
        for name, made in done:
            drops = [row for row in made if isinstance(row, Drop)]
            self._dropped.update(row.reason for row in drops)
            for row in drops:
                self._work.log("row dropped", {"row": row.id, "reason": row.reason, "detail": row.detail})
            if name in self._failed and not drops:
                self._work.log("row failed", {"row": name, "reason": "engine_error"})
            self._done[name] = made
            self._missing[self._part[name]] -= 1
        self.commit_whole()

    def _tell(self) -> None:
        """Write the status, now and then: `rookery watch` reads it."""
        if time.monotonic() - self._told < TELL_EVERY_SECONDS:
            return
        self._told = time.monotonic()
        height = self._work.table.height
        self._work.stage.tell(
            StageStatus(
                stage=self._work.name,
                rows=height,
                done=height - sum(self._missing.values()),
                dropped=dict(self._dropped),
                tokens_in=self._spent.tokens_in,
                tokens_out=self._spent.tokens_out,
                seconds=self._spent.seconds,
                at=time.time(),
            )
        )

    def commit_whole(self) -> None:
        """Have every part written that misses no row. Raises what went wrong with earlier ones."""
        for part in [part for part, missing in self._missing.items() if missing == 0]:
            made = [(name, self._done.pop(name)) for name in self._ids[part]]
            told = [Outcome(state_of(some, name in self._failed), some) for name, some in made]
            self._writing.append(self._writer.submit(self._commit, part, told))
            del self._missing[part]
        while self._writing and self._writing[0].done():
            self._writing.pop(0).result()

    def _commit(self, part: int, told: Sequence[Outcome]) -> None:
        work = self._work
        inputs = keys(work.step.consumes, self._shards[part])
        main, *others = work.kinds
        flat = [row for outcome in told for row in outcome.rows]
        work.stage.commit(part, main, flat, others, index(inputs, told, work.kinds))

    def written(self) -> None:
        """Wait until all parts are on disk."""
        for part in self._writing:
            part.result()

    def manifest(self, made_from: dict) -> StageManifest:
        """What the finished stage says of itself."""
        work = self._work
        kinds = [kind for kind in work.step.produces if kind is not Drop]
        made = {kind: work.stage.read(kind, work.step.produces[0], work.parts) for kind in (*kinds, Drop)}
        return StageManifest(
            stage=work.name,
            fingerprint=digest(made_from),
            made_from=made_from,
            rows_in=work.table.height,
            rows_out={kind.__name__: made[kind].height for kind in kinds},
            dropped=dict(sorted(Counter(made[Drop]["reason"]).items())),
            tokens_in=self._spent.tokens_in,
            tokens_out=self._spent.tokens_out,
            seconds=round(self._spent.seconds, 3),
            gpu_hours=round(self._spent.gpu_seconds / 3600.0, 6),
            money=round(self._spent.money, 6),
            parts=work.stage.parts(),
        )
