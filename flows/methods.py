"""Methods of several stages as a recipe names them: their configuration, and the steps that ask a model, in order.

How their stages follow one another is told in `flows/codeclm.py`, `flows/wildfeedback.py`, `flows/isheep.py` and `flows/answers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..filters.aspects import Aspects
from ..filters.assessment import Assess
from ..filters.checklist import Checklist
from ..filters.ensemble import Scale
from ..filters.feedback import FindFeedback
from ..filters.isheep_rules import ANSWER_RULES, INSTRUCTION_RULES, AnswerRule, InstructionRule
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
from ..generators.isheep import Instruct, Respond
from ..generators.wildfeedback import Expert, OnPolicy
from ..schemas.step import Step
from .training.spec import SFT

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


class ISheep(BaseModel):
    """A base model that raises itself: it writes instructions, answers and marks them, and is trained on what it kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["isheep"] = "isheep"
    seeds: str = Field(description="seed tasks, Self-Instruct's layout: a JSONL, JSON, CSV or Parquet file, or hub:name")
    rows: int = Field(10_000, gt=0, description="instructions of an iteration, before rules and marks; section 4.2")
    iterations: int = Field(3, ge=1, description="at most; appendix: 2 help up to 14B, 3 at 32B, 5 at 72B")
    setting: Literal["one_base", "one_last", "total_base", "direct"] = Field(
        "one_base",
        description="whose data trains which model (section 4.5); direct: the base writes all iterations' rows at once",
    )
    most_rounds: int = Field(5, ge=1, description="times that seeds are drawn again before too few instructions are accepted")
    instruct: Instruct = Instruct()
    respond: Respond = Respond()
    system: str = Field(
        "You are a helpful assistant.", description="system message of training and of tuned models; may be empty"
    )
    assess: Assess | None = Field(Assess(), description="null: no self-assessment, as a control")
    evaluator: Literal["base", "current"] = Field("base", description="who marks; the paper says current, its scripts run base")
    above: float = Field(8, description="both marks must exceed it; section 5.3")
    keep: Literal["assessed", "random"] = Field("assessed", description="random: as many at random, as a control")
    instruction_rules: tuple[InstructionRule, ...] = Field(INSTRUCTION_RULES, description="rules about instructions, by name")
    answer_rules: tuple[AnswerRule, ...] = Field(ANSWER_RULES, description="rules about answered instructions, by name")
    most_alike: float = Field(
        0.7, gt=0, le=1, description="ROUGE-L above which an instruction repeats another; 1: exact copies only"
    )
    alike_within: Literal["call", "iteration", "run"] = Field(
        "iteration", description="what is compared; call: the last hundred at most, as in the reference"
    )
    train: SFT = SFT()
    evaluate: str | None = Field(None, description="an exam as package.module:name; without one all iterations run")
    patience: int = Field(1, ge=1, description="iterations without a better exam after which the loop ends")

    @model_validator(mode="after")
    def _control_has_a_size(self) -> ISheep:
        if self.keep == "random" and self.assess is None:
            raise ValueError("keep=random takes as many as self-assessment would; give it `assess`, or leave `keep` out")
        return self

    def steps(self) -> Iterator[Step]:
        """The steps that ask the base model, in order."""
        base = self.train.engine
        yield self.instruct.model_copy(update={"engine": base})
        yield self.respond.model_copy(update={"engine": base})
        if self.assess is not None:
            yield self.assess.model_copy(update={"engine": base})

    def sources(self) -> tuple[str, ...]:
        """The fields that name files."""
        return ("seeds",)


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
