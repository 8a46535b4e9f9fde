"""I-SHEEP's parts: lists of tasks read with their traps, rules by name that let right answers pass, marks, thresholds, diversity."""

import asyncio
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.filters.assessment import Assess, kept, mark
from rookery.filters.isheep_rules import ANSWER_RULES, INSTRUCTION_RULES, answer_rules, instruction_rules
from rookery.filters.rules import funnel, partition
from rookery.generators.isheep import Instruct, Respond, draws, joined, listed, parted, pieces, seed_task, task_of
from rookery.schemas.llm import Reply
from rookery.schemas.prompts import prompt
from rookery.schemas.tables import Answer, Chat, Drop, Sampling, Score, Turn, frame
from rookery.selectors import rouge
from rookery.selectors.rouge import rouge_l

SEEDS = [(f"Name {i} fruits of the season", "" if i % 2 else f"season {i}") for i in range(8)]


class Scripted:
    """A model that says the given texts in turn, and keeps what it was asked."""

    model, revision = "scripted", "0"

    def __init__(self, *texts, finish="stop"):
        self.texts, self.finish, self.asked = list(texts), finish, []

    async def complete(self, text, decoding, seed):
        self.asked.append((text, decoding, seed))
        return Reply(self.texts.pop(0), self.finish, 5, 5)

    async def chat(self, turns, decoding, seed, schema=None, speaker="assistant"):
        return await self.complete(turns, decoding, seed)


def run(step, row, llm):
    return list(asyncio.run(step(row, llm)))


def chat(text, *more):
    turns = [Turn("user", text), *(Turn("assistant", answer) for answer in more)]
    return Chat("c", [], turns, "m", "m", "r", Sampling(1, 1, 9, 1), "stop", 1, 1)


# -- instructions --------------------------------------------------------------------------------------------------------


def continued(*tasks, end="###\n9. Instruction: cut o"):
    body = "\n".join(listed(number, task) for number, task in enumerate(tasks, 6))
    return body.removeprefix("###\n6. Instruction:") + "\n" + end


def test_three_whole_tasks_and_one_cut_off_are_three():
    text = continued(("Name two fruits", ""), ("Sort these words", "pear, fig"), ("Say hello to Anna", ""))
    llm = Scripted(text)
    [row] = draws(SEEDS, 1, 0)
    made = run(Instruct(), row, llm)
    assert [m.turns[-1].content for m in made] == ["Name two fruits", "Sort these words\npear, fig", "Say hello to Anna"]
    assert len({m.id for m in made}) == 3
    assert all(m.parents == [row.id] for m in made)


def test_the_prompt_shows_five_different_seeds_without_outputs_and_opens_the_sixth():
    rows = list(draws(SEEDS, 40, 3, 1))
    llm = Scripted(*[""] * 40)
    for row in rows:
        run(Instruct(), row, llm)
    for text, decoding, _ in llm.asked:
        assert text.startswith(prompt("isheep/generate").split("{{")[0])
        assert text.endswith("\n###\n6. Instruction:")
        shown = [line.partition(": ")[2] for line in text.split("\n") if ". Instruction: " in line]
        assert len(set(shown)) == 5
        assert decoding.stop == ("\n17. Instruction",)
    assert len({text for text, *_ in llm.asked}) > 30
    assert len({seed for *_, seed in llm.asked}) == 40
    assert [row.id for row in draws(SEEDS, 40, 3, 1)] == [row.id for row in rows]
    assert {row.id for row in draws(SEEDS, 40, 3, 2)}.isdisjoint(row.id for row in rows)


def test_a_text_that_holds_17_does_not_end_the_list():
    """The authors' stop string is `17`."""
    assert not any("What is 17 plus 1?\n".endswith(stop) for stop in Scripted().texts or ("\n17. Instruction",))
    assert task_of("\n6. Instruction: What is 17 plus 1?\n6. Input:\n<noinput>\n", 6) == ("What is 17 plus 1?", "")


