"""BLEU as BLEUBERI has it: the golden values, and what it must refuse."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.bleu import References, bleu, bleu_scores, tokens
from rookery.schemas.tables import Answer, Sampling, frame

# From 13a and nmt's `compute_bleu` with smoothing, run on these very strings.
GOLDEN = [
    ("the cat sat on the mat", ["the cat sat on the mat"], 1.0),
    ("the cat sat on the mat", ["a dog ran in the park"], 0.22089591134157885),
    ("the cat sat on the mat", ["the cat is on the mat", "there is a cat on the mat"], 0.488923022434901),
    ("hello there general kenobi", ["hello there general kenobi", "hello there!"], 1.0),
    ("hello", ["hello there general kenobi"], 0.049787068367863944),
    ("foo bar foobar baz qux", ["completely different words in here now"], 0.18796001821050234),
    ("The price is $3.50, up 2-3% today.", ["The price is $3.50 today, up 2-3%."], 0.7272454093000141),
    ("The cat", ["the cat"], 0.7598356856515925),
    (
        "one two three four five six seven eight",
        ["one two three four five six seven eight nine ten eleven twelve", "one two"],
        1.0,
    ),
    ("我喜欢猫", ["我喜欢狗"], 0.8408964152537145),
]
words = st.lists(st.sampled_from("a b c the cat sat 3.5 , ! naïve 猫".split()), min_size=1, max_size=12).map(" ".join)


@pytest.mark.parametrize(("candidate", "references", "value"), GOLDEN)
def test_golden_values(candidate, references, value):
    assert bleu(candidate, References.of(references)) == pytest.approx(value, abs=1e-15)


@settings(max_examples=150, deadline=None)
@given(words, st.lists(words, min_size=1, max_size=4))
def test_between_nought_and_one_and_blind_to_the_order_of_references(candidate, references):
    value = bleu(candidate, References.of(references))
    assert 0 < value <= 1 + 1e-12
    assert bleu(candidate, References.of(references[::-1])) == value
    assert bleu(candidate, References.of([candidate])) == pytest.approx(1.0)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_tokens_carry_no_blank_and_any_text_may_be_cut(text):
    assert all(token and not any(c.isspace() for c in token) for token in tokens(text))


def test_tokens_follow_13a():
    assert tokens("It's 3.50, (up) 2-3%\nfoo-bar &quot;x&quot; end-\nless.") == [
        "It's", "3.50", ",", "(", "up", ")", "2", "-", "3", "%", "foo-bar", '"', "x", '"', "endless", "."
    ]  # fmt: skip


def test_what_cannot_be_scored_says_why():
    drawn = Sampling(1.0, 1.0, 8, 0)
    texts = {"a": "the cat sat on the mat", "b": "a cat sat there on a mat", "c": "x", "d": "x", "e": "x", "f": ""}
    homes = {"a": "p", "b": "p", "c": "none", "d": "short", "e": "han", "f": "p"}
    answers = frame(Answer, [Answer(n, homes[n], 0, t, "m", "m", "r", drawn, "stop", 1, 1) for n, t in texts.items()])
    known = {"p": ["the cat sat on the mat"], "none": [], "short": ["a b"], "han": ["我喜欢狗，因为它们很可爱。"]}
    found = {row["about"]: row for row in bleu_scores(answers, known).iter_rows(named=True)}
    assert "copy of a reference" in found["a"]["reason"]
    assert 0 < found["b"]["value"] < 0.9
    assert "no reference" in found["c"]["reason"]
    assert "2 tokens" in found["d"]["reason"]
    assert "without blanks" in found["e"]["reason"]
    assert found["f"]["value"] == 0.0
    assert pl.DataFrame(list(found.values()))["value"].null_count() == 4


def test_no_reference_is_refused():
    with pytest.raises(ValueError, match="needs one with words"):
        References.of(["fine", " "])
