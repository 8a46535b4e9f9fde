"""Methods of several stages as a recipe names them: their configuration, and the steps that ask a model, in order.

How their stages follow one another is told in `flows/codeclm.py`, `flows/wildfeedback.py` and `flows/answers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..filters.aspects import Aspects
from ..filters.checklist import Checklist
from ..filters.ensemble import Scale
from ..filters.feedback import FindFeedback
from ..filters.judge import Pointwise
from ..filters.pairwise import Pairwise
from ..filters.reward import RewardModel
from ..filters.rewards import RewardDifference
from ..filters.safety import Guard, GuardPrompt
from ..generators.candidates import Independent
from ..generators.chatlogs import Layout, Selection
from ..generators.codeclm import Contrast
from ..generators.codeclm_metadata import Decode, Encode, Plausible, SelfRubrics
from ..generators.diverse import NegativelyCorrelated, Regenerated, Verbalized
from ..generators.wildfeedback import Expert, OnPolicy
from ..schemas.step import Step

Pairs = Annotated[Expert | OnPolicy, Field(discriminator="method")]
Moderation = Annotated[GuardPrompt | Guard, Field(discriminator="method")]


class CodecLM(BaseModel):
    """Instructions for a task distribution that seeds or metadata describe, where two models answer unequally well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["codeclm"] = "codeclm"
    rows: int = Field(2000, gt=0, description="accepted instructions wanted; section 5.1 uses 500 to 8000")
    seeds: str | None = Field(None, description="seed instructions: a JSONL, JSON, CSV or Parquet file, or hub:name")
    column: str = Field("instruction", description="the seeds' column that holds the instruction")
    metadata: str | None = Field(None, description="metadata written by hand: records of `use_case` and `skills`")
    entries: int = Field(200, gt=0, description="metadata entries that the pool is enlarged to; appendix A.3")
    most_rounds: int = Field(5, ge=1, description="times that every entry is decoded before a short quota is accepted")
    encode: Encode = Encode()
    plausible: Plausible | None = Field(None, description="vote on mixed entries; what is below `least_plausible` goes")
    least_plausible: float = Field(0.5, ge=0, le=1)
    rubrics: SelfRubrics = SelfRubrics()
    decode: Decode = Decode()
    contrast: Contrast = Contrast()

    @model_validator(mode="after")
    def _has_a_source(self) -> CodecLM:
        if self.seeds is None and self.metadata is None:
            raise ValueError("codeclm needs `seeds` (instructions) or `metadata` (use cases and skills), or both")
        return self

    def steps(self) -> Iterator[Step]:
        """The steps that ask a model, in order."""
        if self.seeds is not None:
            yield self.encode
        if self.plausible is not None:
            yield self.plausible
        yield from (self.rubrics, self.decode, self.contrast)

    def sources(self) -> tuple[str, ...]:
        """The fields that name files."""
        return ("seeds", "metadata")


