"""The truth: says of any conversation whether its last reply is right, and why.

Instructions are read by the same templates that write them, so whatever the world can ask it can also judge. A text
that the world cannot read has no family and no verdict; nothing that a model may write makes the checker fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .followups import resolve
from .kinds import DIFFICULTIES
from .tasks import Task


@dataclass(frozen=True)
class Verdict:
    """`right` asks for the content and every constraint; `content` for the content alone. None: not of this world."""

    right: bool | None = None
    content: bool | None = None
    held: Mapping[str, bool] = field(default_factory=dict)
    family: str | None = None
    difficulty: str | None = None
    value: str | None = None


def check(messages: Sequence[Mapping[str, str]]) -> Verdict:
    """Judge the last assistant message by the user messages before it; without one, `right` is None."""
    turns = [(message.get("role", ""), message.get("content") or "") for message in messages]
    reply = turns.pop()[1] if turns and turns[-1][0] == "assistant" else None
    task = resolve([content for role, content in turns if role == "user"])
    if task is None:
        return Verdict()
    if reply is None:
        return Verdict(family=task.kind.family, difficulty=DIFFICULTIES[task.difficulty])
    return judge(task, reply)


def judge(task: Task, reply: str) -> Verdict:
    reply = reply.strip()
    held = {} if task.constraint is None else {task.constraint.name: task.constraint.kept(reply)}
    readings = (reply, reply.lower(), reply.capitalize()) if "capitals" in held else (reply,)
    content = bool(reply) and len(reply) < 2000 and any(task.solution.holds(one) for one in readings)
    value = task.solution.value_of(reply) if task.solution.value_of else None
    return Verdict(content and all(held.values()), content, held, task.kind.family, DIFFICULTIES[task.difficulty], value)
