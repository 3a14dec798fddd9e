"""What the market did over a stretch of bars, against sums written out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bars import Bars
from execution.benchmarks import Tape
from tests.markets import bars_of, tapes


@given(tapes(), st.data())
def test_every_stretch_agrees_with_summing_it_up(bars: Bars, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(bars) - 1))
    last = data.draw(st.integers(first, len(bars) - 1))
    tape = Tape(bars)
    volume = money = weighted = seconds = 0.0
    for k in range(first, last + 1):
        volume += bars.volume[k]
        money += (bars.high[k] + bars.low[k] + bars.close[k]) / 3 * bars.volume[k]
        span = (bars.ts_close_ns[k] - bars.ts_open_ns[k]) / 1e9
        weighted += (bars.close[k - 1] if k else bars.open[0]) * span
        seconds += span
    assert tape.volume(first, last) == pytest.approx(volume)
    assert tape.vwap(first, last) == pytest.approx(money / volume if volume else math.nan, nan_ok=True)
    assert tape.twap(first, last) == pytest.approx(weighted / seconds)


def test_money_over_volume_is_the_vwap_where_the_feed_has_the_money() -> None:
    bars = bars_of([(100, 102, 98, 101, 10), (101, 103, 101, 102, 30)])
    exact = replace(bars, quote_volume=np.array([1001.0, 3060.0]))
    assert Tape(exact).vwap(0, 1) == pytest.approx(4061 / 40)
    assert Tape(exact).vwap_source == "money / volume"
    assert Tape(bars).vwap_source == "typical price (H+L+C)/3 of each bar"


def test_a_stretch_without_volume_has_no_vwap() -> None:  # pitfall 30
    bars = bars_of([(100, 101, 99, 100, 0), (100, 101, 99, 100, 10)])
    assert math.isnan(Tape(bars).vwap(0, 0))
    assert Tape(bars).vwap(1, 1) == pytest.approx(100)


@given(tapes(), st.integers(1, 11))
def test_no_benchmark_knows_what_comes_after_it(bars: Bars, cut: int) -> None:  # pitfall 24
    cut = min(cut, len(bars))
    whole, part = Tape(bars), Tape(bars[:cut])
    for price in ("vwap", "twap", "volume"):
        np.testing.assert_equal(getattr(whole, price)(0, cut - 1), getattr(part, price)(0, cut - 1))
