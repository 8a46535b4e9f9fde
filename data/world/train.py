"""Trains the demo models on two cores, from the corpus that the world writes.

    python -m rookery.data.world.train tokenizer
    python -m rookery.data.world.train base
    python -m rookery.data.world.train chat

Muon for the matrices (Jordan et al. 2024; the step is torch's own) and AdamW for the rest learn from about half the
tokens that AdamW alone needs at this size. Examples are never cut or joined: a step draws whole examples, sorts them by
length and pads within chunks, so that training sees what inference sees.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing
from torch.nn import functional as F
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .corpus import MIXES, stream
from .examples import Example
from .lean import hidden
from .own import Answers
from .tokenizer import CONTEXT_TOKENS, VOCABULARY, load_tokenizer, train_tokenizer

WORKERS = 2
DEMO = Path(__file__).resolve().parents[1] / "demo"
# A reply of one token teaches little beside a sentence, so a verdict weighs more.
WEIGHTS = {"pointwise": 4.0, "pairwise": 4.0, "aspects": 3.0, "guard": 3.0, "value": 3.0}


@dataclass(frozen=True)
class Plan:
    mix: str
    tokens: int
    seed: int
    own_answers: bool = False
    step_tokens: int = 6_000
    chunks: int = 4
    muon_rate: float = 0.02
    adam_rate: float = 0.004
    warmup: float = 0.02
    decay: float = 0.35  # the last part of the run, over which the rates fall linearly to a hundredth


PLANS = {
    "base": (Plan("base", 3_000_000, seed=21),),
    "chat": (
        Plan("core", 3_000_000, seed=11, step_tokens=10_000),
        Plan("talk", 3_500_000, seed=12, muon_rate=0.015, adam_rate=0.003, decay=0.1),
        Plan("chat", 6_500_000, seed=13, muon_rate=0.012, adam_rate=0.0025, decay=0.7, own_answers=True),
    ),
}
# The answers of the model so far, checked, from which a later phase learns to judge.
ANSWERS = Path("runs/world/answers.jsonl")


def fresh_model() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=256,
            intermediate_size=640,
            num_hidden_layers=5,
            num_attention_heads=8,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            rms_norm_eps=1e-5,
            bos_token_id=None,
            eos_token_id=2,
            pad_token_id=0,
            initializer_range=0.02,
        )
    )


def encoded(example: Example, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[float]]:
    ids: list[int] = []
    weights: list[float] = []
    for piece in example.pieces:
        found = tokenizer.encode(piece.text, add_special_tokens=False)
        ids += found
        weights += [piece.weight * WEIGHTS.get(example.sort, 1.0)] * len(found)
    return ids, weights


def steps(plan: Plan, tokenizer: PreTrainedTokenizerFast, answers: Path | None) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """One step's chunks: token ids and loss weights, padded to the longest example of the chunk."""
    rows: list[tuple[list[int], list[float]]] = []
    size = 0
    shares = {**MIXES[plan.mix], **(Answers(answers).shares() if answers is not None else {})}
    for example in stream(shares, plan.seed):
        rows.append(encoded(example, tokenizer))
        size += len(rows[-1][0])
        if size >= plan.step_tokens:
            rows.sort(key=lambda row: len(row[0]))
            yield [_padded(chunk) for chunk in _cut(rows, size / plan.chunks)]
            rows, size = [], 0


def _cut(rows: list[tuple[list[int], list[float]]], tokens: float) -> Iterator[list[tuple[list[int], list[float]]]]:
    chunk: list[tuple[list[int], list[float]]] = []
    for row in rows:
        chunk.append(row)
        if sum(len(one[0]) for one in chunk) >= tokens:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _padded(chunk: list[tuple[list[int], list[float]]]) -> tuple[Tensor, Tensor]:
    longest = max(len(ids) for ids, _ in chunk)
    ids_BT = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in chunk])
    weights_BT = torch.tensor([weights + [0.0] * (longest - len(weights)) for _, weights in chunk])
    return ids_BT, weights_BT


def summed_loss(model: LlamaForCausalLM, ids_BT: Tensor, weights_BT: Tensor) -> Tensor:
    # Padding is on the right and attention is causal, so that no mask is needed.
    hidden_BTD = hidden(model, ids_BT[:, :-1])
    wanted_BT = weights_BT[:, 1:] > 0
    logits_NV = F.linear(hidden_BTD[wanted_BT], model.lm_head.weight.bfloat16()).float()
    losses_N = F.cross_entropy(logits_NV, ids_BT[:, 1:][wanted_BT], reduction="none")
    return (losses_N * weights_BT[:, 1:][wanted_BT]).sum()


