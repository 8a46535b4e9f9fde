"""`append:` in a recipe: a run that adds to what is published, and repeats none of it.

The published rows stand in front, then the run's own: of each neighbourhood of alike prompts the first stays (`selectors/duplicates.py`). So
prompts of one night that are alike are told apart, too, and the dataset as a whole holds no two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..schemas.errors import PlainError
from ..selectors.duplicates import NEAR_SQUARED, Duplicates, exact, minhash, normal, semantic
from ..selectors.embed import Encoder, SentenceEncoder, embed

Kind = Literal["exact", "minhash", "semantic"]
EDITIONS, HUB = "editions", "hub:"
PUBLISHED = {"id": pl.String, "text": pl.String, "category": pl.String}  # columns of a table of published prompts


class AppendError(PlainError, ValueError):
    """What is published cannot be read, or not be compared. The message names the recipe's field."""


@dataclass(frozen=True, eq=False)
class Published:
    """The published prompts, and the folder that keeps embeddings between runs."""

    prompts: pl.DataFrame
    vectors: Path


class Append(BaseModel):
    """What is published already, and what counts as a repeat of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: str = Field(
        EDITIONS,
        description="what is published: `editions` (finished runs of this recipe, beside this one), hub:owner/name or "
        "hub:owner/name:split, a file, or the folder of a finished run",
    )
    of: str | None = Field(None, description="editions: name of the recipe whose runs are meant; default: this one's")
    column: str | None = Field(None, description="column of the prompts, text or messages; default: the usual names")
    duplicates: tuple[Kind, ...] = Field(
        get_args(Kind), min_length=1, description="how prompts are compared, one after the other"
    )
    jaccard: float = Field(0.7, gt=0, le=1, description="minhash: a repeat from this similarity of shingles on")
    cosine: float = Field(1 - NEAR_SQUARED / 2, gt=0, lt=1, description="semantic: a repeat above this cosine")
    encoder: str | None = Field(None, description="semantic: a sentence-transformers model; default: the embedded one")
    quotas: bool = Field(
        False, description="count what is published into the shares of `choose`: fill what earlier runs lacked"
    )

    @field_validator("to")
    @classmethod
    def _a_source(cls, given: str) -> str:
        owner, slash, name = given.removeprefix(HUB).partition(":")[0].partition("/")
        if given.startswith(HUB) and not (owner and slash and name and "/" not in name):
            raise ValueError("expected hub:owner/name or hub:owner/name:split")
        if not given.strip():
            raise ValueError(f"expected {EDITIONS}, hub:owner/name, a file, or the folder of a finished run")
        return given

    def check(self) -> None:
        """
        Raises:
            AppendError: if a comparison needs a package that is not there.
        """
        if "semantic" in self.duplicates and find_spec("sentence_transformers") is None:
            raise AppendError(
                "append.duplicates: semantic needs sentence-transformers, which is not installed; `make setup`, or leave it out: "
                "duplicates: [exact, minhash]"
            )

    def __call__(self, prompts: pl.DataFrame, published: Published) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Chats -> those that repeat nothing, in their order; and the others with `reason` and `detail`."""
        before = published.prompts
        dropped: list[pl.DataFrame] = []
        for kind in self.duplicates:
            texts = prompts["turns"].list.last().struct.field("content")
            found = self._compare(kind, texts, before["text"], published.vectors)
            told = prompts.with_columns(
                reason=pl.Series(found.reasons(f"{kind}_duplicate"), dtype=pl.String),
                detail=pl.Series(_repeats(found, prompts["id"], before["id"]), dtype=pl.String),
            )
            dropped.append(told.filter(pl.col("reason").is_not_null()))
            prompts = prompts.filter(pl.Series(found.kept_N))
        return prompts, pl.concat(dropped)

    def _compare(self, kind: Kind, texts: pl.Series, published: pl.Series, vectors: Path) -> Duplicates:
        ways: dict[Kind, Callable[[], Duplicates]] = {
            "exact": lambda: exact(_plain(texts), published=_plain(published)),
            "minhash": lambda: minhash(texts, similarity=self.jaccard, published=published),
            "semantic": lambda: self._semantic(texts, published, vectors),
        }
        return ways[kind]()

    def _semantic(self, texts: pl.Series, published: pl.Series, vectors: Path) -> Duplicates:
        encoder: Encoder = SentenceEncoder(self.encoder)
        before_MD = embed(published.to_list(), encoder, cache=vectors)
        return semantic(embed(texts.to_list(), encoder, cache=vectors), similarity=self.cosine, published_MD=before_MD)


def lacking(shares: Mapping[str, float], rows: int, there: Mapping[str, int]) -> dict[str, float]:
    """Shares for `rows` new rows, so that with those that are there the whole comes as near to `shares` as it can."""
    whole = rows + sum(there.get(name, 0) for name in shares)
    total = sum(shares.values())
    return {name: max(0.0, share / total * whole - there.get(name, 0)) for name, share in shares.items()}


def _plain(texts: pl.Series) -> pl.Series:
    return texts.to_frame("text").select(normal(pl.col("text"))).to_series()


def _repeats(found: Duplicates, own: pl.Series, published: pl.Series) -> list[str | None]:
    """What each dropped row repeats, and how alike the two are; null for those that stay."""
    told: list[str | None] = []
    for kept, like, before, similarity in zip(found.kept_N, found.like_N, found.published_N, found.similarity_N, strict=True):
        other = None if kept else published[int(before)] if before >= 0 else own[int(like)]
        told.append(None if other is None else f"repeats {other}, similarity {similarity:.3f}")
    return told
