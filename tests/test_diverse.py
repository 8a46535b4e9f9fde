"""Laws of diverse candidates: k different answers or k independent ones, none that betrays how it was asked for."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.flows.engines.spec import FakeSpec
from rookery.generators.diverse import CHANCE, HEADING, NegativelyCorrelated, Regenerated, Verbalized, cut, different
from rookery.schemas.llm import Choice, Reply
from rookery.schemas.tables import Answer, Chat, Drop, Note, Sampling, Turn

SAID = ("Ask your elders.", "Weigh the facts.", "Stay safe.", "Be yourself.<|im_end|>")
FOUR = "\n\n".join(f"# Response {letter}:\n{text}" for letter, text in zip("ABCD", SAID, strict=True))


@dataclass
class Told:
    """A model that says what it was told to, one reply after the other, and remembers what it was asked."""

    replies: list[str | Reply]
    several: float = 1.0
    model: str = "told"
    revision: str = "0"
    asked: list = field(default_factory=list)

    async def choose(self, turns, options):
        return Choice({"yes": self.several, "no": 1 - self.several}, 1.0)

    async def chat(self, turns, decoding, seed, schema=None, speaker="assistant"):
        self.asked.append((list(turns), decoding))
        said = self.replies[(len(self.asked) - 1) % len(self.replies)]
        return said if isinstance(said, Reply) else Reply(said, "stop", 5, 40)


def chat(*turns):
    return Chat(
        "p", [], list(turns) or [Turn("user", "Should I move?")], "magpie", "m", "r", Sampling(1, 1, 9, 0), "stop", 1, 1
    )


def run(step, model, row=None):
    made = asyncio.run(step(row or chat(), model))
    return [[row for row in made if isinstance(row, kind)] for kind in (Answer, Note, Drop)]


def test_four_answers_from_one_call_shuffled_and_stripped():
    model = Told([FOUR])
    answers, notes, drops = run(NegativelyCorrelated(), model)
    assert sorted(a.text for a in answers) == ["Ask your elders.", "Be yourself.", "Stay safe.", "Weigh the facts."]
    assert [a.ordinal for a in answers] == [0, 1, 2, 3]
    assert {a.method for a in answers} == {"negatively_correlated"}
    assert len({a.id for a in answers}) == 4
    places = {note.about: int(note.text) for note in notes}
    told = ["Ask your elders.", "Weigh the facts.", "Stay safe.", "Be yourself."]
    assert all(told[places[a.id]] == a.text for a in answers)
    assert sum(a.tokens_out for a in answers) in range(38, 43)
    assert drops == []
    ((turns, decoding),) = model.asked
    assert [turn.role for turn in turns] == ["system", "user"]
    assert "4 replies" in turns[0].content
    assert decoding.max_tokens == 4 * NegativelyCorrelated().max_tokens


def test_the_order_is_shuffled_by_the_prompt():
    orders = set()
    for i in range(12):
        row = Chat(f"p{i}", [], [Turn("user", "?")], "m", "m", "r", Sampling(1, 1, 9, 0), "stop", 1, 1)
        orders.add(tuple(a.text for a in run(NegativelyCorrelated(), Told([FOUR]), row)[0]))
    assert len(orders) > 4


def test_a_question_with_one_answer_gets_independent_samples():
    model = Told(["42"], several=0.2)
    answers, notes, drops = run(NegativelyCorrelated(), model)
    assert {a.method for a in answers} == {"independent"}
    assert len(answers) == 4
    assert notes == drops == []
    assert all(turns[0].role == "user" for turns, _ in model.asked)
    assert run(NegativelyCorrelated(guard=0), Told([FOUR], several=0.0))[0][0].method == "negatively_correlated"


def test_what_cannot_be_cut_is_asked_for_again_and_then_replaced():
    twice = "# Response A:\nYes.\n# Response B:\n yes. \n# Response C:\nNo.\n# Response D:\nMaybe."
    model = Told([twice, "no heading", FOUR])
    assert {a.method for a in run(NegativelyCorrelated(), model)[0]} == {"negatively_correlated"}
    assert len(model.asked) == 3
    model = Told([Reply(FOUR, "length", 5, 40)])
    answers, _, (*_, drop) = run(NegativelyCorrelated(tries=2), model)
    assert drop.reason == "not_k_answers"
    assert "3 different answers of 4 after 2 tries: length" in drop.detail
    assert answers == []  # the independent samples were cut off too, and say so
    answers, *_ = run(NegativelyCorrelated(), FakeSpec().build())
    assert {a.method for a in answers} <= {"independent", "negatively_correlated"}
    assert len(answers) == 4


def test_verbalized_answers_carry_what_was_said_of_them():
    answers, notes, _ = run(Verbalized(k=3), Told(["0.5: Be bold.\n0.30: Be safe.\n**20%**: Ask around."]))
    said = {note.about: note.text for note in notes if note.kind == "stated_probability"}
    assert {a.text: said[a.id] for a in answers} == {"Be bold.": "0.5", "Be safe.": "0.3", "Ask around.": "0.2"}


def test_regenerated_answers_are_asked_for_in_sight_of_those_before():
    model = Told(["one", "two", "three"])
    answers, _, _ = run(Regenerated(k=3), model)
    assert sorted(a.text for a in answers) == ["one", "three", "two"]
    assert [len(turns) for turns, _ in model.asked] == [1, 3, 5]
    assert [turn.content for turn in model.asked[2][0]][1::2] == ["one", "two"]


def test_the_instruction_joins_the_system_turn_that_is_there():
    model = Told([FOUR])
    run(NegativelyCorrelated(), model, chat(Turn("system", "Be kind."), Turn("user", "Hm?")))
    turns, _ = model.asked[0]
    assert [turn.role for turn in turns] == ["system", "user"]
    assert turns[0].content.startswith("Be kind.\n\nWrite 4")


def test_headings_in_the_wild():
    for text in (FOUR, FOUR.replace("# R", "**R").replace(":\n", ":**\n"), FOUR.replace(":\n", "\n"), FOUR.replace(" A:", " 1:"),
                 FOUR.replace(":\n", ": "), FOUR.replace("A:", "A (traditional):")):  # fmt: skip
        assert [p.text for p in cut(Reply(text, "stop"), HEADING)] == [
            "Ask your elders.",
            "Weigh the facts.",
            "Stay safe.",
            "Be yourself.",
        ]
    assert cut(Reply("Response A is better than Response B: it is short.", "stop"), HEADING) == []
    labelled = cut(Reply("# Response A:\nFrom a traditional point of view, ask your elders.", "stop"), HEADING)
    assert labelled[0].text == "ask your elders."
    assert cut(Reply("1. Wash it.\n2. Dry it.", "stop"), CHANCE) == []


@settings(max_examples=120, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["# Response A:", "Response 12", "0.3:", "\n", "x", "*", "é"]), max_size=12).map("".join)
)
def test_nothing_that_a_model_may_write_breaks_the_knife(text):
    for mark in (HEADING, CHANCE):
        for piece in different(cut(Reply(text, "stop"), mark)):
            assert piece.text.strip() == piece.text != ""