@pytest.mark.parametrize(
    "piece",
    [
        "\n7. Instruction: Wrong number\n7. Input:\nx\n",
        "\n6. Instruction: No input section\n",
        "\n6. Instruction: a\n6. Instruction: b\n6. Input:\nx\n",
        "\n6. Instruction: a\n6. Input:\nx\n6. Input:\ny\n",
        "\n6. Input:\nx\n6. Instruction: turned round\n",
        "\n6. Instruction:  \n6. Input:\nx\n",
        "words before\n6. Instruction: a\n6. Input:\nx\n",
        "",
    ],
)
def test_what_is_no_single_task_is_not_read(piece):
    assert task_of(piece, 6) is None


def test_what_is_not_read_is_dropped_with_its_text():
    made = run(Instruct(), next(draws(SEEDS, 1, 0)), Scripted(" Only an instruction\n###\n7. In"))
    assert [(type(m), m.reason) for m in made] == [(Drop, "unread")]
    assert "Only an instruction" in made[0].text
    assert run(Instruct(), next(draws(SEEDS, 1, 0)), Scripted("", finish="error"))[0].reason == "engine_error"


INSTRUCTION = st.from_regex(r"[A-Z][a-z]+( [a-z0-9]+){3,9}", fullmatch=True)
INPUT = st.from_regex(r"([a-z,]+( |\n)?){0,8}", fullmatch=True)


@settings(deadline=None)
@given(st.lists(st.tuples(INSTRUCTION, INPUT), max_size=11))
def test_what_is_listed_is_read_back(tasks):
    tasks = [(instruction, given.strip()) for instruction, given in tasks]
    text = "".join(listed(number, task) + "\n" for number, task in enumerate(tasks, 6)).removeprefix("###\n6. Instruction:")
    read = [task_of(piece, number) for number, piece in enumerate(pieces(text + "###"), 6)] if tasks else []
    assert read == tasks
    assert [parted(joined(task)) for task in tasks] == tasks


def test_seeds_in_both_layouts():
    assert seed_task({"instruction": "Do  this:\n", "input": " it "}) == ("Do this", "it")
    assert seed_task({"instruction": "Do", "instances": [{"input": "it", "output": "x"}]}) == ("Do", "it")
    assert seed_task({"instruction": "Do", "input": None}) == ("Do", "")
    assert seed_task({"input": "it"}) is None


# -- answers -------------------------------------------------------------------------------------------------------------


def test_a_base_model_is_asked_in_raw_text_and_a_tuned_one_through_its_template():
    raw, tuned = Scripted("答案: 3"), Scripted(" 3 ")
    [answer] = run(Respond(), chat("Add these\n1, 2"), raw)
    assert (raw.asked[0][0], answer.text, answer.prompt) == ("Add these\n1, 2\n", "3", "c")
    [answer] = run(Respond(form="chat", system="Be brief."), chat("Add these\n1, 2"), tuned)
    assert tuned.asked[0][0] == [Turn("system", "Be brief."), Turn("user", "Add these\n1, 2")]
    assert run(Respond(form="chat"), chat("Hi"), quiet := Scripted("3"))
    assert [turn.role for turn in quiet.asked[0][0]] == ["user"]


def test_a_cut_off_answer_is_no_lesson():
    [drop] = run(Respond(), chat("Tell me all"), Scripted("It began", finish="length"))
    assert (drop.reason, drop.text) == ("cut_off", "It began")


# -- rules ---------------------------------------------------------------------------------------------------------------

ASKED, GIVEN, SAID = pl.col("i"), pl.col("g"), pl.col("a")
FINE = ("Name two fruits please", "", "An apple and a pear.")


def broken(rows, rules):
    table = pl.DataFrame(rows, schema={"i": pl.String, "g": pl.String, "a": pl.String}, orient="row")
    told = table.with_columns(pl.coalesce(*rules).alias("reason"))
    return told["reason"].to_list()


