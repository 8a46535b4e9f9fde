"""A stage: a step over a table, cut into parts, in a folder named by the fingerprint of all that shapes its output.

Same fingerprint: what is on disk is reused. Anything else: the stage is made anew, and so are those after it, since their inputs'
ids change with it. Rows are known by id, never by rank or worker, so a run resumes under any number of actors.
"""

from __future__ import annotations

import ast
import asyncio
import hashlib
import inspect
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FunctionType

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE
from rich.console import Console

from ..schemas.digest import digest
from ..schemas.manifest import FORMAT, StageManifest
from ..schemas.prompts import prompt
from ..schemas.step import Step
from ..schemas.tables import Drop, Row, conform, rows
from .cluster import Fleet
from .dispatch import Dispatcher
from .durable import Journal, Spent, StoreError
from .progress import Meter
from .recipe import Recipe, engines_of
from .store import RunFolder, StageFolder

Tables = dict[type[Row], pl.DataFrame]
Sieve = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]


@dataclass(slots=True)
class Line:
    """A run's stages, one after the other."""

    recipe: Recipe
    folder: RunFolder
    fleet: Fleet
    console: Console
    finished: list[tuple[StageFolder, StageManifest]] = field(default_factory=list)
    reused: dict[str, str] = field(default_factory=dict)
    _number: int = 0

    def spread(self, name: str, step: Step, table: pl.DataFrame) -> Tables:
        """Run a step over a table on the step's engines."""
        made_from = {
            "format": FORMAT,
            "step": {"class": type(step).__name__, **step.model_dump(mode="json")},
            "code": code_of(type(step)),
            "prompts": {name: digest(prompt(name)) for name in step.prompts},
            "engines": [self.fleet.spec(engine).identity() for engine in engines_of(step)],
            "seed": self.recipe.seed,
            "input": content(table),
            "shard_rows": self.recipe.shard_rows,
        }
        self.fleet.release(keep=self._engines_from(step).__contains__)
        stage = self.open(name, made_from)
        work = Work(name, step, conform(step.consumes, table), stage, self.recipe.shard_rows, self.fleet, self.console)
        if (manifest := stage.manifest()) is None:
            manifest, reuse = _spread.with_options(name=name)(work, made_from)
            self.reused[name] = reuse
        else:
            self.reused[name] = f"all {manifest.rows_in}"
        self.finished.append((stage, manifest))
        return {kind: stage.read(kind, step.produces[0], work.parts) for kind in dict.fromkeys((*step.produces, Drop))}

    def sieve(self, name: str, kind: type[Row], table: pl.DataFrame, made_from: dict, rule: Sieve) -> pl.DataFrame:
        """Run a function of a whole table that asks no model: what it keeps goes on, what it drops is written with a reason."""
        made_from = {"format": FORMAT, **made_from, "input": content(table)}
        stage = self.open(name, made_from)
        if (manifest := stage.manifest()) is None:
            kept, dropped = rule(table)
            stage.commit(0, kind, [*rows(kind, kept), *rows(Drop, dropped)], (Drop,))
            manifest = StageManifest(
                stage=name,
                fingerprint=digest(made_from),
                made_from=made_from,
                rows_in=table.height,
                rows_out={kind.__name__: kept.height},
                dropped=dict(sorted(Counter(dropped["reason"]).items())),
                parts=stage.parts(),
            )
            stage.finish(manifest)
        else:
            self.reused[name] = f"all {manifest.rows_in}"
        self.finished.append((stage, manifest))
        return stage.read(kind, kind, 1)

    def open(self, name: str, made_from: dict) -> StageFolder:
        """The folder of the next stage."""
        self._number += 1
        return self.folder.stage(self._number, name, digest(made_from))

    def _engines_from(self, step: Step) -> set[str]:
        """Engines that this step or a later one names: the others may end. A step that runs in rounds is known by equality.

        A step on an engine that the recipe does not know, a model trained on the way, keeps that one alone: beside the
        others there may be no room for it.
        """
        if not self.recipe.engines.keys() >= set(engines_of(step)):
            return set(engines_of(step))
        steps = list(self.recipe.steps())
        return {engine for later in steps[steps.index(step) if step in steps else 0 :] for engine in engines_of(later)}