def rate(plan: Plan, done: float) -> float:
    """The share of the full learning rate after a share `done` of the tokens: up, flat, down."""
    return max(0.01, min(1.0, done / plan.warmup, (1 - done) / plan.decay))


def train(rank: int, start: Path | None, plan: Plan, folder: Path, answers: Path | None, port: int) -> None:
    """One of WORKERS processes, each with one thread. Threads that meet after every operation wait for whoever else
    uses the machine; processes that meet once a step hardly do."""
    torch.set_num_threads(1)
    torch.manual_seed(plan.seed)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=WORKERS)
    tokenizer = load_tokenizer(DEMO / "chat")
    model = fresh_model() if start is None else LlamaForCausalLM.from_pretrained(start, dtype=torch.float32)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=plan.muon_rate, momentum=0.95, weight_decay=0.01)
    adam = torch.optim.AdamW(others, lr=plan.adam_rate, betas=(0.9, 0.95), weight_decay=0.0)
    model.train()
    seen, started, saved = 0, time.time(), time.time()
    for number, chunks in enumerate(steps(plan, tokenizer, answers)):
        scale = rate(plan, seen / plan.tokens)
        for group in muon.param_groups:
            group["lr"] = plan.muon_rate * scale
        for group in adam.param_groups:
            group["lr"] = plan.adam_rate * scale
        total = float(sum(weights[:, 1:].sum() for _, weights in chunks))
        loss = 0.0
        for ids, weights in chunks[rank::WORKERS]:
            part = summed_loss(model, ids, weights) / total
            part.backward()
            loss += float(part.detach())
        distributed.all_reduce(gathered := torch.cat([one.grad.flatten() for one in model.parameters()]))
        for one, grad in zip(model.parameters(), gathered.split([one.numel() for one in model.parameters()]), strict=True):
            one.grad = grad.view_as(one)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        model.zero_grad(set_to_none=True)
        seen += sum(int(ids.numel()) for ids, _ in chunks)
        if number % 20 == 0 and rank == 0:
            speed = seen / (time.time() - started)
            print(
                f"{number:5d} {seen / 1e6:6.2f} M tokens  loss {loss * WORKERS:.3f}  rate {scale:.2f}  {speed:.0f} tokens/s",
                flush=True,
            )
        if time.time() - saved > 240 and rank == 0:
            save(model, tokenizer, folder, plan)
            saved = time.time()
        if seen >= plan.tokens:
            break
    if rank == 0:
        save(model, tokenizer, folder, plan)
    distributed.destroy_process_group()


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, plan: Plan) -> None:
    model.generation_config = GenerationConfig(eos_token_id=[2, 0], pad_token_id=0, bos_token_id=None)
    full = {name: value.clone() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    model.save_pretrained(folder, state_dict={name: value.bfloat16() for name, value in full.items()})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}, indent=2) + "\n")
    (folder / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(folder)
    (folder / "plan.json").write_text(json.dumps(asdict(plan), indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("tokenizer", "base", "chat"))
    parser.add_argument("--phase", type=int, default=1, help="go on from this phase of the plan")
    parser.add_argument("--start", type=Path, default=None, help="the checkpoint to go on from")
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    if asked.what == "tokenizer":
        train_tokenizer().save_pretrained(DEMO / "chat")
        return
    folder, start = asked.folder or DEMO / asked.what, asked.start
    plans = PLANS[asked.what]
    for number, plan in enumerate(plans[asked.phase - 1 :], asked.phase):
        if plan.own_answers:
            collect_answers(start or folder)
        print(f"phase {number}: {plan}", flush=True)
        answers = ANSWERS if plan.own_answers else None
        multiprocessing.spawn(train, (start, plan, folder, answers, random.randint(20_000, 60_000)), nprocs=WORKERS)
        start = folder


def collect_answers(folder: Path) -> None:
    """In a process of its own, since vLLM and training do not share one well."""
    ANSWERS.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", f"{__package__}.own", str(folder), str(ANSWERS)], check=True)


if __name__ == "__main__":
    main()
