"""CodecLM: the pool keeps what the seeds are about, both orders are scored, either side may win, no round is lost."""

import asyncio
import re
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.flows.engines.fake import FakeEngine
from rookery.flows.engines.spec import FakeSpec
from rookery.generators import codeclm_parse as parse
from rookery.generators.codeclm import Contrast, acceptance, assignments
from rookery.generators.codeclm_metadata import Decode, Encode, Entry, SelfRubrics, enlarge, entries_of, named
from rookery.generators.pairs import BestWorst
from rookery.schemas.llm import Choice, Reply
from rookery.schemas.tables import Answer, Chat, Drop, Note, Score, Seed, Turn, frame


class Scripted:
    """A model that answers by the first rule whose pattern its prompt matches. It keeps what it was asked."""

    def __init__(self, rules, model="scripted"):
        self.rules, self.model, self.revision, self.asked = rules, model, "0", []

    async def chat(self, turns, decoding, seed, schema=None, speaker="assistant"):
        text = turns[-1].content
        self.asked.append((text, decoding, seed))
        for pattern, reply in self.rules:
            found = re.search(pattern, text, re.S)
            if found:
                made = reply(found) if callable(reply) else reply
                return made if isinstance(made, Reply) else Reply(made, "stop", 1, 1)
        return Reply("?", "stop", 1, 1)

    async def choose(self, turns, options):
        return Choice({options[0]: 1.0}, 1.0)


def run(step, row, *llms):
    return list(asyncio.run(step(row, *llms)))


def only(kind, rows):
    return [row for row in rows if isinstance(row, kind)]


def seed_row(text="Say hello in French.", number=0):
    return Seed(f"seed{number}", number, number, [Turn("user", text)])


ENTRY = Entry("translation", ("french", "greetings"), "seed", ("seed0",)).row(0, 7)
SHOWN = re.compile(r"Reply 1:\n(.*?)\n\nReply 2:\n(.*?)\n\n", re.S)


ENCODER = ("Name the use case", "Use case: translation\nSkills: french")


def judge_by(scores):
    """A judge with an opinion of texts: it scores by text, whatever the order."""

    def say(found):
        one, two = SHOWN.search(found.string).groups()
        return f"{scores[one]} {scores[two]}"

    return ("Score two replies", say)


def duel(scores, step=None, row=None, rules=(), improve=None):
    """Strong says S, target says T; the judge scores them by `scores`."""
    rewriting = ("Make the instruction", "A harder one?" if improve is None else improve)
    strong = Scripted([*rules, judge_by(scores), rewriting, ENCODER, ("", "S")], "strong")
    target = Scripted([("", "T")], "target")
    row = row or assignments([basic()], [ENTRY], [Note(ENTRY.id, "action", i, f"do {i}") for i in range(4)])[0]
    return run(step or Contrast(), row, strong, target, strong), strong, target


def basic(text="Say hello in French."):
    made = run(Decode(count=1), ENTRY, Scripted([("", f"1. {text}")]))
    return only(Chat, made)[0]


# Reading replies


@pytest.mark.parametrize("label", ["Use case", "Task", "use case", "**Use Case"])
def test_the_encoder_reads_both_labels_of_the_figure(label):
    found = parse.metadata(f"{label}: Creative Writing\nSkills: role-play, sports, a third, a fourth")
    assert found is not None
    assert found.use_case == "creative writing"
    assert found.skills == ("role-play", "sports", "a third")


@pytest.mark.parametrize("text", ["", "Use case: x", "Skills: a", "Use case:\nSkills: , ,", "nothing of the kind"])
def test_half_of_the_metadata_is_none(text):
    assert parse.metadata(text) is None


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("8 7", (8, 7)),
        ("8/10 7/10", (8, 7)),
        ("8 out of 10 and 7 out of 10", (8, 7)),
        ("Assistant 1: 8\nAssistant 2: 7", (8, 7)),
        ("Reply 1: 9, Reply 2: 3", (9, 3)),
        ("7.5, 10", (7.5, 10)),
        ("Scores: 8 5\nThe first is better in 3 ways", (8, 5)),
        ("8", None),
        ("0 11", None),
        ("", None),
        ("I cannot score these.", None),
    ],
)
def test_two_scores_in_all_their_spellings(text, scores):
    assert parse.two_scores(text) == scores


