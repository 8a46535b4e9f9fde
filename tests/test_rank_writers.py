"""Laws of ranking writers: the familiar style wins, a question never sees its own answer, every writer sees the same."""

from math import exp, log

import pytest

from rookery.flows.rank_writers import RankError, own_correct, rank_writers, table
from rookery.schemas.tables import Answer, Chat, Sampling, Turn, frame

DRAWN = Sampling(0.8, 1.0, 64, 7)


def chat(name):
    return Chat(name, [], [Turn("system", "s"), Turn("user", f"question {name}?")], "m", "m", "r", DRAWN, "stop", 1, 1)


def answer(prompt, method, text, ordinal=0):
    return Answer(f"{prompt}-{method}-{ordinal}", prompt, ordinal, text, method, "m", "r", DRAWN, "stop", 1, 1)


def tables(n=8, **styles):
    chats = [chat(f"p{i}") for i in range(n)]
    answers = [answer(c.id, method, f"{style} about {c.id}") for c in chats for method, style in styles.items()]
    own = [answer(c.id, "own", f"plain words about {c.id}") for c in chats]
    return frame(Chat, chats), frame(Answer, answers), frame(Answer, own)


class Overlap:
    """Surprise falls with the words that an answer shares with the examples; remembers what it was shown."""

    def __init__(self):
        self.shown = []

    def __call__(self, turns, text):
        self.shown.append((turns, text))
        known = set(turns[-1].content.split())
        return 1.0 + sum(word not in known for word in text.split()) / len(text.split()) + len(text) / 1000


def test_the_writer_that_sounds_like_the_target_comes_first():
    ranks = rank_writers(*tables(baroque="verily methinks", plain="plain words"), Overlap())
    assert [r.writer for r in ranks] == ["plain by m", "baroque by m"]
    assert ranks[0].mean < ranks[1].mean
    assert ranks[0].beats_next > 0.95
    assert ranks[1].beats_next != ranks[1].beats_next
    assert ranks[0].answers == 8
    assert ranks[0].log_mean == pytest.approx(log(ranks[0].mean), abs=0.1)
    assert "too close" not in table(ranks)


def test_no_question_sees_its_own_answer_and_all_writers_see_the_same():
    seen = Overlap()
    rank_writers(*tables(a="one", b="two"), seen)
    shown = {}
    for turns, text in seen.shown:
        prompt = text.split()[-1]
        assert f"question {prompt}?" in turns[-1].content
        assert f"words about {prompt}" not in turns[-1].content
        assert turns[-1].content.count("plain words about") == 3
        assert turns[0] == Turn("system", "s")
        shown.setdefault(prompt, set()).add(turns[-1].content)
    assert all(len(contexts) == 1 for contexts in shown.values())
    assert len({next(iter(c)).split("?")[1] for c in shown.values()}) > 1


def test_two_alike_are_too_close_to_call():
    text = table(rank_writers(*tables(a="plain words", b="plain words"), Overlap()))
    assert "too close to call" in text


def test_only_shared_questions_count_and_the_first_answer_of_each():
    chats, answers, own = tables(a="one", b="two")
    fewer = answers.filter((answers["method"] == "a") | answers["prompt"].is_in(["p1", "p2", "p3"]))
    assert [r.answers for r in rank_writers(chats, fewer, own, Overlap())] == [3, 3]
    assert [r.answers for r in rank_writers(chats, answers, own, Overlap(), most=5)] == [5, 5]


def test_the_mean_is_of_perplexities_not_of_losses():
    losses = iter([1.0, 3.0, 2.0, 2.0])
    ranks = rank_writers(*tables(n=2, a="x", b="y"), lambda turns, text: next(losses), examples=1)
    assert {round(r.mean, 6) for r in ranks} == {round((exp(1) + exp(3)) / 2, 6), round(exp(2), 6)}


def test_what_cannot_be_ranked_is_refused():
    chats, answers, own = tables(a="one", b="two")
    with pytest.raises(RankError, match="a ranking needs two"):
        rank_writers(chats, answers.filter(answers["method"] == "a"), own, Overlap())
    half = answers.filter((answers["method"] == "a") == answers["prompt"].is_in(["p1"]))
    with pytest.raises(RankError, match="no question has an answer from every writer"):
        rank_writers(chats, half, own, Overlap())
    with pytest.raises(RankError, match="own answers to questions other than"):
        rank_writers(chats, answers, own.head(3), Overlap())
    with pytest.raises(RankError, match="fits the model's window"):
        rank_writers(chats, answers, own, lambda turns, text: float("nan"))


def test_correct_answers_are_named_in_a_file(tmp_path):
    _, _, own = tables(a="one")
    (tmp_path / "ids").write_text("p1-own-0\n\np2-own-0\n")
    kept, checked = own_correct(own, tmp_path / "ids")
    assert kept["prompt"].to_list() == ["p1", "p2"]
    assert checked
    assert own_correct(own, None)[1] is False