@dataclass(frozen=True, slots=True)
class Work:
    """One stage that is to be done, handed to Prefect as one thing that it need not look into."""

    name: str
    step: Step
    table: pl.DataFrame
    stage: StageFolder
    shard_rows: int
    fleet: Fleet
    console: Console

    @property
    def parts(self) -> int:
        """Into how many parts the table is cut; an empty table has one, so that its columns are on disk."""
        return max(1, -(-self.table.height // self.shard_rows))

    def shards(self) -> Iterator[tuple[int, pl.DataFrame]]:
        """The parts' input, by number."""
        for part in range(self.parts):
            yield part, self.table.slice(part * self.shard_rows, self.shard_rows)


@task(retries=2, retry_delay_seconds=5, retry_condition_fn=lambda task, run, state: not _final(state), cache_policy=NO_CACHE)
def _spread(work: Work, made_from: dict) -> tuple[StageManifest, str]:
    """Do what is not done yet, part by part, and write the manifest. Safe to run again at any time."""
    stage = work.stage
    pending = {part: shard for part, shard in work.shards() if not stage.committed(part)}
    journaled, spent = stage.journaled()
    fresh = [shard.filter(~pl.col("id").is_in(list(journaled))) for shard in pending.values()]
    todo = rows(work.step.consumes, pl.concat(fresh)) if fresh else []
    height = work.table.height
    reuse = f"{height - len(todo)} of {height}" if height > len(todo) else ""
    if reuse:
        work.console.print(f"{work.name}: {reuse} rows are there from an earlier run, {len(todo)} to do")

    with stage.journal() as journal, Meter(work.name, height, work.console, done=height - len(todo)) as meter:
        collector = _Collector(work, pending, journaled, journal, meter, spent)
        collector.commit_whole()
        if todo:
            names = engines_of(work.step)
            pool, *others = [work.fleet.pool(name) for name in names]
            pool.about()  # raises, with the engine's own reason, if it does not start
            meter.engines_are_up()
            dispatcher = Dispatcher(work.step, work.name, pool, [other.remote() for other in others], collector.take)
            asyncio.run(dispatcher.run(todo))
    manifest = collector.manifest(made_from)
    stage.finish(manifest)
    return manifest, reuse


class _Collector:
    """Takes finished rows in any order, journals them, and commits a part when all its rows are there, in their order."""

    def __init__(
        self,
        work: Work,
        pending: dict[int, pl.DataFrame],
        journaled: dict[str, list[Row]],
        journal: Journal,
        meter: Meter,
        spent: Spent,
    ) -> None:
        self._work, self._journal, self._meter, self._spent = work, journal, meter, spent
        self._done = journaled
        self._ids = {part: shard["id"].to_list() for part, shard in pending.items()}
        self._part = {name: part for part, ids in self._ids.items() for name in ids}
        self._missing = {part: sum(name not in journaled for name in ids) for part, ids in self._ids.items()}

    def take(self, done: list[tuple[str, list[Row]]], tokens_in: int, tokens_out: int) -> None:
        """Journal what is finished; commit the parts that are whole."""
        cost = Spent(tokens_in, tokens_out, self._meter.lap())
        self._journal.append(done, cost)
        self._spent += cost
        self._meter.add(len(done), tokens_in, tokens_out)
        for name, made in done:
            self._done[name] = made
            self._missing[self._part[name]] -= 1
        self.commit_whole()

    def commit_whole(self) -> None:
        """Commit every part that misses no row."""
        step = self._work.step
        for part in [part for part, missing in self._missing.items() if missing == 0]:
            made = [row for name in self._ids[part] for row in self._done.pop(name)]
            others = list(dict.fromkeys((*step.produces[1:], Drop)))
            self._work.stage.commit(part, step.produces[0], made, others)
            del self._missing[part]

    def manifest(self, made_from: dict) -> StageManifest:
        """What the finished stage says of itself."""
        work = self._work
        kinds = [kind for kind in work.step.produces if kind is not Drop]
        made = {kind: work.stage.read(kind, work.step.produces[0], work.parts) for kind in (*kinds, Drop)}
        return StageManifest(
            stage=work.name,
            fingerprint=digest(made_from),
            made_from=made_from,
            rows_in=work.table.height,
            rows_out={kind.__name__: made[kind].height for kind in kinds},
            dropped=dict(sorted(Counter(made[Drop]["reason"]).items())),
            tokens_in=self._spent.tokens_in,
            tokens_out=self._spent.tokens_out,
            seconds=round(self._spent.seconds, 3),
            parts=work.stage.parts(),
        )


def content(table: pl.DataFrame) -> str:
    """A digest of a table's rows. Ids would not do: they do not change with, say, the version of vLLM."""
    buffer = io.BytesIO()
    table.rechunk().write_parquet(buffer, compression="uncompressed")
    return hashlib.sha256(buffer.getbuffer()).hexdigest()[:20]


@cache
def code_of(step: type | FunctionType) -> str:
    """A digest of a step's or function's file, and of those of its room that it imports, without comments and docstrings.

    Code that changed makes another stage. The schemas are left out: what they change shows in the rows, or in `FORMAT`.
    """
    seen: dict[Path, str] = {}
    open_files = [Path(inspect.getfile(step))]
    while open_files:
        path = open_files.pop()
        if path in seen:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
        beside = [path.parent.joinpath(*(name or "").split(".")).with_suffix(".py") for name in imported]
        open_files += [one for one in beside if one.is_file()]
        seen[path] = _bare(tree)
    return digest(*(text for _, text in sorted(seen.items())))


def _bare(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body[0].value.value = ""
    return ast.unparse(tree)


def _final(state: object) -> bool:
    """Whether trying again is of no use: the disk must be mended by a person."""
    return isinstance(getattr(state, "data", None), StoreError) or "StoreError" in str(getattr(state, "message", ""))
