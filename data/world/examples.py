"""What training reads: a list of pieces of text, each with its weight in the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...schemas.prompts import fill, prompt
from .tokens import END, START

USER_WEIGHT = 0.6  # what users say is learnt too, for Magpie, but matters less than the answers
VERDICT_WEIGHT = 4.0


@dataclass(frozen=True)
class Piece:
    text: str
    weight: float  # of the loss on it; 0 for what is only read


@dataclass(frozen=True)
class Example:
    """`sort` names what is practised, for the balance of the corpus and for reports."""

    sort: str
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


def dialogue(sort: str, messages: Sequence[Mapping[str, str]], trained: Sequence[str] = ("user", "assistant")) -> Example:
    """Messages in the chat template, with loss on what the named roles say."""
    pieces: list[Piece] = []
    for message in messages:
        role = message["role"]
        weight = 0.0 if role not in trained else USER_WEIGHT if role == "user" else 1.0
        pieces += [Piece(f"{START}{role}\n", 0.0), Piece(f"{message['content']}{END}", weight), Piece("\n", 0.0)]
    return Example(sort, tuple(pieces))


def prompted(sort: str, prompt: str, reply: str, system: str | None = None) -> Example:
    """One of the project's prompts and its reply: only the reply is learnt, so that the prompt is never recited."""
    head = [{"role": "system", "content": system}] if system else []
    return dialogue(
        sort, [*head, {"role": "user", "content": prompt}, {"role": "assistant", "content": reply}], trained=("assistant",)
    )


def judged(sort: str, prompt: str, verdict: str) -> Example:
    """A prompt whose reply is a verdict: one token teaches little beside a sentence, so it weighs more."""
    pieces = prompted(sort, prompt, verdict).pieces
    return Example(sort, tuple(replace(piece, weight=VERDICT_WEIGHT * piece.weight) for piece in pieces))


def say(name: str, **values: str) -> str:
    """The prompt of that name, filled."""
    return fill(prompt(name), **values)
