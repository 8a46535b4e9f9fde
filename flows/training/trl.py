"""One training through TRL, in the process that Ray gave it. The only file that imports TRL, and slow to import for that.

A checkpoint counts once all its files are on disk and a marker was renamed into it, last of all; a killed training goes on from the
newest one that counts, with its optimiser, its place in the data and its random state. The model is written aside, made durable and
renamed: where it stands, it is whole. A loss or a gradient that is no finite number ends the training before anything of it is saved.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import polars as pl
import torch
import trl
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ...schemas.template import TemplateError
from ..durable import disk_errors, sync_folder, write
from ..engines.tokens import Chatter, Tokenizer
from .spec import DPO, Job, Trained, TrainingError

MARKER = "committed"  # the file that makes a checkpoint count
LESS_MEMORY = "Lower `at_once` or `max_length`, set `gradient_checkpointing: true`, or train a LoRA"
Row = dict[str, list[dict[str, str]]]


def tune(job: Job) -> Trained:
    """Train, from the newest checkpoint that counts; leave the model in `job.out`.

    Raises:
        TrainingError: on a loss that is no number, on want of memory, and where there is nothing to train on.
    """
    began = time.monotonic()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    tokenizer = _tokenizer(job)
    rows, too_long = _fitting(job, tokenizer)
    held = round(len(rows) * job.tuning.held_out)
    if len(rows) - held < 1:
        raise TrainingError(f"there is nothing to train on: {len(rows)} rows, {too_long} more are over max_length tokens")
    model = AutoModelForCausalLM.from_pretrained(
        job.model,
        revision=job.revision,
        dtype="auto" if job.tuning.lora else torch.float32,
        trust_remote_code=job.trust_remote_code,
    )
    start = _newest(job.checkpoints)
    try:
        trainer = _trainer(job, model, tokenizer, rows[held:], rows[:held])
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    except TrainingError:
        raise
    except (MemoryError, RuntimeError) as error:
        if not _short_of_memory(error):
            raise
        raise TrainingError(f"out of memory with at_once={job.tuning.at_once}: {_first_line(error)}. {LESS_MEMORY}") from error
    done = trainer.state
    _save(cast("PreTrainedModel | PeftModel", trainer.model), tokenizer, _stored_dtype(job), job.out)
    return Trained(
        rows=len(rows) - held,
        held_out=held,
        too_long=too_long,
        steps=done.global_step,
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        resumed_at=int(start.name.rpartition("-")[2]) if start else 0,
        seconds=round(time.monotonic() - began, 1),
        losses=[(int(line["step"]), line["loss"]) for line in done.log_history if "loss" in line],
        held_out_losses=[(int(line["step"]), line["eval_loss"]) for line in done.log_history if "eval_loss" in line],
    )


def _tokenizer(job: Job) -> PreTrainedTokenizerBase:
    """The model's tokenizer, whose end of sequence is the end of a turn: a base model's often is another token."""
    tokenizer = AutoTokenizer.from_pretrained(job.model, revision=job.revision, trust_remote_code=job.trust_remote_code)
    if job.template is not None:
        tokenizer.chat_template = Path(job.template).read_text(encoding="utf-8")
    try:
        chatter = Chatter(cast(Tokenizer, tokenizer), job.model)
        ending = [token for token in chatter.special if token in chatter.pieces.end_of_turn]
    except TemplateError as error:
        raise TrainingError(f"{error}") from error
    if ending:
        tokenizer.eos_token = ending[0]
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def _fitting(job: Job, tokenizer: PreTrainedTokenizerBase) -> tuple[list[Row], int]:
    """The rows in an order of their own, as TRL takes them; and how many were too long."""
    table = pl.read_parquet(job.rows)
    if job.tuning.method == "sft":
        rows = [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in table.iter_rows(named=True)]
    else:
        rows = table.select("prompt", "chosen", "rejected").to_dicts()
    random.Random(job.seed).shuffle(rows)
    whole = [row for row in rows if _tokens(row, tokenizer) <= job.tuning.max_length]
    return whole[: job.tuning.most_rows], len(rows) - len(whole)


def _tokens(row: Row, tokenizer: PreTrainedTokenizerBase) -> int:
    sides = [side for name, side in row.items() if name != "prompt"]
    texts = [tokenizer.apply_chat_template(row["prompt"] + side, tokenize=False) for side in sides]
    return max(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)


def _trainer(
    job: Job, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[Row], held: list[Row]
) -> trl.SFTTrainer | trl.DPOTrainer:
    tuning = job.tuning
    at_once = min(tuning.at_once, tuning.batch)
    often = min(tuning.checkpoint_steps, max(1, math.ceil(len(rows) / tuning.batch)))
    shared: dict[str, Any] = {
        "output_dir": str(job.checkpoints),
        "seed": job.seed % 2**31,
        "learning_rate": tuning.rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": tuning.warmup_steps,
        "num_train_epochs": tuning.epochs,
        "per_device_train_batch_size": at_once,
        "per_device_eval_batch_size": at_once,
        "gradient_accumulation_steps": tuning.batch // at_once,
        "gradient_checkpointing": tuning.gradient_checkpointing,
        "max_length": tuning.max_length,
        "bf16": tuning.bf16,
        "use_cpu": not torch.cuda.is_available(),
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # which would hide what `_Watch` looks for
        "save_strategy": "steps",
        "save_steps": often,
        "save_total_limit": 2,  # one is being written while the other counts
        "eval_strategy": "steps" if held else "no",
        "eval_steps": often,
        "load_best_model_at_end": bool(held),
        "metric_for_best_model": "eval_loss" if held else None,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }
    lora = tuning.lora and LoraConfig(
        r=tuning.lora.rank,
        lora_alpha=tuning.lora.alpha,
        lora_dropout=tuning.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    given: dict[str, Any] = {
        "model": model,
        "processing_class": tokenizer,
        "train_dataset": Dataset.from_list(rows),
        "eval_dataset": Dataset.from_list(held) if held else None,
        "peft_config": lora,
        "callbacks": [_Watch()],
    }
    if isinstance(tuning, DPO):
        return trl.DPOTrainer(args=trl.DPOConfig(**shared, beta=tuning.beta), **given)
    return trl.SFTTrainer(args=trl.SFTConfig(**shared, eos_token=tokenizer.eos_token), **given)


class _Watch(TrainerCallback):
    """Ends a training that has gone wrong, and commits checkpoints."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: object,
    ) -> None:
        for name in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise TrainingError(
                    f"{name} is {value} at step {state.global_step} of {state.max_steps}, expected a finite number. Lower `rate` "
                    f"({args.learning_rate:g}), raise `warmup_steps` ({args.warmup_steps:g}) or set `bf16: false`"
                )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        make_durable(folder)
        write(folder / MARKER, b"")


