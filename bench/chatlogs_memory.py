"""Reading chat logs: conversations a second and peak memory, for logs of growing length.

    python bench/chatlogs_memory.py --rows 10000 100000 1000000

Each length runs in a process of its own, whose peak resident memory the kernel tells. The log is made up on the fly in the
WildChat layout, four turns of some 300 characters each, every opening different: the worst case for counting openings.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rookery.flows.readers import conversations
from rookery.generators.chatlogs import Selection
from rookery.schemas.tables import Chat

WORDS = [f"word{i}" for i in range(2000)]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    asked.add_argument("--scrub", action="store_true", help="replace personal data too")
    asked.add_argument("--inside", help="used by the program itself: the log to read")
    told = asked.parse_args()
    if told.inside:
        print(json.dumps(measured(told.inside, told.scrub)))
        return
    for rows in told.rows:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log.jsonl"
            write_log(log, rows)
            command = [sys.executable, __file__, "--inside", str(log), *(["--scrub"] if told.scrub else [])]
            print(rows, subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)


def measured(log: str, scrub: bool) -> dict[str, float]:
    """Conversations read, CPU seconds and peak memory."""
    began = time.process_time()
    count = sum(isinstance(row, Chat) for row in conversations(log, "wildchat", Selection(), scrub))
    seconds = time.process_time() - began
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"read": count, "per_cpu_second": round(count / seconds), "peak_mib": round(peak_mib)}


def write_log(path: Path, rows: int) -> None:
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            said = [f"{number} " + " ".join(rng.choices(WORDS, k=45)) for _ in range(4)]
            turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
            row = {
                "conversation_hash": f"h{number}",
                "model": "m",
                "language": "English",
                "toxic": False,
                "conversation": turns,
            }
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
