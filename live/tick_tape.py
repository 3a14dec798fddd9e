"""Recorded trades, or quotes and trades, as moments: every trade, and the best prices once a second.

Whoever acts in between sees the newest market all the same: it is looked at before anybody is woken or hears of a fill.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np

from core import topics
from core.contracts import OHLCVBar, QuoteEvent, Side, TradeEvent
from execution.ticks.market import TickMarket
from execution.ticks.rows import TRADE
from execution.ticks.venue import TickVenue
from execution.timed import TimedMarket
from live.dealings import Data
from live.replay import Moment

LOOK_NS: Final = 1_000_000_000
_SIDES: Final[dict[int, Side]] = {1: "buy", -1: "sell"}


class TickTape:
    """A market of events with its trades, its quotes once a second, and its minutes as bars."""

    def __init__(self, venue: TickVenue) -> None:
        market = venue.market()
        self.market: TimedMarket = market
        self._market: TickMarket = market
        rows = venue.feed.rows
        traded = np.flatnonzero(np.asarray(rows.kind) == TRADE)
        self._trade_ns: list[int] = np.asarray(rows.ts_ns)[traded].tolist()
        self._prices: list[int] = np.asarray(rows.price_ticks)[traded].tolist()
        self._lots: list[float] = np.asarray(rows.quantity)[traded].tolist()
        self._sides: list[int] = np.asarray(rows.side)[traded].tolist()
        self._bars = venue.bars
        self._closes: list[int] = venue.bars.ts_close_ns.tolist()
        self.first_ns = -(-venue.feed.start_ns // LOOK_NS) * LOOK_NS
        self.last_ns = -(-venue.feed.end_ns // LOOK_NS) * LOOK_NS
        self._told = 0  # trades that have been given out
        self._symbol = venue.instrument.symbol

    def moments(self) -> Iterator[Moment]:
        for ts_ns in range(self.first_ns, self.last_ns + 1, LOOK_NS):
            yield Moment(ts_ns, partial(self._news, ts_ns))

    def bar_at(self, ts_ns: int) -> OHLCVBar | None:
        k = bisect_left(self._closes, ts_ns)
        return self._bars.bar(k) if k < len(self._closes) and self._closes[k] == ts_ns else None

    def look(self, ts_ns: int) -> list[tuple[str, Data]]:
        """What has become known since anybody looked: trades, and the best prices of now."""
        instrument, topic = self._market.instrument, topics.trades(self._symbol)
        news: list[tuple[str, Data]] = []
        while self._told < len(self._trade_ns) and self._trade_ns[self._told] <= ts_ns:
            k = self._told
            price, qty = instrument.price(self._prices[k]), self._lots[k] * instrument.qty(1)
            side = _SIDES.get(self._sides[k])
            news.append((topic, TradeEvent(self._symbol, price, qty, self._trade_ns[k], side, str(k))))
            self._told += 1
        seen = self._market.view(ts_ns)
        bid, ask = instrument.price(seen.bid_ticks), instrument.price(seen.ask_ticks)
        news.append((topics.quotes(self._symbol), QuoteEvent(self._symbol, bid, ask, seen.ts_ns)))
        return news

    def _news(self, ts_ns: int) -> list[tuple[str, Data]]:
        bar = self.bar_at(ts_ns)
        news: list[tuple[str, Data]] = [] if bar is None else [(topics.bars(self._symbol), bar)]
        return [*self.look(ts_ns), *news]
