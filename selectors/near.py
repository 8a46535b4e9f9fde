"""Nearest rows by cosine: faiss where it is installed, numpy where not, the same answer.

Exact is the default. `neighbours_in_cells` is approximate and is asked for by its name. faiss computes on GPUs when it
was built for them and sees one. "Near" is always a similarity here (cosine, 1 is the same direction), never a distance;
`squared_distance` converts for rules that are written in squared Euclidean distance of unit vectors, such as Magpie's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol

import numpy as np

from .picks import BLOCK, Progress, check, lengths

HAS_FAISS = find_spec("faiss") is not None
Found = tuple[np.ndarray, np.ndarray]  # similarities and rows of some queries' nearest


class Index(Protocol):
    """The part of a faiss index that is used here; faiss itself comes without types."""

    def train(self, features_ND: np.ndarray, /) -> None: ...
    def add(self, features_ND: np.ndarray, /) -> None: ...
    def search(self, queries_QD: np.ndarray, k: int, /) -> Found: ...


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each query its k nearest pool rows, nearest first, ties in row order; -1 where fewer exist."""

    similarity_QK: np.ndarray  # float32
    rows_QK: np.ndarray  # int64


def unit(features_ND: np.ndarray) -> np.ndarray:
    """Rows scaled to length one, float32.

    Raises:
        ValueError: for a row without a direction (all zeros, or not finite).
    """
    check(features_ND=features_ND)
    return scaled(features_ND, lengths(features_ND))


def scaled(features_ND: np.ndarray, lengths_N: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Rows divided by their lengths; the division is done in float64 a block at a time."""
    unit_ND: np.ndarray = np.empty(features_ND.shape, dtype=dtype)
    step = max(1, BLOCK // max(1, features_ND.shape[1]))
    for start in range(0, len(features_ND), step):
        part = slice(start, start + step)
        unit_ND[part] = features_ND[part] / lengths_N[part, None]
    return unit_ND


def cosines(row_D: np.ndarray, others_MD: np.ndarray) -> np.ndarray:
    """Cosines in float64 whose value for a pair depends on the pair alone: not on blocks, threads or other rows.

    This is the definition that `deita` and `duplicates` are exact to. Both arguments are unit rows in float64.
    """
    return np.clip((others_MD * row_D).sum(axis=1), -1.0, 1.0)


def doubt(dimensions: int) -> float:
    """How far a float32 dot product of unit rows can be from the true cosine: beyond it, float32 decides alone."""
    return (dimensions + 16) * float(np.finfo(np.float32).eps)


def squared_distance(similarity: np.ndarray | float) -> np.ndarray | float:
    """Squared Euclidean distance of unit vectors: 2 - 2 cos. 0.05 is a cosine of 0.975."""
    return 2.0 - 2.0 * similarity


def neighbours(
    queries_QD: np.ndarray, pool_ND: np.ndarray, k: int, *, skip_self: bool = False, progress: Progress | None = None
) -> Neighbours:
    """The k nearest of every query, exactly; O(q n d). With `skip_self`, query i is pool row i and is left out."""
    queries_QD, pool_ND = unit(queries_QD), unit(pool_ND)
    asked = min(k + skip_self, len(pool_ND))
    if HAS_FAISS and asked:
        faiss = faiss_module()
        index = _on_gpu(faiss.IndexFlatIP(pool_ND.shape[1]))
        index.add(pool_ND)
        found = list(_search(index, queries_QD, asked, progress))
    else:
        found = list(_search_by_numpy(pool_ND, queries_QD, asked, progress))
    return _tidy(found, k, skip_self)


def neighbours_in_cells(
    queries_QD: np.ndarray,
    pool_ND: np.ndarray,
    k: int,
    *,
    probes: int = 8,
    seed: int = 0,
    skip_self: bool = False,
    progress: Progress | None = None,
) -> Neighbours:
    """The k nearest among the pool rows of the `probes` nearest of about 4·√n cells. Approximate: rows can be missed.

    Raises:
        ModuleNotFoundError: without faiss; there is no slow stand-in for a fast method.
    """
    faiss = faiss_module()
    queries_QD, pool_ND = unit(queries_QD), unit(pool_ND)
    dimensions, cells = pool_ND.shape[1], max(1, round(min(4 * len(pool_ND) ** 0.5, len(pool_ND) / 40)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimensions), dimensions, cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = seed + 1, 8, 64
    index.nprobe = probes
    index = _on_gpu(index)
    index.train(pool_ND)
    index.add(pool_ND)
    return _tidy(list(_search(index, queries_QD, min(k + skip_self, len(pool_ND)), progress)), k, skip_self)


def faiss_module() -> ModuleType:
    import faiss  # half a second, so not before it is needed

    return faiss


def _on_gpu(index: Index) -> Index:
    faiss = faiss_module()
    if getattr(faiss, "get_num_gpus", lambda: 0)() > 0:
        return faiss.index_cpu_to_all_gpus(index)
    return index


def _search(index: Index, queries_QD: np.ndarray, k: int, progress: Progress | None) -> Iterator[Found]:
    for start in range(0, len(queries_QD), 8192):
        yield index.search(queries_QD[start : start + 8192], k)
        if progress:
            progress(min(start + 8192, len(queries_QD)), len(queries_QD))


def _search_by_numpy(pool_ND: np.ndarray, queries_QD: np.ndarray, k: int, progress: Progress | None) -> Iterator[Found]:
    step = max(1, BLOCK // max(1, len(pool_ND)))
    for start in range(0, len(queries_QD), step):
        similarity_BN = queries_QD[start : start + step] @ pool_ND.T
        rows_BK = np.argpartition(-similarity_BN, k - 1, axis=1)[:, :k] if k else np.empty((len(similarity_BN), 0), int)
        yield np.take_along_axis(similarity_BN, rows_BK, axis=1), rows_BK
        if progress:
            progress(min(start + step, len(queries_QD)), len(queries_QD))


def _tidy(found: list[Found], k: int, skip_self: bool) -> Neighbours:
    if not found:
        return Neighbours(np.empty((0, k), np.float32), np.empty((0, k), np.int64))
    similarity_QK = np.concatenate([similarity for similarity, _ in found]).astype(np.float32)
    rows_QK = np.concatenate([rows for _, rows in found]).astype(np.int64)
    if skip_self:
        itself_QK = rows_QK == np.arange(len(rows_QK))[:, None]
        similarity_QK, rows_QK = np.where(itself_QK, -np.inf, similarity_QK), np.where(itself_QK, -1, rows_QK)
    order_QK = np.lexsort((rows_QK, -similarity_QK.astype(np.float64)), axis=1)[:, :k]
    return Neighbours(np.take_along_axis(similarity_QK, order_QK, 1), np.take_along_axis(rows_QK, order_QK, 1))
