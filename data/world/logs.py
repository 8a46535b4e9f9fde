"""Sample chat logs in the layout of WildChat-1M, with natural feedback turns, and Self-Instruct-like seeds.

    python -m rookery.data.world.logs

The labels stand in a file of their own, so that no method can look at them by accident.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from . import prose, reacting
from .feedback import Turn, conversation
from .tasks import draw_task, right_reply

DEMO = Path(__file__).resolve().parents[1] / "demo"
_FIRST_DAY = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
_MODEL = "rookery-demo-0"


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def wildchat_row(number: int, turns: list[Turn], rng: Random) -> dict[str, object]:
    start = _FIRST_DAY + timedelta(minutes=37 * number)
    person = _digest("address", rng.randrange(120))
    said = []
    for place, turn in enumerate(turns):
        time = (start + timedelta(seconds=40 * place)).isoformat()
        common = {"language": "English", "redacted": False, "toxic": False}
        said.append(
            {
                "content": turn.user,
                "country": "Orlain",
                "hashed_ip": person,
                "header": {"accept-language": "en", "user-agent": "demo"},
                "role": "user",
                "state": None,
                "timestamp": None,
                "turn_identifier": 1000 * number + place,
                **common,
            }
        )
        said.append(
            {
                "content": turn.reply,
                "country": None,
                "hashed_ip": None,
                "header": None,
                "role": "assistant",
                "state": None,
                "timestamp": time,
                "turn_identifier": 1000 * number + place,
                **common,
            }
        )
    moderation = {"categories": {"harassment": False, "violence": False}, "flagged": False}
    return {
        "conversation_hash": _digest(number, [turn.user for turn in turns])[:32],
        "model": _MODEL,
        "timestamp": start.isoformat(),
        "conversation": said,
        "turn": len(turns),
        "language": "English",
        "openai_moderation": [moderation] * len(said),
        "detoxify_moderation": [{"toxicity": 0.001}] * len(said),
        "toxic": False,
        "redacted": False,
        "state": "Highmark",
        "country": "Orlain",
        "hashed_ip": person,
        "header": {"accept-language": "en", "user-agent": "demo"},
    }


def write_logs(folder: Path, count: int = 400, seed: int = 31_000) -> None:
    rng = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "wildchat.jsonl").open("w") as logs, (folder / "labels.jsonl").open("w") as labels:
        for number in range(count):
            turns = conversation(rng)
            row = wildchat_row(number, turns, rng)
            logs.write(json.dumps(row) + "\n")
            truth = {
                "conversation_hash": row["conversation_hash"],
                "turns": json.loads(reacting.labels(turns)),
                "reply_right": [turn.good for turn in turns],
                "wishes": [turn.reaction.wish for turn in turns],
            }
            labels.write(json.dumps(truth) + "\n")


def write_seeds(path: Path, count: int = 175, seed: int = 32_000) -> None:
    rng = Random(seed)
    with path.open("w") as file:
        for _ in range(count):
            task = draw_task(rng, wrapped=0.0, constrained=0.1)
            instruction, given = prose.as_seed(task)
            file.write(json.dumps({"instruction": instruction, "input": given, "output": right_reply(task, rng)}) + "\n")


if __name__ == "__main__":
    write_logs(DEMO / "logs")
    write_seeds(DEMO / "seeds.jsonl")
