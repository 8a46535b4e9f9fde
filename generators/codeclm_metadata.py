"""CodecLM's first half: seeds are encoded as metadata, the pool of metadata grows, and is decoded into new instructions.

Wang et al., "CodecLM: Aligning Language Models with Tailored Synthetic Data", arXiv:2404.05875: `Encode` is section 4.1
with figure 7, `enlarge` appendix A.3, `Decode` figure 8, `SelfRubrics` section 4.2 with figure 9. An *entry* of the pool
travels as a `Seed` whose turns carry roles of their own: `use_case`, then `skill` up to three times.

Where the paper is silent: use cases are drawn one for every seed, so that frequent ones stay frequent; a combination that
is there already is mixed anew; the manual check for absurd mixtures is left to `Plausible`, which is optional; basic
instructions are freed of copies (ROUGE-L above 0.7, as Self-Instruct does) inside one entry.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import ClassVar, Literal, cast

from pydantic import Field

from ..schemas.digest import digest, seed_of
from ..schemas.llm import LLM, Decoding
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Drop, Note, Row, Score, Seed, Turn, text_of
from . import codeclm_parse as parse

Origin = Literal["seed", "mixed", "manual"]
TRIES = 2  # every question is asked once more if its reply cannot be read
# When a model names no action: in-depth evolving as Evol-Instruct puts it, arXiv:2304.12244, section 3.2.
FALLBACK_ACTIONS = (
    "Add one more constraint or requirement.",
    "Ask for a deeper and wider treatment of the matter.",
    "Put a more specific notion in place of a general one.",
    "Ask for several steps of reasoning.",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the pool. `seeds` are the ids of the instructions that it was read from, or mixed for."""

    use_case: str
    skills: tuple[str, ...]
    origin: Origin
    seeds: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return digest("metadata", self.use_case, sorted(self.skills))

    def row(self, ordinal: int, seed: int) -> Seed:
        """The entry as a row that steps read. Another `seed` draws other instructions from the same entry."""
        said = [Turn("use_case", self.use_case), *(Turn("skill", skill) for skill in self.skills)]
        return Seed(self.id, ordinal, seed, said)

    def notes(self) -> list[Note]:
        """The entry in the table of notes."""
        said = [Note(self.id, "use_case", 0, self.use_case), Note(self.id, "origin", 0, self.origin)]
        said += [Note(self.id, "skill", i, skill) for i, skill in enumerate(self.skills)]
        return said + [Note(self.id, "seed", i, seed) for i, seed in enumerate(self.seeds)]


def named(row: Seed, role: str) -> list[str]:
    """What the row's turns of one role say."""
    return [turn.content for turn in row.turns if turn.role == role]


class Encode(Step):
    """A use case and up to three skills for each seed instruction."""

    method: Literal["codeclm_encode"] = "codeclm_encode"
    engine: str = Field("strong", description="which engine reads the seeds")
    temperature: float = Field(0.7, ge=0, le=2, description="appendix A.3")
    max_tokens: int = Field(256, gt=0)

    consumes: ClassVar = Seed  # its last turn is the instruction
    produces: ClassVar = (Note, Drop)
    prompts: ClassVar = ("codeclm/encode",)

    async def __call__(self, row: Seed, strong: LLM) -> Sequence[Row]:
        """Ask for the metadata; a reply without use case or skills is asked for once more."""
        question = fill(prompt("codeclm/encode"), instruction=row.turns[-1].content)
        said = ""
        for attempt in range(TRIES):
            reply = await strong.chat([Turn("user", question)], _drawn(self), seed_of(row.seed, "encode", attempt))
            found, said = parse.metadata(reply.text), reply.error or reply.text
            if found is not None:
                skills = [Note(row.id, "skill", i, skill) for i, skill in enumerate(found.skills)]
                return [Note(row.id, "use_case", 0, found.use_case), *skills]
        return [Drop(row.id, "encode", "no_metadata", said, text_of(row.turns))]


def entries_of(notes: Iterable[Note]) -> list[Entry]:
    """One entry for each row that the notes speak of: what `Encode` wrote of the seeds, or what `Entry.notes` wrote."""
    told: dict[str, dict[str, list[str]]] = {}
    for note in notes:
        told.setdefault(note.about, {}).setdefault(note.kind, []).append(note.text)
    return [
        Entry(
            said["use_case"][0],
            tuple(said["skill"]),
            cast(Origin, said.get("origin", ["seed"])[0]),
            tuple(said.get("seed", [] if "origin" in said else [about])),
        )
        for about, said in told.items()
        if "use_case" in said and "skill" in said
    ]


def enlarge(pool: Sequence[Entry], size: int, seed: int) -> list[Entry]:
    """Mix and match to `size` distinct entries, fewer if that many combinations do not exist.

    The pool is walked in a random order, again and again. Each time an entry gives its use case; its own skills stay with
    it the first time, afterwards one to three skills of the whole pool are drawn.
    """
    rng = random.Random(seed_of(seed, "enlarge"))
    walk = rng.sample(list(pool), len(pool))
    skills = sorted({skill for entry in pool for skill in entry.skills})
    made: dict[str, Entry] = {}
    barren = 0  # entries in a row that gave nothing new: a whole walk of them, and there is nothing left to mix
    for entry in cycle(walk):
        if len(made) == size or barren == len(walk):
            break
        fresh = entry if entry.id not in made else _mixed(entry, skills, made, rng)
        barren = barren + 1 if fresh is None else 0
        if fresh is not None:
            made[fresh.id] = fresh
    return list(made.values())


