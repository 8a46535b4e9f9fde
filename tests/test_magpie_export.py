"""The published layout: every column of the cards, every value from the row that it belongs to."""

import polars as pl
import pytest

from rookery.filters.magpie_sets import MagpieSet
from rookery.flows.magpie_export import ORDER, published, published_dpo
from rookery.schemas.tables import Answer, Chat, Note, Preference, Sampling, Score, Turn, frame

DRAWN = Sampling(1.1, 0.99, 512, 1 << 62)


def chat(name, *said):
    turns = [Turn("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(said)]
    return Chat(name, [], turns, "magpie", "writer", "r", DRAWN, "stop", 1, 1)


def answer(name, prompt, text, ordinal=0):
    return Answer(name, prompt, ordinal, text, "independent", "answerer", "r", Sampling(0.0, 1.0, 1024, 7), "stop", 1, 1)


CHATS = frame(Chat, [chat("c1", "What is a heron?"), chat("c2", "Hi", "Hello!", "Bye"), chat("c3", "No answer to this")])
ANSWERS = frame(Answer, [answer("a2", "c2", "See you."), answer("a1", "c1", "A bird.")])
SCORES = frame(Score, [
    Score("c1", "difficulty", 2.0, "easy", "tagger", None),
    Score("c1", "input_quality", 4.0, "good", "tagger", None),
    Score("c1", "task_category", None, "Math", "tagger", None),
    Score("c1", "language", 0.9, "EN", "lingua", None),
    Score("a1", "reward", -3.5, None, "rm", None),
    Score("c2", "difficulty", None, None, "tagger", "no JSON"),
])  # fmt: skip
NOTES = frame(Note, [
    Note("c1", "intent", 0, "The user wants a fact."), Note("c1", "knowledge", 0, "birds"),
    Note("c1", "quality_explanation", 0, "Clear."), Note("c1", "other_task_category", 1, "Editing"),
    Note("c1", "other_task_category", 0, "Reasoning"), Note("a1", "guard", 0, "safe"),
    Note("c1", "raw_instruction", 0, "Q: What is a heron?"),
])  # fmt: skip


def test_every_column_of_the_cards_is_there_and_filled_from_its_own_row():
    table = published(CHATS, ANSWERS, SCORES, NOTES, openings={"writer": "<|im_start|>user\n"})
    assert table.columns == [*ORDER, "instruction_2", "response_2"]
    first, second = table.rows(named=True)
    assert first["uuid"] == "c1"
    assert first["gen_input_configs"] == {
        "temperature": 1.1, "top_p": 0.99, "input_generator": "writer", "seed": str(1 << 62),
        "pre_query_template": "<|im_start|>user\n",
    }  # fmt: skip
    assert first["gen_response_configs"]["output_generator"] == "answerer"
    assert first["gen_response_configs"]["max_tokens"] == 1024
    assert (first["instruction"], first["response"]) == ("What is a heron?", "A bird.")
    assert first["conversations"] == [{"from": "human", "value": "What is a heron?"}, {"from": "gpt", "value": "A bird."}]
    assert (first["difficulty"], first["input_quality"], first["task_category"]) == ("easy", "good", "Math")
    assert (first["difficulty_generator"], first["reward_model"]) == ("tagger", "rm")
    assert first["other_task_category"] == ["Reasoning", "Editing"]
    assert (first["instruct_reward"], first["llama_guard_2"], first["language"]) == (-3.5, "safe", "EN")
    assert (first["instruction_length"], first["response_length"]) == (16, 7)
    assert first["raw_instruction"] == "Q: What is a heron?"
    assert first["instruction_2"] is None
    assert second["difficulty"] is None


def test_later_turns_have_columns_of_their_own():
    row = published(CHATS, ANSWERS, SCORES, NOTES).filter(pl.col("uuid") == "c2").row(0, named=True)
    assert [row[c] for c in ("instruction", "response", "instruction_2", "response_2")] == ["Hi", "Hello!", "Bye", "See you."]
    assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt"] * 2
    assert row["raw_instruction"] == "Hi"


def test_a_prompt_without_an_answer_is_no_row():
    assert "c3" not in published(CHATS, ANSWERS, SCORES, NOTES)["uuid"]


def test_the_order_of_tables_does_not_matter():
    whole = published(CHATS, ANSWERS, SCORES, NOTES)
    assert whole.equals(published(CHATS, ANSWERS.reverse(), SCORES.reverse(), NOTES.reverse()))


def test_two_answers_or_two_judges_are_refused():
    with pytest.raises(ValueError, match="c1 has several answers"):
        published(CHATS, frame(Answer, [answer("x", "c1", "A"), answer("y", "c1", "B", 1)]), SCORES, NOTES)
    with pytest.raises(ValueError, match="several scores"):
        published(CHATS, ANSWERS, pl.concat([SCORES, SCORES[:1]]), NOTES)


def test_neighbours_come_along_and_the_named_sets_read_the_layout():
    near = pl.DataFrame({"id": ["c1", "c2"], "min_neighbor_distance": [0.01, 0.01], "repeat_count": [1, 1],
                         "min_similar_uuid": ["c1", "c1"]})  # fmt: skip
    table = published(CHATS, ANSWERS, SCORES, NOTES, near=near)
    assert table["repeat_count"].to_list() == [1, 1]
    kept, dropped = MagpieSet()(table)
    assert kept["uuid"].to_list() == ["c1"]
    assert dropped["reason"].to_list() == ["near_duplicate"]


def test_no_rows_give_the_columns():
    empty = published(CHATS[:0], ANSWERS[:0], SCORES[:0], NOTES[:0])
    assert empty.columns == ORDER
    assert empty.height == 0


def test_a_dpo_set_has_all_answers_their_rewards_and_the_pair_as_messages():
    answers = frame(Answer, [answer(f"a{i}", "c1", text, i) for i, text in enumerate(["Bird.", "A bird.", "Fish."])])
    scores = frame(Score, [Score(f"a{i}", "rm", v, None, "rm", None) for i, v in enumerate([0.1, 0.9, -2.0])])
    pairs = frame(Preference, [Preference("p", "c1", "a1", "a2", 0.9, -2.0, 2.9, "best_worst")])
    layout = published(CHATS, answers[:1], SCORES, NOTES)
    row = published_dpo(layout, answers, scores, pairs).row(0, named=True)
    assert row["responses"] == ["Bird.", "A bird.", "Fish."]
    assert row["rewards_armorm"] == [{"score": 0.1}, {"score": 0.9}, {"score": -2.0}]
    assert row["chosen"] == [{"role": "user", "content": "What is a heron?"}, {"role": "assistant", "content": "A bird."}]
    assert row["rejected"][-1]["content"] == "Fish."
