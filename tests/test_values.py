"""Laws of values: a verdict needs to be sure, and coverage counts prompts, not replies."""

import asyncio
from dataclasses import dataclass

from rookery.filters.values import Values, coverage
from rookery.schemas.llm import Choice
from rookery.schemas.tables import Answer, Chat, Sampling, Score, Turn, frame

DRAWN = Sampling(1, 1, 9, 0)


@dataclass
class Reader:
    """Reads the letter that a reply names, with the probability that it is given."""

    share: float = 0.7
    mass: float = 1.0
    model: str = "reader"
    revision: str = "0"

    async def choose(self, turns, options):
        said = turns[-1].content.split("Reply:\n")[1][0]
        rest = (1 - self.share) / 3
        return Choice({o: self.share if o == said else rest for o in options}, self.mass)


def judged(text, reader):
    row = Chat("a", [], [Turn("user", "?"), Turn("assistant", text)], "m", "m", "r", DRAWN, "stop", 1, 1)
    return asyncio.run(Values()(row, reader))[0]


def test_the_likeliest_value_is_the_label_if_it_is_sure():
    assert judged("C, safety first", Reader()).label == "survival"
    unsure = judged("C, safety first", Reader(share=0.4))
    assert (unsure.label, unsure.value, unsure.reason) == (None, 0.4, None)
    assert "0.010 of the probability" in judged("C", Reader(mass=0.01)).reason


def test_coverage_counts_prompts_and_keeps_methods_apart():
    labels = {"p": ["traditional", "traditional"], "q": ["traditional", "survival"], "r": [None, None]}
    answers = [
        Answer(f"{m}{p}{i}", p, i, "x", m, "m", "r", DRAWN, "stop", 1, 1)
        for m in ("one", "two")
        for p in labels
        for i in range(2)
    ]
    scores = [Score(f"one{p}{i}", "value", 0.9, label, "j", None) for p, pair in labels.items() for i, label in enumerate(pair)]
    one, two = coverage(frame(Answer, answers), frame(Score, scores)).iter_rows(named=True)
    assert (one["prompts"], round(one["traditional"], 3), round(one["survival"], 3), one["secular"]) == (3, 0.667, 0.333, 0.0)
    assert one["mean"] == (2 / 3 + 1 / 3) / 4
    assert two["mean"] == 0.0
