"""What a recipe may name for `answer`, `judge`, `pair` and `export`, each on the whole line."""

import polars as pl
import pytest

from rookery.flows.build import build
from rookery.flows.facts import read
from rookery.flows.recipe_file import RecipeError, parse

pytestmark = pytest.mark.usefixtures("ray_here", "prefect_server")

CONFIGS = ["default", "unpaired", "sft", "candidates", "reward_augmented", "infalign", "listwise", "d2o"]
PAIRWISE = {"method": "pairwise", "answers_first": True}


def made(runs, **changes):
    engines = {name: {"engine": "fake", "cpus": 0.1, "in_flight": 16, "words": 7} for name in ("main", "second", "reward")}
    generate = {"method": "magpie", "rows": 12}
    tree = {
        "name": "t",
        "engines": engines,
        "generate": generate,
        "export": {"configs": CONFIGS, "good": 0.6, "bad": 0.4},
        **changes,
    }
    return build(parse(tree), runs)


def table(run, config):
    return pl.read_parquet(sorted((run / "dataset" / config).glob("*.parquet")))


@pytest.mark.parametrize(
    ("judge", "name", "per_answer"),
    [
        ({"answers_first": True}, "pointwise", 1),
        (PAIRWISE, "win_rate", 1),
        ({"method": "aspects"}, "aspects", 5),
        ({"method": "reward"}, "reward", 1),
        ({"method": "bleu", "references": {"engine": "second", "k": 2, "temperature": 1.0}}, "bleu", 1),
        ({"method": "ensemble", "judges": [{"method": "pointwise"}, PAIRWISE, {"method": "reward"}]}, "ensemble", 5),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pairs_are_made_by_the_score_that_decides(tmp_path, judge, name, per_answer):
    run = made(tmp_path, judge=judge, answer={"k": 4}, pair={"method": "all_pairs"})
    scores = {}
    for slate in table(run, "candidates").iter_rows(named=True):
        for one in slate["completions"]:
            told = one["scores"]
            assert len(told) == per_answer
            [scores[one["id"]]] = [score["value"] for score in told if score["name"] == name]
    pairs = table(run, "default")
    assert pairs.height
    for pair in pairs.iter_rows(named=True):
        assert pair["score_chosen"] == scores[pair["chosen_id"]] > pair["score_rejected"] == scores[pair["rejected_id"]]
    assert table(run, "listwise").height
    assert table(run, "infalign").height
    assert set(read(run).run.exports) == set(CONFIGS)


def test_several_ways_and_models_answer_the_same_prompts(tmp_path):
    ways = [{"k": 2}, {"k": 2, "engine": "second"}, {"method": "dpp", "k": 2, "draw": {"k": 5}}]
    run = made(tmp_path, answer=ways)
    counts = [len(slate["completions"]) for slate in table(run, "candidates").iter_rows(named=True)]
    assert counts
    assert set(counts) == {6}
    dropped = pl.read_parquet(sorted(run.glob("stages/*-spread-*/dropped/*.parquet")))
    assert set(dropped["reason"]) == {"alike"}
    assert dropped.height == 3 * len(counts)


def test_values_are_asked_for_in_one_call_where_several_answers_can_be_right(tmp_path):
    run = made(tmp_path, answer=[{"method": "regenerated", "k": 3, "guard": 0}])
    assert {len(slate["completions"]) for slate in table(run, "candidates").iter_rows(named=True)} <= {2, 3}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"judge": {"method": "pointwize"}}, "'pointwise', 'aspects', 'pairwise'"),
        ({"answer": {"method": "dpp", "k": 16}}, "draw.k=16 leaves nothing to choose"),
        ({"judge": {"method": "ensemble", "judges": [{"method": "pointwise"}]}}, "at least 2 items"),
        ({"answer": []}, "at least 1 item"),
        ({"judge": {"engine": "third"}}, "no engine third"),
        ({"export": {"goals": {"leest": 1}}}, "did you mean 'least'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_choice_that_cannot_be_is_refused_with_what_can(tmp_path, changes, fault):
    with pytest.raises(RecipeError, match=fault):
        made(tmp_path, **changes)
