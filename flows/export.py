"""From tables to the datasets that TRL takes: pairs, thumbs, lessons and all candidates. Pure functions, joined by id.

Each gives a frame of its row class in `schemas.exports` and the counts of what it skipped, by reason. Rows keep the order
of the table they come from, so the same tables give the same bytes. The formats are TRL's (explicit prompt,
conversational); `unpaired` follows BCO's need (arXiv:2404.04656) for labels with absolute meaning: thresholds, never
"it lost a pair".
"""

from __future__ import annotations

import polars as pl

from ..schemas.exports import Lesson, Pair, Rating, Slate, Thumb, Writer
from ..schemas.tables import Answer, Chat, Preference, Score, conform, schema

Skipped = dict[str, int]


def default(chats: pl.DataFrame, answers: pl.DataFrame, preferences: pl.DataFrame) -> tuple[pl.DataFrame, Skipped]:
    """One row for each preference that names a prompt, two different answers to *it*, and a margin above zero."""
    conform(Preference, preferences)
    said = answered(answers)
    table = (
        preferences.rename({"prompt": "prompt_id", "chosen": "chosen_id", "rejected": "rejected_id"})
        .join(asked(chats), on="prompt_id", how="left", maintain_order="left")
        .join(_prefixed(said, "chosen"), on="chosen_id", how="left", maintain_order="left")
        .join(_prefixed(said, "rejected"), on="rejected_id", how="left", maintain_order="left")
    )
    margin = pl.col("score_chosen") - pl.col("score_rejected")
    kept, skipped = _split(
        table,
        *_unfit_prompt(),
        _reason("unknown_answer", pl.col("chosen_of").is_null() | pl.col("rejected_of").is_null()),
        _reason(
            "foreign_answer",
            (pl.col("chosen_of") != pl.col("prompt_id")) | (pl.col("rejected_of") != pl.col("prompt_id")),
        ),
        _reason("empty_answer", _blank("chosen_text") | _blank("rejected_text")),
        _reason("same_text", pl.col("chosen_text") == pl.col("rejected_text")),
        _reason("no_margin", ~(margin.is_finite() & (margin > 0))),
    )
    sides = {side: pl.col(f"{side}_writer").alias(side) for side in ("chosen", "rejected")}
    made = kept.with_columns(
        chosen=assistant("chosen_text"),
        rejected=assistant("rejected_text"),
        score_margin=margin,
        meta=pl.struct(pl.col("origin").alias("prompt"), *sides.values()),
    )
    return shaped(Pair, made), skipped


def unpaired(
    chats: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame, *, hi: float, lo: float
) -> tuple[pl.DataFrame, Skipped]:
    """Good at a score of `hi` or more, bad at `lo` or less; what lies between is neither. `scores` are one judge's.

    Raises:
        ValueError: if `lo` is not below `hi`, or an answer has two scores.
    """
    if not lo < hi:
        raise ValueError(f"lo={lo} is not below hi={hi}: an answer would be both good and bad; raise hi or lower lo")
    table = _rated(chats, answers, scores)
    score = pl.col("score")
    kept, skipped = _split(
        table,
        *_unfit_prompt(),
        _reason("empty_answer", _blank("text")),
        _reason("no_score", score.is_null()),
        _reason("between_thresholds", (score > lo) & (score < hi)),
    )
    made = kept.with_columns(
        completion=assistant("text"),
        label=score >= hi,
        completion_id=pl.col("answer_id"),
        source=pl.col("writer").struct.field("method"),
        meta=_answer_meta(),
    )
    return shaped(Thumb, made), skipped


def sft(
    chats: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame, *, least: float | None = None
) -> tuple[pl.DataFrame, Skipped]:
    """Each prompt with its best answer, if that reaches `least`. Ties go to the smaller id; one judge's scores."""
    table = _rated(chats, answers, scores)
    kept, skipped = _split(
        table,
        *_unfit_prompt(),
        _reason("empty_answer", _blank("text")),
        _reason("no_score", pl.col("score").is_null()),
        _reason("below_least", pl.col("score") < least if least is not None else pl.lit(False)),
    )
    best = kept.sort("score", "answer_id", descending=[True, False], maintain_order=True)
    best = best.unique("prompt_id", keep="first", maintain_order=True)
    if beaten := kept.height - best.height:
        skipped["not_the_best"] = beaten
    best = chats.select(pl.col("id").alias("prompt_id")).join(best, on="prompt_id", how="inner", maintain_order="left")
    return shaped(Lesson, best.with_columns(messages=pl.concat_list("prompt", assistant("text")), meta=_answer_meta())), skipped


