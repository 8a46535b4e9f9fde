"""Whether the demo weights still know the prompts: the digests of those they were trained on stand beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ...schemas.prompts import PROMPTS

DEMO = Path(__file__).resolve().parents[1] / "demo"
RECORD = DEMO / "prompts.json"
# Deita's prompts belong to Deita's own scorers, and definitions of the signals are for larger models.
_UNSPOKEN = ("deita/", "magpie/base", "wildfeedback/rubrics")


def digests() -> dict[str, str]:
    files = {path.relative_to(PROMPTS).with_suffix("").as_posix(): path for path in sorted(PROMPTS.rglob("*.txt"))}
    return {
        name: hashlib.sha256(path.read_bytes().removesuffix(b"\n")).hexdigest()
        for name, path in files.items()
        if not name.startswith(_UNSPOKEN)
    }


def record() -> None:
    RECORD.write_text(json.dumps(digests(), indent=1) + "\n")


def stale() -> list[str]:
    """The prompts that have changed, come or gone since the weights were trained."""
    trained, now = json.loads(RECORD.read_text()), digests()
    return sorted(name for name in trained.keys() | now.keys() if trained.get(name) != now.get(name))
