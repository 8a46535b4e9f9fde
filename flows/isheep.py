"""I-SHEEP, the loop: a base model writes its data, is trained on what it kept of them, and writes better data (arXiv:2408.08072, algorithm 1).

In the paper's setting (One_base) the data of an iteration train the *base* model, never the tuned one that wrote them. An exam, if
the recipe names one, is sat by every model; when `patience` iterations in a row are no better than the best before them, the loop
ends. A training that fails ends it too: the models before it stand, `model` in the run's folder points to the best of them, and the
dataset is what that one was trained on. `iterations.json` holds the table that Prefect and the report show.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from ..generators.isheep import EXAMPLES, Task, seed_task
from ..schemas.digest import digest, seed_of
from ..schemas.tables import Answer, Chat, Drop, Sampling, Score, Seed, Turn, frame, rows
from . import export
from .durable import write
from .engines.spec import VllmSpec
from .exam import Exam, interval, load_exam
from .isheep_data import Counts, Data, Writer, written
from .made import Made, take
from .methods import ISheep
from .progress import told_as_table
from .readers import Record, SourceError, records
from .stage import Line
from .training.spec import TrainingError
from .training.stage import Model, trainable, trained


@dataclass(frozen=True, slots=True)
class Iteration:
    """One line of the table. Iteration 0 is the base model; in the others, `model` was trained on the `lessons` kept."""

    iteration: int
    model: str
    counts: Counts | None = None
    lessons: int | None = None
    loss: float | None = None  # at the end of training
    loss_held_out: float | None = None
    exam: float | None = None  # mean mark
    exam_low: float | None = None  # of its 95% bootstrap interval
    exam_high: float | None = None

    def flat(self) -> dict[str, object]:
        """The line with its counts in it, and the share that was kept."""
        told = asdict(self)
        counts = told.pop("counts") or {}
        share = {"kept_share": round(counts["kept"] / max(1, counts["instructions"]), 4)} if counts else {}
        return {"iteration": told.pop("iteration"), "model": told.pop("model"), **counts, **share, **told}


def make(method: ISheep, line: Line) -> Made:
    """Run the loop; the dataset is what the best model was trained on."""
    base = trainable(method.train.engine, line.recipe.engines[method.train.engine])
    exam = None if method.evaluate is None else load_exam(method.evaluate)
    loop = _Loop(method, line, base, exam, _seeds(method, line))
    loop.examine()
    rounds = 1 if method.setting == "direct" else method.iterations
    for number in range(1, rounds + 1):
        try:
            loop.iterate(number)
        except TrainingError as error:
            loop.stopped = f"iteration {number} stopped: {error}"
            loop.tell()
            if number == 1:
                raise
            break
        if loop.no_better():
            loop.stopped = f"no better exam in {method.patience} iterations"
            break
    return loop.finish()


@dataclass(slots=True)
class _Loop:
    """What the iterations hand to one another."""

    method: ISheep
    line: Line
    base: VllmSpec
    exam: Exam | None
    seeds: list[Task]
    engines: list[str] = field(default_factory=list)  # by iteration; the first is the base model's
    models: list[Model] = field(default_factory=list)
    data: list[Data] = field(default_factory=list)
    table: list[Iteration] = field(default_factory=list)
    stopped: str = ""

    def __post_init__(self) -> None:
        self.engines.append(self.method.train.engine)
        self.table.append(Iteration(0, self.base.name))

    def iterate(self, number: int) -> None:
        """Write, train, sit the exam."""
        earlier = [text for data in self.data for text in _asked(data)] if self.method.alike_within == "run" else []
        questions = self.exam.questions() if self.exam else ()
        writer = Writer(number, self.engines[-1], number > 1, self.seeds, questions, earlier)
        many = self.method.iterations if self.method.setting == "direct" else 1
        data, counts = written(self.method, self.line, writer, many * self.method.rows)
        self.data.append(data)
        start, lessons = self.lessons()
        table, _ = export.sft(lessons.prompts, lessons.answers, lessons.scores)
        if table.is_empty():
            raise TrainingError(
                f"no row was kept of {counts.instructions}: see stages/*/dropped; lower `above`, or raise `rows`"
            )
        called = f"{Path(self.base.name).name}-isheep-{number}"
        model = trained(self.line, f"train-{number}", self.method.train, start, table, called)
        self.models.append(model)
        self.engines.append(f"{self.method.train.engine}-{number}")
        self.line.fleet.enlist(self.engines[-1], model.successor(self.base))
        ends = [loss for _, loss in model.told.losses[-1:]]
        self.table.append(Iteration(number, called, counts, table.height, ends[0] if ends else None, model.told.best_held_out))
        self.examine()

    def lessons(self) -> tuple[VllmSpec, Data]:
        """Which model is trained next, and on what (section 4.5)."""
        match self.method.setting:
            case "one_last" if self.models:
                return self.models[-1].successor(self.base), self.data[-1]
            case "total_base":
                return self.base, Data.together(self.data)
            case _:
                return self.base, self.data[-1]

    def examine(self) -> None:
        """Let the newest model sit the exam, and tell how things stand."""
        if self.exam is not None:
            number, questions = len(self.models), list(self.exam.questions())
            respond = self.method.respond.model_copy(
                update={"engine": self.engines[-1], "temperature": 0.0, "form": "chat" if number else "raw"}
                | {"system": self.method.system}
            )
            chats = [_question(text) for text in questions]
            said = {
                a.prompt: a.text for a in rows(Answer, self.line.spread(f"exam-{number}", respond, frame(Chat, chats))[Answer])
            }
            marks = [self.exam.grade(q, said[c.id]) if c.id in said else 0.0 for q, c in zip(questions, chats, strict=True)]
            judge = str(self.method.evaluate)
            graded = (Score(c.id, "exam", float(m), None, judge, None) for c, m in zip(chats, marks, strict=True))
            take(self.line, f"graded-{number}", Score, graded)
            marks_N = np.asarray(marks, dtype=np.float64)
            low, high = interval(marks_N, seed_of(self.line.recipe.seed, "interval") % 2**32)
            self.table[-1] = replace(self.table[-1], exam=float(marks_N.mean()), exam_low=low, exam_high=high)
        self.tell()

    @property
    def best(self) -> int:
        """The iteration with the best exam, the earliest of equals; without an exam the last."""
        trained_ones = self.table[1:]
        if not trained_ones or self.exam is None:
            return len(self.models)
        return max(trained_ones, key=lambda one: one.exam or 0.0).iteration

    def no_better(self) -> bool:
        """Whether `patience` iterations have passed without a better exam; the base model's counts."""
        if self.exam is None:
            return False
        marks = [one.exam or 0.0 for one in self.table]
        return len(marks) - 1 - marks.index(max(marks)) >= self.method.patience

    def tell(self) -> None:
        """Write the table down, show it, and point `model` to the best one."""
        told = [one.flat() for one in self.table]
        report = {"best": self.best, "setting": self.method.setting, "stopped": self.stopped, "iterations": told}
        write(self.line.folder.path / "iterations.json", json.dumps(report, indent=2).encode())
        self.line.console.print("isheep: " + (self.stopped or _said(self.table[-1])))
        told_as_table(told, "iterations", "I-SHEEP, iteration by iteration")
        if self.models:
            point(self.line.folder.path / "model", self.models[self.best - 1].folder)

    def finish(self) -> Made:
        """The data that the best model was trained on."""
        self.tell()
        upto = self.data[: self.best]
        data = Data.together(upto) if self.method.setting == "total_base" else upto[-1]
        return Made(data.prompts, data.answers, data.scores)


