"""Taggers: labels from well-shaped replies, null with a reason from all others, one second try; guards, languages, rewards."""

import asyncio
import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.language import languages
from rookery.filters.rewards import RewardDifference
from rookery.filters.safety import Guard, GuardPrompt
from rookery.filters.taggers import CATEGORIES, DIFFICULTIES, QUALITIES, Category, Difficulty, Quality
from rookery.filters.tagging import read
from rookery.flows.engines.fake import FakeEngine
from rookery.flows.engines.spec import FakeSpec
from rookery.schemas.llm import Choice, Reply, Reward
from rookery.schemas.prompts import names, prompt
from rookery.schemas.tables import Chat, Note, Sampling, Score, Turn, conform, frame

STEPS = {"difficulty": Difficulty(), "input_quality": Quality(), "task_category": Category()}
REPLIES = {
    "difficulty": {"intent": "The user wants a fact.", "knowledge": "birds", "difficulty": "easy"},
    "input_quality": {"explanation": "It is clear.", "input_quality": "good"},
    "task_category": {"primary_tag": "Math", "other_tags": ["Reasoning", "math", "nonsense", "Other"]},
}


class Clerk:
    """A model that gives prepared replies, one after the other, and remembers how it was asked."""

    model, revision = "clerk", "1"

    def __init__(self, *replies, score=0.0, choice=None):
        self.replies, self.reward, self.choice, self.asked = list(replies), score, choice, []

    async def chat(self, turns, decoding, seed, schema=None, speaker="assistant"):
        self.asked.append((turns, decoding, schema))
        said = self.replies.pop(0)
        return said if isinstance(said, Reply) else Reply(said, "stop", 1, 1)

    async def complete(self, prompt, decoding, seed):
        self.asked.append((prompt, decoding, None))
        said = self.replies.pop(0)
        return said if isinstance(said, Reply) else Reply(said, "stop", 1, 1)

    async def choose(self, turns, options):
        return self.choice

    async def score(self, turns):
        return self.reward(turns) if callable(self.reward) else Reward(self.reward)


def chat(*turns, name="c"):
    said = [Turn("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(turns or ("What is a heron?",))]
    return Chat(name, [], said, "magpie", "m", "r", Sampling(1.0, 1.0, 9, 1), "stop", 1, 1)


def run(step, row, *llms):
    return asyncio.run(step(row, *llms))


@pytest.mark.parametrize("name", STEPS)
def test_a_well_shaped_reply_gives_a_label(name):
    clerk = Clerk(json.dumps(REPLIES[name]))
    score, *notes = run(STEPS[name], chat(), clerk)
    assert (score.about, score.name, score.judge, score.reason) == ("c", name, "clerk", None)
    assert score.label in ("easy", "good", "Math")
    assert {note.kind for note in notes} <= {"intent", "knowledge", "quality_explanation", "other_task_category"}
    assert len(clerk.asked) == 1
    turns, decoding, schema = clerk.asked[0]
    assert decoding.temperature == 0.0
    assert schema["required"] == list(REPLIES[name])
    assert "What is a heron?" in turns[0].content


def test_levels_are_numbers_from_one():
    for i, level in enumerate(DIFFICULTIES):
        [score, *_] = run(Difficulty(), chat(), Clerk(json.dumps(REPLIES["difficulty"] | {"difficulty": level})))
        assert (score.value, score.label) == (i + 1.0, level)
    for i, level in enumerate(QUALITIES):
        [score, *_] = run(Quality(), chat(), Clerk(json.dumps(REPLIES["input_quality"] | {"input_quality": level.upper()})))
        assert (score.value, score.label) == (i + 1.0, level)


@pytest.mark.parametrize("said", ["Others", "Other", "others", " other "])
def test_the_category_others_is_known_under_both_its_names(said):
    [score, *_] = run(Category(), chat(), Clerk(json.dumps({"primary_tag": said, "other_tags": []})))
    assert score.label == "Others"


def test_other_categories_are_known_ones_once_and_not_the_first():
    _, *notes = run(Category(), chat(), Clerk(json.dumps(REPLIES["task_category"])))
    assert [(note.ordinal, note.text) for note in notes] == [(0, "Reasoning"), (1, "Others")]
    assert len(CATEGORIES) == 12


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    "bad",
    ["", "no idea", "{", '{"intent": 3}', "[]", "{}", "}{", '{"difficulty": "gruelling"}', Reply("", "error", error="lost")],
)
def test_an_ill_shaped_reply_is_asked_for_once_more_and_then_null_with_a_reason(name, bad):
    clerk = Clerk(bad, bad, bad)
    [score] = run(STEPS[name], chat(), clerk)
    assert (score.value, score.label) == (None, None)
    assert score.reason
    assert [decoding.temperature for _, decoding, _ in clerk.asked] == [0.0, 0.3]


def test_the_second_try_may_succeed():
    [score, *_] = run(Difficulty(), chat(), Clerk("hm", "Sure: " + json.dumps(REPLIES["difficulty"]) + " There."))
    assert score.label == "easy"


def test_of_a_conversation_the_first_turn_is_tagged():
    clerk = Clerk(json.dumps(REPLIES["difficulty"]))
    run(Difficulty(), chat("What is a heron?", "A bird.", "And an egret?"), clerk)
    assert "egret" not in clerk.asked[0][0][0].content


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
       lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["difficulty", "intent", "knowledge"]), inner),
       max_leaves=8).map(json.dumps))  # fmt: skip
