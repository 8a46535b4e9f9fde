"""Reads the demo's dataset against the truth: how often each side is right, and 20 random rows, both written into the card.

python -m rookery.data.world.demo_rows [runs/demo]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from random import Random
from typing import NamedTuple

import polars as pl

from .checker import check
from .table import Row, mean, table

CARD = Path(__file__).resolve().parents[1] / "demo" / "README.md"
MARK = {True: "right", False: "wrong", None: "not checkable"}


class Told(NamedTuple):
    """A pair, and whether its sides are right; None where the instruction is not of the world."""

    asked: str
    chosen: str
    rejected: str
    margin: float
    chosen_right: bool | None
    rejected_right: bool | None


def read(run: Path) -> list[Told]:
    pairs = pl.read_parquet(run / "dataset" / "default" / "*.parquet")
    return [
        Told(
            row["prompt"][-1]["content"],
            row["chosen"][0]["content"],
            row["rejected"][0]["content"],
            row["score_margin"],
            check([*row["prompt"], *row["chosen"]]).right,
            check([*row["prompt"], *row["rejected"]]).right,
        )
        for row in pairs.iter_rows(named=True)
    ]


def figures(told: list[Told]) -> list[Row]:
    known = [one for one in told if one.chosen_right is not None]
    right, other = mean([bool(one.chosen_right) for one in known]), mean([bool(one.rejected_right) for one in known])
    decided = [bool(one.chosen_right) for one in known if one.chosen_right != one.rejected_right]
    return [
        Row("pairs", f"{len(told)}, of which {len(known)} ask for something of the world"),
        Row("chosen right", f"{right:.3f}"),
        Row("rejected right", f"{other:.3f}"),
        Row("difference, points", f"{100 * (right - other):.1f}", ">= 25", right - other >= 0.25),
        Row("of pairs with one right side, the chosen one", f"{mean(decided):.3f} ({len(decided)} pairs)"),
    ]


def shown(one: Told, number: int) -> str:
    asked, chosen, rejected = (" / ".join(text.split("\n")) for text in (one.asked, one.chosen, one.rejected))
    lines = [
        f"{number}. {asked} *(margin {one.margin:.2f})*",
        f"   - chosen ({MARK[one.chosen_right]}): {chosen}",
        f"   - rejected ({MARK[one.rejected_right]}): {rejected}",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/demo"))
    parser.add_argument("--seed", type=int, default=20)
    asked = parser.parse_args()
    told = read(asked.run)
    drawn = Random(asked.seed).sample(told, min(20, len(told)))
    text = "\n\n".join([table(figures(told)), "\n".join(shown(one, i) for i, one in enumerate(drawn, 1))])
    print(text)
    parts = re.split(r"(<!-- rows -->|<!-- end of rows -->)", CARD.read_text())
    if len(parts) == 5:
        CARD.write_text("".join([*parts[:2], "\n", text, "\n", *parts[3:]]))


if __name__ == "__main__":
    main()