def test_two_lists_that_each_start_at_one():
    text = "Rubrics:\n1. how long\n2. how odd\n\nActions:\n1. add a step\n2) use larger\n numbers\n\nGood luck!"
    assert parse.two_lists(text) == (("how long", "how odd"), ("add a step", "use larger numbers"))
    assert parse.two_lists("1. add\n2. subtract") == ((), ("add", "subtract"))
    assert parse.two_lists("no list") == ((), ())


@given(st.text(max_size=300))
def test_no_reply_breaks_a_reader(text):
    parse.metadata(text)
    parse.numbered(text)
    parse.two_lists(text)
    scores = parse.two_scores(text)
    assert scores is None or all(1 <= score <= 10 for score in scores)
    assert parse.similarity(text, text) == 1.0


@given(st.lists(st.sampled_from("abcd"), max_size=6), st.lists(st.sampled_from("abcd"), max_size=6))
def test_similarity_is_rouge_l(one, other):
    def lcs(a, b):
        if not a or not b:
            return 0
        return 1 + lcs(a[1:], b[1:]) if a[0] == b[0] else max(lcs(a[1:], b), lcs(a, b[1:]))

    expected = 2 * lcs(one, other) / (len(one) + len(other)) if one or other else 1.0
    assert parse.similarity(" ".join(one), " ".join(other)) == pytest.approx(expected)


# Encode and the pool


def test_encode_asks_once_more_and_then_drops():
    replies = iter(["gibberish", "Use case: translation\nSkills: french, greetings"])
    notes = run(Encode(), seed_row(), Scripted([("", lambda _: next(replies))]))
    assert [(note.kind, note.text) for note in notes] == [
        ("use_case", "translation"),
        ("skill", "french"),
        ("skill", "greetings"),
    ]
    [drop] = run(Encode(), seed_row(), Scripted([("", "gibberish")]))
    assert (drop.reason, drop.detail) == ("no_metadata", "gibberish")
    assert "Say hello" in drop.text


entries = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=3, unique=True)),
    max_size=12,
)


@settings(deadline=None)
@given(entries, st.integers(0, 40), st.integers(0, 3))
def test_the_pool_is_distinct_no_larger_than_asked_and_made_of_what_the_seeds_hold(found, size, seed):
    pool = [Entry(use, tuple(skills), "seed", (str(i),)) for i, (use, skills) in enumerate(found)]
    made = enlarge(pool, size, seed)
    assert len(made) <= size
    assert len({entry.id for entry in made}) == len(made)
    assert {entry.use_case for entry in made} <= {entry.use_case for entry in pool}
    assert {skill for entry in made for skill in entry.skills} <= {skill for entry in pool for skill in entry.skills}
    assert all(1 <= len(entry.skills) <= 3 for entry in made)
    assert made == enlarge(pool, size, seed)


def test_the_pool_keeps_the_proportions_of_the_seeds():
    pool = [Entry("math" if i % 4 else "poetry", (f"s{i}", f"t{i}"), "seed", (str(i),)) for i in range(40)]
    counts = Counter(entry.use_case for entry in enlarge(pool, 200, 0))
    assert counts == {"math": 150, "poetry": 50}


def test_equal_metadata_of_two_seeds_is_mixed_rather_than_repeated():
    pool = [Entry("math", ("sums", "units"), "seed", (str(i),)) for i in range(3)]
    made = enlarge(pool, 3, 0)
    assert [entry.origin for entry in made] == ["seed", "mixed", "mixed"]


def test_the_pool_stops_when_there_is_nothing_left_to_mix():
    assert len(enlarge([Entry("a", ("u",), "seed"), Entry("a", ("v",), "seed")], 200, 0)) == 3  # u, v, u+v


def test_entries_come_back_from_the_notes():
    notes = run(Encode(), seed_row(), Scripted([("", "Task: x\nSkills: a, b")]))
    assert entries_of(notes) == [Entry("x", ("a", "b"), "seed", ("seed0",))]


# Decode and Self-Rubrics


def test_every_entry_gives_the_same_number():
    listed = "\n".join(f"{i}. {word} is what?" for i, word in enumerate("one two three four five six".split(), 1))
    rows = run(Decode(count=4), ENTRY, Scripted([("", listed)]))
    assert [chat.turns[0].content for chat in rows] == [f"{word} is what?" for word in "one two three four".split()]
    assert all(chat.parents == [ENTRY.id] for chat in rows)
    assert len({chat.id for chat in rows}) == 4


