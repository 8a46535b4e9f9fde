"""Laws of the exports: nothing foreign, nothing equal, nothing upside down, and every skipped row counted."""

from dataclasses import fields

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.flows import export
from rookery.schemas.exports import RESERVED, Lesson, Pair, Slate, Thumb
from rookery.schemas.tables import Answer, Chat, Preference, Sampling, Score, Turn, conform, frame

DRAWN = Sampling(0.8, 1.0, 64, 7)
TEXTS = (
    "007",
    "2024-01-01",
    "",
    "  ",
    "none",
    "NaN",
    "naïve 猫 👩‍👩‍👧",
    "a\x00b\u202e\x1b[31m",
    "1e400",
    "x" * 1_000_000,
)


def chat(name, *said):
    turns = [Turn("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(said)]
    return Chat(name, [], turns, "magpie", "m", "r", DRAWN, "stop", 1, 1)


def answer(name, prompt, text, ordinal=0):
    return Answer(name, prompt, ordinal, text, "independent", "m", "r", DRAWN, "stop", 1, 1)


def score(about, value, name="rating", judge="j"):
    return Score(about, name, value, None, judge, None)


def preference(prompt, chosen, rejected, high=2.0, low=1.0):
    return Preference(f"{prompt}{chosen}{rejected}", prompt, chosen, rejected, high, low, high - low, "best_worst")


def tables(chats, answers, rest, row):
    return frame(Chat, chats), frame(Answer, answers), frame(row, rest)


values = st.none() | st.sampled_from([float("nan"), float("inf"), -1.0, 0.0, 1.0, 3.0, 5.0])


@st.composite
def worlds(draw):
    prompts = [chat(f"p{i}", draw(st.sampled_from(TEXTS)), *draw(st.sampled_from([(), ("a",), ("a", "b")]))) for i in range(3)]
    answers = [
        answer(f"a{i}", f"p{draw(st.integers(0, 3))}", draw(st.sampled_from(TEXTS)), i) for i in range(draw(st.integers(0, 6)))
    ]
    return prompts, answers


@settings(max_examples=80, deadline=None)
@given(worlds(), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 6), values, values), max_size=6))
def test_no_pair_is_equal_upside_down_or_foreign(world, wanted):
    prompts, answers = world
    rows = [
        Preference(str(n), f"p{p}", f"a{c}", f"a{r}", high, low, 1.0, "x")
        for n, (p, c, r, high, low) in enumerate(wanted)
        if high is not None and low is not None
    ]
    made, skipped = export.default(*tables(prompts, answers, rows, Preference))
    conform(Pair, made)
    assert made.height + sum(skipped.values()) == len(rows)
    home, text, said = (
        {a.id: a.prompt for a in answers},
        {a.id: a.text for a in answers},
        {c.id: c.turns for c in prompts},
    )
    for row in made.iter_rows(named=True):
        assert row["chosen"] == [{"role": "assistant", "content": text[row["chosen_id"]]}]
        assert row["rejected"] == [{"role": "assistant", "content": text[row["rejected_id"]]}]
        assert row["chosen"] != row["rejected"]
        assert home[row["chosen_id"]] == home[row["rejected_id"]] == row["prompt_id"]
        assert [Turn(**turn) for turn in row["prompt"]] == said[row["prompt_id"]]
        assert row["prompt"][-1]["role"] == "user"
        assert row["score_margin"] == row["score_chosen"] - row["score_rejected"] > 0


