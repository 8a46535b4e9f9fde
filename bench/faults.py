"""kill -9 at random moments, again and again: what is lost, what is there twice, whether the bytes are the same, and what was done twice.

    python bench/faults.py --trials 50

A trial starts a run on the fake engine, waits a random time, and lets one thing die: the driver, an actor's process, the engine within it (it
says so and takes its process along, as vLLM does), or a machine: a raylet with all that hangs on it, of a simulated cluster of Ray's own
making. If that ended the run, the same command is given again. Work is counted at the engine, which writes down every request that it
answers, so what a dead process had done and lost counts too.

Server, cluster and imports are shared by all trials, so that a trial takes seconds: a driver is forked from a process that has imported
everything and done nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from math import ceil
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import polars as pl
import psutil
import yaml
from ray._common.utils import reset_ray_address
from ray._private.node import Node
from ray.cluster_utils import Cluster

from rookery.flows import environment
from rookery.flows.deploy import running, wait_for
from rookery.flows.dispatch import AHEAD

TARGETS = ("driver", "actor", "engine", "node")
ROWS, K, IN_FLIGHT, ACTORS, LATENCY_SECONDS = 300, 2, 16, 2, 0.1
QUICK = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}  # of a machine that says nothing any more
START = multiprocessing.get_context("forkserver")


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


class Machines:
    """A simulated cluster: a head for the driver, and a machine of one CPU for each engine."""

    def __init__(self) -> None:
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
        )
        reset_ray_address()  # or other Rays on this machine would join it
        self.address = self._cluster.address
        self._nodes: list[Node] = []
        self.complete()

    def complete(self) -> None:
        """Put a new machine in place of each that was lost."""
        while len(self._nodes) < ACTORS:
            self._nodes.append(self._cluster.add_node(num_cpus=1))

    def lose(self, chance: random.Random) -> None:
        """Kill one machine, all of its processes at once."""
        self._cluster.remove_node(self._nodes.pop(chance.randrange(len(self._nodes))), allow_graceful=False)

    def close(self) -> None:
        """End all of them."""
        self._cluster.shutdown()


@contextmanager
def prefect_server(folder: Path) -> Iterator[None]:
    """One server for all runs."""
    port = 4900 + os.getpid() % 1000
    os.environ |= {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with running(command, Path.cwd(), dict(os.environ), subprocess.DEVNULL) as server:
        wait_for(f"{os.environ['PREFECT_API_URL']}/health", server)
        yield


def recipe(folder: Path, address: str) -> Path:
    """A recipe whose engine writes every answered request into `folder/requests`, and dies when `folder/death` is there."""
    (folder / "requests").mkdir(parents=True)
    engine = {
        "engine": "fake", "latency_seconds": LATENCY_SECONDS, "in_flight": IN_FLIGHT, "actors": ACTORS, "cpus": 1,
        "log": str(folder / "requests"), "death": str(folder / "death"),
    }  # fmt: skip
    tree = {"name": "f", "engines": {"main": engine}, "generate": {"method": "magpie", "rows": ROWS}, "answer": {"k": K}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**tree, "shard_rows": 50, "cluster": address}))
    return path


def drive(path: Path) -> None:
    """`rookery build`, in the process that a trial may kill."""
    os.setpgrp()
    with (path.parent / "log").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        from rookery.flows.build import build
        from rookery.flows.recipe_file import load

        build(load(path), path.parent / "runs")


def start(path: Path) -> ForkServerProcess:
    process = START.Process(target=drive, args=(path,))
    process.start()
    return process


def finish(process: ForkServerProcess, path: Path) -> bool:
    """Whether the run went to its end."""
    process.join(900)
    if process.exitcode is None:
        process.kill()
        raise SystemExit(f"the run of {path} stands still; look into {path.parent / 'log'}")
    return process.exitcode == 0


def actors() -> list[psutil.Process]:
    """The processes that hold engines, on the machines that this process has started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            found += [process] if "ray::Worker" in " ".join(process.cmdline()) else []
        except psutil.Error:
            continue
    return found


