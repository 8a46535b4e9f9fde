"""How often each judge agrees with the truth of the demo world, and the ensemble, and length alone.

    python bench/judges.py [--prompts 120] [--model data/demo/chat] [--reward data/demo/reward]

Two pools: a right and a wrong reply that the world wrote, and the model's own samples to a prompt (hot, so that some are wrong).
Agreement is over all pairs of a right and a wrong answer to the same prompt: the right one scores higher (a tie is half).
"""

from __future__ import annotations

import argparse
import asyncio
from itertools import product
from pathlib import Path
from random import Random

import polars as pl

from rookery.data.world.checker import check
from rookery.data.world.judging import replies
from rookery.data.world.tasks import Task, draw_task, right_reply
from rookery.filters.aspects import Aspects
from rookery.filters.ensemble import ensemble
from rookery.filters.judge import Pointwise
from rookery.filters.pairwise import Pairwise, length_controlled, matches, order_report, win_rates
from rookery.filters.references import bleu_scores
from rookery.filters.reward import RewardModel
from rookery.flows.engines.spec import VllmSpec
from rookery.generators.candidates import Independent
from rookery.schemas.llm import LLM
from rookery.schemas.step import Step
from rookery.schemas.tables import Answer, Chat, Match, Row, Sampling, Score, Turn, frame, rows

DRAWN = Sampling(1.0, 1.0, 128, None)
UNSEEN = 20261123  # seed of the tasks


async def every(step: Step, table: list[Row], llm: LLM) -> list[Row]:
    return [row for made in await asyncio.gather(*(step(row, llm) for row in table)) for row in made]


def prompts(tasks: list[Task]) -> list[Chat]:
    return [
        Chat(f"p{i}", [], [Turn("user", task.instruction)], "world", "world", "0", DRAWN, "stop", 0, 0)
        for i, task in enumerate(tasks)
    ]


def ended(chats: list[Chat], answers: list[Answer]) -> list[Chat]:
    asked = {chat.id: chat.turns for chat in chats}
    return [
        Chat(a.id, [a.prompt], [*asked[a.prompt], Turn("assistant", a.text)], a.method, a.model, "0", DRAWN, "stop", 0, 0)
        for a in answers
    ]


def right(chats: list[Chat], answers: list[Answer]) -> dict[str, bool]:
    asked = {chat.id: chat.turns[-1].content for chat in chats}
    told = {a.id: [{"role": "user", "content": asked[a.prompt]}, {"role": "assistant", "content": a.text}] for a in answers}
    return {name: bool(check(messages).right) for name, messages in told.items()}


def agreement(answers: list[Answer], truth: dict[str, bool], scores: pl.DataFrame) -> tuple[float, int]:
    value = dict(scores.filter(pl.col("value").is_finite()).select("about", "value").iter_rows())
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(answer.prompt, []).append(answer)
    points: list[float] = []
    for group in groups.values():
        good, bad = ([a for a in group if truth[a.id] is kind and a.id in value] for kind in (True, False))
        points += [1.0 if value[g.id] > value[b.id] else 0.5 * (value[g.id] == value[b.id]) for g, b in product(good, bad)]
    return (sum(points) / len(points) if points else float("nan")), len(points)


