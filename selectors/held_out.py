"""A held-out evaluation set of mainstream items: the nearest to the centres of many groups.

WildFeedback (arXiv:2408.15549) clusters prompts with their preferences by FAISS into 70 groups, takes the 10 nearest to each
centre, de-duplicates and drops meaningless tasks: 540 items stay of 700. Here near-duplicates are taken out by cosine
similarity while picking, so that a group gives its next nearest instead; meaningless tasks are for the rules.
"""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np


def mainstream(
    vectors_ND: np.ndarray, *, groups: int = 70, nearest: int = 10, most_alike: float = 0.95, seed: int = 0
) -> np.ndarray:
    """Row numbers, group by group and the nearest first, of unit vectors. Fewer rows than groups: each is its own group."""
    vectors_ND = np.ascontiguousarray(vectors_ND, dtype=np.float32)
    count = min(groups, len(vectors_ND))
    if count == 0:
        return np.empty(0, dtype=np.int64)
    # Fewer points to a centroid than faiss likes is only a warning's worth, hence min_points_per_centroid.
    options = {"niter": 25, "seed": seed, "min_points_per_centroid": 1}
    kmeans = faiss.Kmeans(vectors_ND.shape[1], count, **options)
    kmeans.train(vectors_ND)
    distance_N1, group_N1 = kmeans.index.search(vectors_ND, 1)
    picks: list[int] = []
    for group in range(count):
        members = np.flatnonzero(group_N1[:, 0] == group)
        taken = 0
        for row in members[np.argsort(distance_N1[members, 0], kind="stable")]:
            if taken == nearest:
                break
            if not picks or (vectors_ND[picks] @ vectors_ND[row]).max() <= most_alike:
                picks.append(int(row))
                taken += 1
    return np.array(picks, dtype=np.int64)


def related(picks: np.ndarray, conversations: Sequence[str], users: Sequence[str | None]) -> np.ndarray:
    """Row numbers that may not be trained on: those of a picked row's conversation or, where it is known, of its user."""
    held = {conversations[i] for i in picks}
    people = {users[i] for i in picks} - {None}
    pairs = enumerate(zip(conversations, users, strict=True))
    return np.array([row for row, (chat, user) in pairs if chat in held or user in people], dtype=np.int64)
