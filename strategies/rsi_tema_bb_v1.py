"""Pull-backs within a trend: RSI and Bollinger bands find the pull-back, the slope of a TEMA tells the trend.

    RSI     Wilder: gains and losses of the closes, averaged as a' = a + (x - a) / n, first as the mean of n changes;
            RSI = 100 * gains / (gains + losses)
    TEMA    3 e1 - 3 e2 + e3 with e1 = EMA(close), e2 = EMA(e1), e3 = EMA(e2), weight 2 / (n + 1), starting at close 0
    Bands   mean +- width * population standard deviation of the last n closes, this one included

    signal =  1  where RSI < oversold,   close < lower band, TEMA rising
             -1  where RSI > overbought, close > upper band, TEMA falling
              0  otherwise, and until all three have enough closes (TEMA: three times its period)

RSI and TEMA recur, so columns are walked in one loop, the very one that a single bar goes through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from core import checks
from core.contracts import OHLCVBar
from strategies.base import Signals
from strategies.directional import DirectionalParams, DirectionalStrategy
from strategies.price_units import units_per_price

if TYPE_CHECKING:
    from core.bars import Bars


@dataclass(frozen=True, slots=True, kw_only=True)
class RsiTemaBbParams(DirectionalParams):
    """DirectionalParams and

    rsi_period, tema_period, band_period: 2 to 10,080 bars.
    oversold, overbought: RSI levels, 0 <= oversold < overbought <= 100.
    band_width: half width of the bands in standard deviations, above 0.
    """

    rsi_period: int = 14
    oversold: float = 30.0
    overbought: float = 70.0
    tema_period: int = 960
    band_period: int = 60
    band_width: float = 2.0

    def __post_init__(self) -> None:
        super(RsiTemaBbParams, self).__post_init__()  # a bare super() would miss the class that slots make
        for name in ("rsi_period", "tema_period", "band_period"):
            checks.between(name, getattr(self, name), 2, 10_080)
        checks.positive("band_width", self.band_width)
        if not 0 <= self.oversold < self.overbought <= 100:
            raise ValueError(
                f"0 <= oversold < overbought <= 100 must hold, was oversold {self.oversold}, "
                f"overbought {self.overbought}"
            )


@dataclass(slots=True)
class _State:
    seen: int = 0
    scale: float = 0.0
    last: float = 0.0
    gains: float = 0.0
    losses: float = 0.0
    e1: float = 0.0
    e2: float = 0.0
    e3: float = 0.0
    tema: float = 0.0
    total: int = 0
    squares: int = 0
    closes: deque[int] = field(default_factory=deque)


class RsiTemaBbV1(DirectionalStrategy[RsiTemaBbParams]):
    strategy_id = "rsi_tema_bb_v1"
    params_type = RsiTemaBbParams

    def __init__(self, symbol: str, params: RsiTemaBbParams, *, seed: int = 0) -> None:
        super().__init__(symbol, params, seed=seed)
        self._state = _State()

    def signal(self, bar: OHLCVBar) -> int:
        return _advance(self._state, (bar.close,), self.params)[0]

    def signals(self, bars: Bars) -> Signals:
        return np.array(_advance(_State(), bars.close.tolist(), self.params), np.int8)


def _advance(state: _State, closes: Iterable[float], params: RsiTemaBbParams) -> list[int]:
    """The signals of these closes; `state` is moved on past them. Locals throughout: this loop is the cost."""
    rsi_period, band_period, width = params.rsi_period, params.band_period, params.band_width
    low, high = params.oversold, params.overbought
    weight = 2.0 / (params.tema_period + 1)
    ready = max(rsi_period + 1, band_period, 3 * params.tema_period)
    seen, scale, last, window = state.seen, state.scale, state.last, state.closes
    gains, losses, tema = state.gains, state.losses, state.tema
    e1, e2, e3, total, squares = state.e1, state.e2, state.e3, state.total, state.squares
    out: list[int] = []
    for close in closes:
        if not seen:
            scale = units_per_price(close)
            last = e1 = e2 = e3 = tema = close
        seen += 1
        change = close - last
        last = close
        # The first n changes are averaged with growing n, which is their mean; the first close has no change.
        share = seen - 1 if seen <= rsi_period else rsi_period
        if share:
            gains += ((change if change > 0.0 else 0.0) - gains) / share
            losses += ((-change if change < 0.0 else 0.0) - losses) / share

        before = tema
        e1 += weight * (close - e1)
        e2 += weight * (e1 - e2)
        e3 += weight * (e2 - e3)
        tema = 3.0 * (e1 - e2) + e3

        price = round(close * scale)
        window.append(price)
        total += price
        squares += price * price
        if seen > band_period:
            oldest = window.popleft()
            total -= oldest
            squares -= oldest * oldest

        signal = 0
        if seen >= ready and tema != before:
            level, whole = 100.0 * gains, gains + losses
            if tema > before and level < low * whole:
                away = band_period * price - total
                signal = int(away < -width * sqrt(band_period * squares - total * total))
            elif tema < before and level > high * whole:
                away = band_period * price - total
                signal = -int(away > width * sqrt(band_period * squares - total * total))
        out.append(signal)
    state.seen, state.scale, state.last, state.tema = seen, scale, last, tema
    state.gains, state.losses = gains, losses
    state.e1, state.e2, state.e3, state.total, state.squares = e1, e2, e3, total, squares
    return out
