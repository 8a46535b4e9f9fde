"""Controls, margins, BLEU hardness, IFD, InsTag, CaR, RDS+ and quotas: definitions, ties, traps."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pools import by_angle, clustered, pools

from rookery.selectors import bleu_hardness, cluster_rank, controls, ifd, margin, quotas
from rookery.selectors.instag import instag
from rookery.selectors.picks import Shortfall, best_first, take, unusable
from rookery.selectors.rds import rds

scores = st.lists(st.integers(-3, 3), max_size=12).map(lambda values: np.array(values, dtype=float))


@settings(max_examples=100, deadline=None)
@given(scores, st.integers(0, 14))
def test_rankings_equal_their_definitions(values, budget):
    rows = range(len(values))
    falling = sorted(rows, key=lambda row: (-values[row], row))[:budget]
    rising = sorted(rows, key=lambda row: (values[row], row))[:budget]
    assert controls.longest(values, budget).rows_K.tolist() == falling
    assert margin.clearest(values, budget).rows_K.tolist() == falling
    assert margin.closest(values, budget).rows_K.tolist() == rising
    assert bleu_hardness.easy(values, budget).rows_K.tolist() == falling
    assert bleu_hardness.hard(values, budget).rows_K.tolist() == rising
    assert len(bleu_hardness.medium(values, budget)) == min(budget, len(values))


def test_medium_starts_at_the_floor_of_half_the_rest():
    assert bleu_hardness.medium(np.arange(7) / 10, 2).rows_K.tolist() == [2, 3]
    noted = bleu_hardness.hard(np.zeros(4), 3, cut_off_N=np.array([True, False, True, True]))
    assert noted.notes == ("2 of 3 answers were cut at the token limit",)


def test_random_is_nested_and_seeded():
    small, large = (controls.random(50, k, np.random.default_rng(3)) for k in (5, 20))
    assert small.rows_K.tolist() == large.rows_K[:5].tolist()
    assert len(set(large.rows_K.tolist())) == 20
    assert controls.random(50, 5, np.random.default_rng(4)).rows_K.tolist() != small.rows_K.tolist()


def test_both_tails_of_a_margin_are_reported():
    told = margin.tails(np.arange(-10.0, 90.0))
    assert (told["lowest"], told["highest"], told["share_negative"]) == (-5.5, 84.5, 0.1)
    assert margin.implicit_gap(*(np.array([x]) for x in (-1.0, -3.0, -4.0, -2.0)), beta=0.5).tolist() == [2.0]


def test_ifd_discards_what_the_instruction_does_not_help():
    values = np.array([0.5, 1.0, 0.9, 1.7, 0.9])
    with pytest.warns(Shortfall, match="3 of 4"):
        assert ifd.ifd(values, 4).rows_K.tolist() == [2, 4, 0]
    with pytest.raises(ValueError, match="above 0"):
        ifd.ifd(np.array([0.5, -0.1]), 1)


def test_a_ratio_of_losses_orders_otherwise_than_a_ratio_of_perplexities():
    given_, alone = np.array([1.0, 3.0]), np.array([1.5, 3.9])
    assert best_first(ifd.perplexity_ratio(given_, alone)).tolist() == [0, 1]
    assert best_first(ifd.loss_ratio(given_, alone)).tolist() == [1, 0]
    assert ifd.perplexity_ratio(given_, alone) == pytest.approx(np.exp([-0.5, -0.9]))


def test_instag_takes_new_tags_in_rounds():
    tags = [["a"], ["a", "b", "c"], ["b", "d"], ["a", "c"], [], ["d"]]
    picks = instag(tags, 5)
    assert picks.rows_K.tolist() == [1, 2, 3, 5, 0]  # first round: abc, then d is new; second: ac, then d; third: a
    assert picks.gains_K.tolist() == [3, 1, 2, 1, 1]
    with pytest.warns(Shortfall, match="no tags"):
        assert len(instag(tags, 6)) == 5


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=4), max_size=10), st.integers(0, 10))
@pytest.mark.filterwarnings("ignore::rookery.selectors.picks.Shortfall")
def test_instag_rounds_cover_all_tags_left_and_are_nested(tags, budget):
    whole = instag(tags, len(tags))
    assert instag(tags, budget).rows_K.tolist() == whole.rows_K[:budget].tolist()
    assert sorted(whole.rows_K.tolist()) == [row for row, mine in enumerate(tags) if mine]
    first = []
    for row in whole.rows_K:
        if set(tags[row]) <= {tag for taken in first for tag in tags[taken]}:
            break
        first.append(row)
    assert {tag for row in first for tag in tags[row]} == {tag for mine in tags for tag in mine}


@settings(max_examples=100, deadline=None)
@given(pools(), st.integers(1, 4), st.integers(0, 16))
def test_rds_equals_round_robin(pool, targets, budget):
    features_ND = pool[0]
    targets_QD = features_ND[:targets]
    unit_ND = features_ND / np.linalg.norm(features_ND, axis=1, keepdims=True)
    taken = []
    for k in range(min(budget, len(features_ND))):
        near_N = (unit_ND @ unit_ND[k % len(targets_QD)]).round(9)
        taken.append(min((row for row in range(len(near_N)) if row not in taken), key=lambda row: (-near_N[row], row)))
    assert rds(features_ND, targets_QD, budget).rows_K.tolist() == taken


def test_rds_looks_further_down_a_list_that_others_emptied():
    rng = np.random.default_rng(0)
    features_ND = clustered(rng, 400, 4, 3)
    picks = rds(features_ND, np.repeat(features_ND[:1], 7, axis=0), 390)
    assert len(set(picks.rows_K.tolist())) == 390
    assert np.all(np.diff(picks.gains_K) <= 1e-9)
    with pytest.raises(ValueError, match="no target examples"):
        rds(features_ND, features_ND[:0], 3)


def test_car_takes_the_best_overall_then_the_best_of_each_cluster():
    groups, values = np.array([0, 0, 0, 1, 1, 2]), np.array([9, 8, 7, 6, 5, 4.0])
    picks = cluster_rank.rank_in_clusters(groups, values, 6, overall=2)
    assert picks.rows_K.tolist() == [0, 1, 3, 5, 4, 2]
    assert picks.reasons_K.tolist() == ["among the best overall"] * 2 + ["best of its cluster"] * 4


def test_car_finds_clusters():
    rng = np.random.default_rng(1)
    centre = np.repeat(np.arange(4), 50)
    features_ND = 5 * np.eye(8)[centre] + 0.1 * rng.normal(size=(200, 8))
    labels = cluster_rank.clusters_of(features_ND, 4)
    assert all(len(set(labels[centre == c])) == 1 for c in range(4))
    assert len(set(labels)) == 4
    assert len(np.unique(cluster_rank.clusters_of(features_ND))) == 10  # √(200 / 2)
    picks = cluster_rank.cluster_rank(features_ND, np.arange(200.0), 7, overall=3, clusters=4)
    assert picks.rows_K.tolist() == [199, 198, 197, 149, 99, 49, 148]
    with pytest.raises(ValueError, match="clusters=300"):
        cluster_rank.clusters_of(features_ND, 300)


def test_principal_axes_hold_the_share_of_variance():
    rows_ND = np.random.default_rng(0).normal(size=(300, 6)) * [5, 3, 1, 0.1, 0.1, 0.1]
    reduced = cluster_rank.principal(rows_ND, 0.95)
    assert reduced.shape[1] == 2
    assert cluster_rank.principal(rows_ND, 4).shape[1] == 4
    centred = rows_ND - rows_ND.mean(0)
    assert (reduced**2).sum() >= 0.95 * (centred**2).sum()


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 9), min_size=1),
    st.integers(0, 30),
    st.sampled_from(["proportional", "equal"]),
)
def test_quotas_add_up_and_never_ask_for_more_than_there_is(sizes, budget, shares):
    quota = quotas.quotas(sizes, budget, shares)
    assert sum(quota.values()) == min(budget, sum(sizes.values()))
    assert all(0 <= quota[name] <= sizes[name] for name in sizes)
    if shares == "equal":
        cut = [quota[name] for name in sizes if quota[name] < sizes[name]]
        assert not cut or max(quota.values()) - min(cut) <= 1 or max(cut) - min(cut) <= 1


def test_quotas_by_share_and_by_largest_remainder():
    assert quotas.quotas({"a": 50, "b": 30, "c": 20}, 7) == {"a": 4, "b": 2, "c": 1}
    assert quotas.quotas({"a": 50, "b": 2, "c": 20}, 12, "equal") == {"a": 5, "b": 2, "c": 5}
    assert quotas.quotas({"a": 5, "b": 5}, 4, {"a": 0.25, "b": 0.75}) == {"a": 1, "b": 3}
    with pytest.raises(ValueError, match="there is no z"):
        quotas.quotas({"a": 5}, 4, {"z": 1})


def test_a_selector_within_groups():
    values = np.arange(10.0)
    groups = pl.Series(["x"] * 8 + ["y", None])
    picks = quotas.within(groups, 5, lambda rows, k: controls.longest(values[rows], k), shares="equal")
    assert sorted(picks.rows_K.tolist()) == [5, 6, 7, 8, 9]
    assert "quota of null" in " ".join(picks.reasons_K)
    frame = take(pl.DataFrame({"id": list("abcdefghij")}), picks)
    assert frame["rank"].to_list() == [1, 2, 3, 4, 5]
    assert frame.filter(pl.col("id") == "h")["gain"].item() == 7


def test_unusable_rows_are_named():
    rows_ND = np.vstack([by_angle(0), [[0, 0]], [[np.nan, 1]], by_angle(3)])
    assert unusable(rows_ND, np.array([1, 1, 1, np.inf])).tolist() == [
        "", "zero_vector", "not_finite_vector", "not_finite_score",
    ]  # fmt: skip
