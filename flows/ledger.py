"""What was spent, what a stage may spend, and what a few rows tell of many.

A line runs stage after stage, so a budget that the first stage used up would leave nothing to pair. So a pilot of a few rows
goes through the whole line first: it tells each stage's share of the cost, and a stage stops when the line as a whole has spent what
all stages up to it may spend together. What one saves the later ones have. Rows in flight are finished, so a limit is
exceeded by these at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt

from pydantic import BaseModel, ConfigDict

from ..schemas.manifest import StageManifest
from .budget import DIMENSIONS, MILLION, Budget, Dimension, Price
from .durable import Spent
from .lineage import NOT_RUN

SAID: dict[Dimension, str] = {
    "tokens": "{:,.0f} tokens",
    "seconds": "{:,.2f} s of work",
    "gpu_hours": "{:,.5f} GPU-hours",
    "money": "{:,.5f} in money",
}
Z95 = 1.959964  # standard deviations on either side that hold 95 % of a normal distribution


class Pilot(BaseModel):
    """What a few rows became and cost, by stage. Written beside the run, so that a resumed run plans as it did before."""

    model_config = ConfigDict(frozen=True)

    recipe: str = ""  # digest of what was run
    rows: int  # at the start of the line
    fruitful: int  # of them, those that became at least one pair
    pairs: int
    costs: dict[str, dict[Dimension, float]]  # stage, in order -> dimension -> spent

    def cost(self) -> dict[Dimension, float]:
        """Of the whole line."""
        return {name: sum(cost[name] for cost in self.costs.values()) for name in DIMENSIONS}

    def shares(self) -> dict[str, dict[Dimension, float]]:
        """Stage -> dimension -> the share of the whole that all stages up to and including this one take, 0 to 1."""
        whole, so_far = self.cost(), dict.fromkeys(DIMENSIONS, 0.0)
        found: dict[str, dict[Dimension, float]] = {}
        for stage, cost in self.costs.items():
            so_far = {name: so_far[name] + cost[name] for name in DIMENSIONS}
            found[stage] = {name: so_far[name] / whole[name] if whole[name] else 1.0 for name in DIMENSIONS}
        return found

    def pairs_per_row(self) -> tuple[float, float, float]:
        """Pairs to a row at the start: lower bound, estimate and upper bound of a 95 % interval.

        Wilson's interval of the share of rows that become any pair, times the pairs of such a row, which are taken as known.
        """
        each = self.pairs / self.fruitful if self.fruitful else 1.0
        low, high = wilson(self.fruitful, self.rows)
        return low * each, self.pairs / self.rows, high * each

    def rows_for(self, pairs: int) -> int:
        """Rows to start with for so many pairs, by the lower bound, so that they rather suffice; 0 if it says nothing."""
        low, _, _ = self.pairs_per_row()
        return ceil(pairs / low) if low > 0 else 0


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (E. B. Wilson, JASA 22, 1927); (0, 1) of nothing."""
    if not of:
        return 0.0, 1.0
    share, z2 = hits / of, Z95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 * sqrt(share * (1 - share) / of + z2 / (4 * of**2)) / (1 + z2 / of)
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == of else middle + half)