class HeldOut(BaseModel):
    """A set for evaluation, apart from what is trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: int = Field(70, ge=1, description="clusters of prompts with their wishes")
    nearest: int = Field(10, ge=1, description="items from each, nearest to its centre first")
    encoder: str | None = Field(None, description="a sentence-transformers model; default: the embedded all-MiniLM-L6-v2")


class WildFeedback(BaseModel):
    """Preference pairs from the complaints that users made in a chat log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["wildfeedback"] = "wildfeedback"
    logs: str = Field(description="a JSONL, JSON or Parquet file, or hub:name")
    layout: Layout | Literal["wildfeedback"] = Field("wildchat", description="of the records; wildfeedback: labelled ones")
    rows: int | None = Field(None, gt=0, description="conversations to read; default: all")
    select: Selection = Selection()
    scrub: bool = Field(True, description="replace personal data by its kind")
    chunk_rows: int = Field(20_000, gt=0, description="conversations in memory at once")
    find: FindFeedback = FindFeedback()
    most_per_chat: int = Field(3, ge=1, description="pairs from one conversation")
    longest_prompt: int = Field(24_000, gt=0, description="characters; the oldest turns go first")
    pairs: Pairs = Expert()
    moderation: Moderation | None = Field(
        GuardPrompt(engine="judge"), description="drops pairs with an unsafe side or unsafe wishes"
    )
    least_safe: float = Field(0.5, ge=0, le=1, description="probability of safe under which a pair goes")
    checklist: Checklist | None = Field(None, description="keep only pairs whose chosen side wins; on-policy pairs always")
    held_out: HeldOut | None = Field(None, description="set mainstream items aside, in held_out/ beside the dataset")
    approved: bool = Field(False, description="also hand on replies that users liked, as lessons without a rejected side")

    def steps(self) -> Iterator[Step]:
        """The steps that ask a model, in order."""
        if self.layout != "wildfeedback":
            yield self.find
        yield self.pairs
        if self.moderation is not None:
            yield self.moderation
        if (judge := self.pair_judge()) is not None:
            yield judge

    def sources(self) -> tuple[str, ...]:
        """The fields that name files."""
        return ("logs",)

    def pair_judge(self) -> Checklist | None:
        """The judge that pairs must pass."""
        return self.checklist or (Checklist(engine=self.pairs.judge) if isinstance(self.pairs, OnPolicy) else None)


class Dpp(BaseModel):
    """The k most different of a larger independent draw: a determinantal point process's likeliest set. Our own, not a paper's.

    It is what `negatively_correlated` is held against: diversity by choosing, without a word to the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["dpp"] = "dpp"
    k: int = Field(4, ge=2, description="candidates kept of each prompt")
    draw: Independent = Independent(k=16)
    encoder: str | None = Field(None, description="a sentence-transformers model; default: the embedded all-MiniLM-L6-v2")

    @model_validator(mode="after")
    def _draws_enough(self) -> Dpp:
        if self.draw.k <= self.k:
            raise ValueError(f"draw.k={self.draw.k} leaves nothing to choose; it must be above k={self.k}")
        return self

    def steps(self) -> Iterator[Step]:
        """The steps that ask a model, in order."""
        yield self.draw


class Bleu(BaseModel):
    """BLEU against reference answers of a better model (BLEUBERI, arXiv:2505.11080)."""

    method: Literal["bleu"] = "bleu"
    model_config = ConfigDict(frozen=True, extra="forbid")

    references: Independent = Field(Independent(k=1, temperature=0.0), description="who writes the references, and how many")
    copy_above: float = Field(0.9, gt=0, le=1, description="a candidate above this is a reference in disguise: no score")
    min_tokens: int = Field(4, ge=1, description="a shorter reference says too little: no score")

    def steps(self) -> Iterator[Step]:
        """The steps that ask a model, in order."""
        yield self.references


OneJudge = Annotated[Pointwise | Aspects | Pairwise | RewardModel | RewardDifference | Bleu, Field(discriminator="method")]


class Ensemble(BaseModel):
    """Several judges as one: each calibrated over a prompt's answers, then averaged; their disagreement stays beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["ensemble"] = "ensemble"
    judges: tuple[OneJudge, ...] = Field(min_length=2)
    scale: Scale = Field("z", description="z: deviations from the prompt's mean; cdf: share of the prompt's answers below")

    def steps(self) -> Iterator[Step]:
        """The steps that ask a model, in order."""
        for judge in self.judges:
            yield from (judge,) if isinstance(judge, Step) else judge.steps()


AnyCandidates = Annotated[Independent | NegativelyCorrelated | Verbalized | Regenerated | Dpp, Field(discriminator="method")]
AnyJudge = Annotated[
    Pointwise | Aspects | Pairwise | RewardModel | RewardDifference | Bleu | Ensemble, Field(discriminator="method")
]
