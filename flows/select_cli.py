"""`rookery select` and `rookery compare-selectors`: selection from the command line, on any Parquet, JSONL or Hub data."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ..selectors.picks import Progress
    from .select import Given

PoolName = Annotated[str, typer.Argument(metavar="POOL", help="Parquet, JSONL or CSV file or folder, or owner/name on the Hub")]
Budget = Annotated[str, typer.Option(help="rows to choose: 1000, or 10%")]
Score = Annotated[
    str, typer.Option(help="column with the score; or two with commas, whose product it is (lists: a number for each turn)")
]
TextColumn = Annotated[
    str, typer.Option("--text", help="column with the text or messages; the usual names are tried without it")
]
Tags = Annotated[str, typer.Option(help="column with a list of tags, for mig and instag")]
Stratify = Annotated[str, typer.Option(help="column whose groups get their share of the budget")]
Targets = Annotated[str, typer.Option(help="examples to choose for, a file like POOL, for rds")]
Model = Annotated[str, typer.Option("--encoder", help="sentence-transformers model; without it the embedded all-MiniLM-L6-v2")]
Vectors = Annotated[str, typer.Option(help="vectors in place of an encoder: .npy, rows in order of id")]
Cache = Annotated[Path, typer.Option(help="folder that keeps vectors between runs")]
Seed = Annotated[int, typer.Option(help="of whatever draws")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="a setting of the method, such as ceiling=0.95")
]

CACHE = Path.home() / ".cache" / "rookery" / "vectors"
COMPARED = "deita,qdit,novelselect,k_center,cluster_rank,highest"


def select(
    pool: PoolName,
    budget: Budget,
    out: Annotated[Path, typer.Option(help="folder for selected.parquet, dropped.parquet and manifest.json")],
    method: Annotated[str, typer.Option(help="deita, qdit, facility_location, mig, novelselect, k_center, dpp, …")] = "deita",
    score: Score = "",
    text: TextColumn = "",
    tags: Tags = "",
    stratify: Stratify = "",
    targets: Targets = "",
    encoder: Model = "",
    vectors: Vectors = "",
    cache: Cache = CACHE,
    seed: Seed = 0,
    setting: Settings = [],  # noqa: B006
) -> None:
    """Choose rows of a pool by one method. Without a GPU, and without a flow."""
    from .select import select_pool
    from .select_pool import read_pool

    with _plain_errors(), _bar() as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in the notes, printed below
        given = _given(score, text, tags, stratify, targets, encoder, vectors, cache, seed, setting)
        manifest = select_pool(read_pool(pool, text=text or None), method, budget, out, given, progress)
    typer.echo(f"{manifest['selected']} of {manifest['pool_rows']} rows in {manifest['seconds']} s: {out / 'selected.parquet'}")
    for note in manifest["notes"]:  # type: ignore[attr-defined]
        typer.echo(f"note: {note}")
    if manifest["dropped"]:
        typer.echo(f"not comparable: {manifest['dropped']}, see {out / 'dropped.parquet'}")


def compare_selectors(
    pool: PoolName,
    budget: Budget,
    methods: Annotated[str, typer.Option(help="methods with commas; random and longest are always there")] = COMPARED,
    out: Annotated[Path, typer.Option(help="folder for comparison.{md,json,svg} and chosen.parquet")] = Path("comparison"),
    score: Score = "",
    text: TextColumn = "",
    tags: Tags = "",
    stratify: Stratify = "",
    targets: Targets = "",
    encoder: Model = "",
    vectors: Vectors = "",
    cache: Cache = CACHE,
    seed: Seed = 0,
    setting: Settings = [],  # noqa: B006
) -> None:
    """Run several methods on one pool and print them side by side with the controls."""
    from .select_compare import compare_selectors as compare
    from .select_pool import read_pool

    with _plain_errors(), _bar() as progress:
        given = _given(score, text, tags, stratify, targets, encoder, vectors, cache, seed, setting)
        found = compare(read_pool(pool, text=text or None), methods.split(","), budget, out, given, progress)
    console = Console()
    for title, frame in (("methods", found.table), ("overlap", found.overlap)):
        table = Table(*frame.columns, title=title)
        for row in frame.iter_rows():
            table.add_row(
                *(f"{cell:.3g}" if isinstance(cell, float) else str(cell if cell is not None else "") for cell in row)
            )
        console.print(table)
    for method, why in found.refused.items():
        typer.echo(f"{method} could not run: {why}")
    typer.echo(f"written: {out / 'comparison.md'}, {out / 'comparison.svg'}")


def _given(
    score: str,
    text: str,
    tags: str,
    stratify: str,
    targets: str,
    encoder: str,
    vectors: str,
    cache: Path,
    seed: int,
    settings: list[str],
) -> Given:
    import numpy as np

    from ..selectors.embed import SentenceEncoder
    from .select import Given
    from .select_pool import PoolError, read_pool

    wrong = [one for one in settings if "=" not in one]
    if wrong:
        raise PoolError(f"--set {wrong[0]}: expected NAME=VALUE, such as ceiling=0.95")
    return Given(
        score=tuple(name for name in score.split(",") if name),
        tags=tags or None,
        stratify=stratify or None,
        targets=read_pool(targets, text=text or None) if targets else None,
        seed=seed,
        encoder=(lambda: SentenceEncoder(encoder)) if encoder else SentenceEncoder,
        cache=cache,
        vectors=np.load(vectors, mmap_mode="r") if vectors else None,
        settings=dict(one.split("=", 1) for one in settings),
    )


@contextmanager
def _bar() -> Iterator[Progress]:
    """A line of progress, from the third second on; where a method cannot count its work, the seconds it has taken."""
    console, began, ended = Console(stderr=True), time.monotonic(), threading.Event()
    pause = 0.5 if console.is_terminal else 5.0
    said = [began - pause]

    def say(text: str, quiet: float) -> None:
        now = time.monotonic()
        if now - began > 2 and now - said[0] > quiet:
            said[0] = now
            console.print(text, end="\r" if console.is_terminal else "\n", highlight=False)

    def progress(done: int, of: int) -> None:
        say(f"{done:,} of {of:,}", pause)

    def wait() -> None:
        while not ended.wait(0.5):
            say(f"working, {time.monotonic() - began:.0f} s", max(2.0, pause))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    try:
        yield progress
    finally:
        ended.set()
        waiting.join()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Errors that were written for a reader are printed as they are."""
    from .durable import StoreError

    try:
        yield
    except (ValueError, StoreError, FileNotFoundError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from error
