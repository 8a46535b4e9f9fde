"""A crowded server: it is sent less, nothing is lost, and what cannot be mended by waiting is not waited for."""

import asyncio
import json
import random
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rookery.flows.engines.gate import LONGEST_PAUSE_SECONDS, Gate, pause_seconds
from rookery.flows.engines.spec import EndpointSpec
from rookery.schemas.llm import Decoding
from rookery.schemas.tables import Turn

ANSWER = {
    "id": "x", "object": "chat.completion", "created": 0, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip


class Crowd:
    """How many requests are there at once, how many are refused, and with what to answer the first ones."""

    def __init__(self, room, first=()):
        self.room, self.first = room, list(first)
        self.now = self.most = self.asked = self.refused = 0
        self.lock = threading.Lock()
        self.served = threading.Condition(self.lock)


@contextmanager
def serving(crowd):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            with crowd.lock:
                crowd.asked += 1
                status, code = crowd.first.pop(0) if crowd.first else (200, None)
                if status == 200 and crowd.now >= crowd.room:
                    status, code = 429, "rate_limit_exceeded"
                    crowd.refused += 1
                if status == 200:
                    crowd.now += 1
                    crowd.most = max(crowd.most, crowd.now)
                    crowd.served.wait(0.02)  # the work
                    crowd.now -= 1
            told = ANSWER if status == 200 else {"error": {"message": "no", "code": code, "type": "x"}}
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def asked(url, count, **settings):
    engine = EndpointSpec(url=url, model="m", **settings).build()

    async def all_of_them():
        ask = [engine.chat([Turn("user", f"question {i}")], Decoding(max_tokens=4), i) for i in range(count)]
        return await asyncio.gather(*ask)

    return engine, asyncio.run(all_of_them())


def test_a_crowded_server_is_sent_less_and_nothing_is_lost():
    crowd = Crowd(room=4)
    with serving(crowd) as url:
        engine, replies = asked(url, 120, in_flight=64, retries=12)
    assert {reply.text for reply in replies} == {"yes"}
    assert engine._gate.limit < 24, "the gate has found that 64 at once are too many"
    assert crowd.refused < 120
    assert engine.tokens_out == 120
    assert engine.steps >= crowd.asked  # a call that the crowd at the door kept out counts as a step too


def test_a_server_in_trouble_is_asked_again():
    crowd = Crowd(room=9, first=[(500, None), (503, None), (429, None)])
    with serving(crowd) as url:
        _, [reply] = asked(url, 1, retries=3)
    assert (reply.finish, crowd.asked) == ("stop", 4)


@pytest.mark.parametrize(
    ("fault", "tries"), [((429, "insufficient_quota"), 1), ((401, None), 1), ((400, None), 1), ((500, None), 3)]
)
def test_what_waiting_does_not_mend_is_not_waited_for(fault, tries):
    crowd = Crowd(room=9, first=[fault] * 9)
    with serving(crowd) as url:
        _, [reply] = asked(url, 1, retries=2)
    assert (reply.finish, crowd.asked) == ("error", tries)


def test_a_round_of_refusals_halves_the_gate_once():
    async def rounds():
        gate = Gate(32)
        tickets = [await gate.enter() for _ in range(32)]
        for ticket in tickets:
            gate.refused(ticket)
            gate.leave()
        assert gate.limit == 16
        later = [await gate.enter() for _ in range(16)]
        gate.refused(later[3])
        assert gate.limit == 8
        for _ in range(7):
            gate.leave()
        entered = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        assert not entered.done(), "nine are under way and the gate is eight wide"
        gate.leave()
        gate.leave()
        assert await entered > later[-1]
        for _ in range(10_000):
            gate.answered()
        assert gate.limit == 32

    asyncio.run(rounds())


def test_one_who_is_cancelled_does_not_take_a_place_with_him():
    async def cancelled():
        gate = Gate(1)
        await gate.enter()
        first, second = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.leave()
        first.cancel()
        assert await asyncio.wait_for(second, 5) == 2

    asyncio.run(cancelled())


def test_pauses_grow_with_jitter_and_follow_what_the_server_asks_for():
    chance = random.Random(1)
    for attempt in range(30):
        pauses = [pause_seconds(attempt, 0.0, chance) for _ in range(50)]
        longest = min(LONGEST_PAUSE_SECONDS, 0.5 * 2**attempt)
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
    assert pause_seconds(0, 7.0, chance) == 7.0
