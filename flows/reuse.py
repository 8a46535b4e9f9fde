"""What a stage need not do again: rows that an older one made of the same input, and the good rows of one that is opened again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import polars as pl

from ..schemas.manifest import StageManifest
from ..schemas.tables import Row
from .durable import Spent
from .ledger import spent_by
from .lineage import NOT_RUN, Outcome, State, alike, keys
from .store import StageFolder

Shards = Sequence[tuple[int, pl.DataFrame]]  # the input's parts, by number


def take_over(
    stage: StageFolder,
    name: str,
    made_from: Mapping[str, object],
    consumes: type[Row],
    kinds: Sequence[type[Row]],
    shards: Shards,
) -> int:
    """Journal what older stages made of rows of the same content, where nothing but the rest of their input was another.

    So a few rows more or fewer at the start of a line do not make all that comes after anew. Returns how many rows.
    """
    wanted: dict[str, str] = {}
    for _, shard in shards:
        wanted |= zip(keys(consumes, shard), shard["id"].to_list(), strict=True)
    there = len(wanted)
    for older in stage.siblings():
        manifest = older.manifest()
        if manifest is None or manifest.stage != name or not alike(manifest.made_from, made_from):
            continue
        made = [(wanted[key], one.rows) for key, one in _all(older, manifest, kinds) if one.state == "done" and key in wanted]
        if made:
            with stage.journal() as journal:
                ran = manifest.rows_in - manifest.dropped.get(NOT_RUN, 0)
                journal.append(made, _part_of(spent_by(manifest), len(made) / ran))
            taken = {name for name, _ in made}
            wanted = {key: name for key, name in wanted.items() if name not in taken}
    return there - len(wanted)


def open_again(
    stage: StageFolder, manifest: StageManifest, kinds: Sequence[type[Row]], shards: Shards, states: Collection[State]
) -> int:
    """Make a finished stage unfinished: rows that went in one of these ways are to run again, all others stay. Returns how many."""
    parts: list[int] = []
    kept: list[tuple[str, Sequence[Row]]] = []
    again = 0
    for part, shard in shards:
        made = [outcome for _, outcome in stage.outcomes(part, kinds)]
        count = sum(outcome.state in states for outcome in made)
        if count:
            again += count
            parts.append(part)
            told = zip(shard["id"].to_list(), made, strict=True)
            kept += [(name, outcome.rows) for name, outcome in told if outcome.state not in states]
    if parts:
        stage.clear_journal()  # of an earlier try to open it that was cut short
        with stage.journal() as journal:
            journal.append(kept, spent_by(manifest))
        stage.reopen(parts)
    return again


def _all(stage: StageFolder, manifest: StageManifest, kinds: Sequence[type[Row]]) -> Iterator[tuple[str, Outcome]]:
    rows = manifest.made_from.get("shard_rows")
    parts = max(1, -(-manifest.rows_in // rows)) if isinstance(rows, int) else 0
    for part in range(parts):
        yield from stage.outcomes(part, kinds)


def _part_of(spent: Spent, share: float) -> Spent:
    return Spent(
        round(spent.tokens_in * share),
        round(spent.tokens_out * share),
        spent.seconds * share,
        spent.gpu_seconds * share,
        spent.money * share,
    )
