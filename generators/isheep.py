"""I-SHEEP's two ways of writing: new instructions continued from five seeds, and their answers, zero-shot.

Liang et al., "I-SHEEP: Self-Alignment of LLM from Scratch through an Iterative Self-Enhancement Paradigm", arXiv:2408.08072,
section 3 with algorithm 1, and the authors' repository (multimodal-art-projection/I-SHEEP at 84187d4) where the paper is silent.
How iterations follow one another is told in `flows/isheep.py`.

Deviations. A reply ends before the header of a twelfth new task; the authors stop at the string `17`, which any text may hold. An
instruction's white space is one blank everywhere, so that in a row the first line is the instruction and the rest the input.
Instruction and input meet at a newline, also in the answerer's prompt; the authors join them with nothing. An answer that was cut
off at its limit is dropped: what has no end teaches none.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.digest import digest, seed_of
from ..schemas.llm import LLM, Decoding
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Answer, Chat, Drop, Row, Seed, Turn

EXAMPLES = 5  # seeds shown in one prompt, which is written for that many: the next task is the sixth
NO_INPUT = "<noinput>"

Task = tuple[str, str]  # instruction and input; the input may be empty


class Instruct(Step):
    """New instructions: the base model's own continuation of a list of tasks."""

    method: Literal["isheep_instruct"] = "isheep_instruct"
    engine: str = Field("main", description="which engine writes instructions: the base model")
    tasks: int = Field(11, ge=1, description="new tasks in one reply; the reference's stop string amounts to 11")
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(1000, gt=0)

    consumes: ClassVar = Seed  # turns `instruction` and `input`, in turn, of the examples
    produces: ClassVar = (Chat, Drop)
    prompts: ClassVar = ("isheep/generate",)

    async def __call__(self, row: Seed, llm: LLM) -> Sequence[Row]:
        """Continue the list as raw text; each piece is a task or a `Drop` that holds what could not be read."""
        said = [turn.content for turn in row.turns]
        examples = zip(said[::2], said[1::2], strict=True)
        shown = "\n".join(listed(number, task) for number, task in enumerate(examples, 1))
        drawn = Decoding(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=(f"\n{EXAMPLES + self.tasks + 1}. Instruction",),
        )
        reply = await llm.complete(fill(prompt("isheep/generate"), seeds=shown), drawn, row.seed)
        if reply.finish == "error":
            return [Drop(row.id, "instruct", "engine_error", reply.error, "")]
        made: list[Row] = []
        for ordinal, piece in enumerate(pieces(reply.text)):
            name, task = self.id_of(llm, row.id, ordinal), task_of(piece, EXAMPLES + 1 + ordinal)
            if task is None:
                made.append(Drop(name, "instruct", "unread", f"no task {EXAMPLES + 1 + ordinal} of the asked form", piece))
                continue
            facts = (self.method, llm.model, llm.revision, drawn.recorded(row.seed), "stop", 0, 0)
            made.append(Chat(name, [row.id], [Turn("user", joined(task))], *facts))
        return made


class Respond(Step):
    """One answer to an instruction, without examples."""

    method: Literal["isheep_respond"] = "isheep_respond"
    engine: str = Field("main", description="which engine answers")
    form: Literal["raw", "chat"] = Field("raw", description="raw text and a newline for a base model; else its chat template")
    system: str = Field("", description="system message of the chat form; empty: none")
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(1000, gt=0)

    consumes: ClassVar = Chat
    produces: ClassVar = (Answer, Drop)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Answer once."""
        drawn = Decoding(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens)
        seed, name = seed_of(row.id, "answer"), self.id_of(llm, row.id)
        if self.form == "raw":
            reply = await llm.complete(row.turns[-1].content + "\n", drawn, seed)
        else:
            reply = await llm.chat(with_system(self.system, row.turns), drawn, seed)
        text = reply.text.strip().removeprefix("答案:").removeprefix("答案：").strip()
        if reply.finish == "error":
            return [Drop(name, "answer", "engine_error", reply.error, "")]
        if reply.finish == "length":
            return [Drop(name, "answer", "cut_off", f"not finished after {reply.tokens_out} tokens", text)]
        told = (llm.model, llm.revision, drawn.recorded(seed), reply.finish, reply.tokens_in, reply.tokens_out)
        return [Answer(name, row.id, 0, text, self.method, *told)]


def with_system(system: str, turns: Sequence[Turn]) -> list[Turn]:
    """The conversation under a system message, if there is one."""
    return [*([Turn("system", system)] if system else []), *turns]


def joined(task: Task) -> str:
    """A task as the user's turn: the instruction on the first line, the input below."""
    return "\n".join(part for part in task if part)


def parted(text: str) -> Task:
    """A user's turn as a task: the inverse of `joined`."""
    instruction, _, given = text.partition("\n")
    return instruction, given


def seed_task(record: Mapping[str, object]) -> Task | None:
    """The task of a seed record: Self-Instruct's layout, flat or with `instances`. None without an instruction."""
    instances = record.get("instances")
    first = instances[0] if isinstance(instances, list) and instances else record
    given = first.get("input") if isinstance(first, Mapping) else None
    instruction = " ".join(str(record.get("instruction") or "").split()).removesuffix(":")
    return (instruction, str(given or "").strip()) if instruction else None


def draws(seeds: Sequence[Task], count: int, *parts: str | int) -> Iterator[Seed]:
    """`count` rows for `Instruct`: five seeds each, uniform without replacement. `parts` tell one draw from another."""
    for ordinal in range(count):
        seed = seed_of("isheep", *parts, ordinal)
        shown = random.Random(seed).sample(list(seeds), EXAMPLES)
        turns = [Turn(role, text) for task in shown for role, text in zip(("instruction", "input"), task, strict=True)]
        yield Seed(digest("isheep", *parts, ordinal), ordinal, seed, turns)


def listed(number: int, task: Task) -> str:
    """A task as an item of the prompt's list."""
    instruction, given = task
    return f"###\n{number}. Instruction: {instruction}\n{number}. Input:\n{given or NO_INPUT}"


def pieces(text: str) -> list[str]:
    """The reply cut at `###`, the header that the prompt wrote put back; the last piece was cut off and is left out."""
    return f"{EXAMPLES + 1}. Instruction:{text}".split("###")[:-1]


def task_of(piece: str, number: int) -> Task | None:
    """A piece read as the task of that running number. None unless it holds one instruction and one input, in this order."""
    parts = re.split(rf"\b{number}\.\s+(Instruction|Input):", piece)
    if len(parts) != 5 or (parts[1], parts[3]) != ("Instruction", "Input") or parts[0].strip():
        return None
    instruction, given = " ".join(parts[2].split()).removesuffix(":"), parts[4].strip()
    return (instruction, "" if given.lower() == NO_INPUT else given) if instruction else None
