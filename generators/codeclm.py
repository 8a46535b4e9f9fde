"""CodecLM's second half, Contrastive Filtering: keep what two models answer unequally well.

Wang et al., "CodecLM: Aligning Language Models with Tailored Synthetic Data", arXiv:2404.05875, section 4.3 with figure
11; what is not kept is made harder by one action of its metadata entry (figure 10) and tried again, at most four rounds
with the first (appendix A.3). Either side may win: the better answer is the one to train on, and the two scored answers
are a pair.

Where the paper is silent: answers are drawn at 0.7 and scores at 0; a gap of exactly theta is carried over; actions are
not used twice in one chain while others remain; an instruction still under theta in the last round is dropped. Guards of
ours: the winning answer must be complete, and so must the strong one if it lost (else its loss says nothing); a rewrite
that copies its parent or the action, is too long, or has left its use case by the encoder's word is thrown away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from ..schemas.digest import digest, seed_of
from ..schemas.llm import LLM, Decoding, Reply
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Answer, Chat, Drop, Note, Row, Score, Seed, Turn
from . import codeclm_parse as parse
from .codeclm_metadata import TRIES, named

GREEDY = Decoding(temperature=0.0, max_tokens=64)


@dataclass(frozen=True, slots=True)
class Duel:
    """Both answers to one instruction, with their scores averaged over the two orders of showing them."""

    instruction: str
    seed: int
    strong: Reply
    target: Reply
    score_strong: float
    score_target: float
    scored: str  # what the judge wrote, for a reader

    @property
    def gap(self) -> float:
        return self.score_strong - self.score_target


def assignments(instructions: Iterable[Chat], entries: Iterable[Seed], notes: Iterable[Note]) -> list[Seed]:
    """The rows that `Contrast` reads: each instruction with its entry's use case, skills and actions."""
    entry_of = {entry.id: entry for entry in entries}
    actions: dict[str, list[Turn]] = {}
    for note in notes:
        if note.kind == "action":
            actions.setdefault(note.about, []).append(Turn("action", note.text))
    rows = []
    for ordinal, chat in enumerate(instructions):
        entry = chat.parents[0]
        told = [*entry_of[entry].turns, *actions.get(entry, []), chat.turns[-1]]
        rows.append(Seed(chat.id, ordinal, seed_of(chat.id), told))
    return rows


