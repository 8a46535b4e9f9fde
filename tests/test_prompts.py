"""Prompts: strict filling, values that are never read as templates, and one golden rendering each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.schemas.prompts import fill, names, prompt


@given(st.text(), st.text())
def test_values_are_put_in_once_and_nothing_else_is_touched(a, b):
    assert fill("<{{a}}|{{ b }}|{{a}}> \n", a=a, b=b) == f"<{a}|{b}|{a}> \n"


def test_missing_and_unused_names_are_both_refused():
    with pytest.raises(ValueError, match=r"missing \['b'\], unused \['c'\]"):
        fill("{{a}} {{b}}", a="1", c="2")


def test_a_value_with_braces_is_only_a_value():
    assert fill("{{a}}", a="{{b}} {x} $y") == "{{b}} {x} $y"


def test_an_unknown_prompt_names_its_neighbours():
    with pytest.raises(FileNotFoundError, match="judge/pointwise"):
        prompt("judge/pointwize")


def test_the_pointwise_judge_asks_for_one_digit():
    text = prompt("judge/pointwise")
    assert names(text) == {"instruction", "response"}
    rendered = fill(text, instruction="Add 2 and 3.", response="5")
    assert "Add 2 and 3." in rendered
    assert "digit" in rendered
