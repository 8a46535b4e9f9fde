"""The demo checkpoints: they fit the prompts and the size they promise, and training computes what inference computes."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from rookery.data.world import freshness
from rookery.data.world.freshness import DEMO
from rookery.data.world.tokens import END, START

CHECKPOINTS = tuple(name for name in ("chat", "base", "reward") if (DEMO / name).is_dir())  # those that ship


def test_the_weights_know_the_prompts():
    assert freshness.stale() == [], (
        "these prompts have changed since the demo models were trained; run `python -m rookery.data.world.train chat`"
    )


def test_the_checkpoints_are_small():
    assert "chat" in CHECKPOINTS
    sizes = [(DEMO / name / "model.safetensors").stat().st_size for name in CHECKPOINTS]
    assert max(sizes) < 10_000_000
    assert sum(sizes) < 25_000_000


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(DEMO / "chat")


def test_digits_and_letters_are_single_tokens(tokenizer):
    for one in "0123456789ABCD":
        assert len(tokenizer.encode(one, add_special_tokens=False)) == 1
    assert len(tokenizer.encode("1987", add_special_tokens=False)) == 4


def test_the_chat_template_is_chatml_without_a_system_message_of_its_own(tokenizer):
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == f"{START}user\nHi{END}\n{START}assistant\nHello{END}\n"
    opened = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    assert opened == f"{START}user\nHi{END}\n{START}assistant\n"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_checkpoints_share_one_tokenizer():
    texts = {(DEMO / name / "tokenizer.json").read_text() for name in CHECKPOINTS}
    assert len(texts) == 1


def test_the_lean_forward_pass_is_the_original():
    from rookery.data.world.lean import hidden
    from rookery.data.world.train import fresh_model

    torch.manual_seed(0)
    model = fresh_model()
    ids = torch.randint(0, 2048, (3, 40))
    with torch.inference_mode():
        expected, found = model.model(input_ids=ids).last_hidden_state, hidden(model, ids, torch.ones_like(ids)).float()
    assert torch.nn.functional.cosine_similarity(expected, found, dim=-1).min() > 0.999


def test_nothing_but_the_world_imports_the_world():
    root = Path(freshness.__file__).resolve().parents[2]
    for room in ("schemas", "generators", "filters", "selectors", "flows"):
        for path in (root / room).rglob("*.py"):
            assert "data.world" not in path.read_text(), path
