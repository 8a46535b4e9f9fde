"""Magpie's taggers: how hard an instruction is, how well it is put, and what it is about.

Xu et al., arXiv:2406.08464, section 3.2, and the authors' `unitag.py`. Labels become numbers too (1 is the lowest), so that a filter is
a threshold. Departures: replies are held to their shape rather than prefilled with a brace; a reply that does not fit is asked for
once more, at temperature 0.3; "Other" counts as "Others", which the authors' notebook nulls; all else is null with a reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM
from ..schemas.step import Step
from ..schemas.tables import Chat, Note, Row, Score
from .tagging import Shape, Tagger, unscored

DIFFICULTIES = ("very easy", "easy", "medium", "hard", "very hard")
QUALITIES = ("very poor", "poor", "average", "good", "excellent")
CATEGORIES = (
    "Information seeking", "Reasoning", "Planning", "Editing", "Coding & Debugging", "Math", "Role playing", "Data analysis",
    "Creative writing", "Advice seeking", "Brainstorming", "Others",
)  # fmt: skip


class Difficulty(Tagger):
    """What the user wants, what it takes to know, and how hard that is."""

    method: Literal["difficulty"] = "difficulty"

    produces: ClassVar = (Score, Note)
    prompts: ClassVar = ("magpie/difficulty",)
    shape: ClassVar = Shape(("intent", "knowledge"), {"difficulty": DIFFICULTIES})

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Score `difficulty` from 1 to 5; notes `intent` and `knowledge`."""
        fields, why = await self.ask(row, llm)
        if fields is None:
            return [unscored(row, "difficulty", llm.model, why)]
        label = fields.labels["difficulty"]
        notes = [Note(row.id, kind, 0, fields.texts[kind]) for kind in ("intent", "knowledge")]
        return [Score(row.id, "difficulty", float(1 + DIFFICULTIES.index(label)), label, llm.model, None), *notes]


class Quality(Tagger):
    """How clear, specific and coherent an instruction is."""

    method: Literal["input_quality"] = "input_quality"

    produces: ClassVar = (Score, Note)
    prompts: ClassVar = ("magpie/quality",)
    shape: ClassVar = Shape(("explanation",), {"input_quality": QUALITIES})

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Score `input_quality` from 1 to 5; note `quality_explanation`."""
        fields, why = await self.ask(row, llm)
        if fields is None:
            return [unscored(row, "input_quality", llm.model, why)]
        label = fields.labels["input_quality"]
        note = Note(row.id, "quality_explanation", 0, fields.texts["explanation"])
        return [Score(row.id, "input_quality", float(1 + QUALITIES.index(label)), label, llm.model, None), note]


class Category(Tagger):
    """What kind of task an instruction sets."""

    method: Literal["task_category"] = "task_category"

    produces: ClassVar = (Score, Note)
    prompts: ClassVar = ("magpie/category",)
    shape: ClassVar = Shape((), {"primary_tag": CATEGORIES}, ("other_tags",))

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Label `task_category`; notes `other_task_category`, known tags only."""
        fields, why = await self.ask(row, llm)
        if fields is None:
            return [unscored(row, "task_category", llm.model, why)]
        known = {tag.lower(): tag for tag in CATEGORIES} | {"other": "Others"}
        others = dict.fromkeys(known[tag.lower()] for tag in fields.lists["other_tags"] if tag.lower() in known)
        others.pop(fields.labels["primary_tag"], None)
        notes = [Note(row.id, "other_task_category", i, tag) for i, tag in enumerate(others)]
        return [Score(row.id, "task_category", None, fields.labels["primary_tag"], llm.model, None), *notes]


Tag = Literal["difficulty", "input_quality", "task_category"]
BY_NAME: dict[Tag, type[Tagger]] = {"difficulty": Difficulty, "input_quality": Quality, "task_category": Category}


class MagpieTags(Step):
    """Several taggers at once: a row's questions are asked side by side, not in three passes over all rows."""

    method: Literal["magpie_tags"] = "magpie_tags"
    engine: str = Field("main", description="which engine tags")
    tags: tuple[Tag, ...] = Field(tuple(BY_NAME), min_length=1, description="what is tagged")
    max_tokens: int = Field(512, gt=0, description="of each reply")

    consumes: ClassVar = Chat
    produces: ClassVar = (Score, Note)
    prompts: ClassVar = tuple(name for tagger in BY_NAME.values() for name in tagger.prompts)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """All that the taggers say."""
        taggers = [BY_NAME[tag](engine=self.engine, max_tokens=self.max_tokens) for tag in self.tags]
        return [made for said in await asyncio.gather(*(tagger(row, llm) for tagger in taggers)) for made in said]
