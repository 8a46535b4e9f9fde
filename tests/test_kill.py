"""kill -9 of the driver, of an actor, of Ray itself: the same command goes on, and the bytes are those of a run that nobody killed."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from rookery.schemas.manifest import StageManifest

WORDS = 12  # of the fake engine's texts: tokens tell how many rows were really generated
RECIPE = {
    "name": "k",
    "engines": {"main": {"engine": "fake", "latency_seconds": 0.15, "in_flight": 16, "actors": 2, "words": WORDS}},
    "generate": {"method": "magpie", "rows": 400},
    "answer": {"k": 2},
    "shard_rows": 50,
}


def start(runs: Path, recipe: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "rookery", "build", str(recipe), "--runs", str(runs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def digests(run: Path) -> dict[str, str]:
    return {f.name + f.parent.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(run.glob("dataset/*/*.parquet"))}


def belonging_to(driver: int, name: str) -> list[psutil.Process]:
    """Processes of a run by what they are called."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ROOKERY_DRIVER") == str(driver) and name in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for_stage(run: Path, stage: str, process: subprocess.Popen) -> None:
    ends = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < ends:
        if any(journal.stat().st_size for journal in run.glob(f"stages/*-{stage}-*/journal")):
            return
        time.sleep(0.02)
    raise AssertionError(f"stage {stage} was never seen at work: {process.communicate()[0]}")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, prefect_server):
    runs = tmp_path_factory.mktemp("whole")
    recipe = runs / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    process = start(runs, recipe)
    assert process.wait(400) == 0, process.communicate()[0]
    return recipe, digests(runs / "k")


@pytest.mark.parametrize(
    ("target", "stage"), [("driver", "generate"), ("actor", "answer"), ("driver", "judge"), ("raylet", "answer")]
)
def test_a_kill_costs_nothing_but_time(uninterrupted, tmp_path, target, stage):
    recipe, wanted = uninterrupted
    process = start(tmp_path, recipe)
    wait_for_stage(tmp_path / "k", stage, process)
    time.sleep(random.Random(f"{target} {stage}").uniform(0.0, 1.0))
    if target == "driver":
        os.kill(process.pid, signal.SIGKILL)
    else:
        called = "ray::Worker" if target == "actor" else "raylet/raylet"
        for victim in belonging_to(process.pid, called)[:1]:
            victim.kill()
    try:
        said = process.communicate(timeout=400)[0]
    finally:
        process.kill()
    if target == "actor":
        assert process.returncode == 0, said  # an engine's death is survived without help
    if target == "driver":
        assert process.returncode == -signal.SIGKILL
    if process.returncode != 0:
        second = start(tmp_path, recipe)
        again = second.communicate(timeout=400)[0]
        assert second.returncode == 0, again
        assert "from an earlier run" in again or "all " in again
    assert digests(tmp_path / "k") == wanted

    made = {
        m.stage: m
        for m in (StageManifest.model_validate_json(p.read_text()) for p in tmp_path.glob("k/stages/*/manifest.json"))
    }
    assert made["generate"].tokens_out == WORDS * 400 or stage == "generate"
    assert not belonging_to(process.pid, "python"), "a killed run's processes are ended by the next one"
