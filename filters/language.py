"""The language of a text, as ISO 639-1 in capitals, by lingua (optional: `pip install lingua-language-detector`).

Magpie tags its instructions so (arXiv:2406.08464, section 2.2). A text in which no language is clearly ahead is null, and
null is not among any allowed languages: `rules.not_among(pl.col("language"), allowed=["EN"], name="language")`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def languages(texts: pl.Series, *, among: Sequence[str] = (), least_lead: float = 0.1) -> pl.Series:
    """The language of each text. `among` narrows the choice, which makes it faster and surer on short texts.

    Raises:
        ValueError: for codes that lingua does not know.
    """
    from lingua import IsoCode639_1, Language, LanguageDetectorBuilder

    known = {language.iso_code_639_1.name: language.iso_code_639_1 for language in Language.all()}
    strange = [code for code in among if code.upper() not in known]
    if strange or len(among) == 1:
        raise ValueError(f"among={list(among)}: expected two or more of {', '.join(sorted(known))}")
    codes: list[IsoCode639_1] = [known[code.upper()] for code in among]
    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes) if codes else LanguageDetectorBuilder.from_all_languages()
    detector = builder.with_minimum_relative_distance(least_lead).build()
    found = detector.detect_languages_in_parallel_of(texts.fill_null("").to_list())
    return pl.Series("language", [language.iso_code_639_1.name if language else None for language in found], dtype=pl.String)
