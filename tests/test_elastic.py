"""Ray's own simulated cluster: machines come and go during a run, which needs no help, and its bytes do not tell.

A node here is a raylet of its own with one CPU, so one engine to a machine; the head has none, and holds the driver alone.
"""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml
from ray._common.utils import reset_ray_address
from ray.cluster_utils import Cluster
from support import free_port

RECIPE = {
    "name": "e",
    "engines": {"main": {"engine": "fake", "latency_seconds": 0.2, "in_flight": 8, "cpus": 1}},
    "generate": {"method": "magpie", "rows": 240},
    "answer": {"k": 2},
    "shard_rows": 50,
}
WITHIN_SECONDS = 300.0

pytestmark = [pytest.mark.proof, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture(scope="module")
def cluster():
    """A head without CPUs; machines are added by the tests."""
    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3, "metrics_report_interval_ms": 1000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": quick, "include_dashboard": False})
    reset_ray_address()  # or every other Ray on this machine would join it
    try:
        yield made
    finally:
        made.shutdown()


def start(folder: Path, cluster: Cluster, actors: int) -> subprocess.Popen:
    (folder / "requests").mkdir(parents=True, exist_ok=True)
    engine = {**RECIPE["engines"]["main"], "actors": actors, "log": str(folder / "requests")}
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "cluster": cluster.address, "engines": {"main": engine}}))
    command = [sys.executable, "-m", "rookery", "build", str(folder / "recipe.yaml"), "--runs", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def at_work(folder: Path) -> int:
    """How many engines have answered anything: each process writes into a file of its own."""
    return sum(file.stat().st_size > 0 for file in (folder / "requests").iterdir())


def scraped(port: int) -> set[str]:
    """Our metrics that Ray's agent on a machine serves to Prometheus, with a value above zero."""
    try:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5.0).text
    except httpx.HTTPError:
        return set()
    found = re.finditer(r'^ray_rookery_(\w+?)(?:_total)?\{[^}]*engine="main"[^}]*\} (\S+)$', page, re.MULTILINE)
    return {one[1] for one in found if float(one[2]) > 0}


def until(what, process: subprocess.Popen) -> None:
    ends = time.monotonic() + WITHIN_SECONDS
    while not what():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < ends
        time.sleep(0.05)


def finished(process: subprocess.Popen) -> None:
    try:
        said = process.communicate(timeout=WITHIN_SECONDS)[0]
    finally:
        process.kill()
    assert process.returncode == 0, said


def digests(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("e/dataset/*/*.parquet"))
    assert files
    return {file.parent.name + file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_machines_come_and_go_during_a_run_and_another_takes_it_up(cluster, tmp_path):
    whole, changed, moved = tmp_path / "whole", tmp_path / "changed", tmp_path / "moved"
    first = cluster.add_node(num_cpus=1, metrics_export_port=(port := free_port()))
    run = start(whole, cluster, actors=1)
    until(lambda: {"tokens_written", "rows", "saturation"} <= scraped(port), run)
    finished(run)

    run = start(changed, cluster, actors=2)  # of which one has no machine yet
    until(lambda: at_work(changed) == 1, run)
    second = cluster.add_node(num_cpus=1)
    until(lambda: at_work(changed) == 2, run)  # the new machine is used as soon as it is there
    cluster.remove_node(first, allow_graceful=False)  # and the old one dies with what it was working on
    finished(run)
    assert digests(changed) == digests(whole)

    run = start(moved, cluster, actors=1)
    until(lambda: any(journal.stat().st_size for journal in moved.glob("e/stages/*-generate-*/journal")), run)
    os.kill(run.pid, signal.SIGKILL)
    run.wait(60)
    before = at_work(moved)
    cluster.add_node(num_cpus=3)
    cluster.remove_node(second, allow_graceful=False)
    run = start(moved, cluster, actors=3)
    finished(run)
    assert at_work(moved) == before + 3
    assert digests(moved) == digests(whole)