def test_no_reply_breaks_the_reader(text):
    fields, why = read(text, Difficulty.shape)
    assert (fields is None) == bool(why)
    assert fields is None or fields.labels["difficulty"] in DIFFICULTIES


@pytest.mark.parametrize("name", STEPS)
def test_rows_of_the_fake_engine_conform(name):
    made = run(STEPS[name], chat(), FakeEngine(FakeSpec()))
    assert made[0].reason is None
    conform(Score, frame(Score, [row for row in made if isinstance(row, Score)]))


@pytest.mark.parametrize("step", [*STEPS.values(), GuardPrompt(), RewardDifference()])
def test_prompts_are_there_and_ask_for_what_they_are_given(step):
    for name in step.prompts:
        assert names(prompt(name)) <= {"instruction", "response"}


# -- guards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "value", "label", "reason"),
    [("safe", 1.0, "safe", None), (" unsafe\nS1,S9", 0.0, "unsafe", "S1,S9"), ("Unsafe", 0.0, "unsafe", None)],
)
def test_a_guards_verdict_is_read_and_its_raw_text_kept(said, value, label, reason):
    score, note = run(Guard(), chat("How?", "Like so."), Clerk(said))
    assert (score.name, score.value, score.label, score.reason) == ("safety", value, label, reason)
    assert (note.kind, note.text) == ("guard", said.strip())


def test_a_guard_that_says_neither_gives_no_score():
    score, note = run(Guard(), chat("How?", "Like so."), Clerk("I think it is fine"))
    assert score.value is None
    assert "neither" in score.reason
    assert note.text == "I think it is fine"
    [lost] = run(Guard(), chat("How?", "Like so."), Clerk(Reply("", "error", error="lost")))
    assert lost.reason == "lost"


def test_a_prompted_guard_reads_probabilities():
    [score] = run(GuardPrompt(), chat("How?", "Like so."), Clerk(choice=Choice({"safe": 0.2, "unsafe": 0.8}, 0.9)))
    assert (score.value, score.label) == (0.2, "unsafe")
    [none] = run(GuardPrompt(), chat("How?", "Like so."), Clerk(choice=Choice({"safe": 0.2, "unsafe": 0.8}, 0.01)))
    assert none.value is None
    assert "0.010" in none.reason


# -- languages -------------------------------------------------------------------------------------------------------


def test_languages_are_named_as_in_the_published_columns():
    pytest.importorskip("lingua")
    texts = ["What do herons eat in winter?", "Was frisst ein Reiher im Winter?", "苍鹭冬天吃什么？", "12 + 3", ""]
    scores = languages(frame(Chat, [chat(text, name=str(i)) for i, text in enumerate(texts)]))
    assert conform(Score, scores)["label"].to_list() == ["EN", "DE", "ZH", None, None]
    assert scores.filter(pl.col("label").is_null())["reason"].null_count() == 0
    assert scores["about"].to_list() == list("01234")


# -- rewards ---------------------------------------------------------------------------------------------------------


def test_the_reward_difference_is_to_what_the_base_model_says():
    rewarder = Clerk(score=lambda turns: Reward(float(len(turns[-1].content))))
    base = Clerk(" A bird.\n")
    *scores, note = run(RewardDifference(), chat("What is a heron?", "A grey bird."), rewarder, base)
    assert {score.name: score.value for score in scores} == {"reward": 12, "base_reward": 7, "reward_difference": 5}
    assert (note.kind, note.text) == ("base_output", "A bird.")
    shown, decoding, _ = base.asked[0]
    assert shown.endswith("What is a heron?\n\n# Answer")
    assert decoding.stop == ("\n# Query",)


def test_a_base_model_that_says_nothing_makes_no_difference():
    scores = run(RewardDifference(), chat("What is a heron?", "A bird."), Clerk(score=1.0), Clerk(" \n"))
    assert [score.value for score in scores] == [1.0, None, None]
    assert all("said nothing" in score.reason for score in scores[1:])
    assert not any(isinstance(row, Note) for row in scores)