@settings(max_examples=60, deadline=None)
@given(worlds(), st.lists(values, min_size=7, max_size=7))
def test_thumbs_and_lessons_account_for_every_answer(world, given_scores):
    prompts, answers = world
    scores = [score(a.id, v) for a, v in zip(answers, given_scores, strict=False)]
    args = tables(prompts, answers, scores, Score)
    value = {s.about: s.value for s in scores}

    thumbs, skipped = export.unpaired(*args, hi=3.0, lo=0.0)
    assert thumbs.height + sum(skipped.values()) == len(answers)
    assert thumbs.schema["label"] == pl.Boolean
    for row in thumbs.iter_rows(named=True):
        assert row["label"] is (value[row["completion_id"]] >= 3.0)
        assert row["label"] or value[row["completion_id"]] <= 0.0

    lessons, skipped = export.sft(*args)
    assert lessons.height + sum(skipped.values()) == len(answers)
    assert not lessons["prompt_id"].is_duplicated().any()
    for row in lessons.iter_rows(named=True):
        rivals = [value[a.id] for a in answers if a.prompt == row["prompt_id"] and a.text.strip()]
        assert row["score"] == max(v for v in rivals if v is not None and abs(v) < float("inf"))
        assert row["messages"][-1]["role"] == "assistant"

    slates, _ = export.candidates(*args)
    assert slates["completions"].list.len().sum() <= len(answers)


def test_candidates_carry_every_score_of_every_judge():
    scores = [score("a", 1.0), score("a", 2.0, judge="k"), score("b", None), score("stranger", 3.0)]
    slates, skipped = export.candidates(
        *tables([chat("p", "hi"), chat("q", "ho")], [answer("a", "p", "x"), answer("b", "p", "y")], scores, Score)
    )
    assert skipped == {"no_answer": 1}
    first, second = slates["completions"][0]
    assert [(s["judge"], s["value"]) for s in first["scores"]] == [("j", 1.0), ("k", 2.0)]
    assert second["scores"] == [{"name": "rating", "judge": "j", "value": None, "label": None}]


def test_every_skip_has_its_reason():
    prompts = [chat("p", "hi"), chat("ends_badly", "hi", "hello")]
    answers = [
        answer("a", "p", "x"),
        answer("b", "p", "y"),
        answer("twin", "p", "x"),
        answer("blank", "p", " "),
        answer("q", "other", "z"),
    ]
    pairs = [
        preference("p", "a", "b"),
        preference("nowhere", "a", "b"),
        preference("ends_badly", "a", "b"),
        preference("p", "a", "lost"),
        preference("p", "a", "q"),
        preference("p", "a", "blank"),
        preference("p", "a", "twin"),
        preference("p", "a", "b", 1.0, 1.0),
    ]
    made, skipped = export.default(*tables(prompts, answers, pairs, Preference))
    assert made["chosen_id"].to_list() == ["a"]
    assert skipped == dict.fromkeys(
        [
            "unknown_prompt",
            "prompt_without_user_turn",
            "unknown_answer",
            "foreign_answer",
            "empty_answer",
            "same_text",
            "no_margin",
        ],
        1,
    )


def test_the_best_answer_teaches_and_ties_go_to_the_smaller_id():
    prompts, answers = [chat("p", "hi")], [answer("b", "p", "x"), answer("a", "p", "y"), answer("c", "p", "z")]
    lessons, skipped = export.sft(*tables(prompts, answers, [score("a", 2.0), score("b", 2.0), score("c", 1.0)], Score))
    assert lessons["answer_id"].to_list() == ["a"]
    assert skipped == {"not_the_best": 2}


def test_two_judges_at_once_are_refused_and_so_are_crossed_thresholds():
    args = tables([chat("p", "hi")], [answer("a", "p", "x")], [score("a", 1.0), score("a", 2.0, judge="k")], Score)
    with pytest.raises(ValueError, match="has two scores"):
        export.sft(*args)
    with pytest.raises(ValueError, match="not below"):
        export.unpaired(*args, hi=1.0, lo=1.0)


def test_an_id_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="answer a stands in the table 2 times"):
        export.default(*tables([chat("p", "hi")], [answer("a", "p", "x")] * 2, [], Preference))


@pytest.mark.parametrize("row", [Pair, Thumb, Lesson, Slate])
def test_no_column_is_one_that_a_trainer_takes_for_its_own(row):
    assert not RESERVED & {field.name for field in fields(row)}
