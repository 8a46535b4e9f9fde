"""Trains the demo models on two cores, from the corpus that the world writes.

    python -m rookery.data.world.train tokenizer
    python -m rookery.data.world.train base
    python -m rookery.data.world.train chat

Muon for the matrices (Jordan et al. 2024; the step is torch's own) and AdamW for the rest learn from about half the
tokens that AdamW alone needs at this size. Examples are never cut: they share rows behind a mask, so that training sees
what inference sees.
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

from . import freshness
from .corpus import MIXES, stream
from .examples import Example
from .lean import hidden
from .own import Answers
from .tokenizer import CONTEXT_TOKENS, VOCABULARY, load_tokenizer, train_tokenizer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WORKERS = 1 if DEVICE == "cuda" else 2
DEMO = Path(__file__).resolve().parents[1] / "demo"


@dataclass(frozen=True)
class Plan:
    mix: str
    tokens: int
    seed: int
    own_answers: bool = False  # judges the model's own answers as well
    collects: bool = False  # which are drawn before this phase
    step_tokens: int = 4_000
    muon_rate: float = 0.012
    adam_rate: float = 0.002
    warmup: float = 0.02
    decay: float = 0.35  # the last part of the run, over which the rates fall linearly to a hundredth


PLANS = {
    "base": (Plan("base", 2_000_000, seed=21),),
    "chat": (
        Plan("talk", 8_000_000, seed=12, decay=0.2),
        Plan("chat", 7_000_000, seed=13, muon_rate=0.01, warmup=0.005, decay=0.9, own_answers=True, collects=True),
        Plan("judge", 4_000_000, seed=14, muon_rate=0.009, warmup=0.01, decay=0.9, own_answers=True),
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
        found = tokenizer.backend_tokenizer.encode(piece.text, add_special_tokens=False).ids
        ids += found
        weights += [piece.weight] * len(found)
    return ids, weights


Encoded = tuple[list[int], list[float]]
Rows = tuple[Tensor, Tensor, Tensor]  # token ids, loss weights and the number of the example, each (B, T)


def steps(plan: Plan, tokenizer: PreTrainedTokenizerFast, answers: Path | None) -> Iterator[Rows]:
    """One step's examples, packed into rows."""
    drawn: list[Encoded] = []
    shares = {**MIXES[plan.mix], **(Answers(answers).shares() if answers is not None else {})}
    for example in stream(shares, plan.seed):
        drawn.append(encoded(example, tokenizer))
        if sum(len(ids) for ids, _ in drawn) >= plan.step_tokens:
            yield packed(drawn)
            drawn = []


def packed(drawn: list[Encoded], length: int = 256) -> Rows:
    """Examples side by side in as few rows as first-fit finds; number 0 is padding."""
    length = max(length, *(len(ids) for ids, _ in drawn))
    rows: list[list[Encoded]] = []
    for one in sorted(drawn, key=lambda one: -len(one[0])):
        fitting = (row for row in rows if sum(len(ids) for ids, _ in row) + len(one[0]) <= length)
        row = next(fitting, None)
        if row is None:
            rows.append(row := [])
        row.append(one)
    shape = (len(rows) + len(rows) % WORKERS, length)
    ids_BT, weights_BT, numbers_BT = (
        torch.zeros(shape, dtype=torch.long),
        torch.zeros(shape),
        torch.zeros(shape, dtype=torch.long),
    )
    for place, row in enumerate(rows):
        start = 0
        for number, (ids, weights) in enumerate(row, 1):
            end = start + len(ids)
            ids_BT[place, start:end] = torch.tensor(ids)
            weights_BT[place, start:end] = torch.tensor([0.0, *weights[1:]])  # nothing stands before the first token
            numbers_BT[place, start:end] = number
            start = end
    return ids_BT, weights_BT, numbers_BT


def summed_loss(model: LlamaForCausalLM, ids_BT: Tensor, weights_BT: Tensor, numbers_BT: Tensor) -> Tensor:
    # Rotary positions are relative, so examples in a row need no positions of their own: a mask keeps them apart.
    hidden_BTD = hidden(model, ids_BT[:, :-1], numbers_BT[:, :-1])
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
    model.to(DEVICE)  # type: ignore[arg-type]  # transformers' wrapping hides that it is a method
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    own = matrices[rank::WORKERS]
    muon = torch.optim.Muon(own, lr=plan.muon_rate, momentum=0.95, weight_decay=0.01, ns_steps=4)
    adam = torch.optim.AdamW(others, lr=plan.adam_rate, betas=(0.9, 0.95), weight_decay=0.0)
    model.train()
    seen, started, saved = 0, time.time(), time.time()
    for number, (ids_BT, weights_BT, numbers_BT) in enumerate(steps(plan, tokenizer, answers)):
        scale = rate(plan, seen / plan.tokens)
        for group in muon.param_groups:
            group["lr"] = plan.muon_rate * scale
        for group in adam.param_groups:
            group["lr"] = plan.adam_rate * scale
        part = slice(rank, None, WORKERS)
        loss = summed_loss(model, *(one[part].to(DEVICE) for one in (ids_BT, weights_BT, numbers_BT))) / float(weights_BT.sum())
        loss.backward()
        share_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        share_matrices(matrices, rank)
        model.zero_grad(set_to_none=True)
        seen += int((numbers_BT > 0).sum())
        if number % 40 == 0 and rank == 0:
            speed = seen / (time.time() - started)
            print(
                f"{number:5d} {seen / 1e6:6.2f} M tokens  loss {float(loss.detach()) * WORKERS:.3f}  rate {scale:.2f}  {speed:.0f} tokens/s",
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


def share_gradients(model: LlamaForCausalLM) -> None:
    parameters = list(model.parameters())
    gathered = torch.cat([one.grad.flatten() for one in parameters if one.grad is not None])
    distributed.all_reduce(gathered)
    for one, grad in zip(parameters, gathered.split([one.numel() for one in parameters]), strict=True):
        one.grad = grad.view_as(one)


@torch.no_grad()
def share_matrices(matrices: list[torch.nn.Parameter], rank: int) -> None:
    """Each worker has stepped its own matrices; here all get all."""
    mine = [
        one.flatten() if number % WORKERS == rank else torch.zeros_like(one).flatten() for number, one in enumerate(matrices)
    ]
    gathered = torch.cat(mine)
    distributed.all_reduce(gathered)
    for one, value in zip(matrices, gathered.split([one.numel() for one in matrices]), strict=True):
        one.copy_(value.view_as(one))


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
        if plan.collects:
            collect_answers(start or folder)
        print(f"phase {number}: {plan}", flush=True)
        answers = ANSWERS if plan.own_answers else None
        multiprocessing.spawn(train, (start, plan, folder, answers, random.randint(20_000, 60_000)), nprocs=WORKERS)
        start = folder
    if folder == DEMO / "chat":
        freshness.record()


def collect_answers(folder: Path) -> None:
    """In a process of its own, since vLLM and training do not share one well."""
    ANSWERS.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", f"{__package__}.own", str(folder), str(ANSWERS)], check=True)


if __name__ == "__main__":
    main()
