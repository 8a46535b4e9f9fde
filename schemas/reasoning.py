"""Thinking models: what a model says to itself, told apart from what it says to the user.

Reasoning stands between marks at the start of a reply, or up to a closing mark if the template has opened it already;
gpt-oss (the harmony format) writes it in channels of which only `final` is for the user. Reasoning that was never closed
leaves nothing said. Marks in the middle of a reply are left alone: someone may be writing about them.
"""

from __future__ import annotations

import re

MARKS = (
    ("<think>", "</think>"),  # Qwen3, DeepSeek-R1, GLM-4.5, Nemotron
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command-A
    ("<thought>", "</thought>"),
)
CHANNEL = "<|channel|>"
_MESSAGE = re.compile(r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|start|return|call|channel)\|>|\Z)", re.DOTALL)


def separate(text: str, *, opened: bool = False) -> tuple[str, str]:
    """(reasoning, what is said). `opened`: the prompt ended inside of reasoning."""
    if CHANNEL in text:
        return _channels(text)
    body = text.lstrip()
    for start, end in MARKS:
        inside = body.startswith(start)
        if not inside and not (opened and end in body):
            continue
        thought, closed, said = body.removeprefix(start).partition(end)
        return thought.strip(), said.lstrip() if closed else ""
    return (text.strip(), "") if opened else ("", text)


def leaks(text: str) -> bool:
    """Whether marks of reasoning stand in a text that should have none."""
    return CHANNEL in text or any(mark in text for pair in MARKS for mark in pair)


def _channels(text: str) -> tuple[str, str]:
    messages = _MESSAGE.findall(text if text.lstrip().startswith(CHANNEL) else CHANNEL + "final<|message|>" + text)
    said = [body for channel, body in messages if channel == "final"]
    thoughts = [body.strip() for channel, body in messages if channel != "final"]
    return "\n".join(thoughts), said[-1] if said else ""