@dataclass(slots=True)
class Ledger:
    """The budget of one line. `spent` is what its finished stages have cost, the pilot included."""

    budget: Budget = field(default_factory=Budget)
    pilot: Pilot | None = None
    spent: Spent = field(default_factory=Spent)
    stopped: dict[str, str] = field(default_factory=dict)  # stage -> the limit that stopped it

    def __post_init__(self) -> None:
        if self.pilot is not None:
            cost = self.pilot.cost()
            tokens, gpu = round(cost["tokens"]), cost["gpu_hours"] * 3600.0
            self.spent += Spent(tokens, 0, cost["seconds"], gpu, cost["money"])

    def close(self, stage: StageManifest) -> None:
        """A stage is finished, now or in an earlier run."""
        if NOT_RUN in stage.dropped:
            self.stopped.setdefault(stage.stage, self.used_up(stage.stage, spent_by(stage), stage.rows_in) or "limit")
        self.spent += spent_by(stage)

    def used_up(self, stage: str, cost: Spent, done: int) -> str:
        """The limit that says that `stage`, having spent `cost` on `done` rows, must stop; "" if none does."""
        if self.pilot is None:
            return ""
        if self.budget.rows is not None and stage == next(iter(self.pilot.costs), None):
            wanted = self.pilot.rows_for(self.budget.rows)
            if wanted and done >= wanted:
                return "rows"
        spent = amounts(self.spent + cost)
        shares = self.pilot.shares().get(stage, {})
        for name, limit in self.budget.limits().items():
            if spent[name] >= self._pilots(name) + (limit - self._pilots(name)) * shares.get(name, 1.0):
                return name
        return ""

    def _pilots(self, name: Dimension) -> float:
        return self.pilot.cost()[name] if self.pilot is not None else 0.0


def amounts(spent: Spent) -> dict[Dimension, float]:
    """What was spent, in the dimensions of a budget."""
    return {
        "tokens": float(spent.tokens_in + spent.tokens_out),
        "seconds": spent.seconds,
        "gpu_hours": spent.gpu_seconds / 3600.0,
        "money": spent.money,
    }


def cost_of(
    tokens: Mapping[str, tuple[int, int]], held_seconds: float, gpus: Mapping[str, float], prices: Mapping[str, Price]
) -> Spent:
    """What engines cost that read and wrote these tokens (engine -> in, out) and held these GPUs (engine -> GPUs) for a time."""
    read, written = sum(n for n, _ in tokens.values()), sum(n for _, n in tokens.values())
    money = 0.0
    for engine, price in prices.items():
        own_in, own_out = tokens.get(engine, (0, 0))
        money += (price.read * own_in + price.written * own_out) / MILLION
        money += price.gpu_hour * gpus.get(engine, 0.0) * held_seconds / 3600.0
    return Spent(read, written, gpu_seconds=sum(gpus.values()) * held_seconds, money=money)


def spent_by(manifest: StageManifest) -> Spent:
    """What a finished stage has cost."""
    return Spent(
        manifest.tokens_in, manifest.tokens_out, manifest.seconds, round(manifest.gpu_hours * 3600.0, 3), manifest.money
    )


def pilot_of(rows: int, pairs_by_prompt: Sequence[int], stages: Sequence[StageManifest], recipe: str = "") -> Pilot:
    """What a finished line of `rows` rows tells; `pairs_by_prompt` counts the pairs of each prompt that has any."""
    costs: dict[str, dict[Dimension, float]] = {}
    for stage in stages:
        cost = amounts(spent_by(stage))
        if any(cost.values()):
            known = costs.get(stage.stage, dict.fromkeys(DIMENSIONS, 0.0))
            costs[stage.stage] = {name: known[name] + cost[name] for name in DIMENSIONS}
    return Pilot(recipe=recipe, rows=rows, fruitful=min(rows, len(pairs_by_prompt)), pairs=sum(pairs_by_prompt), costs=costs)


def extrapolated(pilot: Pilot, rows: int | None) -> list[str]:
    """What `rows` rows would give and cost, as lines for a reader; without a number, what each row does."""
    low, middle, high = pilot.pairs_per_row()
    lines = [
        f"{pilot.pairs} pairs of {pilot.rows} rows: {middle:.2f} pairs to a row, {low:.2f} to {high:.2f} (95 % interval)",
    ]
    if rows is not None:
        lines.append(f"{rows:,} rows would give about {middle * rows:,.0f} pairs, {low * rows:,.0f} to {high * rows:,.0f}")
    for name, cost in pilot.cost().items():
        if cost:
            each, form = cost / pilot.rows, SAID[name]
            pair = [form.format(each / share) if share else "no bound" for share in (high, middle, low)]
            whole = f"{form.format(each * rows)} for all rows; " if rows is not None else ""
            lines.append(f"  {whole}{pair[1]} for a kept pair, {pair[0]} to {pair[2]}")
    return lines
