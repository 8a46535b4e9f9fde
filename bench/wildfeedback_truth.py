"""WildFeedback against the truth of the demo world: are complaints found, and does the chosen side meet what the user wished?

    python bench/wildfeedback_truth.py --model data/demo/chat --rows 200

The engine is vLLM in this process. Labels are the sample log's own (`data/demo/logs/labels.jsonl`), which no step reads. A wish is
*met* if the world's checker says so: a wish for a form by the form's own check, a wish for right answers by the truth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rookery.data.world.checker import check
from rookery.data.world.constraints import CONSTRAINTS
from rookery.filters.checklist import Checklist, comparison
from rookery.filters.feedback import FindFeedback
from rookery.flows.engines.spec import VllmSpec
from rookery.flows.readers import records
from rookery.generators.chatlogs import conversation
from rookery.generators.wildfeedback import Expert, OnPolicy, complaints
from rookery.schemas.feedback import Signal, signals_of, user_turns
from rookery.schemas.llm import LLM
from rookery.schemas.step import Step
from rookery.schemas.tables import Answer, Chat, Drop, Note, Row, Score, Seed, Turn

DEMO = Path(__file__).resolve().parents[1] / "data" / "demo"
RIGHTNESS = ("wants correct facts", "wants the question itself answered")
Label = dict[str, object]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--model", default=str(DEMO / "chat"))
    asked.add_argument("--rows", type=int, default=200, help="conversations of the sample log")
    told = asked.parse_args()
    llm = VllmSpec(model=told.model, max_model_len=1024, enforce_eager=True).build()
    try:
        print(json.dumps(asyncio.run(measured(llm, told.rows)), indent=2))
    finally:
        llm.close()


async def measured(llm: LLM, rows: int) -> dict[str, object]:
    """All figures, by name."""
    talks, truth = logged(rows)
    labelled = await spread(FindFeedback(rubrics="named", max_tokens=400), talks, llm)
    found = signals_of(row for row in labelled if isinstance(row, Score))
    wished: dict[str, str] = {}
    rows_in: list[Seed] = []
    for talk in talks:
        cut, _ = complaints(talk, found.get(talk.id, ()), most=3, longest=4000)
        for row in cut:
            wished[row.id] = truth[talk.id]["wishes"][user_turns(talk.turns).index(row.ordinal)]  # type: ignore[index]
        rows_in += cut
    return {
        "conversations": len(talks),
        "not_read": len([row for row in labelled if isinstance(row, Drop)]),
        "detection": {kind: detection(talks, found, truth, kind) for kind in ("sat", "dsat")},
        "state_accuracy": state_accuracy(talks, found, truth),
        "expert": await pairs(Expert(max_tokens=128), rows_in, wished, llm),
        "on_policy": await pairs(OnPolicy(max_tokens=128), rows_in, wished, llm),
    }


async def pairs(step: Expert | OnPolicy, rows: Sequence[Seed], wished: dict[str, str], llm: LLM) -> dict[str, object]:
    """How often each side meets the user's true wish, before the checklist judge and after it."""
    made = await spread(step, rows, llm, llm)
    chats = {row.id: row for row in made if isinstance(row, Chat)}
    said = {(row.prompt, row.ordinal): row.text for row in made if isinstance(row, Answer)}
    wishes: dict[str, list[str]] = {name: [] for name in chats}
    for row in made:
        if isinstance(row, Note):
            wishes[row.about].append(row.text)
    compared = [comparison(chat, said[name, 0], said[name, 1], wishes[name]) for name, chat in chats.items()]
    verdicts = {row.about: row.label for row in await spread(Checklist(), compared, llm) if row.name == "checklist"}
    met = {}
    for name, chat in chats.items():
        sides = [meets(chat, said[name, side], wished[chat.parents[0]]) for side in (0, 1)]
        if None not in sides:
            met[name] = sides
    stated = [name for name, chat in chats.items() if wished[chat.parents[0]] in wishes[name]]
    won = [name for name in met if verdicts.get(name) == "win"]
    return {
        "complaints": len(rows),
        "dropped": dict(Counter(row.reason for row in made if isinstance(row, Drop))),
        "pairs": len(chats),
        "wish_summed_up_rightly": share(len(stated), len(chats)),
        "verdicts": dict(Counter(verdicts.values())),
        "all_checkable": gap(list(met.values())),
        "kept_by_checklist": gap([met[name] for name in won]),
    }


