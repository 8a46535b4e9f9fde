"""Laws of people's choices: one annotator's pair stays theirs, contexts hold what was preferred, traps are not stepped into."""

import polars as pl
import pytest

from rookery.flows import export
from rookery.generators.community_alignment import SIDES, TURNS, ColumnsMissing, choices, disagreement
from rookery.schemas.tables import Turn


def row(
    name="c1", annotator="ann", preferred=("response_a",), prompts=("Should I move?",), answers=("A", "B", "C", "D"), **more
):
    made = {"conversation_id": name, "annotator_id": annotator, "annotator_country": "India", "assigned_lang": "en", **more}
    for i, which in enumerate(TURNS):
        asked = prompts[i] if i < len(prompts) else None
        made[f"{which}_turn_prompt"] = asked
        made[f"{which}_turn_preferred_response"] = preferred[i] if i < len(preferred) else None
        made[f"{which}_turn_feedback"] = f"because {i}" if asked else None
        for side, text in zip(SIDES, answers, strict=True):
            made[f"{which}_turn_response_{side}"] = (
                f"{i}{text}" if asked and text != "EMPTY STRING" else text if asked else None
            )
    return made


def made(*rows):
    return choices(pl.DataFrame(list(rows), infer_schema_length=None))


def test_three_pairs_to_a_turn_and_the_context_is_what_was_preferred():
    found = made(row(prompts=("One?", "Two?"), preferred=("response_b", "response_d")))
    assert found.preferences.height == 6
    second = next(turns for turns in found.chats["turns"].to_list() if len(turns) == 3)
    assert [Turn(**turn) for turn in second] == [Turn("user", "One?"), Turn("assistant", "0B"), Turn("user", "Two?")]
    pairs, skipped = export.default(found.chats, found.answers, found.preferences)
    assert pairs.height == 6
    assert skipped == {}
    assert {r["chosen"][0]["content"] for r in pairs.iter_rows(named=True)} == {"0B", "1D"}
    assert set(pairs["source"]) == {"annotator:ann"}


def test_annotators_who_differ_are_both_kept_and_share_the_prompt():
    found = made(row("c1", "ann", ("response_a",)), row("c2", "bob", ("response_b",)), row("c3", "cai", ("response_b",)))
    assert found.chats.height == 1
    assert found.answers.height == 4
    assert found.preferences.height == 9
    assert not found.preferences["id"].is_duplicated().any()
    (told,) = disagreement(found.preferences).rows()
    assert told[1:] == (3, pytest.approx(2 / 3))


def test_traps():
    found = made(
        row("c1", answers=("A<|end_of_text|>", "EMPTY STRING", "C", "D<|eot_id|> \n")),
        row("c2", answers=("same", "same", "C", "D")),
        row("c3", preferred=(None,)),
        row("c4", preferred=("response_b",), answers=("A", "EMPTY STRING", "C", "D")),
        row("c5", prompts=("EMPTY STRING",)),
    )
    assert "EMPTY STRING" not in found.answers["text"].to_list()
    assert not found.answers["text"].str.contains(r"<\|eot_id").any()
    assert dict(found.drops.group_by("reason").len().rows()) == {"no_choice": 2, "same_text": 1}
    assert found.preferences.height == 2 + 2
    assert not (found.preferences["chosen"] == found.preferences["rejected"]).any()


def test_a_turn_without_a_choice_ends_the_conversation():
    found = made(row(prompts=("One?", "Two?", "Three?"), preferred=("response_a", None, "response_b")))
    assert found.chats["turns"].list.len().to_list() == [1]
    assert found.drops["id"].to_list() == ["c1/second"]


def test_what_is_known_of_the_annotator_goes_along():
    found = made(row())
    kinds = found.notes.group_by("kind").len().sort("kind")
    assert dict(kinds.rows()) == {"annotator_id": 3, "annotator_country": 3, "assigned_lang": 3, "feedback": 3}
    assert set(found.notes["about"]) == set(found.preferences["id"])


def test_another_table_is_refused():
    with pytest.raises(ColumnsMissing, match="first_turn_prompt"):
        choices(pl.DataFrame({"conversation_id": ["c"], "annotator_id": ["a"]}))
