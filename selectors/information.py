"""Information sampling (ISA): rows by how they change the entropy of a mixture fitted to their embeddings.

Khera, Ghosh and Dutta, "Efficient Alignment of LLMs via Data Sampling", arXiv:2411.10545, section 4: fit a Gaussian
mixture of two components, scale log-likelihoods to ℓ' in [0, 1], let p = exp(ℓ'), and take the rows whose removal
changes H = -Σ p log p the most. No code was published, and the text allows three readings with two opposite results:

- `literal`: the signed change, as the algorithm is printed. H is a sum, so the change is -p log p, which falls with ℓ':
  the *least* likely rows are taken. Garbled rows are the least likely of all: filter first, or trim.
- `abs_change`: the size of the change. The *most* likely rows.
- `normalised`: p divided by its sum first, the textbook entropy. The *most* likely rows: -q log q rises for q < 1/e,
  and where one row holds more than 1/e of all, that row alone is placed by its own value.

The printed leave-one-out loop is O(n²); the closed form here is O(n). Covariance and dimension are unstated: here PCA,
full covariance, five starts, a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .cluster_rank import principal
from .picks import Picks, check, picked

Reading = Callable[[np.ndarray], np.ndarray]  # log-likelihoods -> what is sorted, highest first


def literal(log_likelihood_N: np.ndarray) -> np.ndarray:
    scaled_N = unit_range(log_likelihood_N)
    return -scaled_N * np.exp(scaled_N)


def abs_change(log_likelihood_N: np.ndarray) -> np.ndarray:
    return np.abs(literal(log_likelihood_N))


def normalised(log_likelihood_N: np.ndarray) -> np.ndarray:
    q_N = np.exp(unit_range(log_likelihood_N))
    q_N = q_N / q_N.sum()
    return -q_N * np.log(q_N)


READINGS: dict[str, Reading] = {"literal": literal, "abs_change": abs_change, "normalised": normalised}


def information(log_likelihood_N: np.ndarray, budget: int, *, reading: Reading = literal, outlier_trim: float = 0.0) -> Picks:
    """Rows by their change of entropy; gains are that change in nats.

    `outlier_trim` is the share of the pool, least likely first, that is left out beforehand.
    """
    log_likelihood_N = np.asarray(log_likelihood_N, dtype=np.float64)
    check(scores_N=log_likelihood_N, budget=budget)
    if not 0 <= outlier_trim < 1:
        raise ValueError(f"outlier_trim={outlier_trim}: expected a share of the pool, 0 or more and below 1")
    order_N = np.argsort(log_likelihood_N, kind="stable")
    pool = np.sort(order_N[round(outlier_trim * len(order_N)) :])
    change_P = reading(log_likelihood_N[pool])
    rows_K = pool[np.argsort(-change_P, kind="stable")][:budget]
    gains_K = np.sort(-change_P, kind="stable")[:budget] * -1.0
    notes = []
    if 0 < len(rows_K) < len(pool):
        low, middle = (float(np.median(log_likelihood_N[rows])) for rows in (rows_K, pool))
        side = "least" if low < middle else "most"
        worst = float(log_likelihood_N[rows_K].min())
        notes = [f"takes the {side} likely rows: median log-likelihood {low:.4g} (lowest {worst:.4g}), pool {middle:.4g}"]
    return picked(rows_K, gains_K, "changes the entropy most", *notes)


def unit_range(log_likelihood_N: np.ndarray) -> np.ndarray:
    """Scaled to [0, 1]; all 0 where all are equal."""
    spread = np.ptp(log_likelihood_N) if len(log_likelihood_N) else 0.0
    return (log_likelihood_N - log_likelihood_N.min()) / spread if spread > 0 else np.zeros(len(log_likelihood_N))


def mixture_log_likelihood(
    features_ND: np.ndarray,
    *,
    components: int = 2,
    pca: int = 64,
    covariance: str = "full",
    starts: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """Log-likelihood in nats of each row under a Gaussian mixture fitted to all, on `pca` principal axes."""
    from sklearn.mixture import GaussianMixture  # sentence-transformers brings scikit-learn

    check(features_ND=features_ND)
    if len(features_ND) < 2 * components:
        raise ValueError(f"{len(features_ND)} rows for {components} components: expected at least two rows for each")
    reduced_NP = principal(features_ND, min(pca, features_ND.shape[1], len(features_ND) // 2)).astype(np.float64)
    mixture = GaussianMixture(components, covariance_type=covariance, reg_covar=1e-6, n_init=starts, random_state=seed)
    return mixture.fit(reduced_NP).score_samples(reduced_NP)


def pair_log_likelihood(chosen_N: np.ndarray, rejected_N: np.ndarray) -> np.ndarray:
    """One number for a preference pair, so that a pair is kept or dropped as a whole: the mean of its two rows'."""
    return (np.asarray(chosen_N, dtype=np.float64) + np.asarray(rejected_N, dtype=np.float64)) / 2
