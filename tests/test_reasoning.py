"""What a thinking model says to itself is told apart from what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.schemas.reasoning import MARKS, leaks, separate


@pytest.mark.parametrize(("start", "end"), MARKS)
def test_reasoning_between_marks_is_taken_out(start, end):
    assert separate(f"{start}\nSeven has no divisors.\n{end}\n\nYes.") == ("Seven has no divisors.", "Yes.")
    assert separate(f"Seven has no divisors.\n{end}\n\nYes.", opened=True) == ("Seven has no divisors.", "Yes.")


@pytest.mark.parametrize(("start", "end"), MARKS)
def test_reasoning_that_was_never_closed_leaves_nothing_said(start, end):
    assert separate(f"{start}Hm, let me") == ("Hm, let me", "")
    assert separate("Hm, let me", opened=True) == ("Hm, let me", "")


def test_the_no_think_form_has_no_reasoning():
    assert separate("<think>\n\n</think>\n\nYes.") == ("", "Yes.")


def test_marks_that_are_spoken_of_are_left_alone():
    text = "Qwen3 writes <think> before it answers and </think> after."
    assert separate(text) == ("", text)
    assert leaks(text)


def test_of_harmony_only_the_final_channel_is_said():
    text = "<|channel|>analysis<|message|>They greet.<|end|><|start|>assistant<|channel|>final<|message|>Hello!"
    assert separate(text) == ("They greet.", "Hello!")
    assert separate("<|channel|>analysis<|message|>They greet") == ("They greet", "")
    assert leaks(text)


@given(st.text(alphabet="abc <>/|\n", max_size=60))
def test_a_text_without_marks_is_said_as_it_stands(text):
    assert leaks(text) or separate(text) == ("", text)
