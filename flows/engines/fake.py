"""The fake engine: an engine like any other, for faults and latency. What it writes depends on prompt and seed alone."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

from ...schemas.digest import digest, seed_of
from ...schemas.llm import Choice, Decoding, JSONSchema, Reply, Reward, Speaker
from ...schemas.tables import Turn, text_of
from .death import EngineDead, OutOfMemory
from .spec import FakeSpec

WORDS = "amber brook cedar delta ember fjord grove heron islet juniper kestrel larch meadow north orchard pine quill".split()


class FakeEngine:
    """Answers after a fixed time; may fail, and may take its whole process with it."""

    def __init__(self, spec: FakeSpec) -> None:
        self._spec = spec
        self.model, self.revision = spec.name, "0"
        self.tokens_in = self.tokens_out = self.steps = 0
        self._asked = self._now = 0
        self._full = False
        self._log = None if spec.log is None else (Path(spec.log) / f"{os.getpid()}-{time.time_ns()}").open("a", buffering=1)

    async def complete(self, prompt: str | Sequence[int], decoding: Decoding, seed: int) -> Reply:
        return await self._write(str(prompt), decoding, seed)

    async def chat(
        self,
        turns: Sequence[Turn],
        decoding: Decoding,
        seed: int,
        schema: JSONSchema | None = None,
        speaker: Speaker = "assistant",
    ) -> Reply:
        prompt = f"{text_of(turns)}\n{speaker}:"
        if schema is None:
            return await self._write(prompt, decoding, seed)
        draw = await self._draw(prompt, 0 if decoding.temperature == 0.0 else seed)
        if draw is None:
            return Reply("", "error", len(prompt.split()), 0, "injected fault")
        text = json.dumps(_obeying(schema, draw))
        self.tokens_out += len(text.split())
        return Reply(text, "stop", len(prompt.split()), len(text.split()))

    async def choose(self, asked: str | Sequence[Turn], options: Sequence[str]) -> Choice:
        draw = await self._draw(asked if isinstance(asked, str) else text_of(asked), 0)
        if draw is None:
            return Choice(finish="error", error="injected fault")
        weights = [draw.random() + 0.01 for _ in options]
        return Choice({name: w / sum(weights) for name, w in zip(options, weights, strict=True)}, 1.0)

    async def score(self, turns: Sequence[Turn]) -> Reward:
        draw = await self._draw(text_of(turns), 0)
        return Reward(float("nan"), "error", "injected fault") if draw is None else Reward(draw.gauss(0.0, 1.0))

    def close(self) -> None:
        """Nothing to give back."""

    async def _write(self, prompt: str, decoding: Decoding, seed: int) -> Reply:
        draw = await self._draw(prompt, 0 if decoding.temperature == 0.0 else seed)
        if draw is None:
            return Reply("", "error", len(prompt.split()), 0, "injected fault")
        words = draw.choices(WORDS, k=min(self._spec.words, decoding.max_tokens))
        self.tokens_out += len(words)
        return Reply(" ".join(words).capitalize() + ".", "stop", len(prompt.split()), len(words))

    async def _draw(self, prompt: str, seed: int) -> random.Random | None:
        """A source of chance for this question, after the latency; None if the question is to fail.

        What it costs to make is a part of the latency, and not added to it: a real engine computes elsewhere.
        """
        spec, began = self._spec, time.monotonic()
        self._asked += 1
        self.tokens_in += len(prompt.split())
        if (spec.poison and spec.poison in prompt) or (spec.die_after and self._asked > spec.die_after):
            os._exit(1)
        if spec.hang_after and self._asked == spec.hang_after:
            time.sleep(1e9)  # blocks the event loop, as an engine does that waits for a lock for ever
        if spec.death is not None and _taken(Path(spec.death)):
            raise EngineDead(f"the engine of {self.model} has died: {spec.death} was there")
        self._now += 1
        self._full |= spec.memory_requests is not None and self._now > spec.memory_requests
        if self._full:
            raise OutOfMemory(f"the engine of {self.model} is out of memory: {self._now} requests at once")
        asked = digest(prompt)
        fails = spec.error_share and random.Random(seed_of("fault", asked, seed)).random() < spec.error_share
        drawn = random.Random(seed_of(asked, seed))
        await asyncio.sleep(max(0.0, spec.latency_seconds - (time.monotonic() - began)))
        self._now -= 1
        self.steps += 1
        if self._log is not None:
            self._log.write(f"{digest(prompt, seed)}\n")
        out = spec.outage is not None and Path(spec.outage).exists()
        return None if fails or out else drawn


def _taken(file: Path) -> bool:
    """Whether the file was there, and this engine was the one that removed it."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _obeying(schema: dict, draw: random.Random) -> object:
    """A value of the schema's shape: objects, lists of up to two, texts and choices."""
    match schema.get("type"):
        case "object":
            return {name: _obeying(kind, draw) for name, kind in schema["properties"].items()}
        case "array":
            return [_obeying(schema["items"], draw) for _ in range(draw.randrange(3))]
        case _:
            return draw.choice(schema["enum"]) if "enum" in schema else " ".join(draw.choices(WORDS, k=4))
