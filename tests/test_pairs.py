"""Laws of pairs: never equal sides, never upside down, never another prompt's answer, whatever the rows are."""

from math import isfinite

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.generators.pairs import AllPairs, BestRandom, BestWorst, ByPolicy, LengthMatched
from rookery.schemas.tables import Answer, Preference, Sampling, Score, conform, frame

DRAWN = Sampling(0.8, 1.0, 64, 7)
LONG = "y" * 1_000_000
IDS = ["007", "7", "2024-01-01", "", "nan", "None", "naïve", "猫", "a\x00b", "a\nb", " a", "a"]
WAYS = [
    BestWorst(),
    BestWorst(min_margin=1.0),
    BestRandom(seed=3),
    AllPairs(),
    AllPairs(per_prompt=2, prefer="hard", max_margin=3.0),
    *(ByPolicy(policy="m", wrote=wrote) for wrote in ("both", "one", "chosen", "rejected", "none")),
    LengthMatched(),
]


def answer(name, prompt, text="", model="m"):
    return Answer(name, prompt, 0, text, "independent", model, "r", DRAWN, "stop", 1, 1)


def score(about, value):
    return Score(about, "rating", value, None, "judge", None)


def tables(answers, scores):
    return frame(Answer, answers), frame(Score, scores)


texts = st.sampled_from(["007", "2024-01-01", "", " ", "same", "same ", "naïve 猫", "\u202e\x1b[0m\x00", LONG]) | st.text(
    max_size=6
)
numbers = st.none() | st.floats(width=32) | st.sampled_from([0.0, 1.0, 1.5, 1e308, -1e308, float("nan"), float("inf")])
adversarial = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(IDS[:5]), texts, st.sampled_from(["m", "n"]), numbers),
    max_size=12,
    unique_by=lambda row: row[0],
)


@settings(max_examples=150, deadline=None)
@given(adversarial, st.sampled_from(WAYS), st.randoms(use_true_random=False))
def test_no_pair_is_equal_upside_down_or_foreign(rows, way, chance):
    answers = [answer(name, prompt, text, model) for name, prompt, text, model, _ in rows]
    scores = [score(name, value) for name, *_, value in rows]
    pairs, drops = way(*tables(answers, scores))
    conform(Preference, pairs)

    row = {name: rest for name, *rest in rows}
    for pair in pairs.iter_rows(named=True):
        prompt_a, text_a, model_a, value_a = row[pair["chosen"]]
        prompt_b, text_b, model_b, value_b = row[pair["rejected"]]
        assert prompt_a == prompt_b == pair["prompt"]
        assert text_a.strip() != text_b.strip()
        assert text_a.strip()
        assert text_b.strip()
        assert value_a > value_b
        assert isfinite(pair["score_margin"])
        assert way.min_margin < pair["score_margin"] == value_a - value_b <= (way.max_margin or float("inf"))
        if isinstance(way, ByPolicy):
            assert (model_a == "m", model_b == "m") in {
                "both": [(True, True)], "none": [(False, False)], "chosen": [(True, False)], "rejected": [(False, True)],
                "one": [(True, False), (False, True)],
            }[way.wrote]  # fmt: skip
    assert not pairs["id"].is_duplicated().any()
    assert set(pairs["prompt"]) | set(drops["id"]) == {prompt for _, prompt, *_ in rows}
    assert not set(pairs["prompt"]) & set(drops["id"])

    chance.shuffle(answers)
    chance.shuffle(scores)
    again, _ = way(*tables(answers, scores))
    assert again.sort("id").equals(pairs.sort("id"))


def test_a_wide_gap_of_huge_scores_is_no_pair():
    pairs, drops = BestWorst()(*tables([answer("a", "p", "x"), answer("b", "p", "y")], [score("a", 1e308), score("b", -1e308)]))
    assert pairs.is_empty()
    assert drops["reason"].to_list() == ["small_margin"]


def test_peers_traps_make_no_pair():
    """distilabel pairs tied ratings with themselves; open-instruct lets a failed row shift answers to the next prompt."""
    answers = [answer(f"{p}{i}", p, f"{p} {i}") for p in "abcd" for i in range(2)]
    values = {"a0": 5.0, "a1": 5.0, "b0": None, "b1": 3.0, "c0": 1.0, "c1": 4.0, "d0": float("nan"), "d1": 2.0}
    pairs, drops = BestWorst()(*tables(answers, [score(name, value) for name, value in values.items()]))
    assert pairs.select("prompt", "chosen", "rejected").rows() == [("c", "c1", "c0")]
    assert dict(drops.select("id", "reason").rows()) == {
        "a": "small_margin",
        "b": "missing_scores",
        "d": "missing_scores",
    }


def test_each_way_on_one_example():
    answers = [
        answer("a", "p", "long text here"),
        answer("b", "p", "brief", "n"),
        answer("c", "p", "brief too"),
        answer("d", "p", "trie f"),
    ]
    scores = [score("a", 4.0), score("b", 3.0), score("c", 2.0), score("d", 1.0)]

    def made(way):
        return sorted(way(*tables(answers, scores))[0].select("chosen", "rejected").rows())

    assert made(BestWorst()) == [("a", "d")]
    assert made(BestRandom())[0][0] == "a"
    assert len(made(AllPairs())) == 6
    assert made(AllPairs(min_margin=1.5)) == [("a", "c"), ("a", "d"), ("b", "d")]
    assert made(AllPairs(per_prompt=1, prefer="hard")) == [("a", "b")]
    assert made(AllPairs(per_prompt=1)) == [("a", "d")]
    assert made(ByPolicy(policy="n", wrote="chosen")) == [("b", "d")]
    assert made(ByPolicy(policy="n", wrote="one")) == [("b", "d")]
    assert made(ByPolicy(policy="n", wrote="both")) == []
    assert made(LengthMatched()) == [("b", "d")]


def test_the_random_other_is_uniform():
    answers = [answer(f"{p}-{i}", f"{p}", f"text {i}") for p in range(900) for i in range(4)]
    scores = [score(a.id, 4.0 - int(a.id[-1])) for a in answers]
    pairs, _ = BestRandom()(*tables(answers, scores))
    counts = pairs["rejected"].str.slice(-1).value_counts()["count"]
    assert counts.sum() == 900
    assert counts.min() > 240


@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
def test_a_prompt_s_pairs_do_not_depend_on_its_neighbours(way):
    answers = [answer(f"{p}{i}", p, f"text {i}", "mn"[i % 2]) for p in "abc" for i in range(4)]
    scores = [score(a.id, float(len(a.id) + ord(a.id[-1]) % 3)) for a in answers]
    whole, _ = way(*tables(answers, scores))
    parts = [way(*tables([a for a in answers if a.prompt == p], scores))[0] for p in "abc"]
    assert pl.concat(parts).equals(whole)


def test_two_judges_at_once_are_refused():
    with pytest.raises(ValueError, match="answer a has two scores"):
        BestWorst()(*tables([answer("a", "p", "x")], [score("a", 1.0), score("a", 2.0)]))
