"""The nouns: what flows through Rookery is rows of these few narrow tables, joined by id and never widened.

A table *is* its row class. Every field carries its sentence (with the unit, where there is one), from which the polars
schema, the Arrow metadata and the column table of a dataset card are made, so that there is one home for each column.
Python rows are what a step returns; frames of them are what stages pass on; Parquet of them is what lies on disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, TypeVar, cast, get_args, get_type_hints

import polars as pl


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a text was drawn, as recorded beside it."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int | None


@dataclass(frozen=True, slots=True)
class Seed:
    """The start of a row that a generator makes from nothing, or from one given example."""

    id: Annotated[str, "digest of the recipe's seed and the ordinal"]
    ordinal: Annotated[int, "position among the seeds, from 0"]
    seed: Annotated[int, "seed of this row's random draws, 63 bits"]
    turns: Annotated[list[Turn], "conversation so far: empty, a system turn, or a given example"]


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation, or a prompt that waits for its answer."""

    id: Annotated[str, "digest of the step, its model, the parents and the ordinal"]
    parents: Annotated[list[str], "ids of the rows that this one was made from"]
    turns: Annotated[list[Turn], "messages, oldest first"]
    method: Annotated[str, "generator that made the row"]
    model: Annotated[str, "model that wrote it"]
    revision: Annotated[str, "revision of that model"]
    sampling: Annotated[Sampling, "decoding settings of the last written turn"]
    finish: Annotated[str, "why the text ended: stop, length or error"]
    tokens_in: Annotated[int, "prompt length, tokens"]
    tokens_out: Annotated[int, "written length, tokens"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One candidate answer to one prompt."""

    id: Annotated[str, "digest of the step, its model, the prompt and the ordinal"]
    prompt: Annotated[str, "id of the chat that is answered"]
    ordinal: Annotated[int, "which of the prompt's candidates, from 0"]
    text: Annotated[str, "the answer"]
    method: Annotated[str, "how the candidate was drawn"]
    model: Annotated[str, "model that wrote it"]
    revision: Annotated[str, "revision of that model"]
    sampling: Annotated[Sampling, "decoding settings"]
    finish: Annotated[str, "why the text ended: stop, length or error"]
    tokens_in: Annotated[int, "prompt length, tokens"]
    tokens_out: Annotated[int, "written length, tokens"]


@dataclass(frozen=True, slots=True)
class Match:
    """Two answers to one prompt, side by side for a judge that compares."""

    id: Annotated[str, "digest of the prompt and the two answers"]
    turns: Annotated[list[Turn], "messages up to and including the last user turn"]
    first: Annotated[str, "id of the first answer"]
    second: Annotated[str, "id of the second answer"]
    first_text: Annotated[str, "the first answer"]
    second_text: Annotated[str, "the second answer"]


@dataclass(frozen=True, slots=True)
class Score:
    """One number or label about one row. What could not be scored has a null value and a reason."""

    about: Annotated[str, "id of the row that is judged"]
    name: Annotated[str, "what was measured"]
    value: Annotated[float | None, "the number; null if there is none"]
    label: Annotated[str | None, "the label; null for a pure number"]
    judge: Annotated[str, "model or rule that gave it"]
    reason: Annotated[str | None, "why, or why there is no value"]


@dataclass(frozen=True, slots=True)
class Note:
    """What a model said *of* a row: a use case, a rubric, a preference, an explanation."""

    about: Annotated[str, "id of the row that it speaks of"]
    kind: Annotated[str, "what it is, such as raw_instruction"]
    ordinal: Annotated[int, "position among the notes of this kind, from 0"]
    text: Annotated[str, "what was said"]


@dataclass(frozen=True, slots=True)
class Vector:
    """The embedding of one row's text."""

    about: Annotated[str, "id of the embedded row"]
    encoder: Annotated[str, "encoder and its revision"]
    values: Annotated[list[float], "unit-length embedding"]


@dataclass(frozen=True, slots=True)
class Preference:
    """One answer preferred to another, both named by id."""

    id: Annotated[str, "digest of the prompt and the two answers"]
    prompt: Annotated[str, "id of the chat that is answered"]
    chosen: Annotated[str, "id of the better answer"]
    rejected: Annotated[str, "id of the worse answer"]
    score_chosen: Annotated[float, "judge's score of the better answer"]
    score_rejected: Annotated[float, "judge's score of the worse answer"]
    score_margin: Annotated[float, "score_chosen minus score_rejected; above zero"]
    source: Annotated[str, "how the pair was built"]


@dataclass(frozen=True, slots=True)
class Drop:
    """A row that left the line, with the reason. Nothing disappears without one."""

    id: Annotated[str, "id of the row that was dropped"]
    stage: Annotated[str, "stage that dropped it"]
    reason: Annotated[str, "rule or failure, by name"]
    detail: Annotated[str, "what exactly was found"]
    text: Annotated[str, "the row's text, for a reader"]


Named = Seed | Chat | Answer | Match | Preference | Drop  # rows with an id of their own: what a step can be given
Row = Named | Score | Note | Vector  # the last three speak about a row
Kind = TypeVar("Kind", bound=Row)
Class = TypeVar("Class", bound=type)
Made = TypeVar("Made")
TABLES: tuple[type[Row], ...] = (Seed, Chat, Answer, Match, Score, Note, Vector, Preference, Drop)


def _once(function: Callable[[Class], Made]) -> Callable[[Class], Made]:
    """`functools.cache` for functions of a class. Its own type asks for `Hashable`, which mypy denies to `type[Row]`."""
    return cache(function)


@_once
def schema(row: type) -> pl.Schema:
    """The polars schema of a row class: a table's, or an export's."""
    return pl.Schema(_fields(row))


@_once
def columns(row: type) -> dict[str, str]:
    """Column name -> its sentence, for cards and documentation."""
    hints = get_type_hints(row, include_extras=True)
    return {f.name: get_args(hints[f.name])[1] for f in dataclasses.fields(row)}


def frame(row: type[Row], rows: Iterable[Row]) -> pl.DataFrame:
    """Rows as a frame of their table; no rows give an empty frame with the right columns."""
    to_values = plain(row)
    return pl.DataFrame([to_values(r) for r in rows], schema=schema(row), orient="row")


def rows(row: type[Kind], table: pl.DataFrame) -> list[Kind]:
    """The frame's rows as objects: the inverse of `frame`."""
    conform(row, table)
    build = cast("Callable[[dict], Kind]", builder(row))
    return [build(values) for values in table.iter_rows(named=True)]


def conform(row: type, table: pl.DataFrame) -> pl.DataFrame:
    """Let a frame through if it has exactly the table's columns and types. Casts nothing.

    Raises:
        TypeError: with every fault at once.
    """
    wanted, found = schema(row), table.schema
    faults = [f"{name}: missing" for name in wanted if name not in found]
    faults += [f"{name}: not a column of {row.__name__}" for name in found if name not in wanted]
    faults += [f"{n}: {found[n]}, expected {t}" for n, t in wanted.items() if n in found and found[n] != t]
    if faults:
        raise TypeError(f"not a table of {row.__name__}: " + "; ".join(faults))
    return table.select(list(wanted))


@_once
def builder(row: type) -> Callable[[dict], Row]:
    """A function from plain values, as JSON and polars give them, to a row."""
    hints = get_type_hints(row)
    turns = [name for name, hint in hints.items() if get_args(hint) == (Turn,)]
    sampled = [name for name, hint in hints.items() if hint is Sampling]

    def build(values: dict) -> Row:
        for name in turns:
            values[name] = [Turn(**turn) for turn in values[name]]
        for name in sampled:
            values[name] = Sampling(**values[name])
        return row(**values)

    return build


@_once
def plain(row: type[Row]) -> Callable[[Row], dict]:
    """A function from a row to plain values: the inverse of `builder`, ten times as fast as `dataclasses.asdict`."""
    hints = get_type_hints(row)
    names = [f.name for f in dataclasses.fields(row)]
    turns = [name for name in names if get_args(hints[name]) == (Turn,)]
    sampled = [name for name in names if hints[name] is Sampling]

    def values(made: Row) -> dict:
        told = {name: getattr(made, name) for name in names}
        for name in turns:
            told[name] = [{"role": turn.role, "content": turn.content} for turn in told[name]]
        for name in sampled:
            how = told[name]
            told[name] = {
                "temperature": how.temperature,
                "top_p": how.top_p,
                "max_tokens": how.max_tokens,
                "seed": how.seed,
            }
        return told

    return values


def text_of(turns: Sequence[Turn]) -> str:
    """A conversation as plain text, for logs and for readers."""
    return "\n".join(f"{t.role}: {t.content}" for t in turns)


_SCALARS: dict[type, pl.DataType] = {str: pl.String(), int: pl.Int64(), float: pl.Float64(), bool: pl.Boolean()}


def _fields(row: type) -> dict[str, pl.DataType]:
    hints = get_type_hints(row)
    return {f.name: _dtype(hints[f.name]) for f in dataclasses.fields(row)}


def _dtype(hint: object) -> pl.DataType:
    args = [a for a in get_args(hint) if a is not type(None)]
    if isinstance(hint, type) and hint in _SCALARS:
        return _SCALARS[hint]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return pl.Struct(_fields(hint))
    if getattr(hint, "__origin__", None) is list:
        return pl.List(_dtype(args[0]))
    if len(args) == 1:  # X | None
        return _dtype(args[0])
    raise TypeError(f"no column type for {hint}")
