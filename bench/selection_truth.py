"""Selectors against the truth of the demo world: how right is a model that was trained on the tenth each of them chose?

    python bench/selection_truth.py [--rows 2000] [--share 10%] [--seeds 2] [--draws 5] [--out runs/selection-truth]

A pool of instructions and answers is written as pools are found: families of tasks in very unequal numbers (1/rank), a sixth of the
rows variations of few tasks, copies, and answers that are right, wrong, cut off, refused, off the topic, or long and wrong. Each method
chooses as `rookery select` would, seeing no truth: vectors of the embedded encoder; `quality` from the demo reward model; IFD from the base
model; tags of the world's own kinds; `complexity` is the world's label of difficulty, a better scorer than anyone has.
The base model is then trained on what was chosen (every arm with the same epochs, rate and batch) and sits two exams: held-out tasks in
the pool's mix of families, and `world.exam`, whose mix is even; answered greedily, marked by the world's checker. On a busy machine set
`OMP_NUM_THREADS=1`: threads that wait for one another cost more than they bring.

Intervals are 95% bootstrap intervals over questions and runs (seeds of the training; for `random` draws), differences to
random paired by question. What is there already (the pool, the choices, a run's marks) is not made again, so the bench can be run in pieces.
 `right rows` is a draw from the rows the checker finds right: what perfect knowledge of the answers would give.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from rookery.data.world.exam import HELD_OUT
from rookery.data.world.examples import dialogue
from rookery.data.world.kinds import DIFFICULTIES
from rookery.data.world.probes import auc, rendered
from rookery.data.world.prose import as_seed_text
from rookery.data.world.reward import scores as rewards
from rookery.data.world.tagging import other_tags
from rookery.data.world.tasks import FAMILIES, Task, draw_task, right_reply, wrap, wrong_reply
from rookery.data.world.tokenizer import load_tokenizer
from rookery.data.world.train import Encoded, encoded, packed, summed_loss
from rookery.filters.ifd import Likelihood
from rookery.flows.select import Given, Inputs, choose, rows_of
from rookery.flows.select_pool import Pool, read_pool
from rookery.selectors.ifd import perplexity_ratio

DEMO = Path(__file__).resolve().parents[1] / "data" / "demo"
SCORES = {"deita": ("complexity", "quality"), "ifd": ("ifd",)}  # the others that want a score take the quality
METHODS = (
    "deita", "qdit", "facility_location", "mig", "novelselect", "k_center", "dpp", "cluster_rank", "information", "instag",
    "ifd", "rds", "highest", "longest",
)  # fmt: skip
SORTS = {"right": 0.50, "wrong": 0.28, "cut": 0.07, "off the topic": 0.05, "long and wrong": 0.05, "refused": 0.05}
SKEW = [1 / rank for rank in range(1, len(FAMILIES) + 1)]  # of the families, in an order that the seed draws
Line = dict[str, object]


@dataclass(frozen=True)
class Lesson:
    """How every arm is trained."""

    epochs: int = 6
    batch: int = 16  # rows to a step
    rate: float = 2e-3  # of AdamW: up over a twentieth of the steps, then down a cosine
    warmup: float = 0.05


def written(count: int, seed: int) -> pl.DataFrame:
    """The pool: instruction, response, complexity, tags; and what methods may not see: sort, family and truth."""
    rng = Random(seed)
    families = rng.sample(FAMILIES, len(FAMILIES))
    shares = SKEW
    crowds = [draw_task(rng, rng.choices(families, shares)[0], constrained=0.1, wrapped=0.0) for _ in range(count // 120)]
    asked, rows = set(HELD_OUT.questions()), []
    while len(rows) < count:
        if rows and rng.random() < 0.05:
            rows.append(rng.choice(rows))  # a copy
            continue
        task = rng.choice(crowds) if rng.random() < 0.15 else draw_task(rng, rng.choices(families, shares)[0], wrapped=0.0)
        instruction = wrap(task.instruction, rng) if rng.random() < 0.45 else task.instruction
        sort = rng.choices(list(SORTS), list(SORTS.values()))[0]
        response = answered(task, sort, rng)
        if instruction in asked or task.instruction in asked or not response.strip():
            continue
        rows.append({
            "instruction": instruction,
            "response": response,
            "complexity": 1.0 + task.difficulty,
            "tags": sorted({task.kind.tag, *task.kind.skills, *other_tags(task)}),
            "family": task.kind.family,
            "difficulty": DIFFICULTIES[task.difficulty],
            "sort": sort,
            "truth": HELD_OUT.grade(instruction, response),
        })  # fmt: skip
    return pl.DataFrame(rows).with_columns(id=pl.Series([f"{i:06d}" for i in range(count)]))


def questions(pool: pl.DataFrame, seed: int, count: int = 500) -> list[str]:
    """Held out, in the pool's own mix of families; then those of the world's exam, whose mix is even."""
    rng, families = Random(f"exam {seed}"), Random(seed).sample(FAMILIES, len(FAMILIES))
    known, drawn = set(pool["instruction"]), dict[str, None]()
    while len(drawn) < count:
        text = as_seed_text(draw_task(rng, rng.choices(families, SKEW)[0], wrapped=0.1, constrained=0.1))
        if text not in known:
            drawn[text] = None
    return [*drawn, *HELD_OUT.questions()]


def answered(task: Task, sort: str, rng: Random) -> str:
    match sort:
        case "right":
            return right_reply(task, rng)
        case "wrong":
            return wrong_reply(task, rng)
        case "cut":
            words = right_reply(task, rng).split(" ")
            return " ".join(words[: len(words) // 2])
        case "off the topic":
            return right_reply(draw_task(rng), rng)
        case "long and wrong":
            return " ".join([wrong_reply(task, rng), *(right_reply(draw_task(rng, constrained=0.0), rng) for _ in range(3))])
    return rng.choice(("I am sorry, but I cannot help with that.", "I do not know.", "As an assistant I cannot answer this."))


def scored(pool: pl.DataFrame) -> pl.DataFrame:
    """With `quality`, from 1 to 6 as Deita's, and `ifd`: both from models, which have not seen the pool."""
    said = [
        [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]
        for asked, reply in pool.select("instruction", "response").iter_rows()
    ]
    quality_N = 1 + 5 / (1 + np.exp(-np.array(rewards(DEMO / "reward", said))))
    judge = Likelihood(str(DEMO / "base"), batch=64)
    ratio_N = perplexity_ratio(*judge.nats(pool["instruction"].to_list(), pool["response"].to_list()))
    return pool.with_columns(quality=pl.Series(quality_N), ifd=pl.Series(ratio_N))


