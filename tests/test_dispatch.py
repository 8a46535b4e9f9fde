"""Rows to engines, on a real Ray: every row exactly once, whoever dies; a poisoned row costs itself alone."""

import asyncio
import contextlib
import os
import signal

import pytest

from rookery.flows.cluster import ClusterError, Fleet, TooLarge, Unavailable
from rookery.flows.dispatch import Dispatcher
from rookery.flows.engines.spec import FakeSpec, VllmSpec
from rookery.generators.candidates import Independent
from rookery.schemas.tables import Answer, Chat, Drop, Sampling, Turn

pytestmark = pytest.mark.usefixtures("ray_here")


def chats(count, poisoned=()):
    sampling = Sampling(1.0, 1.0, 9, None)
    texts = [f"question {i}{' POISON' if i in poisoned else ''}" for i in range(count)]
    return [Chat(f"c{i}", [], [Turn("user", text)], "m", "f", "0", sampling, "stop", 1, 1) for i, text in enumerate(texts)]


def spread(spec, rows, step=None, meanwhile=None, say=print):
    """What each row became, by id; fails if a row is delivered twice."""
    done = {}

    def deliver(delivery):
        for name, made in delivery.done:
            assert name not in done, f"{name} was delivered twice"
            done[name] = made

    with Fleet({"main": spec}, None) as fleet:
        pool = fleet.pool("main")
        dispatcher = Dispatcher(step or Independent(k=2), "answer", pool, [], deliver, say=say)

        async def main():
            task = asyncio.create_task(dispatcher.run(rows))
            if meanwhile:
                await meanwhile(pool)
            await task

        asyncio.run(main())
    return done


@pytest.mark.parametrize("actors", [1, 3])
def test_every_row_once_and_the_same_for_any_number_of_actors(actors):
    done = spread(FakeSpec(actors=actors, in_flight=8, cpus=0.1), chats(50))
    assert set(done) == {f"c{i}" for i in range(50)}
    texts = {name: [row.text for row in made] for name, made in done.items()}
    assert texts == {n: [r.text for r in m] for n, m in spread(FakeSpec(in_flight=3, cpus=0.1), chats(50)).items()}


def test_a_poisoned_row_costs_itself_alone():
    done = spread(FakeSpec(in_flight=16, poison="POISON", cpus=0.1), chats(40, poisoned={7}))
    assert set(done) == {f"c{i}" for i in range(40)}
    [drop] = done["c7"]
    assert isinstance(drop, Drop)
    assert (drop.reason, drop.text) == ("engine_died", "user: question 7 POISON")
    assert all(isinstance(row, Answer) for name, made in done.items() if name != "c7" for row in made)


def test_an_engine_that_is_killed_comes_back_and_no_row_is_lost():
    async def kill(pool):
        killed = set()
        while len(killed) < 2:
            await asyncio.sleep(0.3)
            with contextlib.suppress(Unavailable):  # it is on its way back
                life = await pool.actors[0].process.remote()
                if life not in killed:
                    os.kill(life, signal.SIGKILL)
                    killed.add(life)

    done = spread(FakeSpec(in_flight=8, latency_seconds=0.2, cpus=0.1), chats(60), meanwhile=kill)
    assert set(done) == {f"c{i}" for i in range(60)}
    assert all(isinstance(row, Answer) for made in done.values() for row in made)


def test_an_engine_that_always_dies_stops_the_stage():
    with pytest.raises(ClusterError, match="die again and again"):
        spread(FakeSpec(in_flight=8, die_after=1, cpus=0.1), chats(60), step=Independent(k=4))


def test_an_engine_that_stands_still_is_named_shown_and_restarted():
    said = []
    engine = FakeSpec(in_flight=8, hang_after=40, silent_seconds=3.0, cpus=0.1)
    done = spread(engine, chats(60), step=Independent(k=1), say=said.append)
    assert set(done) == {f"c{i}" for i in range(60)}
    assert all(isinstance(row, Answer) for made in done.values() for row in made)
    told = "\n".join(said)
    assert "engine main (fake), actor 0: no token for" in told
    assert "fake.py" in told, "the stack shows where it stands"
    assert "time.sleep(1e9)" in told
    assert "coroutines wait at" in told


def test_an_engine_that_runs_out_of_memory_goes_on_with_fewer_rows():
    said = []
    engine = FakeSpec(in_flight=64, memory_requests=20, latency_seconds=0.02, cpus=0.1)
    done = spread(engine, chats(150), say=said.append)
    assert set(done) == {f"c{i}" for i in range(150)}
    assert all(isinstance(row, Answer) for made in done.values() for row in made)
    assert [message.split()[-4] for message in said] == ["32", "16", "8"]
    assert "out of memory" in said[0]


def test_an_engine_that_never_fits_stops_with_the_remedy():
    with pytest.raises(TooLarge, match="even with one row at once: lower `max_model_len`"):
        spread(FakeSpec(in_flight=2, memory_requests=1, latency_seconds=0.02, cpus=0.1), chats(20))


def test_an_engine_that_cannot_start_says_why():
    with Fleet({"main": VllmSpec(model="/no/such/model", cpus=0.1)}, None) as fleet, pytest.raises(ClusterError) as fault:
        fleet.pool("main").about()
    assert "main" in str(fault.value)


def test_failed_requests_become_rows_with_a_reason():
    done = spread(FakeSpec(in_flight=8, error_share=0.3, cpus=0.1), chats(40))
    made = [row for rows in done.values() for row in rows]
    assert len(made) == 80
    failed = [row for row in made if isinstance(row, Drop)]
    assert 5 < len(failed) < 45
    assert {(row.reason, row.detail) for row in failed} == {("engine_error", "injected fault")}
