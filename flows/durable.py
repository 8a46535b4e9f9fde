"""Writing that survives: aside, fsync, rename; a journal with a checksum to each line; errors that say what to do."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from ..schemas.errors import PlainError
from ..schemas.manifest import Part
from ..schemas.tables import TABLES, Row, builder, plain


class StoreError(PlainError, RuntimeError):
    """The disk does not allow what a run needs. The message says what to do."""


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the disk's errors into ones that say what is still valid and what to do."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "the disk is full: free some space",
            errno.EDQUOT: "the quota is used up: free some space",
            errno.EROFS: "the file system is read-only: choose another folder with --runs",
            errno.EACCES: "this user may not write there: choose another folder with --runs",
            errno.EFBIG: "the file would exceed this process's limit: raise `ulimit -f`",
        }.get(error.errno or 0, "mend it, or choose another folder with --runs")
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. {remedy[0].upper()}{remedy[1:]}, then run the same command "
            "again; what was committed stays valid and is reused."
        ) from error


@dataclasses.dataclass(frozen=True, slots=True)
class Spent:
    """What some rows have cost."""

    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    money: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*map(sum, zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


@dataclasses.dataclass(frozen=True, slots=True)
class Journal:
    """Appends finished rows. The kernel has a line once it is written: killing the process loses none."""

    file: int
    path: Path

    def append(self, done: Sequence[tuple[str, Sequence[Row]]], spent: Spent) -> None:
        """One line for each input row, and one for what they cost: checksum, then the entry."""
        entries = [{"id": name, "rows": [(type(row).__name__, plain(type(row))(row)) for row in rows]} for name, rows in done]
        lines = []
        for entry in (*entries, {"spent": dataclasses.astuple(spent)}):
            body = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode()
            lines.append(f"{zlib.crc32(body):08x} ".encode() + body + b"\n")
        with disk_errors(self.path):
            text = b"".join(lines)
            if os.write(self.file, text) < len(text):  # a disk about to fill takes a part of it and says so
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: aside, fsync, rename."""
    aside = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        sync_folder(path.parent)


def write_parquet(path: Path, table: pl.DataFrame) -> Part:
    """Write a frame and make it durable; no rename. Same rows, same bytes."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            table.write_parquet(path, compression="zstd", statistics=True)
        except pl.exceptions.ComputeError as error:  # polars wraps the disk's error in its own
            raise OSError(errno.ENOSPC, str(error)) from error
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return describe(path, path.parent)


def describe(file: Path, root: Path) -> Part:
    """Name, rows and digest of a Parquet file."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    rows = pl.scan_parquet(file).select(pl.len()).collect().item()
    return Part(file=file.relative_to(root).as_posix(), rows=rows, sha256=digest)


def sync_folder(path: Path) -> None:
    """Make a rename durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_journal(path: Path) -> tuple[dict[str, list[Row]], Spent]:
    """Finished rows of a stage that was cut short (id of the input row -> what it became), and their cost.

    A torn last line is cut away.
    """
    done: dict[str, list[Row]] = {}
    spent, whole = Spent(), 0
    if not path.is_file():
        return done, spent
    with path.open("rb") as file:
        for line in file:
            if not (line.endswith(b"\n") and line[:8] == f"{zlib.crc32(line[9:-1]):08x}".encode()):
                break
            whole += len(line)
            entry = json.loads(line[9:])
            if "spent" in entry:
                spent += Spent(*entry["spent"])
            else:
                done[entry["id"]] = [builder(_BY_NAME[name])(values) for name, values in entry["rows"]]
    os.truncate(path, whole)
    return done, spent


_BY_NAME = {table.__name__: table for table in TABLES}
