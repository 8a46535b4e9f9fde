"""Natural dialogues: one turn or several, with and without a system message."""

from __future__ import annotations

from random import Random

from ...schemas.prompts import prompt
from .examples import Example, dialogue
from .followups import draw_followup
from .tasks import draw_task, right_reply

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
