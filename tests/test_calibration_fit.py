"""Laws fitted to orders with planted coefficients: they come back, within intervals that are as wide as they say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from core.chance import generator
from core.errors import DataError
from research.calibration.fit import fit, plain, resampled
from research.calibration.laws import Law, almgren, power, square_root
from research.calibration.orders import Orders, orders
from tests.calibrations import BETA, ETA, GAMMA, almgren_orders, square_root_orders


def check_recovery(seeds: int) -> None:
    """The mean over seeds within three standard errors of what was planted, the errors of the published order."""
    law = almgren()
    fits = [plain(almgren_orders(seed), law) for seed in range(seeds)]
    found = np.array([(*one.coefficients[1:], one.exponent) for one in fits])
    error = found.std(axis=0, ddof=1)

    assert np.all(np.abs(found.mean(axis=0) - (GAMMA, ETA, BETA)) < 3 * error / math.sqrt(seeds))
    published = np.array([0.041, 0.0062, 0.038])
    assert np.all(error < 4 * published)
    assert np.all(error > published / 4)


def test_almgrens_coefficients_come_back_from_as_many_orders_as_he_had() -> None:
    """G14, a few of its seeds."""
    check_recovery(6)


@pytest.mark.slow
def test_almgrens_coefficients_come_back_over_thirty_seeds() -> None:
    """G14."""
    check_recovery(30)


def test_one_order_says_next_to_nothing_and_thirty_thousand_say_enough() -> None:
    found = fit(almgren_orders(1), almgren(), resamples=500)

    assert found.r2 < 0.05  # of single orders: noise
    for name, planted in (("gamma", GAMMA), ("eta", ETA), ("exponent", BETA)):
        low, high = found.interval_of(name)
        assert low < planted < high
        assert high - low < planted  # so it is not just a wide net
    assert found.scale == pytest.approx(1, abs=0.02)  # the planted noise, in units of what is expected
    assert found["half_spread"] == 0  # nobody crossed a spread


def test_y_comes_back_within_its_interval() -> None:
    found = fit(square_root_orders(3, 1_500), square_root())

    low, high = found.interval_of("coefficient")
    assert low < 0.8 < high
    assert found.error_of("coefficient") < 0.08
    low, high = found.interval_of("half_spread")
    assert low < 1 < high


def test_the_free_exponent_finds_the_square_root() -> None:
    found = fit(square_root_orders(5, 5_000), power(), resamples=300)

    low, high = found.interval_of("exponent")
    assert low < 0.5 < high
    assert high - low < 0.5


@pytest.mark.slow
def test_the_intervals_hold_the_planted_coefficients_as_often_as_they_say() -> None:
    """Orders of one day share a shock: intervals that take them for independent would be too narrow."""
    held, naive = 0, 0
    for seed in range(200):
        market = square_root_orders(seed, 600, day_noise=0.3, per_day=10)
        low, high = fit(market, square_root()).interval_of("coefficient")
        held += low <= 0.8 <= high
        alone = replace(market, cluster=np.arange(600))
        low, high = fit(alone, square_root()).interval_of("coefficient")
        naive += low <= 0.8 <= high
    assert 0.88 <= held / 200 <= 0.99
    assert naive < held


@pytest.mark.slow
def test_almgrens_intervals_hold_his_coefficients_over_thirty_seeds() -> None:
    """G14, with the bootstrap."""
    held = np.zeros(3)
    for seed in range(30):
        found = fit(almgren_orders(seed), almgren())
        ends = [found.interval_of(name) for name in ("gamma", "eta", "exponent")]
        held += [low <= true <= high for (low, high), true in zip(ends, (GAMMA, ETA, BETA), strict=True)]
    assert np.all(held >= 24)  # of 30, at 95 %: fewer happens once in 10,000


def naive_fit(market: Orders, law: Law, exponent: float) -> np.ndarray:
    """numpy's least squares on rows divided by their noise."""
    root = np.sqrt(market.noise)
    design = law.design(market, exponent) / root[:, None]
    return np.linalg.lstsq(design, market.cost / root, rcond=None)[0]


def test_given_the_exponent_the_fit_is_ordinary_weighted_least_squares() -> None:
    market, law = square_root_orders(1, 300), square_root()

    assert plain(market, law).coefficients == pytest.approx(naive_fit(market, law, 0.5), rel=1e-6)