INSTRUCTIONS = [
    (("Name two fruits", ""), "length"),
    (("word " * 151, ""), "length"),
    (("Describe the image in words", ""), "beyond_text"),
    (("Sum up this text please", "The video shows"), "beyond_text"),
    (("*Name two fruits please", ""), "opening"),
    (("Écris deux fruits s'il te plaît", ""), "opening"),
    (("Name two fruits, noinput given", ""), "no_input"),
    (("Name two fruits please", "No input needed"), "no_input"),
    (("Name two fruits. Input: none", ""), "nested"),
    (("Name two fruits please", "pear\nOutput: fig"), "nested"),
    (("Read the page http://x.org now", ""), "link"),
    # what must pass
    (("Imagine a profile of a mapmaker", "An imagery, a filename and a paragraph"), None),
    (("What can you draft for me?", "Is no inputting needed?"), None),
    (("7 apples and 2 pears make?", ""), None),
]


@pytest.mark.parametrize(("task", "reason"), INSTRUCTIONS, ids=lambda value: str(value)[:40])
def test_rules_about_instructions(task, reason):
    assert broken([(*task, "")], instruction_rules(INSTRUCTION_RULES, ASKED, GIVEN)) == [reason]


ANSWERS = [
    (("", "", "  \n"), "empty"),
    (("", "", "Pear.\nUser: and now?"), "role_line"),
    (("", "", "Pear.\nQuestion\nWhat next?\nFig."), "role_line"),
    (("", "", "Answer Choices: x"), "answer_choices"),
    (("", "", "There is noinput here."), "no_input_in_answer"),
    (("", "", "Sure.\nCan you tell me more."), "can_you"),
    (("", "", "What do you think of it, then."), "do_you"),
    (("", "", "An apple.\n\nWhat is a pear?"), "asks"),
    (("", "", "What is 2 plus 4?"), "asks"),
    (("", "", "A. apple B. pear"), "options"),
    (("", "", "(a) apple\n(b) pear"), "options"),
    (("", "", "An apple 苹果."), "chinese"),
    (("Name <your name> in two words", "", "x"), "placeholder"),
    (("Name it in two words", "<insert text here>", "x"), "placeholder"),
    (("Name it in two words", "None.", "x"), "none"),
    (("Reverse the word pear now", "pear", "raep"), "input_repeated"),
    (("Reverse a no input word", "", "x"), "no_input_asked"),
    # right answers that the published rules drop
    (("", "", "Some fruits, i.e. apples, e.g. of the U.S.A."), None),
    (("", "", "It is rich in Vitamin C. That is good; plan B. is not needed."), None),
    (("", "", "See (a) above."), None),
    (("", "", "Why eat fruit?\n\nIt is good for you."), None),
    (("Nonetheless, say hello to nonesuch", "None but Anna", "x"), None),
    (("Make this bold in HTML", "<b>word</b> and <br>", "x"), None),
    (("Is x < 3 and y > 2 true?", "", "x"), None),
    (("Say it without an input here", "", "User: is a word of mine."), None),  # on the first line a name may stand
    (("Reverse the word pear now", "", "raep"), None),
]


@pytest.mark.parametrize(("row", "reason"), ANSWERS, ids=lambda value: str(value)[:40])
def test_rules_about_answers(row, reason):
    assert broken([row], answer_rules(ANSWER_RULES, ASKED, GIVEN, SAID)) == [reason]


def test_every_rule_is_tested_and_every_rule_can_be_switched_off():
    named = {reason for _, reason in (*INSTRUCTIONS, *ANSWERS)} - {None}
    assert named == {*INSTRUCTION_RULES, *ANSWER_RULES}
    for row, reason in ANSWERS:
        others = [name for name in ANSWER_RULES if name != reason]
        assert reason is None or broken([row], answer_rules(others, ASKED, GIVEN, SAID) or [pl.lit(None, dtype=pl.String)]) != [
            reason
        ]
    for one in (instruction_rules((), ASKED, GIVEN), answer_rules((), ASKED, GIVEN, SAID)):
        assert one == []


