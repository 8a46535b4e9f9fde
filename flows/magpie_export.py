"""The published Magpie column layout, for those who already work with Magpie's sets.

Columns as on the cards of arXiv:2406.08464 and of the later releases: one row for a prompt and one of its answers, labels as words, rewards
raw, lengths in characters, languages as ISO 639-1. Sets of several turns have `instruction_2`, `response_2` and so on; DPO sets
`responses`, `rewards_armorm`, `chosen` and `rejected`. Scores and notes are joined by id: those about the prompt, and those
about the answer. What was not measured is null.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ..schemas.tables import Answer, Chat, Note, Preference, Score, conform

LABELS = {
    "task_category": "task_category",
    "difficulty": "difficulty",
    "input_quality": "input_quality",
    "language": "language",
}
VALUES = {"instruct_reward": "reward", "base_reward": "base_reward", "reward_difference": "reward_difference"}
JUDGES = {
    "task_category_generator": "task_category", "difficulty_generator": "difficulty", "quality_generator": "input_quality",
    "reward_model": "reward",
}  # fmt: skip
TEXTS = {
    "intent": "intent", "knowledge": "knowledge", "quality_explanation": "quality_explanation", "llama_guard_2": "guard",
    "base_output": "base_output", "raw_instruction": "raw_instruction",
}  # fmt: skip
NEAR = pl.Schema({"min_neighbor_distance": pl.Float64, "repeat_count": pl.Int64, "min_similar_uuid": pl.String})
ORDER = (
    "uuid model gen_input_configs gen_response_configs instruction response conversations task_category other_task_category "
    "task_category_generator difficulty intent knowledge difficulty_generator input_quality quality_explanation quality_generator "
    "llama_guard_2 instruct_reward reward_model base_output base_reward reward_difference min_neighbor_distance repeat_count "
    "min_similar_uuid instruction_length response_length language raw_instruction"
).split()


def published(
    chats: pl.DataFrame,
    answers: pl.DataFrame,
    scores: pl.DataFrame,
    notes: pl.DataFrame,
    *,
    near: pl.DataFrame | None = None,
    openings: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Tables of `Chat`, `Answer` (one for each prompt), `Score` and `Note` -> the published layout, in the order of `chats`.

    `near` has an `id` and the columns of `selectors/duplicates.magpie_columns`; `openings` the pre-query of each model.

    Raises:
        ValueError: if a prompt has several answers, or a row several scores of one name.
    """
    for row, table in ((Chat, chats), (Answer, answers), (Score, scores), (Note, notes)):
        conform(row, table)
    _once(answers, ["prompt"], "answers: keep one for each prompt (the best, or ordinal 0)")
    _once(scores, ["about", "name"], "scores of one name: keep those of one judge")
    replies = answers.select(
        "prompt",
        pl.col("id").alias("answer"),
        pl.col("text").alias("response"),
        pl.col("sampling").alias("drawn"),
        pl.col("model").alias("answerer"),
    )
    made = chats.join(replies, left_on="id", right_on="prompt", how="inner", maintain_order="left").with_columns(_turns())
    made = made.with_columns(_configs(openings or {}), conversations=_conversations())
    made = _with_scores(made, scores)
    made = _with_notes(made, notes)
    columns = near if near is not None else pl.DataFrame(schema={"id": pl.String, **NEAR})
    made = made.join(columns.cast(NEAR), on="id", how="left", maintain_order="left")
    lengths = {f"{side}_length": pl.col(side).str.len_chars().cast(pl.Int64) for side in ("instruction", "response")}
    later = [name for name in made.columns if name[-1].isdigit() and name.startswith(("instruction_", "response_"))]
    return made.with_columns(uuid=pl.col("id"), **lengths).select(
        *ORDER, *sorted(later, key=lambda name: (int(name.split("_")[1]), name))
    )


def published_dpo(layout: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame, preferences: pl.DataFrame) -> pl.DataFrame:
    """The layout of `published` for the prompts that have a pair, with all answers, their scores, and the pair as messages."""
    conform(Preference, preferences)
    text = answers.select(pl.col("id").alias("about"), "prompt", "ordinal", "text")
    valued = text.join(scores.select("about", "value"), on="about", how="left").sort("prompt", "ordinal")
    slates = valued.group_by("prompt", maintain_order=True).agg(
        responses=pl.col("text"), rewards_armorm=pl.struct(score=pl.col("value"))
    )
    by_id = text.select("about", said="text")
    pairs = preferences.select("prompt", "chosen", "rejected")
    for side in ("chosen", "rejected"):
        pairs = (
            pairs.join(by_id, left_on=side, right_on="about", how="left").with_columns(pl.col("said").alias(side)).drop("said")
        )
    made = layout.join(slates, left_on="uuid", right_on="prompt", how="left", maintain_order="left")
    made = made.join(pairs, left_on="uuid", right_on="prompt", how="inner", maintain_order="left")
    role = pl.element().struct.field("from").replace_strict({"human": "user", "gpt": "assistant"}, default="system")
    message = pl.struct(role.alias("role"), pl.element().struct.field("value").alias("content"))
    asked = pl.col("conversations").list.head(pl.col("conversations").list.len() - 1).list.eval(message)
    said = {side: pl.struct(role=pl.lit("assistant"), content=pl.col(side)) for side in ("chosen", "rejected")}
    return made.with_columns(**{side: pl.concat_list(asked, answer) for side, answer in said.items()})


