"""WildFeedback: labels belong to the reply before them, no later turn and no wish leaks into a prompt, ties are dropped."""

import asyncio
import json
import re
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.checklist import Checklist, comparison, report
from rookery.filters.feedback import FindFeedback, read_labels, windows
from rookery.filters.spur import Estimate, Extract, Item, Summarize, impact, items_of
from rookery.flows.wildfeedback import pair_faults
from rookery.generators.chatlogs import UNKNOWN
from rookery.generators.pairs import BestWorst
from rookery.generators.wildfeedback import Expert, OnPolicy, approved, complaints, shortened
from rookery.generators.wildfeedback_layout import annotated, pair_record, pair_rows, utterances
from rookery.schemas.feedback import DSAT, SAT, STATES, Signal, head_and_tail, scores_of, signals_of
from rookery.schemas.llm import Choice, Reply
from rookery.schemas.tables import Answer, Chat, Drop, Note, Score, Seed, Turn, frame


class Scripted:
    """A model that answers by the first rule whose pattern the last turn matches, and keeps what it was asked."""

    def __init__(self, *rules, model="scripted", choose=lambda text, options: {options[0]: 1.0}):
        self.rules, self.model, self.revision, self.asked, self.pick = rules, model, "0", [], choose

    async def chat(self, turns, decoding, seed, schema=None, speaker="assistant"):
        self.asked.append(list(turns))
        for pattern, reply in self.rules:
            if re.search(pattern, turns[-1].content, re.S):
                return reply if isinstance(reply, Reply) else Reply(reply, "stop", 1, 1)
        return Reply("", "stop", 1, 1)

    async def choose(self, turns, options):
        self.asked.append(list(turns))
        shares = self.pick(turns[-1].content, options)
        return Choice({option: shares.get(option, 0.0) for option in options}, 1.0)


def run(step, row, *llms):
    return list(asyncio.run(step(row, *llms)))


def only(kind, rows):
    return [row for row in rows if isinstance(row, kind)]


def chat_of(*said, name="c", system=None):
    turns = [Turn("system", system)] if system else []
    turns += [Turn(("user", "assistant")[i % 2], text) for i, text in enumerate(said)]
    return Chat(name, [], turns, "log", "m", "0", UNKNOWN, "stop", 0, 0)


TALK = chat_of("Name a fruit.", "A very long story about apples.", "No, make it shorter.", "Apple.", "Thanks!", "Bye.")
SIGNALS = [Signal(0, "NEW_TOPIC"), Signal(2, "FEEDBACK", (), ("Revision", "Style")), Signal(4, "FEEDBACK", ("Gratitude",))]


def complaint(talk=TALK, signals=SIGNALS):
    found, _ = complaints(talk, signals, most=3, longest=10_000)
    return found[0]


# Finding feedback


LABELS = [
    {"turn": 1, "state": "NEW_TOPIC", "sat": [], "dsat": [], "reason": ""},
    {"turn": 2, "state": "FEEDBACK", "sat": [], "dsat": ["Revision", "Style"], "reason": "asks for less"},
    {"turn": 3, "state": "FEEDBACK", "sat": ["Gratitude"], "dsat": [], "reason": "thanks"},
]


