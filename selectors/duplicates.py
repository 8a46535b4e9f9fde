"""Duplicates: of each neighbourhood of alike rows the first is kept, across shards and against what is published.

- `exact`: the same text. `minhash`: Jaccard similarity of shingles (Broder 1997), candidates by banded MinHash, each
  candidate then checked with its true Jaccard similarity, so nothing is dropped on a hash's word. `semantic`: cosine of
  embeddings, exact (SemDeDup, arXiv:2303.09540, section 3, searches inside k-means cells only).
- All three are greedy over *kept* rows: in a chain a~b~c with a unlike c, a and c stay. Magpie's released rule
  (arXiv:2406.08464, `gen_dis.py`) and SemDeDup also drop what resembles a dropped row; `magpie_columns` gives Magpie's
  three published columns, from which its own rule can be read off.
- Rows are compared in row order: put first what should survive (the published rows, then the better ones).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from .ceiling import walk
from .near import neighbours, squared_distance
from .picks import Progress, check

NEAR_SQUARED = 0.05  # Magpie: squared Euclidean distance of unit vectors, a cosine of 0.975
_HASH_LIMIT = np.uint64(32)


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Which rows stay; for each other row, what it repeats."""

    kept_N: np.ndarray  # bool
    like_N: np.ndarray  # row that it repeats, -1 if kept or if it repeats a published row
    published_N: np.ndarray  # published row that it repeats, -1 if none
    similarity_N: np.ndarray  # to that row: 1, Jaccard or cosine; NaN if kept

    def reasons(self, name: str) -> list[str | None]:
        """`name` for rows that repeat a row of the pool, `name_of_published` for the others, null for the kept."""
        return [
            None if kept else f"{name}_of_published" if published >= 0 else name
            for kept, published in zip(self.kept_N, self.published_N, strict=True)
        ]


def grouped(like_A: np.ndarray, similarity_A: np.ndarray, published: int) -> Duplicates:
    """From rows numbered with the published ones in front."""
    like_N = like_A[published:]
    inside = like_N >= published
    return Duplicates(
        kept_N=like_N < 0,
        like_N=np.where(inside, like_N - published, -1),
        published_N=np.where(inside, -1, like_N),
        similarity_N=similarity_A[published:],
    )


def normal(text: pl.Expr) -> pl.Expr:
    """Text for comparison: compatibility forms unified, lower case, every run of blanks one blank."""
    return text.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def exact(texts: pl.Series, *, published: pl.Series | None = None) -> Duplicates:
    """Rows whose text was there before, to the letter; pass texts through `normal` to forgive case and blanks."""
    before = _published(texts, published)
    frame = pl.DataFrame({"text": pl.concat([before, texts.cast(pl.String)])}).with_row_index("row")
    first_A = frame.select(pl.col("row").first().over("text")).to_series().to_numpy().astype(np.int64)
    like_A = np.where(first_A < np.arange(len(first_A)), first_A, -1)
    return grouped(like_A, np.where(like_A < 0, np.nan, 1.0), len(before))


