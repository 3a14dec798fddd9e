"""Recorded data as moments in time: what a replayed trader is told, and when."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from core import topics
from core.bars import Bars
from core.contracts import OHLCVBar, QuoteEvent
from execution.market import BarMarket
from execution.timed import TimedBars, TimedMarket
from live.dealings import Data
from live.replay import Moment


class Tape(Protocol):
    """A simulated market with the data that it makes."""

    @property
    def market(self) -> TimedMarket: ...
    @property
    def first_ns(self) -> int: ...
    @property
    def last_ns(self) -> int | None:
        """Where it ends; None: it grows, and nobody knows."""
        ...

    def moments(self) -> Iterator[Moment]:
        """In order of time. A tape that grows has no more for now where this ends, and goes on when it has."""
        ...

    def bar_at(self, ts_ns: int) -> OHLCVBar | None:
        """The bar that closes at this moment, for strategies."""
        ...

    def look(self, ts_ns: int) -> Sequence[tuple[str, Data]]:
        """What has become known of the market since its last moment."""
        ...


class BarTape:
    """Bars as they close, each with the quote at its close; before the first one, the quote at its open.

    Quotes are asked for when their time has come: our own trading moves them.
    """

    def __init__(self, market: BarMarket) -> None:
        self.market: TimedMarket = TimedBars(market)
        self._market = market
        self._bars: Bars = market.bars
        self._closes: list[int] = market.bars.ts_close_ns.tolist()
        self._bar_topic = topics.bars(self._bars.symbol)
        self._quote_topic = topics.quotes(self._bars.symbol)

    @property
    def first_ns(self) -> int:
        return int(self._bars.ts_open_ns[0])

    @property
    def last_ns(self) -> int:
        return self._closes[-1]

    def moments(self) -> Iterator[Moment]:
        yield Moment(self.first_ns, partial(self._news, -1))
        for k, close_ns in enumerate(self._closes):
            yield Moment(close_ns, partial(self._news, k))

    def bar_at(self, ts_ns: int) -> OHLCVBar | None:
        k = bisect_left(self._closes, ts_ns)
        return self._bars.bar(k) if k < len(self._closes) and self._closes[k] == ts_ns else None

    def look(self, ts_ns: int) -> list[tuple[str, Data]]:  # noqa: ARG002 - between two closes nothing becomes known
        return []

    def _news(self, k: int) -> list[tuple[str, Data]]:
        seen, price = self._market.quote(k), self._market.instrument.price
        quote = QuoteEvent(self._bars.symbol, price(seen.bid_ticks), price(seen.ask_ticks), seen.ts_ns)
        if k < 0:
            return [(self._quote_topic, quote)]
        return [(self._bar_topic, self._bars.bar(k)), (self._quote_topic, quote)]
