"""MIG and NovelSelect against the authors' dense loops, and what their loops get wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import by_angle, clustered

from rookery.selectors.mig import information_of, mig, propagation
from rookery.selectors.novelselect import density, novelselect, novelsum
from rookery.selectors.picks import Shortfall


def dense_propagation(vectors_TD, least, spread):
    unit = vectors_TD / np.linalg.norm(vectors_TD, axis=1, keepdims=True)
    near = unit.astype(np.float32) @ unit.astype(np.float32).T
    edges = np.where(near >= least, spread * near.astype(float), 0.0)
    np.fill_diagonal(edges, 1.0)
    return edges / edges.sum(axis=0)


@st.composite
def labelled(draw):
    size, labels = draw(st.integers(1, 10)), draw(st.integers(1, 6))
    rows = draw(st.lists(st.lists(st.integers(0, labels - 1), max_size=4), min_size=size, max_size=size))
    quality = np.array(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), dtype=float)
    vectors = clustered(np.random.default_rng(draw(st.integers(0, 99))), labels, 3, 2, 0.3)
    return rows, quality, vectors


@settings(max_examples=200, deadline=None)
@given(labelled(), st.integers(0, 10), st.sampled_from([0.0, 1.0]))
@pytest.mark.filterwarnings("ignore::rookery.selectors.picks.Shortfall")
def test_mig_equals_the_dense_loop(pool, budget, spread):
    rows, quality, vectors = pool
    marked = np.array([[label in mine for label in range(len(vectors))] for mine in rows], dtype=float)
    carried = (quality[:, None] * marked) @ dense_propagation(vectors, 0.9, spread)
    now, taken = np.zeros(len(vectors)), []
    while len(taken) < budget:
        gains = (carried @ (0.8 * (now + 1e-6) ** -0.2)).round(9)
        gains[taken] = -1
        gains[carried.sum(axis=1) == 0] = -1
        if gains.max() < 0 or len(taken) == len(rows):
            break
        taken.append(int(gains.argmax()))
        now += carried[taken[-1]]
    picks = mig(rows, quality, budget, label_vectors_TD=vectors, spread=spread)
    assert picks.rows_K.tolist() == taken
    assert np.all(np.diff(picks.gains_K) <= 1e-9)


def test_what_is_sent_along_edges_is_all_that_arrives():
    vectors = clustered(np.random.default_rng(0), 12, 3, 3, 0.2)
    to, weight, starts = propagation(vectors)
    matrix = np.zeros((12, 12))
    for label in range(12):
        matrix[label, to[starts[label] : starts[label + 1]]] = weight[starts[label] : starts[label + 1]]
    assert matrix.sum(axis=0) == pytest.approx(np.ones(12))
    assert matrix == pytest.approx(dense_propagation(vectors, 0.9, 1.0), abs=1e-6)


def test_mig_prefers_the_uncovered_label_and_refuses_nonsense():
    picks = mig([[0], [0], [1]], np.array([2, 2, 1.5]), 3, label_vectors_TD=np.eye(2))
    assert picks.rows_K.tolist() == [0, 2, 1]
    assert information_of(np.array([1.0, 0.0])) == 1.0
    with pytest.warns(Shortfall, match="no labels"):
        assert mig([[0], []], np.ones(2), 2, label_vectors_TD=np.eye(1)).rows_K.tolist() == [0]
    with pytest.raises(ValueError, match=r"quality of row 1 is -1.0.*labels \[7\]"):
        mig([[0], [7]], np.array([1, -1.0]), 1, label_vectors_TD=np.eye(2))


def naive_novelselect(features_ND, budget, first, densities, scores):
    unit = (features_ND / np.linalg.norm(features_ND, axis=1, keepdims=True)).astype(np.float32).astype(float)
    taken = [first]
    while len(taken) < budget:
        sums = []
        for x in range(len(unit)):
            d = sorted(max(1 - unit[x] @ unit[s], 0) * (densities[x] + densities[s]) for s in taken)
            sums.append(round(scores[x] * sum(value / (r + 1) for r, value in enumerate(d)), 9))
        taken.append(max((x for x in range(len(unit)) if x not in taken), key=lambda x: (sums[x], -x)))
    return taken


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 24), st.integers(1, 12), st.booleans())
def test_novelselect_equals_the_authors_loop(seed, size, budget, with_scores):
    rng = np.random.default_rng(seed)
    features_ND = clustered(rng, size, 4, 4, 0.4)
    features_ND[size // 2] = features_ND[0]
    scores = rng.uniform(1, 2, size=size) if with_scores else np.ones(size)
    densities, budget = density(features_ND, features_ND), min(budget, size)
    picks = novelselect(features_ND, budget, np.random.default_rng(seed), scores_N=scores)
    assert picks.rows_K.tolist() == naive_novelselect(features_ND, budget, picks.rows_K[0], densities, scores)
    assert len(set(picks.rows_K.tolist())) == budget


def test_novelselect_is_nested_and_bounds_hold_beyond_one_batch():
    features_ND = clustered(np.random.default_rng(5), 300, 8, 10, 0.3)
    small, large = (novelselect(features_ND, k, np.random.default_rng(1)).rows_K.tolist() for k in (10, 25))
    assert small == large[:10]
    densities = density(features_ND, features_ND)
    assert large == naive_novelselect(features_ND, 25, large[0], densities, np.ones(300))
    assert len(novelselect(features_ND, 0, np.random.default_rng(1))) == 0


def test_novelsum_equals_its_definition_and_counts_itself():
    features_ND = clustered(np.random.default_rng(2), 20, 5, 3)
    sigma = density(features_ND, clustered(np.random.default_rng(3), 50, 5, 3))
    means = []
    for x in range(20):
        distance = np.sort(sigma[x] * (1 - features_ND @ features_ND[x]))
        means.append(np.average(distance, weights=1 / np.arange(1, 21)))
    assert novelsum(features_ND, sigma) == pytest.approx(np.mean(means), abs=1e-9)
    two = by_angle(0, 90)
    assert novelsum(two, np.ones(2)) == pytest.approx((0 + 1 / 2) / 1.5)


def test_density_is_of_squared_distances_to_distinct_others():
    reference = np.vstack([by_angle(0, 10, 20), by_angle(10)])
    squared = [2 - 2 * np.cos(np.deg2rad(angle)) for angle in (10, 20)]
    assert density(reference, reference)[0] == pytest.approx(1 / np.sqrt(np.mean(squared) + 1e-9), rel=1e-4)
    assert novelsum(by_angle(0, 1, 2, 3), np.ones(4)) < novelsum(by_angle(0, 40, 80, 120), np.ones(4))
