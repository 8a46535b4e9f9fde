"""A few rows through the whole line: what a stage costs and what a row yields, before much is spent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from ..schemas.digest import digest
from ..schemas.manifest import StageManifest
from .budget import Budget
from .durable import write
from .facts import manifest
from .ledger import Ledger, Pilot, pilot_of
from .recipe import Recipe
from .stage import Line
from .store import RunFolder

FOLDER, FILE = "pilot", "pilot.json"  # in the run's folder; the first is a run of its own


def pilot(line: Line, run: Callable[[Line], object]) -> Pilot | None:
    """The pilot that a limited line plans by, made by `run` if there is none of this recipe yet; None if nothing is limited."""
    recipe, folder = line.recipe, line.folder.path
    if not recipe.budget.limited():
        return None
    small = shrunk(recipe, recipe.budget.pilot_rows)
    name, file = digest(small), folder / FILE
    if file.is_file():
        known = Pilot.model_validate_json(file.read_text(encoding="utf-8"))
        if known.recipe == name:
            return known
    rows = small.generate.rows
    assert rows is not None  # `shrunk` has set it
    line.console.print(f"pilot: {rows} rows through the whole line, to learn what each stage costs")
    with RunFolder(folder / FOLDER) as aside:
        aside.claim(small.model_dump(mode="json"))
        run(Line(small, aside, line.fleet, line.console, ledger=Ledger(small.budget), published=line.published))
    found = learned(folder / FOLDER, rows, name)
    write(file, found.model_dump_json(indent=2).encode())
    return found


def shrunk(recipe: Recipe, rows: int) -> Recipe:
    """The recipe for at most so many rows, without limits and without training."""
    asked = recipe.generate.rows
    generate = recipe.generate.model_copy(update={"rows": rows if asked is None else min(rows, asked)})
    return recipe.model_copy(update={"generate": generate, "budget": Budget(prices=recipe.budget.prices), "train": None})


def learned(run: Path, rows: int, recipe: str = "") -> Pilot:
    """What a finished run of `rows` rows tells."""
    folders = [run / "stages" / name for name in manifest(run).stages]
    stages = [StageManifest.model_validate_json((path / "manifest.json").read_text(encoding="utf-8")) for path in folders]
    [paired] = [path for path, stage in zip(folders, stages, strict=True) if stage.stage == "pair"]
    pairs = pl.read_parquet(paired / "part-*.parquet").group_by("prompt").len()["len"].to_list()
    return pilot_of(rows, pairs, stages, recipe)
