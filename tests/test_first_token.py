"""A ban on the first token: it holds there and nowhere else, and costs nothing when there is nothing to ban."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.flows.engines.first_token import Drawn, draw_without
from rookery.schemas.llm import Decoding

END = 0
asked = []


async def toy(prompt_ids, decoding, seed, bias):
    """A model of eight tokens, whose distribution depends on nothing. Token 0 ends the text."""
    asked.append((tuple(prompt_ids), decoding.max_tokens, seed))
    source, ids = random.Random(seed), []
    while len(ids) < decoding.max_tokens:
        weights = [0.0 if bias.get(t, 0.0) <= -100 else 1.0 + 5.0 * (t == 3) for t in range(8)]
        token = source.choices(range(8), weights)[0]
        if token == END:
            return Drawn(decode(ids), tuple(ids), True, len(prompt_ids), len(ids) + 1)
        ids.append(token)
    return Drawn(decode(ids), tuple(ids), False, len(prompt_ids), len(ids))


def decode(ids):
    return "".join("_abcdefg"[t] for t in ids)


def drawn(banned, seed, max_tokens=12):
    asked.clear()
    return asyncio.run(draw_without(banned, toy, decode, [9, 9], Decoding(max_tokens=max_tokens), seed))


@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(1, 6), min_size=1), st.integers(0, 1 << 62), st.integers(1, 12))
def test_the_first_token_is_never_a_banned_one_and_the_text_keeps_its_limit(banned, seed, limit):
    made = drawn(sorted(banned), seed, limit)
    assert not made.token_ids or made.token_ids[0] not in banned
    assert len(made.token_ids) <= limit
    assert made.text == decode(made.token_ids)
    assert made.tokens_in == 2
    assert made == drawn(sorted(banned), seed, limit)


def test_later_tokens_are_free():
    texts = [drawn([3], seed).text for seed in range(200)]
    assert not any(text.startswith("c") for text in texts)
    assert sum("c" in text for text in texts) > 100


def test_the_second_token_does_not_meet_the_noise_of_the_first():
    twice = sum(len(t) > 1 and t[0] == t[1] for t in (drawn([3], seed).text for seed in range(600)))
    assert twice < 120  # one in seven at most by chance; under one seed every draw would repeat itself
    first, rest = asked[-2:] if len(asked) > 1 else (asked[-1], (None, None, -1))
    assert first[2] != rest[2]


def test_without_a_ban_there_is_one_request():
    drawn([], 5)
    assert len(asked) == 1


def test_a_turn_that_is_closed_at_once_asks_no_second_time():
    empty = next(seed for seed in range(500) if drawn([3], seed).text == "")
    drawn([3], empty)
    assert len(asked) == 1
