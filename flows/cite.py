"""Which papers a recipe stands on: from its methods and exports to BibTeX entries of `data/methods.bib`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ENTRIES = Path(__file__).resolve().parent.parent / "data" / "methods.bib"
# `method` in a recipe, or an export's name -> papers
PAPERS = {
    "magpie": ("xu2024magpie",),
    "magpie_turns": ("xu2024magpie",),
    "codeclm": ("wang2024codeclm",),
    "isheep": ("liang2024isheep",),
    "wildfeedback": ("shi2024wildfeedback",),
    "negatively_correlated": ("zhang2025cultivating", "jain2025homogenization"),
    "verbalized": ("zhang2025verbalized", "jain2025homogenization"),
    "regenerated": ("jain2025homogenization",),
    "pointwise": ("liu2023geval", "liu2023deita"),
    "pairwise": ("zheng2023judging",),
    "aspects": ("cui2023ultrafeedback",),
    "dpp": ("chen2017fast",),
    "bleu": ("chang2025bleuberi",),
    "ensemble": ("chang2025bleuberi",),
    "best_worst": ("xu2024magpie",),
    "best_random": ("zhang2024reward",),
    "by_policy": ("lambert2024tulu3",),
    "deita": ("liu2023deita",),
    "unpaired": ("jung2024bco",),
    "reward_augmented": ("zhang2024reward",),
    "d2o": ("duan2024negating",),
    "infalign": ("balashankar2024infalign",),
}


def bibtex(names: Iterable[str]) -> str:
    """The entries of these methods and exports, each once, in order."""
    known = dict(re.findall(r"(?ms)^(?=@\w+\{([^,]+),)(.*?^\})", ENTRIES.read_text(encoding="utf-8")))
    keys = dict.fromkeys(key for name in names for key in PAPERS.get(name, ()))
    return "\n\n".join(known[key] for key in keys)
