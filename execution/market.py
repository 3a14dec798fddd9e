"""The simulated market of one symbol on bars: our orders go in, fills and closes come out.

An order that is in before a bar opens may trade in it. Takers trade at the open plus half the spread plus impact,
resting orders where the market trades through them; all our orders together get one budget of a bar's volume (market
orders first, then limits that cross, then resting ones, the best limit first, equal ones as they came), and what is
left over waits for the next bar. Impact has a memory: what we did before moves the prices that our later orders meet,
and wears off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.columns import plain, plain_ints
from core.contracts import FillEvent, Liquidity, OrderClosed, OrderIntent, sign
from core.instrument import Instrument
from execution.conditions import running
from execution.config import FillConfig
from execution.events import Market
from execution.fills import is_within, maker_price, maker_share, paid, quoted_ticks, takes, volume_budget
from execution.filters import refusal
from execution.pressure import Pressure

VenueEvent = FillEvent | OrderClosed


@dataclass(slots=True)
class _Working:
    """An order of ours in the market. `rested`: it has stood in the book, passive, before the present bar opened."""

    intent: OrderIntent
    side: int
    left: int
    first_bar: int
    filled: int = 0
    fills: int = 0
    rested: bool = False


class BarMarket:
    """A venue that fills our orders from bars, played in order: `open(k)`, then `close(k)`.

    `half_spread`: half the quoted spread of each bar in price units, shape (n,). The `meta` of every fill says what of
    its price is `half_spread` and what is `impact`, both in price units and positive when they cost.
    """

    def __init__(
        self,
        bars: Bars,
        instrument: Instrument,
        half_spread: NDArray[np.float64],
        pressure: Pressure,
        fills: FillConfig,
    ) -> None:
        self.bars = bars
        self.instrument = instrument
        self.half_spread = half_spread
        self._open_ns, self._close_ns = plain_ints(bars.ts_open_ns), plain_ints(bars.ts_close_ns)
        self._open, self._high, self._low = plain(bars.open), plain(bars.high), plain(bars.low)
        self._close, self._volume, self._half = plain(bars.close), plain(bars.volume), plain(half_spread)
        self._tape = plain(running(bars.volume) / instrument.qty(1))
        self._pressure = pressure
        self._fills = fills
        self._lot = instrument.qty(1)
        self._tick = instrument.price(1)
        self._touch = fills.limit_rule == "touch"
        self._working: dict[str, _Working] = {}
        self._bar = -1
        self._quoted_bar = -2
        self._quote = Market(0, 0, 0)
        self._left_of_bar = 0
        self._net = 0

    @property
    def busy(self) -> bool:
        return bool(self._working)

    def mid(self, k: int) -> float:
        """The mid at the close of bar k, own impact included; for k = -1 the first open, when nothing is known yet."""
        undisturbed = self._close[k] if k >= 0 else self._open[0]
        return undisturbed * (1 + self._pressure.displacement(k + 1))

    def quote(self, k: int) -> Market:
        """What can be seen of the market at the close of bar k, which is the last one known."""
        if k != self._quoted_bar:
            self._quoted_bar = k
            self._quote = self._quote_of(k)
        return self._quote

    def _quote_of(self, k: int) -> Market:
        mid, half = self.mid(k), self._half[max(k, 0)]
        ts_ns = self._close_ns[k] if k >= 0 else self._open_ns[0]
        bid, ask = quoted_ticks(mid, half, self._tick)
        return Market(ts_ns, bid, ask, int(self._tape[k + 1]))

    def submit(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None:
        """Takes an order into the market; gives back its close where the venue's filters reject it."""
        first_bar = int(np.searchsorted(self.bars.ts_open_ns, now_ns))
        lots = self.instrument.lots(intent.qty)
        near = intent.limit_price if intent.limit_price is not None else self.mid(first_bar - 1)
        reason = refusal(self.instrument, intent, near)
        if reason is not None:
            return OrderClosed(intent.intent_id, self.instrument.venue, "rejected", 0.0, now_ns, reason)
        self._working[intent.intent_id] = _Working(intent, sign(intent.side), lots, first_bar)
        return None

    def cancel(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None:
        """Takes an order out of the market; None where it is not there any more."""
        order = self._working.pop(intent.target_intent_id or "", None)
        return None if order is None else self._closed(order, "cancelled", now_ns)

    def open(self, k: int) -> list[VenueEvent]:
        """The open of bar k: orders whose time is over leave, takers trade."""
        self._bar = k
        self._net = 0
        self._left_of_bar = volume_budget(self._volume[k], self._fills.max_participation, self._lot)
        if not self._working:
            return []
        now_ns = self._open_ns[k]
        events: list[VenueEvent] = []
        crossing: list[_Working] = []
        base = self._open[k] * (1 + self._pressure.displacement(k))
        for order in list(self._working.values()):
            expires, limit = order.intent.expires_ts_ns, order.intent.limit_price
            if expires is not None and expires <= now_ns:
                events.append(self._expire(order, expires))
            elif order.first_bar <= k and not order.rested and takes(order.side, limit, base, self._half[k]):
                crossing.append(order)
        for order, lots in self._takers(_best_first(crossing, base)):
            events.append(self._fill(order, lots, self._take_price(order.side, self._net), now_ns, "taker"))
        return events

    def close(self, k: int) -> list[VenueEvent]:
        """The rest of bar k: resting orders trade, and what we did moves the price."""
        if not (self._working or self._net):
            return []
        now_ns = self._close_ns[k]
        events: list[VenueEvent] = []
        if self._working:
            shift = 1 + self._pressure.displacement(k)
            open_price, high, low = self._open[k] * shift, self._high[k] * shift, self._low[k] * shift
            room = {1: self._left_of_bar, -1: self._left_of_bar}  # what traded beyond a limit is there once for all
            for order in _best_first(self._working.values(), open_price):
                limit, expires = order.intent.limit_price, order.intent.expires_ts_ns
                if expires is not None and expires < now_ns:  # nobody knows what traded before its time was over
                    events.append(self._expire(order, expires))
                    continue
                if order.first_bar > k or limit is None:
                    continue
                if not order.rested and takes(order.side, limit, open_price, self._half[k]):
                    continue  # a taker: what it did not get at the open, or came too late for, waits for the next one
                share = maker_share(order.side, limit, high, low, self._tick, self._touch)
                budget = volume_budget(self._volume[k] * share, self._fills.max_participation, self._lot)
                room[order.side] = min(room[order.side], budget)
                lots = min(order.left, self._left_of_bar, room[order.side])
                if lots > 0:
                    self._left_of_bar -= lots
                    room[order.side] -= lots
                    self._net += order.side * lots
                    price = maker_price(order.side, limit, open_price, rested=order.rested)
                    events.append(self._fill(order, lots, price, now_ns, "maker"))
                order.rested = True
        if self._net:
            self._pressure.traded(k, self._net * self._lot)
        return events

    def _take_price(self, side: int, net: int) -> float:
        """open * (1 + average displacement while we trade) + side * half the spread."""
        k = self._bar
        average = self._pressure.charge(k, net * self._lot)
        return self._open[k] * (1 + average) + side * self._half[k]

    def _takers(self, crossing: list[_Working]) -> list[tuple[_Working, int]]:
        """How many lots each crossing order takes, all at one price; sets the net of them.

        As the best limits come first, whoever joins later keeps the price within his own limit, and so within theirs.
        """
        takers: list[tuple[_Working, int]] = []
        for order in crossing:
            lots = min(order.left, self._left_of_bar)
            limit = order.intent.limit_price
            if limit is not None:
                lots = self._within_limit(order.side, limit, lots)
            if lots > 0:
                self._left_of_bar -= lots
                self._net += order.side * lots
                takers.append((order, lots))
        return takers

    def _within_limit(self, side: int, limit: float, lots: int) -> int:
        """The most lots whose price is not beyond the limit, given who takes before."""

        def fits(count: int) -> bool:
            return is_within(side, limit, self._take_price(side, self._net + side * count))

        if fits(lots):
            return lots
        low, high = 0, lots  # fits(low) is taken for granted, fits(high) is false
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def _fill(self, order: _Working, lots: int, price: float, now_ns: int, liquidity: Liquidity) -> FillEvent:
        order.left -= lots
        order.filled += lots
        order.fills += 1
        intent = order.intent
        if order.left == 0:
            del self._working[intent.intent_id]
        qty = self.instrument.qty(lots)
        fee_bps = self.instrument.maker_fee_bps if liquidity == "maker" else self.instrument.taker_fee_bps
        half_spread = impact = 0.0
        if liquidity == "taker":
            half_spread = self._half[self._bar]
            impact = order.side * (price - self._open[self._bar]) - half_spread
        return FillEvent(
            f"{intent.intent_id}-f{order.fills}",
            intent.intent_id,
            intent.symbol,
            intent.side,
            qty,
            paid(intent.symbol, qty, price),
            now_ns,
            self.instrument.notional(qty, price) * fee_bps / 1e4,
            liquidity,
            {**intent.meta, "half_spread": half_spread, "impact": impact},
        )

    def _expire(self, order: _Working, now_ns: int) -> OrderClosed:
        del self._working[order.intent.intent_id]
        return self._closed(order, "expired", now_ns)

    def _closed(self, order: _Working, status: str, now_ns: int) -> OrderClosed:
        filled = self.instrument.qty(order.filled)
        return OrderClosed(order.intent.intent_id, self.instrument.venue, status, filled, now_ns)  # type: ignore[arg-type]


def _best_first(orders: Iterable[_Working], price: float) -> list[_Working]:
    """Market orders, then the limits that give most over this price; equal ones stay in order of arrival."""

    def gives(order: _Working) -> float:
        limit = order.intent.limit_price
        return math.inf if limit is None else order.side * (limit - price)

    return sorted(orders, key=gives, reverse=True)
