"""The vLLM engine on the demo model: what the protocol promises, whoever else is in the batch."""

import asyncio
import json
import math

import pytest

from rookery.flows.engines.spec import VllmSpec
from rookery.schemas.llm import Decoding
from rookery.schemas.tables import Turn

QUESTION = [Turn("user", "What is 8 + 2?")]
SHORT = Decoding(temperature=0.8, max_tokens=24)


@pytest.fixture(scope="module")
def engine(demo_chat):
    engine = VllmSpec(model=demo_chat, max_model_len=512, enforce_eager=True).build()
    yield engine
    engine.close()


def ask(*questions):
    async def together():
        return await asyncio.gather(*questions)

    return asyncio.run(together())


def test_a_reply_says_what_it_cost_and_why_it_ended(engine):
    [reply, cut] = ask(engine.chat(QUESTION, SHORT, 1), engine.chat(QUESTION, Decoding(max_tokens=1), 1))
    assert reply.finish == "stop"
    assert reply.text.strip()
    assert 0 < reply.tokens_out <= 24
    assert reply.tokens_in == len(engine.chatter.answer_ids(QUESTION))
    assert (cut.finish, cut.tokens_out) == ("length", 1)


def test_the_user_speaks_when_asked_to(engine):
    said = ask(*(engine.chat([], Decoding(max_tokens=64), seed, speaker="user") for seed in range(20)))
    assert len({reply.text for reply in said}) > 10
    assert not [reply.text for reply in said if "<|" in reply.text or "assistant" in reply.text]


def test_a_seeded_answer_does_not_depend_on_the_batch(engine):
    seeds = range(40)
    together = ask(*(engine.chat(QUESTION, SHORT, seed) for seed in seeds))
    alone = [ask(engine.chat(QUESTION, SHORT, seed))[0] for seed in list(seeds)[:8]]
    assert together[:8] == alone
    assert together == ask(*(engine.chat(QUESTION, SHORT, seed) for seed in seeds))


def test_a_choice_does_not_depend_on_the_batch_and_adds_up(engine):
    asked = [[Turn("user", f"Rate {i} from 1 to 5. Answer with one digit.")] for i in range(30)]
    together = ask(*(engine.choose(turns, list("12345")) for turns in asked))
    assert together == [ask(engine.choose(turns, list("12345")))[0] for turns in asked]
    for choice in together:
        assert math.isclose(sum(choice.probabilities.values()), 1.0, rel_tol=1e-6)
        assert 0.0 < choice.mass <= 1.0 + 1e-6


def test_a_choice_after_raw_text_is_asked_without_a_template(engine):
    digits = list("123456789")
    rendered = engine.chatter.render(QUESTION, True)
    in_template, raw, bare = ask(*(engine.choose(asked, digits) for asked in (QUESTION, rendered, QUESTION[0].content)))
    assert raw == in_template
    assert bare != in_template


def test_options_that_begin_alike_are_refused(engine):
    with pytest.raises(ValueError, match="do not begin with different tokens"):
        ask(engine.choose(QUESTION, ["A", "A"]))


def test_an_over_long_prompt_fails_alone(engine):
    long = [Turn("user", "apple " * 2000)]
    [bad, good, choice] = ask(engine.chat(long, SHORT, 1), engine.chat(QUESTION, SHORT, 1), engine.choose(long, ["A", "B"]))
    assert bad.finish == "error"
    assert "chat takes 511" in bad.error
    assert good.finish == "stop"
    assert choice.finish == "error"


def test_a_schema_is_obeyed(engine):
    schema = {
        "type": "object",
        "properties": {"difficulty": {"type": "string", "enum": ["easy", "hard"]}},
        "required": ["difficulty"],
        "additionalProperties": False,
    }
    replies = ask(*(engine.chat(QUESTION, Decoding(max_tokens=64), seed, schema) for seed in range(8)))
    assert all(json.loads(reply.text)["difficulty"] in {"easy", "hard"} for reply in replies)


def test_raw_text_and_token_ids_are_continued(engine):
    ids = engine.chatter.answer_ids(QUESTION)
    [by_ids, by_chat] = ask(engine.complete(ids, SHORT, 5), engine.chat(QUESTION, SHORT, 5))
    assert by_ids.text == by_chat.text
    assert ask(engine.complete("The river", SHORT, 1))[0].tokens_out > 0


def test_a_generator_gives_no_reward(engine):
    [reward] = ask(engine.score([*QUESTION, Turn("assistant", "10")]))
    assert reward.finish == "error"
    assert "pooling" in reward.error
