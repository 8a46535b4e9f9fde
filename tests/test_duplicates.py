"""De-duplication: the first of each neighbourhood stays, whatever the shards; Magpie's rule and columns."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import by_angle, clustered, pools

from rookery.selectors.cells import semantic_in_cells
from rookery.selectors.duplicates import (
    banding,
    chance,
    exact,
    magpie_columns,
    minhash,
    normal,
    semantic,
    shingles,
)

few_words = st.lists(st.sampled_from(["red", "cat", "sat", "mat", "dog"]), min_size=1, max_size=7).map(" ".join)


def series(*texts):
    return pl.Series("text", texts, dtype=pl.String)


def test_two_duplicates_leave_one():
    """The best-known framework's filter drops both."""
    assert exact(series("a", "b", "a")).kept_N.tolist() == [True, True, False]
    assert semantic(np.array([[1.0, 0], [0, 1], [2, 0]])).kept_N.tolist() == [True, True, False]
    same = "one two three four five six seven"
    assert minhash(series(same, "else " * 9, same.upper())).kept_N.tolist() == [True, True, False]


def test_normal_forgives_case_blanks_and_forms():
    frame = pl.DataFrame({"text": ["Ｈello \n world ", "hello world"]})
    assert exact(frame.select(normal(pl.col("text"))).to_series()).kept_N.tolist() == [True, False]


def test_published_rows_come_first_and_are_named():
    found = exact(series("x", "p", "x"), published=series("p", "p"))
    assert found.kept_N.tolist() == [True, False, False]
    assert found.published_N.tolist() == [-1, 0, -1]
    assert found.like_N.tolist() == [-1, -1, 0]
    assert found.reasons("exact_copy") == [None, "exact_copy_of_published", "exact_copy"]
    near = semantic(by_angle(0, 90, 91), similarity=0.99, published_MD=by_angle(1))
    assert near.published_N.tolist() == [0, -1, -1]
    assert near.like_N.tolist() == [-1, -1, 1]
    assert near.similarity_N[2] == pytest.approx(np.cos(np.deg2rad(1)))
    long = "the quick brown fox jumps over the lazy dog"
    assert minhash(series(long + " now"), published=series(long, long), similarity=0.6).published_N.tolist() == [0]


def test_a_chain_keeps_both_ends():
    """Cosines 0.97 between neighbours, 0.88 between the ends: only the middle goes."""
    assert semantic(by_angle(0, 14, 28), similarity=0.95).kept_N.tolist() == [True, False, True]


@settings(max_examples=150, deadline=None)
@given(pools(most=16), st.sampled_from([0.3, 0.7, 0.975]), st.integers(0, 5))
def test_semantic_equals_its_definition(pool, similarity, published):
    features_ND, published = pool[0], min(published, len(pool[0]) - 1)
    unit_ND = features_ND / np.sqrt((features_ND * features_ND).sum(1))[:, None]
    kept = list(range(published))
    for row in range(published, len(unit_ND)):
        if all(min((unit_ND[row] * unit_ND[s]).sum(), 1) <= similarity for s in kept):
            kept.append(row)
    found = semantic(features_ND[published:], similarity=similarity, published_MD=features_ND[:published])
    assert (np.flatnonzero(found.kept_N) + published).tolist() == kept[published:]


@settings(max_examples=60, deadline=None)
@given(st.lists(few_words, min_size=1, max_size=12), st.sampled_from([0.2, 0.5, 0.8]), st.integers(1, 3))
def test_minhash_equals_its_definition(texts, similarity, words):
    """With one hash to a band every overlap is a candidate sooner or later; Jaccard decides."""

    def grams(text):
        tokens = text.split()
        return {tuple(tokens[i : i + words]) for i in range(max(1, len(tokens) - words + 1))}

    kept = []
    for row, text in enumerate(texts):
        near = [len(grams(text) & grams(texts[s])) / len(grams(text) | grams(texts[s])) for s in kept]
        if all(jaccard < similarity for jaccard in near):
            kept.append(row)
    found = minhash(series(*texts), similarity=similarity, words=words, permutations=256, recall=1 - 1e-9)
    assert np.flatnonzero(found.kept_N).tolist() == kept


@settings(max_examples=30, deadline=None)
@given(st.lists(few_words, min_size=1, max_size=12), st.integers(0, 12))
def test_shards_one_after_another_give_what_the_whole_gives(texts, cut):
    whole = minhash(series(*texts), words=1, similarity=0.5, recall=1 - 1e-9, permutations=256)
    first = minhash(series(*texts[:cut]), words=1, similarity=0.5, recall=1 - 1e-9, permutations=256)
    kept = [text for text, stays in zip(texts, first.kept_N, strict=False) if stays]
    rest = minhash(series(*texts[cut:]), words=1, similarity=0.5, recall=1 - 1e-9, permutations=256, published=series(*kept))
    assert whole.kept_N.tolist() == first.kept_N.tolist() + rest.kept_N.tolist()
    assert exact(series(*texts)).kept_N.sum() == len(set(texts))


