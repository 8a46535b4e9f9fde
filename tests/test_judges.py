"""Laws of the judges: nobody foreign is spoken of, what has no score says why, and a leaning towards a place cancels out."""

import asyncio
from dataclasses import dataclass
from math import exp, isnan, nan

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.aspects import Aspects
from rookery.filters.ensemble import calibrate, ensemble
from rookery.filters.pairwise import Pairwise, length_controlled, matches, order_report, win_rates
from rookery.filters.reward import RewardModel
from rookery.flows.engines.spec import FakeSpec
from rookery.schemas.llm import Choice, Reward
from rookery.schemas.tables import Answer, Chat, Match, Sampling, Score, Turn, frame

DRAWN = Sampling(0.8, 1.0, 64, 7)


@dataclass
class Leaning:
    """A judge that goes by the worth written in a reply ("worth 3.5"), by its length, and by its place."""

    place: float = 0.0
    length: float = 0.0
    mass: float = 1.0
    model: str = "leaning"
    revision: str = "0"

    async def choose(self, turns, options):
        a, b = turns[-1].content.split("Reply B:")
        odds = self._worth(a) - self._worth(b) + self.place
        share = 1 / (1 + exp(-odds))
        return Choice({"A": share, "B": 1 - share}, self.mass)

    async def score(self, turns):
        return Reward(self._worth(turns[-1].content))

    def _worth(self, text):
        return float(text.split("worth ")[-1].split()[0]) + self.length * text.count("long")


def answer(name, prompt, text):
    return Answer(name, prompt, 0, text, "independent", "m", "r", DRAWN, "stop", 1, 1)


def chat(name, text="which is better?"):
    return Chat(name, [], [Turn("user", text)], "magpie", "m", "r", DRAWN, "stop", 1, 1)


def ended(name, text):
    return Chat(name, [], [Turn("user", "hm?"), Turn("assistant", text)], "magpie", "m", "r", DRAWN, "stop", 1, 1)


def judged(step, rows, *llms):
    async def every():
        return await asyncio.gather(*(step(row, *llms) for row in rows))

    return frame(Score, [score for found in asyncio.run(every()) for score in found])


def match(first, second):
    return Match(f"{first}{second}", [Turn("user", "?")], first, second, first, second)


@settings(max_examples=60, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(-3, 3))
def test_a_leaning_towards_a_place_cancels_out(a, b, place):
    row = Match("m", [Turn("user", "?")], "a", "b", f"worth {a:.3f}", f"worth {b:.3f}")
    value, as_a, as_b = judged(Pairwise(), [row], Leaning(place))["value"].to_list()
    assert value == pytest.approx((as_a + as_b) / 2)
    swapped = Match("m", row.turns, "b", "a", row.second_text, row.first_text)
    assert judged(Pairwise(), [swapped], Leaning(place))["value"][0] == pytest.approx(1 - value)
    if abs(a - b) > 0.01:
        assert (value > 0.5) == (a > b)


def test_a_flip_is_told_and_a_strong_leaning_shows_in_the_report():
    rows = [Match(str(i), [Turn("user", "?")], "a", "b", f"worth {i}", "worth 2") for i in range(5)]
    steady, leaning = judged(Pairwise(), rows, Leaning()), judged(Pairwise(), rows, Leaning(place=1.5))
    assert order_report(steady)["flip_rate"] == 0.0
    report = order_report(leaning)
    assert report["matches"] == 5
    assert report["flip_rate"] == pytest.approx(0.6)
    assert report["favour_of_place_a"] > 0.15
    assert report["flip_rate"] + report["order_agreement"] == pytest.approx(1.0)


def test_no_verdict_says_why():
    rows = [match("worth 1", "worth 2")]
    scores = judged(Pairwise(), rows, Leaning(mass=0.01))
    assert scores["value"].to_list() == [None]
    assert "0.010 of the probability" in scores["reason"][0]
    failed = judged(Pairwise(), rows, FakeSpec(error_share=1.0).build())
    assert failed["reason"].to_list() == ["injected fault"]
    assert isnan(order_report(scores)["flip_rate"])


def test_everyone_meets_everyone_once_and_the_best_wins_most():
    answers = frame(Answer, [answer(f"a{i}", "p", f"worth {i}") for i in range(4)] + [answer("t", "p", "worth 3 ")])
    met = matches(frame(Chat, [chat("p"), chat("q")]), answers)
    assert met.height == 4 * 3 // 2 + 3  # the twin of a3 meets all but a3
    rates = win_rates(
        met, judged(Pairwise(), [Match(**{**r, "turns": [Turn(**t) for t in r["turns"]]}) for r in met.to_dicts()], Leaning())
    )
    order = rates.sort("value")["about"].to_list()
    assert order[:3] == ["a0", "a1", "a2"]
    assert rates["value"].is_between(0, 1).all()


