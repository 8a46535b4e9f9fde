"""A pool to select from: any Parquet, JSONL or CSV file or folder, or a data set of the Hub, as texts by id.

The rows are sorted by id at once, so that every tie is broken by id and the answer does not depend on the file's order.
A pool without ids gets digests of its rows; exact copies of a row then differ by their count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ..schemas.digest import digest
from ..schemas.errors import PlainError

IDS = ("id", "uuid", "conversation_id", "prompt_id")
MESSAGES = ("messages", "conversations", "conversation", "turns")
PAIRED = (("instruction", "response"), ("instruction", "output"), ("prompt", "chosen"), ("prompt", "response"),
          ("prompt", "completion"), ("question", "answer"))  # fmt: skip
ASSISTANT = ("assistant", "gpt", "model", "chatgpt", "bing", "bard")


class PoolError(PlainError, ValueError):
    """A pool that cannot be read. The message says what was found, what was expected and what to do."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows in order of id, with what selectors ask of a row."""

    name: str
    frame: pl.DataFrame  # the columns as they came, and `id`
    texts: pl.Series  # the whole conversation
    responses: pl.Series  # what the assistant said in it; empty where the pool has none
    turns: pl.Series  # how many messages

    @property
    def digest(self) -> str:
        return digest(self.frame["id"].to_list())

    def column(self, name: str) -> pl.Series:
        if name not in self.frame.columns:
            raise PoolError(f"the pool has no column {name!r}; it has {', '.join(self.frame.columns)}")
        return self.frame[name]

    def rows(self, rows: Iterable[int]) -> Pool:
        at = pl.Series(list(rows), dtype=pl.UInt32)
        return Pool(self.name, self.frame[at], self.texts[at], self.responses[at], self.turns[at])


def read_pool(where: str, *, text: str | None = None, split: str = "train") -> Pool:
    """Read a file, a folder of files, or a data set named `owner/name` on the Hub.

    `text` names the column that holds the text or the messages; without it the usual names are tried.
    """
    frame = _with_ids(_read(where, split)).sort("id")
    if not frame.height:
        raise PoolError(f"{where} has no rows")
    texts, responses, turns = _texts(frame, text)
    return Pool(where, frame, texts.fill_null(""), responses.fill_null(""), turns)


def _read(where: str, split: str) -> pl.DataFrame:
    path = Path(where)
    files = sorted(file for file in path.rglob("*") if file.suffix in READERS) if path.is_dir() else [path]
    if (path.is_file() and path.suffix not in READERS) or (path.is_dir() and not files):
        raise PoolError(f"{where}: expected a file or files that end in {', '.join(READERS)}")
    if path.exists():
        return pl.concat([READERS[file.suffix](file) for file in files], how="diagonal_relaxed")
    if where.count("/") != 1 or where.startswith((".", "/")):
        raise PoolError(f"{where} is no file, no folder, and no data set name like owner/name")
    from datasets import load_dataset

    return load_dataset(where, split=split).to_polars()


READERS = {
    ".parquet": lambda file: pl.read_parquet(file, hive_partitioning=False),
    ".jsonl": lambda file: pl.read_ndjson(file, infer_schema_length=None),
    ".ndjson": lambda file: pl.read_ndjson(file, infer_schema_length=None),
    ".json": lambda file: pl.read_json(file, infer_schema_length=None),
    ".csv": lambda file: pl.read_csv(file),
}


def _with_ids(frame: pl.DataFrame) -> pl.DataFrame:
    named = next((name for name in IDS if name in frame.columns and frame[name].null_count() == 0), None)
    if named and frame[named].n_unique() == frame.height:
        return frame.with_columns(id=pl.col(named).cast(pl.String))
    if named == "id":
        copies = frame.filter(pl.col("id").is_duplicated())["id"]
        raise PoolError(f"{len(copies)} rows share an id with another ({copies[0]!r}): make ids unique, or rename the column")
    key = frame.select(key=pl.struct(pl.all()).struct.json_encode())
    number = key.select(pl.int_range(pl.len()).over("key")).to_series()  # exact copies of a row are told apart by count
    ids = [digest(row, count) for row, count in zip(key["key"], number, strict=True)]
    return frame.with_columns(id=pl.Series(ids, dtype=pl.String))


def _texts(frame: pl.DataFrame, text: str | None) -> tuple[pl.Series, pl.Series, pl.Series]:
    """(whole text, response, number of turns) of each row."""
    if text is not None and text not in frame.columns:
        raise PoolError(f"no column {text!r}; the pool has {', '.join(frame.columns)}")
    names = [text] if text else [name for name in MESSAGES if name in frame.columns]
    if names and frame.schema[names[0]] == pl.String:
        return frame[names[0]], pl.Series([""] * frame.height), pl.Series([1] * frame.height)
    if names:
        return _messages(frame, names[0])
    for asked, answered in PAIRED:
        if asked in frame.columns and answered in frame.columns:
            question, _, before = _side(frame, asked)
            answer, reply, after = _side(frame, answered)
            spoken = pl.select(pl.when(reply != "").then(reply).otherwise(answer)).to_series()
            return question + "\n" + answer, spoken, before + after
    if "text" in frame.columns or "prompt" in frame.columns or "instruction" in frame.columns:
        return _side(frame, next(name for name in ("text", "prompt", "instruction") if name in frame.columns))
    raise PoolError(f"no text among the columns {', '.join(frame.columns)}: name the column with --text")


def _side(frame: pl.DataFrame, name: str) -> tuple[pl.Series, pl.Series, pl.Series]:
    if frame.schema[name] == pl.String:
        return frame[name].fill_null(""), pl.Series([""] * frame.height), pl.Series([1] * frame.height)
    return _messages(frame, name)


def _messages(frame: pl.DataFrame, name: str) -> tuple[pl.Series, pl.Series, pl.Series]:
    dtype = frame.schema[name]
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    fields = {field.name for field in inner.fields} if isinstance(inner, pl.Struct) else set()
    for role, content in (("role", "content"), ("from", "value")):
        if {role, content} <= fields:
            break
    else:
        raise PoolError(f"column {name!r} is {dtype}: expected text, or messages with role and content")
    turn = pl.element().struct
    assistant = turn.field(role).is_in(list(ASSISTANT))
    said = frame.select(
        text=pl.col(name).list.eval(turn.field(content).fill_null("")).list.join("\n"),
        response=pl.col(name).list.eval(turn.field(content).fill_null("").filter(assistant)).list.join("\n"),
        turns=pl.col(name).list.len(),
    )
    return said["text"], said["response"], said["turns"]
