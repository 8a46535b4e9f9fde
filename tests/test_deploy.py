"""Deployments: a real server, pool and worker; a run on request and one that the scheduler made, both to the end."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.settings import PREFECT_API_URL, temporary_settings
from support import ROOT, free_port

from rookery.flows.deploy import ServeError, read_recipe, read_selection, serve
from rookery.flows.recipe_file import RecipeError, edition_of, load, parse
from rookery.flows.select_flow import Selection, select

PROJECT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
FAKE = {
    "name": "night",
    "engines": {"main": {"engine": "fake", "cpus": 0.1}},
    "generate": {"method": "magpie", "rows": 20},
    "answer": {"k": 2},
}


BUILDS = [told for told in PROJECT["deployments"] if told["entrypoint"].endswith("build.build")]


def test_the_selection_that_is_deployed_loads(monkeypatch):
    monkeypatch.chdir(ROOT)
    [told] = [told for told in PROJECT["deployments"] if told not in BUILDS]
    [step] = told["build"]
    [(name, settings)] = step.items()
    assert (told["name"], name) == ("select-and-publish", "rookery.flows.deploy.read_selection")
    assert Selection.model_validate(read_selection(settings["path"])["tree"]).method == "deita"
    assert set(told["parameters"]) <= set(select.parameters.properties)


@pytest.mark.parametrize("told", BUILDS, ids=lambda told: told["name"])
def test_every_deployment_has_a_recipe_that_loads(told, monkeypatch):
    monkeypatch.chdir(ROOT)
    [step] = told["build"]
    [(name, settings)] = step.items()
    assert name == "rookery.flows.deploy.read_recipe"
    tree = read_recipe(settings["path"])["tree"]
    assert parse(dict(tree)) == load(ROOT / settings["path"])
    assert told["parameters"]["recipe"] == f"{{{{ {settings['id']}.tree }}}}"
    assert told["enforce_parameter_schema"] is True


def test_an_edition_is_a_run_of_its_own():
    recipe = parse(dict(FAKE))
    first, second = edition_of(recipe, "2026-11-23"), edition_of(recipe, "2026-11-24")
    assert (first.name, second.name) == ("night-2026-11-23", "night-2026-11-24")
    assert len({recipe.seed, first.seed, second.seed}) == 3
    assert first == edition_of(recipe, "2026-11-23")
    with pytest.raises(RecipeError, match="name"):
        edition_of(recipe, "23/11")


def test_a_folder_without_deployments_is_refused(tmp_path):
    with pytest.raises(ServeError, match=r"has no prefect\.yaml"):
        serve(tmp_path, host="127.0.0.1", port=1, pool="p", limit=1)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """`rookery serve` on a copy of prefect.yaml with the nightly recipe on a fake engine, due every 20 seconds."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "fake.yaml").write_text(yaml.safe_dump(FAKE))
    nightly = next(told for told in PROJECT["deployments"] if told["name"] == "magpie-nightly")
    nightly = {
        **nightly,
        "build": [{"rookery.flows.deploy.read_recipe": {"id": "recipe", "path": "fake.yaml"}}],
        "schedules": [{"interval": 20, "slug": "often"}],
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
    }
    (folder / "prefect.yaml").write_text(yaml.safe_dump({**PROJECT, "definitions": {}, "deployments": [nightly]}))
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    log = (folder / "log").open("w")
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": url}
    command = [sys.executable, "-m", "rookery", "serve", "--folder", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield folder, url, environment, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)
        log.close()


def runs(url):
    async def read():
        async with get_client() as client:
            return await client.read_flow_runs(flow_run_filter=FlowRunFilter(), limit=200)

    with temporary_settings({PREFECT_API_URL: url}):
        return asyncio.run(read())


def until(served, what, seconds):
    folder, _, _, process = served
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert process.poll() is None, (folder / "log").read_text()
        if found := what():
            return found
        time.sleep(2)
    raise AssertionError((folder / "log").read_text())


def test_a_run_on_request_and_a_scheduled_one_go_to_the_end(served):
    folder, url, environment, _ = served
    until(served, lambda: "Worker" in (folder / "log").read_text() and "started" in (folder / "log").read_text(), 900)
    command = [sys.executable, "-m", "prefect", "deployment", "run", "build/magpie-nightly", "--watch"]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr + (folder / "log").read_text()
    [run] = (folder / "runs").glob("night-*")
    assert list((run / "dataset" / "default").glob("*.parquet"))
    assert (run / "manifest.json").is_file()

    done = until(served, lambda: [r for r in runs(url) if r.auto_scheduled and r.state.is_completed()], 900)
    assert done[0].parameters["recipe"]["generate"]["rows"] == 20
    assert done[0].name == "night", "the run is named by its recipe"
