"""Laws of a release from a run: what the manifest lists and nothing else, under a licence, or not at all."""

import pytest
from huggingface_hub import HfApi, constants

from rookery.flows.facts import NoRun
from rookery.flows.hub import Patience, ReleaseError
from rookery.flows.release import release, told, write_report
from rookery.tests.hub_server import serving
from rookery.tests.test_card import finished

QUICK = Patience(tries=2, first_wait_seconds=0.001)


@pytest.fixture(autouse=True)
def _by_lfs(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_a_run_is_released_whole_and_once(tmp_path):
    facts = finished(tmp_path / "demo")
    left_over = tmp_path / "demo" / "dataset" / "d2o"
    left_over.mkdir()
    (left_over / "train-00000-of-00001.parquet").write_bytes(b"of an older recipe")
    with serving() as hub:
        api = HfApi(endpoint=hub.url, token="hf_x")
        run, options = tmp_path / "demo", {"licence": "mit", "api": api, "date": "2026-11-23", "patience": QUICK}
        plan = release(run, "me/pairs", dry_run=True, **options)
        assert told(plan).startswith("dry run: me/pairs would get")
        assert hub.repos == {}
        done = release(run, "me/pairs", **options)
        there = hub.contents("me/pairs")
        shards = {part.file for parts in facts.run.exports.values() for part in parts}
        assert set(there) == shards | {"README.md", "report.html", "recipe.yaml", "manifest.json", ".gitattributes"}
        assert done.tag == "run-2026-11-23-abc"
        assert "in one commit" in told(done)
        assert "license: mit" in there["README.md"].decode()
        again = release(run, "me/pairs", **{**options, "date": "2026-11-24"})
        assert "nothing was pushed" in told(again)
        assert len(hub.repos["me/pairs"].commits) == 2


def test_without_a_licence_nothing_is_published(tmp_path):
    finished(tmp_path / "demo")
    with serving() as hub, pytest.raises(ReleaseError, match="--licence"):
        release(tmp_path / "demo", "me/pairs", licence=None, api=HfApi(endpoint=hub.url), patience=QUICK)
    assert hub.log == []


def test_a_shard_that_was_changed_is_not_published(tmp_path):
    facts = finished(tmp_path / "demo")
    shard = tmp_path / "demo" / "dataset" / facts.run.exports["default"][0].file
    shard.write_bytes(shard.read_bytes()[:-1])
    (tmp_path / "demo" / "dataset" / facts.run.exports["sft"][0].file).unlink()
    with (
        serving() as hub,
        pytest.raises(ReleaseError, match="is missing; run the recipe again"),
    ):
        release(tmp_path / "demo", "me/pairs", licence="mit", api=HfApi(endpoint=hub.url), patience=QUICK)
    assert hub.log == []
    (tmp_path / "demo" / "manifest.json").unlink()
    with pytest.raises(NoRun, match="rookery build"):
        release(tmp_path / "demo", "me/pairs", licence="mit")


def test_the_report_stands_in_the_run(tmp_path):
    finished(tmp_path / "demo")
    assert write_report(tmp_path / "demo").read_text().startswith("<!doctype html>")
