"""The reward model: a sequence classifier grown from the chat model, trained with TRL's RewardTrainer on checked pairs.

python -m rookery.data.world.reward [--answers ANSWERS.jsonl]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from datasets import Dataset
from transformers import LlamaForSequenceClassification

from .judging import judged_task, replies
from .tokenizer import load_tokenizer

DEMO = Path(__file__).resolve().parents[1] / "demo"


def pairs(count: int, seed: int, answers: Path | None) -> Dataset:
    """Half of the pairs are the world's, half, where given, the model's own answers."""
    from .own import Answers

    rng = Random(seed)
    drawn = [(task, *replies(rng, task)) for task in (judged_task(rng) for _ in range(count))]
    if answers is not None:
        drawn[: count // 2] = list(Answers(answers).pairs())[: count // 2]
    rng.shuffle(drawn)
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": task.instruction}],
                "chosen": [{"role": "assistant", "content": right}],
                "rejected": [{"role": "assistant", "content": wrong}],
            }
            for task, right, wrong in drawn
        ]
    )


def train(start: Path, folder: Path, dataset: Dataset, seed: int = 0, rate: float = 3e-4) -> None:
    from trl import RewardConfig, RewardTrainer

    tokenizer = load_tokenizer(start)
    model = LlamaForSequenceClassification.from_pretrained(start, num_labels=1, dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    config = RewardConfig(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=64,
        learning_rate=rate,
        lr_scheduler_type="linear",
        warmup_steps=20,
        max_length=256,
        logging_steps=20,
        save_strategy="no",
        report_to=[],
        seed=seed,
        use_cpu=True,
        bf16=True,
        gradient_checkpointing=False,
        center_rewards_coefficient=0.01,
        disable_tqdm=True,
    )
    RewardTrainer(model=model, args=config, train_dataset=dataset, processing_class=tokenizer).train()
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict={name: value.bfloat16() for name, value in model.state_dict().items()})
    tokenizer.save_pretrained(folder)


@torch.inference_mode()
def scores(folder: Path, dialogues: Sequence[Sequence[dict[str, str]]]) -> list[float]:
    """Raw rewards."""
    tokenizer = load_tokenizer(folder)
    model = LlamaForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    found: list[float] = []
    for start in range(0, len(dialogues), 64):
        texts = [tokenizer.apply_chat_template(list(one), tokenize=False) for one in dialogues[start : start + 64]]
        batch = tokenizer(texts, padding=True, return_tensors="pt", add_special_tokens=False, padding_side="right")
        found += model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, 0].tolist()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=Path, default=None)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=DEMO / "reward")
    parser.add_argument("--seed", type=int, default=41)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    train(DEMO / "chat", asked.folder, pairs(asked.pairs, asked.seed, asked.answers), asked.seed)
    plan = {"pairs": asked.pairs, "seed": asked.seed, "own answers": asked.answers is not None}
    (asked.folder / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")


if __name__ == "__main__":
    main()
