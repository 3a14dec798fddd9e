"""The numbers of a comparison: golden values, honest intervals from few days, false alarms and power in simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import stdev

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from core import chance
from execution.costs.comparison import Contrast, Order, contrast_orders, summarize
from execution.costs.statistics import (
    FEW_CLUSTERS,
    arrival_noise,
    bootstrap_interval,
    cluster_mean,
    design_effect,
    detectable,
    mean_interval,
    orders_needed,
    pairs_needed,
    winsorised_mean,
)
from tests.test_execution_compare import costs
from tests.test_execution_tca import golden

PAIRS = [(float(line["first"]), float(line["second"])) for line in golden("tca_pairs.csv")]
GOLDEN = golden("comparison.csv")


def orders(values: Sequence[float] | NDArray[np.float64], days: Sequence[int], *, parents: bool = False) -> list[Order]:
    """Orders of 10,000 that cost so many basis points."""
    return [
        Order(float(value), 1e4, ("ATOM/USDT", day), ("s", n) if parents else None)
        for n, (value, day) in enumerate(zip(values, days, strict=True))
    ]


def paired(first: Sequence[float], second: Sequence[float], days: Sequence[int]) -> Contrast:
    groups = {"A": orders(first, days, parents=True), "B": orders(second, days, parents=True)}
    (found,) = contrast_orders(groups)
    return found


def answer(line: dict[str, str]) -> float:
    sd, other = (float(line[name]) if line[name] else math.nan for name in ("sd", "other"))
    found = paired([a for a, _ in PAIRS], [b for _, b in PAIRS], range(len(PAIRS)))
    known: dict[str, float] = {
        "arrival noise of a TWAP": arrival_noise(sd, other),
        "orders per algorithm for 1 bp": orders_needed(sd, effect=other),
        "pairs for 1 bp": pairs_needed(sd * math.sqrt(2 * (1 - other))) if other < 1 else math.nan,
        "design effect": design_effect(sd, other),
        "mean difference": found.mean,
        "sd of the differences": stdev(a - b for a, b in PAIRS),
        "t": float(stats.ttest_rel(*zip(*PAIRS, strict=True)).statistic),
        "p of t": found.p_t,
        "low": found.interval.low,
        "high": found.interval.high,
        "p of sign flips": found.p_sign_flip,
    }
    return known[line["what"]]


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: f"{line['id']} {line['what']} {line['sd']} {line['other']}")
def test_worked_numbers_of_comparing_algorithms(line: dict[str, str]) -> None:
    wanted = line["answer"]
    digits = len(wanted.partition(".")[2])

    assert answer(line) == pytest.approx(float(wanted), abs=0.5000001 * 10**-digits if digits else 0)


def test_few_days_get_students_interval_and_many_the_bootstraps() -> None:
    rng = chance.generator(2, "few and many")
    values, ones = rng.normal(5, 10, 60).tolist(), [1e4] * 60
    few, many = [n % (FEW_CLUSTERS - 1) for n in range(60)], [n % FEW_CLUSTERS for n in range(60)]

    assert mean_interval(values, ones, few) == cluster_mean(values, ones, few).interval
    assert mean_interval(values, ones, many) == bootstrap_interval(values, ones, many)


@pytest.mark.parametrize("days", [2, 3, 5, 10, 20])
def test_intervals_from_few_days_cover_the_truth_as_often_as_they_say(days: int) -> None:
    rng = chance.generator(6, "coverage of few", days)
    hits = 0
    for _ in range(600):
        clusters = [day for day in range(days) for _ in range(6)]
        shocks = np.repeat(rng.normal(0, 10, days), 6)
        notional = rng.lognormal(8, 0.7, days * 6)
        cost = notional * (3 + shocks + rng.normal(0, 10, days * 6)) / 1e4
        found = mean_interval(cost, notional, clusters)
        hits += found.low <= 3 <= found.high
    assert 0.915 <= hits / 600 <= 0.975


def test_the_bootstrap_of_five_days_would_have_promised_too_much() -> None:
    rng = chance.generator(7, "bootstrap of few")
    hits = 0
    for k in range(200):
        cost = rng.normal(3, 10, 5)
        found = bootstrap_interval(cost, [1e4] * 5, range(5), draws=499, seed=k)
        hits += found.low <= 3 <= found.high
    assert hits / 200 < 0.9


def test_orders_of_one_day_are_worth_fewer_and_more_of_them_are_needed() -> None:
    """Days of ten orders that share three quarters of their variance: design effect 1 + 9 * 0.75 = 7.75."""
    rng = chance.generator(8, "design effect")
    days = [day for day in range(400) for _ in range(10)]
    values = np.repeat(rng.normal(0, math.sqrt(0.75), 400), 10) + rng.normal(0, 0.5, 4000)
    (found,) = contrast_orders({"A": orders(values, days), "B": orders(values[::-1], [day + 1000 for day in days])})

    assert found.design_effect == pytest.approx(design_effect(10, 0.75), rel=0.15)
    assert found.for_1bp == pytest.approx(orders_needed(1.0, effect=7.75), rel=0.2)
    assert found.clusters == 800


def test_what_can_be_seen_is_what_the_orders_needed_for_it_say() -> None:
    """Pairs with an sd of 10: as many as 1 bp needs can show 1 bp."""
    n = int(pairs_needed(10.0))

    assert detectable(10 / math.sqrt(n)) == pytest.approx(1.0, abs=1e-3)


def test_a_few_extremes_are_seen_by_the_winsorised_mean() -> None:
    values = [1.0] * 199 + [2001.0]

    row = summarize("TWAP", costs(values), "arrival")

    assert row.mean == pytest.approx(11, rel=0.01)
    assert row.winsorised == pytest.approx(1.0, abs=0.2)
    assert winsorised_mean([3.0, 3.0], [1e4, 1e4]) == pytest.approx(3.0)
    assert math.isnan(winsorised_mean([], []))


# ---- simulated experiments


@pytest.mark.slow
def test_an_a_a_test_rings_five_times_in_a_hundred_and_naive_errors_ring_far_more_often() -> None:
    """Two equal algorithms, 25 symbol-days of 8 orders; half of an order's variance is its algorithm's on that day.

    3,000 experiments rather than 1,000, so that 1 % is two and a half standard errors of the share itself.
    """
    rng = chance.generator(31, "A/A")
    days = [day for day in range(25) for _ in range(8)]
    later = [day + 100 for day in days]
    rings = dict.fromkeys(("own days", "pairs, t", "pairs, flips", "naive", "naive pairs"), 0)
    experiments = 3000
    for _ in range(experiments):
        first, second = (np.repeat(rng.normal(0, 10, 25), 8) + rng.normal(0, 10, 200) for _ in range(2))
        (apart,) = contrast_orders({"A": orders(first, days), "B": orders(second, later)})
        pair = paired(list(first), list(second), days)
        rings["own days"] += apart.p < 0.05
        rings["pairs, t"] += pair.p_t < 0.05
        rings["pairs, flips"] += pair.p < 0.05
        rings["naive"] += stats.ttest_ind(first, second).pvalue < 0.05
        rings["naive pairs"] += stats.ttest_rel(first, second).pvalue < 0.05
    for name in ("own days", "pairs, t", "pairs, flips"):
        assert 0.04 <= rings[name] / experiments <= 0.06, rings
    assert rings["naive"] / experiments > 0.25, rings
    assert rings["naive pairs"] / experiments > 0.25, rings


@pytest.mark.slow
def test_five_algorithms_that_are_alike_seldom_make_one_false_winner() -> None:
    """Ten comparisons in each of 300 experiments: Holm keeps the chance of any false alarm at 5 %, without it 25 %."""
    rng = chance.generator(32, "Holm")
    days = [day for day in range(30) for _ in range(2)]
    raw = corrected = 0
    for _ in range(300):
        shocks = np.repeat(rng.normal(0, 10, 30), 2)
        groups = {
            name: orders(shocks + np.repeat(rng.normal(0, 5, 30), 2) + rng.normal(0, 5, 60), days, parents=True)
            for name in "ABCDE"
        }
        found = contrast_orders(groups)
        raw += min(one.p for one in found) < 0.05
        corrected += min(one.p_holm for one in found) < 0.05
    assert raw / 300 > 0.15
    assert corrected / 300 < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [False, True], ids=["own orders", "pairs"])
def test_a_planted_basis_point_is_found_four_times_out_of_five_with_as_many_orders_as_that_takes(pairs: bool) -> None:
    """G9: sd 10, 1,570 orders per algorithm, or 314 pairs with correlation 0.8."""
    rng = chance.generator(33, "power", pairs)
    n = 314 if pairs else 1570
    found = 0
    experiments = 400
    for _ in range(experiments):
        common = rng.normal(0, 10 * math.sqrt(0.8), n) if pairs else 0
        rest = 10 * math.sqrt(0.2) if pairs else 10.0
        first, second = common + rng.normal(1, rest, n), common + rng.normal(0, rest, n)
        if pairs:
            one = paired(list(first), list(second), range(n))
        else:
            (one,) = contrast_orders({"A": orders(first, range(n)), "B": orders(second, range(n, 2 * n))})
        found += one.p < 0.05 and one.mean > 0
    assert 0.75 <= found / experiments <= 0.85
