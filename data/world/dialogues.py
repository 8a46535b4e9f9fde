"""Natural dialogues: one turn or several, with and without a system message."""

from __future__ import annotations

from random import Random

from ...schemas.prompts import prompt
from .entities import NOUNS, TOWNS, WORDS
from .examples import Example, Piece, dialogue
from .followups import draw_followup
from .tasks import draw_task, right_reply

_ECHOED = (*WORDS, *TOWNS, *NOUNS.values(), "Monday", "March", "positive", "red", "Yes")
DOMAINS = {
    "math": ("arithmetic", "word problems", "units"),
    "code": ("python",),
    "translation": ("translation",),
    "advice": ("advice",),
    "editing": ("string edits", "rewriting"),
}


def single(rng: Random) -> Example:
    task = draw_task(rng)
    return dialogue(
        "single", [{"role": "user", "content": task.instruction}, {"role": "assistant", "content": right_reply(task, rng)}]
    )


# Families that take practice, by how much more of it they get than the rest.
PRACTISED = {
    "arithmetic": 4, "word problems": 3, "string edits": 4, "sorting": 3, "comparison": 3, "dates": 3, "python": 3,
    "translation": 3, "classification": 2, "units": 2, "counting": 2, "place": 3,
}  # fmt: skip


def practice(rng: Random) -> Example:
    task = draw_task(rng, rng.choices(list(PRACTISED), list(PRACTISED.values()))[0], constrained=0.15, wrapped=0.3)
    return dialogue("practice", [
        {"role": "user", "content": task.instruction}, {"role": "assistant", "content": right_reply(task, rng)},
    ])  # fmt: skip


def echo(rng: Random) -> Example:
    """Words and numbers said twice: nothing else teaches a small model so fast to look back at what it was told."""
    words = [rng.choice(_ECHOED) if rng.random() < 0.6 else str(rng.randint(0, 99)) for _ in range(rng.randint(3, 16))]
    line = ", ".join(words)
    return Example("echo", (Piece(f"{line}\n", 0.0), Piece(f"{line}\n", 1.0), Piece(line, 1.0)))


def several(rng: Random) -> Example:
    """Two or three turns; now and then the user brings up something else."""
    system = rng.random() < 0.15
    task = draw_task(rng)
    messages = [{"role": "user", "content": task.instruction}, {"role": "assistant", "content": right_reply(task, rng)}]
    for _ in range(rng.choice((1, 1, 2))):
        step = draw_followup(task, rng) if rng.random() < 0.85 else None
        if step is None:
            task = draw_task(rng)
            text = task.instruction
        else:
            text, task = step
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": right_reply(task, rng)}]
    head = [{"role": "system", "content": prompt("magpie/multi_turn")}] if system else []
    return dialogue("several", head + messages)


def in_domain(rng: Random) -> Example:
    """A system message that names a domain, and a user who keeps to it."""
    domain = rng.choice(list(DOMAINS))
    task = draw_task(rng, rng.choice(DOMAINS[domain]))
    return dialogue(
        "domain",
        [
            {"role": "system", "content": prompt(f"magpie/domains/{domain}")},
            {"role": "user", "content": task.instruction},
            {"role": "assistant", "content": right_reply(task, rng)},
        ],
    )
