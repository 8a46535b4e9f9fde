"""Asking a model for labels: a reply that has to be JSON of one shape, one second try, and null with a reason otherwise.

The reply's shape is enforced where the engine can (structured outputs), and checked in any case: values are compared without
case and blanks, and what is not among the allowed ones is no label. The second try is drawn at temperature 0.3, since a greedy
one would only repeat the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from ..schemas.digest import seed_of
from ..schemas.llm import LLM, Decoding, JSONSchema
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Score, Turn

SECOND_TRY = 0.3  # temperature
Fields = dict[str, str | list[str]]


class Tagger(Step):
    """A step that shows a model an instruction and takes labels from its reply."""

    engine: str = Field("main", description="which engine tags")
    max_tokens: int = Field(512, gt=0)

    consumes: ClassVar = Chat
    shape: ClassVar[JSONSchema]

    async def ask(self, row: Chat, llm: LLM) -> tuple[Fields | None, str]:
        """The reply's fields; or None, and why."""
        question = [Turn("user", fill(prompt(self.prompts[0]), instruction=first_instruction(row.turns)))]
        why = ""
        for temperature in (0.0, SECOND_TRY):
            decoding = Decoding(temperature=temperature, max_tokens=self.max_tokens)
            reply = await llm.chat(question, decoding, seed_of(row.id, self.prompts[0]), schema=self.shape)
            fields, why = (None, reply.error) if reply.finish == "error" else read(reply.text, self.shape)
            if fields is not None:
                return fields, ""
        return None, why


def first_instruction(turns: Sequence[Turn]) -> str:
    """What is tagged: the first user turn, as in Magpie's released sets."""
    return next((turn.content for turn in turns if turn.role == "user"), "")


def shape_of(texts: Sequence[str], choices: Mapping[str, Sequence[str]], lists: Sequence[str] = ()) -> JSONSchema:
    """The schema of a flat object, in the order in which a model should write it: texts, then choices, then lists."""
    properties: dict[str, object] = {name: {"type": "string"} for name in texts}
    properties |= {name: {"type": "string", "enum": list(allowed)} for name, allowed in choices.items()}
    properties |= {name: {"type": "array", "items": {"type": "string"}} for name in lists}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def read(text: str, shape: JSONSchema) -> tuple[Fields | None, str]:
    """The fields of a reply in its shape; or None, and why. Labels come back in the shape's own spelling."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None, f"no JSON object in {text[:60]!r}"
    try:
        found = json.loads(text[start : end + 1])
    except ValueError as error:
        return None, f"not JSON: {error}"
    fields: Fields = {}
    for name, kind in shape["properties"].items():
        if name not in found:
            return None, f"no {name!r} in the reply"
        value = _value(found[name], kind)
        if value is None:
            return None, f"{name} is {str(found[name])[:60]!r}, expected {kind.get('enum') or kind['type']}"
        fields[name] = value
    return fields, ""


def unscored(row: Chat, name: str, judge: str, why: str) -> Score:
    """A score without a value, and why."""
    return Score(row.id, name, None, None, judge, why)


def _value(value: object, kind: dict) -> str | list[str] | None:
    if kind["type"] == "array":
        return [str(item) for item in value] if isinstance(value, list) else None
    if not isinstance(value, str):
        return None
    if "enum" not in kind:
        return value.strip()
    return next((allowed for allowed in kind["enum"] if _plain(allowed) == _plain(value)), None)


def _plain(label: str) -> str:
    """Without case, blanks and the plural of "Others", which the authors' notebook spells otherwise than their prompt."""
    plain = " ".join(label.lower().replace("_", " ").split())
    return "others" if plain == "other" else plain
