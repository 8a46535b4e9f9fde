"""What a language model is to a method: four questions, each answered once.

An engine answers or says why not: a failure is a reply with `finish="error"` and a reason, never text and never None.
Steps are written against this protocol alone, so a method names no engine, no template and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from .tables import Sampling, Turn

Finish = Literal["stop", "length", "error"]
Speaker = Literal["assistant", "user"]
JSONSchema = dict[str, object]


class Decoding(BaseModel):
    """How to draw a text. Defaults are the plain distribution of the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(1.0, ge=0.0, le=2.0, description="0 is greedy")
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(512, gt=0)
    stop: tuple[str, ...] = Field((), description="strings that end the text, besides the template's own")
    ban_first: tuple[str, ...] = Field((), description="strings that a user's turn must not begin with, if they are one token")

    def recorded(self, seed: int | None) -> Sampling:
        """What is written beside a text drawn so."""
        return Sampling(self.temperature, self.top_p, self.max_tokens, seed)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote. `text` is empty and `error` says why if `finish` is "error"; reasoning is never part of `text`."""

    text: str
    finish: Finish
    tokens_in: int = 0
    tokens_out: int = 0
    error: str = ""
    reasoning: str = ""  # what a thinking model said to itself


@dataclass(frozen=True, slots=True)
class Choice:
    """The probabilities of given options as the next token, renormalised over them.

    `mass` is the share of the whole distribution that the options hold: near 0, the model wanted to say something else.
    """

    probabilities: dict[str, float] = field(default_factory=dict)
    mass: float = 0.0
    finish: Finish = "stop"
    error: str = ""


@dataclass(frozen=True, slots=True)
class Reward:
    """A raw reward, not squashed. `value` is NaN if `finish` is "error"."""

    value: float
    finish: Finish = "stop"
    error: str = ""


class LLM(Protocol):
    """A model behind an engine. `model` and `revision` go into every row that it writes."""

    model: str
    revision: str

    async def complete(self, prompt: str | Sequence[int], decoding: Decoding, seed: int) -> Reply:
        """Continue raw text or token ids."""
        ...

    async def chat(
        self,
        turns: Sequence[Turn],
        decoding: Decoding,
        seed: int,
        schema: JSONSchema | None = None,
        speaker: Speaker = "assistant",
    ) -> Reply:
        """Write the next turn of a conversation in the model's own template.

        With `speaker="user"` the *user's* turn is opened and the model writes what the user says (Magpie). With a
        `schema` the reply is JSON that obeys it.
        """
        ...

    async def choose(self, asked: str | Sequence[Turn], options: Sequence[str]) -> Choice:
        """How likely each option is as the first token of the answer: the judge's primitive.

        Raw text is asked as it stands, without a chat template, and the option goes on from its last character.
        """
        ...

    async def score(self, turns: Sequence[Turn]) -> Reward:
        """The reward model's raw score of a conversation that ends in an answer."""
        ...
