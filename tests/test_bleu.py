"""BLEU as BLEUBERI computes it: golden values to the last digit, and the traps."""

import pytest

from rookery.filters.bleu import bleu, bleu_nmt_smooth, characters, tokens_13a

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


@pytest.mark.parametrize(("answer", "references", "value"), GOLDEN)
def test_golden_values(answer, references, value):
    assert bleu_nmt_smooth(answer, references) == pytest.approx(value, abs=1e-15)


def test_text_without_blanks_is_refused_or_cut_into_characters():
    with pytest.raises(ValueError, match="use `characters`"):
        bleu("我喜欢猫", ["我喜欢狗"])
    assert bleu("我喜欢猫", ["我喜欢狗"], tokens=characters) < 0.8
    assert bleu("The word 猫 means cat", ["a cat"]) > 0


def test_guards():
    assert bleu("  ", ["a reference"]) == 0.0
    for references in ([], [" "], ["fine", ""]):
        with pytest.raises(ValueError, match="expected at least one"):
            bleu("answer", references)


def test_13a_tokens():
    assert tokens_13a("It's $3.50, up 2-3%.") == ["It's", "$", "3.50", ",", "up", "2", "-", "3", "%", "."]
    assert tokens_13a("a &amp; b&quot;c&quot;<skipped> hy-\nphen") == ["a", "&", "b", '"', "c", '"', "hyphen"]
