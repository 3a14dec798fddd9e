"""RSI, TEMA and Bollinger bands: the one loop against each indicator worked out on its own."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chance import generator
from strategies.rsi_tema_bb_v1 import RsiTemaBbParams, RsiTemaBbV1
from tests import naive
from tests.naive import bars_of

SHORT: dict[str, Any] = {
    "rsi_period": 3,
    "oversold": 40.0,
    "overbought": 60.0,
    "tema_period": 24,
    "band_period": 7,
    "band_width": 0.8,
}
closes = st.lists(st.integers(1, 30).map(lambda ticks: ticks / 10), min_size=60, max_size=120)


def strategy(**params: Any) -> RsiTemaBbV1:
    return RsiTemaBbV1("ATOM/USDT", RsiTemaBbParams(**params))


def walk(count: int, seed: int = 1) -> list[float]:
    steps = generator(seed, "walk").standard_normal(count) * 0.01
    prices: list[float] = np.round(6 * np.exp(np.cumsum(steps)), 3).tolist()
    return prices


def expected(prices: list[float], params: RsiTemaBbParams) -> list[int]:
    levels, trend = naive.rsi(prices, params.rsi_period), naive.tema(prices, params.tema_period)
    out = []
    for k, close in enumerate(prices):
        signal = 0
        if k + 1 >= max(params.rsi_period + 1, params.band_period, 3 * params.tema_period):
            window = prices[k + 1 - params.band_period : k + 1]
            half = params.band_width * statistics.pstdev(window)
            middle = statistics.fmean(window)
            if levels[k] < params.oversold and close < middle - half and trend[k] > trend[k - 1]:
                signal = 1
            if levels[k] > params.overbought and close > middle + half and trend[k] < trend[k - 1]:
                signal = -1
        out.append(signal)
    return out


@given(closes)
def test_bar_by_bar_equals_whole_columns(prices: list[float]) -> None:
    bars, one = bars_of(prices), strategy(**SHORT)
    assert [one.signal(bars.bar(k)) for k in range(len(bars))] == strategy(**SHORT).signals(bars).tolist()


@given(closes, st.integers(0, 120))
def test_the_future_does_not_change_the_past(prices: list[float], cut: int) -> None:  # pitfall 24
    bars = bars_of(prices)
    whole = strategy(**SHORT).signals(bars)
    assert strategy(**SHORT).signals(bars[:cut]).tolist() == whole[:cut].tolist()


def test_signals_are_those_of_each_indicator_on_its_own() -> None:
    prices = walk(3000)
    signals = strategy(**SHORT).signals(bars_of(prices)).tolist()
    assert signals == expected(prices, RsiTemaBbParams(**SHORT))
    assert min(signals.count(1), signals.count(-1)) > 10, "a comparison of zeros would prove nothing"
    one, bars = strategy(**SHORT), bars_of(prices)
    assert [one.signal(bars.bar(k)) for k in range(len(bars))] == signals


@pytest.mark.parametrize(("rsi_period", "tema_period"), [(6, 2), (3, 6)])  # which of the two is ready last
def test_the_first_opinions_are_right_in_many_short_markets(rsi_period: int, tema_period: int) -> None:
    # The levels lie about the middle and the bands are thin, so that the first averages decide.
    made = RsiTemaBbParams(
        rsi_period=rsi_period, tema_period=tema_period, oversold=50, overbought=50.01, band_period=4, band_width=0.01
    )
    for seed in range(200):
        prices = walk(25, seed)
        assert RsiTemaBbV1("ATOM/USDT", made).signals(bars_of(prices)).tolist() == expected(prices, made)


def test_the_plain_ema_and_rsi_agree_with_pandas() -> None:
    prices = walk(500)
    series = pd.Series(prices)
    assert naive.ema(prices, 8) == pytest.approx(series.ewm(span=8, adjust=False).mean().tolist(), rel=1e-12)
    # Wilder's average is an exponential one of weight 1 / n; far from the start its first value no longer shows.
    change = series.diff().dropna()
    gain = change.clip(lower=0).ewm(alpha=1 / 5, adjust=False).mean()
    loss = (-change.clip(upper=0)).ewm(alpha=1 / 5, adjust=False).mean()
    late = (100 * gain / (gain + loss)).tolist()[-100:]
    assert naive.rsi(prices, 5)[-100:] == pytest.approx(late, rel=1e-9)


def test_rsi_by_hand() -> None:
    # Changes 1, -1, 2: means over 2 changes 0.5 and 0.5 -> 50; then gains (0.5 + 2) / 2, losses 0.5 / 2 -> 83.33.
    levels = naive.rsi([10, 11, 10, 12], 2)
    assert math.isnan(levels[1])
    assert levels[2:] == pytest.approx([50, 100 * 1.25 / 1.5])


def test_a_market_that_stands_still_gives_no_opinion() -> None:
    assert not strategy(**SHORT).signals(bars_of([5.0] * 200)).any()


def test_no_bars_no_signals() -> None:
    assert strategy().signals(bars_of([])).shape == (0,)


def test_signals_leave_the_strategy_as_it_was() -> None:
    bars, touched, untouched = bars_of(walk(300)), strategy(**SHORT), strategy(**SHORT)
    touched.signals(bars_of(walk(300, seed=2)))
    assert [touched.signal(bars.bar(k)) for k in range(300)] == [untouched.signal(bars.bar(k)) for k in range(300)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("rsi_period", 1), ("tema_period", 10_081), ("band_period", 0), ("band_width", 0.0), ("oversold", 80.0)],
)
def test_a_parameter_out_of_range_is_named_with_its_value(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name}.* {value}"):
        strategy(**{name: value})
