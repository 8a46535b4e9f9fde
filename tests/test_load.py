"""What a run tells while it works: its log as JSON lines, and how busy its engines are."""

import json
import time

import polars as pl
import pytest
from prefect.artifacts import Artifact

from rookery.flows.build import build
from rookery.flows.load import Busy, Load
from rookery.flows.recipe_file import parse

RECIPE = {
    "name": "told",
    "engines": {"main": {"engine": "fake", "cpus": 0.1, "latency_seconds": 0.05, "in_flight": 8, "error_share": 0.2}},
    "generate": {"method": "magpie", "rows": 120},
    "answer": {"k": 1},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory, ray_here, prefect_server):
    return build(parse(dict(RECIPE)), tmp_path_factory.mktemp("runs"))


def lines(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_every_line_of_the_log_names_the_run_and_dropped_rows_by_id(run):
    told = lines(run)
    assert {line["run"] for line in told} == {"told"}
    dropped = pl.read_parquet(run / "stages/01-generate-*/dropped/*.parquet")
    named = {(line["row"], line["reason"]) for line in told if line["event"] == "row dropped" and line["stage"] == "generate"}
    assert named == set(zip(dropped["id"], dropped["reason"], strict=True))
    assert named
    begun = [line["stage"] for line in told if line["event"] == "stage begins"]
    assert begun == [line["stage"] for line in told if line["event"] == "stage finished"] == ["generate", "answer", "judge"]


def test_an_engine_is_told_with_its_speed_and_saturation(run):
    engines = [line for line in lines(run) if line["event"] == "engine"]
    assert [line["stage"] for line in engines] == ["generate", "answer", "judge"]
    assert all(line["engine"] == "main" for line in engines)
    assert all(0.0 < line["saturation"] <= 1.0 for line in engines)
    assert engines[0]["tokens_per_second"] > 0
    artifact = Artifact.get("engines-generate")
    [row] = json.loads(artifact.data)
    assert row["engine"] == "main"
    assert row["saturation"].endswith("of 8 rows at once")


def test_two_runs_in_one_process_keep_their_logs_apart(run, tmp_path):
    before = lines(run)
    build(parse({**RECIPE, "name": "other"}), tmp_path)
    assert lines(run) == before
    assert {line["run"] for line in lines(tmp_path / "other")} == {"other"}


def test_saturation_is_the_share_of_places_taken():
    load = Load()
    time.sleep(0.01)
    load.add(10, 20, 0.25 * 4 * load.seconds)
    assert 0.0 < load.saturation(4) <= 0.25
    load.add(0, 0, 1e9)
    assert load.saturation(4) == 1.0


def test_rows_beyond_what_an_engine_works_on_at_once_wait_and_do_not_count():
    busy = Busy(most=2, _since=time.monotonic() - 10.0)
    assert busy.row_seconds() == 0.0
    busy.change(5)
    busy._since -= 10.0
    assert busy.row_seconds() == pytest.approx(20.0, rel=0.1)
    busy.change(-5)
    assert busy.rows == 0
