"""Magpie through the whole line: ready recipes that load, and tags, choice and turns on the fake engine with nothing lost."""

import polars as pl
import pytest
from support import DEMO, ROOT

from rookery.flows.build import build
from rookery.flows.recipe_file import load, parse
from rookery.schemas.tables import Turn, text_of

RECIPES = sorted((ROOT / "data" / "recipes").glob("magpie-*.yaml"))
LINE = {
    "engines": {"main": {"engine": "fake", "cpus": 0.1, "in_flight": 16, "error_share": 0.05}},
    "answer": {"k": 3},
}


def read(run, pattern):
    return pl.concat([pl.read_parquet(path) for path in sorted(run.glob(pattern))])


@pytest.mark.skipif(not DEMO.is_dir(), reason="the demo model is not here")
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_ready_recipes_load(path):
    assert load(path).name == path.stem


def test_there_is_a_recipe_for_each_form_of_the_method_and_each_of_the_papers_sets():
    forms = {"single", "multi-turn", "domains", "dpo", "nightly"}
    sets = {"air", "pro", "pro2", "pro3", "pro4", "pro5", "pro6", "notebook"}
    assert {path.stem.removeprefix("magpie-") for path in RECIPES} == forms | sets


def test_a_recipe_that_steers_a_model_without_a_system_slot_is_refused(tmp_path):
    from families import tokenizer

    from rookery.flows.recipe_file import RecipeError

    tokenizer("gemma-2").save_pretrained(tmp_path / "gemma")
    (tmp_path / "gemma" / "config.json").write_text('{"model_type": "gemma2"}')
    tree = {"name": "g", "engines": {"main": {"engine": "vllm", "model": str(tmp_path / "gemma")}}}
    parse({**tree, "generate": {"method": "magpie", "rows": 3}})
    with pytest.raises(RecipeError, match="no slot for a system prompt"):
        parse({**tree, "generate": {"method": "magpie", "rows": 3, "domains": [{"name": "math"}]}})
    with pytest.raises(RecipeError, match="no slot for a system prompt"):
        parse({**tree, "generate": {"method": "magpie_turns", "rows": 3}})
    parse({**tree, "generate": {"method": "magpie_turns", "rows": 3, "follow_up_prompt": ""}})


@pytest.mark.usefixtures("ray_here", "prefect_server")
def test_tagged_and_chosen_prompts_and_nothing_lost(tmp_path):
    generate = {
        "method": "magpie_turns",
        "rows": 60,
        "grid": [{"temperature": 1.0}, {"temperature": 1.2}],
        "domains": [{"name": "math"}, {"name": "any", "prompt": ""}],
        "lengths": [{"turns": 1}, {"turns": 2}],
    }
    tags = {"tag": {"method": "magpie_tags"}, "choose": {"quality": "average", "rows": 20}}
    run = build(parse({"name": "m", **LINE, **tags, "generate": generate}), tmp_path)

    kept = read(run, "stages/*-choose-*/part-*.parquet")
    dropped = read(run, "stages/*/dropped/*.parquet")
    assert kept.height <= 20
    assert {"engine_error", "input_quality"} <= set(dropped["reason"])
    before = dropped.filter(pl.col("stage").is_in(["generate", "clean", "choose"]))
    assert kept.height + before.height == 60
    assert dropped.null_count().sum_horizontal().item() == 0

    scores = read(run, "stages/*-tag-*/part-*.parquet")
    assert set(scores["name"]) == {"difficulty", "input_quality", "task_category"}
    notes = read(run, "stages/*-generate-*/note/*.parquet")
    assert {"domain", "system_prompt"} <= set(notes["kind"])
    pairs = read(run, "dataset/default/*.parquet")
    talks = [text_of([Turn(**turn) for turn in prompt]) for prompt in pairs["prompt"]]
    assert all("system:" not in talk for talk in talks)
    assert all(prompt[-1]["role"] == "user" for prompt in pairs["prompt"])
