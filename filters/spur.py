"""SPUR: how satisfied the user of a whole conversation was, by rubrics that a model has learned from labelled ones.

Lin et al., "Interpretable User Satisfaction Estimation for Conversational Systems with Large Language Models",
arXiv:2403.12388. `Extract` (supervised extraction) gives up to three reasons for a conversation with a thumbs label, `Summarize`
(rubric summarisation) folds the reasons, in batches of 100, into at most ten items, and `Estimate` asks of each item whether it holds
and how strongly: R = sum over satisfaction items minus sum over dissatisfaction items, each 0 to 10.

Deviations: lines that start with a dash in place of XML tags, and one call for each item in place of one for all twenty,
which smaller models can keep to.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..schemas.digest import seed_of
from ..schemas.feedback import DSAT, SAT, numbered
from ..schemas.llm import LLM, Decoding
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Note, Row, Score, Seed, Turn, text_of

Polarity = Literal["satisfied", "dissatisfied"]
_LINE = re.compile(r"(?m)^\s*(?:[-*•]|\d+[.)])\s*(.+?)\s*$")
_IMPACT = re.compile(r"(?i)\b(yes|no)\b\D*(\d+)?")


class Item(BaseModel):
    """One item of a rubric."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str

    def __str__(self) -> str:
        return f"{self.name}: {self.description}"


class Extract(Step):
    """Up to three reasons why the user of a conversation, known to be satisfied or not, was so."""

    method: Literal["spur_extract"] = "spur_extract"
    engine: str = Field("judge", description="which engine reads the conversations")
    label: Polarity = Field(description="what is known of all users of this table")

    consumes: ClassVar = Chat
    produces: ClassVar = (Note, Drop)
    prompts: ClassVar = ("wildfeedback/spur_extract",)

    async def __call__(self, row: Chat, judge: LLM) -> Sequence[Row]:
        """One call; a conversation in which no reason is found is dropped."""
        question = fill(prompt("wildfeedback/spur_extract"), label=self.label, conversation=numbered(row.turns))
        reply = await judge.chat([Turn("user", question)], Decoding(temperature=0.0), seed_of(row.id, "extract"))
        reasons = _LINE.findall(reply.text)[:3]
        if not reasons:
            return [Drop(row.id, "spur", "no_reasons", reply.error or reply.text, text_of(row.turns))]
        return [Note(row.id, f"reason_{self.label}", i, reason) for i, reason in enumerate(reasons)]


class Summarize(Step):
    """A rubric from reasons: the list is carried from batch to batch and brought up to date by each."""

    method: Literal["spur_summarize"] = "spur_summarize"
    engine: str = Field("judge", description="which engine writes the rubric")
    label: Polarity = Field(description="what the reasons are for")
    batch: int = Field(100, ge=1, description="reasons to a call")
    items: int = Field(10, ge=1, description="items that the rubric may have")

    consumes: ClassVar = Seed  # its turns are the reasons, one each
    produces: ClassVar = (Note, Drop)
    prompts: ClassVar = ("wildfeedback/spur_summarize",)

    async def __call__(self, row: Seed, judge: LLM) -> Sequence[Row]:
        """One call after the other, since each needs the rubric of the one before."""
        rubric: list[str] = []
        for start in range(0, len(row.turns), self.batch):
            reasons = "\n".join(f"- {turn.content}" for turn in row.turns[start : start + self.batch])
            told = "\n".join(f"- {item}" for item in rubric) or "(empty)"
            question = fill(prompt("wildfeedback/spur_summarize"), label=self.label, rubric=told, reasons=reasons)
            seed = seed_of(row.seed, "summarize", start)
            reply = await judge.chat([Turn("user", question)], Decoding(temperature=0.0, max_tokens=1024), seed)
            rubric = [line for line in _LINE.findall(reply.text) if ":" in line][: self.items] or rubric
        if not rubric:
            return [Drop(row.id, "spur", "no_rubric", "no call gave an item `name: description`", text_of(row.turns)[:1000])]
        return [Note(row.id, f"rubric_{self.label}", i, item) for i, item in enumerate(rubric)]


class Estimate(Step):
    """A conversation's satisfaction by the items of two rubrics."""

    method: Literal["spur_estimate"] = "spur_estimate"
    engine: str = Field("judge", description="which engine estimates")
    satisfied: tuple[Item, ...] = Field(tuple(Item(name=n, description=d) for n, d in SAT.items()), min_length=1)
    dissatisfied: tuple[Item, ...] = Field(tuple(Item(name=n, description=d) for n, d in DSAT.items()), min_length=1)

    consumes: ClassVar = Chat
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("wildfeedback/spur_estimate",)

    async def __call__(self, row: Chat, judge: LLM) -> Sequence[Row]:
        """`spur` is the sum; each item's own score stands beside it. One unread item leaves the sum without a value."""
        items = [("spur_sat", item) for item in self.satisfied] + [("spur_dsat", item) for item in self.dissatisfied]
        marks = await asyncio.gather(*(self._impact(row, item, judge) for _, item in items))
        made: list[Row] = [
            Score(row.id, f"{kind}: {item.name}", mark, None, judge.model, why or None)
            for (kind, item), (mark, why) in zip(items, marks, strict=True)
        ]
        known = [mark for mark, _ in marks if mark is not None]
        half = len(self.satisfied)
        if len(known) < len(items):
            missing = f"{len(items) - len(known)} of {len(items)} items could not be read"
            return [Score(row.id, "spur", None, None, judge.model, missing), *made]
        total = sum(known[:half]) - sum(known[half:])
        return [Score(row.id, "spur", total, "satisfied" if total > 0 else "dissatisfied", judge.model, None), *made]

    async def _impact(self, row: Chat, item: Item, judge: LLM) -> tuple[float | None, str]:
        question = fill(prompt("wildfeedback/spur_estimate"), item=str(item), conversation=numbered(row.turns))
        decoding = Decoding(temperature=0.0, max_tokens=32)
        reply = await judge.chat([Turn("user", question)], decoding, seed_of(row.id, "estimate", item.name))
        return impact(reply.text), reply.error or reply.text


def impact(text: str) -> float | None:
    """0 for no, the number from 1 to 10 for yes; None for anything else."""
    found = _IMPACT.search(text)
    if found is None:
        return None
    if found.group(1).lower() == "no":
        return 0.0
    strength = int(found.group(2)) if found.group(2) else 0
    return float(strength) if 1 <= strength <= 10 else None


def items_of(notes: Sequence[Note]) -> tuple[Item, ...]:
    """What `Summarize` wrote, as items for `Estimate`."""
    pieces = (note.text.partition(":") for note in notes if note.kind.startswith("rubric_"))
    return tuple(Item(name=name.strip(), description=said.strip()) for name, _, said in pieces)
