"""The nouns: a frame of rows gives the rows back, and what is no table of ours is refused with every fault."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.schemas.digest import digest, seed_of
from rookery.schemas.tables import TABLES, Chat, Drop, Sampling, Score, Turn, columns, conform, frame, rows, schema

words = st.text(max_size=40)
turns = st.lists(st.builds(Turn, words, words), max_size=3)
sampling = st.builds(Sampling, st.floats(0, 2), st.floats(0, 1), st.integers(1, 9999), st.none() | st.integers(0, 2**63 - 1))
chats = st.builds(
    Chat,
    words,
    st.lists(words, max_size=2),
    turns,
    words,
    words,
    words,
    sampling,
    words,
    st.integers(0, 99),
    st.integers(0, 99),
)


@given(st.lists(chats, max_size=5))
def test_rows_survive_a_frame(made):
    assert rows(Chat, frame(Chat, made)) == made


@given(made=st.lists(chats, min_size=1, max_size=3))
def test_rows_survive_parquet(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("parquet") / "chat.parquet"
    frame(Chat, made).write_parquet(path)
    assert rows(Chat, pl.read_parquet(path)) == made


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_column_has_a_sentence_and_no_rows_still_have_columns(table):
    assert list(columns(table)) == list(schema(table)) == frame(table, []).columns
    assert all(sentence.strip() for sentence in columns(table).values())


def test_conform_names_every_fault():
    wrong = pl.DataFrame({"id": [1], "stage": ["x"], "surprise": [0]})
    with pytest.raises(TypeError, match="id: Int64, expected String") as fault:
        conform(Drop, wrong)
    assert "reason: missing" in str(fault.value)
    assert "surprise: not a column of Drop" in str(fault.value)


def test_conform_puts_columns_in_order_and_casts_nothing():
    table = frame(Score, [Score("a", "n", 1.0, None, "j", None)])
    assert conform(Score, table.select(reversed(table.columns))).equals(table)


@given(st.lists(st.text() | st.integers() | st.booleans(), max_size=4), st.lists(st.text() | st.integers(), max_size=4))
def test_digests_differ_when_parts_do(a, b):
    assert (digest(*a) == digest(*b)) == (repr(a) == repr(b))
    assert 0 <= seed_of(*a) < 2**63
