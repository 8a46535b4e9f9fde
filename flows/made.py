"""What methods of several stages share with the line: what they hand to it, and how rows from outside become a stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ..schemas.tables import Drop, Row, Turn, frame, schema, text_of
from .stage import Line, content


@dataclass(frozen=True, slots=True)
class Made:
    """Prompts; and answers with one score each if the method has answered and judged already, so that the line need not."""

    prompts: pl.DataFrame
    answers: pl.DataFrame | None = None
    scores: pl.DataFrame | None = None


def take(line: Line, name: str, kind: type[Row], items: Iterable[Row]) -> pl.DataFrame:
    """Rows that no model made as a stage of their own, those dropped on the way among the stage's dropped rows."""
    kept: list[Row] = []
    dropped: list[Row] = []
    for item in items:
        (dropped if isinstance(item, Drop) else kept).append(item)
    lost = frame(Drop, dropped)
    return line.sieve(name, kind, frame(kind, kept), {"dropped": content(lost)}, lambda table: (table, lost))


def as_drops(stage: str, table: pl.DataFrame) -> pl.DataFrame:
    """Chats with `reason` and `detail` -> a table of `Drop`."""
    text = [text_of([Turn(**turn) for turn in turns]) for turns in table["turns"]]
    named = table.with_columns(stage=pl.lit(stage), text=pl.Series(text, dtype=pl.String))
    return named.select(list(schema(Drop)))
