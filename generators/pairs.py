"""Preference pairs from scored candidates: which answer against which.

Magpie-DPO (arXiv:2406.08464, section 2.3) pairs argmax with argmin; the reward-augmented recipe (arXiv:2410.08067) best with
a random other, as Zephyr does; Tülu 3 (arXiv:2411.15124, section 5) asks for one side of the policy's own. Departures, all of
them after defects read in released pipelines: a pair needs a margin above zero; a tie, a missing score, NaN or infinity makes
no pair; two answers that read the same, or say nothing, are never paired. Rows are joined by id, never by position, ties go by
id, and chance hangs on ids: the pairs do not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ..schemas.digest import digest, seed_of
from ..schemas.tables import Answer, Drop, Preference, Score, conform, frame


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer with its score."""

    id: str
    text: str
    model: str
    score: float


@dataclass(frozen=True, slots=True)
class Duel:
    """Two answers to one prompt, in order of merit."""

    better: Judged
    worse: Judged

    @property
    def margin(self) -> float:
        return self.better.score - self.worse.score


class Pairing(BaseModel):
    """What the ways to pair have in common: which duels are legal, and where the rest goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    min_margin: float = Field(0.0, ge=0, description="score difference that a pair must exceed")
    max_margin: float | None = Field(None, gt=0, description="and may reach: a low one leaves the hard pairs only")

    def __call__(self, answers: pl.DataFrame, scores: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Tables of `Answer` and `Score` -> tables of `Preference` and of `Drop` (prompts without a pair, and why).

        Raises:
            ValueError: if an answer has two scores, or stands in the table twice.
        """
        pairs: list[Preference] = []
        drops: list[Drop] = []
        for prompt, judged, answered in _by_prompt(answers, scores):
            if len(judged) < 2:
                reason = "missing_scores" if answered >= 2 else "too_few_answers"
                drops.append(Drop(prompt, "pair", reason, f"{len(judged)} of {answered} answers have a score", ""))
                continue
            faults = [(duel, self._fault(duel)) for duel in self.duels(prompt, judged)]
            if legal := [duel for duel, fault in faults if fault is None]:
                pairs.extend(self._preference(prompt, duel) for duel in self.pick(prompt, legal))
            else:
                first = next((fault for _, fault in faults if fault), ("no_such_pair", f"{self.method} finds none"))
                drops.append(Drop(prompt, "pair", *first, judged[0].text))
        return frame(Preference, pairs), frame(Drop, drops)

    def duels(self, prompt: str, judged: Sequence[Judged]) -> list[Duel]:
        """The duels that this way considers; `judged` is best first."""
        return [Duel(a, b) for i, a in enumerate(judged) for b in judged[i + 1 :]]

    def pick(self, prompt: str, legal: Sequence[Duel]) -> Sequence[Duel]:
        """Those that it keeps, out of the legal ones: the widest margin."""
        return sorted(legal, key=lambda duel: (-duel.margin, duel.better.id, duel.worse.id))[:1]

    def _fault(self, duel: Duel) -> tuple[str, str] | None:
        if not (isfinite(duel.margin) and duel.margin > self.min_margin):
            return "small_margin", f"{duel.margin:.4g} is not above {self.min_margin}"
        if self.max_margin is not None and duel.margin > self.max_margin:
            return "wide_margin", f"{duel.margin:.4g} is above {self.max_margin}"
        if not (duel.better.text.strip() and duel.worse.text.strip()):
            return "empty", "one of the two answers says nothing"
        if duel.better.text.strip() == duel.worse.text.strip():
            return "same_text", "both answers are the same text"
        return None

    def _preference(self, prompt: str, duel: Duel) -> Preference:
        return Preference(
            id=digest(prompt, duel.better.id, duel.worse.id),
            prompt=prompt,
            chosen=duel.better.id,
            rejected=duel.worse.id,
            score_chosen=duel.better.score,
            score_rejected=duel.worse.score,
            score_margin=duel.margin,
            source=self.method,
        )


class BestWorst(Pairing):
    """The best of a prompt's answers against the worst."""

    method: Literal["best_worst"] = "best_worst"

    def duels(self, prompt: str, judged: Sequence[Judged]) -> list[Duel]:
        """One: first against last."""
        return [Duel(judged[0], judged[-1])]


