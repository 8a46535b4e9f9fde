"""Laws of spreading answers: k of each prompt, less alike than they were, and never another prompt's business."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.schemas.tables import Answer, Sampling, Score, Vector, frame
from rookery.selectors.answers import likeness, spread

DRAWN = Sampling(0.8, 1.0, 64, 7)


def answer(name, prompt, text):
    return Answer(name, prompt, 0, text, "independent", "m", "r", DRAWN, "stop", 1, 1)


def pool(prompts, each, width=16, seed=0):
    rng = np.random.default_rng(seed)
    answers = [answer(f"{p}-{i:02}", p, f"{p} {i}") for p in prompts for i in range(each)]
    near = rng.normal(size=(len(answers), width)) + 1.5  # all lean one way, as samples of one model do
    vectors = [Vector(a.id, "e", (v / np.linalg.norm(v)).tolist()) for a, v in zip(answers, near, strict=True)]
    return frame(Answer, answers), frame(Vector, vectors)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_kept_and_dropped_are_the_input_and_each_prompt_has_k(each, k, seed):
    answers, vectors = pool("pq", each, seed=seed)
    kept, dropped = spread(answers, vectors, k=k)
    assert sorted([*kept["id"], *dropped["id"]]) == sorted(answers["id"])
    assert kept.group_by("prompt").len()["len"].to_list() == [min(k, each)] * 2
    assert set(kept["method"]) == {"dpp_of_independent"}
    alone, _ = spread(answers.filter(pl.col("prompt") == "q"), vectors, k=k)
    assert alone.equals(kept.filter(pl.col("prompt") == "q"))


def test_what_is_kept_is_less_alike_than_what_was_drawn():
    answers, vectors = pool("abcdefgh", 24)
    kept, _ = spread(answers, vectors, k=4)
    before, after = likeness(answers, vectors)["cosine"], likeness(kept, vectors)["cosine"]
    assert (after < before).all()
    assert after.mean() < before.mean() - 0.15


def test_copies_and_the_unembedded_are_no_choice():
    answers = frame(Answer, [answer("a", "p", "x"), answer("b", "p", "x "), answer("c", "p", "y"), answer("d", "p", "z")])
    vectors = frame(Vector, [Vector("a", "e", [1.0, 0.0]), Vector("b", "e", [1.0, 0.0]), Vector("c", "e", [1.0, 0.0])])
    kept, dropped = spread(answers, vectors, k=4)
    assert kept["id"].to_list() == ["a"]
    assert dict(dropped.select("id", "reason").rows()) == {"b": "same_text", "c": "alike", "d": "no_vector"}


def test_quality_counts_and_what_has_no_score_is_dropped():
    answers, vectors = pool("p", 12)
    best = answers["id"][7]
    scores = frame(Score, [Score(n, "r", 9.0 if n == best else 0.0, None, "j", None) for n in answers["id"][:11]])
    kept, dropped = spread(answers, vectors, k=3, scores=scores)
    assert kept["id"][0] == best
    assert dropped.filter(pl.col("reason") == "no_score").height == 1


def test_likeness_is_the_mean_cosine_of_pairs():
    answers, vectors = pool("p", 5)
    unit = np.array(vectors["values"].to_list())
    brute = np.mean([unit[i] @ unit[j] for i in range(5) for j in range(i)])
    assert np.isclose(likeness(answers, vectors)["cosine"][0], brute)