def targets(count: int = 50, seed: int = 7) -> pl.DataFrame:
    """Examples of what the model should do well, for RDS: drawn as the exam is, with right answers, none of them in it."""
    rng, asked = Random(seed), set(HELD_OUT.questions())
    drawn = [draw_task(rng, wrapped=0.1, constrained=0.1) for _ in range(2 * count)]
    fresh = [task for task in drawn if task.instruction not in asked][:count]
    return pl.DataFrame({
        "id": [f"{i:03d}" for i in range(len(fresh))],
        "instruction": [task.instruction for task in fresh],
        "response": [right_reply(task, rng) for task in fresh],
    })  # fmt: skip


def trained(rows: pl.DataFrame, tokenizer: PreTrainedTokenizerFast, lesson: Lesson, seed: int) -> LlamaForCausalLM:
    """The base model after supervised fine-tuning on the answers."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM.from_pretrained(DEMO / "base", dtype=torch.float32).train()
    if not rows.height:  # the base model as it is
        return model.eval()
    examples = [
        encoded(
            dialogue("pool", [{"role": "user", "content": q}, {"role": "assistant", "content": a}], trained=("assistant",)),
            tokenizer,
        )
        for q, a in rows.select("instruction", "response").iter_rows()
    ]
    batches = [batch for epoch in range(lesson.epochs) for batch in shuffled(examples, lesson.batch, seed * 1000 + epoch)]
    adam = torch.optim.AdamW(model.parameters(), lr=lesson.rate, betas=(0.9, 0.95), weight_decay=0.0)
    for number, batch in enumerate(batches):
        done = (number + 1) / len(batches)
        for group in adam.param_groups:
            group["lr"] = lesson.rate * min(1.0, done / lesson.warmup) * 0.5 * (1 + np.cos(np.pi * done))
        ids_BT, weights_BT, numbers_BT = packed(batch)
        (summed_loss(model, ids_BT, weights_BT, numbers_BT) / float(weights_BT.sum())).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
    return model.eval()


def shuffled(examples: list[Encoded], size: int, seed: int) -> list[list[Encoded]]:
    order = Random(seed).sample(examples, len(examples))
    return [order[start : start + size] for start in range(0, len(order), size)]


@torch.inference_mode()
def examined(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: list[str], most_tokens: int = 64
) -> np.ndarray:
    """The mark of each question, answered greedily."""
    prompts = [tokenizer.encode(rendered([{"role": "user", "content": one}]), add_special_tokens=False) for one in asked]
    marks_Q = np.zeros(len(asked))
    order = sorted(range(len(questions)), key=lambda q: len(prompts[q]))
    for start in range(0, len(order), 128):
        part = order[start : start + 128]
        width = max(len(prompts[q]) for q in part)
        ids_BT = torch.tensor([[0] * (width - len(prompts[q])) + prompts[q] for q in part])
        mask_BT = torch.tensor([[0] * (width - len(prompts[q])) + [1] * len(prompts[q]) for q in part])
        said_BT = model.generate(
            ids_BT, attention_mask=mask_BT, max_new_tokens=most_tokens, do_sample=False, eos_token_id=[2, 0], pad_token_id=0
        )
        for q, reply in zip(part, tokenizer.batch_decode(said_BT[:, width:], skip_special_tokens=True), strict=True):
            marks_Q[q] = HELD_OUT.grade(asked[q], reply)
    return marks_Q


def bootstrap(runs_RQ: np.ndarray, control_RQ: np.ndarray | None = None, resamples: int = 2000) -> tuple[float, float]:
    """95% interval of the mean mark, or of its difference to the control's: questions and runs drawn anew each time."""
    rng, means_S = np.random.default_rng(0), np.empty(resamples)
    for s in range(resamples):
        questions = rng.integers(runs_RQ.shape[1], size=runs_RQ.shape[1])
        means_S[s] = runs_RQ[rng.integers(len(runs_RQ), size=len(runs_RQ))].mean(axis=0)[questions].mean()
        if control_RQ is not None:
            drawn = rng.integers(len(control_RQ), size=len(control_RQ))
            means_S[s] -= control_RQ[drawn].mean(axis=0)[questions].mean()
    low, high = np.quantile(means_S, [0.025, 0.975])
    return float(low), float(high)


