"""Laws of the other exports: goals swap the right side, negatives stay negative, rollouts keep raw rewards."""

from dataclasses import fields

import pytest

from rookery.flows import export, export_more
from rookery.generators.goals import Goals, relabel
from rookery.schemas.exports import RESERVED, Goal, Negative, Ranking, Rollouts
from rookery.schemas.tables import Answer, Chat, Preference, Sampling, Score, Turn, frame

DRAWN = Sampling(0.8, 1.0, 64, 7)


def chat(name, *said, system=None):
    turns = [Turn("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(said)]
    turns = [Turn("system", system), *turns] if system else turns
    return Chat(name, [], turns, "magpie", "m", "r", DRAWN, "stop", 1, 1)


def answer(name, prompt, text, ordinal=0, model="m"):
    return Answer(name, prompt, ordinal, text, "independent", model, "r", DRAWN, "stop", 1, 1)


def scores(given):
    return frame(Score, [Score(name, "reward", value, None, "rm", None) for name, value in given.items()])


def pairs(*wanted):
    chats = [chat("p", "hi"), chat("q", "hi", "ho", "he", system="Be kind.")]
    answers = [answer(f"{p}{side}", p, text) for p in "pq" for side, text in (("+", "GOOD"), ("-", "BAD"))]
    rows = [Preference(f"{p}{a}", p, f"{p}+", f"{p}-", a, b, a - b, "best_worst") for p, a, b in wanted]
    return frame(Chat, chats), frame(Answer, answers), frame(Preference, rows)


@pytest.mark.parametrize("role", ["system", "user"])
def test_under_the_worse_answer_s_score_the_worse_answer_wins(role):
    made, skipped = export_more.reward_augmented(*pairs(("p", 4.5, 2.0)), Goals(role=role))
    assert skipped == {}
    pos, neg = made.iter_rows(named=True)
    assert (pos["augmentation"], pos["chosen"][0]["content"], pos["rejected"][0]["content"]) == ("pos", "GOOD", "BAD")
    assert (neg["augmentation"], neg["chosen"][0]["content"], neg["rejected"][0]["content"]) == ("neg", "BAD", "GOOD")
    assert (pos["goal"], neg["goal"]) == (8.9, 3.2)
    assert (neg["chosen_id"], neg["score_chosen"], neg["score_rejected"]) == ("p-", 3.2, 8.9)
    assert pos["parent_id"] == neg["parent_id"] == "p"
    for row in (pos, neg):
        told = row["prompt"][0]["content"]
        assert f"Overall score: {row['goal']}." in told
        assert row["prompt"][-1]["role"] == "user"
        assert len(row["prompt"]) == (2 if role == "system" else 1)
        assert row["prompt"][-1]["content"].endswith("hi")


def test_a_goal_joins_the_system_turn_that_is_there_and_the_first_user_turn_of_many():
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    system, first, _ = Goals().ask([*turns], 8.0)
    assert system["content"].startswith("Be kind.\n\n")
    assert system["content"].endswith("Overall score: 8.")
    assert first["content"] == "a"
    kept, first, last = Goals(role="user").ask([*turns], 8.5)
    assert kept == turns[0]
    assert first["content"].endswith("8.5.\n\na")
    assert last == turns[2]
    assert Goals().ask([{"role": "user", "content": "a"}])[0]["content"].endswith("Overall score: 10.")


def test_twice_as_many_rows_less_those_that_contradict_themselves():
    tables = pairs(("p", 4.0, 1.0), ("q", 3.001, 3.0))
    made, skipped = export_more.reward_augmented(*tables, Goals())
    assert made.height == 2
    assert skipped == {"goals_too_close": 1}
    assert export_more.reward_augmented(*tables, Goals(keep="pos"))[0].height == 1
    assert export_more.reward_augmented(*tables, Goals(most=3.5))[1] == {"off_the_scale": 1, "goals_too_close": 1}
    plain, _ = export.default(*tables)
    assert relabel(plain, Goals(min_gap=9.0))[1] == {"goals_too_close": 2}
    with pytest.raises(ValueError, match="not below"):
        Goals(least=5, most=1)


def test_a_negative_stands_against_k_different_samples_of_the_policy():
    chats = frame(Chat, [chat("p", "hi"), chat("q", "ho"), chat("r", "hi", "said")])
    answers = [answer(f"s{i}", "p", f"own {i % 4}", i) for i in range(6)]
    answers += [
        answer("bad", "p", "harm", model="human"),
        answer("echo", "p", "own 0", model="human"),
        answer("mine", "p", "no"),
    ]
    answers += [answer("alone", "q", "harm", model="human"), answer("lost", "nowhere", "x")]
    made, skipped = export_more.d2o(chats, frame(Answer, answers), ["bad", "mine", "alone", "ghost"], policy="m", k=4)
    assert made["rejected_id"].to_list() == ["bad"]
    assert made["sample_ids"][0].to_list() == ["s0", "s1", "s2", "s3"]
    assert skipped == {
        "unknown_answer": 1, "negative_of_the_policy": 1, "too_few_self_samples": 1, "prompt_without_user_turn": 1, "unknown_prompt": 1,
    }  # fmt: skip
    fewer, skipped = export_more.d2o(chats, frame(Answer, answers), ["echo"], policy="m", k=5)
    assert fewer.is_empty()  # a sample that reads like the negative is none
    assert skipped["too_few_self_samples"] == 1


def test_rollouts_keep_raw_rewards_and_say_when_they_tell_nothing():
    chats = frame(Chat, [chat("p", "hi"), chat("q", "ho"), chat("r", "hu")])
    answers = [answer(f"p{i}", "p", f"t{i}", i) for i in range(4)] + [answer(f"q{i}", "q", f"t{i}", i) for i in range(2)]
    answers += [answer("r0", "r", "x"), answer("r1", "r", "y", model="other")]
    given = {"p0": -3.5, "p1": 2.0, "p2": 2.0, "p3": 7.0, "q0": 1.0, "q1": 1.0, "r0": 1.0, "r1": 2.0}
    made, skipped = export_more.infalign(chats, frame(Answer, answers), scores(given), policy="m")
    first, second = made.iter_rows(named=True)
    assert [(r["reward"], r["calibrated"]) for r in first["rollouts"]] == [(-3.5, 0.125), (2.0, 0.5), (2.0, 0.5), (7.0, 0.875)]
    assert first["informative"]
    assert not second["informative"]
    assert {r["calibrated"] for r in second["rollouts"]} == {0.5}
    assert first["reward_model"] == "rm"
    assert skipped == {"too_few_rollouts": 1}


def test_a_ranking_never_rises_and_needs_a_difference():
    chats = frame(Chat, [chat("p", "hi"), chat("q", "ho")])
    answers = [answer(f"p{i}", "p", f"t{i}") for i in range(4)] + [answer(f"q{i}", "q", f"t{i}") for i in range(2)]
    made, skipped = export_more.listwise(
        chats, frame(Answer, answers), scores({"p0": 1.0, "p1": 3.0, "p3": 2.0, "q0": 1.0, "q1": 1.0})
    )
    assert made["answer_ids"][0].to_list() == ["p1", "p3", "p0"]
    assert made["scores"][0].to_list() == [3.0, 2.0, 1.0]
    assert skipped == {"nothing_to_rank": 1}


@pytest.mark.parametrize("row", [Goal, Negative, Ranking, Rollouts])
def test_no_column_is_one_that_a_trainer_takes_for_its_own(row):
    assert not RESERVED & {field.name for field in fields(row)}
