"""Asking a model for labels: a reply that has to be JSON of one shape, one second try, and null with a reason otherwise.

The reply's shape is enforced where the engine can (structured outputs), and checked in any case: values are compared without
case and blanks, and what is not among the allowed ones is no label. The second try is drawn at temperature 0.3, since a greedy
one would only repeat the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field

from ..schemas.digest import seed_of
from ..schemas.llm import LLM, Decoding, JSONSchema
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Score, Turn

SECOND_TRY = 0.3  # temperature


@dataclass(frozen=True, slots=True)
class Shape:
    """The flat object that a reply must be, in the order in which a model should write it: texts, then choices, then lists."""

    texts: Sequence[str] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)  # name -> what may stand there
    lists: Sequence[str] = ()

    def schema(self) -> JSONSchema:
        """For engines that can hold a reply to it."""
        properties: dict[str, object] = {name: {"type": "string"} for name in self.texts}
        properties |= {name: {"type": "string", "enum": list(allowed)} for name, allowed in self.choices.items()}
        properties |= {name: {"type": "array", "items": {"type": "string"}} for name in self.lists}
        return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Fields:
    """What a reply said, by name."""

    texts: dict[str, str]
    labels: dict[str, str]  # each one of those allowed, in the shape's own spelling
    lists: dict[str, list[str]]


class Tagger(Step):
    """A step that shows a model an instruction and takes labels from its reply."""

    engine: str = Field("main", description="which engine tags")
    max_tokens: int = Field(512, gt=0)

    consumes: ClassVar = Chat
    shape: ClassVar[Shape]

    async def ask(self, row: Chat, llm: LLM) -> tuple[Fields | None, str]:
        """The reply's fields; or None, and why."""
        question = [Turn("user", fill(prompt(self.prompts[0]), instruction=first_instruction(row.turns)))]
        schema, why = self.shape.schema(), ""
        for temperature in (0.0, SECOND_TRY):
            decoding = Decoding(temperature=temperature, max_tokens=self.max_tokens)
            reply = await llm.chat(question, decoding, seed_of(row.id, self.prompts[0]), schema=schema)
            fields, why = (None, reply.error) if reply.finish == "error" else read(reply.text, self.shape)
            if fields is not None:
                return fields, ""
        return None, why


def first_instruction(turns: Sequence[Turn]) -> str:
    """What is tagged: the first user turn, as in Magpie's released sets."""
    return next((turn.content for turn in turns if turn.role == "user"), "")


def read(text: str, shape: Shape) -> tuple[Fields | None, str]:
    """The fields of a reply in its shape; or None, and why."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None, f"no JSON object in {text[:60]!r}"
    try:
        found = json.loads(text[start : end + 1])
    except ValueError as error:
        return None, f"not JSON: {error}"
    fields = Fields({}, {}, {})
    for name in (*shape.texts, *shape.choices, *shape.lists):
        if name not in found:
            return None, f"no {name!r} in the reply"
        expected = _put(fields, name, found[name], shape)
        if expected:
            return None, f"{name} is {str(found[name])[:60]!r}, expected {expected}"
    return fields, ""


def unscored(row: Chat, name: str, judge: str, why: str) -> Score:
    """A score without a value, and why."""
    return Score(row.id, name, None, None, judge, why)


def _put(fields: Fields, name: str, value: object, shape: Shape) -> str:
    """Take a value over; where it does not fit, what was expected."""
    if name in shape.lists:
        if not isinstance(value, list):
            return "array"
        fields.lists[name] = [str(item) for item in value]
    elif name in shape.choices:
        allowed = shape.choices[name]
        label = next((one for one in allowed if isinstance(value, str) and _plain(one) == _plain(value)), None)
        if label is None:
            return str(list(allowed))
        fields.labels[name] = label
    elif isinstance(value, str):
        fields.texts[name] = value.strip()
    else:
        return "string"
    return ""


def _plain(label: str) -> str:
    """Without case, blanks and the plural of "Others", which the authors' notebook spells otherwise than their prompt."""
    plain = " ".join(label.lower().replace("_", " ").split())
    return "others" if plain == "other" else plain
