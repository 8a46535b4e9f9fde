"""The held-out set: near its centres, without twins, and with nobody's conversation on both sides."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.selectors.held_out import mainstream, related


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 5), st.integers(0, 3))
def test_picks_are_distinct_few_enough_and_the_same_again(count, groups, nearest, seed):
    vectors_ND = unit(np.random.default_rng(seed).normal(size=(count, 8))) if count else np.empty((0, 8))
    picks = mainstream(vectors_ND, groups=groups, nearest=nearest, seed=seed)
    assert len(set(picks.tolist())) == len(picks) <= groups * nearest
    assert picks.tolist() == mainstream(vectors_ND, groups=groups, nearest=nearest, seed=seed).tolist()


def test_outliers_of_a_group_are_left_and_twins_are_taken_once():
    rng = np.random.default_rng(0)
    centres = np.eye(16)[:4]
    near = np.concatenate([centre + rng.normal(scale=0.12, size=(20, 16)) for centre in centres])
    far = np.concatenate([centre + rng.normal(scale=0.45, size=(5, 16)) for centre in centres])
    vectors_ND = unit(np.concatenate([near, far, near[:1]]))
    picks = mainstream(vectors_ND, groups=4, nearest=5, most_alike=0.99)
    assert (picks < 80).mean() > 0.9
    assert not {0, 100} <= set(picks.tolist())
    assert len(picks) == 20


def test_a_users_other_conversations_are_held_out_too():
    rows = related(np.array([0]), ["a", "a", "b", "c"], ["u", "u", "u", None])
    assert rows.tolist() == [0, 1, 2]
    assert related(np.array([3]), ["a", "a", "b", "c"], ["u", "u", None, None]).tolist() == [3]
