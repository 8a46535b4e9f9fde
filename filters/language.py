"""Which language an instruction is in, by lingua over all its languages, as in Magpie's released sets (arXiv:2406.08464).

The label is the ISO 639-1 code in upper case, as in the published columns; the value is lingua's confidence. It asks no model and
needs the extra `language` (`lingua-language-detector`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from ..schemas.tables import Chat, Score, conform, frame
from ..schemas.tables import rows as rows_of
from .tagging import first_instruction

if TYPE_CHECKING:
    from lingua import LanguageDetector


def languages(chats: pl.DataFrame) -> pl.DataFrame:
    """A table of `Chat` -> a table of `Score` named `language`, a row for each chat."""
    conform(Chat, chats)
    asked = [(row.id, first_instruction(row.turns)) for row in rows_of(Chat, chats)]
    ranked = detector().compute_language_confidence_values_in_parallel([text for _, text in asked])
    scores = []
    for (about, _), values in zip(asked, ranked, strict=True):
        best = max(values, key=lambda one: one.value)
        if best.value > 0:
            code = best.language.iso_code_639_1.name.upper()
            scores.append(Score(about, "language", best.value, code, "lingua", None))
        else:
            scores.append(Score(about, "language", None, None, "lingua", "no word of any language"))
    return frame(Score, scores)


@cache
def detector() -> LanguageDetector:
    """lingua over all its languages; loads a language's model when it first needs it.

    Raises:
        ModuleNotFoundError: if lingua is not installed, with the remedy.
    """
    try:
        from lingua import LanguageDetectorBuilder
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("tagging languages needs lingua: pip install 'rookery[language]'") from error
    return LanguageDetectorBuilder.from_all_languages().build()
