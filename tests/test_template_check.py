"""The self-test of a model: what it finds in templates and in what a model says."""

import asyncio

import pytest
from families import FAMILIES, tokenizer
from typer import Typer
from typer.testing import CliRunner

from rookery.flows.engines.fake import FakeEngine
from rookery.flows.engines.spec import FakeSpec
from rookery.flows.engines.tokens import Chatter
from rookery.flows.template_check import of_model, of_template
from rookery.flows.template_cli import template
from rookery.schemas.llm import Reply


class Speaker:
    """A model that says one thing as a user and another as an assistant."""

    model, revision = "speaker", "1"

    def __init__(self, asks, answers="A heron is a bird.", finish="stop"):
        self.asks, self.answers, self.finish = asks, answers, finish

    async def chat(self, turns, decoding, seed, schema=None, speaker="assistant"):
        return Reply(self.asks if speaker == "user" else self.answers, self.finish if speaker == "user" else "stop", 1, 1)


def bad(llm):
    return {finding.name for finding in asyncio.run(of_model(llm, 8)) if not finding.good}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_passes_what_needs_no_model_or_says_why_not(family):
    found = {finding.name: finding for finding in of_template(Chatter(tokenizer(family), family))}
    faults = {name for name, finding in found.items() if not finding.good}
    prints_no_bos = FAMILIES[family].get("bos") and not FAMILIES[family]["pre_query"].startswith(FAMILIES[family]["bos"])
    assert faults == ({"BOS of raw text is the template's"} if prints_no_bos else set())
    assert found["system slot"].figure == str(FAMILIES[family]["system_slot"])


def test_a_model_that_speaks_as_a_user_is_good():
    assert not bad(FakeEngine(FakeSpec()))


@pytest.mark.parametrize(
    ("llm", "fault"),
    [
        (Speaker(""), "empty"),
        (Speaker("What is a heron?", finish="length"), "cut off"),
        (Speaker("What is a heron?\nassistant:\nA bird."), "role leakage"),
        (Speaker("What is a heron?<|im_end|>"), "template leakage"),
        (Speaker("<think>The user</think> What is a heron?"), "reasoning in the user's turn"),
        (Speaker("What is a heron?", "Hm. </think> A bird."), "reasoning left in answers"),
        (Speaker("What is a heron?", ""), "nothing said in answers"),
        (Speaker("What is a heron?"), "the same as another"),
        (Speaker("## Step 1: Answer: 4 is what we seek here"), "changed by the sanitiser"),
        (FakeEngine(FakeSpec(error_share=1.0)), "errors"),
    ],
)
def test_each_failing_is_found_and_has_a_remedy(llm, fault):
    assert fault in bad(llm)
    assert next(f for f in asyncio.run(of_model(llm, 8)) if f.name == fault).remedy


def test_the_command_shows_the_pieces_and_leaves_with_one_if_something_is_bad(tmp_path):
    app = Typer()
    app.command()(template)
    tokenizer("qwen3").save_pretrained(tmp_path / "qwen3")
    (tmp_path / "qwen3" / "config.json").write_text('{"model_type": "qwen3"}')
    told = CliRunner().invoke(app, [str(tmp_path / "qwen3"), "--rows", "0"], env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    assert r"<|im_start|>user\n" in told.output
    assert r"<think>\n\n</think>\n\n" in told.output
    missing = CliRunner().invoke(app, [str(tmp_path / "none"), "--rows", "0"])
    assert missing.exit_code == 1
    assert "no folder" in missing.output
