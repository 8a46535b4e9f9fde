"""How well the chat model reads: its tags, use cases and feedback signals against the truth, label by label."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random

from . import feedback, reacting, tagging
from .examples import say
from .kinds import DIFFICULTIES
from .probes import Probe
from .table import Row, at_least, mean
from .tasks import Task, draw_task


def parsed(reply: str) -> dict[str, object] | None:
    try:
        found = json.loads(reply)
    except (json.JSONDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def taggers(probe: Probe, count: int, seed: int) -> list[Row]:
    rng = Random(seed)
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
    detail = ", ".join(f"{label} {mean(hits):.2f}" for label, hits in sorted(by_label.items()))
    right = mean([hit for hits in by_label.values() for hit in hits])
    chance = max(len(hits) for hits in by_label.values()) / len(truth)
    return [
        at_least(f"{name} tagger: parses", mean([one is not None for one in found]), 0.95),
        Row(f"{name} tagger: agrees", f"{right:.3f} ({detail})", f"> {chance:.2f}, the commonest label", right > chance + 0.1),
    ]


def encoder(probe: Probe, tasks: Sequence[Task]) -> list[Row]:
    found = probe.ask([say("codeclm/encode", instruction=task.instruction) for task in tasks], tokens=60)
    shaped = [re.fullmatch(r"Use case: (.+)\nSkills: (.+)", one) for one in found]
    cases = [one is not None and one.group(1) == task.kind.use_case for one, task in zip(shaped, tasks, strict=True)]
    skills = [one is not None and one.group(2) == ", ".join(task.kind.skills) for one, task in zip(shaped, tasks, strict=True)]
    return [
        at_least("encoder: parses", mean([one is not None for one in shaped]), 0.95),
        Row("encoder: agrees", f"use case {mean(cases):.3f}, skills {mean(skills):.3f}", "> 0.25", mean(cases) > 0.25),
    ]


def feedback_reader(probe: Probe, count: int, seed: int) -> list[Row]:
    rng = Random(seed)
    chats = [feedback.conversation(rng) for _ in range(count)]
    found = probe.ask([say("wildfeedback/feedback", utterances=feedback.numbered(turns)) for turns in chats], tokens=500)
    hits: Counter[str] = Counter()
    said: Counter[str] = Counter()
    true: Counter[str] = Counter()
    states: list[bool] = []
    whole: list[bool] = []
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
        at_least("feedback reader: parses", mean(whole), 0.95),
        Row("feedback reader: states", f"{mean(states):.3f}"),
        Row(
            "feedback reader: signals, recall/precision",
            f"{recall:.3f}/{precision:.3f} ({detail})",
            "> 0.5",
            min(recall, precision) > 0.5,
        ),
    ]
