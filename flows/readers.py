"""Reading what users bring: seed instructions, hand-written metadata and chat logs, as streams, from files or the Hub.

A source is a file (`.jsonl`, `.json`, `.csv` or `.parquet`, plain or compressed, on any filesystem that fsspec knows) or `hub:name`,
optionally `hub:name:split`, which `datasets` streams. A line that cannot be read costs itself: it comes back as a `Drop`
with its place, and the stream goes on. Only a source that is not there at all is an error.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import BinaryIO, TypeVar

import fsspec
import ijson
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ..filters.privacy import masked, scrubbed
from ..generators.chatlogs import Layout, Logged, Openings, Selection, conversation, selected
from ..generators.codeclm_metadata import Entry
from ..generators.codeclm_parse import MOST_SKILLS, tidy
from ..schemas.digest import digest, seed_of
from ..schemas.errors import PlainError
from ..schemas.tables import Chat, Drop, Note, Seed, Turn

LONGEST_LINE = 64 << 20  # bytes; a longer line is no line
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".yaml", ".yml")
T = TypeVar("T")


class SourceError(PlainError, ValueError):
    """A source that cannot be opened at all. The message says what was tried and what to give instead."""


@dataclass(frozen=True, slots=True)
class Record:
    """One raw record and where it stood."""

    place: str
    value: object


def records(source: str) -> Iterator[Record | Drop]:
    """The records of a source, as they stand in it, one at a time.

    Raises:
        SourceError: if there is no such source, or no way to read it.
    """
    if source.startswith("hub:"):
        yield from _hub(source)
        return
    form = next((suffix for suffix in reversed(PurePosixPath(source).suffixes) if suffix in FORMATS), None)
    if form is None:
        raise SourceError(f"{source}: cannot tell what it holds; give a file that ends in {', '.join(FORMATS)}, or hub:name")
    try:
        with fsspec.open(source, "rb", compression="infer") as file:
            yield from _READ[form](file, source)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{source}: {error}; give a file that is there and whole, or hub:name") from error


def seeds(source: str, column: str, seed: int) -> Iterator[Seed | Drop]:
    """Seed instructions: the text in `column` of each record. Ids depend on the text and its place among the records."""
    for ordinal, record in enumerate(records(source)):
        if isinstance(record, Drop):
            yield record
        elif not isinstance(record.value, Mapping) or column not in record.value:
            held = ", ".join(map(str, record.value)) if isinstance(record.value, Mapping) else type(record.value).__name__
            yield _drop(record.place, "no_column", f"no column {column!r}; the record has: {held}", record.value)
        elif not isinstance(text := record.value[column], str) or not text.strip():
            yield _drop(record.place, "empty_seed", f"column {column!r} holds {text!r}", record.value)
        else:
            name = digest("seed", source_name(source), ordinal, text)
            yield Seed(name, ordinal, seed_of(seed, name), [Turn("user", text.strip())])


def metadata(source: str) -> Iterator[Entry | Drop]:
    """Hand-written metadata: `use_case` and `skills` (a list, or names with commas between) of each record."""
    for record in records(source):
        if isinstance(record, Drop):
            yield record
            continue
        value = record.value if isinstance(record.value, Mapping) else {}
        listed = value.get("skills")
        named = listed.split(",") if isinstance(listed, str) else listed if isinstance(listed, list) else []
        use_case = tidy(str(value.get("use_case") or ""))
        skills = tuple(dict.fromkeys(tidy(str(skill)) for skill in named if tidy(str(skill))))[:MOST_SKILLS]
        if use_case and skills:
            yield Entry(use_case, skills, "manual")
        else:
            yield _drop(record.place, "no_metadata", "a record needs `use_case` and `skills`", record.value)


def conversations(source: str, layout: Layout, selection: Selection, scrub: bool = True) -> Iterator[Logged]:
    """Conversations of a chat log: read, selected, freed of personal data, each followed by its notes."""
    openings = Openings()
    for record in records(source):
        rows = [record] if isinstance(record, Drop) else conversation(record.value, layout, record.place)
        for row in selected(rows, selection, openings):
            if scrub and isinstance(row, Drop):
                yield replace(row, text=masked(row.text))
            elif scrub and isinstance(row, Chat):
                row, found = scrubbed(row)
                yield row
                yield from (Note(row.id, "scrubbed", i, f"{kind}: {count}") for i, (kind, count) in enumerate(found.items()))
            else:
                yield row


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """A stream in lists of at most `size`."""
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def source_name(source: str) -> str:
    """A source's name without its folder, so that ids do not depend on where a file lies."""
    return source if source.startswith("hub:") else PurePosixPath(source).name


