"""Personal data, contamination: examples that a reader can judge, and the laws of a filter."""

from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.privacy import found, luhn, masked, personal
from rookery.filters.rules import partition
from rookery.selectors.decontaminate import contamination, read_evaluations


@pytest.mark.parametrize(
    ("text", "masked_text"),
    [
        ("Write to jane.doe@firm.co.uk today", "Write to <EMAIL> today"),
        ("Write to user@example.com today", "Write to user@example.com today"),
        ("host 8.8.4.4, loopback 127.0.0.1", "host <IP>, loopback 127.0.0.1"),
        ("card 4111 1111 1111 1111 ok", "card <CARD> ok"),
        ("number 4111 1111 1111 1112 fails Luhn", "number 4111 1111 1111 1112 fails Luhn"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN <IBAN>."),
        ("SSN 078-05-1120", "SSN <SSN>"),
        ("call +44 20 7946 0958 now", "call <PHONE> now"),
        ("call (415) 555-2671 now", "call <PHONE> now"),
        ("key AKIAIOSFODNN7EXAMPLE here", "key <KEY> here"),
        ("In 2024, 3 of 10 cost $1,000.50, see version 1.2.3", "In 2024, 3 of 10 cost $1,000.50, see version 1.2.3"),
    ],
)
def test_personal_data(text, masked_text):
    assert masked(text) == masked_text
    frame = pl.DataFrame({"text": [text, None]})
    _, dropped = partition(frame, personal(pl.col("text")))
    assert len(dropped) == 1 + (masked_text != text)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab1234567890.-@ +()", max_size=60))
def test_masking_leaves_nothing_to_find_but_what_it_wrote(text):
    assert all(text[start:end] for _, start, end in found(text))
    spans = found(text)
    assert all(a[2] <= b[1] for a, b in pairwise(spans))


def test_luhn_and_kinds():
    assert luhn("4539 1488 0343 6467")
    assert not luhn("8273 1232 7352 0569")
    assert masked("a@b.org 8.8.8.8", kinds=["ip"]) == "a@b.org <IP>"
    with pytest.raises(ValueError, match="expected some of email"):
        personal(pl.col("x"), kinds=["e-mail"])


ITEM = "If a train leaves Boston at noon and travels at sixty miles per hour, when does it reach New York City?"


def test_contamination_finds_an_item_inside_a_longer_text():
    texts = pl.Series([
        "Please solve: " + ITEM.upper().replace(",", " ;") + " Show your work.",
        "If a train leaves Boston at noon, what is the weather like in Paris on a sunny Sunday afternoon?",
        "Something else entirely, written about birds and stones and rivers.",
        ITEM,
    ])  # fmt: skip
    seen = contamination(
        texts, {"other": pl.Series(["unrelated words in a row that nobody will ever say"]), "maths": pl.Series(["x", ITEM])}
    )
    assert seen.kept_N.tolist() == [False, True, True, False]
    assert seen.evaluation_N.tolist() == ["maths", "", "", "maths"]
    assert seen.item_N.tolist() == [1, -1, -1, 1]
    assert seen.share_N[0] == 1.0
    assert seen.reasons()[:2] == ["contaminated_by_maths", None]


def test_a_short_item_must_be_the_whole_text():
    seen = contamination(pl.Series(["What is it?", "Tell me: what is it? Then go."]), {"tiny": pl.Series(["what is it"])})
    assert seen.kept_N.tolist() == [False, True]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join), max_size=6),
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(" ".join), max_size=4),
    st.integers(1, 3),
)
def test_contamination_equals_its_definition(texts, items, words):
    def grams(text):
        tokens = text.split()
        return {tuple(tokens[i : i + words]) for i in range(max(1, len(tokens) - words + 1))}

    seen = contamination(pl.Series(texts, dtype=pl.String), {"e": pl.Series(items, dtype=pl.String)}, words=words)
    for row, text in enumerate(texts):
        shares = [len(grams(text) & grams(item)) / len(grams(item)) for item in items]
        assert seen.share_N[row] == pytest.approx(max(shares, default=0))
        assert seen.kept_N[row] == (max(shares, default=0) <= 0.5)


def test_evaluations_are_read_from_a_folder(tmp_path):
    pl.DataFrame({"id": [1], "question": ["Why?"]}).write_parquet(tmp_path / "gsm.parquet")
    (tmp_path / "deep").mkdir()
    pl.DataFrame({"prompt": ["How?"], "answer": ["so"]}).write_ndjson(tmp_path / "deep" / "arena.jsonl")
    assert {name: items.to_list() for name, items in read_evaluations(tmp_path).items()} == {
        "gsm": ["Why?"],
        "deep/arena": ["How?"],
    }
    pl.DataFrame({"n": [1]}).write_parquet(tmp_path / "odd.parquet")
    with pytest.raises(ValueError, match=r"odd\.parquet: expected a text column"):
        read_evaluations(tmp_path)
    with pytest.raises(ValueError, match=r"holds no \.parquet"):
        read_evaluations(tmp_path / "nowhere")
