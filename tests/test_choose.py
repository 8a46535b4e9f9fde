"""Prompts worth answering: levels, languages, and quotas that are filled as far as the pool allows."""

from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.choose import Choose, fill_quotas
from rookery.schemas.digest import digest
from rookery.schemas.tables import Chat, Sampling, Score, Turn, frame


def pool(*tags):
    """Prompts with (difficulty, quality, category); None is a tag that could not be read."""
    names = [digest("prompt", i) for i in range(len(tags))]
    chats = [Chat(n, [], [Turn("user", "?")], "magpie", "m", "r", Sampling(1.0, 1.0, 9, 1), "stop", 1, 1) for n in names]
    kinds = ("difficulty", "input_quality", "task_category")
    scores = [
        Score(name, kind, None, label, "tagger", None if label else "no JSON")
        for name, row in zip(names, tags, strict=True)
        for kind, label in zip(kinds, row, strict=True)
    ]
    return frame(Chat, chats), frame(Score, scores)


def test_levels_are_reached_or_the_row_goes_with_the_tag_as_its_reason():
    prompts, scores = pool(("hard", "good", "Math"), ("easy", "good", "Math"), ("hard", "poor", "Math"), (None, "good", "Math"))
    kept, dropped = Choose(difficulty="medium", quality="good")(prompts, scores)
    assert kept["id"].to_list() == [prompts["id"][0]]
    assert dict(zip(dropped["id"], dropped["reason"], strict=True)) == {
        prompts["id"][1]: "difficulty", prompts["id"][2]: "input_quality", prompts["id"][3]: "difficulty",
    }  # fmt: skip


def test_without_any_wish_everything_stays():
    prompts, scores = pool(("hard", "good", "Math"), (None, None, None))
    kept, dropped = Choose()(prompts, scores[:0])
    assert kept.equals(prompts)
    assert dropped.height == 0


def test_a_tag_that_nobody_gave_drops_the_row():
    prompts, scores = pool(("hard", "good", "Math"))
    assert Choose(languages=("EN",))(prompts, scores)[1]["reason"].to_list() == ["language"]


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["Math", "Editing", "Planning"]), st.floats(0.1, 9), min_size=1),
    st.dictionaries(st.sampled_from(["Math", "Editing", "Planning", "Others"]), st.integers(0, 30)),
    st.integers(0, 60),
)
def test_quotas_take_what_there_is_and_no_more(shares, sizes, rows):
    taken = fill_quotas(shares, sizes, rows)
    assert sum(taken.values()) == min(rows, sum(sizes.get(name, 0) for name in shares))
    assert all(0 <= count <= sizes.get(name, 0) for name, count in taken.items())


def test_a_small_category_leaves_its_rest_to_the_others():
    assert fill_quotas({"Math": 1, "Editing": 1}, {"Math": 2, "Editing": 50}, 20) == {"Math": 2, "Editing": 18}
    assert fill_quotas({"Math": 3, "Editing": 1}, {"Math": 50, "Editing": 50}, 20) == {"Math": 15, "Editing": 5}


def test_the_draw_is_balanced_and_does_not_depend_on_the_order():
    prompts, scores = pool(*[("hard", "good", category) for category in ["Math"] * 30 + ["Editing"] * 10 + ["Others"] * 5])
    choose = Choose(rows=12, shares={"Math": 1, "Editing": 1})
    kept, dropped = choose(prompts, scores)
    labels = kept.join(scores.filter(pl.col("name") == "task_category"), left_on="id", right_on="about")["label"]
    assert Counter(labels) == {"Math": 6, "Editing": 6}
    assert Counter(dropped["reason"]) == {"over_quota": 28, "task_category": 5}
    assert set(choose(prompts.reverse(), scores)[0]["id"]) == set(kept["id"])
