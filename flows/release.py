"""From a finished run to the Hub: what the run's manifest lists, checked, with card, report, recipe and manifest beside it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import yaml
from huggingface_hub import HfApi
from pydantic import BaseModel, ConfigDict, Field

from .card import card
from .facts import Facts, manifest, read
from .hub import PATIENCE, Patience, Release, ReleaseError, publish, tag_of
from .report import report


class Destination(BaseModel):
    """Where a finished run is released to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: str = Field(pattern=r"^[^/\s]+/[^/\s]+$", description="dataset repository on the Hub: owner/name")
    licence: str = Field(min_length=1, description="licence of the data, such as cc-by-4.0; those of the models may bind you")
    private: bool = Field(True, description="of a repository that is not there yet")


def write_report(run: Path) -> Path:
    """`report.html` in the run's folder."""
    path = run / "report.html"
    path.write_text(report(read(run)), encoding="utf-8")
    return path


def stage(run: Path, *, licence: str, language: tuple[str, ...] = ("en",), title: str | None = None) -> Facts:
    """Lay out `release/` in the run's folder, exactly as the repository is to be.

    Shards are linked, not copied, and only those that the manifest lists: what an older recipe left behind stays behind. Those of a run that
    adds to what is published bear the run's name, so that they lie beside the others' and replace none.

    Raises:
        ReleaseError: if a shard is missing, or is not the one that the manifest describes.
    """
    folder = run / "release"
    shutil.rmtree(folder, ignore_errors=True)
    faults, run_name = [], name_of(run)
    for part in (part for parts in manifest(run).exports.values() for part in parts):
        source, target = run / "dataset" / part.file, folder / shard(part.file, run_name)
        if not source.is_file():
            faults.append(f"{part.file} is missing")
        elif _sha256(source) != part.sha256:
            faults.append(f"{part.file} is not the file that manifest.json describes")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(source, target)
    if faults:
        raise ReleaseError(f"{run}: {'; '.join(faults)}; run the recipe again, which writes them anew")
    folder.mkdir(exist_ok=True)
    facts = read(run)
    (folder / "README.md").write_text(card(facts, licence=licence, language=language, title=title), encoding="utf-8")
    (folder / "report.html").write_text(report(facts), encoding="utf-8")
    for name in ("recipe.yaml", "manifest.json"):
        shutil.copyfile(run / name, folder / name)
    return facts


def release(
    run: Path,
    repo: str,
    *,
    licence: str | None,
    language: tuple[str, ...] = ("en",),
    private: bool = True,
    dry_run: bool = False,
    api: HfApi | None = None,
    date: str | None = None,
    patience: Patience = PATIENCE,
) -> Release:
    """`rookery publish`: stage the run and make the repository hold it. `date` is the tag's, by default today's in UTC.

    Raises:
        ReleaseError: without a licence; and as `stage` and `publish` do.
    """
    if not licence:
        raise ReleaseError(
            "no licence: name one with --licence (apache-2.0, cc-by-4.0, llama3.1, other...); the licences of the models that "
            "wrote the data may bind you"
        )
    facts = stage(run, licence=licence, language=language)
    tag = tag_of(date or datetime.now(UTC).date().isoformat(), facts.run.recipe)
    own = name_of(run)
    return publish(
        run / "release",
        repo,
        tag=tag,
        api=api or HfApi(),
        private=private,
        dry_run=dry_run,
        patience=patience,
        keep=lambda name: own is not None and not re.fullmatch(rf"train-{re.escape(own)}-\d+-of-\d+\.parquet", Path(name).name),
    )


def name_of(run: Path) -> str | None:
    """The name of a run that adds to what is published, which its shards bear; None of one that stands for itself."""
    recipe = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    return recipe["name"] if recipe.get("append") else None


def shard(file: str, name: str | None) -> str:
    """Where a shard lies in the repository: with the run's name in its own, if other runs' shards lie beside it."""
    return file if name is None else file.replace("/train-", f"/train-{name}-", 1)


def told(done: Release) -> str:
    """What a person is told of it."""
    plan = done.plan
    size = f"{len(plan.add)} files ({plan.bytes_added / 1e6:.2f} MB)"
    rest = f"{len(plan.unchanged)} are there already, {len(plan.delete)} to be removed"
    if done.commit is None:
        lines = [f"dry run: {done.repo} would get {size}; {rest}", *(f"  + {file.name}" for file in plan.add)]
        return "\n".join([*lines, *(f"  - {name}" for name in plan.delete)])
    if not plan.add and not plan.delete:
        return f"{done.repo} holds this run already ({done.tag}); nothing was pushed"
    return f"{done.repo}: {size} in one commit, {done.commit[:10]}, tagged {done.tag}; {rest.replace('to be', 'were')}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another filesystem, or one without links
        shutil.copyfile(source, target)