def chosen(pool: Pool, told: argparse.Namespace, budget: int, out: Path) -> dict[str, list[list[int]]]:
    """For each arm the rows of its runs; random first, since all are compared with it."""
    if (out / "chosen.json").exists():
        return json.loads((out / "chosen.json").read_text())
    targets().write_parquet(out / "targets.parquet")
    given = Given(tags="tags", targets=read_pool(str(out / "targets.parquet")), cache=out / "vectors", seed=told.seed)
    shared = Inputs(pool, given)
    _ = shared.vectors, shared.encoder
    draws = [np.random.default_rng(draw) for draw in range(told.draws)]
    arms = {"random": [rng.choice(pool.frame.height, budget, replace=False).tolist() for rng in draws]}
    for method in METHODS:
        have = Inputs(pool, replace(given, score=SCORES.get(method, ("quality",))))
        have.__dict__.update(vectors=shared.vectors, encoder=shared.encoder)
        began = time.perf_counter()
        picks, _ = choose(method, have, budget)
        print(f"{method}: {len(picks)} rows in {time.perf_counter() - began:.1f} s", flush=True)
        arms[method] = [picks.rows_K.tolist()] * told.seeds
    right = np.flatnonzero(pool.frame["truth"].to_numpy() == 1)
    arms["right rows"] = [rng.choice(right, budget, replace=False).tolist() for rng in draws[: told.seeds]]
    arms["all"] = [list(range(pool.frame.height))]
    (out / "chosen.json").write_text(json.dumps(arms))
    return arms


def taken(pool: Pool, rows: list[int]) -> pl.DataFrame:
    return pool.frame[pl.Series(rows, dtype=pl.UInt32)]


