"""A stage: a step over a table, cut into parts, in a folder named by the fingerprint of all that shapes its output.

Same fingerprint: what is on disk is reused. Anything else: the stage is made anew, and so are those after it, since their inputs'
ids change with it. Rows are known by id, never by rank or worker, so a run resumes under any number of actors.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import hashlib
import inspect
import io
from collections import Counter
from collections.abc import Callable
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
from .append import Published
from .cluster import Fleet, TooLarge
from .dispatch import Dispatcher
from .durable import StoreError
from .ledger import Ledger, spent_by
from .lineage import NOT_RUN, State
from .progress import Meter
from .recipe import Recipe, engines_of
from .reuse import open_again, take_over
from .store import RunFolder, StageFolder
from .work import Collector, Work

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
    ledger: Ledger = field(default_factory=Ledger)
    retry: bool = False  # run rows again that an engine failed on
    published: Published | None = None  # what a recipe with `append` adds to
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
        table = conform(step.consumes, table)
        work = Work(name, step, table, stage, self.recipe.shard_rows, self.fleet, self.console, self.ledger, self.recipe.name)
        manifest = stage.manifest()
        if manifest is not None and self._opens_again(work, manifest):
            manifest = None
        if manifest is None:
            manifest, reuse = _spread.with_options(name=name)(work, made_from)
            self.reused[name] = reuse
        else:
            self.reused[name] = f"all {manifest.rows_in}"
        self.ledger.close(manifest)
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

    def _opens_again(self, work: Work, manifest: StageManifest) -> bool:
        """Whether a finished stage has rows that are to run (again): failed ones on request, others if the budget was raised."""
        states: set[State] = {"failed"} if self.retry else set()
        ran = manifest.rows_in - manifest.dropped.get(NOT_RUN, 0)
        if NOT_RUN in manifest.dropped and not self.ledger.used_up(work.name, spent_by(manifest), ran):
            states.add("not_run")
        again = open_again(work.stage, manifest, work.kinds, list(work.shards()), states) if states else 0
        if again:
            self.console.print(f"{work.name}: {again} rows are to run again")
        return again > 0

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


@task(retries=2, retry_delay_seconds=5, retry_condition_fn=lambda task, run, state: not _final(state), cache_policy=NO_CACHE)
def _spread(work: Work, made_from: dict) -> tuple[StageManifest, str]:
    """Do what is not done yet, part by part, and write the manifest. Safe to run again at any time."""
    stage = work.stage
    if not stage.path.exists():
        take_over(stage, work.name, made_from, work.step.consumes, work.kinds, list(work.shards()))
    pending = {part: shard for part, shard in work.shards() if not stage.committed(part)}
    journaled, spent = stage.journaled()
    fresh = [shard.filter(~pl.col("id").is_in(list(journaled))) for shard in pending.values()]
    todo = rows(work.step.consumes, pl.concat(fresh)) if fresh else []
    height = work.table.height
    work.log("stage begins", {"rows": height})
    reuse = f"{height - len(todo)} of {height}" if height > len(todo) else ""
    if reuse:
        work.console.print(f"{work.name}: {reuse} rows are there from an earlier run, {len(todo)} to do")

    with (
        stage.journal() as journal,
        Meter(work.name, height, work.console, done=height - len(todo)) as meter,
        Collector(work, pending, journaled, journal, meter, spent) as collector,
    ):
        collector.commit_whole()
        if todo:
            names = engines_of(work.step)
            pool, *others = [work.fleet.pool(name) for name in names]
            pool.about()  # raises, with the engine's own reason, if it does not start
            collector.loaded()
            pools = list({each.name: each for each in (pool, *others)}.values())
            for each in pools:
                each.begin()
            meter.engines_are_up(lambda: [each.told() for each in pools])
            gc.freeze()  # nor are lanes to wait while all of Prefect and Ray is looked over for garbage
            asyncio.run(
                Dispatcher(
                    step=work.step,
                    stage=work.name,
                    pool=pool,
                    others=others,
                    deliver=collector.take,
                    enough=collector.enough,
                    say=work.say,
                ).run(todo)
            )
            for each in pools:
                work.log("engine", {"engine": each.name, **each.figures()})
        collector.leave_out()
        collector.written()
    manifest = collector.manifest(made_from)
    stage.finish(manifest)
    work.log("stage finished", {"rows": manifest.rows_in, "dropped": manifest.dropped})
    return manifest, reuse


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
    """Whether trying again is of no use: the disk or the recipe must be mended by a person."""
    message = str(getattr(state, "message", ""))
    return isinstance(getattr(state, "data", None), StoreError | TooLarge) or "StoreError" in message or "TooLarge" in message
