"""Benchmark prices over stretches of bars, each in O(1) after one pass."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from execution.conditions import running


class Tape:
    """What the market did, summed up: volume, money and time-weighted mid between any two bars."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.vwap_source = "typical price (H+L+C)/3 of each bar" if bars.quote_volume is None else "money / volume"

    def volume(self, first: int, last: int) -> float:
        """Market volume of the bars [first, last]."""
        return float(self._volume[last + 1] - self._volume[first])

    def vwap(self, first: int, last: int) -> float:
        """Volume-weighted price of the bars [first, last], without our own trades; NaN without volume."""
        volume = self.volume(first, last)
        return float(self._money[last + 1] - self._money[first]) / volume if volume > 0 else math.nan

    def twap(self, first: int, last: int) -> float:
        """Time-weighted mid over the bars [first, last]: the close before each bar, carried through it."""
        seconds = self._seconds[last + 1] - self._seconds[first]
        return float((self._mids[last + 1] - self._mids[first]) / seconds)

    @cached_property
    def _volume(self) -> NDArray[np.float64]:
        return running(self.bars.volume)

    @cached_property
    def _money(self) -> NDArray[np.float64]:
        bars = self.bars
        if bars.quote_volume is not None:
            return running(bars.quote_volume)
        return running((bars.high + bars.low + bars.close) / 3 * bars.volume)

    @cached_property
    def _seconds(self) -> NDArray[np.float64]:
        return running((self.bars.ts_close_ns - self.bars.ts_open_ns) / 1e9)

    @cached_property
    def _mids(self) -> NDArray[np.float64]:
        bars = self.bars
        before = np.concatenate((bars.open[:1], bars.close[:-1]))
        return running(before * ((bars.ts_close_ns - bars.ts_open_ns) / 1e9))
