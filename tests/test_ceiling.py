"""The walk under a ceiling: shadows never hide a pair, and the outcome is the naive one however it is computed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import clustered, pools

from rookery.selectors import ceiling as module
from rookery.selectors.ceiling import shadows, walk


def naive(features_ND, order, ceiling, kept=0):
    unit_ND = features_ND / np.sqrt((features_ND * features_ND).sum(1))[:, None]
    chosen, like = [int(row) for row in order[:kept]], {}
    for row in order[kept:]:
        near = [s for s in chosen if min((unit_ND[row] * unit_ND[s]).sum(), 1.0) > ceiling]
        if near:
            like[int(row)] = near
        else:
            chosen.append(int(row))
    return chosen, like


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 11))
def test_a_shadow_is_never_below_the_cosine(seed, width):
    rng = np.random.default_rng(seed)
    unit_ND = clustered(rng, 40, 12, 5).astype(np.float32)
    axes_DP = np.linalg.qr(rng.normal(size=(12, 12)))[0][:, :width].astype(np.float32)
    cast = shadows(unit_ND, axes_DP)
    assert np.all(cast @ cast.T >= unit_ND.astype(float) @ unit_ND.T - 1e-6)


@settings(max_examples=100, deadline=None)
@given(pools(most=16), st.sampled_from([0.0, 0.6, 0.9]), st.integers(1, 6), st.integers(0, 4))
def test_equals_the_naive_walk_and_names_the_row_that_is_resembled(pool, ceiling, block, kept):
    features_ND, scores_N = pool
    order, kept = np.argsort(scores_N, kind="stable"), min(kept, len(scores_N))
    walked = walk(features_ND, order, ceiling, block=block, kept=kept)
    chosen, like = naive(features_ND, order, ceiling, kept)
    assert walked.kept_K.tolist() == chosen
    assert {row for row in range(len(order)) if walked.like_N[row] >= 0} == set(like)
    assert all(int(walked.like_N[row]) in near for row, near in like.items())


def test_shadows_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    features_ND = clustered(rng, 1500, 64, 100, 0.15) * rng.uniform(0.5, 2, size=(1500, 1))
    order = rng.permutation(1500)
    whole = walk(features_ND, order, 0.9)
    monkeypatch.setattr(module, "SMALL", 10)
    monkeypatch.setattr(module, "LOOK", 0.0)
    state = module._State(features_ND, 0.9, 1500, 1500)
    assert state.axes_DP is not None
    shadowed = walk(features_ND, order, 0.9, block=100)
    assert 100 <= len(whole.kept_K) < 1500
    assert shadowed.kept_K.tolist() == whole.kept_K.tolist()
    assert whole.kept_K.tolist() == naive(features_ND, order, 0.9)[0]
