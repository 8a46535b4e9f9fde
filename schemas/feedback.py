"""The vocabulary of feedback that users leave in a conversation: signs of satisfaction and of dissatisfaction, by utterance.

WildFeedback (arXiv:2408.15549, HTML v3) names nine of each; the definitions are reported second-hand in our words, for the
paper's own text was not to be had. The states of an utterance are ours, but for FEEDBACK and POSITIVE_CLOSURE, which the
published data set shows. A *signal* is what one utterance of the user says about the reply just before it; as a table
it is three scores about `<chat>#<turn>`: `state`, `sat` and `dsat`, the last two with the number of criteria as value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .tables import Score, Turn

SAT = {
    "Gratitude": "thanks the assistant",
    "Learning": "shows curiosity and is satisfied with what was learned",
    "Compliance": "follows what the assistant suggested",
    "Praise": "uses positive words about the reply",
    "Personal Details": "shares more about themselves",
    "Humor": "jokes with the assistant in a friendly way",
    "Acknowledgment": "confirms understanding or agreement",
    "Positive Closure": "ends on a positive note",
    "Getting There": "sees some merit but is not fully satisfied",
}
DSAT = {
    "Negative Feedback": "openly shows frustration, annoyance or anger",
    "Revision": "asks for a revision, or keeps asking similar things",
    "Factual Error": "points out a mistake, an inaccuracy or a self-contradiction",
    "Unrealistic Expectation": "does not accept the assistant's limits",
    "No Engagement": "does not respond to the assistant's questions or suggestions",
    "Ignored": "says that the request was ignored or its intent missed",
    "Lower Quality": "perceives a decline compared with other assistants",
    "Insufficient Detail": "wants more specific or more useful information",
    "Style": "finds the format or the tone wrong",
}
STATES = ("NEW_TOPIC", "FOLLOW_UP", "FEEDBACK", "CLARIFICATION", "POSITIVE_CLOSURE", "OTHER")
_GLUE = "; "


@dataclass(frozen=True, slots=True)
class Signal:
    """What the user's utterance at `turn` (its place among the chat's turns) says about the reply before it."""

    turn: int
    state: str
    sat: tuple[str, ...] = ()
    dsat: tuple[str, ...] = ()
    reason_sat: str = ""
    reason_dsat: str = ""

    @property
    def new_requirement(self) -> bool:
        """Whether the user asks for something that the reply could not have known: a revision as the next request.

        "Now make it formal" revises without being displeased. It shows as Revision alone in an utterance that is no feedback.
        """
        return self.dsat == ("Revision",) and self.state in ("NEW_TOPIC", "FOLLOW_UP", "CLARIFICATION")


def utterance_id(chat: str, turn: int) -> str:
    """The id under which a single turn of a chat is spoken of."""
    return f"{chat}#{turn}"


def user_turns(turns: Sequence[Turn]) -> list[int]:
    """The places at which the user speaks."""
    return [place for place, turn in enumerate(turns) if turn.role == "user"]


def numbered(turns: Sequence[Turn], longest: int = 2000) -> str:
    """A conversation as the feedback prompts show it: `User 1: ...`, `Assistant 1: ...`, long turns by head and tail."""
    lines, exchange = [], 0
    for turn in turns:
        exchange += turn.role == "user"
        name = turn.role.capitalize() if turn.role == "system" else f"{turn.role.capitalize()} {exchange}"
        lines.append(f"{name}: {head_and_tail(turn.content, longest)}")
    return "\n".join(lines)


def head_and_tail(text: str, longest: int) -> str:
    """The text, or its two ends if it has more than `longest` characters: what lies between is mostly pasted matter."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def scores_of(chat: str, signals: Iterable[Signal], judge: str) -> list[Score]:
    """Signals as scores."""
    made = []
    for signal in signals:
        about = utterance_id(chat, signal.turn)
        made.append(Score(about, "state", None, signal.state, judge, None))
        for name, found, reason in (("sat", signal.sat, signal.reason_sat), ("dsat", signal.dsat, signal.reason_dsat)):
            made.append(Score(about, name, float(len(found)), _GLUE.join(found) or None, judge, reason or None))
    return made


def signals_of(scores: Iterable[Score]) -> dict[str, list[Signal]]:
    """Signals by chat, in the order of its turns: the inverse of `scores_of`. Other scores are passed over."""
    found: dict[str, dict[int, dict[str, Score]]] = {}
    for score in scores:
        chat, mark, turn = score.about.rpartition("#")
        if mark and score.name in ("state", "sat", "dsat"):
            found.setdefault(chat, {}).setdefault(int(turn), {})[score.name] = score
    return {
        chat: [_signal(turn, named) for turn, named in sorted(by_turn.items()) if len(named) == 3]
        for chat, by_turn in found.items()
    }


def _signal(turn: int, named: dict[str, Score]) -> Signal:
    sat, dsat = named["sat"], named["dsat"]
    return Signal(
        turn,
        named["state"].label or "OTHER",
        tuple((sat.label or "").split(_GLUE)) if sat.label else (),
        tuple((dsat.label or "").split(_GLUE)) if dsat.label else (),
        sat.reason or "",
        dsat.reason or "",
    )
