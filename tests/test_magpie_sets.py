"""Magpie's named filters, against a plain reading of table 5 row by row; and the choices where paper and code part."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.magpie_sets import NAMED, MagpieSet, named
from rookery.filters.taggers import DIFFICULTIES, QUALITIES

SCHEMA = {
    "uuid": pl.String, "instruction": pl.String, "raw_instruction": pl.String, "response": pl.String, "input_quality": pl.String,
    "difficulty": pl.String, "task_category": pl.String, "instruct_reward": pl.Float64, "reward_difference": pl.Float64,
    "min_similar_uuid": pl.String, "response_length": pl.Int64,
}  # fmt: skip


def table(*rows):
    fine = {
        "instruction": "Why?", "raw_instruction": "Why? ## Step 1", "response": "## Step 1 So.", "input_quality": "excellent",
        "difficulty": "hard", "task_category": "Math", "instruct_reward": 1.0, "reward_difference": 1.0,
        "min_similar_uuid": None, "response_length": 10,
    }  # fmt: skip
    return pl.DataFrame([{"uuid": str(i), **fine, **row} for i, row in enumerate(rows)], schema=SCHEMA)


rows = st.lists(
    st.fixed_dictionaries({
        "input_quality": st.sampled_from([*QUALITIES, None]),
        "difficulty": st.sampled_from([*DIFFICULTIES, None]),
        "instruct_reward": st.none() | st.sampled_from([-20.0, -12.0, -10.0, -5.0, 3.0, float("nan")]),
        "reward_difference": st.none() | st.sampled_from([-1.0, 0.0, 1.0]),
        "min_similar_uuid": st.none() | st.sampled_from(["0", "1", "2"]),
        "response_length": st.integers(0, 50),
    }),
    max_size=12,
)  # fmt: skip

PLAIN = {  # name -> (qualities, difficulties, reward above, difference above): table 5 and section 7.1, read by hand
    "air": (QUALITIES[3:], DIFFICULTIES[2:], None, 0),
    "pro": (QUALITIES[2:], None, -12, None),
    "pro2": (QUALITIES[3:], DIFFICULTIES[1:], -12, None),
    "pro3": (None, None, -12, None),
    "pro4": (QUALITIES[3:], DIFFICULTIES[1:], None, 0),
    "pro5": (QUALITIES[3:], DIFFICULTIES[1:], -12, None),
    "notebook": (QUALITIES[3:], None, -10, None),
}


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=60, deadline=None)
@given(rows)
def test_the_sets_of_the_paper_are_what_its_table_says(name, made):
    qualities, difficulties, reward, difference = PLAIN[name]
    kept, dropped = named(name)(table(*made))
    wanted = [
        str(i)
        for i, row in enumerate(made)
        if (qualities is None or row["input_quality"] in qualities)
        and (difficulties is None or row["difficulty"] in difficulties)
        and (reward is None or (row["instruct_reward"] is not None and row["instruct_reward"] > reward))
        and (difference is None or (row["reward_difference"] is not None and row["reward_difference"] > difference))
        and row["min_similar_uuid"] in (None, str(i))
    ]
    assert kept["uuid"].to_list() == wanted
    assert sorted([*kept["uuid"], *dropped["uuid"]]) == sorted(str(i) for i in range(len(made)))
    assert dropped["reason"].null_count() == 0


def test_sizes_are_the_papers():
    assert {name: one.longest for name, one in NAMED.items() if name[:3] in ("air", "pro", "not")} == {
        "air": 300_000, "pro": 300_000, "pro2": 300_000, "pro3": 300_000, "pro4": 300_000, "pro5": None, "pro6": 200_000,
        "notebook": 300_000,
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(1, 8))
def test_the_length_cut_is_last_and_takes_the_longest(made, budget):
    everything, _ = MagpieSet(reward=-12.0)(table(*made))
    cut, dropped = MagpieSet(reward=-12.0, longest=budget)(table(*made))
    assert cut.height == min(budget, everything.height)
    assert sorted(cut["response_length"]) == sorted(everything["response_length"])[-cut.height :] or not cut.height
    assert cut["uuid"].is_sorted() or cut.height
    assert (dropped["reason"] == "not_among_longest").sum() == everything.height - cut.height


def test_pro6_is_half_easy_and_half_above():
    made = [
        {"difficulty": label, "response_length": i} for i, label in enumerate(["easy"] * 5 + ["hard", "medium", "very easy"])
    ]
    kept, dropped = named("pro6").model_copy(update={"longest": 6})(table(*made))
    assert sorted(kept["difficulty"]) == ["easy", "easy", "hard", "medium"]
    assert kept["uuid"].to_list() == ["3", "4", "5", "6"]
    assert dropped.filter(pl.col("uuid") == "7")["reason"].item() == "difficulty"


def test_of_a_neighbourhood_the_first_stays():
    kept, dropped = MagpieSet()(table({"min_similar_uuid": "0"}, {"min_similar_uuid": "0"}, {}))
    assert kept["uuid"].to_list() == ["0", "2"]
    assert dropped["reason"].to_list() == ["near_duplicate"]


def test_labels_may_be_written_in_any_case():
    kept, _ = named("notebook")(table({"input_quality": "Excellent"}, {"input_quality": "GOOD"}))
    assert kept.height == 2


def test_the_notebook_drops_announcements():
    assert named("notebook")(table({"instruction": "Do this:"}))[1]["reason"].to_list() == ["ends_with_colon"]


def test_line_ends_are_allowed_in_code():
    long = "a\nb\nc\nd\ne\nf"
    kept, dropped = named("llama-3.3-500k")(
        table({"instruction": long}, {"instruction": long, "task_category": "Coding & Debugging"}, {"task_category": None})
    )
    assert kept["uuid"].to_list() == ["1", "2"]
    assert dropped["reason"].to_list() == ["too_many_lines"]


def test_reasoning_needs_step_1_on_both_sides():
    kept, _ = named("reasoning")(table({}, {"raw_instruction": "Why?"}, {"response": "So."}, {"raw_instruction": None}))
    assert kept["uuid"].to_list() == ["0"]


def test_an_unknown_set_names_those_there_are():
    with pytest.raises(KeyError, match="air, pro, pro2"):
        named("Air")
