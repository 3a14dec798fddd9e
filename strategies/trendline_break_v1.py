"""Breakout of a rolling trend line.

The line is the least-squares fit through the last `window` closes y_0 .. y_{W-1}, the current bar not among them,
carried one bar ahead. With S0 = sum(y_i) and S1 = sum(i * y_i) its value there has the closed form

    projection = (3 * S1 - (W - 1) * S0) / (W * (W - 1) / 2)

    signal =  1  where close > projection * (1 + threshold)
             -1  where close < projection * (1 - threshold)
              0  otherwise, and for the first `window` bars

S0 and S1 roll in O(1) and, over prices in integer units, without any rounding; so one bar at a time and whole columns
give the same bits.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core import checks
from core.contracts import OHLCVBar
from strategies.base import Signals
from strategies.directional import DirectionalParams, DirectionalStrategy
from strategies.price_units import units, units_per_price

if TYPE_CHECKING:
    from core.bars import Bars


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendlineBreakParams(DirectionalParams):
    """DirectionalParams and

    window: closes in the fit, 2 to 20,160 bars (two weeks of minutes).
    threshold: distance from the line that counts as a break, as a fraction of the line, 0 up to below 1.

    Half of equity a position and an hour between two parents: turning over all of it, all day, feeds the venue's fees.
    """

    window: int = 360
    threshold: float = 0.02
    equity_fraction: float = 0.5
    cooldown_seconds: int = 3_600

    def __post_init__(self) -> None:
        super(TrendlineBreakParams, self).__post_init__()  # a bare super() would miss the class that slots make
        checks.between("window", self.window, 2, 20_160)
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must be at least 0 and below 1, was {self.threshold}")


class TrendlineBreakV1(DirectionalStrategy[TrendlineBreakParams]):
    strategy_id = "trendline_break_v1"
    params_type = TrendlineBreakParams

    def __init__(self, symbol: str, params: TrendlineBreakParams, *, seed: int = 0) -> None:
        super().__init__(symbol, params, seed=seed)
        self._scale = 0.0
        self._closes: deque[int] = deque()
        self._sum = 0  # S0
        self._cross = 0  # S1

    def signal(self, bar: OHLCVBar) -> int:
        if not self._scale:
            self._scale = units_per_price(bar.close)
        close = units(bar.close, self._scale)
        window, closes = self.params.window, self._closes
        if len(closes) < window:
            self._cross += len(closes) * close
            self._sum += close
            closes.append(close)
            return 0
        line = float(3 * self._cross - (window - 1) * self._sum)
        price = float(close * (window * (window - 1) // 2))
        oldest = closes.popleft()
        closes.append(close)
        self._cross += (window - 1) * close - (self._sum - oldest)  # all that stays moves one place to the left
        self._sum += close - oldest
        return (price > line * (1 + self.params.threshold)) - (price < line * (1 - self.params.threshold))

    def signals(self, bars: Bars) -> Signals:
        window, count = self.params.window, len(bars)
        out = np.zeros(count, np.int8)
        if count <= window:
            return out
        in_units = np.rint(bars.close * units_per_price(float(bars.close[0])))
        if 1.5 * window * window * in_units.max() >= 2.0**63:  # the price rose so far that int64 would not hold it
            return super().signals(bars)
        close = in_units.astype(np.int64)
        # The running totals may wrap around: differences of them are right as long as the windows' own sums fit.
        first = np.arange(count - window)
        total = np.concatenate(([0], np.cumsum(close)))
        weighted = np.concatenate(([0], np.cumsum(close * np.arange(count))))
        sums = total[window:-1] - total[: -1 - window]
        cross = weighted[window:-1] - weighted[: -1 - window] - first * sums
        line = (3 * cross - (window - 1) * sums).astype(np.float64)
        price = (close[window:] * (window * (window - 1) // 2)).astype(np.float64)
        above = price > line * (1 + self.params.threshold)
        below = price < line * (1 - self.params.threshold)
        out[window:] = above.view(np.int8) - below.view(np.int8)
        return out
