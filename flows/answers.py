"""Candidate answers and their scores: what a recipe's `answer` and `judge` do on the line, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ..filters.ensemble import ensemble
from ..filters.pairwise import Pairwise, matches, win_rates
from ..filters.references import bleu_scores
from ..generators.candidates import Independent
from ..generators.diverse import Diverse
from ..schemas.step import Step
from ..schemas.tables import Answer, Chat, Score, Turn, Vector, frame, rows
from ..selectors.answers import spread
from ..selectors.embed import SentenceEncoder, embed
from .methods import Bleu, Dpp, Ensemble
from .stage import Line


def candidates(line: Line, ways: Sequence[Independent | Diverse | Dpp], prompts: pl.DataFrame) -> pl.DataFrame:
    """The answers that all the ways to draw them give: several models and several ways may answer the same prompts."""
    drawn = [
        most_different(line, way, prompts) if isinstance(way, Dpp) else line.spread("answer", way, prompts)[Answer]
        for way in ways
    ]
    return pl.concat(drawn)


def most_different(line: Line, way: Dpp, prompts: pl.DataFrame) -> pl.DataFrame:
    """Of each prompt's draw the k answers that are least alike."""
    drawn = line.spread("answer", way.draw, prompts)[Answer]

    def sieve(answers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        encoder = SentenceEncoder(way.encoder)
        vectors_ND = embed(answers["text"].to_list(), encoder)
        ids = answers["id"].to_list()
        vectors = frame(
            Vector, (Vector(name, encoder.name, row_D) for name, row_D in zip(ids, vectors_ND.tolist(), strict=True))
        )
        return spread(answers, vectors, k=way.k)

    return line.sieve("spread", Answer, drawn, {"dpp": way.model_dump(mode="json")}, sieve)


def scored(line: Line, judge: Step | Bleu | Ensemble, prompts: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """All scores that the judge gives to the answers; the one that decides is named `decisive(judge)`."""
    match judge:
        case Pairwise():
            met = matches(prompts, answers)
            return win_rates(met, line.spread("judge", judge, met)[Score])
        case Bleu():
            written = line.spread("references", judge.references, prompts)[Answer]
            known = dict(written.group_by("prompt", maintain_order=True).agg("text").iter_rows())
            return bleu_scores(answers, known, copy=judge.copy_above, min_tokens=judge.min_tokens)
        case Ensemble():
            parts = [scored(line, one, prompts, answers) for one in judge.judges]
            names = [decisive(one) for one in judge.judges]
            decided = [part.filter(pl.col("name") == name) for part, name in zip(parts, names, strict=True)]
            return pl.concat([*parts, ensemble(answers, pl.concat(decided), judge.scale)])
        case step:
            return line.spread("judge", step, answered(prompts, answers))[Score]


def decisive(judge: Step | Bleu | Ensemble) -> str:
    """The name of the score by which a judge's pairs are made."""
    return "win_rate" if isinstance(judge, Pairwise) else str(judge.model_dump()["method"])


def answered(prompts: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Each answer as the conversation that it ends, under the answer's id: what a judge reads."""
    asked = {row.id: row for row in rows(Chat, prompts)}
    ended = []
    for answer in rows(Answer, answers):
        prompt = asked[answer.prompt]
        turns = [*prompt.turns, Turn("assistant", answer.text)]
        facts = (
            answer.method,
            answer.model,
            answer.revision,
            answer.sampling,
            answer.finish,
            answer.tokens_in,
            answer.tokens_out,
        )
        ended.append(Chat(answer.id, [prompt.id], turns, *facts))
    return frame(Chat, ended)