def test_known_examples_are_labelled_and_come_back_from_the_scores():
    talk = chat_of("Name a date.", "1066.", "no, make it shorter", "'66", "thanks, but the date is wrong", "1067.", "thanks!")
    labels = [
        {"turn": 1, "state": "NEW_TOPIC", "sat": ["Praise"], "dsat": [], "reason": "cannot be: nothing was said before"},
        {"turn": 2, "state": "FEEDBACK", "sat": [], "dsat": ["Revision", "Style"], "reason": "shorter"},
        {"turn": 3, "state": "FEEDBACK", "sat": ["Gratitude"], "dsat": ["Factual Error"], "reason": "wrong"},
        {"turn": 4, "state": "POSITIVE_CLOSURE", "sat": ["Gratitude"], "dsat": [], "reason": "thanks"},
    ]
    judge = Scripted(("numbered turns", json.dumps(labels)))
    found = signals_of(only(Score, run(FindFeedback(), talk, judge)))["c"]
    assert [(s.turn, s.sat, s.dsat) for s in found] == [
        (0, (), ()), (2, (), ("Revision", "Style")), (4, ("Gratitude",), ("Factual Error",)), (6, ("Gratitude",), ()),
    ]  # fmt: skip
    shown = judge.asked[0][-1].content
    assert "User 1: Name a date.\nAssistant 1: 1066.\nUser 2: no, make it shorter" in shown
    assert all(name in judge.asked[0][0].content for name in (*SAT, *DSAT, *STATES))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(LABELS),
        f"Here you are:\n```json\n{json.dumps(LABELS, indent=1)}\n```",
        json.dumps([{**label, "turn": 2 * i + 1} for i, label in enumerate(LABELS)]),  # counts the assistant's turns too
        json.dumps(LABELS)[:-1],  # the bracket is missing
        json.dumps([*LABELS, {"turn": 99, "state": "OTHER"}, "noise"]),
        json.dumps([{**label, "dsat": [*label["dsat"], "Rudeness"]} for label in LABELS]),  # not in the rubric
    ],
)
def test_labels_are_read_from_replies_that_are_nearly_right(text):
    found = read_labels(text, TALK.turns, range(len(TALK.turns)))
    assert [(signal.turn, signal.state, signal.sat, signal.dsat) for signal in found] == [
        (s.turn, s.state, s.sat, s.dsat) for s in SIGNALS
    ]


@given(st.text(max_size=200) | st.from_regex(r"\[(\{[^}]{0,30}\},?){0,3}\]?"))
def test_no_reply_breaks_the_reader(text):
    found = read_labels(text, TALK.turns, range(len(TALK.turns)))
    assert found is None or all(signal.turn in (0, 2, 4) for signal in found)


def test_a_reply_that_cannot_be_read_is_asked_for_again_and_costs_the_conversation():
    judge = Scripted(("", "I would say the user is fine."))
    [drop] = run(FindFeedback(), TALK, judge)
    assert (drop.id, drop.reason, len(judge.asked)) == ("c", "no_labels", 2)


@given(st.integers(0, 200), st.integers(4, 50))
def test_windows_cover_every_turn_and_overlap_by_two(length, size):
    cut = windows([Turn("user", "")] * length, size)
    assert sorted({place for window in cut for place in window}) == list(range(length))
    assert all(len(window) <= size for window in cut)
    assert all(later.start == earlier.stop - 2 for earlier, later in pairwise(cut))


def test_a_long_utterance_is_shown_by_head_and_tail():
    text = head_and_tail("a" * 5000 + "b" * 5000, 2000)
    assert text.startswith("a" * 1000 + "\n[... 8000")
    assert text.endswith("b" * 1000)


@given(
    st.lists(
        st.tuples(st.sampled_from(STATES), st.sets(st.sampled_from(sorted(SAT))), st.sets(st.sampled_from(sorted(DSAT)))),
        max_size=6,
    )
)
def test_signals_and_scores_are_two_forms_of_one_thing(said):
    signals = [Signal(2 * i, state, tuple(sat), tuple(dsat)) for i, (state, sat, dsat) in enumerate(said)]
    assert signals_of(scores_of("a#b", signals, "judge")).get("a#b", []) == signals


# Complaints


def test_the_prompt_is_the_history_up_to_the_request_and_nothing_later_leaks_in():
    row = complaint()
    spoken = [turn for turn in row.turns if turn.role in ("user", "assistant", "system")]
    assert spoken == [Turn("user", "Name a fruit.")]
    assert [(turn.role, turn.content) for turn in row.turns[1:]] == [
        ("reply", "A very long story about apples."), ("complaint", "No, make it shorter."), ("answer", "Apple."),
        ("liked", "Thanks!"),
    ]  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from(["Revision", "Style", "Ignored"])), min_size=1, max_size=8), st.booleans())
def test_every_prompt_ends_with_the_user_and_holds_no_later_word(dsat, system):
    said = [f"<{i}>" for i in range(2 * len(dsat) + 1)]
    talk = chat_of(*said, system="Be kind." if system else None)
    offset = int(system)
    signals = [Signal(2 * i + offset, "FEEDBACK", (), tuple(kinds)) for i, kinds in enumerate(dsat)]
    found, _ = complaints(talk, signals, most=3, longest=10_000)
    assert len(found) <= 3
    for row in found:
        spoken = [turn for turn in row.turns if turn.role in ("user", "assistant")]
        later = {turn.content for turn in row.turns if turn.role in ("reply", "complaint", "answer", "liked")}
        assert spoken[-1].role == "user"
        assert not later & {turn.content for turn in spoken}
        assert [turn.content for turn in spoken] == said[: len(spoken)]


