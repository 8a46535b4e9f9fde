"""The table of what was measured: rows with their targets, as text for the terminal and the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    what: str
    measured: str
    target: str = ""
    met: bool | None = None


def at_least(what: str, value: float, target: float) -> Row:
    return Row(what, f"{value:.3f}", f">= {target:.2f}", value >= target)


def at_most(what: str, value: float, target: float) -> Row:
    return Row(what, f"{value:.3f}", f"<= {target:.2f}", value <= target)


def mean(values: Sequence[float | bool]) -> float:
    return sum(values) / max(1, len(values))


def table(rows: Sequence[Row]) -> str:
    mark = {True: "yes", False: "**no**", None: ""}
    lines = ["| what | measured | target | met |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {row.what} | {row.measured} | {row.target} | {mark[row.met]} |" for row in rows])