def _lines(file: BinaryIO, source: str) -> Iterator[Record | Drop]:
    number = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        place = f"{source_name(source)}:{number}"
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            while (more := file.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                pass
            yield _drop(place, "line_too_long", f"more than {LONGEST_LINE >> 20} MiB without an end", "")
        elif raw.strip():
            yield _decoded(raw, place)


def _decoded(raw: bytes, place: str) -> Record | Drop:
    try:
        return Record(place, json.loads(raw.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        return _drop(place, "not_utf8", str(error), raw[:1000].decode("utf-8", "replace"))
    except (json.JSONDecodeError, RecursionError) as error:
        return _drop(place, "not_json", str(error), raw[:1000].decode("utf-8", "replace"))


def _array(file: BinaryIO, source: str) -> Iterator[Record | Drop]:
    """The items of one JSON array, without holding it. After a fault in the text the rest cannot be told apart."""
    number = 0
    try:
        for number, item in enumerate(ijson.items(file, "item", use_float=True), 1):
            yield Record(f"{source_name(source)}[{number - 1}]", item)
    except (ijson.JSONError, UnicodeDecodeError) as error:
        place = f"{source_name(source)}[{number}]"
        yield _drop(place, "not_json", f"{error}; everything from here on is lost, so write JSON Lines instead", "")


def _table(file: BinaryIO, source: str) -> Iterator[Record]:
    number = 0
    for batch in pq.ParquetFile(file).iter_batches(batch_size=256):
        for row in batch.to_pylist():
            yield Record(f"{source_name(source)}:{number}", row)
            number += 1


def _csv(file: BinaryIO, source: str) -> Iterator[Record]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    for number, row in enumerate(csv.DictReader(text), 2):
        yield Record(f"{source_name(source)}:{number}", row)


def _yaml(file: BinaryIO, source: str) -> Iterator[Record | Drop]:
    """A list in YAML, for metadata written by hand."""
    try:
        found = yaml.safe_load(file.read())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        yield _drop(source_name(source), "not_yaml", str(error), "")
        return
    for number, item in enumerate(found if isinstance(found, list) else [found]):
        yield Record(f"{source_name(source)}[{number}]", item)


def _hub(source: str) -> Iterator[Record]:
    from datasets import load_dataset
    from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError

    _, name, *split = source.split(":")
    try:
        stream = load_dataset(name, split=split[0] if split else "train", streaming=True)
    except (DatasetNotFoundError, DataFilesNotFoundError, OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise SourceError(f"{source}: {why}; give hub:owner/name or hub:owner/name:split, or a file") from error
    for number, row in enumerate(stream):
        yield Record(f"{source}:{number}", row)


def _drop(place: str, reason: str, detail: str, value: object) -> Drop:
    text = value if isinstance(value, str) else repr(value)
    return Drop(digest("record", place), "read", reason, f"{place}: {detail}", text[:1000])


_READ = {
    ".jsonl": _lines, ".ndjson": _lines, ".json": _array, ".parquet": _table, ".csv": _csv, ".yaml": _yaml, ".yml": _yaml,
}  # fmt: skip
