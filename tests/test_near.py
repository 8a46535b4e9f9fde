"""Neighbours: faiss and numpy agree, approximate is near, the order of ties is the rows' own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import by_angle, clustered, pools

from rookery.selectors import near
from rookery.selectors.near import cosines, doubt, neighbours, neighbours_in_cells, squared_distance, unit


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 45), st.booleans())
def test_faiss_and_numpy_agree(seed, size, k, skip_self):
    rows_ND = clustered(np.random.default_rng(seed), size, 6, 4, 0.5)
    by_faiss = neighbours(rows_ND, rows_ND, k, skip_self=skip_self)
    had, near.HAS_FAISS = near.HAS_FAISS, False
    try:
        by_numpy = neighbours(rows_ND, rows_ND, k, skip_self=skip_self)
    finally:
        near.HAS_FAISS = had
    assert by_faiss.similarity_QK == pytest.approx(by_numpy.similarity_QK, abs=1e-5)
    assert by_faiss.rows_QK.shape[1] == min(k, size)
    near_NN = rows_ND @ rows_ND.T
    if skip_self:
        np.fill_diagonal(near_NN, -np.inf)
    best_NK = -np.sort(-near_NN, axis=1)[:, : by_faiss.rows_QK.shape[1]]
    assert by_faiss.similarity_QK == pytest.approx(best_NK, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(pools())
def test_every_other_row_is_found_once_and_never_the_row_itself(pool):
    features_ND, _ = pool
    found = neighbours(features_ND, features_ND, len(features_ND) - 1 or 1, skip_self=True)
    for row, others in enumerate(found.rows_QK.tolist()):
        assert sorted(other for other in others if other >= 0) == [other for other in range(len(features_ND)) if other != row]
    assert np.all(np.diff(found.similarity_QK, axis=1) <= 1e-6) or len(features_ND) == 1


def test_equal_rows_come_in_row_order():
    found = neighbours(by_angle(0), by_angle(0, 90, 0, 0), 3)
    assert found.rows_QK.tolist() == [[0, 2, 3]]


def test_cells_are_near_the_exact_answer():
    rows_ND = clustered(np.random.default_rng(0), 4000, 32, 200, 0.3)
    exact, cells = (find(rows_ND, rows_ND, 5, skip_self=True) for find in (neighbours, neighbours_in_cells))
    shared = [len(set(a) & set(b)) / 5 for a, b in zip(exact.rows_QK, cells.rows_QK, strict=True)]
    assert np.mean(shared) > 0.9
    again = neighbours_in_cells(rows_ND, rows_ND, 5, skip_self=True)
    assert np.array_equal(again.rows_QK, cells.rows_QK)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3, 64, 384]))
def test_float32_stays_within_its_doubt(seed, dimensions):
    rows_ND = clustered(np.random.default_rng(seed), 20, dimensions, 3)
    exact_NN = np.stack([cosines(row_D, rows_ND) for row_D in rows_ND])
    single_ND = unit(rows_ND)
    assert np.abs(single_ND @ single_ND.T - exact_NN).max() < doubt(dimensions)
    assert np.array_equal(exact_NN, exact_NN.T)


def test_distances_and_refusals():
    assert squared_distance(0.975) == pytest.approx(0.05)
    with pytest.raises(ValueError, match=r"zero_vector in 1 rows \(1\)"):
        unit(np.array([[1.0, 0], [0, 0]]))
    with pytest.raises(ValueError, match="one row per pool row"):
        neighbours(np.ones(3), np.ones((2, 3)), 1)
