"""Ratios of sums, cluster intervals, paired tests and sample sizes, against worked numbers and scipy."""

from __future__ import annotations

import math
import statistics as stdlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from core import chance
from execution.costs.statistics import (
    Interval,
    bootstrap_interval,
    cluster_sums,
    cluster_t,
    holm,
    orders_needed,
    pairs_needed,
    sign_flip_p,
    weighted_mean,
)
from tests.test_execution_tca import golden

PAIRS = golden("tca_pairs.csv")
A = [float(line["first"]) for line in PAIRS]
B = [float(line["second"]) for line in PAIRS]
ONES = [1e4] * len(A)
OWN = list(range(len(A)))


def test_the_weighted_mean_is_a_ratio_of_sums() -> None:
    assert weighted_mean([1.0, 0.0], [100.0, 9_900.0]) == pytest.approx(1.0)  # pitfall 30
    assert math.isnan(weighted_mean([], []))


def test_cluster_sums_keep_the_order_of_first_appearance() -> None:
    cost, notional = cluster_sums(["b", "a", "b"], [1, 2, 3], [10, 20, 30])

    assert cost.tolist() == [4, 2]
    assert notional.tolist() == [40, 20]


def test_ten_pairs_give_students_t_and_its_interval() -> None:
    """G10: the worked t test, and the exact test that disagrees with it at 5 %."""
    found = cluster_t((A, B), (ONES, ONES), (OWN, OWN))

    assert found.mean == pytest.approx(1.13)
    assert found.t == pytest.approx(2.308688, abs=1e-6)
    assert found.p == pytest.approx(0.0463359, abs=1e-7)
    assert found.interval.low == pytest.approx(0.022775, abs=1e-6)
    assert found.interval.high == pytest.approx(2.237225, abs=1e-6)
    assert found.clusters == 10
    assert stdlib.stdev(a - b for a, b in zip(A, B, strict=True)) == pytest.approx(1.547794, abs=1e-6)


def test_ten_pairs_have_52_of_1024_sign_flips_as_extreme() -> None:
    assert sign_flip_p([a - b for a, b in zip(A, B, strict=True)]) == 52 / 1024


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=8))
def test_sign_flips_agree_with_trying_all_of_them_by_hand(differences: list[int]) -> None:
    flips = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    total = sum(differences)
    one_sided = min(sum(flip >= total for flip in flips), sum(flip <= total for flip in flips))

    assert sign_flip_p(differences) == pytest.approx(min(1, 2 * one_sided / len(flips)))


def test_many_sign_flips_are_drawn_and_the_seed_repeats_them() -> None:
    values = chance.generator(1).normal(0.3, 1, 60)
    p = sign_flip_p(values, seed=7)

    assert p == sign_flip_p(values, seed=7)
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_a_cluster_flips_as_a_whole() -> None:
    """Twenty pairs of two days are two facts, not twenty."""
    differences = [1.0] * 20
    days = [0] * 10 + [1] * 10

    assert sign_flip_p(differences) < 0.001
    assert sign_flip_p(differences, days) == pytest.approx(0.5)
    assert math.isnan(sign_flip_p(differences, [0] * 20))


def test_holm_is_the_worked_example_and_never_below_the_raw_value() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.7]) == (1.0, 1.0)
    assert holm([]) == ()


def test_holm_does_not_count_unknown_tests() -> None:
    adjusted = holm([0.02, math.nan])

    assert adjusted[0] == 0.02
    assert math.isnan(adjusted[1])


@pytest.mark.parametrize("line", golden("tca_orders_needed.csv"), ids=lambda line: f"sd {line['sd']}")
def test_orders_needed_to_see_one_basis_point(line: dict[str, str]) -> None:
    sd = float(line["sd"])

    assert orders_needed(sd) == float(line["orders_per_algorithm"])
    assert pairs_needed(math.sqrt(2 * (1 - 0.8)) * sd) == float(line["pairs_at_correlation_0.8"])


def test_orders_needed_is_unknown_without_a_standard_deviation() -> None:
    assert math.isnan(orders_needed(math.nan))
    assert math.isnan(pairs_needed(math.nan))


