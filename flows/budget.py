"""What a run may cost, as a recipe says it: rows, tokens, seconds, GPU-hours, money. And what engines cost."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Dimension = Literal["tokens", "seconds", "gpu_hours", "money"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
MILLION = 1_000_000


class Price(BaseModel):
    """What one engine costs, in the currency that `money` is meant in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    read: float = Field(0.0, ge=0, description="price of a million tokens of prompts")
    written: float = Field(0.0, ge=0, description="price of a million tokens of answers")
    gpu_hour: float = Field(0.0, ge=0, description="price of an hour of one GPU, for as long as the engine's actors hold it")


class Budget(BaseModel):
    """Limits of a run; without any, nothing is limited. A stage stops when its share is used up, and the line goes on with what there is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int | None = Field(None, gt=0, description="pairs wanted: no more are released, and no more rows made than they need")
    tokens: int | None = Field(None, gt=0, description="tokens, read and written, of all engines")
    seconds: float | None = Field(
        None, gt=0, description="seconds of work, over all the runs that it took; loading engines apart"
    )
    gpu_hours: float | None = Field(None, gt=0, description="hours of GPUs held, loading engines included")
    money: float | None = Field(None, gt=0, description="money, by the prices below")
    prices: dict[str, Price] = Field({}, description="engine -> what it costs; an engine that is not named costs nothing")
    pilot_rows: int = Field(32, gt=0, description="rows that go through the whole line first, to learn what each stage costs")

    def limits(self) -> dict[Dimension, float]:
        """The limits on what is spent."""
        told: dict[Dimension, float | None] = {name: getattr(self, name) for name in DIMENSIONS}
        return {name: float(limit) for name, limit in told.items() if limit is not None}

    def limited(self) -> bool:
        """Whether there is anything to stop at."""
        return self.rows is not None or bool(self.limits())

    def faults(self, engines: list[str]) -> list[str]:
        """What is wrong with it beside a recipe's engines."""
        unknown = sorted(set(self.prices) - set(engines))
        found = [f"budget.prices: no engine {', '.join(unknown)}; there is {', '.join(engines)}"] if unknown else []
        if self.money is not None and not any(any(price.model_dump().values()) for price in self.prices.values()):
            found.append("budget.money: no engine has a price; name them, such as prices: {main: {read: 0.1, written: 0.4}}")
        return found
