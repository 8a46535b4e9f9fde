"""Self-assessment: the model marks its own answers from 1 to 10, for quality and for following the instruction.

I-SHEEP, arXiv:2408.08072, section 3.2 and appendix A; parsing as in the repository (84187d4). Three wordings: `combined` (the
authors'), `simple`, and `icl`, one prompt with three worked examples whose one mark stands for both criteria. No chat template is
applied, whichever model marks. What is kept is above the threshold on both criteria: above 8 is at least 9.

Deviations. Marks are drawn at temperature 0 by default, or several are averaged (`grades`); the authors draw one at 1.0, which is
noise. The explanation ends with its line.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field, model_validator

from ..schemas.digest import seed_of
from ..schemas.llm import LLM, Decoding
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score
from .rules import partition, rule

Criterion = Literal["quality", "following"]
PROMPTS: dict[str, dict[Criterion, str]] = {
    "combined": {"quality": "isheep/quality", "following": "isheep/following"},
    "simple": {"quality": "isheep/quality_simple", "following": "isheep/following_simple"},
    "icl": {"quality": "isheep/icl", "following": "isheep/icl"},
}
_NUMBER = r"\d{1,4}(?:\.\d{1,4})?"  # longer ones are no marks, and might be infinite


class Assess(Step):
    """Two marks for one answered instruction."""

    method: Literal["isheep_assess"] = "isheep_assess"
    engine: str = Field("main", description="which engine marks; the flow names it by `evaluator`")
    variant: Literal["combined", "simple", "icl"] = Field("combined", description="wording of the prompts; appendix A")
    criteria: tuple[Criterion, ...] = Field(("quality", "following"), min_length=1, description="what is marked, in order")
    temperature: float = Field(0.0, ge=0, le=2, description="the reference: 1.0")
    top_p: float = Field(0.95, gt=0, le=1)
    grades: int = Field(1, ge=1, description="marks to average; more than one needs a temperature")
    max_tokens: int = Field(200, gt=0, description="of a mark with its explanation; the reference: 1000")

    consumes: ClassVar = Chat  # a conversation that ends in the answer to be marked; its id is the answer's
    produces: ClassVar = (Score,)
    prompts: ClassVar = tuple(dict.fromkeys(name for names in PROMPTS.values() for name in names.values()))

    @model_validator(mode="after")
    def _grades_differ(self) -> Assess:
        if self.grades > 1 and self.temperature == 0.0:
            raise ValueError(f"grades={self.grades} at temperature 0 are all the same mark; set a temperature, such as 1.0")
        return self

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Quality first; what has no mark is not marked further."""
        made: list[Score] = []
        for criterion in self.criteria:
            if made and self.variant == "icl":
                made.append(Score(row.id, criterion, made[0].value, None, llm.model, made[0].reason))
            else:
                made.append(await self._marked(row, criterion, llm))
            if made[-1].value is None:
                break
        return made

    async def _marked(self, row: Chat, criterion: Criterion, llm: LLM) -> Score:
        *_, asked, answer = row.turns
        shown = {"instruction": asked.content.replace("\n", " "), "response": answer.content}
        question = fill(prompt(PROMPTS[self.variant][criterion]), **shown)
        drawn = Decoding(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens, stop=("\n",))
        seeds = [seed_of(row.id, criterion, number) for number in range(self.grades)]
        replies = await asyncio.gather(*(llm.complete(question, drawn, seed) for seed in seeds))
        marks = [found for reply in replies if (found := mark(reply.text)) is not None]
        said = " | ".join(reply.error or reply.text.strip() for reply in replies)
        value = sum(marks) / len(marks) if marks else None
        return Score(row.id, criterion, value, None, llm.model, said if marks else f"no mark in {said[:200]!r}")


def mark(text: str) -> int | None:
    """The mark that opens a reply, or else the number before `||`; rounded half to even; None outside 1 to 10."""
    said = re.sub(r"^\W+", "", text)
    found = re.match(_NUMBER, said) or re.search(rf"{_NUMBER}(?=\s*\|\|)", said)
    value = round(float(found[0])) if found else 0
    return value if 1 <= value <= 10 else None


def kept(
    answered: pl.DataFrame, scores: pl.DataFrame, above: float, criteria: Sequence[Criterion]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The conversations whose every mark is above the threshold; and the others, with `reason` and, in `detail`, the marks."""
    told = answered
    for criterion in criteria:
        marks = scores.filter(pl.col("name") == criterion).select(pl.col("about").alias("id"), pl.col("value").alias(criterion))
        told = told.join(marks, on="id", how="left", maintain_order="left")
    unmarked = [rule("unmarked", pl.col(name).is_null()) for name in criteria]
    low = [rule(f"low_{name}", pl.col(name) <= above) for name in criteria]
    good, bad = partition(told, *unmarked, *low)
    said = [pl.format(f"{name} {{}}", pl.col(name).fill_null(float("nan"))) for name in criteria]
    return good.drop(criteria), bad.with_columns(detail=pl.concat_str(said, separator=", ")).drop(criteria)