def described(rows: pl.DataFrame) -> Line:
    """What was chosen, by the truth that the method did not see."""
    return {
        "rows": rows.height,
        "right": float(rows["truth"].mean()),  # type: ignore[arg-type]  # a mean of floats
        "families": rows["family"].n_unique(),
        "distinct": rows.select("instruction").n_unique() / rows.height,
        "chars": float(rows["response"].str.len_chars().mean()),  # type: ignore[arg-type]
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--rows", type=int, default=2000)
    asked.add_argument("--share", default="10%")
    asked.add_argument("--seeds", type=int, default=2, help="trainings of each choice")
    asked.add_argument("--draws", type=int, default=5, help="draws of random rows, a training each")
    asked.add_argument("--seed", type=int, default=0, help="of the pool and of methods that draw")
    asked.add_argument("--epochs", type=int, default=Lesson.epochs)
    asked.add_argument("--rate", type=float, default=Lesson.rate)
    asked.add_argument("--trainings", type=int, default=-1, help="stop after as many; the next call goes on")
    asked.add_argument("--out", type=Path, default=Path("runs/selection-truth"))
    told = asked.parse_args()
    lesson = Lesson(epochs=told.epochs, rate=told.rate)
    out = told.out / f"{told.rows}-{told.share}-{told.seed}"
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "pool.parquet").exists():
        scored(written(told.rows, told.seed)).write_parquet(out / "pool.parquet")
    pool, tokenizer = read_pool(str(out / "pool.parquet")), load_tokenizer(DEMO / "base")
    heading = described_pool(pool.frame) | {"lesson": asdict(lesson)}
    print(json.dumps(heading, indent=2), flush=True)
    arms = {"base": [[]], **chosen(pool, told, rows_of(told.share, pool.frame.height), out)}
    exam = questions(pool.frame, told.seed)
    found: dict[str, list[np.ndarray]] = {}
    new = 0
    for arm, number in in_turn(arms):
        kept, began = out / f"{arm}-{number}-{lesson.epochs}-{lesson.rate}.npy", time.monotonic()
        if not kept.exists():
            if new == told.trainings:
                break
            np.save(kept, examined(trained(taken(pool, arms[arm][number]), tokenizer, lesson, number), tokenizer, exam))
            new += 1
        found.setdefault(arm, []).append(np.load(kept))
        print(f"{arm} {number}: {found[arm][-1].mean():.3f} ({time.monotonic() - began:.0f} s)", flush=True)
    lines: dict[str, Line] = {}
    even = len(exam) - len(HELD_OUT.questions())
    for arm, marks in found.items():
        lines[arm] = described(taken(pool, arms[arm][0])) if arms[arm][0] else {}
        lines[arm]["runs"] = len(marks)
        for name, part in (("pool's mix", slice(even)), ("even mix", slice(even, None))):
            random_RQ = np.stack(found["random"])[:, part] if "random" in found and arm != "random" else None
            lines[arm][name] = marked(np.stack(marks)[:, part], random_RQ)
    (told.out / "truth.json").write_text(json.dumps({**heading, "arms": lines}, indent=2) + "\n")
    print(table(lines))


def in_turn(arms: dict[str, list[list[int]]]) -> list[tuple[str, int]]:
    """Arms and runs: all draws of `random`, then every arm's first run, then every arm's second."""
    runs = [(arm, number) for arm in arms for number in range(len(arms[arm]))]
    return sorted(runs, key=lambda run: -1 if run[0] in ("base", "random") else run[1])


def described_pool(pool: pl.DataFrame) -> Line:
    """What there is to choose from, and how well `quality` tells right from wrong."""
    truth_N, quality_N = pool["truth"].to_numpy() == 1, pool["quality"].to_numpy()
    return {
        "pool": described(pool),
        "sorts": dict(pool["sort"].value_counts(sort=True).iter_rows()),
        "quality_auc": auc(quality_N[truth_N].tolist(), quality_N[~truth_N].tolist()),
    }


def marked(runs_RQ: np.ndarray, random_RQ: np.ndarray | None) -> Line:
    """An arm's mean mark and its difference to random, with intervals."""
    low, high = bootstrap(runs_RQ)
    line: Line = {
        "exam": float(runs_RQ.mean()),
        "low": low,
        "high": high,
        "by_run": runs_RQ.mean(axis=1).round(4).tolist(),
    }
    if random_RQ is not None:
        low, high = bootstrap(runs_RQ, random_RQ)
        line |= {"minus_random": float(runs_RQ.mean() - random_RQ.mean()), "minus_low": low, "minus_high": high}
    return line


def table(lines: dict[str, Line]) -> str:
    """The arms, the best first."""
    columns = ("rows", "right", "families", "distinct", "chars", "runs")
    made = [["chosen by", *columns, "pool's mix", "minus random", "even mix", "minus random"]]
    made.append(["---"] * len(made[0]))
    for arm, line in sorted(lines.items(), key=lambda one: -one[1]["pool's mix"]["exam"]):  # type: ignore[index,call-overload]
        cells = [arm, *(cell(line.get(name)) for name in columns)]
        for name in ("pool's mix", "even mix"):
            exam = dict(line[name])  # type: ignore[call-overload]
            cells.append(f"**{exam['exam']:.3f}** ({exam['low']:.3f} to {exam['high']:.3f})")
            against = "minus_random" in exam
            cells.append(
                f"{exam['minus_random']:+.3f} ({exam['minus_low']:+.3f} to {exam['minus_high']:+.3f})" if against else ""
            )
        made.append(cells)
    return "\n".join("| " + " | ".join(row) + " |" for row in made)


def cell(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
