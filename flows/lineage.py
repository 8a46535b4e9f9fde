"""Which input row became which output rows. It lets a finished stage run some of its rows again, and a new one take rows over.

Beside each part lies a small table: for every input row, in order, a digest of its content, how it went, and how many rows of each
table it became. The tables of a part hold their rows in the order of the input, so these counts take them apart again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from ..schemas.digest import canonical, digest
from ..schemas.tables import Drop, Row, plain, rows

State = Literal["done", "failed", "not_run"]
NOT_RUN = "over_budget"  # why a row was dropped that the budget left no room for
FAILURES = ("engine_error", "engine_died", "exception")  # why a row was dropped that may well succeed another time
DIGITS = 16  # of a digest: among a million rows, one chance in 10^7 that any two are taken for the same


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one input row became."""

    state: State
    rows: list[Row]


def keys(kind: type[Row], table: pl.DataFrame) -> list[str]:
    """A digest of each row's whole content."""
    values = plain(kind)
    return [digest(values(row), length=DIGITS) for row in rows(kind, table)]


def state_of(made: Sequence[Row], failed: bool) -> State:
    """How an input row went. `failed`: an engine answered it with an error, whatever the step made of that."""
    reasons = {row.reason for row in made if isinstance(row, Drop)}
    if NOT_RUN in reasons:
        return "not_run"
    return "failed" if failed or reasons.intersection(FAILURES) else "done"


def index(inputs: Sequence[str], outcomes: Sequence[Outcome], kinds: Sequence[type[Row]]) -> pl.DataFrame:
    """The table that lies beside a part."""
    counted = [Counter(type(row).__name__ for row in outcome.rows) for outcome in outcomes]
    return pl.DataFrame(
        {
            "input": pl.Series(inputs, dtype=pl.String),
            "state": pl.Series([outcome.state for outcome in outcomes], dtype=pl.String),
            **{kind.__name__: pl.Series([count[kind.__name__] for count in counted], dtype=pl.UInt32) for kind in kinds},
        }
    )


def outcomes(index: pl.DataFrame, tables: Mapping[type[Row], pl.DataFrame]) -> Iterator[tuple[str, Outcome]]:
    """The part, taken apart: (digest of the input row, what it became), in the order of the input."""
    iterators = {kind: iter(rows(kind, table)) for kind, table in tables.items()}
    for entry in index.iter_rows(named=True):
        made = [next(iterators[kind]) for kind in tables for _ in range(entry[kind.__name__])]
        yield entry["input"], Outcome(entry["state"], made)


def alike(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two stages would make the same of the same row: all that shapes them is the same, but for what goes in."""
    apart = ("input", "shard_rows")
    bare = [{name: value for name, value in made_from.items() if name not in apart} for made_from in (one, other)]
    return canonical(bare[0]) == canonical(bare[1])
