"""Scores on orders that a law has not seen: it beats a constant where there is a law, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from research.calibration.executions import calibrate_orders
from research.calibration.fit import plain
from research.calibration.laws import power, square_root
from research.calibration.score import constant_bps, out_of_sample
from tests.calibrations import square_root_orders


def test_a_planted_law_beats_the_constant() -> None:
    found = calibrate_orders(square_root_orders(1, 1_500), resamples=300)

    assert found.scores is not None
    score = found.scores.of("square_root")
    assert score.interval.low > 0
    assert score.pinball < found.scores.constant.pinball
    assert found.use == "square_root"
    assert found.slippage["impact_coefficient"] == found.prior.median == pytest.approx(0.8, abs=0.15)
    assert "chance alone" not in found.verdict


def test_where_size_costs_nothing_the_constant_is_shipped_and_said_so() -> None:
    market = square_root_orders(2, 1_500)
    (shape,) = square_root().columns(market, 0.5)
    level = 12 / (1e4 * market.volatility)
    found = calibrate_orders(replace(market, cost=market.cost - 0.8 * shape + level), resamples=300)

    assert found.use == "constant"
    assert found.slippage["model"] == "fixed_bps"
    assert found.slippage["fixed_bps"] == pytest.approx(12, abs=4)
    assert "does not beat a constant" in found.verdict


def test_forecasts_are_made_from_earlier_days_alone() -> None:
    """Against a plain loop: what comes later does not matter to a forecast."""
    market, law = square_root_orders(3, 250, per_day=10), power()
    found = out_of_sample(market, [law])
    assert found is not None
    squared, baseline = [], []
    for first in range(5, 25, 5):  # 25 days in five blocks
        before, now = market[market.cluster < first], market[(market.cluster >= first) & (market.cluster < first + 5)]
        squared.append((now.cost - plain(before, law).predict(law, now)) ** 2 / now.noise)
        constant = now.spread + constant_bps(before) / (1e4 * now.volatility)
        baseline.append((now.cost - constant) ** 2 / now.noise)

    assert found.of("power").squared == pytest.approx(float(np.concatenate(squared).mean()))
    assert found.constant.squared == pytest.approx(float(np.concatenate(baseline).mean()))
    assert found.n == 200


def test_a_single_day_cannot_be_scored_and_leaves_the_constant() -> None:
    found = calibrate_orders(square_root_orders(4, 30, per_day=30))

    assert found.scores is None
    assert found.use == "constant"
    assert "too few days" in found.verdict


def test_costs_that_grow_with_time_are_not_taken_for_impact_in_silence() -> None:
    market = square_root_orders(5, 2_000)
    drifting = replace(market, cost=market.cost + 3 * market.days)

    assert any("knew the direction" in line for line in calibrate_orders(drifting, resamples=100).remarks)
    assert not any("knew the direction" in line for line in calibrate_orders(market, resamples=100).remarks)


def test_few_orders_say_that_the_prior_speaks() -> None:
    market = square_root_orders(6, 15)
    remarks = calibrate_orders(replace(market, size=market.size / 100), resamples=100).remarks

    assert any("mostly the prior" in line for line in remarks)
