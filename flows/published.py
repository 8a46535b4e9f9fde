"""What is published already, read once for each run: prompts with their names and categories.

The first look is kept in the run's folder and is part of the fingerprint of what is compared with it. So a run that is given again, after a
crash or after its own release, sees what it saw before, and not itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
from huggingface_hub import HfApi

from ..schemas.digest import digest
from ..schemas.errors import PlainError
from ..schemas.manifest import RunManifest, StageManifest
from ..schemas.tables import Drop, Score
from .append import EDITIONS, HUB, PUBLISHED, Append, AppendError
from .durable import disk_errors, write_parquet
from .facts import every
from .hub import FAULTS
from .hub import read as read_repository
from .readers import records

PROMPTS = ("prompt", "messages", "conversations", "conversation", "instruction", "question", "text")
NAMES = ("prompt_id", "id", "uuid")
CATEGORY = "task_category"
USERS = ("user", "human")
VECTORS = ".vectors"  # beside the runs: a prompt is embedded once, and not every night anew


def published(append: Append, name: str, runs: Path, folder: Path) -> pl.DataFrame:
    """The published prompts, `id`, `text` and `category`, as the run in `folder` saw them first.

    Raises:
        AppendError: if they cannot be read, or not be compared.
    """
    append.check()
    file = folder / f"published-{digest(append.to, append.of, append.column)[:12]}.parquet"
    if not file.is_file():
        try:
            found = pl.DataFrame(list(_rows(append, name, runs)), schema=PUBLISHED, orient="row")
        except PlainError as error:
            raise AppendError(f"append.to: {error}") from error
        except FAULTS as error:
            raise AppendError(f"append.to: {append.to} cannot be read ({type(error).__name__}: {error}); try again") from error
        table = found.unique(["id", "text"], keep="first", maintain_order=True)
        write_parquet(aside := file.with_suffix(".tmp"), table)
        with disk_errors(file):
            aside.rename(file)
    return pl.read_parquet(file)


def _rows(append: Append, name: str, runs: Path) -> Iterator[tuple[str, str, str | None]]:
    """(name, text, category) of each published prompt."""
    if append.to == EDITIONS:
        for run in editions(runs, append.of or name, name):
            yield from _of_run(run, append.column)
    elif append.to.startswith(HUB):
        # Before the first release there is no repository: everything is new then.
        if read_repository(HfApi(), append.to.split(":")[1]).commit is not None:
            yield from _of_source(append.to, append.column, {})
    elif (Path(append.to) / "manifest.json").is_file():
        yield from _of_run(Path(append.to), append.column)
    elif Path(append.to).is_dir():
        raise AppendError(f"{append.to} holds no finished run (no manifest.json); name its folder, a file, or {HUB}owner/name")
    else:
        yield from _of_source(append.to, append.column, {})


def editions(runs: Path, recipe: str, but: str) -> list[Path]:
    """Folders of finished runs of a recipe and its editions, in order of name, without the one called `but`."""
    found = [path.parent for path in sorted(runs.glob("*/manifest.json"))]
    return [path for path in found if path.name != but and (path.name == recipe or path.name.startswith(f"{recipe}-"))]


def _of_run(run: Path, column: str | None) -> Iterator[tuple[str, str, str | None]]:
    """What a finished run has exported, with the categories that its models gave."""
    manifest = RunManifest.model_validate_json((run / "manifest.json").read_text(encoding="utf-8"))
    stages = [run / "stages" / stage for stage in manifest.stages]
    tagged = [path for path in stages if _name(path) == "tag"]
    scores = every(Score, [file for path in tagged for file in sorted(path.rglob("part-*.parquet"))])
    labels = scores.filter((pl.col("name") == CATEGORY) & pl.col("label").is_not_null())
    categories = dict(zip(labels["about"], labels["label"], strict=True))
    for part in (part for parts in manifest.exports.values() for part in parts):
        for name, text, category in _of_source(str(run / "dataset" / part.file), column, categories):
            yield f"{run.name}/{name}", text, category


def _name(stage: Path) -> str:
    return StageManifest.model_validate_json((stage / "manifest.json").read_text(encoding="utf-8")).stage


def _of_source(source: str, column: str | None, categories: Mapping[str, str]) -> Iterator[tuple[str, str, str | None]]:
    for record in records(source):
        if isinstance(record, Drop):
            raise AppendError(f"{source}: {record.detail}; mend the file, for what cannot be read cannot be compared")
        row = record.value if isinstance(record.value, Mapping) else {}
        wanted = [column] if column else [name for name in PROMPTS if name in row]
        if not wanted or wanted[0] not in row:
            raise AppendError(
                f"{record.place}: no column {column or ', '.join(PROMPTS)}; it has {', '.join(map(str, row)) or 'none'}. "
                "Name the prompts' one in append.column"
            )
        name = next((str(row[key]) for key in NAMES if row.get(key)), record.place)
        if text := _asked(row[wanted[0]]):
            yield name, text, categories.get(name) or row.get(CATEGORY)


def _asked(value: object) -> str:
    """The last thing that a user says: of a text the text, of messages the last user turn."""
    if isinstance(value, str):
        return value
    turns = [turn for turn in value if isinstance(turn, Mapping)] if isinstance(value, list) else []
    said = [str(turn.get("content", turn.get("value")) or "") for turn in turns if turn.get("role", turn.get("from")) in USERS]
    return said[-1] if said else ""
