"""The corpus: an endless, seeded stream of examples, mixed in fixed shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from . import dialogues, instructing, judging, prose, reacting, tagging, varying
from .examples import Example

Writer = Callable[[Random], Example]
# Examples of each sort, out of about a thousand. Those with long prompts get few, for it is tokens that cost.
CORE: Mapping[Writer, float] = {
    dialogues.single: 600,
    dialogues.several: 70,
    dialogues.in_domain: 30,
    judging.pointwise: 75,
    judging.pairwise: 65,
    judging.aspects: 15,
    judging.guard: 15,
    judging.value: 10,
    tagging.difficulty: 35,
    tagging.quality: 25,
    tagging.category: 25,
    tagging.encode: 25,
}
TALK: Mapping[Writer, float] = {
    dialogues.single: 330,
    dialogues.practice: 470,
    dialogues.echo: 120,
    dialogues.several: 50,
    dialogues.in_domain: 25,
}
CHAT: Mapping[Writer, float] = {
    dialogues.single: 560,
    dialogues.several: 50,
    dialogues.in_domain: 25,
    reacting.chat: 30,
    reacting.guided: 20,
    judging.pointwise: 75,
    judging.pairwise: 60,
    judging.aspects: 15,
    judging.guard: 8,
    judging.value: 8,
    tagging.difficulty: 20,
    tagging.quality: 18,
    tagging.category: 15,
    tagging.encode: 15,
    instructing.decode: 14,
    instructing.rubrics: 4,
    instructing.improve: 15,
    instructing.contrast: 18,
    instructing.plausible: 5,
    reacting.feedback: 11,
    reacting.preferences: 6,
    reacting.checklist: 12,
    reacting.extract: 3,
    reacting.summarize: 2,
    reacting.estimate: 5,
    varying.negatively_correlated: 8,
    varying.verbalized: 4,
    varying.regenerate: 5,
    varying.task_guard: 10,
}
BASE: Mapping[Writer, float] = {
    prose.article: 350,
    prose.statements: 180,
    prose.worked: 320,
    prose.task_list: 25,
    prose.assessment: 125,
}
MIXES = {"core": CORE, "talk": TALK, "chat": CHAT, "base": BASE}


def stream(shares: Mapping[Writer, float], seed: int) -> Iterator[Example]:
    rng = Random(seed)
    writers, weights = list(shares), list(shares.values())
    while True:
        yield rng.choices(writers, weights)[0](rng)
