"""Embedding: order, cache, revisions, half-written files; poolings against their definitions; the embedded default."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.selectors.embed import HiddenStates, SentenceEncoder, embed, last_token, weighted_mean


class Letters:
    """An encoder by hand: counts of a, b and c. Remembers what it was asked."""

    dimensions = 3

    def __init__(self, name="letters@1"):
        self.name, self.asked = name, []

    def encode(self, texts):
        self.asked += texts
        return np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float32).reshape(-1, 3)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text("abc", max_size=6), max_size=12), st.lists(st.text("abc", max_size=6), max_size=12))
def test_rows_follow_the_texts_and_each_text_is_encoded_once_ever(tmp_path_factory, first, second):
    cache, encoder = tmp_path_factory.mktemp("cache"), Letters()
    for texts in (first, second, first):
        assert np.array_equal(embed(texts, encoder, cache=cache), Letters().encode(texts))
        assert np.array_equal(embed(texts, Letters()), Letters().encode(texts))
    assert sorted(encoder.asked) == sorted(set(first) | set(second))


def test_texts_go_to_the_encoder_in_order_of_length():
    encoder = Letters()
    embed(["aaa", "b", "cc", ""], encoder)
    assert encoder.asked == ["", "b", "cc", "aaa"]


def test_another_revision_is_another_cache(tmp_path):
    embed(["abc"], Letters(), cache=tmp_path)
    other = Letters("letters@2")
    embed(["abc"], other, cache=tmp_path)
    assert other.asked == ["abc"]


def test_what_a_killed_writer_left_is_cut_off(tmp_path):
    embed(["a", "bb"], Letters(), cache=tmp_path)
    folder = next(path for path in tmp_path.iterdir())
    with (folder / "vectors.f32").open("ab") as vectors:
        vectors.write(b"\0" * 17)  # a vector and a bit, without its key
    encoder = Letters()
    rows = embed(["bb", "ccc", "a"], encoder, cache=tmp_path)
    assert rows.tolist() == [[0, 2, 0], [0, 0, 3], [1, 0, 0]]
    assert encoder.asked == ["ccc"]


def test_a_pool_that_lies_in_order_is_not_copied(tmp_path):
    embed(["a", "b", "c"], Letters(), cache=tmp_path)
    assert isinstance(embed(["b", "c"], Letters(), cache=tmp_path), np.memmap)


def test_poolings_ignore_padding_on_either_side():
    hidden = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    mask = np.array([[1, 1, 0], [0, 1, 1]])
    assert last_token(hidden, mask).tolist() == [[2, 3], [10, 11]]
    assert weighted_mean(hidden, mask)[0] == pytest.approx((hidden[0, 0] + 2 * hidden[0, 1]) / 3)
    assert weighted_mean(hidden, mask)[1] == pytest.approx((hidden[1, 1] + 2 * hidden[1, 2]) / 3)


def test_the_embedded_default_loads_offline_and_knows_what_is_alike():
    encoder = SentenceEncoder(device="cpu")
    assert encoder.dimensions == 384
    rows = embed(["It's dangerous to go alone!", "It's not safe to go alone!", "The cake has three layers of cream."], encoder)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-4)
    assert rows[0] @ rows[1] > 0.8 > 0.3 > rows[0] @ rows[2]
    assert encoder.truncates(["short", "word " * 600]).tolist() == [False, True]


def test_hidden_states_of_a_causal_model(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "<pad>": 1, "a": 2, "b": 3, "c": 4}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", pad_token="<pad>").save_pretrained(tmp_path)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaModel(LlamaConfig(vocab_size=5, **shape)).save_pretrained(tmp_path)

    encoder = HiddenStates(str(tmp_path), max_tokens=4, device="cpu")
    rows = embed(["a b c", "a b c a", "a"], encoder)
    alone = np.concatenate([encoder.encode([text]) for text in ["a b c", "a b c a", "a"]])
    assert rows == pytest.approx(alone, abs=1e-5)
    assert encoder.truncates(["a b c a", "a b c a b"]).tolist() == [False, True]
    assert HiddenStates(str(tmp_path), pooling="weighted_mean", device="cpu").name != encoder.name
    with pytest.raises(ValueError, match="pooling='mean'"):
        HiddenStates(str(tmp_path), pooling="mean")
