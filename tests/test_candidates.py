"""Laws of independent candidates: the first k of a larger draw are a draw of k, and temperatures take turns."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.flows.engines.spec import FakeSpec
from rookery.generators.candidates import Independent
from rookery.schemas.tables import Answer, Chat, Drop, Sampling, Turn

PROMPT = Chat("p", [], [Turn("user", "hm?")], "m", "m", "r", Sampling(1, 1, 9, 0), "stop", 1, 1)


def drawn(step, share=0.0):
    return asyncio.run(step(PROMPT, FakeSpec(error_share=share).build()))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 6))
def test_the_first_of_a_larger_draw_are_the_smaller_draw(k, more):
    few, many = drawn(Independent(k=k)), drawn(Independent(k=k + more))
    assert [a.text for a in many[:k]] == [a.text for a in few]
    assert len({a.id for a in many}) == k + more


def test_temperatures_take_turns_and_stand_beside_the_text():
    made = drawn(Independent(k=5, temperatures=(0.2, 1.0)))
    assert [a.sampling.temperature for a in made] == [0.2, 1.0, 0.2, 1.0, 0.2]
    assert [a.sampling.temperature for a in drawn(Independent(k=2))] == [0.8, 0.8]


def test_a_failure_is_dropped_with_its_reason_and_the_others_stay():
    made = drawn(Independent(k=40), share=0.4)
    kept, lost = ([row for row in made if isinstance(row, kind)] for kind in (Answer, Drop))
    assert len(kept) + len(lost) == 40
    assert kept
    assert {row.reason for row in lost} == {"engine_error"}
