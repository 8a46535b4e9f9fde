"""Deita's filter: the specification's vectors and traps, and equality with the naive loop for any block size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import by_angle, clustered, pools

from rookery.selectors.deita import deita, deita_relaxed, turn_scores
from rookery.selectors.picks import Shortfall

FIVE = by_angle(0, 10, 30, 60, 62)
SQUARES = np.array([5, 4, 3, 2, 1.0]) ** 2


def naive(features_ND, scores_N, budget, ceiling):
    """The authors' loop with batch_size 1, in float64, one pair at a time."""
    unit_ND = features_ND / np.sqrt((features_ND * features_ND).sum(1))[:, None]
    taken = []
    for row in sorted(range(len(scores_N)), key=lambda row: (-scores_N[row], row)):
        if budget is not None and len(taken) >= budget:
            break
        if all(min((unit_ND[row] * unit_ND[s]).sum(), 1.0) <= ceiling for s in taken):
            taken.append(row)
    return taken


def test_vectors_of_the_specification():
    picks = deita(FIVE, SQUARES, None)
    assert picks.rows_K.tolist() == [0, 2, 3]
    assert picks.gains_K.tolist() == [25, 9, 4]
    assert deita(FIVE, SQUARES, 2).rows_K.tolist() == [0, 2]
    assert deita(by_angle(0, 45, 90), np.full(3, 6.0), None).rows_K.tolist() == [0, 1, 2]


def test_only_accepted_rows_reject_in_any_block():
    """At 0°, 20°, 40° the authors' batches of 2 lose the last row to the rejected middle one."""
    for block in (1, 2, 3, 512):
        assert deita(by_angle(0, 20, 40), np.array([3, 2, 1.0]), None, block=block).rows_K.tolist() == [0, 2]


def test_exactly_at_the_ceiling_is_kept():
    at_60 = np.array([[1.0, 0.0], [3.0, 4.0]])  # a cosine of 0.6 without rounding
    assert len(deita(at_60, np.ones(2), None, ceiling=0.6)) == 2
    assert len(deita(at_60, np.ones(2), None, ceiling=np.nextafter(0.6, 0))) == 1


def test_multi_turn_scores():
    scores = turn_scores([[5], [2, 2, 2], [3]], [[5], [3, 3, 3.5], [3]])
    assert scores.tolist() == [25, 19, 9]
    assert turn_scores([[2, 4]], [[3, 1]], "mean").tolist() == [5]
    assert turn_scores([[2, 4]], [[3, 1]], "max").tolist() == [6]
    assert turn_scores([[2, 4]], [[3, 2]], "first").tolist() == [6]


def test_turn_lists_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="row 0: 2 complexities, 1 qualities"):
        turn_scores([[5, 2]], [[5]])
    with pytest.raises(ValueError, match="row 0"):
        turn_scores([[]], [[]])


def test_what_cannot_be_compared_is_refused_by_name():
    features_ND = np.array([[1.0, 0], [0, 0], [np.nan, 1], [0, 1]])
    with pytest.raises(ValueError, match=r"not_finite_score in 1 rows \(3\).*not_finite_vector.*zero_vector"):
        deita(features_ND, np.array([5, 4, 3, np.nan]), 2)
    with pytest.raises(ValueError, match="3 scores for 4 vectors"):
        deita(features_ND, np.ones(3), 2)
    with pytest.raises(ValueError, match="budget=-1"):
        deita(features_ND[:1], np.ones(1), -1)
    with pytest.raises(ValueError, match="ceiling=90"):
        deita(features_ND[:1], np.ones(1), 1, ceiling=90)


def test_a_short_result_says_so():
    with pytest.warns(Shortfall, match="3 of 5 rows"):
        picks = deita(FIVE, SQUARES, 5)
    assert "raise it" in picks.notes[0]
    assert len(deita(FIVE, SQUARES, 0)) == 0


def test_the_ceiling_rises_until_the_budget_is_met():
    picks = deita_relaxed(FIVE, SQUARES, 4, step=0.01)
    assert picks.rows_K.tolist() == [0, 1, 2, 3]
    assert "raised from 0.9 to 0.99" in picks.notes[0]
    assert deita_relaxed(FIVE, SQUARES, 3).notes == ()
    assert len(deita_relaxed(np.ones((4, 2)), np.ones(4), 4)) == 4


@settings(max_examples=300, deadline=None)
@given(pools(), st.none() | st.integers(0, 14), st.sampled_from([-0.5, 0.0, 0.5, 0.6, 0.8, 0.9, 1.0]), st.integers(1, 7))
@pytest.mark.filterwarnings("ignore::rookery.selectors.picks.Shortfall")
def test_equals_the_naive_loop(pool, budget, ceiling, block):
    features_ND, scores_N = pool
    picks = deita(features_ND, scores_N, budget, ceiling=ceiling, block=block)
    assert picks.rows_K.tolist() == naive(features_ND, scores_N, budget, ceiling)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3, 17, 64, 512]), st.sampled_from([np.float16, np.float32, np.float64]))
def test_equals_the_naive_loop_on_clusters_of_any_type(seed, block, dtype):
    rng = np.random.default_rng(seed)
    features_ND = clustered(rng, 120, 16, 10).astype(dtype)
    scores_N = rng.normal(size=120).round(1)
    picks = deita(features_ND, scores_N, None, block=block)
    assert picks.rows_K.tolist() == naive(features_ND.astype(np.float64), scores_N, None, 0.9)


@settings(max_examples=50, deadline=None)
@given(pools(), st.integers(0, 10), st.integers(0, 10))
@pytest.mark.filterwarnings("ignore::rookery.selectors.picks.Shortfall")
def test_nested_in_the_budget(pool, small, more):
    larger = deita(*pool, small + more)
    assert deita(*pool, small).rows_K.tolist() == larger.rows_K[:small].tolist()
    assert np.all(np.diff(larger.gains_K) <= 0)


def test_progress_and_a_memory_map(tmp_path):
    rng = np.random.default_rng(0)
    features_ND = clustered(rng, 3000, 8, 300, 0.2).astype(np.float32)
    np.save(tmp_path / "pool.npy", features_ND)
    seen = []
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    scores_N = rng.normal(size=3000)
    picks = deita(mapped, scores_N, 100, progress=lambda done, of: seen.append((done, of)))
    assert picks.rows_K.tolist() == naive(features_ND.astype(float), scores_N, 100, 0.9)
    assert seen[-1] == (100, 100)