def make_durable(folder: Path) -> None:
    """Have all files of a folder on the disk, and their names."""
    with disk_errors(folder):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        for path in (folder, *(p for p in folder.rglob("*") if p.is_dir()), folder.parent):
            sync_folder(path)


def _newest(checkpoints: Path) -> Path | None:
    """The newest checkpoint that counts; torn ones are removed, for their names will be needed again."""
    found = {int(path.name.rpartition("-")[2]): path for path in checkpoints.glob("checkpoint-*")}
    for path in found.values():
        if not (path / MARKER).is_file():
            shutil.rmtree(path)
    whole = [step for step, path in found.items() if path.is_dir()]
    return found[max(whole)] if whole else None


def _stored_dtype(job: Job) -> torch.dtype:
    """In which the model is stored, and its successor will be."""
    config = AutoConfig.from_pretrained(job.model, revision=job.revision, trust_remote_code=job.trust_remote_code)
    return config.dtype or torch.bfloat16


def _save(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype, out: Path) -> None:
    """Write the merged model as an engine takes it: aside, durable, renamed."""
    aside = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    merged = model.merge_and_unload() if isinstance(model, PeftModel) else model
    ends = merged.generation_config.eos_token_id
    known = ends if isinstance(ends, list) else [] if ends is None else [ends]
    merged.generation_config.eos_token_id = list(dict.fromkeys([tokenizer.eos_token_id, *known]))
    with disk_errors(aside):
        merged.to(dtype).save_pretrained(aside)  # type: ignore[arg-type]  # its stub hides torch's own signature
        tokenizer.save_pretrained(aside)
    make_durable(aside)
    with disk_errors(out):
        aside.rename(out)
        sync_folder(out.parent)


def _short_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
