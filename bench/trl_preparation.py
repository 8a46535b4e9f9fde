"""Send exported Parquet through TRL's own trainers, one step each, and print what came of it as JSON.

    PYTHONHASHSEED=3 python bench/trl_preparation.py runs/demo/dataset [--seeds 20]

`tests/test_export_trl.py` runs it under one hash seed; with `--seeds 20` it starts itself under twenty. TRL 1.16 has no
`BCOTrainer` any more: BCO is a loss of the DPO trainer (`bco_pair`), and the unpaired form is the KTO trainer's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{m['role']}}\n{{m['content']}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# export -> trainers that must take it, with their loss
TAKERS = {
    "default": (("DPO", "sigmoid"), ("DPO", "bco_pair"), ("Reward", None), ("KTO", "kto")),
    "unpaired": (("KTO", "kto"), ("KTO", "apo_zero_unpaired"), ("SFT", None)),
    "sft": (("SFT", None),),
    "reward_augmented": (("DPO", "sigmoid"), ("Reward", None)),
}


def save_tiny(folder: str) -> str:
    """A random Llama of two layers, and a byte-level tokenizer with a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    core = Tokenizer(models.BPE({name: i for i, name in enumerate([*special, *letters])}, []))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    core.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(core.get_vocab()), hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def prepared(model: str, trainer: str, loss: str | None, path: Path, out: str) -> dict[str, int | float | list[str]]:
    """One trainer on one export: rows and columns after its preparation, and the loss of its first step."""
    import trl
    from datasets import load_dataset

    data = load_dataset("parquet", data_files=str(path), split="train", cache_dir=out)
    settings = {
        "output_dir": out, "max_length": 256, "per_device_train_batch_size": 2, "max_steps": 1, "report_to": "none",
        "use_cpu": True, "bf16": False, "save_strategy": "no", "disable_tqdm": True, "gradient_checkpointing": False,
    }  # fmt: skip
    if loss:
        settings["loss_type"] = loss
    args = getattr(trl, f"{trainer}Config")(**settings)
    run = getattr(trl, f"{trainer}Trainer")(model=model, args=args, train_dataset=data)
    result = run.train()
    kept = run.train_dataset
    return {"rows": len(data), "kept": len(kept), "loss": result.training_loss, "columns": sorted(kept.column_names)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds <export>/*.parquet")
    parser.add_argument("--seeds", type=int, default=0, help="start again under hash seeds 0 to N-1")
    asked = parser.parse_args()
    if asked.seeds:
        return max(again(asked.folder, seed) for seed in range(asked.seeds))
    found = {}
    with tempfile.TemporaryDirectory() as out:
        model = save_tiny(f"{out}/model")
        for export, takers in TAKERS.items():
            paths = sorted(asked.folder.glob(f"{export}/*.parquet"))
            for trainer, loss in takers if paths else ():
                found[f"{export} {trainer} {loss or ''}".strip()] = prepared(model, trainer, loss, paths[0], out)
    print("RESULT " + json.dumps(found))
    return 0


def again(folder: Path, seed: int) -> int:
    """This script under a hash seed; its exit status."""
    env = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run([sys.executable, __file__, str(folder)], env=env, capture_output=True)
    line = next((line for line in done.stdout.decode().splitlines() if line.startswith("RESULT ")), "RESULT {}")
    losses = {name: (row["rows"], row["kept"], round(row["loss"], 3)) for name, row in json.loads(line[7:]).items()}
    print(
        f"seed {seed}: exit {done.returncode} {losses}" + ("" if done.returncode == 0 else done.stderr.decode()[-2000:]),
        flush=True,
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
