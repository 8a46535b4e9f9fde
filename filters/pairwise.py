"""A judge that compares two answers, asked in both orders, by the probabilities of its verdict.

Zheng et al. (arXiv:2306.05685, section 3.4) show that a judge prefers a place and ask twice, calling a flipped verdict a tie.
Here the verdict is not sampled: P(A) and P(B) at the first token are read in both orders and averaged, so a leaning towards a
place cancels out and nothing is thrown away; the flip stays as a score of its own. Length control is AlpacaEval 2's
(arXiv:2404.04475, equation 2) without its instruction term: a logistic fit of the verdicts on the difference in length, of which
the length part is then taken away. With `answers_first` the judge answers the request itself before, as `filters.judge` tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from ..schemas.digest import digest
from ..schemas.llm import LLM
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Answer, Chat, Match, Row, Score, Turn, conform, frame, rows, text_of
from .judge import own_answer

SURE = 1e-6  # probabilities are kept this far from 0 and 1 where their logarithm is taken


class Pairwise(Step):
    """Which of two answers is better: `pairwise` is the probability that the first is, free of the order's sway."""

    method: Literal["pairwise"] = "pairwise"
    engine: str = Field("main", description="which engine judges")
    least_mass: float = Field(0.05, ge=0, le=1, description="probability that A and B must hold together, else no verdict")
    answers_first: bool = Field(False, description="answer the request greedily before judging, with that answer in view")
    max_tokens: int = Field(512, gt=0, description="of the judge's own answer")

    consumes: ClassVar = Match
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("judge/pairwise", "judge/pairwise_after")

    async def __call__(self, row: Match, llm: LLM) -> Sequence[Row]:
        """Ask with the first answer as A, and with the first answer as B."""
        orders = ((row.first_text, row.second_text), (row.second_text, row.first_text))
        if self.answers_first:
            own = await own_answer(row.turns, llm, self.max_tokens)
            if own.finish == "error":
                return [Score(row.id, self.method, None, None, llm.model, own.error)]
            before = [*row.turns, Turn("assistant", own.text)]
            questions = [fill(prompt("judge/pairwise_after"), response_a=a, response_b=b) for a, b in orders]
        else:
            before, asked = [], row.turns[-1].content if len(row.turns) == 1 else text_of(row.turns)
            questions = [fill(prompt("judge/pairwise"), instruction=asked, response_a=a, response_b=b) for a, b in orders]
        there, back = await asyncio.gather(*(llm.choose([*before, Turn("user", text)], ("A", "B")) for text in questions))

        for choice in (there, back):
            if choice.finish == "error":
                return [Score(row.id, self.method, None, None, llm.model, choice.error)]
            if choice.mass < self.least_mass:
                why = f"only {choice.mass:.3f} of the probability is on A and B"
                return [Score(row.id, self.method, None, None, llm.model, why)]
        first, second = there.probabilities["A"], back.probabilities["B"]
        flipped = (first - 0.5) * (second - 0.5) < 0
        return [
            Score(row.id, self.method, (first + second) / 2, "flipped" if flipped else "agreed", llm.model, None),
            Score(row.id, "pairwise_as_a", first, None, llm.model, None),
            Score(row.id, "pairwise_as_b", second, None, llm.model, None),
        ]


def matches(chats: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Every answer of a prompt against every other, once, in the order of their ids. Answers that read the same do not meet."""
    asked = {chat.id: chat for chat in rows(Chat, chats)}
    groups: dict[str, list[Answer]] = {}
    for answer in rows(Answer, answers):
        groups.setdefault(answer.prompt, []).append(answer)
    return frame(
        Match,
        (
            Match(digest(prompt, a.id, b.id), asked[prompt].turns, a.id, b.id, a.text, b.text)
            for prompt, group in groups.items()
            for a, b in combinations(sorted(group, key=lambda answer: answer.id), 2)
            if a.text.strip() != b.text.strip()
        ),
    )


def win_rates(met: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Each answer's mean probability of winning its matches: tables of `Match` and `Score` -> a table of `Score`.

    An answer without a single verdict has no row; to a pairing it is an answer without a score.
    """
    conform(Match, met)
    verdicts = _verdicts(met, scores)
    sides = pl.concat(
        [
            verdicts.select(pl.col("first").alias("about"), "judge", share=pl.col("value")),
            verdicts.select(pl.col("second").alias("about"), "judge", share=1 - pl.col("value")),
        ]
    )
    mean = sides.group_by("about", "judge", maintain_order=True).agg(value=pl.col("share").mean())
    empty = pl.lit(None, dtype=pl.String)
    named = mean.with_columns(name=pl.lit("win_rate"), label=empty, reason=empty)
    return conform(Score, named.select("about", "name", "value", "label", "judge", "reason"))


def order_report(scores: pl.DataFrame) -> dict[str, float]:
    """How far the two orders agree: what a card prints of a judge that compares."""
    both = scores.filter(pl.col("name") == "pairwise")
    told = both.drop_nulls("value")
    sides = {name: scores.filter(pl.col("name") == f"pairwise_{name}")["value"] for name in ("as_a", "as_b")}
    gap = (sides["as_a"] - sides["as_b"]).mean()
    return {
        "matches": float(both.height),
        "no_verdict_share": _share(both["value"].is_null()),
        "flip_rate": _share(told["label"] == "flipped"),
        "order_agreement": _share(told["label"] == "agreed"),
        "favour_of_place_a": float(gap) / 2 if isinstance(gap, float) else float("nan"),
    }


def length_controlled(met: pl.DataFrame, scores: pl.DataFrame, ridge: float = 1e-3) -> tuple[pl.DataFrame, float]:
    """The verdicts with what length alone explains taken away, and the weight of length (in log-odds for each deviation).

    logit P(first) = quality + weight * tanh(difference of lengths / its deviation). `weight` is fitted over all matches; a
    match's own quality is what is left of its log-odds.
    """
    verdicts = _verdicts(met, scores)
    longer_N = (verdicts["first_text"].str.len_chars().cast(pl.Float64) - verdicts["second_text"].str.len_chars()).to_numpy()
    odds_N = verdicts["value"].clip(SURE, 1 - SURE).to_numpy()
    feature_N = np.tanh(longer_N / (longer_N.std() or 1.0))
    weight = _slope(feature_N, odds_N, ridge)
    left_N = np.log(odds_N / (1 - odds_N)) - weight * feature_N
    freed = verdicts.with_columns(value=pl.Series(1 / (1 + np.exp(-left_N))), name=pl.lit("pairwise"))
    return conform(Score, freed.select("about", "name", "value", "label", "judge", "reason")), weight


def _slope(feature_N: np.ndarray, share_N: np.ndarray, ridge: float) -> float:
    """Newton's method for a logistic fit of shares on one feature without intercept: both orders were asked, so A has none."""
    weight = 0.0
    for _ in range(50):
        fitted_N = 1 / (1 + np.exp(-weight * feature_N))
        step = (feature_N @ (share_N - fitted_N) - ridge * weight) / (feature_N**2 @ (fitted_N * (1 - fitted_N)) + ridge)
        weight += float(np.clip(step, -2, 2))
        if abs(step) < 1e-9:
            break
    return weight


def _verdicts(met: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    told = conform(Score, scores).filter((pl.col("name") == "pairwise") & pl.col("value").is_finite())
    return told.join(met, left_on="about", right_on="id", how="inner", maintain_order="left")


def _share(yes: pl.Series) -> float:
    return int(yes.fill_null(False).sum()) / yes.len() if yes.len() else float("nan")
