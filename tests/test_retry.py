"""What an engine failed on is tried again on request, and only that."""

import pytest
from test_budget import digests, recipe, stages

from rookery.flows.build import build
from rookery.flows.recipe_file import RecipeError, of_run

pytestmark = pytest.mark.usefixtures("ray_here", "prefect_server")

FAKE = {"engine": "fake", "cpus": 0.1, "in_flight": 8}


def troubled(outage=None, at="judge"):
    engines = {name: {**FAKE, "outage": str(outage) if name == at and outage else None} for name in ("main", "judge")}
    return recipe(engines=engines, generate={"method": "magpie", "rows": 60}, judge={"method": "pointwise", "engine": "judge"})


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory, prefect_server, ray_here):
    return build(troubled(), tmp_path_factory.mktemp("untroubled"))


@pytest.mark.parametrize("at", ["main", "judge"])
def test_after_an_outage_the_run_becomes_what_it_would_have_been(untroubled, tmp_path, at):
    outage = tmp_path / "outage"
    outage.touch()
    run = build(troubled(outage, at), tmp_path)
    assert digests(run) != digests(untroubled)
    if at == "main":
        assert stages(run)["generate"].dropped == {"engine_error": 60}
    kept = {path: path.stat().st_mtime_ns for path in run.glob("stages/*-generate-*/part-*.parquet")}
    build(of_run(run), tmp_path)
    assert digests(run) != digests(untroubled), "nothing is tried again unasked"

    outage.unlink()
    build(of_run(run), tmp_path, retry=True)
    assert digests(run) == digests(untroubled)
    if at == "judge":
        assert kept == {path: path.stat().st_mtime_ns for path in run.glob("stages/*-generate-*/part-*.parquet")}
    assert stages(run)["judge"].tokens_out == stages(untroubled)["judge"].tokens_out


def test_a_folder_that_was_renamed_is_refused(untroubled, tmp_path):
    (tmp_path / "other").symlink_to(untroubled)
    with pytest.raises(RecipeError, match="no recipe"):
        of_run(tmp_path / "nowhere")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "recipe.yaml").write_text((untroubled / "recipe.yaml").read_text())
    with pytest.raises(RecipeError, match="holds the run of 't'"):
        of_run(tmp_path / "copy")
