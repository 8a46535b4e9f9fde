"""Measures the demo models against the truth on held-out seeds, prints the table and writes it into the card.

python -m rookery.data.world.measure [--quick]
"""

from __future__ import annotations

import argparse
import gc
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random

from .checker import judge
from .kinds import DIFFICULTIES
from .measure_judges import judges, own_answers, reward_rows, world_answers
from .measure_readers import feedback_reader, taggers
from .probes import Probe
from .table import Row, at_least, at_most, mean, table
from .tasks import FAMILIES, Task, draw_task, read_task
from .tokens import START

DEMO = Path(__file__).resolve().parents[1] / "demo"
HELD_OUT = 900_000


def magpie(probe: Probe, count: int) -> list[Row]:
    texts = [one[0].strip() for one in probe.complete([f"{START}user\n"] * count, temperature=1.0, tokens=160, seed=HELD_OUT)]
    tasks = [read_task(text) for text in texts]
    families = Counter(task.kind.family for task in tasks if task is not None)
    read = sum(families.values())
    odd = [text for text, task in zip(texts, tasks, strict=True) if task is None][:8]
    print("Magpie texts that are not of the world:", json.dumps(odd, indent=1))
    largest, share = families.most_common(1)[0][0], families.most_common(1)[0][1] / max(1, read)
    missing = sorted(set(FAMILIES) - set(families))
    return [
        at_least("Magpie: well-formed instructions of the world", read / count, 0.95),
        at_least("Magpie: distinct", len(set(texts)) / count, 0.80),
        Row(
            "Magpie: families seen",
            f"{len(families)} of {len(FAMILIES)} (missing: {', '.join(missing) or 'none'})",
            "all",
            not missing,
        ),
        at_most(f"Magpie: largest family ({largest})", share, 0.20),
    ]


def held_out(count: int) -> list[Task]:
    rng = Random(HELD_OUT)
    return [draw_task(rng) for _ in range(count)]


def asked(tasks: Sequence[Task]) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": task.instruction}] for task in tasks]


def skill(probe: Probe, tasks: Sequence[Task]) -> tuple[list[Row], list[list[str]]]:
    greedy = [bool(judge(task, one[0]).right) for task, one in zip(tasks, probe.chat(asked(tasks)), strict=True)]
    samples = probe.chat(asked(tasks), temperature=0.8, samples=8)
    rights = [[bool(judge(task, one).right) for one in eight] for task, eight in zip(tasks, samples, strict=True)]
    single = sum(sum(eight) for eight in rights) / (8 * len(tasks))
    best = sum(any(eight) for eight in rights) / len(tasks)
    by_family, by_level = defaultdict(list), defaultdict(list)
    for task, right in zip(tasks, greedy, strict=True):
        by_family[task.kind.family].append(right)
        by_level[task.difficulty].append(right)
    slope = ", ".join(f"{DIFFICULTIES[level]} {mean(by_level[level]):.2f}" for level in sorted(by_level))
    families = ", ".join(f"{name} {mean(by_family[name]):.2f}" for name in FAMILIES)
    levels = [mean(by_level[level]) for level in sorted(by_level)]
    rows = [
        at_least("chat: right, greedy", mean(greedy), 0.70),
        Row("chat: right by difficulty", slope, "falls", levels[0] > levels[-1]),
        Row("chat: right by family", families),
        Row("chat: right, one sample at T = 0.8", f"{single:.3f}"),
        at_least("chat: best of 8 by truth, above one sample", best - single, 0.10),
    ]
    return rows, samples


def measured(folder: Path, quick: bool) -> list[Row]:
    tasks = held_out(150 if quick else 800)
    probe = Probe(folder / "chat")
    rows = magpie(probe, 200 if quick else 1000)
    more, samples = skill(probe, tasks)
    own, world = own_answers(tasks, samples), world_answers(tasks, HELD_OUT + 1)
    rows += more
    for pairs, whose in ((world, "the world's answers"), (own, "the model's own answers")):
        rows += judges(probe, pairs, whose, first=True, needed=pairs is world) + judges(probe, pairs, whose, first=False)
    rows += taggers(probe, 100 if quick else 400, HELD_OUT + 2) + feedback_reader(probe, 40 if quick else 150, HELD_OUT + 3)
    del probe
    gc.collect()
    if (folder / "base" / "model.safetensors").exists():
        answers = Probe(folder / "base").chat(asked(tasks), tokens=80)
        rows.append(
            at_most(
                "base: right when asked the same way",
                mean([bool(judge(t, a[0]).right) for t, a in zip(tasks, answers, strict=True)]),
                0.40,
            )
        )
    if (folder / "reward" / "model.safetensors").exists():
        rows += reward_rows(folder / "reward", world, "the world's answers", needed=True)
        rows += reward_rows(folder / "reward", own, "the model's own answers", needed=False)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the samples, and the card is left alone")
    parser.add_argument("--folder", type=Path, default=DEMO)
    asked_for = parser.parse_args()
    text = table(measured(asked_for.folder, asked_for.quick))
    print(text)
    card = asked_for.folder / "README.md"
    if not asked_for.quick and card.exists():
        parts = re.split(r"(<!-- measured -->|<!-- end -->)", card.read_text())
        card.write_text("".join([*parts[:2], "\n", text, "\n", *parts[3:]]))


if __name__ == "__main__":
    main()