def point(link: Path, folder: Path) -> None:
    """Have a link point to a folder, from one moment to the next."""
    aside = link.with_name(f".{link.name}.tmp")
    aside.unlink(missing_ok=True)
    aside.symlink_to(os.path.relpath(folder, link.parent.resolve()))
    aside.rename(link)


def _seeds(method: ISheep, line: Line) -> list[Task]:
    """The seed tasks; what cannot be read stands among the stage's dropped rows.

    Raises:
        SourceError: if there are fewer than a prompt shows.
    """
    read: list[Seed | Drop] = []
    tasks: list[Task] = []
    for ordinal, record in enumerate(records(method.seeds)):
        task = seed_task(record.value) if isinstance(record, Record) and isinstance(record.value, dict) else None
        name = digest("isheep seed", ordinal, repr(task))
        if isinstance(record, Drop):
            read.append(record)
        elif task is None:
            read.append(Drop(name, "read", "no_instruction", f"{record.place}: no `instruction`", repr(record.value)[:1000]))
        else:
            tasks.append(task)
            read.append(Seed(name, ordinal, 0, [Turn("instruction", task[0]), Turn("input", task[1])]))
    take(line, "seeds", Seed, read)
    if len(tasks) < EXAMPLES:
        raise SourceError(f"{method.seeds} holds {len(tasks)} tasks; a prompt shows {EXAMPLES}: give at least that many")
    return tasks


def _question(text: str) -> Chat:
    return Chat(digest("exam", text), [], [Turn("user", text)], "exam", "", "", Sampling(0.0, 1.0, 0, None), "stop", 0, 0)


def _asked(data: Data) -> Iterator[str]:
    return (chat.turns[-1].content for chat in rows(Chat, data.prompts))


def _said(one: Iteration) -> str:
    parts = [f"iteration {one.iteration}, {one.model}"]
    if one.counts is not None:
        parts.append(f"{one.counts.kept} of {one.counts.instructions} instructions kept")
    if one.exam is not None:
        parts.append(f"exam {one.exam:.3f} [{one.exam_low:.3f}, {one.exam_high:.3f}]")
    return "; ".join(parts)