def _turns() -> list[pl.Expr]:
    """`instruction`, then `instruction_2` and so on; answers in between are `response`, `response_2`; the answer is the last."""
    content = pl.col("turns").list.eval(pl.element().struct.field("content"))
    return [content.list.get(0).alias("instruction"), content.alias("said")]


def _conversations() -> pl.Expr:
    """ShareGPT's list: human and gpt in turns."""
    speaker = pl.element().struct.field("role").replace_strict({"user": "human", "assistant": "gpt"}, default="system")
    before = pl.col("turns").list.eval(pl.struct(speaker.alias("from"), pl.element().struct.field("content").alias("value")))
    answer = pl.struct(pl.lit("gpt").alias("from"), pl.col("response").alias("value"))
    return pl.concat_list(before, answer)


def _configs(openings: Mapping[str, str]) -> list[pl.Expr]:
    opened = pl.col("model").replace_strict(dict(openings), default=None, return_dtype=pl.String)
    asked, drawn = pl.col("sampling").struct, pl.col("drawn").struct
    return [
        pl.struct(
            temperature=asked.field("temperature"),
            top_p=asked.field("top_p"),
            input_generator=pl.col("model"),
            seed=asked.field("seed").cast(pl.String),
            pre_query_template=opened,
        ).alias("gen_input_configs"),
        pl.struct(
            prompt=pl.lit(None, dtype=pl.String),
            temperature=drawn.field("temperature"),
            top_p=drawn.field("top_p"),
            repetition_penalty=pl.lit(1.0),
            max_tokens=drawn.field("max_tokens"),
            stop_tokens=pl.lit([], dtype=pl.List(pl.String)),
            output_generator=pl.col("answerer"),
        ).alias("gen_response_configs"),
    ]


def _with_scores(made: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    wanted = {**{name: (name, "label") for name in LABELS}, **{name: (told, "value") for name, told in VALUES.items()}}
    wanted |= {column: (name, "judge") for column, name in JUDGES.items()}
    return _joined(made, [(column, scores.filter(pl.col("name") == name), field) for column, (name, field) in wanted.items()])


def _with_notes(made: pl.DataFrame, notes: pl.DataFrame) -> pl.DataFrame:
    first = notes.filter(pl.col("ordinal") == 0)
    made = _joined(made, [(column, first.filter(pl.col("kind") == kind), "text") for column, kind in TEXTS.items()])
    others = notes.filter(pl.col("kind") == "other_task_category").sort("about", "ordinal")
    lists = others.group_by("about", maintain_order=True).agg(other_task_category=pl.col("text"))
    made = made.join(lists, left_on="id", right_on="about", how="left", maintain_order="left")
    # What the sanitiser left alone is its own raw text.
    made = made.with_columns(raw_instruction=pl.coalesce("raw_instruction", "instruction"))
    return _later_turns(made)


def _later_turns(made: pl.DataFrame) -> pl.DataFrame:
    """`response` is what was said after the first instruction; later exchanges get numbered columns, the answer is the last."""
    longest = made.select(pl.col("said").list.len().max()).item() or 1
    said, count = pl.concat_list("said", "response"), pl.col("said").list.len() + 1
    columns = {}
    for i in range(1, longest + 1):
        kind, exchange = ("response", (i + 1) // 2) if i % 2 else ("instruction", i // 2 + 1)
        column = kind if exchange == 1 else f"{kind}_{exchange}"
        columns[column] = pl.when(count > i).then(said.list.get(i, null_on_oob=True))
    return made.with_columns(**columns)


def _joined(made: pl.DataFrame, wanted: list[tuple[str, pl.DataFrame, str]]) -> pl.DataFrame:
    """Each named field about the prompt or, failing that, about its answer."""
    for column, about, field in wanted:
        one = about.select("about", pl.col(field).alias(column))
        made = made.join(one, left_on="id", right_on="about", how="left", maintain_order="left")
        made = made.join(one, left_on="answer", right_on="about", how="left", maintain_order="left", suffix="_of_answer")
        made = made.with_columns(pl.coalesce(column, f"{column}_of_answer").alias(column)).drop(f"{column}_of_answer")
    return made


def _once(table: pl.DataFrame, key: list[str], remedy: str) -> None:
    twice = table.filter(pl.struct(key).is_duplicated())
    if twice.height:
        raise ValueError(f"{twice[key[0]][0]} has several {remedy}")
