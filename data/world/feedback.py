"""Conversations in which users react, with the reaction known.

The eighteen signals are WildFeedback's (arXiv 2408.15549), nine of satisfaction and nine of dissatisfaction. A label on
a user turn judges the reply before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from .constraints import Constraint, fitting
from .judging import replies
from .tasks import Task, draw_task, right_reply

SAT = (
    "Gratitude",
    "Learning",
    "Compliance",
    "Praise",
    "Personal Details",
    "Humor",
    "Acknowledgment",
    "Positive Closure",
    "Getting There",
)
DSAT = (
    "Negative Feedback",
    "Revision",
    "Factual Error",
    "Unrealistic Expectation",
    "No Engagement",
    "Ignored",
    "Lower Quality",
    "Insufficient Detail",
    "Style",
)
MEANINGS = {
    "Gratitude": "thanks the assistant",
    "Learning": "is glad to have learnt something",
    "Compliance": "follows the advice",
    "Praise": "praises the reply",
    "Personal Details": "shares something personal",
    "Humor": "jokes in a friendly way",
    "Acknowledgment": "confirms that it is understood",
    "Positive Closure": "ends on a good note",
    "Getting There": "finds it nearly right",
    "Negative Feedback": "is openly annoyed",
    "Revision": "asks for a new version",
    "Factual Error": "says that the reply is wrong",
    "Unrealistic Expectation": "does not accept the limits",
    "No Engagement": "does not take up the reply",
    "Ignored": "says the wish was ignored",
    "Lower Quality": "finds others better",
    "Insufficient Detail": "wants more detail",
    "Style": "dislikes the form or tone",
}
SAYINGS = {
    "Gratitude": ("Thanks, that helps.", "Thank you so much!", "Many thanks for that.", "Thanks a lot, friend."),
    "Learning": ("I did not know that, how interesting.", "Oh, I learnt something new.", "Now I understand it better."),
    "Compliance": ("I will do as you say.", "Good idea, I will try that.", "I will follow your advice."),
    "Praise": ("Great answer!", "Well done, that is perfect.", "That is a wonderful reply.", "Excellent work!"),
    "Personal Details": (
        "I am a baker, so this matters to me.",
        "I ask because my child is at school.",
        "My wife will be glad to hear it.",
    ),
    "Humor": ("Ha ha, you are funny.", "You should be the mayor, ha ha!", "Ha, my horse could not do that."),
    "Acknowledgment": ("Ok, I see.", "Yes, that makes sense.", "Right, I agree.", "Ok, got it."),
    "Positive Closure": ("That is all I need. Goodbye!", "Perfect, see you soon.", "All good now, bye!"),
    "Getting There": ("That is close, but not quite it.", "Better, but not there yet.", "Almost what I want."),
    "Negative Feedback": ("This is useless.", "You make me angry.", "What a bad answer.", "I am tired of this."),
    "Revision": ("Please write it again.", "Can you change that?", "Please give me another version.", "Say it in another way."),
    "Factual Error": ("That is wrong.", "No, that is not right.", "That is a mistake. Try again.", "Not correct, try again."),
    "Unrealistic Expectation": ("Why can you not know? Just tell me!", "You must know everything.", "I do not care, find out."),
    "No Engagement": ("Never mind.", "Whatever.", "Let us talk of something else."),
    "Ignored": ("You ignored what I asked.", "You did not read my question.", "That is not what I asked for."),
    "Lower Quality": ("The other helper was better.", "You used to be better.", "Others do this better than you."),
    "Insufficient Detail": ("I need more detail.", "Tell me more.", "That is too vague."),
    "Style": ("I do not like the tone.", "Please write in a nicer style.", "This is hard to read."),
}
STATES = {"Positive Closure": "POSITIVE_CLOSURE"}
_ANSWERS = {True: ("You are welcome!", "Glad to help!", "With pleasure."), False: ("I am sorry.", "I am sorry to hear that.")}
_WISHES = {
    "Factual Error": "wants correct facts",
    "Ignored": "wants the question itself answered",
    "Insufficient Detail": "wants more detail",
    "Style": "wants a pleasant style",
    "Revision": "wants another version",
    "Negative Feedback": "wants a helpful answer",
    "Unrealistic Expectation": "wants an answer in any case",
    "No Engagement": "wants something of interest",
    "Lower Quality": "wants better work",
    "Getting There": "wants the last details right",
}


@dataclass(frozen=True)
class Reaction:
    state: str
    sat: tuple[str, ...] = ()
    dsat: tuple[str, ...] = ()
    wish: str = ""

    @property
    def reason(self) -> str:
        told = [MEANINGS[name] for name in (*self.sat, *self.dsat)]
        return f"The user {' and '.join(told)}." if told else "A request."


@dataclass(frozen=True)
class Turn:
    """What the user says, how it judges the reply before, and the reply that follows; `good` says whether to learn it."""

    user: str
    reaction: Reaction
    reply: str
    good: bool


def conversation(rng: Random, turns: int | None = None) -> list[Turn]:
    turns = turns or rng.choice((2, 2, 3, 3, 4))
    task = draw_task(rng, wrapped=0.3)
    told = [_first(rng, task)]
    while len(told) < turns:
        if told[-1].reaction.state == "POSITIVE_CLOSURE":
            break
        task, turn = _react(rng, task, told[-1])
        told.append(turn)
    return told


def _first(rng: Random, task: Task) -> Turn:
    right, wrong = replies(rng, task)
    good = rng.random() < 0.55
    return Turn(task.instruction, Reaction("NEW_TOPIC"), right if good else wrong, good)


def _react(rng: Random, task: Task, last: Turn) -> tuple[Task, Turn]:
    if rng.random() < 0.2:
        fresh = draw_task(rng, wrapped=0.2)
        return fresh, _first(rng, fresh)
    if not last.good:
        name = rng.choice(("Factual Error", "Factual Error", "Factual Error", "Ignored", "Negative Feedback", *DSAT))
    elif rng.random() < 0.45 and (forms := [one for one in fitting(task.solution) if one is not task.constraint]):
        return _reform(rng, task, rng.choice(forms))
    else:
        name = rng.choice((*SAT, *SAT, *DSAT))
    text = rng.choice(SAYINGS[name])
    if name in SAT and name not in STATES and rng.random() < 0.35:
        fresh = draw_task(rng, wrapped=0.0)
        reaction = Reaction("FOLLOW_UP", sat=(name,), wish=_WISHES.get(name, ""))
        return fresh, Turn(f"{text} {fresh.instruction}", reaction, right_reply(fresh, rng), good=True)
    reaction = Reaction(
        STATES.get(name, "FEEDBACK"), (name,) if name in SAT else (), (name,) if name in DSAT else (), _WISHES.get(name, "")
    )
    mended = name in ("Factual Error", "Ignored", "Revision", "Getting There", "Insufficient Detail", "Style")
    reply = right_reply(task, rng) if mended else rng.choice(_ANSWERS[name in SAT])
    return task, Turn(text, reaction, reply, good=True)


def _reform(rng: Random, task: Task, form: Constraint) -> tuple[Task, Turn]:
    after = replace(task, constraint=form)
    if rng.random() < 0.5:
        text, names = form.complaint, ("Style",)
    else:
        text, names = f"Say that again. {rng.choice(form.phrases)}", ("Revision",)
    return after, Turn(text, Reaction("FEEDBACK", dsat=names, wish=form.preference), right_reply(after, rng), good=True)


def numbered(turns: list[Turn], last_reply: bool = True) -> str:
    """The conversation as the feedback prompts show it: "User 1: ...", "Assistant 1: ...", "User 2: ..."."""
    lines = []
    for number, turn in enumerate(turns, 1):
        lines.append(f"User {number}: {turn.user}")
        if last_reply or number < len(turns):
            lines.append(f"Assistant {number}: {turn.reply}")
    return "\n".join(lines)


def wishes(turns: list[Turn]) -> list[str]:
    return list(dict.fromkeys(turn.reaction.wish for turn in turns if turn.reaction.wish))
