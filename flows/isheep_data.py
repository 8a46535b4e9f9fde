"""One iteration of I-SHEEP, up to what it keeps: instruct, sort out, answer, rules, self-assessment, threshold (arXiv:2408.08072, algorithm 1).

`instruct` is repeated, with other seeds shown, until enough instructions are accepted or `most_rounds` are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import polars as pl

from ..filters.assessment import kept
from ..filters.isheep_rules import answer_rules, instruction_rules
from ..filters.rules import partition
from ..generators.isheep import Task, draws, joined, with_system
from ..schemas.digest import digest
from ..schemas.tables import Answer, Chat, Score, Seed, frame, rows
from ..selectors.duplicates import normal
from ..selectors.rouge import rouge_l
from .answers import answered
from .made import as_drops
from .methods import ISheep
from .stage import Line, code_of, content

CALL = 100  # instructions that a call of the reference accepts before it forgets them
ASKED, SAID = pl.col("turns").list.get(0).struct.field("content"), pl.col("turns").list.last().struct.field("content")
INSTRUCTION, GIVEN = ASKED.str.split("\n").list.first(), ASKED.str.replace(r"^[^\n]*\n?", "")


@dataclass(frozen=True, slots=True)
class Data:
    """What an iteration kept: prompts, one answer to each, and a score to each answer (the mean of its marks)."""

    prompts: pl.DataFrame
    answers: pl.DataFrame
    scores: pl.DataFrame

    @classmethod
    def together(cls, parts: Sequence[Data]) -> Data:
        """The data of several iterations."""
        return cls(*(pl.concat([getattr(part, name) for part in parts]) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows got how far, and the mean marks of those that were marked."""

    instructions: int
    answered: int
    passed_rules: int
    kept: int
    quality: float | None
    following: float | None


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes an iteration's data, and what it may not repeat."""

    number: int  # of the iteration, from 1
    engine: str
    tuned: bool  # answers through its chat template, where the base model continues raw text
    seeds: Sequence[Task]
    questions: Sequence[str]  # of the exam
    earlier: Sequence[str]  # instructions with their inputs of earlier iterations, if these count


