"""Examples of reading feedback: signals, wishes, checklists, and SPUR's rubrics."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

from .constraints import fitting
from .examples import Example, Piece, dialogue, prompted, say
from .feedback import DSAT, MEANINGS, SAT, Turn, conversation, numbered, wishes
from .judging import replies
from .tasks import draw_task, right_reply


def chat(rng: Random) -> Example:
    """A natural conversation with reactions; what is wrong in it is read but not learnt."""
    pieces: list[Piece] = []
    for turn in conversation(rng):
        one = dialogue(
            "reactions",
            [{"role": "user", "content": turn.user}, {"role": "assistant", "content": turn.reply}],
            trained=("user", "assistant") if turn.good else ("user",),
        )
        pieces += one.pieces
    return Example("reactions", tuple(pieces))


def labels(turns: list[Turn]) -> str:
    found = [
        {
            "turn": number,
            "state": turn.reaction.state,
            "sat": list(turn.reaction.sat),
            "dsat": list(turn.reaction.dsat),
            "reason": turn.reaction.reason,
        }
        for number, turn in enumerate(turns, 1)
    ]
    return json.dumps(found)


def feedback(rng: Random) -> Example:
    turns = conversation(rng)
    return prompted("feedback", say("wildfeedback/feedback", utterances=numbered(turns)), labels(turns))


def preferences(rng: Random) -> Example:
    while not (wanted := wishes(turns := conversation(rng))):
        pass
    reply = "\n".join(f"- {wish}" for wish in wanted[:5])
    return prompted("preferences", say("wildfeedback/preferences", conversation=numbered(turns)), reply)


def guided(rng: Random) -> Example:
    """A system message with wishes, and a reply that meets them unasked."""
    while not (forms := fitting((task := draw_task(rng, constrained=0.0)).solution)):
        pass
    form = rng.choice(forms)
    system = say("wildfeedback/guided_system", preferences=f"- {form.preference}")
    return dialogue(
        "guided",
        [
            {"role": "system", "content": system},
            {"role": "user", "content": task.instruction},
            {"role": "assistant", "content": right_reply(replace(task, constraint=form), rng)},
        ],
        trained=("assistant",),
    )


def checklist(rng: Random) -> Example:
    while not (forms := fitting((task := draw_task(rng, constrained=0.0)).solution)):
        pass
    form = rng.choice(forms)
    better, worse = replies(rng, replace(task, constraint=form))
    letter = rng.choice("AB")
    one, two = (better, worse) if letter == "A" else (worse, better)
    prompt = say(
        "wildfeedback/checklist",
        instruction=task.instruction,
        preferences=f"- {form.preference}",
        response_a=one,
        response_b=two,
    )
    return prompted("checklist", prompt, letter)


def _signals(turns: list[Turn], pleased: bool) -> list[str]:
    return list(dict.fromkeys(name for turn in turns for name in (turn.reaction.sat if pleased else turn.reaction.dsat)))


def extract(rng: Random) -> Example:
    pleased = rng.random() < 0.5
    while not (names := _signals(turns := conversation(rng), pleased)):
        pass
    reply = "\n".join(f"- {MEANINGS[name]}" for name in names[:3])
    label = "satisfied" if pleased else "dissatisfied"
    return prompted("extract", say("wildfeedback/spur_extract", label=label, conversation=numbered(turns)), reply)


def summarize(rng: Random) -> Example:
    pleased = rng.random() < 0.5
    names = SAT if pleased else DSAT
    known = rng.sample(names, rng.randint(0, 4))
    fresh = rng.sample(names, rng.randint(1, 4))
    rubric = [f"- {name}: {MEANINGS[name]}" for name in known]
    reasons = "\n".join(f"- {MEANINGS[name]}" for name in fresh)
    merged = rubric + [f"- {name}: {MEANINGS[name]}" for name in fresh if name not in known]
    label = "satisfied" if pleased else "dissatisfied"
    return prompted(
        "summarize",
        say("wildfeedback/spur_summarize", label=label, rubric="\n".join(rubric) or "(empty)", reasons=reasons),
        "\n".join(merged[:10]),
    )


def estimate(rng: Random) -> Example:
    turns = conversation(rng)
    shown = _signals(turns, pleased=True) + _signals(turns, pleased=False)
    name = rng.choice(shown) if shown and rng.random() < 0.5 else rng.choice(SAT + DSAT)
    prompt = say("wildfeedback/spur_estimate", item=f"{name}: {MEANINGS[name]}", conversation=numbered(turns))
    return prompted("estimate", prompt, "yes 8" if name in shown else "no 0")
