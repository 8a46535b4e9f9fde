"""Laws of the rules: nothing is lost, more rules never keep more, what cannot be judged goes."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters import rules
from rookery.filters.rules import partition

TEXT = pl.col("text")
ALL = (
    rules.empty(TEXT),
    rules.too_short(TEXT, chars=4),
    rules.too_long(TEXT, chars=400),
    rules.too_few_words(TEXT, words=2),
    rules.too_many_lines(TEXT, newlines=4),
    rules.ends_with_colon(TEXT),
    rules.leaked_template(TEXT),
    rules.role_leak(TEXT),
    rules.refusal(TEXT),
    rules.repetition(TEXT),
    rules.symbol_ratio(TEXT),
    rules.language_mix(TEXT),
    rules.below(TEXT.str.len_bytes().cast(pl.Float64), least=3, name="few_bytes"),
    rules.not_among(TEXT, allowed=["good", "excellent"], name="quality"),
)
texts = st.lists(st.none() | st.text(max_size=80) | st.sampled_from(["la la " * 30, "a: b:", "<|eot_id|>"]), max_size=8)


def breaks(expression: pl.Expr, text: str | None) -> bool:
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    return frame.select(expression.is_not_null()).item()


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(st.integers(0, len(ALL) - 1), max_size=5))
def test_kept_and_dropped_together_are_the_input(values, chosen):
    frame = pl.DataFrame({"id": range(len(values)), "text": values}, schema={"id": pl.Int64, "text": pl.String})
    kept, dropped = partition(frame, *(ALL[i] for i in chosen))
    assert pl.concat([kept, dropped.drop("reason")]).sort("id").equals(frame)
    assert dropped["reason"].null_count() == 0
    assert kept["id"].is_sorted()


@settings(max_examples=100, deadline=None)
@given(texts, st.integers(0, len(ALL) - 1), st.lists(st.integers(0, len(ALL) - 1), max_size=4))
def test_adding_a_rule_never_enlarges_what_is_kept(values, one, others):
    frame = pl.DataFrame({"id": range(len(values)), "text": values}, schema={"id": pl.Int64, "text": pl.String})
    fewer, _ = partition(frame, *(ALL[i] for i in others))
    more, _ = partition(frame, ALL[one], *(ALL[i] for i in others))
    assert set(more["id"]) <= set(fewer["id"])


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(0, 8))
def test_a_table_may_be_cut_anywhere(values, cut):
    frame = pl.DataFrame({"text": values}, schema={"text": pl.String})
    whole, _ = partition(frame, *ALL[:-1])
    parts = pl.concat([partition(part, *ALL[:-1])[0] for part in (frame[:cut], frame[cut:])])
    assert whole.equals(parts)


@pytest.mark.parametrize("expression", ALL, ids=range(len(ALL)))
def test_what_cannot_be_judged_is_dropped(expression):
    assert breaks(expression, None)


def test_cut_off_takes_everything_that_did_not_stop():
    frame = pl.DataFrame({"finish": ["stop", "length", "error", None]})
    kept, dropped = partition(frame, rules.cut_off())
    assert kept["finish"].to_list() == ["stop"]
    assert dropped["reason"].to_list() == ["cut_off"] * 3


def test_the_first_broken_rule_is_the_reason():
    frame = pl.DataFrame({"text": ["", "ok", "fine then"]})
    _, dropped = partition(frame, rules.empty(TEXT), rules.too_short(TEXT, chars=3))
    assert dropped["reason"].to_list() == ["empty", "too_short"]
    assert rules.funnel(dropped).rows() == [("empty", 1), ("too_short", 1)]


def test_no_rule_keeps_all_and_a_reason_is_not_overwritten():
    frame = pl.DataFrame({"text": ["a", None]})
    kept, dropped = partition(frame)
    assert kept.equals(frame)
    assert dropped.columns == ["text", "reason"]
    with pytest.raises(ValueError, match="rename it"):
        partition(dropped, rules.empty(TEXT))


@pytest.mark.parametrize(
    ("expression", "text", "broken"),
    [
        (rules.empty(TEXT), " \n\t", True),
        (rules.empty(TEXT), ".", False),
        (rules.too_short(TEXT, chars=3), "  ab  ", True),
        (rules.too_short(TEXT, chars=2), "ab", False),
        (rules.ends_with_colon(TEXT), "Translate the following text: \n", True),
        (rules.ends_with_colon(TEXT), "请翻译：", True),
        (rules.ends_with_colon(TEXT), "What is 3:2?", False),
        (rules.leaked_template(TEXT), "Sure.<|eot_id|><|start_header_id|>", True),
        (rules.leaked_template(TEXT), "hello [/INST] hi", True),
        (rules.leaked_template(TEXT), "<｜User｜>", True),
        (rules.leaked_template(TEXT), "a <b> b, x < 3 | y > 4", False),
        (rules.role_leak(TEXT), "What is 2+2?\nAssistant: 4", True),
        (rules.role_leak(TEXT), "What is 2+2?\n\nassistant\n\n4", True),
        (rules.role_leak(TEXT), "### Response:\nfour", True),
        (rules.role_leak(TEXT), "Ask your assistant: she knows.", False),
        (rules.role_leak(TEXT), "the user manual", False),
        (rules.refusal(TEXT), "I'm sorry, but I can't help with that.", True),
        (rules.refusal(TEXT), "As an AI language model, I have no feelings.", True),
        (rules.refusal(TEXT), "I cannot assist with this request.", True),
        (rules.refusal(TEXT), "I can't wait to show you this recipe!", False),
        (rules.refusal(TEXT), "Sorry to hear that! Try turning it off and on.", False),
        (rules.refusal(TEXT), "The phrase 'I cannot' is a refusal.", False),
        (rules.repetition(TEXT), "the cat sat on the mat " * 12, True),
        (rules.repetition(TEXT), "ab" * 200, True),
        (rules.repetition(TEXT), "我喜欢猫" * 20, True),
        (rules.repetition(TEXT), " ".join(f"word{i}" for i in range(200)), False),
        (rules.repetition(TEXT), "no no no no", False),
        (rules.symbol_ratio(TEXT), "$$$ ### @@@ a", True),
        (rules.symbol_ratio(TEXT), "It's 5 o'clock, isn't it?", False),
        (rules.symbol_ratio(TEXT), "नमस्ते दुनिया", False),
        (
            rules.language_mix(TEXT),
            "The answer to this is short. 但是我现在开始用中文来回答你的这个问题因为我可以",
            True,
        ),
        (rules.language_mix(TEXT), "ひらがなとカタカナと漢字を使って日本語を書きます、それは普通のことです。", False),
        (rules.language_mix(TEXT), "The word 猫 means cat.", False),
        (rules.below(TEXT.cast(pl.Float64, strict=False), least=3, name="low"), "2.5", True),
        (rules.below(TEXT.cast(pl.Float64, strict=False), least=3, name="low"), "nan", True),
        (rules.below(TEXT.cast(pl.Float64, strict=False), least=3, name="low"), "3", False),
    ],
)
def test_examples_a_reader_can_judge(expression, text, broken):
    assert breaks(expression, text) is broken
