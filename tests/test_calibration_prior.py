"""The posterior of the square root's coefficient: the prior without data, the data without a prior."""

from __future__ import annotations

import numpy as np
import pytest

from research.calibration.fit import clustering, fit
from research.calibration.laws import square_root
from research.calibration.prior import PRIOR_MEDIAN, SPREAD_MEAN, SPREAD_SD, posterior
from tests.calibrations import square_root_orders


def test_orders_that_say_nothing_leave_the_prior() -> None:
    found = posterior(square_root_orders(1, 12), square_root(), scale=1e4)

    assert found.median == pytest.approx(PRIOR_MEDIAN, rel=1e-3)
    assert found.interval.low == pytest.approx(0.8 * np.exp(-1.96 * 0.4018), rel=0.01)
    assert found.informed == pytest.approx(0, abs=1e-3)


def test_many_orders_leave_nothing_of_the_prior() -> None:
    market = square_root_orders(2, 60_000, coefficient=2.5)
    found = posterior(market, square_root())

    assert found.median == pytest.approx(2.5, abs=0.05)
    assert found.informed > 0.99


def test_few_orders_are_drawn_towards_what_others_found() -> None:
    """The error of the posterior is smaller than that of the orders alone, over many markets."""
    alone, drawn = [], []
    for seed in range(60):
        found = posterior(square_root_orders(seed, 25), square_root())
        alone.append(found.from_data - 0.8)
        drawn.append(found.median - 0.8)
    assert np.std(drawn) < 0.7 * np.std(alone)


def test_the_posterior_holds_the_planted_coefficient_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        low, high = posterior(square_root_orders(seed, 120), square_root()).interval
        held += low <= 0.8 <= high
    assert held / 200 >= 0.92


def test_it_is_the_integral_over_the_spreads_share() -> None:
    """Against a plain sum over a grid of both coefficients."""
    market, law = square_root_orders(3, 40), square_root()
    found = posterior(market, law)
    spread, shape = law.design(market, 0.5).T
    ys, shares = np.geomspace(0.05, 8, 800), np.linspace(-1.5, 3.5, 400)
    errors = market.cost - shares[None, :, None] * spread - ys[:, None, None] * shape
    log = -0.5 * np.sum(errors**2 / market.noise, axis=2) - 0.5 * ((shares - SPREAD_MEAN) / SPREAD_SD) ** 2
    log = log - 0.5 * (np.log(ys / PRIOR_MEDIAN) / 0.40177)[:, None] ** 2
    mass = np.exp(log - log.max()).sum(axis=1)
    mass /= mass.sum()

    assert found.mean == pytest.approx(float(mass @ ys), rel=2e-3)


def test_orders_that_share_markets_count_for_less() -> None:
    together, law = square_root_orders(4, 600, day_noise=0.5, per_day=20), square_root()
    widening = clustering(together, law, fit(together, law), "coefficient")
    wide, narrow = posterior(together, law, widening=widening), posterior(together, law)

    assert widening > 1.5
    assert wide.data_error == pytest.approx(widening * narrow.data_error)
    assert wide.interval.high - wide.interval.low > narrow.interval.high - narrow.interval.low


def test_orders_that_share_nothing_count_in_full() -> None:
    law, widenings = square_root(), []
    for seed in range(9):
        apart = square_root_orders(seed, 1_000, per_day=1)
        widenings.append(clustering(apart, law, fit(apart, law, resamples=300), "coefficient"))

    assert np.median(widenings) < 1.1
