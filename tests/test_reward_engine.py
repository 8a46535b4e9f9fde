"""A reward does not depend on who is scored beside it: vLLM pools each row by itself, without padding."""

import asyncio

import pytest

from rookery.bench.trl_preparation import save_tiny
from rookery.filters.reward import RewardModel
from rookery.flows.engines.spec import VllmSpec
from rookery.schemas.tables import Chat, Sampling, Turn

pytestmark = pytest.mark.proof


def ended(name, text):
    turns = [Turn("user", "hm?"), Turn("assistant", text)]
    return Chat(name, [], turns, "m", "m", "r", Sampling(1, 1, 9, 0), "stop", 1, 1)


@pytest.fixture(scope="module")
def reward(tmp_path_factory):
    pytest.importorskip("vllm")
    from transformers import AutoConfig, LlamaForSequenceClassification

    folder = save_tiny(str(tmp_path_factory.mktemp("reward")))
    config = AutoConfig.from_pretrained(folder)
    config.update({"num_labels": 1, "hidden_size": 64, "intermediate_size": 64, "initializer_range": 0.5})
    LlamaForSequenceClassification(config).save_pretrained(folder)
    engine = VllmSpec(model=folder, runner="pooling", dtype="float32", enforce_eager=True).build()
    yield engine
    engine.close()


def scored(engine, rows):
    async def every():
        return await asyncio.gather(*(RewardModel()(row, engine) for row in rows))

    return [score.value for made in asyncio.run(every()) for score in made]


def test_a_score_does_not_depend_on_its_batch(reward):
    rows = [ended(str(i), "word " * (1 + 5 * i % 60)) for i in range(24)]
    alone = [scored(reward, [row])[0] for row in rows]
    together, backwards = scored(reward, rows), scored(reward, rows[::-1])[::-1]
    assert together == pytest.approx(alone, abs=1e-4)
    assert backwards == pytest.approx(alone, abs=1e-4)
    assert max(alone) - min(alone) > 0.01
    assert not all(0 <= value <= 1 for value in alone)  # raw, not squashed


def test_a_conversation_beyond_the_window_has_a_reason_and_harms_nobody(reward):
    (long,) = asyncio.run(RewardModel()(ended("long", "x" * 5000), reward))
    assert long.value is None
    assert "tokens" in long.reason
    assert scored(reward, [ended("a", "fine")])[0] is not None
