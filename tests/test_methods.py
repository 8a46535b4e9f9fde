"""CodecLM and WildFeedback on the line, with real Prefect and Ray: nonsense costs rows and not the run; the demo model makes pairs."""

import json

import polars as pl
import pytest
from support import DEMO

from rookery.flows.build import build
from rookery.flows.codeclm import divergence
from rookery.flows.recipe_file import RecipeError, parse

CHAT = {"engine": "vllm", "model": str(DEMO / "chat"), "max_model_len": 1024, "enforce_eager": True}
FAKE = {"engine": "fake", "words": 8}
LEAN = {"rules": {"leaked_template": {}}, "duplicates": "keep"}


def codeclm(engine, target, **generate):
    told = {"method": "codeclm", "rows": 6, "seeds": str(DEMO / "seeds.jsonl"), "entries": 6, "most_rounds": 1}
    steps = {"encode": {"max_tokens": 64}, "rubrics": {"max_tokens": 256}, "decode": {"count": 2, "max_tokens": 256}}
    contrast = {"theta": 0, "rounds": 2, "max_tokens": 96}
    engines = {"strong": engine, "target": target}
    return parse(
        {"name": "codeclm", "engines": engines, "generate": {**told, **steps, "contrast": contrast, **generate}, "clean": LEAN}
    )


def wildfeedback(engine, **generate):
    told = {"method": "wildfeedback", "logs": str(DEMO / "logs" / "wildchat.jsonl"), "rows": 24, "chunk_rows": 16}
    find = {"rubrics": "named", "max_tokens": 400}
    pairs = {"method": "wildfeedback_on_policy", "policy": "judge", "max_tokens": 96}
    recipe = {"engines": {"judge": engine}, "generate": {**told, "find": find, "pairs": pairs, **generate}}
    return parse({"name": "wildfeedback", **recipe, "clean": LEAN, "export": {"good": 1.0, "bad": 0.0}})


def exported(run, name):
    return pl.concat([pl.read_parquet(path) for path in sorted((run / "dataset" / name).glob("*.parquet"))])


def dropped(run):
    files = sorted((run / "stages").glob("*/dropped/*.parquet"))
    return pl.concat([pl.read_parquet(path) for path in files])


@pytest.fixture
def own_ray(prefect_server, ray_here):
    """What a build needs around it."""


def test_a_model_that_writes_nonsense_costs_every_row_and_not_the_run(own_ray, tmp_path):
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(b'{"instruction": "Sing a song."}\n{"instruction": "Sing\n{"text": "no column"}\n\xff\xfe\n')
    run = build(codeclm(FAKE, {**FAKE, "model": "weak"}, seeds=str(seeds)), tmp_path)
    assert set(dropped(run)["reason"]) == {"no_metadata", "not_json", "no_column", "not_utf8"}
    assert exported(run, "default").is_empty()


def test_a_log_full_of_faults_costs_its_rows_and_not_the_run(own_ray, tmp_path):
    good = {"conversation": [{"role": role, "content": role} for role in ("user", "assistant", "user")]}
    lines = [good, {"conversation": []}, {"conversation": good["conversation"][:1] * 2}, {}]
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"\n".join(json.dumps(line).encode() for line in lines) + b'\n{"conversation": [{"ro')
    run = build(wildfeedback(FAKE, logs=str(log), moderation=None), tmp_path)
    assert dropped(run)["reason"].to_list() == [
        "empty_conversation", "broken_alternation", "no_messages", "not_json", "no_labels",
    ]  # fmt: skip
    assert exported(run, "default").is_empty()


def test_hand_written_metadata_and_a_second_run_that_asks_nothing(own_ray, tmp_path):
    path = tmp_path / "metadata.yaml"
    path.write_text("- use_case: travel\n  skills: [maps, trains]\n- use_case: nothing else\n")
    recipe = codeclm(FAKE, {**FAKE, "model": "weak"}, seeds=None, metadata=str(path), entries=3)
    run = build(recipe, tmp_path)
    notes = pl.read_parquet(sorted((run / "stages").glob("*-pool-*"))[0] / "part-00000.parquet")
    assert notes.filter(kind="use_case")["text"].to_list() == ["travel"] * 3
    assert notes.filter(kind="origin")["text"].to_list() == ["manual", "mixed", "mixed"]
    before = {path: path.stat().st_mtime_ns for path in (run / "stages").rglob("*.parquet")}
    build(recipe, tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in (run / "stages").rglob("*.parquet")}


def test_codeclm_on_the_demo_model(own_ray, tmp_path):
    run = build(codeclm(CHAT, {**CHAT, "max_model_len": 1000}), tmp_path)
    report = json.loads((run / "codeclm.json").read_text())
    assert [row["round"] for row in report["acceptance"]][:1] == [1]
    assert 0 <= report["divergence_bits"] <= 1
    pairs, lessons = exported(run, "default"), exported(run, "sft")
    assert 0 < pairs.height <= 6
    assert lessons.height == pairs.height
    assert (pairs["score_margin"] > 0).all()


def test_wildfeedback_on_the_demo_model(own_ray, tmp_path):
    run = build(wildfeedback(CHAT), tmp_path)
    pairs = exported(run, "default")
    assert pairs.height > 0
    for row in pairs.iter_rows(named=True):
        assert row["prompt"][-1]["role"] == "user"
        assert not any("wishes of the user" in turn["content"] for turn in row["prompt"])


def test_recipes_say_what_is_missing():
    with pytest.raises(RecipeError, match="seeds"):
        codeclm(FAKE, FAKE, seeds=None)
    with pytest.raises(RecipeError, match="did you mean 'layout'"):
        wildfeedback(FAKE, layuot="lmsys")
    with pytest.raises(RecipeError, match="no engine policy"):
        wildfeedback(FAKE, pairs={"method": "wildfeedback_on_policy"})


def test_divergence_is_symmetric_and_bounded():
    assert divergence(["a", "b"], ["b", "a"]) == 0
    assert divergence(["a"], ["b"]) == pytest.approx(1)
    assert divergence(["a", "a", "b"], ["a", "c"]) == pytest.approx(divergence(["a", "c"], ["a", "a", "b"]))
