"""Magpie on the fake engine, and on toy models whose every word is known: quotas, seeds, steering, turns, drops."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.flows.engines.fake import FakeEngine
from rookery.flows.engines.spec import FakeSpec
from rookery.generators.candidates import Independent
from rookery.generators.magpie import Domain, Heat, Magpie
from rookery.generators.magpie_turns import Length, MagpieTurns
from rookery.schemas.digest import digest, seed_of
from rookery.schemas.llm import Reply
from rookery.schemas.prompts import prompt
from rookery.schemas.quota import allotment, apportion
from rookery.schemas.tables import Chat, Drop, Note, Seed, Turn, conform, frame


class Scribe:
    """A model that says what it is told to, and remembers what it was asked."""

    model, revision = "scribe", "1"

    def __init__(self, say):
        self.say, self.asked = say, []

    async def chat(self, turns, decoding, seed, schema=None, speaker="assistant"):
        self.asked.append((list(turns), decoding, seed, speaker))
        said = self.say(turns, speaker)
        return said if isinstance(said, Reply) else Reply(said, "stop", 5, len(said.split()))


def seeds(count, turns=()):
    return [Seed(digest("seed", i), i, seed_of("seed", i), list(turns)) for i in range(count)]


def run(step, rows, *llms):
    async def all_rows():
        return await asyncio.gather(*(step(row, *llms) for row in rows))

    return [made for group in asyncio.run(all_rows()) for made in group]


def of(kind, rows):
    return [row for row in rows if isinstance(row, kind)]


def fake(**settings):
    return FakeEngine(FakeSpec(**settings))


def talk(turns, speaker):
    said = sum(turn.role == "user" for turn in turns)
    return f"Tell me of heron {said + 1}." if speaker == "user" else f"Heron {said} is grey."


# -- quotas ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 100), min_size=1, max_size=9).filter(lambda s: sum(s) > 0.01), st.integers(0, 500))
def test_quotas_are_exact_to_one_row(shares, rows):
    quota = apportion(shares, rows)
    assert sum(quota) == rows
    assert all(abs(got - rows * share / sum(shares)) < 1 + 1e-6 for got, share in zip(quota, shares, strict=True))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any), st.integers(1, 300))
def test_an_allotment_fills_its_quotas(shares, rows):
    choices = allotment(tuple(map(float, shares)), rows, "grid")
    assert [int((choices == i).sum()) for i in range(len(shares))] == apportion(shares, rows)


def test_shares_must_leave_something():
    with pytest.raises(ValueError, match="expected numbers of at least 0"):
        apportion([0.0, 0.0], 5)


def test_the_grid_of_the_paper_is_filled_to_the_row_and_mixed():
    grid = tuple(Heat(temperature=t, top_p=p, share=3) for t in (1.0, 1.1, 1.2) for p in (1.0, 0.995, 0.99))
    grid += tuple(Heat(temperature=1.25, top_p=p, share=1) for p in (1.0, 0.995, 0.99))
    step = Magpie(rows=3000, grid=grid)
    drawn = Counter((d.temperature, d.top_p) for d in map(step.decoding, range(3000)))
    assert {drawn[t, p] for t in (1.0, 1.1, 1.2) for p in (1.0, 0.995, 0.99)} == {300}
    assert {drawn[1.25, p] for p in (1.0, 0.995, 0.99)} == {100}
    early = Counter(step.decoding(i).temperature for i in range(300))
    assert all(early[t] > 60 for t in (1.0, 1.1, 1.2))


def test_grid_and_domains_are_independent():
    domains = (Domain(name="birds", prompt="Birds."), Domain(name="stones", prompt="Stones."))
    step = Magpie(rows=4000, grid=(Heat(temperature=1.0), Heat(temperature=1.2)), domains=domains)
    both = Counter((step.decoding(i).temperature, step.domain(i).name) for i in range(4000))
    assert all(900 < count < 1100 for count in both.values())


def test_one_temperature_or_a_grid():
    assert Magpie(rows=1, temperature=1.2).decoding(0).temperature == 1.2
    with pytest.raises(ValueError, match="beside a grid"):
        Magpie(rows=1, temperature=1.2, grid=(Heat(temperature=1.0),))
    step = Magpie(rows=1, grid=(Heat(temperature=1.0),))
    assert Magpie.model_validate(step.model_dump(mode="json")) == step


# -- one turn --------------------------------------------------------------------------------------------------------


def test_rows_conform_and_name_their_parents():
    rows = seeds(30)
    made = run(Magpie(rows=30), rows, fake(error_share=0.3))
    chats, drops = of(Chat, made), of(Drop, made)
    assert len(chats) + len(drops) == 30
    assert drops
    assert {drop.reason for drop in drops} == {"engine_error"}
    assert all(drop.detail == "injected fault" for drop in drops)
    conform(Chat, frame(Chat, chats))
    assert len({row.id for row in [*chats, *drops]}) == 30
    assert {parent for chat in chats for parent in chat.parents} <= {row.id for row in rows}
    assert all(chat.turns[-1].role == "user" for chat in chats)


def test_the_whole_is_its_shards():
    rows, step = seeds(20), Magpie(rows=20, grid=(Heat(temperature=1.0), Heat(temperature=1.2)))
    assert run(step, rows, fake()) == run(step, rows[:7], fake()) + run(step, rows[7:], fake())


def test_each_row_has_its_own_seed_and_says_so():
    made = of(Chat, run(Magpie(rows=20), seeds(20), fake()))
    assert len({chat.sampling.seed for chat in made}) == 20
    assert len({chat.turns[-1].content for chat in made}) == 20


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("Sort this.", "too_short"),
        ("Here are some: herons", "too_short"),
        ("<think>\nThe user wants</think> What is a heron?", "reasoning_leak"),
        (Reply("", "error", error="lost"), "engine_error"),
    ],
)
def test_what_is_no_instruction_is_dropped_with_its_reason(said, reason):
    [drop] = run(Magpie(rows=1), seeds(1), Scribe(lambda turns, speaker: said))
    assert (drop.stage, drop.reason) == ("generate", reason)
    assert drop.detail


def test_an_instruction_without_blanks_between_words_is_none_too_short():
    [chat] = run(Magpie(rows=1), seeds(1), Scribe(lambda turns, speaker: "苍鹭吃什么？"))
    assert chat.turns == [Turn("user", "苍鹭吃什么？")]


def test_the_raw_instruction_is_kept_where_the_sanitiser_changed_it():
    chat, *notes = run(Magpie(rows=1), seeds(1), Scribe(lambda t, s: "Q3: What is a heron?\nAnswer: a bird"))
    assert chat.turns[-1].content == "What is a heron?"
    assert {note.kind: note.text for note in notes} == {
        "raw_instruction": "Q3: What is a heron?\nAnswer: a bird",
        "sanitised_by": "label answer_marker",
    }
    assert [chat.id] * 2 == [note.about for note in notes]


def test_a_domain_steers_the_user_and_is_gone_when_someone_answers():
    scribe = Scribe(talk)
    made = run(Magpie(rows=4, domains=(Domain(name="math"), Domain(name="code", share=3))), seeds(4), scribe)
    assert Counter(turns[0].content for turns, *_ in scribe.asked) == {
        prompt("magpie/domains/math"): 1,
        prompt("magpie/domains/code"): 3,
    }
    assert all(turn.role != "system" for chat in of(Chat, made) for turn in chat.turns)
    assert Counter(n.text for n in of(Note, made) if n.kind == "domain") == {"math": 1, "code": 3}
    assert {n.text for n in of(Note, made) if n.kind == "system_prompt"} == {t[0].content for t, *_ in scribe.asked}


def test_a_domain_may_be_in_any_language_or_empty():
    scribe = Scribe(talk)
    domains = (Domain(name="german", prompt="Du bist ein Assistent. Nutzer fragen auf Deutsch."), Domain(name="any", prompt=""))
    run(Magpie(rows=2, domains=domains), seeds(2), scribe)
    assert sorted(len(turns) for turns, *_ in scribe.asked) == [0, 1]


def test_an_unknown_domain_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'maths'; there is .*math"):
        Domain(name="maths")


def test_a_seeds_own_system_turn_steers_and_its_conversation_stays():
    scribe = Scribe(talk)
    given_turns = [Turn("system", "Birds."), Turn("user", "What is a heron?"), Turn("assistant", "A bird.")]
    made = run(Magpie(rows=1), seeds(1, given_turns), scribe)
    assert scribe.asked[0][0] == given_turns
    assert of(Chat, made)[0].turns[:2] == given_turns[1:]


def test_bans_and_the_newline_stop_reach_the_engine():
    scribe = Scribe(talk)
    run(Magpie(rows=1, ban_first=("#",), stop_at_newline=True), seeds(1), scribe)
    run(Magpie(rows=1), seeds(1), scribe)
    assert [(d.stop, d.ban_first) for _, d, *_ in scribe.asked] == [(("\n",), ("#",)), ((), ())]


# -- several turns ---------------------------------------------------------------------------------------------------


def test_a_conversation_alternates_and_ends_with_the_user():
    writer, answerer = Scribe(talk), Scribe(talk)
    made = run(MagpieTurns(rows=1, lengths=(Length(turns=3),)), seeds(1), writer, answerer)
    [chat] = of(Chat, made)
    assert [turn.role for turn in chat.turns] == ["user", "assistant", "user", "assistant", "user"]
    assert [turn.content for turn in chat.turns[::2]] == [f"Tell me of heron {i}." for i in (1, 2, 3)]
    assert len(answerer.asked) == 2


def test_follow_ups_are_steered_and_answers_are_not():
    writer, answerer = Scribe(talk), Scribe(talk)
    run(MagpieTurns(rows=1, lengths=(Length(turns=3),), domains=(Domain(name="math"),)), seeds(1), writer, answerer)
    steering = [turns[0].content for turns, *_ in writer.asked]
    assert steering == [prompt("magpie/domains/math"), *[prompt("magpie/multi_turn")] * 2]
    assert all(turn.role != "system" for turns, *_ in answerer.asked for turn in turns)
    assert {decoding.temperature for _, decoding, *_ in answerer.asked} == {0.0}
    assert {speaker for *_, speaker in writer.asked} == {"user"}
    assert len({seed for _, _, seed, _ in writer.asked}) == 3


def test_a_model_without_a_system_slot_is_followed_up_unsteered():
    writer = Scribe(talk)
    run(MagpieTurns(rows=1, follow_up_prompt=""), seeds(1), writer, Scribe(talk))
    assert all(turn.role != "system" for turns, *_ in writer.asked for turn in turns)


def test_lengths_have_quotas():
    step = MagpieTurns(rows=40, lengths=(Length(turns=1, share=3), Length(turns=2)))
    made = of(Chat, run(step, seeds(40), fake(), fake()))
    assert Counter(len(chat.turns) for chat in made) == {1: 30, 3: 10}


@pytest.mark.parametrize(
    ("speaker", "said", "reason"),
    [
        ("user", "", "empty"),
        ("user", "Why?", "too_short"),
        ("user", Reply("", "error", error="lost"), "engine_error"),
        ("assistant", "", "empty"),
        ("assistant", Reply("The heron is", "length", 5, 3), "cut_off"),
        ("assistant", Reply("", "error", error="lost"), "engine_error"),
    ],
)
def test_a_conversation_that_breaks_off_is_dropped_with_its_turn(speaker, said, reason):
    def say(turns, who):
        return said if who == speaker and len(turns) > (who == "user") * 1 - (who == "assistant") * 1 else talk(turns, who)

    scribe = Scribe(say)
    [drop] = run(MagpieTurns(rows=1), seeds(1), scribe, scribe)
    assert drop.reason == reason
    assert drop.detail.startswith(("user turn 2", "answer 1"))


def test_reasoning_of_answers_is_kept_apart():
    def thinking(turns, speaker):
        return Reply("Herons are grey.", "stop", 5, 9, "", "They ask of herons.")

    made = run(MagpieTurns(rows=1), seeds(1), Scribe(talk), Scribe(thinking))
    assert [n.text for n in of(Note, made) if n.kind == "reasoning"] == ["They ask of herons."]
    chat = of(Chat, made)[0]
    answers = run(Independent(k=2), [chat], Scribe(thinking))
    notes = of(Note, answers)
    assert [n.kind for n in notes] == ["reasoning"] * 2
    assert {n.about for n in notes} == {a.id for a in answers if not isinstance(a, Note)}