def at_work(folder: Path) -> str:
    """The stage whose journal is there, which is gone when the stage is finished."""
    found = sorted(folder.glob("runs/f/stages/*/journal"))
    return found[-1].parent.name.split("-")[1] if found else "-"


def wait_for_work(folder: Path, process: ForkServerProcess) -> None:
    while process.exitcode is None and not any((folder / "requests").iterdir()):
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


def kill(target: str, process: ForkServerProcess, folder: Path, machines: Machines, chance: random.Random) -> None:
    """Let one thing die. The engine dies at the next request that it is asked."""
    match target:
        case "driver" if process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
        case "actor":
            for victim in sorted(actors(), key=lambda _: chance.random())[:1]:
                victim.kill()
        case "engine":
            (folder / "death").touch()
        case "node":
            machines.lose(chance)


def trial(folder: Path, target: str, chance: random.Random, span_seconds: float, whole: Path, machines: Machines) -> Trial:
    path = recipe(folder, machines.address)
    process = start(path)
    wait_for_work(folder, process)
    after = chance.uniform(0.0, span_seconds)
    time.sleep(after)
    stage = at_work(folder)
    kill(target, process, folder, machines, chance)
    resumed = not finish(process, path)
    if resumed and not finish(start(path), path):
        raise SystemExit(f"the second run of {path} failed; look into {folder / 'log'}")
    wanted, found = answers(whole), answers(folder)
    repeated = answered(folder) - answered(whole)
    lost, twice = sum((wanted - found).values()), sum((found - wanted).values())
    return Trial(target, after, stage, resumed, lost, twice, digests(folder) == digests(whole), sum(repeated.values()))


def trials(place: Path, count: int, chance: random.Random, machines: Machines) -> list[Trial]:
    """One run that nobody kills, then so many with a kill each, of every target in turn."""
    whole = place / "whole"
    path = recipe(whole, machines.address)
    process = start(path)
    wait_for_work(whole, process)
    began = time.monotonic()
    if not finish(process, path):
        raise SystemExit(f"the run that nobody kills failed:\n{(whole / 'log').read_text()}")
    span = time.monotonic() - began
    print(f"{ROWS} rows, {K} answers each, {sum(answered(whole).values())} requests, {span:.1f} s of work without a kill")
    done = []
    for number in range(count):
        machines.complete()
        began = time.monotonic()
        done.append(trial(place / str(number), TARGETS[number % len(TARGETS)], chance, span, whole, machines))
        print(f"{number + 1:3d}  {time.monotonic() - began:5.1f} s  {done[-1]}", flush=True)
    return done


def told(done: list[Trial]) -> Iterator[str]:
    """What all trials together say."""
    kinds = ", ".join(f"{count} {target}" for target, count in sorted(Counter(one.target for one in done).items()))
    yield f"{len(done)} kills ({kinds}), {sum(one.resumed for one in done)} commands given again"
    yield f"rows lost {sum(one.lost for one in done)}, duplicated {sum(one.twice for one in done)}"
    yield f"bytes equal in {sum(one.same_bytes for one in done)} of {len(done)}"
    handed = ACTORS * ceil(AHEAD * IN_FLIGHT)
    mean, most = sum(one.repeated for one in done) / len(done), max(one.repeated for one in done)
    yield f"requests repeated: {mean:.1f} on average, {most} at most; {handed} rows are in flight, up to {K} requests each"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    environment.prepare(offline=True)
    with (
        tempfile.TemporaryDirectory(prefix="rookery-faults-", ignore_cleanup_errors=True) as place,
        prefect_server(Path(place)),
    ):
        START.set_forkserver_preload(["rookery.flows.build"])
        machines = Machines()
        try:
            began = time.monotonic()
            done = trials(Path(place), asked.trials, random.Random(asked.seed), machines)
        finally:
            machines.close()
    print("", *told(done), f"{time.monotonic() - began:.0f} s in all", sep="\n")
    bad = [one for one in done if one.lost or one.twice or not one.same_bytes]
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    sys.exit(main())
