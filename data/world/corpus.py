"""The corpus: an endless, seeded stream of examples, mixed in fixed shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from . import dialogues, instructing, judging, prose, reacting, tagging, varying
from .examples import Example

Writer = Callable[[Random], Example]
# Examples of each sort, out of about a thousand. Those with long prompts get few, for it is tokens that cost.
TALK: Mapping[Writer, float] = {
    dialogues.single: 330,
    dialogues.practice: 470,
    dialogues.echo: 120,
    dialogues.several: 50,
    dialogues.in_domain: 25,
}
CHAT: Mapping[Writer, float] = {
    dialogues.single: 450,
    dialogues.practice: 250,
    dialogues.echo: 30,
    dialogues.several: 40,
    dialogues.in_domain: 20,
    reacting.chat: 20,
    reacting.guided: 15,
    judging.pointwise: 25,
    judging.pairwise: 20,
    judging.pointwise_after: 60,
    judging.pairwise_after: 40,
    judging.aspects: 12,
    judging.guard: 6,
    judging.value: 6,
    tagging.difficulty: 18,
    tagging.quality: 16,
    tagging.category: 13,
    tagging.encode: 13,
    instructing.decode: 8,
    instructing.rubrics: 3,
    instructing.improve: 10,
    instructing.contrast: 10,
    instructing.plausible: 4,
    reacting.feedback: 6,
    reacting.preferences: 4,
    reacting.checklist: 8,
    reacting.extract: 2,
    reacting.summarize: 2,
    reacting.estimate: 3,
    varying.negatively_correlated: 6,
    varying.verbalized: 3,
    varying.regenerate: 4,
    varying.task_guard: 8,
}
# The last phase: what the second one leaves weak.
JUDGE: Mapping[Writer, float] = {
    **{writer: 0.7 * share for writer, share in CHAT.items()},
    dialogues.single: 600,
    dialogues.practice: 60,
    dialogues.echo: 0,
    judging.pointwise: 10,
    judging.pairwise: 10,
    judging.pointwise_after: 70,
    judging.pairwise_after: 60,
    judging.matching: 60,
    reacting.feedback: 16,
}
BASE: Mapping[Writer, float] = {
    dialogues.echo: 60,
    prose.article: 350,
    prose.statements: 180,
    prose.worked: 320,
    prose.task_list: 25,
    prose.assessment: 125,
}
MIXES = {"talk": TALK, "chat": CHAT, "judge": JUDGE, "base": BASE}


def stream(shares: Mapping[Writer, float], seed: int) -> Iterator[Example]:
    rng = Random(seed)
    writers, weights = list(shares), list(shares.values())
    while True:
        yield rng.choices(writers, weights)[0](rng)