def _mixed(entry: Entry, skills: Sequence[str], made: dict[str, Entry], rng: random.Random) -> Entry | None:
    for _ in range(50):
        count = rng.randint(1, min(parse.MOST_SKILLS, len(skills)))
        drawn = Entry(entry.use_case, tuple(rng.sample(skills, count)), "mixed", entry.seeds)
        if drawn.id not in made:
            return drawn
    return None


class Plausible(Step):
    """A vote on whether a mixed entry makes sense, in place of the authors' check by hand. Optional."""

    method: Literal["codeclm_plausible"] = "codeclm_plausible"
    engine: str = Field("strong", description="which engine votes")

    consumes: ClassVar = Seed
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("codeclm/plausible",)

    async def __call__(self, row: Seed, strong: LLM) -> Sequence[Row]:
        """The probability of yes."""
        question = fill(prompt("codeclm/plausible"), **_described(row))
        choice = await strong.choose([Turn("user", question)], ("yes", "no"))
        value = choice.probabilities.get("yes") if choice.finish != "error" else None
        return [Score(row.id, "plausible", value, None, strong.model, choice.error or None)]


class SelfRubrics(Step):
    """Four rubrics that tell how hard an instruction of this entry is, and the actions that make one harder."""

    method: Literal["codeclm_rubrics"] = "codeclm_rubrics"
    engine: str = Field("strong", description="which engine writes the rubrics")
    temperature: float = Field(0.7, ge=0, le=2, description="appendix A.3")
    max_tokens: int = Field(1024, gt=0)

    consumes: ClassVar = Seed
    produces: ClassVar = (Note, Score)
    prompts: ClassVar = ("codeclm/rubrics",)

    async def __call__(self, row: Seed, strong: LLM) -> Sequence[Row]:
        """One reply holds both lists. Without any action after two tries, general ones stand in, and a score says so."""
        question = fill(prompt("codeclm/rubrics"), **_described(row))
        rubrics: tuple[str, ...] = ()
        actions: tuple[str, ...] = ()
        said = ""
        for attempt in range(TRIES):
            reply = await strong.chat([Turn("user", question)], _drawn(self), seed_of(row.seed, "rubrics", attempt))
            (rubrics, actions), said = parse.two_lists(reply.text), reply.error or reply.text
            if actions:
                break
        source = "model" if actions else "fallback"
        notes = [Note(row.id, "rubric", i, text) for i, text in enumerate(rubrics)]
        notes += [Note(row.id, "action", i, text) for i, text in enumerate(actions or FALLBACK_ACTIONS)]
        return [*notes, Score(row.id, "actions", float(len(actions)), source, strong.model, None if actions else said)]


class Decode(Step):
    """An equal number of basic instructions for every entry. No demonstrations, on purpose: the model would copy them."""

    method: Literal["codeclm_decode"] = "codeclm_decode"
    engine: str = Field("strong", description="which engine writes instructions")
    count: int = Field(10, ge=1, description="instructions to an entry; the paper writes 2000 over 200 entries")
    temperature: float = Field(0.7, ge=0, le=2, description="appendix A.3")
    max_tokens: int = Field(2048, gt=0)
    most_alike: float = Field(0.7, gt=0, le=1, description="ROUGE-L above which it is a copy")

    consumes: ClassVar = Seed
    produces: ClassVar = (Chat, Drop)
    prompts: ClassVar = ("codeclm/decode",)

    async def __call__(self, row: Seed, strong: LLM) -> Sequence[Row]:
        """Ask for the list; if it falls short, ask once more; then be content with fewer."""
        question = fill(prompt("codeclm/decode"), count=str(self.count), **_described(row))
        kept: list[str] = []
        made: list[Row] = []
        for attempt in range(TRIES):
            seed = seed_of(row.seed, "decode", attempt)
            reply = await strong.chat([Turn("user", question)], _drawn(self), seed)
            written = parse.numbered(reply.text)
            if reply.finish == "length":
                written = written[:-1]  # the last item of a cut-off list is a stump
            if not written:
                name = self.id_of(strong, row.id, row.seed, attempt)
                reason = "engine_error" if reply.finish == "error" else "no_list"
                made.append(Drop(name, "decode", reason, reply.error, reply.text))
            for text in written:
                if len(kept) == self.count:
                    break
                name = self.id_of(strong, row.id, row.seed, attempt, len(made))
                if any(parse.similarity(text, other) > self.most_alike for other in kept):
                    made.append(Drop(name, "decode", "copy", "too like another instruction of its entry", text))
                    continue
                kept.append(text)
                made.append(self._instruction(name, row, text, strong, seed))
            if len(kept) == self.count:
                break
        return made

    def _instruction(self, name: str, row: Seed, text: str, strong: LLM, seed: int) -> Chat:
        asked = [Turn("user", text)]
        sampling = _drawn(self).recorded(seed)
        return Chat(name, [row.id], asked, "codeclm", strong.model, strong.revision, sampling, "stop", 0, 0)


def _described(row: Seed) -> dict[str, str]:
    return {"use_case": named(row, "use_case")[0], "skills": ", ".join(named(row, "skill"))}


def _drawn(step: Encode | SelfRubrics | Decode) -> Decoding:
    return Decoding(temperature=step.temperature, max_tokens=step.max_tokens)
