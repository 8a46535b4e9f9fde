"""Training as a stage of the line: a folder named by its fingerprint, a Prefect task, a Ray task that asks for its resources.

    stages/<nn>-<name>-<fingerprint>/rows.parquet  checkpoints/  training.json  <model>/  manifest.json

All engines are let go of first: training wants the memory that they hold. The model's folder is renamed into place when it is whole,
the manifest comes after it, and then the checkpoints go.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl
from prefect import task
from prefect.cache_policies import NO_CACHE

from ...schemas.digest import Plain, digest, seed_of
from ...schemas.manifest import FORMAT, Part, StageManifest
from ..cluster import Crashed, Fleet
from ..durable import write, write_parquet
from ..engines.spec import AnySpec, VllmSpec
from ..stage import Line, code_of, content
from .spec import DPO, SFT, Job, Trained, TrainingError

COLUMNS = {"sft": ["messages"], "dpo": ["prompt", "chosen", "rejected"]}
PACKAGES = ("trl", "transformers", "peft", "torch", "accelerate")


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model, and how it came about."""

    folder: Path
    told: Trained

    def successor(self, spec: VllmSpec) -> VllmSpec:
        """The engine of the model that it was trained from, with this model in it."""
        return spec.model_copy(update={"model": str(self.folder), "revision": None})


def trainable(name: str, spec: AnySpec) -> VllmSpec:
    """The engine, if its model can be trained here.

    Raises:
        TrainingError: if the engine has no weights, or TRL is not installed.
    """
    if not isinstance(spec, VllmSpec) or spec.runner != "generate":
        raise TrainingError(f"engine {name} ({spec.name}) has no weights to train: name a vllm engine that generates")
    if missing := [package for package in ("trl", "peft", "accelerate") if find_spec(package) is None]:
        raise TrainingError(f"training needs {', '.join(missing)}: pip install 'rookery[train]'")
    return spec


def trained(line: Line, name: str, tuning: SFT | DPO, start: VllmSpec, rows: pl.DataFrame, called: str) -> Model:
    """The model that this training makes of `start`, with `called` for its name; trained now if it is not there.

    Raises:
        TrainingError: if the training cannot go on; nothing that was there before is touched.
    """
    table = rows.select(COLUMNS[tuning.method])
    made_from: dict[str, Plain] = {
        "format": FORMAT,
        "tuning": tuning.model_dump(mode="json", exclude={"engine", "cpus", "gpus", "checkpoint_steps"}),
        "code": code_of(Model),  # this file, and those beside it that it imports
        "model": {"model": start.name, "revision": start.resolved_revision(), "template": start.template.identity()},
        "called": called,
        "rows": content(table),
        "seed": line.recipe.seed,
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
    }
    stage = line.open(name, made_from)
    if (manifest := stage.manifest()) is None:
        line.fleet.release(keep=lambda engine: False)
        line.console.print(f"{name}: {tuning.method} of {start.name} on {table.height} rows")
        write_parquet(stage.path / "rows.parquet", table)
        job = Job(
            tuning=tuning,
            model=start.model,
            revision=start.revision,
            trust_remote_code=start.trust_remote_code,
            template=start.template.file,
            rows=(stage.path / "rows.parquet").resolve(),
            checkpoints=(stage.path / "checkpoints").resolve(),
            out=(stage.path / called).resolve(),
            seed=seed_of(line.recipe.seed, name),
        )
        gpus = tuning.gpus if tuning.gpus is not None else float(start.gpus() > 0)
        told = _train.with_options(name=name)(line.fleet, job, gpus)
        line.console.print(f"{name}: {told.steps} steps, loss {_ends(told)}, {told.seconds:.0f} s")
        write(stage.path / "training.json", json.dumps(dataclasses.asdict(told)).encode())
        manifest = StageManifest(
            stage=name,
            fingerprint=digest(made_from),
            made_from=made_from,
            rows_in=table.height,
            rows_out={"model": 1},
            dropped={"too_long": told.too_long} if told.too_long else {},
            seconds=told.seconds,
            parts=[_described(path, stage.path) for path in sorted(job.out.iterdir())],
        )
        stage.finish(manifest)
        shutil.rmtree(job.checkpoints, ignore_errors=True)
    else:
        line.reused[name] = "all"
    line.ledger.close(manifest)
    line.finished.append((stage, manifest))
    return Model((stage.path / called).resolve(), Trained.read(stage.path))


@task(cache_policy=NO_CACHE)
def _train(fleet: Fleet, job: Job, gpus: float) -> Trained:
    try:
        return fleet.errand(_tuned, job, cpus=job.tuning.cpus, gpus=gpus)
    except Crashed as crash:
        raise TrainingError(
            f"the training's process was killed ({crash}), most likely for want of memory. Lower `at_once` or `max_length`, set "
            "`gradient_checkpointing: true`, or train a LoRA; the same command goes on from the last checkpoint"
        ) from crash


def _tuned(job: Job) -> Trained:
    """What runs in the process that Ray gives: there, and only there, TRL is imported."""
    from .trl import tune

    return tune(job)


def _ends(told: Trained) -> str:
    losses = [loss for _, loss in told.losses]
    held = "" if told.best_held_out is None else f", {told.best_held_out:.3f} held out"
    return f"{losses[0]:.3f} to {losses[-1]:.3f}{held}" if losses else "unknown"


def _described(path: Path, root: Path) -> Part:
    with path.open("rb") as file:
        return Part(file=path.relative_to(root).as_posix(), rows=0, sha256=hashlib.file_digest(file, "sha256").hexdigest())