def test_the_formula_of_bands_has_its_known_values():
    assert chance(0.685, 14, 8) == pytest.approx(0.5, abs=0.01)
    assert chance(0.75, 14, 8) == pytest.approx(0.77, abs=0.005)
    assert chance(0.8, 14, 8) == pytest.approx(0.92, abs=0.005)
    bands, width = banding(0.7, 128, 0.95)
    assert chance(0.7, bands, width) >= 0.95 > chance(0.7, 128 // (width + 1), width + 1)
    with pytest.raises(ValueError, match="give more"):
        banding(0.01, 4, 0.999)


def test_shingles_of_short_and_unbroken_texts():
    codes, starts = shingles(series("a b", "", "a b", "我喜欢猫和狗以及很多其他动物还有植物"), 3)
    assert np.diff(starts).tolist() == [1, 1, 1, 16]
    assert codes[starts[0]] == codes[starts[2]]


def test_magpies_rule_at_its_threshold():
    """Cosine 0.976 is a copy, 0.974 is not: 0.05 of squared distance is 0.975."""
    for cosine, kept in [(0.976, False), (0.974, True)]:
        rows_ND = by_angle(0, np.rad2deg(np.arccos(cosine)))
        assert semantic(rows_ND).kept_N.tolist() == [True, kept]
        columns = magpie_columns(rows_ND, series("a", "b"))
        assert columns["repeat_count"].to_list() == [1 - kept] * 2
        assert columns["min_similar_uuid"].to_list() == ([None, None] if kept else ["a", "a"])
        assert columns["min_neighbor_distance"].to_list() == pytest.approx([2 - 2 * cosine] * 2, abs=1e-6)


def test_magpies_columns_in_a_chain_drop_what_resembles_a_dropped_row():
    columns = magpie_columns(by_angle(0, 10, 20), series("a", "b", "c"))
    assert columns["min_similar_uuid"].to_list() == ["a", "a", "b"]
    assert magpie_columns(by_angle(0), series("a"))["repeat_count"].to_list() == [0]


def test_planted_copies_are_found_among_many():
    rng = np.random.default_rng(0)
    originals = [" ".join(rng.choice(5000, size=14).astype(str)) for _ in range(1500)]
    copies = [" ".join([*text.split()[:-1], "new"]) for text in originals[:300]]
    found = minhash(series(*originals, *copies), similarity=0.7, words=2)
    assert found.kept_N[:1500].all()
    assert found.kept_N[1500:].mean() < 0.02
    assert found.like_N[1500:][~found.kept_N[1500:]].max() < 300


def test_nothing_in_nothing_out_and_nulls_are_refused():
    assert len(exact(series()).kept_N) == 0
    assert len(minhash(series()).kept_N) == 0
    with pytest.raises(ValueError, match="1 texts are null"):
        exact(series("a", None))
    with pytest.raises(ValueError, match="zero_vector"):
        semantic(np.zeros((2, 3)))


def test_semantic_on_clusters_keeps_about_one_each():
    rng = np.random.default_rng(2)
    found = semantic(clustered(rng, 2000, 32, 50, 0.02), similarity=0.9)
    assert 48 <= found.kept_N.sum() <= 50


@settings(max_examples=80, deadline=None)
@given(pools(most=16), st.sampled_from([0.3, 0.7, 0.975]), st.integers(0, 5))
def test_one_cell_is_the_exact_answer(pool, similarity, published):
    features_ND, published = pool[0].astype(np.float32), min(published, len(pool[0]) - 1)
    near, before = features_ND[published:], features_ND[:published]
    whole = semantic(near, similarity=similarity + 1e-4, published_MD=before)
    cells = semantic_in_cells(near, similarity=similarity + 1e-4, published_MD=before)
    assert cells.kept_N.tolist() == whole.kept_N.tolist()
    assert np.isnan(cells.similarity_N[cells.kept_N]).all()
    assert (cells.similarity_N[~cells.kept_N] > similarity).all()


def test_cells_drop_nothing_wrongly_and_miss_next_to_nothing():
    rng = np.random.default_rng(0)
    base_ND = clustered(rng, 6000, 64, 400, 0.4)
    copies = base_ND[:2000] + 0.01 * rng.normal(size=(2000, 64))
    features_ND = np.vstack([base_ND, copies, base_ND[:50]]).astype(np.float32)
    whole, cells = semantic(features_ND, similarity=0.975), semantic_in_cells(features_ND, similarity=0.975)
    assert not (~cells.kept_N & whole.kept_N).any()
    assert (~cells.kept_N).sum() >= 0.99 * (~whole.kept_N).sum()
    assert not cells.kept_N[-50:].any()
