"""A run as its folder tells it: how far each stage is, how fast, what was dropped. The run itself is not asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..schemas.errors import PlainError
from ..schemas.manifest import StageManifest, StageStatus
from .store import StageFolder

EVERY_SECONDS = 2.0
FRESH_SECONDS = 60.0  # a status that is older belongs to a run that was killed, or whose engines load or stand still


class NotARun(PlainError, FileNotFoundError):
    """The folder holds no run."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How far one stage is: finished, at work, or silent."""

    state: str
    told: StageStatus


def stages(run: Path, now: float) -> list[Stage]:
    """All stages of a run, in order; of several in one place the newest. `now` is in seconds since 1970.

    Raises:
        NotARun: if there is no recipe in the folder.
    """
    if not (run / "recipe.yaml").is_file():
        raise NotARun(f"{run} holds no run (no recipe.yaml); name a folder that `rookery build` has made or is making")
    newest: dict[str, Path] = {}
    for path in sorted((run / "stages").glob("*"), key=lambda path: path.stat().st_mtime):
        newest[path.name.rpartition("-")[0]] = path
    return [told for name in sorted(newest) if (told := _one(StageFolder(newest[name]), now)) is not None]


def watch(run: Path, *, once: bool = False) -> None:
    """Print the table, anew every two seconds until Ctrl-C."""
    console = Console()
    if once:
        console.print(table(run))
        return
    with Live(table(run), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(EVERY_SECONDS)
            live.update(table(run), refresh=True)


def table(run: Path) -> Table:
    """What `watch` shows."""
    shown = Table("stage", "", "rows", "of", "tokens", "tok/s", "dropped", box=SIMPLE, title=run.name)
    for stage in stages(run, time.time()):
        told = stage.told
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in sorted(told.dropped.items(), key=lambda kv: -kv[1]))
        speed = f"{told.tokens_out / told.seconds:,.0f}" if told.tokens_out and told.seconds else ""
        tokens = f"{told.tokens_in + told.tokens_out:,}"
        shown.add_row(told.stage, stage.state, f"{told.done:,}", f"{told.rows:,}", tokens, speed, dropped)
    return shown


def _one(folder: StageFolder, now: float) -> Stage | None:
    if (manifest := folder.manifest()) is not None:
        return Stage("finished", _of(manifest))
    status = folder.status()
    return None if status is None else Stage("at work" if now - status.at < FRESH_SECONDS else "silent", status)


def _of(manifest: StageManifest) -> StageStatus:
    return StageStatus(
        stage=manifest.stage,
        rows=manifest.rows_in,
        done=manifest.rows_in,
        dropped=manifest.dropped,
        tokens_in=manifest.tokens_in,
        tokens_out=manifest.tokens_out,
        seconds=manifest.seconds,
        at=0.0,
    )
