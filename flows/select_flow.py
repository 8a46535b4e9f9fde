"""Select and publish: rows of a dataset that is there, by one method, as a dataset of its own. The flow of a deployment.

What was selected is reused as long as pool, selection and version are the same, so a run given again publishes nothing twice.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import yaml
from huggingface_hub import HfApi
from prefect import flow
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .. import __version__
from ..schemas.digest import digest
from ..schemas.errors import PlainError
from . import environment
from .durable import write
from .hub import publish as push
from .hub import tag_of
from .progress import told_as_table
from .release import Destination
from .select import METHODS, Given, Setting, select_pool
from .select_pool import Pool, read_pool


class SelectionError(PlainError, ValueError):
    """A selection that cannot be run. The message names the field."""


class Selection(BaseModel):
    """What is chosen from which pool, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="also the name of the folder")
    pool: str = Field(min_length=1, description="Parquet, JSONL or CSV file or folder, or owner/name on the Hub")
    split: str = Field("train", description="of a pool on the Hub")
    text: str | None = Field(None, description="column with text or messages; default: the usual names")
    method: str = Field("deita", description="a selector, such as deita, facility_location, mig, k_center, dpp")
    budget: Annotated[str, Field(coerce_numbers_to_str=True)] = Field(description="rows to choose: 1000, or 10%")
    score: tuple[str, ...] = Field((), max_length=2, description="column with the score, or two whose product it is")
    tags: str | None = Field(None, description="column with a list of tags")
    stratify: str | None = Field(None, description="column whose groups get their share of the budget")
    targets: str | None = Field(None, description="examples to choose for, a file like the pool")
    settings: dict[str, Setting] = Field({}, description="of the method, by the selector's parameter names")
    seed: int = Field(0, ge=0)

    @field_validator("method")
    @classmethod
    def _known(cls, given: str) -> str:
        if given not in METHODS:
            raise ValueError(f"no selector of this name; there is {', '.join(METHODS)}")
        return given


@flow(name="select", flow_run_name="{selection.name}", validate_parameters=True, persist_result=False)
def select(selection: Selection, runs: Path = Path("runs"), publish: Destination | None = None) -> Path:
    """Choose rows of the pool, write them to a folder of their own, and release them if told where. Returns the folder."""
    environment.prepare(quiet=False)
    folder = runs / selection.name
    pool = read_pool(selection.pool, text=selection.text, split=selection.split)
    manifest = chosen(selection, pool, folder)
    shown = {"pool": pool.name, "rows": pool.frame.height, "selected": manifest["selected"], "method": selection.method}
    told_as_table([shown], "selection", "What was selected")
    if publish is not None:
        release(selection, folder, publish)
    return folder


def chosen(selection: Selection, pool: Pool, folder: Path) -> dict:
    """The manifest of what is selected; what is there of the same pool and selection is not made again."""
    fingerprint = digest(selection, pool.digest, str(pool.frame.hash_rows(seed=1).sum()), __version__)
    held = folder / "selection.json"
    if held.is_file() and (folder / "manifest.json").is_file():
        told = json.loads(held.read_text(encoding="utf-8"))
        if told["fingerprint"] == fingerprint:
            return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    given = Given(
        score=selection.score,
        tags=selection.tags,
        stratify=selection.stratify,
        targets=read_pool(selection.targets, text=selection.text) if selection.targets else None,
        seed=selection.seed,
        cache=folder / "vectors",
        settings=selection.settings,
    )
    held.unlink(missing_ok=True)
    manifest = select_pool(pool, selection.method, selection.budget, folder, given)
    write(held, json.dumps({"fingerprint": fingerprint, **selection.model_dump(mode="json")}, indent=2).encode())
    return manifest


def release(selection: Selection, folder: Path, where: Destination, api: HfApi | None = None) -> str:
    """Lay out `release/` and make the repository hold it: one commit, one tag. Returns the tag."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    laid = folder / "release"
    shutil.rmtree(laid, ignore_errors=True)
    (laid / "default").mkdir(parents=True)
    shutil.copyfile(folder / "selected.parquet", laid / "default" / "train-00000-of-00001.parquet")
    for name in ("manifest.json", "selection.json"):
        shutil.copyfile(folder / name, laid / name)
    (laid / "README.md").write_text(card(selection, manifest, where.licence), encoding="utf-8")
    fingerprint = json.loads((folder / "selection.json").read_text(encoding="utf-8"))["fingerprint"]
    tag = tag_of(datetime.now(UTC).date().isoformat(), fingerprint)
    return push(laid, where.repo, tag=tag, api=api or HfApi(), private=where.private).tag


def card(selection: Selection, manifest: dict, licence: str) -> str:
    """The dataset card."""
    front = {
        "pretty_name": selection.name,
        "license": licence,
        "tags": ["rookery", "selection", selection.method],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "default/train-*.parquet"}]}],
    }
    notes = "".join(f"\n- {note}" for note in manifest["notes"])
    dropped = ", ".join(f"{reason} {count}" for reason, count in manifest["dropped"].items()) or "none"
    told = yaml.safe_dump(selection.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n# {selection.name}\n\n"
        f"{manifest['selected']} of {manifest['pool_rows']} rows of `{selection.pool}`, chosen by `{selection.method}` with Rookery "
        f"{manifest['rookery']}. `rank` is the order in which they were chosen, `gain` what each added, `why` the reason.\n\n"
        f"Rows that no selector can compare: {dropped}.\n{notes}\n\n```yaml\n{told}```\n"
    )


def load(path: Path) -> Selection:
    """
    Raises:
        SelectionError: with every fault at once, each with its field.
    """
    if not path.is_file():
        raise SelectionError(f"no selection {path}; name a YAML file")
    try:
        return Selection.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
        raise SelectionError(f"{path} has faults:\n" + "\n".join(lines)) from error
