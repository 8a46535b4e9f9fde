"""A run in the terminal: pairs side by side, dropped rows with their reason."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text


def show(run: Path, count: int) -> None:
    """Print the first pairs of a run: the prompt, and under it chosen and rejected side by side."""
    files = sorted((run / "dataset" / "default").glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"{run} has no dataset/default/*.parquet: is it the folder of a finished run?")
    console = Console()
    pairs = pl.scan_parquet(files).head(count).collect()
    for row in pairs.iter_rows(named=True):
        asked = "\n".join(f"{turn['role']}: {turn['content']}" for turn in row["prompt"])
        console.rule(f"{row['prompt_id']}  margin {row['score_margin']:.3f}", align="left", style="dim")
        console.print(Text(asked, style="bold"))
        sides = Table.grid(expand=True)
        sides.add_column(ratio=1)
        sides.add_column(ratio=1)
        sides.add_row(
            *(
                Panel(Text(row[side][-1]["content"]), title=f"{side} {row[f'score_{side}']:.3f}", border_style=colour)
                for side, colour in (("chosen", "green"), ("rejected", "red"))
            )
        )
        console.print(sides)
    total = pl.scan_parquet(files).select(pl.len()).collect().item()
    console.print(f"{pairs.height} of {total} pairs of {run}")


def show_dropped(run: Path, count: int) -> None:
    """Print how many rows each stage dropped for which reason, and the first of them."""
    files = sorted((run / "stages").glob("*/dropped/*.parquet"))
    if not files:
        raise FileNotFoundError(f"{run} has no stages/*/dropped/*.parquet: is it the folder of a run?")
    console = Console()
    dropped = pl.concat([pl.read_parquet(file) for file in files])
    counts = Table("stage", "reason", "rows")
    for stage, reason, number in dropped.group_by("stage", "reason", maintain_order=True).len().iter_rows():
        counts.add_row(stage, reason, str(number))
    console.print(counts)
    rows = Table("stage", "reason", "detail", "text", show_lines=True)
    for row in dropped.head(count).iter_rows(named=True):
        rows.add_row(row["stage"], row["reason"], row["detail"], Text(row["text"][:500]))
    console.print(rows)
