"""What a recipe says of fine-tuning: `method: sft` or `method: dpo`, all weights or a LoRA that is merged afterwards.

Defaults are those of I-SHEEP (arXiv:2408.08072, appendix E: LLaMA-Factory, LoRA of rank 8 on all linear layers, learning rate 5e-5
with a cosine and 20 steps of warm-up, 2 epochs, 16 rows to a step, 10% held out and the best checkpoint kept).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...schemas.errors import PlainError


class TrainingError(PlainError, RuntimeError):
    """A training that cannot go on. The message says at which step, why, and what to change."""


class Lora(BaseModel):
    """A low-rank adapter on every linear layer, merged into the weights at the end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(8, ge=1)
    alpha: int = Field(16, gt=0)
    dropout: float = Field(0.05, ge=0, lt=1)


class Tuning(BaseModel):
    """What SFT and DPO have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = Field("main", description="whose model is trained")
    lora: Lora | None = Field(Lora(), description="null: all weights are trained")
    rate: float = Field(5e-5, gt=0, description="highest learning rate; a cosine follows the warm-up")
    warmup_steps: int = Field(20, ge=0)
    epochs: float = Field(2.0, gt=0)
    batch: int = Field(16, ge=1, description="rows to a step of the optimiser")
    at_once: int = Field(16, ge=1, description="rows in memory at once; lower it where memory is short, `batch` stays")
    max_length: int = Field(1024, gt=0, description="tokens; a longer row is left out and counted")
    most_rows: int | None = Field(None, gt=0, description="cap on the rows; the reference's 3000 cuts its own data short")
    held_out: float = Field(
        0.1, ge=0, le=0.5, description="share of the rows for the loss that picks the checkpoint; 0: the last"
    )
    checkpoint_steps: int = Field(50, ge=1, description="steps between checkpoints, an epoch at most: what a kill may cost")
    bf16: bool = Field(True, description="compute in bfloat16; the trained weights are float32, or the adapter's")
    gradient_checkpointing: bool = Field(False, description="less memory, a third more time")
    cpus: float | None = Field(None, gt=0, description="CPUs of the training; default: a whole machine's")
    gpus: float | None = Field(None, ge=0, le=1, description="GPUs, one at most; default: one where the engines use any")

    @model_validator(mode="after")
    def _batch_is_whole(self) -> Tuning:
        if self.batch % min(self.at_once, self.batch):
            raise ValueError(f"batch={self.batch} is no multiple of at_once={self.at_once}; choose one that divides it")
        return self


class SFT(Tuning):
    """Supervised fine-tuning on conversations; the loss is on the last turn alone."""

    method: Literal["sft"] = "sft"


class DPO(Tuning):
    """Direct preference optimisation (arXiv:2305.18290) on pairs, against the model as it was."""

    method: Literal["dpo"] = "dpo"
    rate: float = Field(5e-6, gt=0, description="highest learning rate; a cosine follows the warm-up")
    beta: float = Field(0.1, gt=0, description="how dearly leaving the reference model is paid for")


AnyTuning = Annotated[SFT | DPO, Field(discriminator="method")]
EXPORT = {"sft": "sft", "dpo": "default"}  # which export a training takes


@dataclass(frozen=True, slots=True)
class Job:
    """One training, as its process gets it."""

    tuning: SFT | DPO
    model: str
    revision: str | None
    trust_remote_code: bool
    template: str | None  # a file, where the model's own is not to be used
    rows: Path  # Parquet: `messages`, or `prompt`, `chosen` and `rejected`
    checkpoints: Path
    out: Path
    seed: int


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training says of itself."""

    rows: int
    held_out: int
    too_long: int
    steps: int
    parameters: int
    resumed_at: int  # step; 0: from the start
    seconds: float  # of this run of it
    losses: list[tuple[int, float]] = field(default_factory=list)  # step, mean loss of its rows
    held_out_losses: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def read(cls, stage: Path) -> Trained:
        """What a finished training wrote down in its stage's folder."""
        return cls(**json.loads((stage / "training.json").read_text(encoding="utf-8")))

    @property
    def best_held_out(self) -> float | None:
        """The lowest loss on held-out rows, which is that of the model kept."""
        return min((loss for _, loss in self.held_out_losses), default=None)
