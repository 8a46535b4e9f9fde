"""What there is to say of a finished run, read from its folder: the card, the report and the release stand on this alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from ..filters.pairwise import order_report
from ..schemas.errors import PlainError
from ..schemas.manifest import RunManifest, StageManifest
from ..schemas.tables import Drop, Score, frame, schema
from .training.spec import Trained

HELD = 200_000  # rows of an export that are looked at for histograms and samples


class NoRun(PlainError, FileNotFoundError):
    """The folder holds no finished run."""


@dataclass(frozen=True)
class Facts:
    """A run, its stages, its exports and its scores."""

    folder: Path
    run: RunManifest
    recipe: dict
    recipe_text: str
    stages: list[StageManifest]
    exports: dict[str, pl.DataFrame]
    scores: pl.DataFrame
    drops: pl.DataFrame
    trainings: dict[str, Trained] = field(default_factory=dict)  # by stage
    loop: dict | None = None  # what I-SHEEP's iterations.json holds

    @property
    def pairs(self) -> int:
        """Rows of the primary export."""
        return sum(part.rows for part in self.run.exports.get("default", []))

    @property
    def tokens(self) -> tuple[int, int]:
        """Read and written by all models together."""
        return sum(stage.tokens_in for stage in self.stages), sum(stage.tokens_out for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Of work, over all the runs that it took."""
        return sum(stage.seconds for stage in self.stages)

    @cached_property
    def methods(self) -> list[str]:
        """Every `method` that the recipe names, in its order."""
        return list(dict.fromkeys(_methods(self.recipe)))

    @property
    def models(self) -> list[str]:
        """The engines' models."""
        engines = self.recipe.get("engines", {}).values()
        return list(dict.fromkeys(Path(str(engine.get("model", "?"))).name for engine in engines))

    def orders(self) -> dict[str, float] | None:
        """How far a comparing judge's two orders agree; None if no judge compared."""
        told = self.scores.filter(pl.col("name") == "pairwise")
        return order_report(self.scores) if told.height else None


def manifest(folder: Path) -> RunManifest:
    """
    Raises:
        NoRun: if there is no manifest, with what to do.
    """
    if not (folder / "manifest.json").is_file():
        raise NoRun(f"{folder} holds no finished run (no manifest.json); run `rookery build` with its recipe first")
    return RunManifest.model_validate_json((folder / "manifest.json").read_text(encoding="utf-8"))


def read(folder: Path) -> Facts:
    """All facts of a run; raises `NoRun` as `manifest` does."""
    run = manifest(folder)
    text = (folder / "recipe.yaml").read_text(encoding="utf-8")
    paths = [folder / "stages" / name for name in run.stages]
    stages = [StageManifest.model_validate_json((path / "manifest.json").read_text(encoding="utf-8")) for path in paths]
    exports = {name: _head([folder / "dataset" / part.file for part in parts]) for name, parts in run.exports.items()}
    parts = {path: sorted(path.rglob("part-*.parquet")) for path in paths}
    files = [file for each in parts.values() for file in each]
    trainings = {
        stage.stage: Trained.read(path) for stage, path in zip(stages, paths, strict=True) if (path / "training.json").is_file()
    }
    loop = folder / "iterations.json"
    told = json.loads(loop.read_text(encoding="utf-8")) if loop.is_file() else None
    scores, drops = every(Score, files), every(Drop, files)
    return Facts(folder, run, yaml.safe_load(text), text, stages, exports, scores, drops, trainings, told)


def lengths(table: pl.DataFrame, column: str) -> np.ndarray:
    """Characters in the last message of each row of a column of conversations."""
    return table[column].list.last().struct.field("content").str.len_chars().to_numpy()


def histogram(values_N: np.ndarray, bins: int = 10) -> list[tuple[float, float, int]]:
    """(from, to, count) over the finite values; a single bar where all are equal."""
    finite_N = np.asarray(values_N, dtype=np.float64)
    finite_N = finite_N[np.isfinite(finite_N)]
    if not len(finite_N):
        return []
    counts_B, edges_B = np.histogram(finite_N, bins=bins if finite_N.min() < finite_N.max() else 1)
    return [(float(a), float(b), int(n)) for a, b, n in zip(edges_B, edges_B[1:], counts_B, strict=False)]


def _head(files: list[Path]) -> pl.DataFrame:
    tables, rows = [], 0
    for file in files:
        if rows < HELD:
            tables.append(pl.read_parquet(file))
            rows += tables[-1].height
    return pl.concat(tables) if tables else pl.DataFrame()


def every(kind: type, files: list[Path]) -> pl.DataFrame:
    """All rows of one table among a run's files."""
    found = [pl.read_parquet(file) for file in files if pl.read_parquet_schema(file) == schema(kind)]
    return pl.concat(found) if found else frame(kind, [])


def _methods(tree: object) -> list[str]:
    if isinstance(tree, dict):
        own = [tree["method"]] if isinstance(tree.get("method"), str) else []
        return own + [name for value in tree.values() for name in _methods(value)]
    return [name for value in tree for name in _methods(value)] if isinstance(tree, list) else []
