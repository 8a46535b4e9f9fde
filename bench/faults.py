"""kill -9 at random moments, again and again: what is lost, what is there twice, whether the bytes are the same, and what was done twice.

    python bench/faults.py --trials 50

A trial starts a run on the fake engine, waits a random time, kills one of its processes (the driver, an actor with its engine, the
node: Ray's raylet with all that hangs on it) and, if that ended the run, gives the same command again. Work is counted at the engine,
which writes down every request that it answers, so what a dead process had done and lost counts too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil
import yaml

TARGETS = {"driver": "", "actor": "ray::Worker", "node": "raylet/raylet"}
ROWS, K, IN_FLIGHT, ACTORS = 300, 2, 16, 2


@dataclass(frozen=True)
class Trial:
    """What one kill cost."""

    target: str
    after_seconds: float
    stage: str  # at work when it happened
    resumed: bool  # the command had to be given again
    lost: int
    twice: int
    same_bytes: bool
    repeated: int  # requests answered more often than without a kill


def recipe(folder: Path, latency_seconds: float) -> Path:
    """A recipe whose engine writes every answered request into `folder/requests`."""
    requests = folder / "requests"
    requests.mkdir(parents=True)
    engine = {
        "engine": "fake", "latency_seconds": latency_seconds, "in_flight": IN_FLIGHT, "actors": ACTORS, "cpus": 0.1,
        "log": str(requests),
    }  # fmt: skip
    tree = {"name": "f", "engines": {"main": engine}, "generate": {"method": "magpie", "rows": ROWS}, "answer": {"k": K}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**tree, "shard_rows": 50}))
    return path


def start(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rookery", "build", str(path), "--runs", str(path.parent / "runs")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def finish(process: subprocess.Popen[str]) -> bool:
    """Whether the run went to its end."""
    process.communicate(timeout=900)
    return process.returncode == 0


def belonging_to(driver: int, name: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get("ROOKERY_DRIVER") == str(driver) and name in " ".join(process.cmdline()):
                yield process
        except psutil.Error:
            continue


def at_work(folder: Path) -> str:
    """The stage whose journal is there, which is gone when the stage is finished."""
    found = sorted(folder.glob("runs/f/stages/*/journal"))
    return found[-1].parent.name.split("-")[1] if found else "-"


def wait_for_work(folder: Path, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not any((folder / "requests").iterdir()):
        time.sleep(0.02)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("runs/f/dataset/*/*.parquet"))
    return {file.parent.name + file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def answers(folder: Path) -> Counter[str]:
    """Ids of all answers in the dataset."""
    slates = pl.read_parquet(folder / "runs/f/dataset/candidates/*.parquet")
    return Counter(slates["completions"].explode().struct.field("id").to_list())


def answered(folder: Path) -> Counter[str]:
    """How often each request was answered, over all lives of all engines."""
    return Counter(line for file in (folder / "requests").iterdir() for line in file.read_text().splitlines())


def trial(folder: Path, target: str, chance: random.Random, span_seconds: float, whole: Path) -> Trial:
    path = recipe(folder, 0.1)
    process = start(path)
    wait_for_work(folder, process)
    after = chance.uniform(0.0, span_seconds)
    time.sleep(after)
    stage = at_work(folder)
    if target == "driver":
        os.kill(process.pid, signal.SIGKILL)
    else:
        for victim in list(belonging_to(process.pid, TARGETS[target]))[:1]:
            victim.kill()
    resumed = not finish(process)
    if resumed and not finish(start(path)):
        raise SystemExit(f"the second run of {path} failed: look there")
    wanted, found = answers(whole), answers(folder)
    repeated = answered(folder) - answered(whole)
    lost, twice = sum((wanted - found).values()), sum((found - wanted).values())
    return Trial(target, after, stage, resumed, lost, twice, digests(folder) == digests(whole), sum(repeated.values()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="rookery-faults-") as place:
        whole = Path(place) / "whole"
        path = recipe(whole, 0.1)
        process = start(path)
        wait_for_work(whole, process)
        began = time.monotonic()
        if not finish(process):
            raise SystemExit("the run that nobody kills failed")
        span = time.monotonic() - began
        print(f"{ROWS} rows, {K} answers each, {sum(answered(whole).values())} requests, {span:.1f} s of work without a kill")
        done = []
        for number in range(asked.trials):
            done.append(trial(Path(place) / str(number), chance.choice(list(TARGETS)), chance, span, whole))
            print(f"{number + 1:3d}  {done[-1]}", flush=True)
    in_flight = ACTORS * IN_FLIGHT
    print(
        f"\n{len(done)} kills: {Counter(one.target for one in done)}, {sum(one.resumed for one in done)} commands given again"
    )
    print(f"rows lost {sum(one.lost for one in done)}, duplicated {sum(one.twice for one in done)}")
    print(f"bytes equal in {sum(one.same_bytes for one in done)} of {len(done)}")
    most = max(one.repeated for one in done)
    print(
        f"requests repeated: {sum(one.repeated for one in done) / len(done):.1f} on average, {most} at most; rows in flight {in_flight}"
    )


if __name__ == "__main__":
    main()
