"""Personal data, contamination: examples that a reader can judge, and the laws of a filter."""

from dataclasses import replace
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.privacy import KINDS, found, masked, personal, scrubbed
from rookery.filters.rules import partition
from rookery.schemas.tables import Chat, Sampling, Turn
from rookery.selectors.decontaminate import contamination, read_evaluations

PIECES = [
    "jane.doe@firm.co.uk", "user@example.com", "8.8.4.4", "10.0.0.7", "2606:4700::6810:85e5", "4111 1111 1111 1111", "078-05-1121",
    "DE89 3704 0044 0532 0130 00", "MT84MALT011000012345MTLCAST001S", "+44 20 7946 0958", "(415) 555-2671", "AKIAIOSFODNN7EXAMPLE",
    "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "3.14159", "1,000,000", "::", "<IP_ADDRESS>",
]  # fmt: skip


def rule_drops(text):
    _, dropped = partition(pl.DataFrame({"text": [text]}), personal(pl.col("text")))
    return dropped["reason"].to_list() == ["personal_data"]


@pytest.mark.parametrize(
    ("text", "masked_text"),
    [
        ("Write to jane.doe@firm.co.uk today", "Write to <EMAIL_ADDRESS> today"),
        ("host 8.8.4.4, or 2606:4700::6810:85e5", "host <IP_ADDRESS>, or <IP_ADDRESS>"),
        ("card 4111 1111 1111 1111 ok", "card <CREDIT_CARD> ok"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN <IBAN_CODE>."),
        ("Pay to DE89370400440532013000", "Pay to <IBAN_CODE>"),
        ("SSN 219-09-9999", "SSN <US_SSN>"),
        ("call +44 20 7946 0958 now", "call <PHONE_NUMBER> now"),
        ("Call +1 415 555 2671, (415) 555-2671 or 415-555-2671.", "Call <PHONE_NUMBER>, <PHONE_NUMBER> or <PHONE_NUMBER>."),
        ("to 1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "to <CRYPTO>"),
        ("key AKIAIOSFODNN7EXAMPLE here", "key <ACCESS_KEY> here"),
    ],
)
def test_personal_data_goes(text, masked_text):
    assert masked(text) == masked_text
    assert rule_drops(text)


@pytest.mark.parametrize(
    "text",
    [
        "Write to user@example.com or me@yourdomain.com",
        "loopback 127.0.0.1, printer 192.168.0.1, mask 255.255.255.0, documented 192.0.2.7 and fe80::1",
        "number 4111 1111 1111 1112 fails Luhn",
        "DE88370400440532013000 fails its checksum",
        "In 2024, 3 of 10 cost $1,000.50, see version 1.2.3",
        "12 times 34 is 408; on 2024-05-06; pi is 3.14159; 1,000,000 people",
        "Sort 3, 41, 5, 92, 6 and 53.",
        "akiaiosfodnn7example in lower case is no key",
    ],
)
def test_what_identifies_nobody_stays(text):
    assert masked(text) == text
    assert not rule_drops(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(alphabet="ab1234567890.-@ +():X", max_size=12), max_size=5).map(" ".join))
def test_the_rule_finds_what_masking_replaces_and_pieces_do_not_overlap(text):
    pieces = found(text)
    assert rule_drops(text) == bool(pieces)
    assert all(text[start:end] for _, start, end in pieces)
    assert all(one[2] <= other[1] for one, other in pairwise(pieces))


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=80))
def test_masking_twice_changes_nothing_more(text):
    once = masked(f"{text} a@b.org")
    assert masked(once) == once


def test_a_scrubbed_chat_says_what_was_found():
    turns = [Turn("user", "I am a@b.org"), Turn("assistant", "Hello a@b.org")]
    logged = Chat("c", [], turns, "log", "m", "0", Sampling(1.0, 1.0, 8, None), "stop", 0, 0)
    chat, counts = scrubbed(logged)
    assert [turn.content for turn in chat.turns] == ["I am <EMAIL_ADDRESS>", "Hello <EMAIL_ADDRESS>"]
    assert counts == {"EMAIL_ADDRESS": 2}
    assert scrubbed(replace(logged, turns=[Turn("user", "Hi")])) == (replace(logged, turns=[Turn("user", "Hi")]), {})


def test_kinds_may_be_chosen_and_a_row_without_text_cannot_be_judged():
    assert masked("a@b.org 8.8.8.8", kinds=["IP_ADDRESS"]) == "a@b.org <IP_ADDRESS>"
    _, dropped = partition(pl.DataFrame({"text": [None, "fine"]}, schema={"text": pl.String}), personal(pl.col("text")))
    assert dropped.height == 1
    with pytest.raises(ValueError, match=f"kinds: e-mail; expected some of {KINDS[0]}"):
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
