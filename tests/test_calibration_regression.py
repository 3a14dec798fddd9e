"""Slopes through the origin: Kyle's lambda by hand, and errors that allow for neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chance import generator
from core.errors import DataError
from research.calibration.regression import slope
from tests.golden import rows

KYLE = rows("calibration_kyle.csv")
FLOW = [float(row["flow"]) for row in KYLE]
CHANGE = [float(row["change"]) for row in KYLE]


def test_kyles_lambda_of_six_intervals() -> None:
    """G23."""
    found = slope(CHANGE, FLOW, lags=0)

    assert found.value == pytest.approx(1.0060753e-4, rel=1e-7)
    assert found.ols_se == pytest.approx(4.66877e-6, rel=1e-6)
    assert found.ols_t == pytest.approx(21.549, abs=5e-4)


def test_without_lags_the_error_is_whites() -> None:
    x, y = np.array(FLOW), np.array(CHANGE)
    found = slope(y, x, lags=0)
    meat = float(np.sum((x * (y - found.value * x)) ** 2))

    assert found.se == pytest.approx(np.sqrt(meat * 6 / 5) / float(x @ x))


def naive_newey_west(y: np.ndarray, x: np.ndarray, lags: int) -> float:
    """The double sum over all pairs of rows, as the formula has it."""
    n = len(x)
    value = sum(x * y) / sum(x * x)
    u = x * (y - value * x)
    total = 0.0
    for s in range(n):
        for t in range(n):
            total += max(0.0, 1 - abs(s - t) / (lags + 1)) * u[s] * u[t]
    return float(np.sqrt(total * n / (n - 1)) / sum(x * x))


@given(st.integers(0, 10_000), st.integers(4, 40), st.integers(0, 3))
def test_the_error_is_the_double_sum_over_pairs(seed: int, n: int, lags: int) -> None:
    draw = generator(seed, "newey west")
    x = draw.standard_normal(n)
    y = 0.5 * x + np.cumsum(draw.standard_normal(n))

    assert slope(y, x, lags=lags).se == pytest.approx(naive_newey_west(y, x, lags), rel=1e-6, abs=1e-9)


def test_neighbours_that_move_together_widen_the_interval() -> None:
    draw = generator(1, "together")
    x = np.repeat(draw.standard_normal(200), 5)
    y = x + np.repeat(draw.standard_normal(200), 5)

    together = slope(y, x, lags=10)
    assert together.se > 1.5 * together.ols_se
    assert together.interval.low < together.value < together.interval.high


@pytest.mark.parametrize("n", [50, 400])
def test_the_interval_holds_the_planted_slope_as_often_as_it_says(n: int) -> None:
    held = 0
    for seed in range(300):
        draw = generator(seed, "coverage", n)
        x = draw.standard_normal(n)
        low, high = slope(0.3 * x + draw.standard_normal(n), x).interval
        held += low <= 0.3 <= high
    assert 0.89 <= held / 300 <= 0.99


def test_what_cannot_be_fitted_is_one_line() -> None:
    with pytest.raises(DataError, match="at least 3 observations, there are 2"):
        slope([1, 2], [1, 2])
    with pytest.raises(DataError, match="zero everywhere"):
        slope([1, 2, 3], [0, 0, 0])
    with pytest.raises(ValueError, match="finite"):
        slope([1, 2, np.nan], [1, 2, 3])
    with pytest.raises(ValueError, match="one length"):
        slope([1, 2, 3], [1, 2])
