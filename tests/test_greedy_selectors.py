"""Facility location, QDIT, k-center and greedy DPP against their naive loops, and the laws of greedy selection."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import by_angle, clustered, pools

from rookery.selectors.dpp import dpp_map, dpp_sample
from rookery.selectors.facility_location import coverage, facility_location, facility_location_sparse, qdit
from rookery.selectors.k_center import k_center, radius
from rookery.selectors.near import neighbours


def unit(features_ND):
    return features_ND / np.sqrt((features_ND * features_ND).sum(1))[:, None]


def greedy(size, budget, gain):
    """The plain loop: the largest gain, ties (to nine decimals) to the lower row."""
    taken = []
    for _ in range(min(budget, size)):
        left = [row for row in range(size) if row not in taken]
        taken.append(max(left, key=lambda row: (round(gain(row, taken), 9), -row)))
    return taken


def value(similar_NN, rows):
    return similar_NN[:, list(rows)].max(axis=1).sum() if len(rows) else 0.0


@settings(max_examples=150, deadline=None)
@given(pools(), st.integers(0, 8), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_qdit_equals_the_plain_loop(pool, budget, weight):
    features_ND, scores_N = pool
    similar_NN = np.maximum(unit(features_ND) @ unit(features_ND).T, 0)
    spread = np.ptp(scores_N)
    quality_N = (scores_N - scores_N.min()) / spread if spread else np.zeros(len(scores_N))

    def gain(row, taken):
        rise = value(similar_NN, [*taken, row]) - value(similar_NN, taken)
        return (1 - weight) * rise / len(scores_N) + weight * quality_N[row]

    picks = qdit(features_ND, scores_N, budget, weight_of_score=weight)
    assert picks.rows_K.tolist() == greedy(len(scores_N), budget, gain)
    assert np.all(np.diff(picks.gains_K) <= 1e-9)


@settings(max_examples=80, deadline=None)
@given(pools(most=8), st.integers(1, 4))
def test_facility_location_is_within_its_bound_of_the_best(pool, budget):
    features_ND, _ = pool
    budget = min(budget, len(features_ND))
    similar_NN = np.maximum(unit(features_ND) @ unit(features_ND).T, 0)
    best = max(value(similar_NN, rows) for rows in combinations(range(len(features_ND)), budget))
    picks = facility_location(features_ND, budget)
    assert value(similar_NN, picks.rows_K) >= (1 - 1 / np.e) * best - 1e-9
    assert picks.gains_K.sum() == pytest.approx(value(similar_NN, picks.rows_K) / len(features_ND), abs=1e-6)
    assert coverage(features_ND, picks.rows_K) == pytest.approx(picks.gains_K.sum(), abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_sparse_form_with_all_neighbours_is_the_dense_form(seed, budget):
    features_ND = clustered(np.random.default_rng(seed), 12, 5, 4)
    near = neighbours(features_ND, features_ND, 11, skip_self=True)
    dense, sparse = facility_location(features_ND, budget), facility_location_sparse(near, budget)
    assert sparse.gains_K == pytest.approx(dense.gains_K, abs=1e-5)


def test_a_sample_may_stand_for_the_pool():
    features_ND = np.zeros((5, 4))
    features_ND[:3, :2], features_ND[3:, 2:] = by_angle(0, 1, 2), by_angle(0, 1)
    assert facility_location(features_ND, 2).rows_K.tolist() == [1, 3]
    assert facility_location(features_ND, 1, represented_VD=features_ND[4:]).rows_K.tolist() == [4]


@settings(max_examples=150, deadline=None)
@given(pools(), st.integers(1, 9))
def test_k_center_equals_the_plain_loop(pool, budget):
    unit_ND = unit(pool[0])
    picks = k_center(pool[0], budget)
    first = picks.rows_K[0]
    mean_D = unit_ND.sum(0)
    assert unit_ND[first] @ mean_D == pytest.approx((unit_ND @ mean_D).min())

    def gain(row, taken):
        return max(0.0, min(1 - unit_ND[row] @ unit_ND[s] for s in taken)) if taken else float(row == first)

    assert picks.rows_K.tolist() == greedy(len(unit_ND), budget, gain)
    assert np.all(np.diff(picks.gains_K) <= 1e-9)


@settings(max_examples=60, deadline=None)
@given(pools(most=8), st.integers(1, 4))
def test_k_center_is_within_twice_the_best_radius(pool, budget):
    unit_ND = unit(pool[0])
    budget = min(budget, len(unit_ND))

    def reach(rows):  # Euclidean, for which the bound is proved
        return np.sqrt(max(0.0, 2 * radius(pool[0], np.array(rows))))

    best = min(reach(rows) for rows in combinations(range(len(unit_ND)), budget))
    assert reach(k_center(pool[0], budget).rows_K) <= 2 * best + 1e-6


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_dpp_map_equals_the_plain_loop(seed, budget, with_quality):
    rng = np.random.default_rng(seed)
    features_ND, quality_N = rng.normal(size=(9, 4)), rng.uniform(0.5, 2, size=9)
    weighted_ND = unit(features_ND) * (quality_N[:, None] if with_quality else 1.0)
    kernel_NN = weighted_ND @ weighted_ND.T

    def gain(row, taken):
        both, before = [*taken, row], np.linalg.slogdet(kernel_NN[np.ix_(taken, taken)])[1] if taken else 0.0
        return np.linalg.slogdet(kernel_NN[np.ix_(both, both)])[1] - before

    picks = dpp_map(features_ND, budget, quality_N=quality_N if with_quality else None)
    assert picks.rows_K.tolist() == greedy(9, budget, gain)
    assert np.all(np.diff(picks.gains_K) <= 1e-9)
    taken = picks.rows_K
    assert picks.gains_K.sum() == pytest.approx(np.linalg.slogdet(kernel_NN[np.ix_(taken, taken)])[1], abs=1e-6)


def test_a_dpp_ends_at_the_rank_and_says_so():
    for choose in (dpp_map, lambda rows, k: dpp_sample(rows, k, np.random.default_rng(0))):
        with pytest.raises(ValueError, match="span 2 directions"):
            choose(by_angle(0, 10, 20, 30), 3)
    with pytest.raises(ValueError, match="expected above 0"):
        dpp_map(by_angle(0, 10), 1, quality_N=np.array([1, 0.0]))


def test_k_dpp_frequencies_follow_determinants():
    rng = np.random.default_rng(0)
    features_ND, quality_N = rng.normal(size=(5, 3)), np.array([1, 2, 1, 0.7, 1.5])
    weighted_ND = unit(features_ND) * quality_N[:, None]
    kernel_NN = weighted_ND @ weighted_ND.T
    pairs = list(combinations(range(5), 2))
    expected = np.array([np.linalg.det(kernel_NN[np.ix_(pair, pair)]) for pair in pairs])
    draws = [tuple(sorted(dpp_sample(features_ND, 2, rng, quality_N=quality_N).rows_K)) for _ in range(4000)]
    seen = np.array([draws.count(pair) for pair in pairs]) / len(draws)
    assert np.abs(seen - expected / expected.sum()).max() < 0.03


@settings(max_examples=40, deadline=None)
@given(pools(), st.integers(0, 6), st.integers(0, 6))
def test_nested_in_the_budget(pool, small, more):
    for choose in (facility_location, k_center, lambda rows, k: qdit(rows, pool[1], k)):
        larger = choose(pool[0], small + more)
        assert choose(pool[0], small).rows_K.tolist() == larger.rows_K[:small].tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_permuting_the_pool_permutes_the_picks(seed, budget):
    rng = np.random.default_rng(seed)
    features_ND, scores_N, order = clustered(rng, 15, 6, 5), rng.normal(size=15), rng.permutation(15)
    for choose in (
        lambda f, s: facility_location(f, budget),
        lambda f, s: qdit(f, s, budget),
        lambda f, s: k_center(f, budget),
        lambda f, s: dpp_map(f, min(budget, 6), quality_N=np.exp(s)),
    ):
        there = choose(features_ND, scores_N).rows_K
        assert order[choose(features_ND[order], scores_N[order]).rows_K].tolist() == there.tolist()
