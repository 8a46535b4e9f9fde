"""The whole line on the fake engine: same bytes for any cut, what changed is made anew, and nothing disappears."""

import hashlib
import shutil
from pathlib import Path

import polars as pl
import pytest

from rookery.flows.build import build
from rookery.flows.durable import StoreError
from rookery.flows.recipe_file import parse
from rookery.schemas.manifest import RunManifest, StageManifest

pytestmark = pytest.mark.usefixtures("ray_here", "prefect_server")


def recipe(rows=60, engine=None, **changes):
    fake = {"engine": "fake", "cpus": 0.1, "in_flight": 16, **(engine or {})}
    tree = {"name": "t", "engines": {"main": fake}, "generate": {"method": "magpie", "rows": rows}, "answer": {"k": 3}}
    return parse({**tree, **changes})


def digests(run: Path) -> dict[str, str]:
    files = sorted((run / "dataset").rglob("*.parquet"))
    assert files
    return {f.relative_to(run).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def stages(run: Path) -> dict[str, StageManifest]:
    found = [StageManifest.model_validate_json(p.read_text()) for p in sorted(run.glob("stages/*/manifest.json"))]
    return {stage.stage: stage for stage in found}


@pytest.fixture(scope="module")
def reference(tmp_path_factory, prefect_server, ray_here):
    return build(recipe(), tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    "other",
    [
        {"engine": {"actors": 3}},
        {"engine": {"in_flight": 1}, "shard_rows": 7},
        {"engine": {"latency_seconds": 0.01, "actors": 2}, "shard_rows": 1000},
    ],
    ids=["three actors", "one row at a time, small parts", "slow, large parts"],
)
def test_the_bytes_do_not_depend_on_how_the_work_was_cut(reference, tmp_path, other):
    assert digests(build(recipe(**other), tmp_path)) == digests(reference)


def test_another_seed_gives_another_dataset(reference, tmp_path):
    assert digests(build(recipe(seed=1), tmp_path)) != digests(reference)


def test_a_second_run_does_nothing_and_says_so(reference, tmp_path, capsys):
    shutil.copytree(reference, tmp_path / "t")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "t" / "stages").rglob("*.parquet")}
    build(recipe(), tmp_path)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "t" / "stages").rglob("*.parquet")}
    assert "all 60" in " ".join(capsys.readouterr().out.split())


def test_a_change_remakes_its_stage_and_those_after_it_only(reference, tmp_path):
    shutil.copytree(reference, tmp_path / "t")
    build(recipe(answer={"k": 4}), tmp_path)
    names = sorted(p.name for p in (tmp_path / "t" / "stages").iterdir())
    counts = {stage: sum(name.split("-")[1] == stage for name in names) for stage in stages(reference)}
    assert counts == {"generate": 1, "clean": 1, "answer": 2, "judge": 2, "pair": 2}


def test_the_first_answers_do_not_change_when_more_are_drawn(reference, tmp_path):
    run = build(recipe(answer={"k": 4}, export={"configs": ["candidates"]}), tmp_path)
    few, many = (pl.read_parquet(p / "stages/03-*/part-*.parquet") for p in (reference, run))
    texts = [set(zip(t["ordinal"], t["text"], strict=True)) for t in (few, many)]
    assert texts[0] <= texts[1]


def test_every_row_is_somewhere(tmp_path):
    """What goes in comes out, or is in dropped/ with stage and reason: nothing is lost between any two stages."""
    run = build(recipe(rows=80, engine={"error_share": 0.2}, clean={"rules": {"too_short": {"chars": 76}}}), tmp_path)
    made = stages(run)
    dropped = pl.read_parquet(run / "stages/*/dropped/*.parquet")
    assert set(dropped["reason"]) >= {"engine_error", "too_short"}
    assert dropped.filter((pl.col("reason") == "") | (pl.col("stage") == "")).is_empty()

    generated, cleaned, answered, judged = (made[name] for name in ("generate", "clean", "answer", "judge"))
    assert generated.rows_out["Chat"] + sum(generated.dropped.values()) == 80
    assert cleaned.rows_out["Chat"] + sum(cleaned.dropped.values()) == generated.rows_out["Chat"]
    assert answered.rows_out["Answer"] + sum(answered.dropped.values()) == 3 * cleaned.rows_out["Chat"]
    assert judged.rows_out["Score"] == answered.rows_out["Answer"]

    pairs = pl.read_parquet(run / "dataset/default/*.parquet")
    unpaired = dropped.filter(pl.col("stage") == "pair")["id"].to_list()
    asked = pl.read_parquet(run / "stages/02-clean-*/part-*.parquet")["id"].to_list()
    answered_ids = set(pl.read_parquet(run / "stages/03-*/part-*.parquet")["prompt"])
    assert sorted([*pairs["prompt_id"], *unpaired]) == sorted(answered_ids)
    assert answered_ids <= set(asked)


def test_pairs_are_right(reference):
    pairs = pl.read_parquet(reference / "dataset/default/*.parquet")
    assert pairs.height > 20
    for row in pairs.iter_rows(named=True):
        assert row["prompt"][-1]["role"] == "user"
        assert [turn["role"] for turn in row["chosen"]] == [turn["role"] for turn in row["rejected"]] == ["assistant"]
        assert row["chosen"] != row["rejected"]
        assert row["score_chosen"] > row["score_rejected"]
        assert row["score_margin"] == row["score_chosen"] - row["score_rejected"]


def test_the_manifest_knows_every_file(reference):
    manifest = RunManifest.model_validate_json((reference / "manifest.json").read_text())
    listed = {f"dataset/{part.file}": part.sha256 for parts in manifest.exports.values() for part in parts}
    assert listed == digests(reference)


def test_a_stage_whose_file_is_gone_is_made_again(reference, tmp_path):
    shutil.copytree(reference, tmp_path / "t")
    next((tmp_path / "t").glob("stages/03-*/part-00000.parquet")).unlink()
    assert digests(build(recipe(), tmp_path)) == digests(reference)


def test_no_prompt_survives_and_the_run_still_ends(tmp_path):
    run = build(recipe(rows=5, clean={"rules": {"too_short": {"chars": 10_000}}}), tmp_path)
    assert pl.read_parquet(run / "dataset/default/*.parquet").height == 0
    assert stages(run)["clean"].dropped == {"too_short": 5}


def test_a_folder_of_another_recipe_is_refused(reference, tmp_path):
    shutil.copytree(reference, tmp_path / "other")
    with pytest.raises(StoreError, match="written by another recipe"):
        build(recipe(name="other"), tmp_path)