class Contrast(Step):
    """Answer with both, score both orders, accept on a gap above theta, else improve and try again."""

    method: Literal["codeclm_contrast"] = "codeclm_contrast"
    strong: str = Field("strong", description="which engine answers as the teacher and rewrites")
    target: str = Field("target", description="which engine answers as the model to be trained")
    judge: str = Field("strong", description="which engine scores; the paper's is the strong one, which favours itself")
    theta: float = Field(3.0, ge=0, description="gap of the scores, 1 to 10, that must be exceeded; section 5.1")
    rounds: int = Field(4, ge=1, description="rounds, the basic instruction's being the first; appendix A.3")
    temperature: float = Field(0.7, ge=0, le=2, description="of answers and rewrites")
    max_tokens: int = Field(2048, gt=0, description="of an answer; appendix A.3")
    longest: int = Field(2000, gt=0, description="characters that a rewritten instruction may have")
    spare: bool = Field(False, description="hand out what stays under theta too, to fill a quota")
    drift_check: bool = Field(True, description="must the encoder find a rewrite's use case again?")

    consumes: ClassVar = Seed
    produces: ClassVar = (Chat, Answer, Score, Note, Drop)
    engines: ClassVar = ("strong", "target", "judge")
    prompts: ClassVar = ("codeclm/contrast", "codeclm/improve", "codeclm/encode")

    async def __call__(self, row: Seed, strong: LLM, target: LLM, judge: LLM) -> Sequence[Row]:
        """One instruction's way through at most `rounds` rounds."""
        instruction, trail = row.turns[-1].content, list[Row]()
        name = self._name(row, 1, strong, target, judge)
        actions = _shuffled(named(row, "action"), row.seed)
        for number in range(1, self.rounds + 1):
            duel = await self._duel(instruction, seed_of(row.seed, number), strong, target, judge)
            verdict = self._verdict(duel)
            trail += _trace(name, number, duel, verdict, judge)
            if verdict in ("strong", "target"):
                return [*trail, *self._accepted(name, row, duel, strong, target, judge)]
            if verdict != "carried":
                return [*trail, Drop(name, "contrast", verdict, duel.scored, instruction)]
            if number == self.rounds or not actions:
                break
            parent, name = name, self._name(row, number + 1, strong, target, judge)
            harder = await self._improve(name, row, instruction, actions, number, strong)
            if isinstance(harder, Drop):
                return [*trail, harder]
            instruction = harder
            trail.append(Note(name, "improved_from", 0, parent))
        if self.spare:
            return [*trail, *self._accepted(name, row, duel, strong, target, judge)]
        return [*trail, Drop(name, "contrast", "under_theta", f"gap {duel.gap:+.2f} after round {number}", instruction)]

    async def _duel(self, instruction: str, seed: int, strong: LLM, target: LLM, judge: LLM) -> Duel:
        asked, drawn = [Turn("user", instruction)], self._drawn()
        answer_s, answer_t = await asyncio.gather(
            strong.chat(asked, drawn, seed_of(seed, "strong")), target.chat(asked, drawn, seed_of(seed, "target"))
        )
        if "error" in (answer_s.finish, answer_t.finish):
            return Duel(instruction, seed, answer_s, answer_t, 0.0, 0.0, answer_s.error or answer_t.error)
        (s1, t1, said1), (t2, s2, said2) = await asyncio.gather(
            _scores(instruction, answer_s, answer_t, seed, judge), _scores(instruction, answer_t, answer_s, seed, judge)
        )
        return Duel(instruction, seed, answer_s, answer_t, (s1 + s2) / 2, (t1 + t2) / 2, f"{said1} | {said2}")

    def _verdict(self, duel: Duel) -> str:
        """Who won; `carried`; or why the instruction must go."""
        if "error" in (duel.strong.finish, duel.target.finish):
            return "engine_error"
        if abs(duel.gap) <= self.theta:
            return "carried"
        if not _whole(duel.strong):  # also when the target won: a stump that loses shows no strength of the target
            return "strong_broken"
        return "strong" if duel.gap > 0 else "target" if _whole(duel.target) else "target_cut_off"

    async def _improve(self, name: str, row: Seed, parent: str, actions: list[str], number: int, strong: LLM) -> str | Drop:
        """The instruction made harder by the next action; a rewrite that fails a guard is tried once more with another."""
        fault, text = "", ""
        for attempt in range(min(TRIES, len(actions))):
            action = actions.pop(0)
            actions.append(action)
            question = fill(prompt("codeclm/improve"), action=action, instruction=parent)
            seed = seed_of(row.seed, "improve", number, attempt)
            reply = await strong.chat([Turn("user", question)], self._drawn(), seed)
            text = reply.text.strip()
            fault = await self._fault(row, text, reply, parent, action, strong)
            if not fault:
                return text
        return Drop(name, "improve", fault, f"rewriting after round {number}", text)

    async def _fault(self, row: Seed, text: str, reply: Reply, parent: str, action: str, strong: LLM) -> str:
        if reply.finish == "error":
            return "engine_error"
        if not text:
            return "empty"
        if reply.finish == "length" or len(text) > self.longest:
            return "too_long"
        if parse.words(text) == parse.words(parent) or parse.similarity(text, parent) > 0.97:
            return "copy"
        if len(parse.words(action)) > 3 and " ".join(parse.words(action)) in " ".join(parse.words(text)):
            return "copies_action"
        if not self.drift_check:
            return ""
        question = fill(prompt("codeclm/encode"), instruction=text)
        found = parse.metadata((await strong.chat([Turn("user", question)], GREEDY, row.seed)).text)
        return "drifted" if found is None or parse.drifted(named(row, "use_case")[0], found.use_case) else ""

    def _accepted(self, name: str, row: Seed, duel: Duel, strong: LLM, target: LLM, judge: LLM) -> list[Row]:
        drawn, asked = self._drawn(), [Turn("user", duel.instruction)]
        written = (strong.model, strong.revision, drawn.recorded(None))  # the seed stands with the parent
        rows: list[Row] = [Chat(name, [row.id], asked, "codeclm", *written, "stop", 0, 0)]
        sides = (("strong", strong, duel.strong, duel.score_strong), ("target", target, duel.target, duel.score_target))
        for ordinal, (side, llm, reply, score) in enumerate(sides):
            answer = digest(name, side)
            how = drawn.recorded(seed_of(duel.seed, side))
            text = reply.text.strip()
            spent = (reply.finish, reply.tokens_in, reply.tokens_out)
            rows.append(Answer(answer, name, ordinal, text, f"codeclm_{side}", llm.model, llm.revision, how, *spent))
            rows.append(Score(answer, "contrast", score, side, judge.model, duel.scored))
        return rows

    def _name(self, row: Seed, number: int, strong: LLM, target: LLM, judge: LLM) -> str:
        others = (target.model, target.revision, judge.model, judge.revision)
        return self.id_of(strong, *others, row.id, number)

    def _drawn(self) -> Decoding:
        return Decoding(temperature=self.temperature, max_tokens=self.max_tokens)


async def _scores(instruction: str, first: Reply, second: Reply, seed: int, judge: LLM) -> tuple[float, float, str]:
    """The scores of two answers shown in this order. Without any, after a second try, both are equal: no gap, carry on."""
    shown = {"instruction": instruction, "response_a": first.text.strip(), "response_b": second.text.strip()}
    question = fill(prompt("codeclm/contrast"), **shown)
    said = ""
    for decoding in (GREEDY, Decoding(temperature=0.7, max_tokens=64)):  # at 0 a second try would repeat the first
        reply = await judge.chat([Turn("user", question)], decoding, seed_of(seed, "scores"))
        said = reply.error or reply.text.strip()
        scores = parse.two_scores(reply.text)
        if scores is not None:
            return *scores, said
    return 1.0, 1.0, f"no scores in {said[:80]!r}"


def _trace(name: str, number: int, duel: Duel, verdict: str, judge: LLM) -> list[Row]:
    return [
        Score(name, "gap", duel.gap, verdict, judge.model, duel.scored),
        Score(name, "round", float(number), None, judge.model, None),
    ]


def acceptance(scores: pl.DataFrame) -> pl.DataFrame:
    """From the scores of `Contrast`: for each round, how many were tried, and how many the strong or the target answer won."""
    tries = scores.filter(name="gap").join(scores.filter(name="round").select("about", round="value"), on="about")
    won = pl.col("label").is_in(["strong", "target"])
    return (
        tries.group_by(pl.col("round").cast(pl.Int64))
        .agg(
            tried=pl.len(),
            strong=(pl.col("label") == "strong").sum(),
            target=(pl.col("label") == "target").sum(),
            carried=(pl.col("label") == "carried").sum(),
            accepted_share=won.mean(),
            gap_mean=pl.col("value").mean(),
        )
        .sort("round")
    )


def _shuffled(actions: list[str], seed: int) -> list[str]:
    return random.Random(seed_of(seed, "actions")).sample(actions, len(actions))


def _whole(reply: Reply) -> bool:
    return reply.finish == "stop" and bool(reply.text.strip())
