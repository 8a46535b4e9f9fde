"""Prometheus metrics of an engine's actor. Ray's agent on each machine serves them all (docs/operations.md)."""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge

ENGINE = ("engine", "model")


class Metrics:
    """Counters and gauges of one actor; Ray adds the machine and the process."""

    def __init__(self, engine: str, model: str) -> None:
        self._read = Counter("rookery_tokens_read", "tokens that engines have read", ENGINE)
        self._written = Counter("rookery_tokens_written", "tokens that engines have written", ENGINE)
        self._rows = Counter("rookery_rows", "rows that engines have finished, by how it went", (*ENGINE, "outcome"))
        self._at_hand = Gauge("rookery_rows_at_hand", "rows that the engine works on now", ENGINE)
        self._saturation = Gauge("rookery_saturation", "rows at hand, as share of those that it works on at once", ENGINE)
        for metric in (self._read, self._written, self._rows, self._at_hand, self._saturation):
            metric.set_default_tags({"engine": engine, "model": model})
        self._counted = (0, 0)

    def tokens(self, read: int, written: int) -> None:
        """The engine's totals."""
        before, self._counted = self._counted, (read, written)
        for counter, more in ((self._read, read - before[0]), (self._written, written - before[1])):
            if more > 0:  # Ray refuses nothing
                counter.inc(more)

    def finished(self, outcome: str) -> None:
        """A row is done, or failed."""
        self._rows.inc(tags={"outcome": outcome})

    def at_hand(self, rows: int, most: int) -> None:
        """Rows now, of so many at once."""
        self._at_hand.set(rows)
        self._saturation.set(min(1.0, rows / most))
