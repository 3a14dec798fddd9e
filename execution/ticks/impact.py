"""What our own trading does to the prices of an event-driven market, minute by minute.

In minute k all prices are displaced by what our trading up to then has left, `Pressure.displacement(k)`. A taker that
met the mid m, half the spread h and a level w beyond the best price pays

    m (1 + displacement) + side * (h + max(w, own * m))

where `own` is what the model charges this quantity beyond what is carried over from before (`Pressure.carried`).
Walking the displayed levels and the model's charge measure the same thing, the price of size, so the larger counts and
not the sum.

The model charges a minute's net quantity as a whole; a fill pays the increase, so that many small fills cost what one
large one does.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from core.bars import Bars
from core.columns import plain_ints
from core.contracts import OrderIntent
from core.instrument import Instrument
from execution.fills import is_within
from execution.pressure import Pressure


class Impact:
    """The memory of one market. `pressure` None: prices are what is displayed."""

    def __init__(self, instrument: Instrument, pressure: Pressure | None, bars: Bars | None) -> None:
        if (pressure is None) != (bars is None):
            raise ValueError("pressure and the bars that it was made with belong together: give both or neither")
        self.shift = 0.0  # of prices by our trading in the minutes before this one, as a fraction
        self._instrument = instrument
        self._tick, self._lot = instrument.price(1), instrument.qty(1)
        self._pressure = pressure
        self._bars = bars
        self._opens_ns = [] if bars is None else plain_ints(bars.ts_open_ns)
        self._minute = -1
        self._next_ns: int | None = self._opens_ns[0] if len(self._opens_ns) else None
        self._net = 0  # lots in this minute
        self._carried: float | None = None  # of what the model charges in this minute, due to our trading before it
        self._totals: tuple[tuple[int, float], ...] = ()  # the last answers of `_total` in this minute

    @property
    def next_ns(self) -> int | None:
        """When the next minute begins; None: there is none, or nothing depends on it."""
        return self._next_ns

    def turn(self, now_ns: int) -> bool:
        """Goes to the minute of this time; whether the displacement is another one there."""
        if self._next_ns is None or now_ns < self._next_ns or self._bars is None or self._pressure is None:
            return False
        minute = bisect_right(self._opens_ns, now_ns) - 1
        if self._net and self._minute >= 0 and self._bars.volume[self._minute] > 0:
            self._pressure.traded(self._minute, self._net * self._lot)
            self._net = 0  # else it counts in the first minute in which the market trades
        self._minute, self._totals, self._carried = minute, (), None
        self._next_ns = self._opens_ns[minute + 1] if minute + 1 < len(self._opens_ns) else None
        before, self.shift = self.shift, self._pressure.displacement(minute)
        return self.shift != before

    def traded(self, signed_lots: int) -> None:
        self._net += signed_lots

    def price(
        self, intent: OrderIntent, sign: int, lots: int, ticks: int | None, mid: float, half: float
    ) -> tuple[float, float, float]:
        """What a taker pays: price, half the spread, and impact, all in price units. mid, half: ticks, undisplaced.

        ticks: the level that it took; None where no level was shown. Never beyond the order's limit.
        """
        mid_price, half_price = mid * self._tick, half * self._tick
        walked = 0.0
        if ticks is not None:
            walked = max(0.0, sign * (ticks - mid) - half) * self._tick
        own = sign * self._own(sign * lots) * mid_price
        if ticks is not None and self.shift == 0 and own <= walked:
            price = self._instrument.price(ticks)
        else:
            price = mid_price * (1 + self.shift) + sign * (half_price + max(walked, own))
        limit = intent.limit_price
        if limit is not None and sign * (price - limit) > 0:
            price = limit
        return price, half_price, sign * (price - mid_price) - half_price

    def affordable(self, sign: int, limit: float, lots: int, mid: float, half: float) -> int:
        """The most of these lots whose price by the model alone is not beyond the limit."""

        def fits(count: int) -> bool:
            own = sign * self._own(sign * count) * mid
            return is_within(sign, limit, (mid * (1 + self.shift) + sign * (half + own)) * self._tick)

        if self._pressure is None or fits(lots):
            return lots
        low, high = 0, lots
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def undisplaced(self, sign: int, limit_ticks: int) -> int:
        """A limit as it stands against the market without us: limit / (1 + displacement), rounded against us."""
        if self.shift == 0:
            return limit_ticks
        ticks = limit_ticks / (1 + self.shift)
        return sign * int(np.floor(sign * ticks + 1e-6))

    def _own(self, signed_lots: int) -> float:
        """What the model charges these lots on average beyond what is carried, after those of the minute so far."""
        k = self._minute
        if self._pressure is None or self._bars is None or k < 0 or self._bars.volume[k] <= 0:
            return 0.0
        before = self._total(self._net)
        after = self._total(self._net + signed_lots)
        self._totals = ((self._net, before), (self._net + signed_lots, after))
        return (after - before) / signed_lots

    def _total(self, signed_lots: int) -> float:
        """What the model charges these lots of the minute together; where the last fill has left us it is known."""
        assert self._pressure is not None
        if signed_lots == 0:
            return 0.0
        for lots, total in self._totals:
            if lots == signed_lots:
                return total
        charged = self._pressure.charge(self._minute, signed_lots * self._lot)
        if self._carried is None:  # not before we trade: what an idle minute is asked must leave no trace
            self._carried = self._pressure.carried(self._minute)
        return signed_lots * (charged - self._carried)