def meets(chat: Chat, reply: str, wish: str) -> bool | None:
    """Whether the reply meets the wish; None if the world has no check for it."""
    for constraint in CONSTRAINTS:
        if constraint.preference == wish:
            return constraint.kept(reply)
    if wish in RIGHTNESS:
        messages = [{"role": turn.role, "content": turn.content} for turn in (*chat.turns, Turn("assistant", reply))]
        return check(messages).right
    return None


def detection(talks: Sequence[Chat], found: dict[str, list[Signal]], truth: dict[str, Label], kind: str) -> dict[str, float]:
    """Precision and recall of "there is a signal of this kind", and of the criterion's very name, over utterances."""
    counts: Counter[str] = Counter()
    for _, signal, label in utterances(talks, found, truth):
        said, right = getattr(signal, kind), tuple(label[kind])  # type: ignore[arg-type, index]
        counts["said"] += bool(said)
        counts["true"] += bool(right)
        counts["both"] += bool(said) and bool(right)
        counts["named"] += bool(set(said) & set(right))
    return {
        "utterances_with_it": counts["true"],
        "precision": share(counts["both"], counts["said"]),
        "recall": share(counts["both"], counts["true"]),
        "precision_of_the_name": share(counts["named"], counts["said"]),
    }


def state_accuracy(talks: Sequence[Chat], found: dict[str, list[Signal]], truth: dict[str, Label]) -> float:
    right = [signal.state == label["state"] for _, signal, label in utterances(talks, found, truth)]  # type: ignore[index]
    return share(sum(right), len(right))


def utterances(
    talks: Sequence[Chat], found: dict[str, list[Signal]], truth: dict[str, Label]
) -> Iterator[tuple[Chat, Signal, Label]]:
    """Each user turn with what was found in it, nothing where the model did not speak of it, and its label."""
    for talk in talks:
        by_turn = {signal.turn: signal for signal in found.get(talk.id, ())}
        labels = truth[talk.id]["turns"]
        for place, label in zip(user_turns(talk.turns), labels, strict=True):  # type: ignore[arg-type]
            yield talk, by_turn.get(place, Signal(place, "")), label


def logged(rows: int) -> tuple[list[Chat], dict[str, Label]]:
    """The sample log's conversations, and their labels by the chat's id."""
    labels = [json.loads(line) for line in (DEMO / "logs" / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    talks: list[Chat] = []
    truth: dict[str, Label] = {}
    for record, label in zip(records(str(DEMO / "logs" / "wildchat.jsonl")), labels[:rows], strict=False):
        chat = conversation(record.value, "wildchat", "demo")[0]  # type: ignore[union-attr]
        if isinstance(chat, Chat):
            talks.append(chat)
            truth[chat.id] = label
    return talks, truth


async def spread(step: Step, rows: Sequence[Row], *llms: LLM) -> list[Row]:
    """All rows at once."""
    return [row for made in await asyncio.gather(*(step(row, *llms) for row in rows)) for row in made]


def gap(sides: Sequence[Sequence[bool | None]]) -> dict[str, float]:
    chosen, rejected = (share(sum(bool(pair[i]) for pair in sides), len(sides)) for i in (0, 1))
    return {
        "pairs": len(sides),
        "chosen_meets": chosen,
        "rejected_meets": rejected,
        "points": round(100 * (chosen - rejected), 1),
    }


def share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else float("nan")


if __name__ == "__main__":
    main()
