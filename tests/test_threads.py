"""What is chosen does not depend on how many threads multiply matrices."""

import numpy as np
import pytest
from pools import clustered
from threadpoolctl import threadpool_limits

from rookery.selectors.cluster_rank import cluster_rank
from rookery.selectors.deita import deita
from rookery.selectors.dpp import dpp_map
from rookery.selectors.duplicates import semantic
from rookery.selectors.facility_location import facility_location, qdit
from rookery.selectors.k_center import k_center
from rookery.selectors.mig import mig
from rookery.selectors.novelselect import novelselect
from rookery.selectors.rds import rds

SIZE, BUDGET = 1500, 60
RNG = np.random.default_rng(0)
FEATURES_ND = clustered(RNG, SIZE, 96, 150, 0.2).astype(np.float32)
FEATURES_ND[100:200] = FEATURES_ND[:100]  # and ties
SCORES_N = RNG.normal(size=SIZE).round(1)
TAGS = [RNG.choice(40, size=3, replace=False).tolist() for _ in range(SIZE)]
SELECTORS = {
    "deita": lambda: deita(FEATURES_ND, SCORES_N, None).rows_K,
    "facility_location": lambda: facility_location(FEATURES_ND, BUDGET).rows_K,
    "qdit": lambda: qdit(FEATURES_ND, SCORES_N, BUDGET).rows_K,
    "k_center": lambda: k_center(FEATURES_ND, BUDGET).rows_K,
    "dpp": lambda: dpp_map(FEATURES_ND, BUDGET).rows_K,
    "mig": lambda: mig(TAGS, np.exp(SCORES_N), BUDGET, label_vectors_TD=FEATURES_ND[:40]).rows_K,
    "novelselect": lambda: novelselect(FEATURES_ND, BUDGET, np.random.default_rng(0)).rows_K,
    "rds": lambda: rds(FEATURES_ND, FEATURES_ND[:20], BUDGET).rows_K,
    "cluster_rank": lambda: cluster_rank(FEATURES_ND, SCORES_N, BUDGET, overall=10).rows_K,
    "semantic": lambda: semantic(FEATURES_ND, similarity=0.9).like_N,
}


@pytest.mark.parametrize("name", SELECTORS)
def test_any_number_of_threads_chooses_the_same(name):
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            found.append(SELECTORS[name]().tolist())
    assert found[0] == found[1] == found[2]
