"""The demo corpus: it speaks every prompt of the project, and learns no prompt by heart."""

import json
from itertools import islice
from random import Random

import pytest

from rookery.data.world import corpus, feedback, freshness, reacting
from rookery.data.world.corpus import MIXES, stream
from rookery.schemas.prompts import names, prompt


def test_the_stream_is_the_same_for_the_same_seed():
    first, second = (list(islice(stream(MIXES["chat"], seed=3), 200)) for _ in range(2))
    assert first == second
    assert first != list(islice(stream(MIXES["chat"], seed=4), 200))


@pytest.mark.parametrize("mix", MIXES)
def test_every_writer_writes(mix):
    for writer in MIXES[mix]:
        for seed in range(20):
            example = writer(Random(seed))
            assert any(piece.weight for piece in example.pieces), example.sort
            assert "{{" not in example.text


def spoken() -> set[str]:
    """The prompts whose fixed words are found in the corpus."""
    texts = [writer(Random(seed)).text for mix in MIXES.values() for writer in mix for seed in range(80)]
    found = set()
    for name in freshness.digests():
        text = prompt(name)
        for slot in names(text):
            text = text.replace("{{" + slot + "}}", "\0")
        longest = max(text.split("\0"), key=len).strip()
        if any(longest in one for one in texts):
            found.add(name)
    return found


def test_the_corpus_holds_every_prompt_that_the_demo_speaks():
    assert set(freshness.digests()) - spoken() == set()


def test_no_prompt_is_learnt_as_a_user_turn():
    for mix in MIXES.values():
        for writer in mix:
            for seed in range(10):
                for piece in writer(Random(seed)).pieces:
                    if piece.weight and "Request:\n" in piece.text:
                        pytest.fail(f"{writer.__name__} learns a prompt: {piece.text[:80]!r}")


def test_feedback_labels_have_known_names_and_one_object_for_each_user_turn():
    rng = Random(0)
    for _ in range(200):
        turns = feedback.conversation(rng)
        labels = json.loads(reacting.labels(turns))
        assert [label["turn"] for label in labels] == list(range(1, len(turns) + 1))
        assert not labels[0]["sat"]
        assert not labels[0]["dsat"]
        for label in labels:
            assert set(label["sat"]) <= set(feedback.SAT)
            assert set(label["dsat"]) <= set(feedback.DSAT)


def test_prompts_are_short_enough_for_a_small_model():
    for name in freshness.digests():
        assert len(prompt(name).split()) <= 110, name


def test_shares_are_of_writers():
    assert all(callable(writer) and share > 0 for mix in (corpus.CHAT, corpus.BASE) for writer, share in mix.items())
