"""Magpie's order of work: a row at a time through instruction, answer and tags, or all rows through one after the other.

Three orders of the same work (same rows, seeds, steps and engine), alternating in one process:

- row by row: one coroutine for each row; rows start as others finish, so the engine's batch stays full;
- barriers: all instructions, then all answers, then all tags, each pass handed to the engine whole;
- scripts: as the authors' code runs, with passes in batches (200 instructions, 200 answers) and a pass for each tag.

    python -m rookery.bench.magpie_order --rows 512 --rounds 3

Beside wall time stands the process's own CPU time, which holds on a machine that others use too: a nearly empty batch
costs an engine on CPUs almost as much as a full one. Prefix caching is off, so that a later order does not profit from what
an earlier one has computed.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from rookery.filters.taggers import BY_NAME, MagpieTags
from rookery.flows.engines.spec import VllmSpec
from rookery.generators.candidates import Independent
from rookery.generators.magpie import Magpie
from rookery.schemas.digest import digest, seed_of
from rookery.schemas.llm import LLM
from rookery.schemas.step import Step
from rookery.schemas.tables import Chat, Row, Seed

DEMO = Path(__file__).resolve().parent.parent / "data" / "demo" / "chat"
BATCH = 200  # of the authors' scripts
Order = Callable[[Sequence[Seed], LLM], Awaitable[list[Row]]]


def steps(rows: int) -> tuple[Magpie, Independent, MagpieTags]:
    """Instruction, answer, tags."""
    ask = Magpie(rows=rows, temperature=1.0, max_tokens=256)
    return ask, Independent(k=1, temperature=0.0, max_tokens=256), MagpieTags(max_tokens=128)


async def row_by_row(seeds: Sequence[Seed], llm: LLM, in_flight: int) -> list[Row]:
    """The whole of Magpie as one coroutine for each row."""
    ask, answer, tag = steps(len(seeds))
    room = asyncio.Semaphore(in_flight)

    async def line(seed: Seed) -> list[Row]:
        async with room:
            made = list(await ask(seed, llm))
            for chat in [row for row in made if isinstance(row, Chat)]:
                answered, tagged = await asyncio.gather(answer(chat, llm), tag(chat, llm))  # neither needs the other
                made += [*answered, *tagged]
            return made

    return [row for made in await asyncio.gather(*map(line, seeds)) for row in made]


async def barriers(seeds: Sequence[Seed], llm: LLM) -> list[Row]:
    """Three passes over all rows."""
    ask, answer, tag = steps(len(seeds))
    asked = await one_pass(ask, seeds, llm)
    chats = [row for row in asked if isinstance(row, Chat)]
    return [*asked, *await one_pass(answer, chats, llm), *await one_pass(tag, chats, llm)]


async def scripts(seeds: Sequence[Seed], llm: LLM) -> list[Row]:
    """As the authors' scripts: passes in batches, and a pass for each tag."""
    ask, answer, tag = steps(len(seeds))
    made = [row for batch in batches(seeds) for row in await one_pass(ask, batch, llm)]
    chats = [row for row in made if isinstance(row, Chat)]
    made += [row for batch in batches(chats) for row in await one_pass(answer, batch, llm)]
    for tagger in BY_NAME.values():
        made += await one_pass(tagger(max_tokens=tag.max_tokens), chats, llm)
    return made


async def one_pass(step: Step, rows: Sequence[Row], llm: LLM) -> list[Row]:
    """A barrier: everything is asked at once, and nothing goes on before the last reply is there."""
    return [row for made in await asyncio.gather(*(step(row, llm) for row in rows)) for row in made]


def batches(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Cut as the scripts do."""
    return [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]


def main(
    rows: Annotated[int, typer.Option(min=1)] = 512,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    batch: Annotated[int, typer.Option(min=1, help="sequences in one step of the engine; the scripts' vLLM has 256")] = 256,
    model: Annotated[str, typer.Option()] = str(DEMO),
) -> None:
    """Measure the three orders and print seconds and ratios."""
    spec = VllmSpec(model=model, max_model_len=1024, enforce_eager=True, max_num_seqs=batch, prefix_caching=False)
    llm = spec.build()

    async def row_by_row_here(seeds: Sequence[Seed], llm: LLM) -> list[Row]:
        return await row_by_row(seeds, llm, in_flight=batch)

    orders: dict[str, Order] = {"row by row": row_by_row_here, "barriers": barriers, "scripts": scripts}
    asyncio.run(barriers(seeds_of(32, "warm"), llm))
    wall: dict[str, list[float]] = {name: [] for name in orders}
    cpu: dict[str, list[float]] = {name: [] for name in orders}
    for number in range(rounds):
        seeds, found = seeds_of(rows, str(number)), {}
        names = list(orders)
        for name in names[number % 3 :] + names[: number % 3]:  # no order is always first
            before, start, busy = llm.tokens_out, time.perf_counter(), time.process_time()
            made = asyncio.run(orders[name](seeds, llm))
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - busy)
            found[name] = sorted(map(repr, made))
            told = f"{wall[name][-1]:7.2f} s {cpu[name][-1]:7.2f} s of CPU {llm.tokens_out - before:7d} tokens"
            print(f"round {number} {name:<11} {told}", flush=True)
        same = len({tuple(rows) for rows in found.values()}) == 1
        print(f"round {number} same rows in all orders: {same}", flush=True)
    for kind, seconds in (("wall", wall), ("CPU", cpu)):
        for name in ("barriers", "scripts"):
            ratios = [slow / fast for slow, fast in zip(seconds[name], seconds["row by row"], strict=True)]
            print(
                f"{kind}: {name} / row by row: median {statistics.median(ratios):.2f}, {', '.join(f'{r:.2f}' for r in ratios)}"
            )
    llm.close()


def seeds_of(count: int, name: str) -> list[Seed]:
    """Rows to start from."""
    return [Seed(digest(name, i), i, seed_of(name, i), []) for i in range(count)]


if __name__ == "__main__":
    typer.run(main)
