"""Budgets: a limit is kept to, what is released is whole, and stopping costs nothing when the run goes on."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from rookery.flows.budget import Budget, Price
from rookery.flows.build import build
from rookery.flows.durable import Spent
from rookery.flows.ledger import Ledger, Pilot, cost_of, extrapolated, wilson
from rookery.flows.recipe_file import RecipeError, parse
from rookery.schemas.manifest import RunManifest, StageManifest

FAKE = {"engine": "fake", "cpus": 0.1, "in_flight": 8}
ROWS = 200


def recipe(**changes):
    tree = {"name": "t", "engines": {"main": FAKE}, "generate": {"method": "magpie", "rows": ROWS}, "answer": {"k": 3}}
    return parse({**tree, "shard_rows": 32, **changes})


def digests(run: Path) -> dict[str, str]:
    files = sorted((run / "dataset").rglob("*.parquet"))
    return {f.relative_to(run).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def stages(run: Path) -> dict[str, StageManifest]:
    """Of the stages that the finished run is made of."""
    names = RunManifest.model_validate_json((run / "manifest.json").read_text()).stages
    found = [StageManifest.model_validate_json((run / "stages" / name / "manifest.json").read_text()) for name in names]
    return {stage.stage: stage for stage in found}


def tokens(run: Path) -> int:
    return sum(stage.tokens_in + stage.tokens_out for stage in stages(run).values())


def costs(**by_stage: float) -> Pilot:
    zero = {"seconds": 0.0, "gpu_hours": 0.0, "money": 0.0}
    told = {stage: {"tokens": cost, **zero} for stage, cost in by_stage.items()}
    return Pilot(rows=10, fruitful=5, pairs=5, costs=told)


def test_wilsons_interval():
    assert wilson(10, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_stage_may_spend_what_the_stages_up_to_it_may_and_what_they_saved():
    pilot = costs(generate=10, answer=30)
    ledger = Ledger(Budget(tokens=440), pilot)  # of which the pilot has spent 40
    assert ledger.used_up("generate", Spent(99), 1) == ""
    assert ledger.used_up("generate", Spent(100), 1) == "tokens"
    ledger.spent += Spent(60)  # generate saved 40 of its 100
    assert ledger.used_up("answer", Spent(339), 1) == ""
    assert ledger.used_up("answer", Spent(340), 1) == "tokens"
    assert ledger.used_up("a stage that the pilot did not see", Spent(340), 1) == "tokens"


def test_no_limit_no_stop():
    assert Ledger(Budget(), None).used_up("generate", Spent(10**12, 10**12, 1e12), 10**12) == ""


def test_rows_are_made_until_they_suffice_by_the_lower_bound():
    pilot = costs(generate=10, answer=30)
    low, middle, high = pilot.pairs_per_row()
    assert low < middle == 0.5 < high
    ledger = Ledger(Budget(rows=100), pilot)
    enough = pilot.rows_for(100)
    assert enough * low >= 100 > (enough - 1) * low
    assert ledger.used_up("generate", Spent(), enough - 1) == ""
    assert ledger.used_up("generate", Spent(), enough) == "rows"
    assert ledger.used_up("answer", Spent(), enough) == "", "only the first stage is stopped by rows"


def test_money_and_gpu_time_are_counted_by_engine():
    prices = {"big": Price(read=1.0, written=4.0, gpu_hour=3.6), "small": Price(written=0.5)}
    cost = cost_of({"big": (1_000_000, 500_000), "free": (7, 7)}, 1000.0, {"big": 2.0, "free": 1.0}, prices)
    assert (cost.tokens_in, cost.tokens_out, cost.gpu_seconds) == (1_000_007, 500_007, 3000.0)
    assert cost.money == pytest.approx(1.0 + 2.0 + 2.0)


def test_a_preview_says_what_all_rows_would_give_and_cost():
    told = "\n".join(extrapolated(costs(generate=10, answer=30), 1000))
    assert "5 pairs of 10 rows: 0.50 pairs to a row, 0.24 to 0.76 (95 % interval)" in told
    assert "1,000 rows would give about 500 pairs, 237 to 763" in told
    assert "4,000 tokens for all rows; 8 tokens for a kept pair, 5 tokens to 17 tokens" in told
    none = "\n".join(extrapolated(Pilot(rows=4, fruitful=0, pairs=0, costs=costs(generate=10).costs), None))
    assert "no bound for a kept pair" in none


def test_a_budget_that_cannot_work_is_refused():
    with pytest.raises(RecipeError, match="no engine other; there is main"):
        recipe(budget={"prices": {"other": {"read": 1}}})
    with pytest.raises(RecipeError, match="no engine has a price"):
        recipe(budget={"money": 5})
    with pytest.raises(RecipeError, match=r"budget.tokns: unknown key; did you mean 'tokens'"):
        recipe(budget={"tokns": 5})


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory, prefect_server, ray_here):
    return build(recipe(), tmp_path_factory.mktemp("unlimited"))


def test_a_limited_run_is_whole_and_going_on_costs_nothing(unlimited, tmp_path, capsys):
    whole = tokens(unlimited)
    limit = whole // 2
    run = build(recipe(budget={"tokens": limit, "pilot_rows": 16}), tmp_path)
    pilot = Pilot.model_validate_json((run / "pilot.json").read_text())
    in_flight = 16 * whole // ROWS  # eight rows and those handed out in advance, of two stages at the most
    assert limit * 0.8 < tokens(run) + pilot.cost()["tokens"] < limit + in_flight

    manifest, made = RunManifest.model_validate_json((run / "manifest.json").read_text()), stages(run)
    assert manifest.stopped["generate"] == "tokens"
    assert 0 < made["generate"].dropped["over_budget"] < ROWS
    assert made["generate"].rows_out["Chat"] + sum(made["generate"].dropped.values()) == ROWS
    assert 20 < pl.read_parquet(run / "dataset/default/*.parquet").height < ROWS

    before = digests(run)
    build(recipe(budget={"tokens": limit, "pilot_rows": 16}), tmp_path)
    assert digests(run) == before, "the same budget is not spent twice"
    build(recipe(), tmp_path)
    assert digests(run) == digests(unlimited), "a run that was stopped and went on is the run that was not stopped"
    assert tokens(run) == pytest.approx(whole, rel=0.02), "and no row was made twice"
    assert not RunManifest.model_validate_json((run / "manifest.json").read_text()).stopped


def test_so_many_pairs_and_no_more(unlimited, tmp_path):
    run = build(recipe(budget={"rows": 30, "pilot_rows": 16, "prices": {"main": {"written": 2.0}}}), tmp_path)
    pairs = pl.read_parquet(run / "dataset/default/*.parquet")
    assert pairs.height == 30
    whole = pl.read_parquet(unlimited / "dataset/default/*.parquet")
    assert pairs["prompt_id"].to_list() == whole["prompt_id"].to_list()[:30]
    made = stages(run)
    assert made["generate"].dropped["over_budget"] > ROWS / 2
    assert made["answer"].money == pytest.approx(made["answer"].tokens_out * 2e-6)