def written(method: ISheep, line: Line, writer: Writer, wanted: int) -> tuple[Data, Counts]:
    """An iteration's data."""
    number = writer.number
    prompts = _instructions(method, line, writer, wanted)
    respond = method.respond.model_copy(
        update={"engine": writer.engine, "form": "chat" if writer.tuned else "raw", "system": method.system}
    )
    answers = line.spread(f"answer-{number}", respond, prompts)[Answer]
    said = answered(prompts, answers)

    def pass_rules(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        good, broken = partition(table, *answer_rules(method.answer_rules, INSTRUCTION, GIVEN, SAID))
        return good, as_drops("rules", broken.with_columns(detail=pl.lit("")))

    told = {"rules": list(method.answer_rules), "code": code_of(answer_rules)}
    ruled = line.sieve(f"rules-{number}", Chat, said, told, pass_rules)
    marks, chosen = _assessed(method, line, writer, ruled)
    data = _data(method, prompts, answers, marks, chosen)
    quality, following = (_mean(marks, name) for name in ("quality", "following"))
    return data, Counts(prompts.height, answers.height, ruled.height, chosen.height, quality, following)


def _mean(marks: pl.DataFrame, name: str) -> float | None:
    values = marks.filter((pl.col("name") == name) & pl.col("value").is_finite())["value"].to_list()
    return sum(values) / len(values) if values else None


def _instructions(method: ISheep, line: Line, writer: Writer, wanted: int) -> pl.DataFrame:
    """As many accepted instructions as wanted, or what `most_rounds` give."""
    step = method.instruct.model_copy(update={"engine": writer.engine})
    accepted, asked, calls = frame(Chat, []), 0, ceil(wanted / step.tasks)
    for turn in range(1, method.most_rounds + 1):
        place = f"{writer.number}-{turn}"
        drawn = frame(Seed, draws(writer.seeds, calls, line.recipe.seed, writer.number, turn))
        made = line.spread(f"instruct-{place}", step, drawn)[Chat]
        accepted = pl.concat([accepted, _sorted_out(method, line, writer, place, made, accepted, wanted - accepted.height)])
        asked += calls
        if accepted.height >= wanted or accepted.is_empty():
            break
        calls = ceil((wanted - accepted.height) * asked / accepted.height)
    return accepted


def _sorted_out(
    method: ISheep, line: Line, writer: Writer, place: str, made: pl.DataFrame, accepted: pl.DataFrame, room: int
) -> pl.DataFrame:
    """The instructions that break no rule and repeat none before them, as many as there is room for."""
    call = method.alike_within == "call"
    before = [] if call else [*writer.earlier, *accepted.select(ASKED).to_series().to_list()]
    seeds = [joined(task) for task in writer.seeds]

    def sieve(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        fine, broken = partition(table, *instruction_rules(method.instruction_rules, INSTRUCTION, GIVEN))
        dropped = [broken.with_columns(detail=pl.lit(""))]
        for name, known in (("exam_question", writer.questions), ("copy", [*seeds, *before])):
            key, repeats = normal(ASKED), _normal(known)
            again = key.is_in(repeats) if call or name != "copy" else key.is_in(repeats) | ~key.is_first_distinct()
            dropped.append(fine.filter(again).with_columns(reason=pl.lit(name), detail=pl.lit("")))
            fine = fine.filter(~again)
        known_first = pl.Series([text.split("\n")[0] for text in (*seeds, *before)], dtype=pl.String)
        found = rouge_l(
            fine.select(INSTRUCTION).to_series(),
            similarity=method.most_alike,
            published=known_first,
            forget_after=CALL if call else None,
        )
        told = pl.Series([f"ROUGE-L {value:.3f}" for value in found.similarity_N])
        alike = fine.with_columns(reason=pl.lit("alike"), detail=told).filter(pl.Series(~found.kept_N))
        fresh = fine.filter(pl.Series(found.kept_N))
        over = fresh.slice(room).with_columns(reason=pl.lit("over_quota"), detail=pl.lit(""))
        return fresh.head(room), as_drops("sort_out", pl.concat([*dropped, alike, over]))

    told = {
        "rules": list(method.instruction_rules),
        "code": code_of(instruction_rules),
        "most_alike": method.most_alike,
        "within": method.alike_within,
        "known": digest([*seeds, *before], list(writer.questions)),
        "room": room,
    }
    return line.sieve(f"sort-out-{place}", Chat, made, told, sieve)


def _assessed(method: ISheep, line: Line, writer: Writer, ruled: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The marks, and the conversations that are kept by them; all where there is no self-assessment."""
    if method.assess is None:
        return frame(Score, []), ruled
    evaluator = method.train.engine if method.evaluator == "base" else writer.engine
    step = method.assess.model_copy(update={"engine": evaluator})
    marks = line.spread(f"assess-{writer.number}", step, ruled)[Score]

    def keep(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        good, bad = kept(table, marks, method.above, step.criteria)
        if method.keep == "random":
            order = sorted(table["id"], key=lambda name: digest(line.recipe.seed, "random", name))
            drawn = pl.col("id").is_in(order[: good.height])
            good, bad = table.filter(drawn), table.filter(~drawn).with_columns(reason=pl.lit("not_drawn"), detail=pl.lit(""))
        return good, as_drops("keep", bad)

    told = {"above": method.above, "keep": method.keep, "criteria": list(step.criteria), "marks": content(marks)}
    return marks, line.sieve(f"keep-{writer.number}", Chat, ruled, told, keep)


def _data(method: ISheep, prompts: pl.DataFrame, answers: pl.DataFrame, marks: pl.DataFrame, chosen: pl.DataFrame) -> Data:
    ids, asked = chosen["id"].to_list(), chosen["parents"].list.first().to_list()
    means = dict(marks.drop_nulls("value").group_by("about").agg(pl.col("value").mean()).iter_rows())
    judge = marks["judge"][0] if marks.height else "none"
    under_system = [
        Chat(**{**{name: getattr(chat, name) for name in chat.__slots__}, "turns": with_system(method.system, chat.turns)})
        for chat in rows(Chat, prompts.filter(pl.col("id").is_in(asked)))
    ]
    scores = (Score(name, "isheep", means.get(name, 0.0), None, judge, None) for name in ids)
    return Data(frame(Chat, under_system), answers.filter(pl.col("id").is_in(ids)), frame(Score, scores))


def _normal(texts: Sequence[str]) -> list[str]:
    return pl.select(normal(pl.lit(pl.Series(list(texts), dtype=pl.String)))).to_series().to_list()
