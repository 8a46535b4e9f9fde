"""CodecLM against the truth of the demo world: are accepted instructions harder for the target, and still about the same things?

    python bench/codeclm_truth.py --strong data/demo/chat --target data/demo/base --entries 40

The engines are vLLM in this process. That an instruction was accepted because the target answered badly *once* proves nothing, so
the target answers every instruction anew, `--samples` times, and the world's checker counts what is right.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rookery.data.world.checker import check
from rookery.data.world.kinds import DIFFICULTIES
from rookery.flows.codeclm import divergence
from rookery.flows.engines.spec import VllmSpec
from rookery.flows.readers import seeds
from rookery.generators.codeclm import Contrast, acceptance, assignments
from rookery.generators.codeclm_metadata import Decode, Encode, SelfRubrics, enlarge, entries_of
from rookery.schemas.digest import seed_of
from rookery.schemas.llm import LLM, Decoding
from rookery.schemas.step import Step
from rookery.schemas.tables import Chat, Drop, Note, Row, Score, Seed, frame

DEMO = Path(__file__).resolve().parents[1] / "data" / "demo"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--strong", default=str(DEMO / "chat"))
    asked.add_argument("--target", default=str(DEMO / "base"))
    asked.add_argument("--entries", type=int, default=60)
    asked.add_argument("--count", type=int, default=5, help="basic instructions to an entry")
    asked.add_argument("--samples", type=int, default=8, help="fresh answers of the target to each instruction")
    asked.add_argument("--theta", type=float, default=3.0)
    told = asked.parse_args()
    models = [VllmSpec(model=path, max_model_len=1024, enforce_eager=True).build() for path in (told.strong, told.target)]
    try:
        print(json.dumps(asyncio.run(measured(*models, told.entries, told.count, told.samples, told.theta)), indent=2))
    finally:
        for model in models:
            model.close()


async def measured(strong: LLM, target: LLM, size: int, count: int, samples: int, theta: float) -> dict[str, object]:
    """All figures, by name."""
    given = [row for row in seeds(str(DEMO / "seeds.jsonl"), "instruction", 0) if isinstance(row, Seed)]
    encoded = await spread(Encode(max_tokens=64), given, strong)
    pool = entries_of(row for row in encoded if isinstance(row, Note))
    entries = [entry.row(i, seed_of(0, entry.id)) for i, entry in enumerate(enlarge(pool, size, 0))]
    notes = [row for row in await spread(SelfRubrics(max_tokens=256), entries, strong) if isinstance(row, Note)]
    basics = [row for row in await spread(Decode(count=count, max_tokens=256), entries, strong) if isinstance(row, Chat)]
    step = Contrast(theta=theta, max_tokens=128)
    made = await spread(step, assignments(basics, entries, notes), strong, target, strong)
    accepted = [row for row in made if isinstance(row, Chat)]
    use_case = {entry.id: entry.turns[0].content for entry in entries}
    entry_of = {basic.id: basic.parents[0] for basic in basics}
    scores = frame(Score, (row for row in made if isinstance(row, Score)))
    rounds = acceptance(scores)
    later = {row.about for row in made if isinstance(row, Score) and row.name == "round" and (row.value or 0) > 1}
    return {
        "seeds": len(given),
        "metadata": {"read": len(pool), "entries": len(entries), "use_cases": len({entry.use_case for entry in pool})},
        "basic": await hardness(basics, strong, target, samples),
        "accepted": await hardness(accepted, strong, target, samples),
        "accepted_after_rewriting": await hardness([row for row in accepted if row.id in later], strong, target, samples),
        "rounds": rounds.to_dicts(),
        "dropped": dict(Counter(row.reason for row in made if isinstance(row, Drop))),
        "divergence_bits": {
            "use_cases, pool to seeds": round(divergence([e.use_case for e in pool], list(use_case.values())), 4),
            "use_cases, accepted to seeds": round(
                divergence([e.use_case for e in pool], [use_case[entry_of[row.parents[0]]] for row in accepted]), 4
            ),
            "families, basic to seeds": round(divergence(families(given), families(basics)), 4),
            "families, accepted to seeds": round(divergence(families(given), families(accepted)), 4),
        },
    }


async def hardness(chats: Sequence[Chat], strong: LLM, target: LLM, samples: int) -> dict[str, object]:
    """How often each model is right on instructions of this world, and how hard these are by the world's own measure."""
    known = [chat for chat in chats if check(messages(chat)).family is not None]
    grades = [DIFFICULTIES.index(str(check(messages(chat)).difficulty)) for chat in known]
    return {
        "instructions": len(chats),
        "of_this_world": len(known),
        "strong_right": await rightness(known, strong, samples),
        "target_right": await rightness(known, target, samples),
        "difficulty_mean": round(sum(grades) / len(grades), 3) if grades else None,
    }


async def rightness(chats: Sequence[Chat], llm: LLM, samples: int) -> float | None:
    decoding = Decoding(temperature=0.7, max_tokens=128)
    asked = [(chat, number) for chat in chats for number in range(samples)]
    replies = await asyncio.gather(*(llm.chat(chat.turns, decoding, seed_of("fresh", chat.id, n)) for chat, n in asked))
    right = [
        check([*messages(chat), {"role": "assistant", "content": reply.text}]).right is True
        for (chat, _), reply in zip(asked, replies, strict=True)
    ]
    return round(sum(right) / len(right), 4) if right else None


def messages(chat: Chat | Seed) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in chat.turns]


def families(rows: Sequence[Chat | Seed]) -> list[str]:
    return [check(messages(row)).family or "not of this world" for row in rows]


async def spread(step: Step, rows: Sequence[Row], *llms: LLM) -> list[Row]:
    """All rows at once."""
    return [row for made in await asyncio.gather(*(step(row, *llms) for row in rows)) for row in made]


if __name__ == "__main__":
    main()