def candidates(chats: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame) -> tuple[pl.DataFrame, Skipped]:
    """Each prompt with all its answers, each with all scores of all judges, for those who want to pair anew."""
    conform(Score, scores)
    table = answered(answers).join(
        asked(chats), left_on="of", right_on="prompt_id", how="left", maintain_order="left", coalesce=False
    )
    kept, skipped = _split(table, *_unfit_prompt())
    about = scores.group_by("about", maintain_order=True).agg(scores=pl.struct(*schema(Rating)))
    one = (
        kept.join(about, left_on="answer_id", right_on="about", how="left", maintain_order="left")
        .with_columns(pl.col("scores").fill_null([]), id=pl.col("answer_id"))
        .group_by("prompt_id", maintain_order=True)
        .agg(completions=pl.struct("id", "text", "finish", "writer", "scores"))
    )
    rows = asked(chats).join(one, on="prompt_id", how="left", maintain_order="left")
    if unanswered := rows["completions"].null_count():
        skipped["no_answer"] = unanswered
    return shaped(Slate, rows.drop_nulls("completions").with_columns(meta=pl.col("origin"))), skipped


# -- what the exports have in common -----------------------------------------------------------------------------------


def asked(chats: pl.DataFrame) -> pl.DataFrame:
    """`prompt_id`, `prompt` and `origin` of each chat."""
    conform(Chat, chats)
    _distinct(chats, "chat")
    return chats.select(
        pl.col("id").alias("prompt_id"),
        pl.col("turns").alias("prompt"),
        pl.struct("method", "model", "revision", "parents").alias("origin"),
    )


def answered(answers: pl.DataFrame) -> pl.DataFrame:
    """`answer_id`, `of` (the prompt), `text`, `finish` and `writer` of each answer."""
    conform(Answer, answers)
    _distinct(answers, "answer")
    drawn = {name: pl.col("sampling").struct.field(name) for name in ("temperature", "top_p", "max_tokens", "seed")}
    row = {
        "model": pl.col("model"),
        "revision": pl.col("revision"),
        "method": pl.col("method"),
        **drawn,
        "tokens": pl.col("tokens_out"),
    }
    return answers.select(
        pl.col("id").alias("answer_id"),
        pl.col("prompt").alias("of"),
        "text",
        "finish",
        pl.struct(*(row[name].alias(name) for name in schema(Writer))).alias("writer"),
    )


def ratings(scores: pl.DataFrame) -> pl.DataFrame:
    """`answer_id` and `score` of what has a finite score.

    Raises:
        ValueError: if an answer has two: the caller must say which judge to believe.
    """
    conform(Score, scores)
    finite = scores.filter(pl.col("value").is_finite()).select(
        pl.col("about").alias("answer_id"), pl.col("value").alias("score")
    )
    twice = finite.filter(pl.col("answer_id").is_duplicated())["answer_id"]
    if twice.len():
        raise ValueError(f"answer {twice[0]} has two scores; hand over the scores of one name and one judge only")
    return finite


def assistant(text: str) -> pl.Expr:
    """A column of texts as a column of conversations of one assistant message."""
    return pl.concat_list(pl.struct(pl.lit("assistant").alias("role"), pl.col(text).alias("content")))


def shaped(row: type, table: pl.DataFrame) -> pl.DataFrame:
    """The columns of an export's row class, with its types."""
    return conform(row, table.select(pl.col(name).cast(kind) for name, kind in schema(row).items()))


def _rated(chats: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    said = answered(answers).join(ratings(scores), on="answer_id", how="left", maintain_order="left")
    return said.join(asked(chats), left_on="of", right_on="prompt_id", how="left", maintain_order="left", coalesce=False)


def _prefixed(said: pl.DataFrame, side: str) -> pl.DataFrame:
    return said.select(
        pl.col("answer_id").alias(f"{side}_id"),
        pl.col("of").alias(f"{side}_of"),
        pl.col("text").alias(f"{side}_text"),
        pl.col("writer").alias(f"{side}_writer"),
    )


def _unfit_prompt() -> tuple[pl.Expr, pl.Expr]:
    last = pl.col("prompt").list.last().struct.field("role")
    return (
        _reason("unknown_prompt", pl.col("prompt").is_null()),
        _reason("prompt_without_user_turn", (last != "user").fill_null(True)),
    )


def _answer_meta() -> pl.Expr:
    return pl.struct(pl.col("origin").alias("prompt"), pl.col("writer").alias("answer"))


def _blank(text: str) -> pl.Expr:
    return pl.col(text).is_null() | (pl.col(text).str.strip_chars() == "")


def _reason(name: str, broken: pl.Expr) -> pl.Expr:
    return pl.when(broken).then(pl.lit(name))


def _split(table: pl.DataFrame, *reasons: pl.Expr) -> tuple[pl.DataFrame, Skipped]:
    judged = table.with_columns(skipped=pl.coalesce(*reasons))
    counts = judged.drop_nulls("skipped").group_by("skipped", maintain_order=True).len()
    return judged.filter(pl.col("skipped").is_null()), dict(counts.iter_rows())


def _distinct(table: pl.DataFrame, what: str) -> None:
    twice = table.filter(pl.col("id").is_duplicated())["id"]
    if twice.len():
        raise ValueError(
            f"{what} {twice[0]} stands in the table {(table['id'] == twice[0]).sum()} times; ids are for one row each"
        )