def semantic(
    features_ND: np.ndarray,
    *,
    similarity: float = 1 - NEAR_SQUARED / 2,
    published_MD: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Rows whose cosine to an earlier kept row is above `similarity`; exact, O(n k p): see `ceiling`."""
    published = 0 if published_MD is None else len(published_MD)
    all_AD = features_ND if published_MD is None else np.concatenate([published_MD, features_ND])
    check(features_ND=all_AD)
    walked = walk(all_AD, np.arange(len(all_AD)), similarity, kept=published, progress=progress)
    like_A, found_A = walked.like_N, np.full(len(all_AD), np.nan)
    rows = np.flatnonzero(like_A >= 0)
    a, b = all_AD[rows].astype(np.float64), all_AD[like_A[rows]].astype(np.float64)
    found_A[rows] = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return grouped(like_A, found_A, published)


def minhash(
    texts: pl.Series,
    *,
    similarity: float = 0.7,
    words: int = 5,
    permutations: int = 128,
    recall: float = 0.95,
    seed: int = 0,
    published: pl.Series | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Rows whose shingles have a Jaccard similarity of at least `similarity` with those of an earlier kept row.

    A pair exactly at `similarity` is found with a probability of at least `recall`, and likelier above. A shingle is
    `words` words; a text of fewer words is one shingle, and a text without blanks is cut into characters.
    """
    before = _published(texts, published)
    codes, starts_A = shingles(pl.concat([before, texts.cast(pl.String)]), words)
    bands, width = banding(similarity, permutations, recall)
    buckets_AB = _buckets(codes, starts_A, bands, width, seed)
    like_A = np.full(len(starts_A) - 1, -1, dtype=np.int64)
    found_A = np.full(len(like_A), np.nan)
    kept_in: dict[int, list[int]] = {}
    sets: dict[int, frozenset[int]] = {}
    shared = np.flatnonzero((buckets_AB >= 0).any(axis=1))
    for done, row in enumerate(shared.tolist()):
        mine = buckets_AB[row][buckets_AB[row] >= 0].tolist()
        sets[row] = frozenset(codes[starts_A[row] : starts_A[row + 1]].tolist())
        others = sorted({other for bucket in mine for other in kept_in.get(bucket, ())}) if row >= len(before) else []
        for other in others:
            jaccard = len(sets[row] & sets[other]) / len(sets[row] | sets[other])
            if jaccard >= similarity:
                like_A[row], found_A[row] = other, jaccard
                del sets[row]
                break
        else:
            for bucket in mine:
                kept_in.setdefault(bucket, []).append(row)
        if progress and done % 4096 == 0:
            progress(done, len(shared))
    return grouped(like_A, found_A, len(before))


def chance(similarity: float, bands: int, width: int) -> float:
    """The probability that two texts of this Jaccard similarity share a band: 1 - (1 - Jʳ)ᵇ."""
    return 1 - (1 - similarity**width) ** bands


def banding(similarity: float, permutations: int, recall: float) -> tuple[int, int]:
    """(bands, width): the widest bands, hence the fewest candidates, that still find `recall` of pairs at the limit."""
    for width in range(permutations, 0, -1):
        if chance(similarity, permutations // width, width) >= recall:
            return permutations // width, width
    raise ValueError(f"recall={recall} at a similarity of {similarity} needs over {permutations} permutations: give more")


def shingles(texts: pl.Series, words: int) -> tuple[np.ndarray, np.ndarray]:
    """All texts' distinct shingle codes, one after another, and where each text begins (with the end of the last)."""
    lower = pl.col("text").fill_null("").str.to_lowercase()
    tokens = lower.str.extract_all(r"\S+")
    unbroken = lower.str.len_chars() > 15 * tokens.list.len()
    pieces = pl.coalesce(pl.when(unbroken).then(lower).str.extract_all(r"\S"), tokens)
    pieces = pl.when(pieces.list.len() == 0).then(pl.concat_list(pl.lit(""))).otherwise(pieces)
    long = texts.to_frame("text").lazy().with_row_index("row").select("row", piece=pieces).explode("piece").collect()
    code = long["piece"].hash(seed=1).to_numpy().copy()
    row = long["row"].to_numpy().astype(np.int64)
    gram, whole = code.copy(), np.ones(len(code), dtype=bool)
    with np.errstate(over="ignore"):
        for ahead in range(1, words):
            same = np.zeros(len(code), dtype=bool)
            same[:-ahead] = row[ahead:] == row[:-ahead]
            at = np.flatnonzero(same)
            gram[at] = gram[at] * np.uint64(1_000_003) + code[at + ahead]
            whole &= same
    whole[np.searchsorted(row, np.arange(len(texts)))] = True  # a short text is one shingle
    pairs = pl.DataFrame({"row": row[whole], "gram": gram[whole]}).unique().sort("row", "gram")
    starts_A = np.searchsorted(pairs["row"].to_numpy(), np.arange(len(texts) + 1))
    return pairs["gram"].to_numpy(), starts_A


def _buckets(codes: np.ndarray, starts_A: np.ndarray, bands: int, width: int, seed: int) -> np.ndarray:
    """For each text and band the number of its bucket, unique over bands; -1 where no other text is in it."""
    rng = np.random.default_rng(seed)
    buckets_AB, first_free = np.full((len(starts_A) - 1, bands), -1, dtype=np.int64), 0
    for band in range(bands):
        key_A = np.zeros(len(starts_A) - 1, dtype=np.uint64)
        for least_A in _signatures(codes, starts_A, width, rng):
            key_A = (key_A ^ least_A) * np.uint64(0x9E3779B97F4A7C15)
        _, bucket_A, size = np.unique(key_A, return_inverse=True, return_counts=True)
        buckets_AB[:, band] = np.where(size[bucket_A] > 1, bucket_A + first_free, -1)
        first_free += len(size)
    return buckets_AB


def _signatures(codes: np.ndarray, starts_A: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(count):
        factor, shift = rng.integers(1, 2**63, size=2, dtype=np.uint64) | np.uint64(1)
        mixed = codes * factor + shift
        mixed ^= mixed >> _HASH_LIMIT  # the low half of a multiplicative hash is weak
        mixed *= np.uint64(0xD6E8FEB86659FD93)
        yield np.minimum.reduceat(mixed >> _HASH_LIMIT, starts_A[:-1]) if len(codes) else np.empty(0, np.uint64)


def magpie_columns(
    features_ND: np.ndarray,
    ids: pl.Series,
    *,
    k: int = 500,
    near: float = NEAR_SQUARED,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Magpie's columns of each row: `min_neighbor_distance`, `repeat_count`, `min_similar_uuid`; its rule keeps a row
    whose `min_similar_uuid` is null or its own id, that is, no *earlier* row lies within `near` (squared distance).

    Looks at the `k` nearest as the authors do: of more than k copies of one text, several stay.
    """
    if len(features_ND) < 2:
        alone = {
            "min_neighbor_distance": [None] * len(ids),
            "repeat_count": [0] * len(ids),
            "min_similar_uuid": [None] * len(ids),
        }
        return pl.DataFrame({"id": ids, **alone})
    found = neighbours(features_ND, features_ND, min(k, len(features_ND) - 1), skip_self=True, progress=progress)
    distance_NK = np.maximum(squared_distance(found.similarity_QK.astype(np.float64)), 0.0)
    close_NK = distance_NK < near
    lowest_N = np.where(close_NK, found.rows_QK, len(ids)).min(axis=1)
    similar_N = np.where(close_NK.any(axis=1), np.minimum(lowest_N, np.arange(len(ids))), -1)
    return pl.DataFrame({
        "id": ids,
        "min_neighbor_distance": distance_NK[:, 0],
        "repeat_count": close_NK.sum(axis=1),
        "min_similar_uuid": [ids[int(row)] if row >= 0 else None for row in similar_N],
    })  # fmt: skip


def _published(texts: pl.Series, published: pl.Series | None) -> pl.Series:
    if texts.null_count():
        raise ValueError(f"{texts.null_count()} texts are null: drop them first, `rules.empty` names them")
    return pl.Series(texts.name, [], dtype=pl.String) if published is None else published.alias(texts.name).drop_nulls()