def test_complaints_about_one_request_are_one_pair_with_the_first_prompt():
    talk = chat_of(
        "Name a fruit.", "Carrot.", "Wrong.", "Leek.", "Still wrong!", "Apple.", "Now a colour.", "Dog.", "Wrong.", "Red."
    )
    bad = ("Factual Error",)
    signals = [
        Signal(2, "FEEDBACK", (), bad),
        Signal(4, "FEEDBACK", (), bad),
        Signal(6, "NEW_TOPIC"),
        Signal(8, "FEEDBACK", (), bad),
    ]
    found, _ = complaints(talk, signals, most=3, longest=10_000)
    assert [[turn.content for turn in row.turns if turn.role == "complaint"] for row in found] == [
        ["Wrong.", "Still wrong!"],
        ["Wrong."],
    ]
    assert [turn.content for turn in found[0].turns if turn.role == "reply"] == ["Carrot."]
    capped, dropped = complaints(talk, signals, most=1, longest=10_000)
    assert (len(capped), [drop.reason for drop in dropped]) == (1, ["enough_of_this_chat"])


def test_a_new_requirement_makes_no_pair():
    found, dropped = complaints(TALK, [Signal(2, "FOLLOW_UP", (), ("Revision",))], most=3, longest=10_000)
    assert (found, [drop.reason for drop in dropped]) == ([], ["new_requirement"])
    assert complaints(TALK, [Signal(2, "FEEDBACK", (), ("Revision",))], most=3, longest=10_000)[0]
    assert complaints(TALK, [Signal(2, "FOLLOW_UP", (), ("Revision", "Style"))], most=3, longest=10_000)[0]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9).filter(lambda sizes: len(sizes) % 2), st.integers(1, 200))
def test_a_long_prompt_loses_its_oldest_exchanges_and_never_the_request(sizes, longest):
    turns = [Turn(("user", "assistant")[i % 2], "x" * size) for i, size in enumerate(sizes)]
    kept = shortened(turns, longest)
    assert kept == turns[len(turns) - len(kept) :]
    assert kept[0].role == kept[-1].role == "user"
    assert len(kept) == 1 or sum(len(turn.content) for turn in kept) <= longest


def test_what_the_user_liked_is_a_lesson():
    chat, answer, score = approved(TALK, SIGNALS)
    assert [turn.content for turn in chat.turns][-1] == "No, make it shorter."
    assert (answer.text, score.label, score.value) == ("Apple.", "Gratitude", 1.0)


# Pairs


JUDGE = Scripted(("Sum up", "Wishes:\n- wants one word\n- wants fruit\n- wants one word"))


def test_expert_pairs_set_a_guided_answer_against_what_was_complained_of():
    expert = Scripted(("Name a fruit", "Apple"), model="expert")
    rows = run(Expert(), complaint(), JUDGE, expert)
    chosen, rejected = only(Answer, rows)
    assert (chosen.text, rejected.text, rejected.model) == ("Apple", "A very long story about apples.", "logged")
    guide = expert.asked[0][0]
    assert guide.role == "system"
    assert "- wants one word\n- wants fruit" in guide.content
    [asked] = only(Chat, rows)
    assert "wants" not in json.dumps([turn.content for turn in asked.turns]), "wishes never stand in the saved prompt"
    assert asked.turns[-1].role == "user"
    pairs, _ = BestWorst()(frame(Answer, only(Answer, rows)), frame(Score, only(Score, rows)))
    assert pairs["chosen"].to_list() == [chosen.id]


def test_on_policy_pairs_come_from_one_model_told_and_not_told():
    class Policy(Scripted):
        async def chat(self, turns, decoding, seed, schema=None, speaker="assistant"):
            self.asked.append((list(turns), decoding))
            return Reply("Apple" if turns[0].role == "system" else "Once upon a time", "stop", 1, 1)

    policy = Policy(model="policy")
    rows = run(OnPolicy(), complaint(), JUDGE, policy)
    assert [answer.text for answer in only(Answer, rows)] == ["Apple", "Once upon a time"]
    assert policy.asked[0][1] == policy.asked[1][1], "both sides are drawn alike"
    assert {answer.model for answer in only(Answer, rows)} == {"policy"}


