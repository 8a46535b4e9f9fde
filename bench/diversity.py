"""Whether candidates asked to differ show more values, and whether questions with one answer stay right.

    python bench/diversity.py [--repeats 4] [--single 100] [--model data/demo/chat]

On the demo world's advice prompts: coverage (share of prompts whose candidates show a value, by the world's own reading), values in
a set of candidates, and mean pairwise cosine of words. On its single-answer prompts: the share of right answers, with the
guard and without it. Independent samples are drawn in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np

from rookery.data.world.checker import check
from rookery.data.world.families.advice import TOPICS, VALUES
from rookery.data.world.tasks import draw_task
from rookery.flows.engines.spec import VllmSpec
from rookery.generators.candidates import Independent
from rookery.generators.diverse import NegativelyCorrelated, Regenerated, Verbalized
from rookery.schemas.llm import LLM
from rookery.schemas.step import Step
from rookery.schemas.tables import Answer, Chat, Row, Sampling, Turn, Vector, frame, rows
from rookery.selectors.answers import likeness, spread

DRAWN = Sampling(1.0, 1.0, 128, None)
OPEN = {"advice", "creative", "brainstorming", "planning", "role play", "safety"}
WIDE = 512  # hashed words


async def every(step: Step, table: list[Chat], llm: LLM) -> list[Row]:
    return [row for made in await asyncio.gather(*(step(row, llm) for row in table)) for row in made]


def drawn(step: Step, table: list[Chat], llm: LLM) -> list[Answer]:
    made = asyncio.run(every(step, table, llm))
    return [row for row in made if isinstance(row, Answer)]


def prompt(name: str, text: str) -> Chat:
    return Chat(name, [], [Turn("user", text)], "world", "world", "0", DRAWN, "stop", 0, 0)


def verdicts(chats: list[Chat], answers: list[Answer]) -> dict[str, list]:
    asked = {chat.id: chat.turns[-1].content for chat in chats}
    found: dict[str, list] = {chat.id: [] for chat in chats}
    for a in answers:
        found[a.prompt].append(check([{"role": "user", "content": asked[a.prompt]}, {"role": "assistant", "content": a.text}]))
    return found


def words(answers: list[Answer]) -> list[Vector]:
    """Bags of hashed words, to the square root: enough to compare short answers, and the same for every method."""
    made = []
    for answer in answers:
        bag = np.zeros(WIDE)
        for word, count in Counter(answer.text.lower().split()).items():
            bag[sum(ord(c) * 31**i for i, c in enumerate(word)) % WIDE] += count**0.5
        made.append(Vector(answer.id, "words", (bag / max(np.linalg.norm(bag), 1e-9)).tolist()))
    return made


def advice_table(chats: list[Chat], sets: dict[str, list[Answer]]) -> None:
    print(
        "| candidates | " + " | ".join(VALUES) + " | mean coverage | values in a set | cosine | right | asked for diversity |"
    )
    print("|---|" + "---:|" * (len(VALUES) + 5))
    for name, answers in sets.items():
        told = verdicts(chats, answers)
        shown = [{v.value for v in group if v.value} for group in told.values()]
        coverage = [np.mean([value in values for values in shown]) for value in VALUES]
        cosine = likeness(frame(Answer, answers), frame(Vector, words(answers)))["cosine"].mean()
        fine = np.mean([bool(v.right) for group in told.values() for v in group])
        cells = [*(f"{c:.2f}" for c in coverage), f"{np.mean(coverage):.3f}", f"{np.mean([len(v) for v in shown]):.2f}"]
        let = len({a.prompt for a in answers if a.method != "independent"}) / len(chats)
        print(f"| {name} | {' | '.join(cells)} | {cosine:.3f} | {fine:.3f} | {let:.2f} |")


def single_table(chats: list[Chat], sets: dict[str, list[Answer]]) -> None:
    print("\n| candidates, single-answer prompts | right | asked for diversity |\n|---|---:|---:|")
    for name, answers in sets.items():
        fine = [bool(v.right) for group in verdicts(chats, answers).values() for v in group]
        let = len({a.prompt for a in answers if a.method != "independent"}) / len(chats)
        print(f"| {name} | {np.mean(fine):.3f} ± {np.std(fine) / len(fine) ** 0.5:.3f} | {let:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=4, help="of each of the 20 topics")
    parser.add_argument("--single", type=int, default=100)
    parser.add_argument("--model", default=str(Path(__file__).parent.parent / "data" / "demo" / "chat"))
    asked = parser.parse_args()
    llm = VllmSpec(model=asked.model, max_model_len=1024, enforce_eager=True).build()
    plain = {"k": 4, "temperature": 1.0, "max_tokens": 96}

    advice = [prompt(f"{topic}{i}", text) for topic, (text, _, _) in TOPICS.items() for i in range(asked.repeats)]
    wide = drawn(Independent(k=16, temperature=1.0, max_tokens=96), advice, llm)
    kept, _ = spread(frame(Answer, wide), frame(Vector, words(wide)), k=4)
    sets = {
        "independent": drawn(Independent(**plain), advice, llm),
        "dpp of 16 independent (ours)": rows(Answer, kept),
        "negatively correlated": drawn(NegativelyCorrelated(**plain), advice, llm),
        "verbalized": drawn(Verbalized(**plain), advice, llm),
        "regenerated": drawn(Regenerated(**plain), advice, llm),
    }
    advice_table(advice, sets)

    rng = Random(7)
    tasks = [
        task for task in (draw_task(rng, constrained=0.0) for _ in range(9 * asked.single)) if task.kind.family not in OPEN
    ]
    single = [prompt(f"s{i}", task.instruction) for i, task in enumerate(tasks[: asked.single])]
    single_table(
        single,
        {
            "independent": drawn(Independent(**plain), single, llm),
            "negatively correlated, guarded": drawn(NegativelyCorrelated(**plain), single, llm),
            "negatively correlated, no guard": drawn(NegativelyCorrelated(**plain, guard=0), single, llm),
        },
    )


if __name__ == "__main__":
    main()
