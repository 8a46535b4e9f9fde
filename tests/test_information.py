"""ISA's three readings against the printed loop; the plateau law against the paper's curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.selectors.information import (
    READINGS,
    abs_change,
    information,
    literal,
    mixture_log_likelihood,
    normalised,
    pair_log_likelihood,
    unit_range,
)
from rookery.selectors.plateau import NotIdentified, Plateau, fit

X = np.array([0, 10, 25, 50, 75, 100.0])
CURVES = {
    "HH Golden": [18.27, 78.73, 81.32, 81.60, 83.17, 82.71],
    "OpenAssistant": [8.45, 15.23, 10.42, 17.51, 21.69, 24.66],
    "UltraFeedback": [7.60, 17.13, 23.74, 23.98, 27.48, 26.87],
}
likelihoods = st.lists(st.floats(-50, 5), min_size=1, max_size=30, unique=True).map(np.array)


@settings(max_examples=100, deadline=None)
@given(likelihoods)
def test_the_closed_form_is_the_printed_loop(values):
    p = np.exp(unit_range(values))

    def entropy(kept):
        return -sum(x * np.log(x) for x in kept)

    loop = [entropy(p) - entropy(np.delete(p, i)) for i in range(len(p))]
    assert literal(values) == pytest.approx(loop, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(0, 70))
def test_readings_take_opposite_ends(seed, size, budget):
    values = np.random.default_rng(seed).normal(-100, 30, size=size)
    least, most = np.argsort(values, kind="stable")[:budget], np.argsort(-values, kind="stable")[:budget]
    assert information(values, budget).rows_K.tolist() == least.tolist()
    assert information(values, budget, reading=abs_change).rows_K.tolist() == most.tolist()
    if size >= 8:  # every q is below 1/e, as p lies between 1 and e
        assert information(values, budget, reading=normalised).rows_K.tolist() == most.tolist()


def test_literal_takes_all_outliers_and_says_so():
    rng = np.random.default_rng(0)
    inliers = rng.normal(size=(1000, 8)) + 6 * rng.integers(0, 2, size=(1000, 1))
    features_ND = np.vstack([inliers, rng.uniform(-60, 60, size=(20, 8))])
    values = mixture_log_likelihood(features_ND, starts=3)
    picks = information(values, 100)
    assert set(range(1000, 1020)) <= set(picks.rows_K.tolist())
    assert sorted(picks.rows_K) == sorted(np.argsort(values)[:100])
    assert "takes the least likely rows" in picks.notes[0]
    trimmed = information(values, 100, outlier_trim=20 / 1020)
    assert not set(range(1000, 1020)) & set(trimmed.rows_K.tolist())
    assert "takes the most likely rows" in information(values, 100, reading=READINGS["normalised"]).notes[0]


def test_equal_rows_fall_back_to_row_order():
    for reading in READINGS.values():
        assert information(np.full(5, -3.0), 3, reading=reading).rows_K.tolist() == [0, 1, 2]
    assert pair_log_likelihood(np.array([1.0]), np.array([3.0])).tolist() == [2.0]
    with pytest.raises(ValueError, match="outlier_trim=1"):
        information(np.zeros(3), 1, outlier_trim=1)
    with pytest.raises(ValueError, match="at least two rows"):
        mixture_log_likelihood(np.ones((3, 2)))


@pytest.mark.parametrize(("name", "r", "b", "rmse"), [("HH Golden", 82.2, 0.29, 0.61), ("UltraFeedback", 26.5, 0.069, 0.95)])
def test_the_papers_curves_refitted(name, r, b, rmse):
    law = fit(X, np.array(CURVES[name]))
    assert law.r == pytest.approx(r, abs=0.06)
    assert law.b == pytest.approx(b, rel=0.02)
    assert law.rmse == pytest.approx(rmse, abs=0.006)
    assert law.r_range[0] <= law.r <= law.r_range[1]
    estimate, low, high = law.needed(0.95)
    assert low <= estimate <= high
    assert law.at(estimate) == pytest.approx(law.a + 0.95 * (law.r - law.a))


def test_the_published_parameters_have_the_published_errors():
    published = {"HH Golden": (83.1681, 18.2681, 0.3, 1.11), "UltraFeedback": (27.4849, 7.6038, 0.055, 1.17)}
    published["OpenAssistant"] = (24.6601, 8.4452, 0.02, 2.61)
    for name, (r, a, b, rmse) in published.items():
        law = Plateau(r, a, b, (r, r), (b, b), rmse)
        assert np.sqrt(np.mean((law.at(X) - CURVES[name]) ** 2)) == pytest.approx(rmse, abs=0.006)


def test_no_plateau_is_refused():
    with pytest.raises(NotIdentified, match="a straight line fits"):
        fit(X, np.array(CURVES["OpenAssistant"]))
    with pytest.raises(NotIdentified):
        fit(X, np.array([5, 5.1, 4.9, 5, 5.05, 4.95]))
    with pytest.raises(ValueError, match="5 sizes or more"):
        fit(X[:4], np.ones(4))


@settings(max_examples=40, deadline=None)
@given(st.floats(10, 90), st.floats(0.03, 0.3))
def test_a_noiseless_law_is_found_again(r, b):
    law = fit(X, r - (r - 5) * np.exp(-b * X))
    assert law.r == pytest.approx(r, rel=0.01)
    assert law.b == pytest.approx(b, rel=0.01)
