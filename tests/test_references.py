"""Laws of BLEU as a judge: between 0 and 1, blind to the order of references, and a reason wherever there is no number."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.bleu import bleu_nmt_smooth
from rookery.filters.references import bleu_scores
from rookery.schemas.tables import Answer, Sampling, frame

words = st.lists(st.sampled_from("a b c the cat sat 3.5 , ! naïve 猫".split()), min_size=1, max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(words, st.lists(words, min_size=1, max_size=4))
def test_between_nought_and_one_and_blind_to_the_order_of_references(candidate, references):
    value = bleu_nmt_smooth(candidate, references)
    assert 0 < value <= 1 + 1e-12
    assert bleu_nmt_smooth(candidate, references[::-1]) == value
    assert bleu_nmt_smooth(candidate, [candidate]) == pytest.approx(1.0)


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
    assert sum(row["value"] is None for row in found.values()) == 4