def test_a_system_turn_of_the_log_stays_in_the_prompt_and_the_wishes_are_added_for_the_writer_only():
    talk = chat_of(*(turn.content for turn in TALK.turns), system="Be kind.")
    row = complaint(talk, [Signal(3, "FEEDBACK", (), ("Style",))])
    expert = Scripted(("", "Apple"))
    [asked] = only(Chat, run(Expert(), row, JUDGE, expert))
    assert asked.turns[0] == Turn("system", "Be kind.")
    assert [turn.role for turn in expert.asked[0]] == ["system", "user"]
    assert expert.asked[0][0].content.startswith("Be kind.\n\nFollow")


@pytest.mark.parametrize(
    ("judge", "policy", "reason"),
    [
        (Scripted(("", "no list here")), Scripted(("", "x")), "no_wishes"),
        (JUDGE, Scripted(("", "the same")), "same_text"),
        (JUDGE, Scripted(("", Reply("half", "length"))), "cut_off"),
        (JUDGE, Scripted(("", Reply("", "error", error="gone"))), "engine_error"),
        (JUDGE, Scripted(("", " ")), "empty"),
    ],
)
def test_what_makes_no_pair_is_dropped_by_name(judge, policy, reason):
    [drop] = run(OnPolicy(), complaint(), judge, policy)
    assert drop.reason == reason


# Checklist, moderation


ASKED = chat_of("Name a fruit.", name="p")


@pytest.mark.parametrize(
    ("prefers", "verdict"),
    [
        (lambda a, b: "A" if a == "good" else "B", "win"),
        (lambda a, b: "A" if b == "good" else "B", "lose"),
        (lambda a, b: "A", "tie"),  # loves the first place
    ],
)
def test_only_a_side_that_wins_in_both_orders_wins(prefers, verdict):
    def choose(text, options):
        a, b = re.search(r"Reply A:\n(.*?)\n\nReply B:\n(.*?)\n", text, re.S).groups()
        return {prefers(a, b): 0.9, ({"A", "B"} - {prefers(a, b)}).pop(): 0.1}

    judge = Scripted(choose=choose)
    score, _ = run(Checklist(), comparison(ASKED, "good", "bad", ["wants fruit"]), judge)
    assert score.label == verdict
    assert "- wants fruit" in judge.asked[0][-1].content


def test_the_report_has_intervals_around_the_shares():
    scores = frame(Score, [Score(str(i), "checklist", 1.0 - i % 2, ("win", "tie")[i % 2], "j", None) for i in range(100)])
    table = report(scores)
    assert table["share"].to_list() == [0.5, 0.5, 0.0]
    assert ((table["low"] <= table["share"]) & (table["share"] <= table["high"])).all()
    assert report(frame(Score, [])).is_empty()


def test_an_unsafe_pair_and_an_unsafe_wish_are_dropped_and_counted():
    scores = [Score(f"{name}#{part}", "safety", float(part != bad), None, "g", None)
              for name, bad in (("a", ""), ("b", "wishes"), ("c", "chosen")) for part in ("chosen", "rejected", "wishes")]  # fmt: skip
    faults = pair_faults([*scores, Score("d#chosen", "safety", None, None, "g", "no mass")], 0.5, judged=False)
    assert {name: reason for name, (reason, _) in faults.items()} == {
        "b": "spurious_wish", "c": "unsafe_chosen", "d": "unsafe_chosen",
    }  # fmt: skip


@pytest.mark.parametrize("label", ["tie", "lose", None])
def test_the_on_policy_filter_drops_ties_and_losses(label):
    verdicts = [Score("a", "checklist", 1.0, "win", "j", None), Score("b", "checklist", 0.0, label, "j", None)]
    assert list(pair_faults(verdicts, 0.5, judged=True)) == ["b"]
    assert pair_faults(verdicts, 0.5, judged=False) == {}


# The published layout


def utterance(number, role, text, dsat=""):
    return {"UtteranceId": number, "TurnId": number // 2 + 1, "Role": role, "Content": text, "Preceeding": "YES",
            "State": "FEEDBACK", "Satisfaction": "", "Satisfaction-Justificiation": "", "Disatisfaction": dsat,
            "Dissatisfaction-Justificiation": "because"}  # fmt: skip