def test_rules_are_counted_by_name():
    rows = [FINE, ("a b c d", "", ""), ("a b c d", "", ""), ("a b c d", "", "Can you?")]
    table = pl.DataFrame(rows, schema={"i": pl.String, "g": pl.String, "a": pl.String}, orient="row")
    good, bad = partition(table, *answer_rules(ANSWER_RULES, ASKED, GIVEN, SAID))
    assert good.rows() == [FINE]
    assert funnel(bad).rows() == [("empty", 2), ("can_you", 1)]


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_no_text_breaks_the_rules_themselves(i, g, a):
    assert (
        len(
            broken(
                [(i, g, a)],
                [*instruction_rules(INSTRUCTION_RULES, ASKED, GIVEN), *answer_rules(ANSWER_RULES, ASKED, GIVEN, SAID)],
            )
        )
        == 1
    )


# -- marks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9||good", 9), (" 9.5||", 10), ("8.5", 8), ("score: 9", None), ("11", None), ("0||bad", None), ("10||x", 10),
        ("<9>||x", 9), ("The mark is 7||fair", 7), ("", None), ("||", None), ("good", None), ("9" * 400, None), ("10.4", 10),
        ("**8** || fine", 8),
    ],
)  # fmt: skip
def test_marks_are_read_as_the_authors_do(text, value):
    assert mark(text) == value


@settings(deadline=None)
@given(st.text())
def test_a_mark_is_nothing_or_from_one_to_ten(text):
    assert mark(text) in {None, *range(1, 11)}


def test_quality_comes_first_and_what_has_no_mark_is_not_marked_further():
    row = chat("Add these\n1, 2", "It is 3.")
    llm = Scripted("9||right", "10||follows")
    assert [(s.name, s.value) for s in run(Assess(), row, llm)] == [("quality", 9), ("following", 10)]
    assert "Instruction: Add these 1, 2\nResponse: It is 3.\n" in llm.asked[0][0]
    assert llm.asked[0][0] != llm.asked[1][0]
    [only] = run(Assess(), row, Scripted("fine answer"))
    assert (only.name, only.value) == ("quality", None)
    assert "no mark in 'fine answer'" in only.reason


def test_the_variants_ask_in_other_words_and_icl_asks_once():
    row = chat("Add", "3")
    asked = {}
    for variant in ("combined", "simple", "icl"):
        llm = Scripted("7||x", "8||y")
        scores = run(Assess(variant=variant), row, llm)
        asked[variant] = [text for text, *_ in llm.asked]
        assert [s.name for s in scores] == ["quality", "following"]
    assert [s.value for s in scores] == [7, 7]
    assert [len(texts) for texts in asked.values()] == [2, 2, 1]
    assert len({text for texts in asked.values() for text in texts}) == 5
    assert [s.name for s in run(Assess(criteria=("following",)), row, Scripted("7||x"))] == ["following"]


def test_grades_are_averaged_and_must_differ():
    llm = Scripted("7||", "nothing", "8||")
    [score, _] = run(
        Assess(grades=3, temperature=1.0, criteria=("quality", "following")), chat("a", "b"), Scripted(*llm.texts * 2)
    )
    assert score.value == 7.5
    with pytest.raises(ValueError, match="grades=3 at temperature 0"):
        Assess(grades=3)