def judged(
    tasks: list[Task], chats: list[Chat], answers: list[Answer], llm: LLM, reward: LLM | None
) -> dict[str, pl.DataFrame]:
    """Scores of every judge by its name."""
    table = frame(Answer, answers)
    conversations = ended(chats, answers)
    found = {"pointwise": frame(Score, asyncio.run(every(Pointwise(), conversations, llm)))}
    first = Pointwise(answers_first=True, max_tokens=160)
    found["pointwise, answers first"] = frame(Score, asyncio.run(every(first, conversations, llm)))
    aspects = frame(Score, asyncio.run(every(Aspects(), conversations, llm)))
    found["aspects (mean of 4)"] = aspects.filter(pl.col("name") == "aspects")
    met = matches(frame(Chat, chats), table)
    told = frame(Score, asyncio.run(every(Pairwise(), rows(Match, met), llm)))
    one_order = told.filter(pl.col("name") == "pairwise_as_a").with_columns(name=pl.lit("pairwise"))
    found["pairwise, one order"] = win_rates(met, one_order)
    found["pairwise, both orders"] = win_rates(met, told)
    after = Pairwise(answers_first=True, max_tokens=160)
    found["pairwise, both orders, answers first"] = win_rates(
        met, frame(Score, asyncio.run(every(after, rows(Match, met), llm)))
    )
    freed, weight = length_controlled(met, told)
    found["pairwise, length controlled"] = win_rates(met, freed)
    print(f"  pairwise: {order_report(told)}; weight of length {weight:+.3f}")
    rng = Random(5)
    references = {chat.id: [right_reply(task, rng)] for chat, task in zip(chats, tasks, strict=True)}
    found["BLEU, 1 reference"] = bleu_scores(table, references, copy=1.0, min_tokens=1)
    greedy = asyncio.run(every(Independent(k=1, temperature=0.0, max_tokens=160), chats, llm))
    own = {row.prompt: [row.text] for row in greedy if isinstance(row, Answer)}
    found["BLEU, the judge's own greedy answer"] = bleu_scores(table, own, copy=1.0, min_tokens=1)
    if reward is not None:
        found["reward model"] = frame(Score, asyncio.run(every(RewardModel(), conversations, reward)))
    voices = [found[name] for name in ("pointwise, answers first", "pairwise, both orders, answers first")]
    for scale in ("z", "cdf"):
        together = ensemble(table, pl.concat([*voices, *([found["reward model"]] if reward else [])]), scale)
        found[f"ensemble, {scale}"] = together.filter(pl.col("name") == "ensemble")
    return found | {"longer wins (control)": _length(answers)}


def _length(answers: list[Answer]) -> pl.DataFrame:
    return frame(Score, [Score(a.id, "length", float(len(a.text)), None, "length", None) for a in answers])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=120)
    demo = Path(__file__).parent.parent / "data" / "demo"
    parser.add_argument("--model", default=str(demo / "chat"))
    parser.add_argument("--reward", default=str(demo / "reward"))
    asked = parser.parse_args()
    llm = VllmSpec(model=asked.model, max_model_len=1024, enforce_eager=True).build()
    reward = VllmSpec(model=asked.reward, runner="pooling", enforce_eager=True).build() if Path(asked.reward).is_dir() else None
    rng = Random(UNSEEN)
    tasks = [draw_task(rng, constrained=0.3) for _ in range(asked.prompts)]
    chats = prompts(tasks)

    written = []
    for chat, task in zip(chats, tasks, strict=True):
        for ordinal, text in enumerate(rng.sample(replies(rng, task), 2)):  # shuffled: or a judge of places would win
            written.append(Answer(f"{chat.id}w{ordinal}", chat.id, ordinal, text, "world", "world", "0", DRAWN, "stop", 0, 0))
    own = asyncio.run(every(Independent(k=4, temperature=1.0, max_tokens=128), chats, llm))
    pools = {"written": written, "own samples": [row for row in own if isinstance(row, Answer)]}
    lines: dict[str, list[str]] = {}
    for pool, answers in pools.items():
        truth = right(chats, answers)
        print(f"{pool}: {len(answers)} answers, {sum(truth.values()) / len(truth):.3f} right")
        for judge, scores in judged(tasks, chats, answers, llm, reward).items():
            share, pairs = agreement(answers, truth, scores)
            lines.setdefault(judge, []).append(f"{share:.3f} ({pairs})")
    print(f"\n| judge | {' | '.join(f'{pool} (pairs)' for pool in pools)} |\n|---|" + "---:|" * len(pools))
    for judge, told in lines.items():
        print(f"| {judge} | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