def test_decode_asks_once_more_for_what_is_missing_and_leaves_out_copies():
    replies = iter(
        ["1. Greet a friend in French.\n2. Greet a friend, in French!", "1. Count to ten.\n2. Name a colour.\n3. Sing."]
    )
    rows = run(Decode(count=3), ENTRY, Scripted([("", lambda _: next(replies))]))
    assert [chat.turns[0].content for chat in only(Chat, rows)] == [
        "Greet a friend in French.",
        "Count to ten.",
        "Name a colour.",
    ]
    assert [drop.reason for drop in only(Drop, rows)] == ["copy"]


def test_a_stump_at_the_end_of_a_cut_off_list_is_left_out():
    rows = run(Decode(count=3), ENTRY, Scripted([("", Reply("1. Sing a song.\n2. Count to", "length"))]))
    assert [chat.turns[0].content for chat in only(Chat, rows)] == ["Sing a song."]


def test_self_rubrics_keep_both_lists_and_fall_back_with_a_word_about_it():
    text = "Rubrics:\n1. r1\n2. r2\nActions:\n1. a1\n2. a2\n3. a3\n4. a4"
    rows = run(SelfRubrics(), ENTRY, Scripted([("", text)]))
    assert [note.text for note in only(Note, rows) if note.kind == "action"] == ["a1", "a2", "a3", "a4"]
    assert only(Score, rows)[0].label == "model"
    rows = run(SelfRubrics(), ENTRY, Scripted([("", "sorry")]))
    assert len([note for note in only(Note, rows) if note.kind == "action"]) == 4
    assert (only(Score, rows)[0].label, only(Score, rows)[0].reason) == ("fallback", "sorry")


# Contrastive Filtering


@pytest.mark.parametrize(("scores", "winner"), [({"S": 9, "T": 2}, "S"), ({"S": 2, "T": 9}, "T")])
def test_either_side_may_win_and_the_pair_says_who(scores, winner):
    rows, *_ = duel(scores)
    answers, marks = only(Answer, rows), [score for score in only(Score, rows) if score.name == "contrast"]
    [pair], _ = (table.to_dicts() for table in BestWorst()(frame(Answer, answers), frame(Score, marks)))
    assert next(answer.text for answer in answers if answer.id == pair["chosen"]) == winner
    assert (pair["score_chosen"], pair["score_rejected"]) == (9, 2)
    assert [chat.id for chat in only(Chat, rows)] == [pair["prompt"]]


def test_both_orders_are_shown_and_a_judge_that_loves_the_first_place_sees_no_gap():
    first_place = ("Score two replies", "10 1")
    rows, strong, _ = duel({}, Contrast(rounds=1), rules=[first_place])
    shown = [SHOWN.search(text).groups() for text, *_ in strong.asked if "Score two" in text]
    assert shown == [("S", "T"), ("T", "S")]
    assert only(Score, rows)[0].value == 0
    assert only(Drop, rows)[0].reason == "under_theta"


@settings(deadline=None)
@given(st.integers(1, 10), st.integers(1, 10), st.sampled_from([0.0, 2.0, 3.0]))
def test_the_gap_is_strong_minus_target_and_theta_itself_is_carried(s, t, theta):
    rows, *_ = duel({"S": s, "T": t}, Contrast(theta=theta, rounds=1))
    gap = next(score for score in only(Score, rows) if score.name == "gap")
    assert gap.value == s - t
    assert gap.label == ("strong" if s - t > theta else "target" if t - s > theta else "carried")
    assert bool(only(Answer, rows)) == (abs(s - t) > theta)


def test_four_rounds_use_three_different_actions_and_the_first_is_the_basic_instruction():
    harder = iter(["Un?", "Deux mots?", "Trois mots ici?"])
    rows, strong, _ = duel({"S": 5, "T": 5}, improve=lambda _: next(harder))
    improved = [text for text, *_ in strong.asked if text.startswith("Make the")]
    assert len(improved) == 3
    assert len({re.search("Action: (.*)", text).group(1) for text in improved}) == 3
    table = acceptance(frame(Score, only(Score, rows)))
    assert table["round"].to_list() == [1, 2, 3, 4]
    assert table["tried"].to_list() == [1, 1, 1, 1]
    assert only(Drop, rows)[0].text == "Trois mots ici?"