def test_a_free_exponent_is_the_best_of_a_fine_grid() -> None:
    market, law = square_root_orders(2, 2_000), power()
    found = plain(market, law)

    def loss(exponent: float) -> float:
        errors = market.cost - law.design(market, exponent) @ naive_fit(market, law, exponent)
        return float(np.sum(errors**2 / market.noise))

    grid = np.arange(0.05, 1.25, 0.002)
    best = grid[np.argmin([loss(one) for one in grid])]
    assert found.exponent == pytest.approx(best, abs=0.003)


@pytest.mark.parametrize("law", [square_root(), power(), almgren()], ids=lambda law: law.name)
def test_a_resample_is_a_fit_to_the_drawn_days(law: Law) -> None:
    """The quick bootstrap adds up normal equations; the slow one copies rows."""
    market = square_root_orders(4, 400, per_day=20)
    draws = resampled(market, law, 3, seed=7)
    counts = generator(7, "calibration bootstrap", law.name, 400).multinomial(20, np.full(20, 1 / 20), size=3)
    for row, count in zip(draws, counts, strict=True):
        copied = market[np.concatenate([np.flatnonzero(market.cluster == day) for day in np.repeat(range(20), count)])]
        found = plain(copied, law)
        assert row[-1] == pytest.approx(found.exponent, abs=0.01)
        if not law.free:
            assert row[:-1] == pytest.approx(found.coefficients, rel=1e-5)


def test_outliers_move_the_plain_fit_and_not_the_robust_one() -> None:
    market = square_root_orders(6, 1_000)
    wild = market.cost.copy()
    wild[np.argsort(market.size)[-5:]] += 40
    found = fit(replace(market, cost=wild), square_root(), resamples=200)

    assert found["coefficient"] > 2
    assert abs(found.robust[1] - 0.8) < 0.3 * abs(found["coefficient"] - 0.8)
    assert "coefficient" in found.disagreements()
    assert fit(market, square_root(), resamples=200).disagreements() == []


def test_the_same_seed_gives_the_same_intervals() -> None:
    market = square_root_orders(8, 200)

    assert fit(market, square_root(), seed=1) == fit(market, square_root(), seed=1)
    assert fit(market, square_root(), seed=1).intervals != fit(market, square_root(), seed=2).intervals


def test_few_days_give_no_interval() -> None:
    found = fit(square_root_orders(9, 40, per_day=10), square_root())

    assert math.isnan(found.interval_of("coefficient").low)
    assert math.isfinite(found["coefficient"])


def columns(n: int = 20) -> dict[str, np.ndarray]:
    ramp = np.arange(1, n + 1, dtype=float)
    return {
        "cost": 0.1 * ramp,
        "size": 0.01 * ramp,
        "days": 0.1 * np.ones(n),
        "volatility": 0.02 * np.ones(n),
        "cluster": np.arange(n),
    }


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda c: {name: column[:9] for name, column in c.items()}, "9 usable orders are too few"),
        (lambda c: c | {"size": np.full(20, 0.01)}, "of one size relative to volume"),
        (lambda c: c | {"cost": np.full(20, 0.1)}, "have the same cost"),
        (lambda c: c | {"cost": np.full(20, math.nan)}, "column cost of the orders must be finite"),
        (lambda c: c | {"size": -c["size"]}, "must be above 0"),
    ],
)
def test_orders_that_cannot_tell_are_refused_in_one_line(change: object, line: str) -> None:
    with pytest.raises(DataError, match=line):
        fit(orders(change(columns())), square_root())  # type: ignore[operator]


def test_the_square_root_law_is_what_the_simulated_market_charges() -> None:
    """Fitted, its coefficient is the market's own: checked against the market's memory of a steady order."""
    from execution.impact import ImpactMemory

    size, days, steps = 0.05, 0.3, 400
    memory = ImpactMemory(0.5, 1 / 3)
    rate, step = size / days, days / steps
    paid = 0.0
    for _ in range(steps):
        paid += memory.charge(rate, step, scale=0.7) / steps
        memory.trade(rate, step, scale=0.7)
    one = orders({name: column[:1] for name, column in columns().items()} | {"size": [size], "days": [days]})
    (shape,) = square_root(1 / 3).columns(one, 0.5)

    assert paid == pytest.approx(0.7 * shape[0], rel=1e-3)
