"""How busy an engine is: tokens in a second, and the share of the rows that it could work on at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Load:
    """What the actors of one engine have done since the stage began."""

    tokens_in: int = 0
    tokens_out: int = 0
    row_seconds: float = 0.0  # rows at hand, no more than the engine works on at once, over time
    _began: float = field(default_factory=time.monotonic)

    def add(self, tokens_in: int, tokens_out: int, row_seconds: float) -> None:
        """An actor has told what it has done since it was last heard of."""
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.row_seconds += row_seconds

    @property
    def seconds(self) -> float:
        """Since the stage began."""
        return max(1e-9, time.monotonic() - self._began)

    def saturation(self, places: int) -> float:
        """The mean share of the engine's `places`, its rows at once over all actors, that were taken: 0 to 1."""
        return min(1.0, self.row_seconds / (places * self.seconds))


@dataclass(slots=True)
class Busy:
    """Rows at hand over time, in the actor; of an engine that works on `most` at once."""

    most: int
    rows: int = 0
    _row_seconds: float = 0.0
    _since: float = field(default_factory=time.monotonic)

    def change(self, rows: int) -> None:
        """So many rows more, or fewer."""
        self.row_seconds()
        self.rows += rows

    def row_seconds(self) -> float:
        """Until now, since the actor began."""
        now = time.monotonic()
        self._row_seconds += min(self.rows, self.most) * (now - self._since)
        self._since = now
        return self._row_seconds
