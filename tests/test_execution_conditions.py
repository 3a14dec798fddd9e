"""Volatility and volume as they were known before each bar."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bars import Bars
from core.chance import generator
from core.errors import DataError
from execution.conditions import DAY_NS, FEWEST_BARS, WINDOW_DAYS, Conditions, joined, running
from tests.naive import START_NS

HOUR_NS = DAY_NS // 24


def hours(n: int, *, seed: int = 1, start_ns: int = START_NS, missing: tuple[int, ...] = ()) -> Bars:
    """Hourly bars of a random walk; the hours in `missing` are an outage."""
    draw = generator(seed, "conditions")
    close = 100 * np.exp(np.cumsum(draw.normal(0, 0.01, n)))
    volume = draw.integers(0, 50, n).astype(np.float64)
    kept = np.array([k for k in range(n) if k not in missing])
    opens = start_ns + kept * HOUR_NS
    close, volume = close[kept], volume[kept]
    return Bars("ATOM/USDT", opens, opens + HOUR_NS, close, close, close, close, volume)


def naive(bars: Bars, k: int) -> tuple[float, float]:
    """Bar by bar: what was known at the bar's midnight, or at its own open where midnight knew too little."""
    midnight = int(bars.ts_open_ns[k]) // DAY_NS * DAY_NS
    for known_at in (midnight, int(bars.ts_open_ns[k])):
        at = [j for j in range(len(bars)) if bars.ts_open_ns[j] < known_at]
        origin = min((int(t) for t in bars.ts_open_ns if t >= known_at), default=0)
        past = [j for j in at if bars.ts_open_ns[j] >= origin - WINDOW_DAYS * DAY_NS]
        if len(past) < FEWEST_BARS:
            continue
        squares, returns, volume = 0.0, 0, 0.0
        for j in past:
            volume += float(bars.volume[j])
            if j > 0 and bars.ts_open_ns[j] == bars.ts_close_ns[j - 1]:
                squares += math.log(bars.close[j] / bars.close[j - 1]) ** 2
                returns += 1
        return math.sqrt(squares / (returns / 24)), volume / (len(past) / 24)
    return math.nan, math.nan


@pytest.mark.parametrize("missing", [(), tuple(range(30, 37)), tuple(range(60, 85)), (0, 5, 24, 48, 100)])
def test_the_sums_agree_with_counting_bar_by_bar(missing: tuple[int, ...]) -> None:
    bars = hours(24 * 10, missing=missing)
    conditions = Conditions.of(bars)
    for k in range(len(bars)):
        volatility, daily_volume = naive(bars, k)
        assert conditions.volatility[k] == pytest.approx(volatility, rel=1e-9, nan_ok=True)
        assert conditions.daily_volume[k] == pytest.approx(daily_volume, rel=1e-9, nan_ok=True)


def test_the_volatility_of_a_known_walk_comes_out() -> None:
    step = 0.001
    close = 100 * np.exp(step * (np.arange(24 * 9) % 2))  # one per mille up, one down, every hour
    ts = START_NS + np.arange(len(close)) * HOUR_NS
    bars = Bars("ATOM/USDT", ts, ts + HOUR_NS, close, close, close, close, np.full(len(close), 10.0))
    conditions = Conditions.of(bars)
    assert conditions.volatility[-1] == pytest.approx(step * math.sqrt(24))
    assert conditions.daily_volume[-1] == pytest.approx(240)
    assert conditions.volume_days[-1] == pytest.approx((len(bars) - FEWEST_BARS) / 24)


def test_a_day_keeps_what_its_midnight_knew() -> None:
    conditions = Conditions.of(hours(24 * 4))
    days = conditions.volatility[48:].reshape(-1, 24)
    assert (days == days[:, :1]).all()
    assert len(set(days[:, 0])) == len(days)


def test_the_first_bars_of_a_history_know_nothing() -> None:
    conditions = Conditions.of(hours(24 * 3))
    assert np.isnan(conditions.volatility[:FEWEST_BARS]).all()
    assert np.isfinite(conditions.volatility[FEWEST_BARS:]).all()
    assert (conditions.volume_days[: FEWEST_BARS + 1] == 0).all()


@settings(max_examples=50)
@given(st.integers(1, 24 * 9 - 1), st.integers(0, 5))
def test_only_what_is_past_counts(cut: int, seed: int) -> None:  # pitfall 24
    bars = hours(24 * 9, seed=seed)
    whole, part = Conditions.of(bars), Conditions.of(bars[:cut])
    np.testing.assert_array_equal(whole.volatility[:cut], part.volatility)
    np.testing.assert_array_equal(whole.daily_volume[:cut], part.daily_volume)
    np.testing.assert_array_equal(whole.volume_days[: cut + 1], part.volume_days)


def test_the_bar_itself_does_not_count() -> None:  # pitfall 24
    bars = hours(24 * 5)
    k = 24 * 4 + 7
    close, volume = bars.close.copy(), bars.volume.copy()
    close[k:] *= 1.5
    volume[k:] *= 100
    other = Bars(bars.symbol, bars.ts_open_ns, bars.ts_close_ns, close, close, close, close, volume)
    for name in ("volatility", "daily_volume", "volume_days"):
        np.testing.assert_array_equal(
            getattr(Conditions.of(bars), name)[: k + 1], getattr(Conditions.of(other), name)[: k + 1]
        )


@settings(max_examples=30)
@given(st.integers(1, 24 * 9))
def test_a_past_given_apart_counts_like_one_in_the_same_piece(cut: int) -> None:
    bars = hours(24 * 10)
    whole = Conditions.of(bars)
    part = Conditions.of(bars[cut:], before=bars[:cut])
    np.testing.assert_array_equal(whole.volatility[cut:], part.volatility)
    np.testing.assert_array_equal(whole.daily_volume[cut:], part.daily_volume)
    np.testing.assert_allclose(np.diff(whole.volume_days)[cut:], np.diff(part.volume_days), atol=1e-12)


def test_an_outage_ages_the_past_but_adds_no_return_and_no_time() -> None:
    quiet = hours(24 * 4)
    ts = quiet.ts_open_ns + np.where(np.arange(len(quiet)) >= 48, 5 * HOUR_NS, 0)
    close = quiet.close * np.where(np.arange(len(quiet)) >= 48, 2.0, 1.0)  # the price doubles in the outage
    gap = Bars(quiet.symbol, ts, ts + HOUR_NS, close, close, close, close, quiet.volume)
    assert Conditions.of(gap).volatility[-1] < 1.2 * Conditions.of(quiet).volatility[-1]


def test_a_market_that_never_moved_or_never_traded_has_no_conditions() -> None:
    n = 24 * 3
    ts = START_NS + np.arange(n) * HOUR_NS
    still = np.full(n, 100.0)
    for volume in (0.0, 10.0):
        conditions = Conditions.of(Bars("ATOM/USDT", ts, ts + HOUR_NS, still, still, still, still, np.full(n, volume)))
        assert np.isnan(conditions.volatility).all()


def test_stretches_that_overlap_are_refused() -> None:
    bars = hours(48)
    with pytest.raises(DataError, match="bars must be in order of time and not overlap"):
        joined(bars[:30], bars[29:])


def test_running_sums_begin_with_nothing() -> None:
    assert running(np.array([1.0, 2.0, 3.0])).tolist() == [0, 1, 3, 6]
    assert running(np.array([])).tolist() == [0]