def test_length_control_takes_away_length_and_leaves_merit():
    rng = np.random.default_rng(0)
    rows = []
    for i in range(300):
        worth, longs = rng.normal(size=2), rng.integers(0, 8, size=2)
        texts = ["long " * n + f"worth {w:.3f}" for w, n in zip(worth, longs, strict=True)]
        rows.append(Match(str(i), [Turn("user", "?")], f"a{i}", f"b{i}", *texts))
    met = frame(Match, rows)
    merit = judged(Pairwise(), rows, Leaning()).filter(pl.col("name") == "pairwise")["value"].to_numpy()
    swayed = judged(Pairwise(), rows, Leaning(length=0.5))
    freed, weight = length_controlled(met, swayed)
    before = swayed.filter(pl.col("name") == "pairwise")["value"].to_numpy()
    assert weight > 0.5
    assert np.corrcoef(freed["value"], merit)[0, 1] > np.corrcoef(before, merit)[0, 1] + 0.1
    assert abs(length_controlled(met, judged(Pairwise(), rows, Leaning()))[1]) < 0.3


def test_aspects_have_a_mean_only_when_whole():
    rows = [ended(f"a{i}", f"text {i}") for i in range(20)]
    scores = judged(Aspects(), rows, FakeSpec(error_share=0.3).build())
    assert set(scores["about"]) == {row.id for row in rows}
    for (_,), group in scores.group_by("about"):
        parts, mean = group.filter(pl.col("name") != "aspects"), group.filter(pl.col("name") == "aspects")
        assert parts.height == 4
        if parts["value"].null_count():
            assert mean["value"].to_list() == [None]
            assert "have no score" in mean["reason"][0]
        else:
            assert mean["value"][0] == pytest.approx(parts["value"].mean())
            assert 1 <= mean["value"][0] <= 5
    assert scores["value"].null_count() > 0


def test_a_reward_is_raw_and_a_failure_has_a_reason():
    assert judged(RewardModel(), [ended("a", "worth -7.25")], Leaning())["value"].to_list() == [-7.25]
    failed = judged(RewardModel(), [ended("a", "worth nan")], Leaning())
    assert failed["value"].to_list() == [None]
    assert "nan" in failed["reason"][0]
    assert judged(RewardModel(), [ended("a", "x")], FakeSpec(error_share=1.0).build())["reason"].to_list() == ["injected fault"]


numbers = st.lists(st.none() | st.integers(-50, 50).map(float) | st.just(nan), min_size=1, max_size=8)


@settings(max_examples=80, deadline=None)
@given(numbers, st.integers(1, 9), st.integers(-5, 5))
def test_calibration_keeps_order_and_forgets_scale(values, scale, shift):
    answers = frame(Answer, [answer(f"a{i}", f"p{i % 2}", "x") for i in range(len(values))])

    def scores(times, plus):
        told = [None if v is None else times * v + plus for v in values]
        return frame(Score, [Score(f"a{i}", "r", v, None, "j", None) for i, v in enumerate(told)])

    for kind in ("z", "cdf"):
        plain, other = (calibrate(answers, scores(*by), kind) for by in ((1.0, 0.0), (float(scale), float(shift))))
        assert plain.height == sum(v is not None and v == v for v in values)
        assert np.allclose(plain["value"], other["value"], atol=1e-4)
        for (_,), group in plain.group_by("prompt"):
            raw = [values[int(name[1:])] for name in group["about"]]
            for i in range(len(raw)):
                for j in range(len(raw)):
                    assert (raw[i] < raw[j]) == (group["value"][i] < group["value"][j])
            if kind == "cdf":
                assert group["value"].is_between(0, 1).all()
                assert group["value"].mean() == pytest.approx(0.5)


def test_the_cdf_counts_ties_half():
    answers = frame(Answer, [answer(f"a{i}", "p", "x") for i in range(4)])
    told = frame(Score, [Score(f"a{i}", "r", v, None, "j", None) for i, v in enumerate((1.0, 2.0, 2.0, 9.0))])
    assert calibrate(answers, told, "cdf")["value"].to_list() == [0.125, 0.5, 0.5, 0.875]


def test_an_ensemble_needs_all_its_voices_and_tells_where_they_differ():
    answers = frame(Answer, [answer(f"a{i}", "p", "x") for i in range(3)])
    told = [Score(f"a{i}", "r", float(i), None, "j", None) for i in range(3)]
    told += [
        Score("a0", "r", 9.0, None, "k", None),
        Score("a1", "r", None, None, "k", "no"),
        Score("a2", "r", 10.0, None, "k", None),
    ]
    made = ensemble(answers, frame(Score, told), "cdf")
    value = {(row["about"], row["name"]): row["value"] for row in made.iter_rows(named=True)}
    assert value["a1", "ensemble"] is None
    assert value["a2", "ensemble"] > value["a0", "ensemble"]
    assert value["a0", "disagreement"] > 0
    assert made.filter(pl.col("about") == "a1")["reason"].to_list() == ["1 of 2 judges gave a score"] * 2