def test_the_bootstrap_repeats_itself_and_another_seed_differs_a_little() -> None:
    first = bootstrap_interval(A, ONES, OWN, seed=1)

    assert first == bootstrap_interval(A, ONES, OWN, seed=1)
    other = bootstrap_interval(A, ONES, OWN, seed=2)
    assert other != first
    assert other.low == pytest.approx(first.low, abs=0.3)
    assert first.low < weighted_mean(A, ONES) < first.high


def test_the_bootstrap_of_single_equal_orders_is_scipys_of_their_mean() -> None:
    theirs = stats.bootstrap((np.array(A),), np.mean, method="BCa", rng=chance.generator(3)).confidence_interval
    ours = bootstrap_interval(A, ONES, OWN)

    assert ours.low == pytest.approx(theirs.low, abs=0.3)
    assert ours.high == pytest.approx(theirs.high, abs=0.3)


def test_orders_of_one_day_do_not_make_the_interval_narrower() -> None:
    """Every order ten times over, in the same cluster, adds no information."""
    ten = [value for value in A for _ in range(10)]
    clusters = [k for k in OWN for _ in range(10)]

    grouped = bootstrap_interval(ten, [1e4] * 100, clusters)
    assert grouped.low == pytest.approx(bootstrap_interval(A, ONES, OWN).low, abs=0.1)
    single = bootstrap_interval(ten, [1e4] * 100, list(range(100)))
    assert single.high - single.low < 0.5 * (grouped.high - grouped.low)


def test_the_interval_covers_the_truth_about_95_times_in_a_hundred() -> None:
    rng = chance.generator(5, "coverage")
    hits = 0
    for k in range(300):
        clusters = [day for day in range(30) for _ in range(4)]
        common = np.repeat(rng.normal(0, 10, 30), 4)
        notional = rng.lognormal(8, 0.5, 120)
        cost = notional * (3 + common + rng.normal(0, 10, 120)) / 1e4
        found = bootstrap_interval(cost, notional, clusters, draws=999, seed=k)
        hits += found.low <= 3 <= found.high
    assert 0.90 <= hits / 300 <= 0.98


def test_alike_clusters_have_a_point_for_an_interval_and_one_cluster_has_none() -> None:
    assert bootstrap_interval([1.0, 2.0], [1e4, 2e4], [0, 1]) == Interval(1.0, 1.0)
    assert math.isnan(bootstrap_interval(A, ONES, [0] * 10).low)
    assert math.isnan(bootstrap_interval([], [], []).high)


def test_two_clusters_still_give_a_finite_interval() -> None:
    found = bootstrap_interval([1.0, 2.0], [1e4, 1e4], [0, 1])

    assert found.low <= 1.5 <= found.high


def test_a_common_shock_of_the_day_drops_out_of_the_difference() -> None:
    rng = chance.generator(9)
    shocks = rng.normal(0, 50, 40)
    first, second = shocks + 1 + rng.normal(0, 1, 40), shocks + rng.normal(0, 1, 40)
    days = list(range(40))
    ones = [1e4] * 40

    shared = cluster_t((first, second), (ones, ones), (days, days))
    apart = cluster_t((first, second), (ones, ones), (days, [day + 100 for day in days]))

    assert shared.p < 0.01
    assert apart.p > 0.5
    assert shared.mean == pytest.approx(apart.mean)


def test_a_difference_without_spread_or_clusters_has_no_p_value() -> None:
    assert math.isnan(cluster_t(([2.0, 2.0], [1.0, 1.0]), ([1e4] * 2, [1e4] * 2), ([0, 1], [0, 1])).p)
    assert math.isnan(cluster_t((A, B), (ONES, ONES), ([0] * 10, [0] * 10)).p)


def test_false_alarms_of_two_alike_algorithms_are_about_five_in_a_hundred_with_clusters_and_many_without() -> None:
    rng = chance.generator(11, "A/A")
    clustered = naive = 0
    for _ in range(400):
        days = [day for day in range(25) for _ in range(8)]
        orders = [np.repeat(rng.normal(0, 10, 25), 8) + rng.normal(0, 10, 200) for _ in range(2)]
        ones = [1e4] * 200
        other_days = [day + 100 for day in days]
        clustered += cluster_t((orders[0], orders[1]), (ones, ones), (days, other_days)).p < 0.05
        naive += stats.ttest_ind(*orders).pvalue < 0.05
    assert 0.025 <= clustered / 400 <= 0.085
    assert naive / 400 > 0.2
