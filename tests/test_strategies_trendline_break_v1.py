"""The trend line: one bar at a time, whole columns and the plain least-squares fit say the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bars import Bars
from core.chance import generator
from core.contracts import OHLCVBar
from strategies.trendline_break_v1 import TrendlineBreakParams, TrendlineBreakV1
from tests import naive
from tests.naive import bars_of
from tests.real_data import real

# Closes on a tick grid, calm and wild; few ticks make many ties.
closes = st.one_of(
    st.lists(st.integers(1, 20).map(lambda ticks: ticks / 10), max_size=60),
    st.lists(st.floats(1e-6, 1e6), max_size=40),
)


def strategy(window: int = 360, threshold: float = 0.015) -> TrendlineBreakV1:
    return TrendlineBreakV1("ATOM/USDT", TrendlineBreakParams(window=window, threshold=threshold))


def bar_by_bar(one: TrendlineBreakV1, bars: Bars) -> list[int]:
    return [one.signal(bars.bar(k)) for k in range(len(bars))]


def walk(count: int, *, step: float = 0.001, first: float = 6.0, seed: int = 1) -> list[float]:
    steps = generator(seed, "walk").standard_normal(count) * step
    ticks: list[float] = np.round(first * np.exp(np.cumsum(steps)), 3).tolist()
    return ticks


def test_a_break_counts_from_beyond_the_threshold_on() -> None:
    # The line through 10, 11, 12 is at 13 next: more than 1 % away is above 13.13 or below 12.87.
    for close, signal in [(13.14, 1), (13.12, 0), (12.88, 0), (12.86, -1)]:
        assert strategy(3, 0.01).signals(bars_of([10, 11, 12, close])).tolist() == [0, 0, 0, signal]


def test_a_falling_line_may_end_below_zero_and_everything_is_above_it() -> None:
    assert strategy(2, 0.01).signals(bars_of([10, 1, 0.5])).tolist() == [0, 0, 1]


@given(closes, st.integers(2, 8), st.sampled_from([0.0, 0.01, 0.1]))
def test_bar_by_bar_equals_whole_columns(prices: list[float], window: int, threshold: float) -> None:
    bars = bars_of(prices)
    assert bar_by_bar(strategy(window, threshold), bars) == strategy(window, threshold).signals(bars).tolist()


@given(closes, st.integers(2, 8), st.integers(0, 60))
def test_the_future_does_not_change_the_past(prices: list[float], window: int, cut: int) -> None:  # pitfall 24
    bars = bars_of(prices)
    whole = strategy(window, 0.01).signals(bars)
    assert strategy(window, 0.01).signals(bars[:cut]).tolist() == whole[:cut].tolist()


@pytest.mark.parametrize(("window", "threshold"), [(2, 0.001), (3, 0.002), (17, 0.003), (60, 0.005)])
def test_signals_are_those_of_the_plain_least_squares_fit(window: int, threshold: float) -> None:
    prices = walk(400)
    signals = strategy(window, threshold).signals(bars_of(prices)).tolist()
    assert signals == naive.trendline_signals(prices, window, threshold)
    assert {-1, 0, 1} == set(signals), "a comparison of zeros would prove nothing"


def test_the_line_agrees_with_polyfit() -> None:
    prices = walk(50)
    slope, start = np.polyfit(np.arange(50), prices, 1)
    assert float(naive.least_squares_ahead(prices)) == pytest.approx(start + slope * 50, rel=1e-12)


@pytest.mark.parametrize("first", [1e-7, 0.03, 68_000.0, 5e8])
def test_any_level_of_price_gives_the_same_signals(first: float) -> None:
    factor = first / 6.0
    prices = walk(2000)
    scaled = strategy(60, 0.005).signals(bars_of([price * factor for price in prices]))
    assert scaled.tolist() == strategy(60, 0.005).signals(bars_of(prices)).tolist()


def test_long_columns_stay_exact_far_from_the_start() -> None:
    bars = bars_of(walk(20_000, first=40_000.0))
    whole = strategy(500, 0.004).signals(bars)
    assert bar_by_bar(strategy(500, 0.004), bars) == whole.tolist()
    assert np.count_nonzero(whole) > 100


@pytest.mark.parametrize("first", [1e-9, 1e-3, 1.0])  # beyond int64: the price, the sums in a window, nothing
def test_a_price_that_rises_past_what_integers_of_64_bits_hold_is_still_right(first: float) -> None:
    prices = [first, *walk(120, first=1e6)]
    signals = strategy(40, 0.001).signals(bars_of(prices))
    assert signals.tolist() == bar_by_bar(strategy(40, 0.001), bars_of(prices))
    assert signals[41:].tolist() == naive.trendline_signals(prices, 40, 0.001)[41:]


def test_whole_columns_are_not_walked_bar_by_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    def walked(self: TrendlineBreakV1, bar: OHLCVBar) -> int:
        raise AssertionError("signals went bar by bar")

    monkeypatch.setattr(TrendlineBreakV1, "signal", walked)
    assert np.count_nonzero(strategy(60, 0.002).signals(bars_of(walk(2000)))) > 0


@pytest.mark.parametrize("count", [0, 1, 359, 360])
def test_until_the_window_is_full_there_is_no_opinion(count: int) -> None:
    signals = strategy().signals(bars_of(walk(count)))
    assert signals.dtype == np.int8
    assert signals.tolist() == [0] * count


@pytest.mark.parametrize(("name", "value"), [("window", 1), ("window", 20_161), ("threshold", -0.1), ("threshold", 1)])
def test_a_parameter_out_of_range_is_named_with_its_value(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be .*was {value}"):
        TrendlineBreakParams(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [0, 7_000])
def test_real_minutes_bar_by_bar_equal_whole_columns(start: int) -> None:
    import polars as pl

    path = real("binance_spot_1m_202104_05.parquet")
    table = pl.scan_parquet(path).filter(pl.col("symbol") == "ATOMUSDT").slice(start, 3000).collect()
    bars = bars_of(table["close"].to_list())
    whole = strategy().signals(bars)
    assert bar_by_bar(strategy(), bars) == whole.tolist()
