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
from dataclasses import dataclass
from pathlib import Path
from random import Random

from . import feedback, reacting, tagging
from .checker import judge
from .examples import say
from .judging import replies
from .kinds import DIFFICULTIES
from .probes import Probe, auc
from .tasks import FAMILIES, Task, draw_task, read_task
from .tokens import START

DEMO = Path(__file__).resolve().parents[1] / "demo"
HELD_OUT = 900_000


@dataclass(frozen=True)
class Row:
    what: str
    measured: str
    target: str = ""
    met: bool | None = None


def at_least(what: str, value: float, target: float) -> Row:
    return Row(what, f"{value:.3f}", f">= {target:.2f}", value >= target)


def at_most(what: str, value: float, target: float) -> Row:
    return Row(what, f"{value:.3f}", f"<= {target:.2f}", value <= target)


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
    slope = ", ".join(f"{DIFFICULTIES[level]} {_mean(by_level[level]):.2f}" for level in sorted(by_level))
    families = ", ".join(f"{name} {_mean(by_family[name]):.2f}" for name in FAMILIES)
    levels = [_mean(by_level[level]) for level in sorted(by_level)]
    rows = [
        at_least("chat: right, greedy", _mean(greedy), 0.70),
        Row("chat: right by difficulty", slope, "falls", levels[0] > levels[-1]),
        Row("chat: right by family", families),
        Row("chat: right, one sample at T = 0.8", f"{single:.3f}"),
        at_least("chat: best of 8 by truth, above one sample", best - single, 0.10),
    ]
    return rows, samples


def _mean(values: Sequence[float | bool]) -> float:
    return sum(values) / max(1, len(values))


def own_answers(tasks: Sequence[Task], samples: Sequence[Sequence[str]]) -> list[tuple[Task, str, str]]:
    """For each task that the model gets both right and wrong: one right and one wrong answer of its own."""
    found = []
    for task, eight in zip(tasks, samples, strict=True):
        right = [one for one in eight if judge(task, one).right]
        wrong = [one for one in eight if not judge(task, one).right and one.strip()]
        if right and wrong:
            found.append((task, right[0], wrong[0]))
    return found


def world_answers(tasks: Sequence[Task]) -> list[tuple[Task, str, str]]:
    rng = Random(HELD_OUT + 1)
    return [(task, *replies(rng, task)) for task in tasks]


def judges(probe: Probe, triples: Sequence[tuple[Task, str, str]], whose: str, needed: bool) -> list[Row]:
    def marks(which: int) -> list[float]:
        prompts = [say("judge/pointwise", instruction=one[0].instruction, response=one[which]) for one in triples]
        return [sum(mark * chance for mark, chance in enumerate(row, 1)) for row in probe.choose(prompts, "12345")]

    def first(a: int, b: int) -> list[float]:
        prompts = [
            say("judge/pairwise", instruction=one[0].instruction, response_a=one[a], response_b=one[b]) for one in triples
        ]
        return [row[0] for row in probe.choose(prompts, "AB")]

    forward, backward = first(1, 2), first(2, 1)
    agreed = _mean([one + 1 - other > 1 for one, other in zip(forward, backward, strict=True)])
    flips = _mean([(one > 0.5) == (other > 0.5) for one, other in zip(forward, backward, strict=True)])
    area = auc(marks(1), marks(2))
    if not needed:
        return [
            Row(f"pointwise judge: AUC, {whose}", f"{area:.3f}"),
            Row(f"pairwise judge: right, both orders, {whose}", f"{agreed:.3f}"),
            Row(f"pairwise judge: flip rate, {whose}", f"{flips:.3f}"),
        ]
    return [
        at_least(f"pointwise judge: AUC, {whose}", area, 0.80),
        at_least(f"pairwise judge: right, both orders, {whose}", agreed, 0.80),
        Row(f"pairwise judge: flip rate, {whose}", f"{flips:.3f}"),
    ]


