"""Of many independent answers to a prompt, the few that are least alike: negative correlation by algorithm, which is ours.

Community Alignment (arXiv:2507.09650) gets negatively correlated candidates by a prompt alone and finds that independent
samples, however many, hardly ever show the values that a model does not lean to. So this is no substitute for the prompt: it
spreads what was sampled, with the greedy most probable set of a determinantal point process over the answers of each prompt
(`selectors/dpp.py`), and writes `dpp_of_` in front of the method, so that nobody takes it for the paper's.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ..schemas.tables import Answer, Drop, Score, Vector, conform, frame
from .dpp import dpp_map


def spread(
    answers: pl.DataFrame, vectors: pl.DataFrame, *, k: int, scores: pl.DataFrame | None = None, weight: float = 1.0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The k answers of each prompt that span the most: tables of `Answer` and `Vector` -> kept `Answer`s and `Drop`s.

    With `scores` (one judge's), exp(weight * score / 2) is an answer's quality; what has no score is dropped. Answers that read
    the same, or whose vectors add nothing, are dropped even if fewer than k are left: k copies are no choice.
    """
    conform(Answer, answers)
    conform(Vector, vectors)
    if vectors["about"].is_duplicated().any():
        raise ValueError("an answer has two vectors; hand over those of one encoder only")
    features = dict(vectors.select("about", "values").iter_rows())
    quality = None if scores is None else dict(conform(Score, scores).select("about", "value").iter_rows())
    kept: list[str] = []
    dropped: list[Drop] = []
    for (_,), group in answers.group_by("prompt", maintain_order=True):
        names, refused = _usable(group, features, quality)
        picks = _most_volume(names, features, quality, k, weight)
        chosen = set(picks)
        kept.extend(picks)
        dropped.extend(refused)
        text = dict(group.select("id", "text").iter_rows())
        dropped.extend(Drop(n, "spread", "alike", f"not among the {k} least alike", text[n]) for n in names if n not in chosen)
    order = pl.DataFrame({"id": kept}, schema={"id": pl.String})
    table = order.join(answers, on="id", how="left", maintain_order="left").with_columns(method="dpp_of_" + pl.col("method"))
    return conform(Answer, table.select(answers.columns)), frame(Drop, dropped)


def likeness(answers: pl.DataFrame, vectors: pl.DataFrame) -> pl.DataFrame:
    """How alike a prompt's answers are: `prompt`, `method`, `answers`, `cosine` (mean over pairs; lower is more diverse)."""
    table = conform(Answer, answers).join(conform(Vector, vectors), left_on="id", right_on="about", maintain_order="left")
    found = []
    for (prompt, method), group in table.group_by("prompt", "method", maintain_order=True):
        unit_ND = np.array(group["values"].to_list(), dtype=np.float64)
        unit_ND /= np.linalg.norm(unit_ND, axis=1, keepdims=True)
        n = len(unit_ND)
        if n > 1:
            cosine = float((np.square(unit_ND.sum(axis=0)).sum() - n) / (n * (n - 1)))
            found.append((prompt, method, n, cosine))
    columns = {"prompt": pl.String, "method": pl.String, "answers": pl.Int64, "cosine": pl.Float64}
    return pl.DataFrame(found, schema=columns, orient="row")


def _usable(group: pl.DataFrame, features: dict, quality: dict | None) -> tuple[list[str], list[Drop]]:
    """Ids of answers that can be compared, in the order of ids; and the others, with why."""
    names: list[str] = []
    dropped: list[Drop] = []
    seen: dict[str, str] = {}
    for name, text in sorted(group.select("id", "text").iter_rows()):
        value = 0.0 if quality is None else quality.get(name)
        if name not in features:
            dropped.append(Drop(name, "spread", "no_vector", "the answer was not embedded", text))
        elif value is None or not np.isfinite(value):
            dropped.append(Drop(name, "spread", "no_score", "the judge gave no score", text))
        elif text.strip() in seen:
            dropped.append(Drop(name, "spread", "same_text", f"same text as {seen[text.strip()]}", text))
        else:
            seen[text.strip()] = name
            names.append(name)
    return names, dropped


def _most_volume(names: list[str], features: dict, quality: dict | None, k: int, weight: float) -> list[str]:
    if not names:
        return []
    features_ND = np.array([features[name] for name in names], dtype=np.float64)
    quality_N = None
    if quality is not None:
        raw_N = weight * np.array([quality[name] for name in names]) / 2
        quality_N = np.exp(raw_N - raw_N.max())  # a common factor moves no pick
    unit_ND = features_ND / np.linalg.norm(features_ND, axis=1, keepdims=True)
    budget = min(k, int(np.linalg.matrix_rank(unit_ND, tol=1e-4)))
    return [names[row] for row in dpp_map(features_ND, budget, quality_N=quality_N).rows_K]