class BestRandom(Pairing):
    """The best answer against any other below it, all equally likely."""

    method: Literal["best_random"] = "best_random"
    seed: int = 0

    def duels(self, prompt: str, judged: Sequence[Judged]) -> list[Duel]:
        """The best against each other."""
        return [Duel(judged[0], other) for other in judged[1:]]

    def pick(self, prompt: str, legal: Sequence[Duel]) -> Sequence[Duel]:
        """The one whose digest is smallest: a uniform draw that no order of rows can change."""
        return [min(legal, key=lambda duel: seed_of(self.seed, prompt, duel.worse.id))]


class AllPairs(Pairing):
    """Every pair above the margin, or the clearest or hardest few of each prompt."""

    method: Literal["all_pairs"] = "all_pairs"
    per_prompt: int | None = Field(None, ge=1, description="at most so many pairs of a prompt; default: all")
    prefer: Literal["clear", "hard"] = Field("clear", description="which to keep: the widest margins or the narrowest")

    def pick(self, prompt: str, legal: Sequence[Duel]) -> Sequence[Duel]:
        """In order of preference, ties by id."""
        sign = -1 if self.prefer == "clear" else 1
        return sorted(legal, key=lambda duel: (sign * duel.margin, duel.better.id, duel.worse.id))[: self.per_prompt]


class ByPolicy(Pairing):
    """The widest margin between answers of which the policy wrote both, one, a given side, or none."""

    method: Literal["by_policy"] = "by_policy"
    policy: str = Field(description="model to be trained, as it stands in the answers' column `model`")
    wrote: Literal["both", "one", "chosen", "rejected", "none"] = Field("one", description="sides that it wrote itself")

    def duels(self, prompt: str, judged: Sequence[Judged]) -> list[Duel]:
        """Those in which the policy wrote what it has to have written."""
        wanted = {
            "both": {(True, True)},
            "one": {(True, False), (False, True)},
            "chosen": {(True, False)},
            "rejected": {(False, True)},
            "none": {(False, False)},
        }[self.wrote]
        wrote = {a.id: a.model == self.policy for a in judged}
        return [d for d in super().duels(prompt, judged) if (wrote[d.better.id], wrote[d.worse.id]) in wanted]


class LengthMatched(Pairing):
    """The widest margin between answers of about the same length, so that length teaches nothing."""

    method: Literal["length_matched"] = "length_matched"
    most_ratio: float = Field(1.2, ge=1, description="longer over shorter answer, characters")

    def duels(self, prompt: str, judged: Sequence[Judged]) -> list[Duel]:
        """Those of about equal length."""
        found = super().duels(prompt, judged)
        return [d for d in found if _ratio(len(d.better.text), len(d.worse.text)) <= self.most_ratio]


AnyPairing = Annotated[BestWorst | BestRandom | AllPairs | ByPolicy | LengthMatched, Field(discriminator="method")]


def _ratio(a: int, b: int) -> float:
    return max(a, b, 1) / max(min(a, b), 1)


def _by_prompt(answers: pl.DataFrame, scores: pl.DataFrame) -> Iterator[tuple[str, list[Judged], int]]:
    """Prompt, its answers with a finite score from best to worst, and how many answers it has in all."""
    conform(Answer, answers)
    conform(Score, scores)
    finite = scores.filter(pl.col("value").is_finite()).select(id="about", score="value")
    for what, ids in (
        ("two scores; hand over the scores of one judge only", finite["id"]),
        ("two rows", answers["id"]),
    ):
        if ids.is_duplicated().any():
            raise ValueError(f"answer {ids.filter(ids.is_duplicated())[0]} has {what}")
    table = answers.select("id", "prompt", "text", "model").join(finite, on="id", how="left", maintain_order="left")
    groups: dict[str, list[Judged | None]] = {}
    for name, prompt, text, model, score in table.iter_rows():
        groups.setdefault(prompt, []).append(None if score is None or text is None else Judged(name, text, model, score))
    for prompt, members in groups.items():
        judged = [member for member in members if member is not None]
        yield prompt, sorted(judged, key=lambda a: (-a.score, a.id)), len(members)
