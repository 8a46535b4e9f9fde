"""Demands on the form of a reply, each said in several ways, kept in one way, and checked alone.

`applies` says whether a solution can be put in this form; `render` puts a right or a wrong key in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from .kinds import Solution

Render = Callable[[str, Solution], str]


@dataclass(frozen=True)
class Constraint:
    name: str
    phrases: tuple[str, ...]
    preference: str  # the same demand, as a user's lasting wish
    complaint: str  # what a user says of a reply that does not keep it
    applies: Callable[[Solution], bool]
    render: Render
    kept: Callable[[str], bool]


def _bare(solution: Solution) -> bool:
    return not solution.free and not solution.items and " " not in solution.key and "'" not in solution.key


def _word(solution: Solution) -> bool:
    return _bare(solution) and solution.key.isalpha() and len(solution.key) > 1


def _sentence(key: str, solution: Solution) -> str:
    return next(say for say in solution.say if _is_sentence(say)).replace("{key}", key)


def _is_sentence(text: str) -> bool:
    return len(text.split()) >= 3 and text.rstrip().endswith(".") and text[:1] != "-"


def _has_sentence(solution: Solution) -> bool:
    return not solution.free and any(_is_sentence(say) for say in solution.say)


def _split(key: str) -> list[str]:
    return [item.strip() for item in key.split(",")]


def _is_json(reply: str) -> bool:
    try:
        found = json.loads(reply)
    except (json.JSONDecodeError, RecursionError):
        return False
    return isinstance(found, dict) and list(found) == ["answer"]


def _bulleted(reply: str) -> bool:
    lines = [line for line in reply.strip().split("\n") if line.strip()]
    return len(lines) > 1 and all(line.lstrip().startswith(("- ", "* ", "• ")) for line in lines)


def _numbered(reply: str) -> bool:
    found = re.findall(r"(?m)^(\d+)\. \S", reply)
    return len(found) > 1 and found == [str(i) for i in range(1, len(found) + 1)]


CONSTRAINTS = (
    Constraint(
        "one word",
        ("Answer with one word only.", "One word, please.", "Reply with just the answer.", "Only the answer, no sentence."),
        "wants only the answer, in one word",
        "Too long. Just the answer.",
        _bare,
        lambda key, _: key,
        lambda reply: len(reply.split()) == 1,
    ),
    Constraint(
        "sentence",
        ("Answer in a full sentence.", "Reply with a complete sentence.", "Use a full sentence."),
        "wants answers in full sentences",
        "Too short. Use a full sentence.",
        _has_sentence,
        _sentence,
        _is_sentence,
    ),
    Constraint(
        "capitals",
        ("Write the answer in capital letters.", "Use only capital letters.", "Reply in capitals."),
        "wants answers in capital letters",
        "I asked for capitals.",
        _word,
        lambda key, _: key.upper(),
        lambda reply: reply.isupper(),
    ),
    Constraint(
        "json",
        ('Reply as JSON with the key "answer".', 'Give a JSON object with one key, "answer".', "Put the answer in JSON."),
        "wants answers as JSON",
        "That is not JSON. Please use JSON.",
        lambda solution: _bare(solution),
        lambda key, _: json.dumps({"answer": key}),
        _is_json,
    ),
    Constraint(
        "exclaim",
        ("End with an exclamation mark.", "Finish your reply with an exclamation mark."),
        "wants replies that end with an exclamation mark",
        "Please end with an exclamation mark.",
        _bare,
        lambda key, _: f"{key}!",
        lambda reply: reply.rstrip().endswith("!"),
    ),
    Constraint(
        "bullets",
        ("Use bullet points.", "As bullet points, please.", "Put each one behind a dash."),
        "wants lists as bullet points",
        "I wanted bullet points.",
        lambda solution: bool(solution.items),
        lambda key, _: "\n".join(f"- {one}" for one in _split(key)),
        _bulleted,
    ),
    Constraint(
        "numbered",
        ("Number the items.", "As a numbered list, please."),
        "wants numbered lists",
        "I wanted a numbered list.",
        lambda solution: bool(solution.items),
        lambda key, _: "\n".join(f"{i}. {one}" for i, one in enumerate(_split(key), 1)),
        _numbered,
    ),
    Constraint(
        "no commas",
        ("Use no commas.", "Do not use commas."),
        "wants no commas",
        "Please do not use commas.",
        lambda solution: bool(solution.items),
        lambda key, _: " and ".join(_split(key)),
        lambda reply: "," not in reply,
    ),
)
BY_NAME = {constraint.name: constraint for constraint in CONSTRAINTS}


def fitting(solution: Solution) -> list[Constraint]:
    return [constraint for constraint in CONSTRAINTS if constraint.applies(solution)]
