"""A run's log: one JSON object to a line, with run, stage and row where there are any, for machines that collect logs.

What a person should see at once is printed besides; what becomes of rows stands in their tables. The log joins the two in time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

FILE = "log.jsonl"
FIELDS = ("run", "stage", "row", "engine", "reason", "detail", "rows", "dropped", "tokens_per_second", "saturation")
log = logging.getLogger("rookery.run")
log.setLevel(logging.INFO)
log.propagate = False  # or Prefect would print every dropped row on the terminal


class JsonLines(logging.Formatter):
    """A record as one line of JSON: when, how grave, what, and those of `FIELDS` that it has."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        told |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        return json.dumps(told, ensure_ascii=False)


@contextmanager
def logged(folder: Path, run: str) -> Iterator[None]:
    """Write what is logged of this run into its folder, at the end of what is there."""
    handler = logging.FileHandler(folder / FILE, encoding="utf-8", errors="backslashreplace", delay=True)
    handler.setFormatter(JsonLines())
    handler.addFilter(lambda record: getattr(record, "run", run) == run)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
