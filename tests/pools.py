"""Pools for the selectors' tests: small, often adversarial (exact copies, ties, equal directions), always seeded."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def pools(draw, most=14, dimensions=4):
    """(features_ND, scores_N): directions on a coarse grid, so that copies and ties are common."""
    size = draw(st.integers(1, most))
    grid = st.lists(st.integers(-2, 2), min_size=dimensions, max_size=dimensions).filter(any)
    features_ND = np.array(draw(st.lists(grid, min_size=size, max_size=size)), dtype=np.float64)
    scores_N = np.array(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), dtype=np.float64)
    return features_ND, scores_N


def clustered(rng, size, dimensions, clusters, spread=0.3):
    """Unit rows around `clusters` centres."""
    centres_CD = rng.normal(size=(clusters, dimensions))
    rows_ND = centres_CD[rng.integers(clusters, size=size)] + spread * rng.normal(size=(size, dimensions))
    return rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)


def by_angle(*degrees):
    """Unit vectors in the plane."""
    radians = np.deg2rad(np.array(degrees, dtype=float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)
