"""The disk: run folders, stages named by fingerprint, a journal of finished rows, parts written aside and renamed.

    runs/<name>/recipe.yaml  manifest.json
    runs/<name>/stages/<nn>-<stage>-<fingerprint>/part-00000.parquet  dropped/part-00000.parquet  manifest.json
    runs/<name>/dataset/<export>/train-00000-of-00001.parquet

A row is journaled as it is finished; a part is committed by fsync and rename, its main table last; the manifest comes after
all parts. So whatever was there when a process died is whole, and the next process goes on from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import polars as pl
import yaml

from ..schemas.manifest import FORMAT, Part, RunManifest, StageManifest, StageStatus
from ..schemas.tables import Drop, Row, conform, frame
from .durable import Journal, Spent, StoreError, describe, disk_errors, read_journal, sync_folder, write, write_parquet
from .lineage import Outcome, outcomes


class RunFolder:
    """One run's folder, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __enter__(self) -> Self:
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 32).decode() or "?"
            os.close(self._lock)
            raise StoreError(f"{self.path} is in use by process {holder}; wait for it, or end it") from None
        with disk_errors(self.path):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, str(os.getpid()).encode(), 0)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._lock is not None:
            os.close(self._lock)  # which also gives the lock back

    def recipe(self) -> dict | None:
        """The recipe that this folder was written by."""
        path = self.path / "recipe.yaml"
        return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None

    def claim(self, recipe: dict) -> None:
        """Write the recipe down, unless the folder belongs to something else.

        Raises:
            StoreError: if the folder holds another dataset, another format, or no run at all.
        """
        held = self.recipe()
        others = [p.name for p in self.path.iterdir() if p.name not in {".lock"} and not p.name.endswith(".tmp")]
        if held is None and others:
            raise StoreError(f"{self.path} holds {sorted(others)[:3]} but no recipe.yaml: it is no run folder; choose another")
        if held is not None:
            told = {"name": (held.get("name"), recipe["name"])}
            told["generate.method"] = ((held.get("generate") or {}).get("method"), recipe["generate"]["method"])
            told["format"] = (held.get("format", FORMAT), FORMAT)
            if wrong := [f"{key} is {was!r} there, {now!r} here" for key, (was, now) in told.items() if was != now]:
                raise StoreError(
                    f"{self.path} was written by another recipe: {'; '.join(wrong)}. Give this recipe a `name` of its own "
                    "(--set name=...), or another folder (--runs), or remove the old run"
                )
        write(self.path / "recipe.yaml", yaml.safe_dump({"format": FORMAT, **recipe}, sort_keys=False).encode())

    def stage(self, number: int, name: str, fingerprint: str) -> StageFolder:
        """The folder of a stage."""
        return StageFolder(self.path / "stages" / f"{number:02d}-{name}-{fingerprint[:12]}")

    def stale(self, current: Sequence[Path]) -> list[Path]:
        """Stage folders that the present recipe does not use."""
        kept = {path.name for path in current}
        return sorted(p for p in (self.path / "stages").glob("*") if p.is_dir() and p.name not in kept)

    def publish(self, name: str, table: pl.DataFrame, rows_per_file: int) -> list[Part]:
        """Write an export as `dataset/<name>/train-*.parquet`, replacing what was there in one rename."""
        final, aside = self.path / "dataset" / name, self.path / "dataset" / f".{name}.tmp"
        shutil.rmtree(aside, ignore_errors=True)
        count = max(1, -(-table.height // rows_per_file))
        parts = []
        for i in range(count):
            file = f"train-{i:05d}-of-{count:05d}.parquet"
            parts.append(write_parquet(aside / file, table.slice(i * rows_per_file, rows_per_file)))
        with disk_errors(final):
            shutil.rmtree(final, ignore_errors=True)
            aside.rename(final)
        return [part.model_copy(update={"file": f"{name}/{part.file}"}) for part in parts]

    def finish(self, manifest: RunManifest) -> None:
        """Write the run's manifest: the run is complete."""
        write(self.path / "manifest.json", manifest.model_dump_json(indent=2).encode())


class StageFolder:
    """One stage's folder: its journal, its parts, its manifest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = path / "journal"

    def manifest(self) -> StageManifest | None:
        """The manifest, if the stage is finished and its files are there."""
        path = self.path / "manifest.json"
        if not path.is_file():
            return None
        found = StageManifest.model_validate_json(path.read_text(encoding="utf-8"))
        return found if all((self.path / part.file).is_file() for part in found.parts) else None

    def committed(self, part: int) -> bool:
        """Whether a part is on disk. Its main table is renamed last, so it stands for all of them."""
        return self._file(None, part).is_file()

    def commit(
        self,
        part: int,
        main: type[Row],
        rows: Sequence[Row],
        others: Sequence[type[Row]],
        index: pl.DataFrame | None = None,
    ) -> None:
        """Write the part's tables aside, then rename them: dropped rows and notes first, the main table last."""
        renames = []
        if index is not None:
            renames.append((self._index(part).with_suffix(".tmp"), self._index(part)))
            write_parquet(renames[0][0], index)
        for table in (*others, main):
            final = self._file(None if table is main else table, part)
            aside = final.with_suffix(".tmp")
            write_parquet(aside, frame(table, [row for row in rows if type(row) is table]))
            renames.append((aside, final))
        with disk_errors(self.path):
            for aside, final in renames:
                aside.rename(final)
                sync_folder(final.parent)

    def read(self, table: type[Row], main: type[Row], parts: int) -> pl.DataFrame:
        """A whole table of the stage, in the order of its input."""
        files = [self._file(None if table is main else table, i) for i in range(parts)]
        if not files:
            return frame(table, [])
        return conform(table, pl.concat([pl.read_parquet(file) for file in files]))

    def outcomes(self, part: int, kinds: Sequence[type[Row]]) -> Iterator[tuple[str, Outcome]]:
        """What each input row of a part became, by the digest of the input row; `kinds` begin with the main table."""
        if self._index(part).is_file():  # absent in what was written before there were budgets
            tables = {kind: pl.read_parquet(self._file(None if kind is kinds[0] else kind, part)) for kind in kinds}
            yield from outcomes(pl.read_parquet(self._index(part)), tables)

    def reopen(self, parts: Sequence[int]) -> None:
        """Take the manifest and some parts back, so that their rows are made again where the journal does not hold them."""
        with disk_errors(self.path):
            (self.path / "manifest.json").unlink(missing_ok=True)
            for part in parts:
                self._file(None, part).unlink(missing_ok=True)

    def clear_journal(self) -> None:
        """Forget what is journaled."""
        with disk_errors(self._journal):
            self._journal.unlink(missing_ok=True)

    def siblings(self) -> Iterator[StageFolder]:
        """Other stages of the run, the newest first."""
        folders = [path for path in self.path.parent.glob("*") if path.is_dir() and path != self.path]
        for path in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
            yield StageFolder(path)

    def tell(self, status: StageStatus) -> None:
        """Say how far the stage is; not worth an fsync."""
        aside = self.path / ".status.tmp"
        with disk_errors(aside):
            aside.write_text(status.model_dump_json(), encoding="utf-8")
            aside.rename(self.path / "status.json")

    def status(self) -> StageStatus | None:
        """How far the stage was when it last said so; None before that, and when it is finished."""
        try:
            return StageStatus.model_validate_json((self.path / "status.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def parts(self) -> list[Part]:
        """All committed files, with their digests."""
        found = sorted(self.path.rglob("part-*.parquet"))
        return [describe(file, self.path) for file in found]

    def finish(self, manifest: StageManifest) -> None:
        """Write the manifest; the journal has served."""
        write(self.path / "manifest.json", manifest.model_dump_json(indent=2).encode())
        self._journal.unlink(missing_ok=True)
        (self.path / "status.json").unlink(missing_ok=True)

    def journaled(self) -> tuple[dict[str, list[Row]], Spent]:
        """Finished rows of a stage that was cut short (id of the input row -> what it became), and what they cost."""
        return read_journal(self._journal)

    @contextlib.contextmanager
    def journal(self) -> Iterator[Journal]:
        """Open the journal to append to it."""
        with disk_errors(self._journal):
            self.path.mkdir(parents=True, exist_ok=True)
            file = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            yield Journal(file, self._journal)
        finally:
            os.close(file)

    def _index(self, part: int) -> Path:
        return self.path / f"inputs-{part:05d}.parquet"

    def _file(self, table: type[Row] | None, part: int) -> Path:
        folder = self.path if table is None else self.path / ("dropped" if table is Drop else table.__name__.lower())
        return folder / f"part-{part:05d}.parquet"
