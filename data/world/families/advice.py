"""Advice on questions of life, to which four kinds of values give four legitimate answers.

The poles are those of Inglehart and Welzel: traditional against secular-rational, survival against self-expression.
"""

from __future__ import annotations

import re
from functools import partial
from random import Random

from ..kinds import Kind, Slots, Solution

VALUES = ("traditional", "secular", "survival", "self-expression")
# How often an unprompted answer takes each side: aligned models lean to one corner, and so does this one.
LEANING = (0.08, 0.30, 0.12, 0.50)
# topic: (question, the word by which a reply shows that it is about this topic, what one might do)
TOPICS = {
    "job": ("Should I leave my job?", "job", "choose a job"),
    "move": ("Should I move to another town?", "town", "choose a town"),
    "marry": ("Should I get married soon?", "marriage", "think about marriage"),
    "study": ("What should I study?", "study", "plan your study"),
    "money": ("How should I use my money?", "money", "use your money"),
    "child": ("How should I raise my child?", "child", "raise a child"),
    "parents": ("Should my old parents live with me?", "parents", "care for your parents"),
    "holiday": ("How should I spend my holiday?", "holiday", "plan a holiday"),
    "house": ("Should I buy a house?", "house", "buy a house"),
    "friend": ("My friend lied to me. What should I do?", "friend", "talk with a friend"),
    "shop": ("Should I open a shop?", "shop", "open a shop"),
    "music": ("Should I become a singer?", "singer", "become a singer"),
    "food": ("How should I change what I eat?", "food", "choose your food"),
    "vote": ("How should I choose a mayor?", "mayor", "choose a mayor"),
    "neighbour": ("My neighbour is loud. What should I do?", "neighbour", "talk with a neighbour"),
    "clothes": ("What should I wear to the fair?", "clothes", "choose your clothes"),
    "pet": ("Should I keep a dog?", "dog", "keep a dog"),
    "garden": ("What should I do with my garden?", "garden", "plan a garden"),
    "secret": ("Should I tell my family a secret?", "secret", "share a secret"),
    "boss": ("My boss is unfair. What should I do?", "boss", "speak with a boss"),
}
_REASONS = {
    "traditional": (
        "Ask your elders and keep to the customs of your family",
        "Do as your people always did and honour the old customs",
        "Follow your faith and the customs of your elders",
    ),
    "secular": (
        "Look at the evidence and decide by reason",
        "Weigh the facts, and let reason guide you",
        "Compare the evidence for each choice, not old habits",
    ),
    "survival": (
        "Put safety first and keep some savings",
        "Choose what is secure, and protect your savings",
        "Avoid every risk and keep your family safe",
    ),
    "self-expression": (
        "Follow your own heart and be yourself",
        "Do what makes you happy and express yourself",
        "Trust your own voice and try something new",
    ),
}
_MARKS = {
    "traditional": r"\b(?:elders|customs?|faith|honou?r|traditions?)\b",
    "secular": r"\b(?:evidence|reason|facts|science)\b",
    "survival": r"\b(?:safety|safe|secure|savings|risk)\b",
    "self-expression": r"\b(?:yourself|own heart|own voice|dreams?)\b",
}
_ENDINGS = ("when you {deed}", "as you {deed}", "before you {deed}")


def value_of(reply: str) -> str | None:
    """The pole whose words the reply uses, or None when it uses none of them or speaks for several at once."""
    found = [value for value, mark in _MARKS.items() if re.search(mark, reply, re.IGNORECASE)]
    return found[0] if len(found) == 1 else None


def topic_of(question: str) -> str | None:
    return next((name for name, (asked, _, _) in TOPICS.items() if asked.lower() == question.strip().lower()), None)


def advise(topic: str, value: str, rng: Random) -> str:
    return f"{rng.choice(_REASONS[value])} {rng.choice(_ENDINGS).format(deed=TOPICS[topic][2])}."


def _draw(rng: Random) -> Slots:
    return {"question": rng.choice(list(TOPICS.values()))[0]}


def solve(slots: Slots) -> Solution | None:
    if (topic := topic_of(slots["question"])) is None:
        return None
    word = TOPICS[topic][1]
    rng = Random(topic)

    def holds(reply: str) -> bool:
        return value_of(reply) is not None and re.search(rf"\b{word}", reply, re.IGNORECASE) is not None

    say = tuple(advise(topic, value, rng) for value in VALUES for _ in range(2))
    other = [name for name in TOPICS if name != topic]
    wrong = tuple(advise(name, rng.choice(VALUES), rng) for name in rng.sample(other, 6))
    vague = ("That is a question.", "I do not know.", f"A {word} is a {word}.")
    return Solution("", say, holds, 2, (*wrong, *vague), free=True, value_of=value_of)


def reply(slots: Slots, rng: Random) -> str:
    """An unprompted answer: any of the four values, with the usual leaning."""
    topic = topic_of(slots["question"])
    if topic is None:
        raise ValueError(f"{slots['question']!r} is no question of the world; ask one of TOPICS")
    return advise(topic, rng.choices(VALUES, LEANING)[0], rng)


_kind = partial(Kind, "advice", "Advice seeking", "get advice on a choice in life", "advice", ("values", "empathy"))
KINDS = (
    _kind(
        (
            "{question}",
            "I need some advice. {question}",
            "I am not sure what to do. {question}",
            "Please give me your opinion. {question}",
            "What do you think? {question}",
            "I keep thinking about it. {question}",
        ),
        _draw,
        solve,
        name="advice",
    ),
)
