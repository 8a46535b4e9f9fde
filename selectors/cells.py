"""Semantic de-duplication inside cells: approximate, asked for by name, and fast at millions of rows.

As SemDeDup (arXiv:2303.09540, section 3): k-means cells, and rows compared within them. Deviations: a row is compared with
the rows of the `probes` nearest cells, not of its own alone, so copies on two sides of a border are found; and of a
neighbourhood the first row is kept, greedily over kept rows (theirs drops what resembles a dropped row, and chains
collapse). A pair that is compared is judged exactly; a pair can only be missed by never meeting.
"""

from __future__ import annotations

import numpy as np

from .duplicates import NEAR_SQUARED, Duplicates, grouped
from .near import doubt, faiss_module, scaled
from .picks import BLOCK, Progress, check, lengths

ROWS_PER_CELL = 1000  # so that finding the cells costs about as much as looking into them


def semantic_in_cells(
    features_ND: np.ndarray,
    *,
    similarity: float = 1 - NEAR_SQUARED / 2,
    probes: int = 3,
    seed: int = 0,
    published_MD: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Rows whose cosine to an earlier kept row is above `similarity`, as far as they meet in a cell.

    Every row that is dropped is rightly dropped. O(n √n d) or so; needs faiss.
    """
    published = 0 if published_MD is None else len(published_MD)
    all_AD = features_ND if published_MD is None else np.concatenate([published_MD, features_ND])
    check(features_ND=all_AD)
    unit_AD = scaled(all_AD, lengths(all_AD), np.float32)
    first_A = _first_of_equal(unit_AD)
    distinct = np.flatnonzero(first_A == np.arange(len(unit_AD)))
    pairs_E2, near_E = _pairs(unit_AD[distinct], similarity, probes, seed, progress)
    like_A, found_A = first_A.copy(), np.where(first_A == np.arange(len(first_A)), np.nan, 1.0)
    like_A[distinct] = -1
    _keep_first(distinct[pairs_E2], near_E, published, like_A, found_A)
    repeats = np.flatnonzero(first_A < np.arange(len(first_A)))
    of_dropped = repeats[like_A[first_A[repeats]] >= 0]  # a copy of a row that went: what took the row took the copy
    found_A[of_dropped] = found_A[first_A[of_dropped]]
    like_A[of_dropped] = like_A[first_A[of_dropped]]
    like_A[:published] = -1
    return grouped(like_A, found_A, published)


def _first_of_equal(unit_AD: np.ndarray) -> np.ndarray:
    """For each row the first row with the same numbers: crowds of exact copies are settled without comparing them."""
    if not len(unit_AD):
        return np.empty(0, dtype=np.int64)
    whole_A = np.ascontiguousarray(unit_AD).view(np.dtype((np.void, unit_AD.dtype.itemsize * unit_AD.shape[1])))[:, 0]
    hashes_A = np.zeros(len(unit_AD), dtype=np.uint64)
    words = unit_AD.view(np.uint32)
    for column in range(unit_AD.shape[1]):
        hashes_A = (hashes_A ^ words[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        hashes_A ^= hashes_A >> np.uint64(29)
    _, first, inverse = np.unique(hashes_A, return_index=True, return_inverse=True)
    first_A = first[inverse].astype(np.int64)
    different = np.flatnonzero(whole_A[first_A] != whole_A)  # two vectors of one hash: told apart after all
    first_A[different] = different
    return first_A


def _pairs(
    unit_ND: np.ndarray, similarity: float, probes: int, seed: int, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (earlier, later) above the similarity that meet in a cell, and their similarity."""
    centres_CD = _centres(unit_ND, seed)
    probes = min(probes, len(centres_CD))
    visits_NP = np.empty((len(unit_ND), probes), dtype=np.int32)
    step = max(1, BLOCK // len(centres_CD))
    for start in range(0, len(unit_ND), step):
        near_BC = unit_ND[start : start + step] @ centres_CD.T
        some_BP = np.argpartition(-near_BC, probes - 1, axis=1)[:, :probes]
        order_BP = np.argsort(-np.take_along_axis(near_BC, some_BP, 1), axis=1, kind="stable")
        visits_NP[start : start + step] = np.take_along_axis(some_BP, order_BP, 1)
    visitor = np.argsort(visits_NP.reshape(-1), kind="stable")
    bounds = np.searchsorted(visits_NP.reshape(-1)[visitor], np.arange(len(centres_CD) + 1))
    pairs, nears = [np.empty((0, 2), dtype=np.int64)], [np.empty(0)]
    for cell in range(len(centres_CD)):
        rows_V = visitor[bounds[cell] : bounds[cell + 1]] // probes
        members_M = rows_V[visits_NP[rows_V, 0] == cell]
        pairs_E2, near_E = _above(unit_ND, rows_V, members_M, similarity)
        pairs.append(pairs_E2)
        nears.append(near_E)
        if progress:
            progress(cell + 1, len(centres_CD))
    return np.concatenate(pairs), np.concatenate(nears)


def _centres(unit_ND: np.ndarray, seed: int) -> np.ndarray:
    count = max(1, round(len(unit_ND) / ROWS_PER_CELL))
    if count == 1:
        return unit_ND[:1].copy()
    sample = np.sort(np.random.default_rng(seed).permutation(len(unit_ND))[: 64 * count])
    means = faiss_module().Kmeans(unit_ND.shape[1], count, niter=6, seed=seed + 1, spherical=True, min_points_per_centroid=1)
    means.train(unit_ND[sample])
    return means.centroids


def _above(unit_ND: np.ndarray, rows_V: np.ndarray, members_M: np.ndarray, similarity: float) -> tuple[np.ndarray, np.ndarray]:
    pairs, nears, margin = [np.empty((0, 2), dtype=np.int64)], [np.empty(0)], doubt(unit_ND.shape[1])
    step = max(1, BLOCK // max(1, len(members_M)))
    for start in range(0, len(rows_V), step):
        part_B = rows_V[start : start + step]
        at, column = np.nonzero(unit_ND[part_B] @ unit_ND[members_M].T > similarity - margin)
        left, right = part_B[at], members_M[column]
        left, right = np.minimum(left, right)[left != right], np.maximum(left, right)[left != right]
        exact = np.einsum("ed,ed->e", unit_ND[left].astype(np.float64), unit_ND[right].astype(np.float64))
        above = exact > similarity
        pairs.append(np.stack([left[above], right[above]], axis=1))
        nears.append(exact[above])
    return np.concatenate(pairs), np.concatenate(nears)


def _keep_first(pairs_E2: np.ndarray, near_E: np.ndarray, published: int, like_A: np.ndarray, found_A: np.ndarray) -> None:
    """Walk the rows that have an earlier neighbour, in order; published rows stay whatever they resemble."""
    order = np.lexsort((pairs_E2[:, 0], pairs_E2[:, 1]))
    for e in order.tolist():
        earlier, later = pairs_E2[e]
        if later >= published and like_A[later] < 0 and like_A[earlier] < 0:
            like_A[later], found_A[later] = earlier, near_E[e]