def parsed(reply: str) -> dict[str, object] | None:
    try:
        found = json.loads(reply)
    except (json.JSONDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def taggers(probe: Probe, count: int) -> list[Row]:
    rng = Random(HELD_OUT + 2)
    tasks = [draw_task(rng, constrained=0.3) for _ in range(count)]
    labels = [rng.choice(("", "", "", "average", "poor", "very poor")) for _ in tasks]
    labels = [label or ("good" if task.constraint is None else "excellent") for label, task in zip(labels, tasks, strict=True)]
    spoilt = [tagging.spoil(task, label, rng) for label, task in zip(labels, tasks, strict=True)]
    rows = _tagger(
        probe,
        "difficulty",
        [task.instruction for task in tasks],
        "difficulty",
        [DIFFICULTIES[task.difficulty] for task in tasks],
    )
    rows += _tagger(probe, "quality", spoilt, "input_quality", labels)
    rows += _tagger(probe, "category", [task.instruction for task in tasks], "primary_tag", [task.kind.tag for task in tasks])
    return rows + encoder(probe, tasks)


def _tagger(probe: Probe, name: str, instructions: Sequence[str], key: str, truth: Sequence[str]) -> list[Row]:
    found = [parsed(one) for one in probe.ask([say(f"magpie/{name}", instruction=one) for one in instructions], tokens=120)]
    by_label: dict[str, list[bool]] = defaultdict(list)
    for one, label in zip(found, truth, strict=True):
        by_label[label].append(one is not None and one.get(key) == label)
    detail = ", ".join(f"{label} {_mean(hits):.2f}" for label, hits in sorted(by_label.items()))
    right = _mean([hit for hits in by_label.values() for hit in hits])
    chance = max(len(hits) for hits in by_label.values()) / len(truth)
    return [
        at_least(f"{name} tagger: parses", _mean([one is not None for one in found]), 0.95),
        Row(f"{name} tagger: agrees", f"{right:.3f} ({detail})", f"> {chance:.2f}, the commonest label", right > chance + 0.1),
    ]


def encoder(probe: Probe, tasks: Sequence[Task]) -> list[Row]:
    found = probe.ask([say("codeclm/encode", instruction=task.instruction) for task in tasks], tokens=60)
    shaped = [re.fullmatch(r"Use case: (.+)\nSkills: (.+)", one) for one in found]
    cases = [one is not None and one.group(1) == task.kind.use_case for one, task in zip(shaped, tasks, strict=True)]
    skills = [one is not None and one.group(2) == ", ".join(task.kind.skills) for one, task in zip(shaped, tasks, strict=True)]
    return [
        at_least("encoder: parses", _mean([one is not None for one in shaped]), 0.95),
        Row("encoder: agrees", f"use case {_mean(cases):.3f}, skills {_mean(skills):.3f}", "> 0.25", _mean(cases) > 0.25),
    ]


def feedback_reader(probe: Probe, count: int) -> list[Row]:
    rng = Random(HELD_OUT + 3)
    chats = [feedback.conversation(rng) for _ in range(count)]
    found = probe.ask([say("wildfeedback/feedback", utterances=feedback.numbered(turns)) for turns in chats], tokens=500)
    hits, said, true, states, whole = Counter(), Counter(), Counter(), [], []
    for reply, turns in zip(found, chats, strict=True):
        truth = json.loads(reacting.labels(turns))
        try:
            told = [{**one} for one in json.loads(reply)]
        except (json.JSONDecodeError, TypeError, RecursionError):
            told = []
        whole.append(bool(told))
        told += [{}] * (len(truth) - len(told))
        for one, right in zip(told, truth, strict=False):
            states.append(one.get("state") == right["state"])
            names = {*one.get("sat", []), *one.get("dsat", [])}
            for name in (*right["sat"], *right["dsat"]):
                true[name] += 1
                hits[name] += name in names
            said.update(names)
    detail = ", ".join(
        f"{name} {hits[name] / true[name]:.2f}/{hits[name] / max(1, said[name]):.2f}"
        for name in feedback.SAT + feedback.DSAT
        if true[name]
    )
    recall, precision = sum(hits.values()) / max(1, sum(true.values())), sum(hits.values()) / max(1, sum(said.values()))
    return [
        at_least("feedback reader: parses", _mean(whole), 0.95),
        Row("feedback reader: states", f"{_mean(states):.3f}"),
        Row(
            "feedback reader: signals, recall/precision",
            f"{recall:.3f}/{precision:.3f} ({detail})",
            "> 0.5",
            min(recall, precision) > 0.5,
        ),
    ]


def reward_rows(folder: Path, triples: Sequence[tuple[Task, str, str]], whose: str, needed: bool) -> list[Row]:
    from .reward import scores

    def of(which: int) -> list[float]:
        return scores(
            folder,
            [
                [{"role": "user", "content": one[0].instruction}, {"role": "assistant", "content": one[which]}]
                for one in triples
            ],
        )

    right, wrong = of(1), of(2)
    pairs = Row(f"reward: chosen above rejected, {whose}", f"{_mean([a > b for a, b in zip(right, wrong, strict=True)]):.3f}")
    area = auc(right, wrong)
    return [at_least(f"reward: AUC, {whose}", area, 0.85) if needed else Row(f"reward: AUC, {whose}", f"{area:.3f}"), pairs]


def table(rows: Sequence[Row]) -> str:
    mark = {True: "yes", False: "**no**", None: ""}
    lines = ["| what | measured | target | met |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {row.what} | {row.measured} | {row.target} | {mark[row.met]} |" for row in rows])


def measured(folder: Path, quick: bool) -> list[Row]:
    tasks = held_out(150 if quick else 800)
    probe = Probe(folder / "chat")
    rows = magpie(probe, 200 if quick else 1000)
    more, samples = skill(probe, tasks)
    own, world = own_answers(tasks, samples), world_answers(tasks)
    rows += (
        more
        + judges(probe, world, "the world's answers", needed=True)
        + judges(probe, own, "the model's own answers", needed=False)
    )
    rows += taggers(probe, 100 if quick else 400) + feedback_reader(probe, 40 if quick else 150)
    del probe
    gc.collect()
    if (folder / "base" / "model.safetensors").exists():
        answers = Probe(folder / "base").chat(asked(tasks), tokens=80)
        rows.append(
            at_most(
                "base: right when asked the same way",
                _mean([bool(judge(t, a[0]).right) for t, a in zip(tasks, answers, strict=True)]),
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
