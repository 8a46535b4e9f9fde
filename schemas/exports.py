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
