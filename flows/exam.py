"""Exams: held-out questions and who marks them, named in a recipe as `package.module:name`, and what a mean mark is worth.

An exam is any object with `questions()` and `grade(question, reply)`, or a module with two functions of these names. Questions
must not be trained on: who generates instructions drops those that are questions.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from ..schemas.errors import PlainError


class Exam(Protocol):
    """What an evaluation hook has to offer."""

    def questions(self) -> Sequence[str]:
        """The questions, the same at every call."""
        ...

    def grade(self, question: str, reply: str) -> float:
        """The mark of a reply, higher is better; 1 for right and 0 for wrong, where there is a truth."""
        ...


class ExamError(PlainError, ValueError):
    """An exam that cannot be used. The message says what was named and what is missing."""


def load_exam(path: str) -> Exam:
    """The exam of that import path; modules beside the working folder are found too.

    Raises:
        ExamError: if there is no such object, or it is no exam.
    """
    module, colon, name = path.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
        exam = getattr(found, name) if colon else found
    except (ImportError, AttributeError) as error:
        raise ExamError(
            f"evaluate: no exam {path!r} ({error}); expected package.module:name of something importable"
        ) from error
    if missing := [method for method in ("questions", "grade") if not callable(getattr(exam, method, None))]:
        raise ExamError(
            f"evaluate: {path!r} has no {' and no '.join(missing)}; an exam has questions() and grade(question, reply)"
        )
    if not exam.questions():
        raise ExamError(f"evaluate: {path!r} asks no questions")
    return cast(Exam, exam)


def interval(values_N: np.ndarray, seed: int = 0, resamples: int = 2000) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of the mean (Efron 1979)."""
    drawn_RN = np.random.default_rng(seed).integers(0, len(values_N), size=(resamples, len(values_N)))
    low, high = np.quantile(values_N[drawn_RN].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