def test_both_marks_must_exceed_the_threshold():
    marks = {"a": (9, 9), "b": (8, 10), "c": (10, 8), "d": (10, None), "e": (None, None), "f": (10, 10)}
    rows = [
        Chat(name, [], [Turn("user", "u"), Turn("assistant", "a")], "m", "m", "r", Sampling(1, 1, 9, 1), "stop", 1, 1)
        for name in marks
    ]
    scores = [
        Score(name, criterion, value, None, "j", None)
        for name, pair in marks.items()
        for criterion, value in zip(("quality", "following"), pair, strict=True)
    ]
    good, bad = kept(frame(Chat, rows), frame(Score, scores), 8, ("quality", "following"))
    assert good["id"].to_list() == ["a", "f"]
    assert dict(bad.select("id", "reason").rows()) == {
        "b": "low_quality",
        "c": "low_following",
        "d": "unmarked",
        "e": "unmarked",
    }
    assert bad.filter(pl.col("id") == "b")["detail"].item() == "quality 8.0, following 10.0"
    assert kept(frame(Chat, rows), frame(Score, scores), 7, ("quality",))[0]["id"].to_list() == ["a", "b", "c", "d", "f"]


# -- diversity -----------------------------------------------------------------------------------------------------------


def words(*numbers):
    return " ".join(f"w{n}" for n in numbers)


def test_above_seven_tenths_goes_and_seven_tenths_stays():
    ten = words(*range(10))
    at = words(*range(7), 20, 21, 22)  # 2 * 7 / 20
    other, above = words(*range(50, 57)), words(*range(50, 55), 60, 61)  # 2 * 5 / 14 is 0.714
    found = rouge_l(pl.Series([ten, at, other, above]))
    assert found.kept_N.tolist() == [True, True, True, False]
    assert found.like_N.tolist() == [-1, -1, -1, 2]
    assert found.similarity_N[3] == pytest.approx(10 / 14)


def brute(texts, published, limit, forget):
    def f(one, other):
        a, b = one.split(), other.split()
        lcs = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                lcs[i + 1][j + 1] = lcs[i][j] + 1 if x == y else max(lcs[i][j + 1], lcs[i + 1][j])
        return 2 * lcs[-1][-1] / max(1, len(a) + len(b))

    fresh, stays = [], []
    for text in texts:
        stays.append(all(f(text, other) <= limit + 1e-9 for other in [*published, *fresh]))
        if stays[-1]:
            fresh.append(text)
            if forget and len(fresh) >= forget:
                fresh.clear()
    return stays


SENTENCES = st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6).map(" ".join), max_size=12)


@settings(deadline=None)
@given(SENTENCES, SENTENCES, st.sampled_from([0.3, 0.5, 0.7, 1.0]), st.sampled_from([None, 1, 3]))
def test_it_is_the_greedy_walk_by_the_definition(texts, published, limit, forget):
    with patch.object(rouge, "_ROWS", 4):  # so that a few rows fill several blocks
        found = rouge_l(
            pl.Series(texts, dtype=pl.String),
            similarity=limit,
            published=pl.Series(published, dtype=pl.String),
            forget_after=forget,
        )
    assert found.kept_N.tolist() == brute(texts, published, limit, forget)


def test_forgetting_lets_the_same_question_in_again():
    """The authors' trap: what an earlier call accepted is not compared with."""
    texts = pl.Series(["What is the capital of France?", "Name a bird of the sea", "What is the capital of France?"])
    assert rouge_l(texts).kept_N.tolist() == [True, True, False]
    assert rouge_l(texts, forget_after=2).kept_N.tolist() == [True, True, True]
    assert rouge_l(texts, forget_after=2, published=texts.head(1)).kept_N.tolist() == [False, True, False]


def test_more_words_than_fit_below_the_surrogates():
    many = pl.Series([" ".join(f"{i}x{j}" for j in range(40)) for i in range(1600)])
    assert rouge_l(many).kept_N.all()


def test_answers_name_their_prompt():
    [answer] = run(Respond(), chat("Hello to you"), Scripted("Hi."))
    assert isinstance(answer, Answer)
    assert answer.method == "isheep_respond"