def test_a_later_round_may_accept_and_the_lineage_leads_back():
    row = assignments([basic()], [ENTRY], [Note(ENTRY.id, "action", 0, "go")])[0]
    unequal = ("Score two.*Un peu", judge_by({"S": 9, "T": 1})[1])
    strong = Scripted([unequal, ("Score two", "5 5"), ("Make the", "Un peu plus?"), ENCODER, ("", "S")])
    rows = run(Contrast(), row, strong, Scripted([("", "T")], "target"), strong)
    [chat] = only(Chat, rows)
    assert chat.turns == [Turn("user", "Un peu plus?")]
    assert chat.parents == [row.id]
    assert acceptance(frame(Score, only(Score, rows))).select("round", "strong", "carried").rows() == [
        (1, 0, 1),
        (2, 1, 0),
    ]
    [link] = only(Note, rows)
    assert link.about == chat.id


def test_scores_that_cannot_be_read_are_no_gap_after_a_second_try():
    rows, strong, _ = duel({}, Contrast(rounds=1), rules=[("Score two", "both are fine")])
    assert len([text for text, *_ in strong.asked if "Score two" in text]) == 4  # two orders, two tries
    assert only(Score, rows)[0].value == 0
    assert "no scores in" in only(Score, rows)[0].reason


@pytest.mark.parametrize(
    ("harder", "reason"),
    [
        ("Say hello in French!", "copy"),
        ("", "empty"),
        ("x " * 1500, "too_long"),
        (Reply("cut", "length"), "too_long"),
        ("Say hello in French, and also use at least three rare words.", "copies_action"),
        ("What is a lemon?", "drifted"),
        (Reply("", "error", error="gone"), "engine_error"),
    ],
)
def test_a_rewrite_that_fails_a_guard_is_tried_once_more_and_then_dropped(harder, reason):
    notes = [Note(ENTRY.id, "action", i, "Use at least three rare words") for i in range(2)]
    row = assignments([basic()], [ENTRY], notes)[0]
    encoder = ("Name the use case.*lemon", "Use case: cookery\nSkills: fruit")
    rows, strong, _ = duel({"S": 5, "T": 5}, row=row, rules=[encoder], improve=harder)
    assert only(Drop, rows)[0].reason == reason
    assert len([text for text, *_ in strong.asked if text.startswith("Make the")]) == 2


def test_a_broken_strong_answer_accepts_nobody():
    stump = ("^Say hello", Reply("S", "length"))
    assert only(Drop, duel({"S": 1, "T": 9}, rules=[stump])[0])[0].reason == "strong_broken"
    assert only(Drop, duel({"S": 9, "T": 1}, rules=[stump])[0])[0].reason == "strong_broken"
    failed = ("^Say hello", Reply("", "error", error="out of memory"))
    assert [(drop.reason, drop.detail) for drop in only(Drop, duel({}, rules=[failed])[0])] == [
        ("engine_error", "out of memory")
    ]


def test_spares_leave_with_their_answers_and_are_marked_as_carried():
    rows, *_ = duel({"S": 6, "T": 5}, Contrast(rounds=1, spare=True))
    assert len(only(Answer, rows)) == 2
    assert only(Score, rows)[0].label == "carried"


def test_a_table_may_be_cut_anywhere_and_ids_are_unique():
    engine, weak = FakeEngine(FakeSpec(error_share=0.2)), FakeEngine(FakeSpec(model="weak"))
    notes = [Note(ENTRY.id, "action", i, f"do {i}") for i in range(4)]
    chats = [Chat(f"c{i}", [ENTRY.id], [Turn("user", f"Ask {i}")], "codeclm", "m", "0", None, "stop", 0, 0) for i in range(20)]
    rows = assignments(chats, [ENTRY], notes)

    async def together():
        return await asyncio.gather(*(Contrast()(row, engine, weak, engine) for row in rows))

    whole, alone = asyncio.run(together()), [run(Contrast(), row, engine, weak, engine) for row in rows]
    assert [list(part) for part in whole] == alone
    made = [row for part in alone for row in part]
    assert len({row.id for row in only(Drop, made)}) == len(only(Drop, made))
    assert len(only(Drop, made)) + len(only(Chat, made)) == 20
    named_rows = frame(Score, only(Score, made)).group_by("about", "name").len()
    assert named_rows["len"].max() == 1


def test_the_step_is_its_own_configuration():
    assert Contrast(theta=2).model_dump()["theta"] == 2
    with pytest.raises(ValueError, match="thetta"):
        Contrast(thetta=2)
    assert named(ENTRY, "skill") == ["french", "greetings"]
    assert isinstance(acceptance(frame(Score, [])), pl.DataFrame)
