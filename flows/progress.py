"""What a person sees while a run works: bars in a terminal, lines in a log, an artifact in Prefect, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..schemas.manifest import StageManifest

LOG_EVERY_SECONDS = 10.0  # a line in a log that is no terminal
TABLE_EVERY_SECONDS = 60.0  # of the engines' table, of which each version is a new artifact
ARTIFACT_EVERY_SECONDS = 5.0  # an artifact update is a call to Prefect's server, made between two units


@dataclass(slots=True)
class Meter:
    """Rows and tokens of one stage, shown as they come. Tokens are those of the engines, judges' included."""

    stage: str
    rows: int
    console: Console
    done: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    engines: Callable[[], list[dict[str, str]]] = list  # how busy each is; known once they are up
    _began: float = field(default_factory=time.monotonic)
    _lapped: float = field(default_factory=time.monotonic)
    _said: float = 0.0
    _told: float = 0.0
    _tabled: float = 0.0
    _bar: Progress | None = None
    _task: TaskID | None = None  # of the bar
    _artifact: UUID | None = None
    _reused: int = 0

    def __enter__(self) -> Self:
        self._said = self._told = self._tabled = time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:10}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._bar.start()
            self._task = self._bar.add_task(self.stage, total=self.rows, completed=self.done, speed="loading engine")
        if _in_prefect():
            told = create_progress_artifact(progress=0.0, key=f"progress-{self.stage}", description=self.stage)
            assert isinstance(told, UUID)  # a coroutine in async flows and tasks only, and ours are none
            self._artifact = told
        self._reused = self.done
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._artifact is not None:
            update_progress_artifact(self._artifact, progress=100.0 * self.done / max(1, self.rows))
            self._tell_engines()

    def engines_are_up(self, engines: Callable[[], list[dict[str, str]]]) -> None:
        """From here on it is work that takes the time."""
        self.engines = engines
        self._began = self._lapped = time.monotonic()

    def add(self, rows: int, tokens_in: int, tokens_out: int) -> None:
        """Some rows are finished."""
        self.done += rows
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, speed=self._speed(now))
        elif now - self._said >= LOG_EVERY_SECONDS:
            self._said = now
            self.console.print(f"{self.stage}: {self.done}/{self.rows} rows, {self._speed(now)}, {self._eta(now)} to go")
        if self._artifact is not None and now - self._told >= ARTIFACT_EVERY_SECONDS:
            self._told = now
            update_progress_artifact(self._artifact, progress=100.0 * self.done / max(1, self.rows))

        if now - self._tabled >= TABLE_EVERY_SECONDS:
            self._tabled = now
            self._tell_engines()

    def _tell_engines(self) -> None:
        if told := self.engines():
            told_as_table(told, f"engines-{self.stage}", f"Engines of {self.stage}")

    def lap(self) -> float:
        """Seconds of work since the last time this was asked."""
        before, self._lapped = self._lapped, time.monotonic()
        return self._lapped - before

    def _speed(self, now: float) -> str:
        return f"{self.tokens_out / max(1e-9, now - self._began):,.0f} tokens/s"

    def _eta(self, now: float) -> str:
        fresh = self.done - self._reused
        if not fresh:
            return "unknown time"
        return f"{(self.rows - self.done) * (now - self._began) / fresh:.0f} s"


def summary(
    manifests: Sequence[StageManifest], reused: Mapping[str, str], console: Console, stopped: Mapping[str, str]
) -> None:
    """The table at the end: what went in and out of each stage, what it cost, what was there already, what the budget stopped."""
    titles = ("stage", "in", "out", "dropped", "tok in", "tok out", "s", "tok/s", "reused")
    lines = []
    for one in manifests:
        speed = f"{one.tokens_out / one.seconds:,.0f}" if one.seconds and one.tokens_out else ""
        out = ", ".join(
            f"{count:,} {table.lower()}" for table, count in one.rows_out.items() if count or len(one.rows_out) == 1
        )
        counts = (one.rows_in, out or "0", sum(one.dropped.values()), one.tokens_in, one.tokens_out)
        cells = [f"{c:,}" if isinstance(c, int) else c for c in counts]
        lines.append([one.stage, *cells, f"{one.seconds:.1f}", speed, reused.get(one.stage, "")])
    table = Table(*titles, box=SIMPLE)
    for line in lines:
        table.add_row(*line)
    console.print(table)
    if stopped:
        told = ", ".join(f"{stage} ({limit})" for stage, limit in stopped.items())
        console.print(f"the budget stopped {told}; raise it and run the same command again: what is there is kept")
    told_as_table([dict(zip(titles, line, strict=True)) for line in lines], "yield", "Yield and cost")


def told_as_table(rows: Sequence[dict], key: str, description: str) -> None:
    """A table as an artifact of the run, if it runs under Prefect; the newest of that key is the one shown."""
    if _in_prefect():
        create_table_artifact(list(rows), key=key, description=description)


def _in_prefect() -> bool:
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None
