"""The rows that leave the house: what a reader of the published dataset sees, column by column.

The shapes are TRL's (1.16, `docs/source/dataset_formats.md`): conversational, with the prompt apart. Every side is a list
of messages, because TRL looks at one arbitrary column to tell conversations from strings, and rows of mixed kinds crash it
on some hash seeds. None of the names that a trainer consumes on its own is used unless it is meant (`RESERVED`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .tables import Turn

# Columns that some TRL trainer reads if present: `margin` enters RewardTrainer's loss, `ref_*_logps` end the reference.
RESERVED = frozenset(
    name
    for names in (
        ("margin", "labels", "tools", "chat_template_kwargs", "image", "images", "text", "conversations", "seq_lengths"),
        ("input_ids", "attention_mask", "completion_mask", "assistant_masks", "prompt_ids", "completion_ids"),
        ("chosen_ids", "rejected_ids", "chosen_input_ids", "rejected_input_ids"),
        ("ref_logps", "ref_chosen_logps", "ref_rejected_logps"),
    )
    for name in names
)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote an answer, and how."""

    model: str
    revision: str
    method: str
    temperature: float
    top_p: float
    max_tokens: int
    seed: int | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a prompt comes from."""

    method: str
    model: str
    revision: str
    parents: list[str]


@dataclass(frozen=True, slots=True)
class PairMeta:
    """Provenance of a pair."""

    prompt: Origin
    chosen: Writer
    rejected: Writer


@dataclass(frozen=True, slots=True)
class AnswerMeta:
    """Provenance of one answer."""

    prompt: Origin
    answer: Writer


@dataclass(frozen=True, slots=True)
class Pair:
    """`default`: one preference, explicit prompt."""

    prompt: Annotated[list[Turn], "messages up to and including the last user turn"]
    chosen: Annotated[list[Turn], "the better answer, one assistant message"]
    rejected: Annotated[list[Turn], "the worse answer, one assistant message"]
    prompt_id: Annotated[str, "id of the prompt"]
    chosen_id: Annotated[str, "id of the better answer"]
    rejected_id: Annotated[str, "id of the worse answer"]
    score_chosen: Annotated[float, "judge's score of the better answer"]
    score_rejected: Annotated[float, "judge's score of the worse answer"]
    score_margin: Annotated[float, "score_chosen minus score_rejected; above zero"]
    source: Annotated[str, "how the pair was built"]
    meta: Annotated[PairMeta, "who wrote prompt and answers, with which settings"]


@dataclass(frozen=True, slots=True)
class Thumb:
    """`unpaired`: one answer, good or bad."""

    prompt: Annotated[list[Turn], "messages up to and including the last user turn"]
    completion: Annotated[list[Turn], "the answer, one assistant message"]
    label: Annotated[bool, "true for a score at or above the high threshold, false at or below the low one"]
    prompt_id: Annotated[str, "id of the prompt"]
    completion_id: Annotated[str, "id of the answer"]
    score: Annotated[float, "judge's score"]
    source: Annotated[str, "how the answer was drawn"]
    meta: Annotated[AnswerMeta, "who wrote prompt and answer, with which settings"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """`sft`: the best answer in its conversation."""

    messages: Annotated[list[Turn], "the prompt and its best answer"]
    prompt_id: Annotated[str, "id of the prompt"]
    answer_id: Annotated[str, "id of the answer"]
    score: Annotated[float, "judge's score of the answer"]
    meta: Annotated[AnswerMeta, "who wrote prompt and answer, with which settings"]


@dataclass(frozen=True, slots=True)
class Rating:
    """One score of one answer."""

    name: str
    judge: str
    value: float | None
    label: str | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer with all its scores."""

    id: str
    text: str
    finish: str
    writer: Writer
    scores: list[Rating]


@dataclass(frozen=True, slots=True)
class Slate:
    """`candidates`: a prompt with everything that was answered and all that was said of it."""

    prompt: Annotated[list[Turn], "messages up to and including the last user turn"]
    completions: Annotated[list[Candidate], "all candidate answers, each with all its scores"]
    prompt_id: Annotated[str, "id of the prompt"]
    meta: Annotated[Origin, "where the prompt comes from"]


@dataclass(frozen=True, slots=True)
class Goal:
    """`reward_augmented`: a pair under the goal that one of its two answers meets."""

    prompt: Annotated[list[Turn], "messages up to and including the last user turn, the goal among them"]
    chosen: Annotated[list[Turn], "the answer that meets the goal, one assistant message"]
    rejected: Annotated[list[Turn], "the other answer, one assistant message"]
    goal: Annotated[float, "score that the prompt asks for, 1 to 10"]
    augmentation: Annotated[str, "pos: the better answer under its own score; neg: the worse one under its own"]
    parent_id: Annotated[str, "id of the prompt, the same for both copies: splits must not part them"]
    chosen_id: Annotated[str, "id of the chosen answer"]
    rejected_id: Annotated[str, "id of the rejected answer"]
    score_chosen: Annotated[float, "score of the chosen answer, 1 to 10"]
    score_rejected: Annotated[float, "score of the rejected answer, 1 to 10"]
    source: Annotated[str, "how the pair was built"]


@dataclass(frozen=True, slots=True)
class Negative:
    """`d2o`: one dispreferred answer against samples of the policy itself."""

    prompt: Annotated[list[Turn], "messages up to and including the last user turn"]
    rejected: Annotated[list[Turn], "the dispreferred answer, one assistant message"]
    self_samples: Annotated[list[str], "K different answers of the policy itself"]
    prompt_id: Annotated[str, "id of the prompt"]
    rejected_id: Annotated[str, "id of the dispreferred answer"]
    sample_ids: Annotated[list[str], "ids of the policy's answers"]
    sampler: Annotated[Writer, "the policy and how it was sampled; the samples hold for it alone"]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One answer of the base policy with its reward."""

    id: str
    text: str
    reward: float
    calibrated: float


@dataclass(frozen=True, slots=True)
class Rollouts:
    """`infalign`: a prompt with the base policy's answers, rewarded and calibrated."""

    prompt: Annotated[list[Turn], "messages up to and including the last user turn"]
    rollouts: Annotated[list[Rollout], "answers of the policy; `calibrated` is the share of them below, ties half"]
    prompt_id: Annotated[str, "id of the prompt"]
    policy: Annotated[Writer, "the policy and how it was sampled"]
    reward_model: Annotated[str, "judge that gave the raw rewards"]
    informative: Annotated[bool, "false where all rewards are equal"]


@dataclass(frozen=True, slots=True)
class Ranking:
    """`listwise`: a prompt with its answers, best first."""

    prompt: Annotated[list[Turn], "messages up to and including the last user turn"]
    completions: Annotated[list[str], "answers, best first; ties by id"]
    scores: Annotated[list[float], "their scores, never rising"]
    prompt_id: Annotated[str, "id of the prompt"]
    answer_ids: Annotated[list[str], "ids of the answers, in the same order"]
