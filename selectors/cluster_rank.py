"""CaR, cluster and rank: the best rows overall, and the best row of every cluster.

Ge et al., "Clustering and Ranking", arXiv:2402.18191, section 3: embeddings reduced by PCA to 95% of their variance,
k-means with k = √(n/2), the union of the top `overall` by quality and the top `of_each` of every cluster.
The paper's n1 is 1,000 and its n2 is 1; the budget here is what the union may hold: `overall` rows first, then cluster
bests from the best-scored cluster on, then (the paper would stop) second bests, and so on round by round.
"""

from __future__ import annotations

import numpy as np

from .picks import Picks, best_first, check, picked

FIT_ROWS_PER_CLUSTER = 256  # k-means is fitted to a sample of this many rows for each cluster, and places all rows


def cluster_rank(
    features_ND: np.ndarray,
    scores_N: np.ndarray,
    budget: int,
    *,
    overall: int = 1000,
    clusters: int | None = None,
    variance: float = 0.95,
    seed: int = 0,
) -> Picks:
    """The best `overall` rows, then round after round the best row left of each cluster; gains are the scores."""
    check(features_ND=features_ND, scores_N=scores_N, budget=budget)
    groups_N = clusters_of(features_ND, clusters, variance=variance, seed=seed)
    return rank_in_clusters(groups_N, scores_N, budget, overall=overall)


def rank_in_clusters(groups_N: np.ndarray, scores_N: np.ndarray, budget: int, *, overall: int = 1000) -> Picks:
    """CaR's ranking for clusters that are given."""
    check(scores_N=scores_N, budget=budget)
    order_N = best_first(scores_N)
    seen: dict[int, int] = {}
    round_N = np.zeros(len(order_N), dtype=np.int64)  # 0 for a cluster's best, 1 for its second best, …
    for place, group in enumerate(groups_N[order_N].tolist()):
        round_N[place] = seen.get(group, 0)
        seen[group] = round_N[place] + 1
    rest = order_N[overall:][np.argsort(round_N[overall:], kind="stable")]
    rows_K = np.concatenate([order_N[:overall], rest])[:budget]
    reasons_K = np.full(len(rows_K), "best of its cluster", dtype=object)
    reasons_K[:overall] = "among the best overall"
    return picked(rows_K, np.asarray(scores_N, dtype=np.float64)[rows_K], reasons_K)


def clusters_of(features_ND: np.ndarray, clusters: int | None = None, *, variance: float = 0.95, seed: int = 0) -> np.ndarray:
    """k-means labels after PCA; k = √(n/2) unless given."""
    from sklearn.cluster import KMeans  # sentence-transformers brings scikit-learn

    count = max(1, round((len(features_ND) / 2) ** 0.5)) if clusters is None else clusters
    if not 1 <= count <= len(features_ND):
        raise ValueError(f"clusters={clusters}: expected 1 to {len(features_ND)}, one row each at most")
    reduced_ND = principal(features_ND, variance)
    sample = np.random.default_rng(seed).permutation(len(features_ND))[: FIT_ROWS_PER_CLUSTER * count]
    fitted = KMeans(count, n_init=1, random_state=seed).fit(reduced_ND[np.sort(sample)])
    return fitted.predict(reduced_ND).astype(np.int64)


def principal(features_ND: np.ndarray, keep: float | int) -> np.ndarray:
    """Rows on their principal axes: as many as hold a share `keep` of the variance, or `keep` of them; float32."""
    mean_D = features_ND.mean(axis=0, dtype=np.float64)
    covariance_DD = np.zeros((features_ND.shape[1],) * 2)
    for start in range(0, len(features_ND), 8192):
        block_BD = features_ND[start : start + 8192].astype(np.float64) - mean_D
        covariance_DD += block_BD.T @ block_BD
    values_D, axes_DD = np.linalg.eigh(covariance_DD)
    values_D, axes_DD = np.maximum(values_D[::-1], 0), axes_DD[:, ::-1]
    share_D = np.cumsum(values_D) / max(values_D.sum(), 1e-300)
    width = min(keep, len(values_D)) if isinstance(keep, int) else int(np.searchsorted(share_D, keep - 1e-12) + 1)
    reduced_NP = np.empty((len(features_ND), min(width, len(values_D))), dtype=np.float32)
    for start in range(0, len(features_ND), 8192):
        part = slice(start, start + 8192)
        reduced_NP[part] = (features_ND[part].astype(np.float64) - mean_D) @ axes_DD[:, : reduced_NP.shape[1]]
    return reduced_NP