def test_two_conversations_in_one_array_with_misspelt_keys_and_only_the_broken_one_is_rejected():
    good = [utterance(0, "User", "Hi"), utterance(1, "Agent", "Yo"), utterance(2, "User", "No!", "Negative Feedback, Style")]
    broken = [utterance(0, "User", "Hi"), utterance(1, "User", "Hello?")]
    first, second, third = annotated([*good, *broken, *good])
    assert [type(row).__name__ for row in first] == ["Chat"] + ["Score"] * 6
    assert signals_of(first[1:])[first[0].id][1].dsat == ("Negative Feedback", "Style")
    assert signals_of(first[1:])[first[0].id][1].reason_dsat == "because"
    assert [row.reason for row in second] == ["broken_alternation"]
    assert third[0].id != first[0].id


def test_a_missing_utterance_breaks_its_conversation():
    [rows] = annotated([utterance(0, "User", "Hi"), utterance(2, "User", "No")])
    assert only(Drop, rows)[0].reason == "broken_alternation"


def test_a_record_that_is_no_object_costs_its_conversation_alone():
    good = [utterance(0, "User", "Hi"), utterance(1, "Agent", "Yo")]
    first, second = annotated([*good, "torn", *good])
    assert [row.reason for row in first] == ["broken_alternation"]
    assert isinstance(second[0], Chat)


def test_what_is_written_is_read_back():
    records = utterances(TALK, SIGNALS)
    assert {"Disatisfaction", "Preceeding", "Satisfaction-Justificiation"} <= set(records[0])
    [[chat, *scores]] = annotated(records)
    assert chat.turns == TALK.turns
    assert [s for s in signals_of(scores)[chat.id] if s.sat or s.dsat] == [s for s in SIGNALS if s.sat or s.dsat]


def test_published_pairs_are_written_and_read_back():
    record = pair_record([Turn("user", "Hi")], "good", "bad")
    chat, chosen, rejected = pair_rows(record, "here")
    assert (chat.turns, chosen.text, rejected.text) == ([Turn("user", "Hi")], "good", "bad")
    assert isinstance(pair_rows({"conversations": 3}, "there")[0], Drop)


# SPUR


def test_spur_reasons_are_at_most_three_and_the_rubric_is_carried_from_batch_to_batch():
    reasons = run(Extract(label="satisfied"), TALK, Scripted(("was satisfied", "- one\n- two\n- three\n- four")))
    assert [note.text for note in reasons] == ["one", "two", "three"]
    judge = Scripted(("empty", "- Gratitude: says thanks"), ("Gratitude", "- Gratitude: says thanks\n- Praise: praises"))
    rows = run(Summarize(label="satisfied", batch=2), Seed("s", 0, 0, [Turn("reason", str(i)) for i in range(5)]), judge)
    assert len(judge.asked) == 3
    assert items_of(rows) == (Item(name="Gratitude", description="says thanks"), Item(name="Praise", description="praises"))


def test_spur_estimates_the_sum_of_impacts():
    step = Estimate(satisfied=(Item(name="Thanks", description="t"),), dissatisfied=(Item(name="Anger", description="a"),))
    marks = {row.name: row.value for row in run(step, TALK, Scripted(("Item: Thanks", "yes 7"), ("Item: Anger", "Yes, 2")))}
    assert marks == {"spur": 5.0, "spur_sat: Thanks": 7.0, "spur_dsat: Anger": 2.0}
    unread = run(step, TALK, Scripted(("Item: Thanks", "yes 7"), ("Item: Anger", "perhaps")))
    assert (unread[0].value, unread[0].reason) == (None, "1 of 2 items could not be read")


@pytest.mark.parametrize(
    ("text", "value"), [("no 0", 0), ("yes 10", 10), ("Yes. Impact: 3", 3), ("yes", None), ("yes 11", None), ("", None)]
)
def test_impacts(text, value):
    assert impact(text) == value


def test_scores_conform():
    assert isinstance(frame(Score, scores_of("c", SIGNALS, "j")), pl.DataFrame)
    assert isinstance(frame(Note, only(Note, run(Expert(), complaint(), JUDGE, Scripted(("", "Apple"))))), pl.DataFrame)
