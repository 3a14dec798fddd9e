"""A simulated market of events and everything that is derived from them once: minute bars, benchmarks, statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.contracts import FillEvent
from core.errors import DataError
from core.instrument import Instrument
from execution.conditions import Conditions, joined
from execution.config import DEFAULT_FILLS, FillConfig
from execution.pressure import Pressure
from execution.profile import VolumeHistory
from execution.slippage import SlippageModel
from execution.spread import Spread, bar_spread
from execution.ticks.benchmarks import Steps, TickTape
from execution.ticks.feed import LiveFeed, TickFeed
from execution.ticks.latency import Latency
from execution.ticks.market import TickMarket
from execution.ticks.queue import QueueModel
from execution.ticks.rows import BEST, BEST_ASK, BEST_BID, LEVELS, NO_BOOK, TRADE
from execution.venue import impact_statement
from research.data_reader import DataReader

MINUTE_NS: Final = 60_000_000_000
SECOND_NS: Final = 1_000_000_000
_HOW: Final = {
    NO_BOOK: "takers at the last trade and half the spread",
    BEST: "takers walk what is displayed at the best prices",
    LEVELS: "takers walk the displayed book",
}


@dataclass(frozen=True)
class TickVenue:
    """A simulated market with everything that is derived from its events once; `bars` are minutes of its trades."""

    feed: TickFeed
    instrument: Instrument
    bars: Bars
    spread: Spread | None
    tape: TickTape
    conditions: Conditions
    volumes: VolumeHistory
    settings: dict[str, Any]
    slippage: SlippageModel | None
    permanent_share: float
    fills: FillConfig

    @property
    def executor_arguments(self) -> dict[str, Any]:
        """What an executor should know of it."""
        return {"instrument": self.instrument}

    @property
    def latency(self) -> Latency:
        return latency_of(self.fills)

    def market(self, latency: Latency | None = None) -> TickMarket:
        """A fresh market, in which nobody has traded yet; with this latency instead of the configured one."""
        return TickMarket(
            self.feed,
            self.instrument,
            half_spread=0.0 if self.spread is None else self.spread.half,
            pressure=self.pressure(),
            bars=self.bars,
            fills=self.fills,
            queue=queue_of(self.fills),
            latency=self.latency if latency is None else latency,
        )

    def pressure(self) -> Pressure:
        """The memory of a fresh market."""
        return Pressure(self.bars, self.slippage, self.permanent_share, self.conditions)

    def bar_of(self, fill: FillEvent) -> int:
        """The minute in which an order was filled: the last one that has begun by then."""
        return max(0, int(np.searchsorted(self.bars.ts_open_ns, fill.ts_fill_ns, side="right")) - 1)

    def mids_without_us(self, fills: Sequence[FillEvent]) -> list[float]:
        """The mid at each of these fills, in order of time, in a market in which nobody of us trades."""
        market, mids = self.market(Latency()), []
        for fill in fills:
            market.run(fill.ts_fill_ns)
            mids.append(market.mid(fill.ts_fill_ns))
        return mids


def tick_venue(
    feed: TickFeed,
    instrument: Instrument,
    slippage: SlippageModel | None,
    *,
    reader: DataReader | None = None,
    fills: FillConfig = DEFAULT_FILLS,
    permanent_share: float = 1 / 3,
    before: Bars | None = None,
    data: dict[str, Any] | None = None,
) -> TickVenue:
    """A venue on these events. `before`: bars of the days before, for volatility, volume and the estimated spread.

    Raises DataError for a feed without trades: nobody would know what the market trades.
    """
    bars = minute_bars(feed, instrument)
    before = _ending_by(before, int(bars.ts_open_ns[0]))
    spread = bar_spread(bars, instrument, reader, fills.assumed_spread_bps, before) if feed.shows == NO_BOOK else None
    settings = {
        "fill_model": fill_statement(feed, fills),
        "impact": impact_statement(slippage, permanent_share),
        "spread_source": spread.source if spread is not None else f"{feed.content.split()[0]} of the feed",
        "vwap_source": "trades",
        **(data or {}),
    }
    known = bars if before is None else joined(before, bars)
    conditions, volumes = Conditions.of(bars, before), VolumeHistory(known)
    tape = tape_of(feed, instrument, bars, spread)
    return TickVenue(
        feed, instrument, bars, spread, tape, conditions, volumes, settings, slippage, permanent_share, fills
    )


def queue_of(fills: FillConfig) -> QueueModel:
    ahead = {} if fills.queue_ahead is None else {"queue_ahead": fills.queue_ahead}
    return QueueModel(model=fills.queue, exponent=fills.queue_exponent, **ahead)


def latency_of(fills: FillConfig) -> Latency:
    return Latency(
        feed_ms=fills.feed_latency_ms,
        order_ms=fills.order_latency_ms,
        cancel_ms=fills.cancel_latency_ms,
        response_ms=fills.response_latency_ms,
    )


def fill_statement(feed: TickFeed | LiveFeed, fills: FillConfig) -> str:
    """What a report says of how its orders were filled, and by which data."""
    if feed.shows != NO_BOOK:
        queue = fills.queue if fills.queue != "power" else f"power {fills.queue_exponent:g}"
        waiting = f"resting orders queue ({queue})"
    elif fills.queue_ahead is None:
        waiting = "resting orders when the market trades through"
    else:
        waiting = f"resting orders behind {fills.queue_ahead:g} lots"
    delays = f"{fills.feed_latency_ms}/{fills.order_latency_ms}/{fills.cancel_latency_ms}/{fills.response_latency_ms}"
    return f"{feed.content}: {_HOW[feed.shows]}, {waiting}, latency {delays} ms (feed/order/cancel/response)"


def minute_bars(feed: TickFeed, instrument: Instrument) -> Bars:
    """One-minute bars of a feed's trades, with the money traded; minutes without a trade have no bar.

    Raises DataError where there are no trades.
    """
    traded = feed.rows.kind == TRADE
    if not traded.any():
        raise DataError(
            f"the {feed.content} of {feed.symbol} have no trades: without them nobody knows what the market trades"
        )
    ts_ns = feed.rows.ts_ns[traded]
    prices = prices_of(instrument, feed.rows.price_ticks[traded])
    quantities = feed.rows.quantity[traded] * instrument.qty(1)
    minutes = ts_ns // MINUTE_NS
    first = np.flatnonzero(np.concatenate(([True], minutes[1:] != minutes[:-1])))
    last = np.append(first[1:], len(ts_ns)) - 1
    opens_ns = minutes[first] * MINUTE_NS
    return Bars(
        feed.symbol,
        opens_ns,
        opens_ns + MINUTE_NS,
        prices[first],
        np.maximum.reduceat(prices, first),
        np.minimum.reduceat(prices, first),
        prices[last],
        np.add.reduceat(quantities, first),
        np.add.reduceat(prices * quantities, first),
    )


def tape_of(feed: TickFeed, instrument: Instrument, bars: Bars, spread: Spread | None) -> TickTape:
    """The benchmarks of a feed: mid and spread of its quotes; of a book once a second; else of trades."""
    rows = feed.rows
    traded = rows.kind == TRADE
    ts_ns, prices = rows.ts_ns[traded], prices_of(instrument, rows.price_ticks[traded])
    quantities = rows.quantity[traded] * instrument.qty(1)
    if spread is not None:  # a known aggressor traded half the spread away from the mid
        half = spread.half[np.searchsorted(bars.ts_open_ns, ts_ns, side="right") - 1]
        mids = Steps(ts_ns, prices - rows.side[traded] * half)
        return TickTape(ts_ns, prices, quantities, mids, Steps(bars.ts_open_ns, 2 * spread.half))
    quoted_ns, bids, asks = _quoted(feed) if feed.shows == BEST else _looked_at(feed, instrument)
    bid, ask = prices_of(instrument, bids), prices_of(instrument, asks)
    return TickTape(ts_ns, prices, quantities, Steps(quoted_ns, (bid + ask) / 2), Steps(quoted_ns, ask - bid))


def prices_of(instrument: Instrument, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Prices of ticks, each correctly rounded."""
    different, which = np.unique(ticks, return_inverse=True)
    return np.array([instrument.price(int(tick)) for tick in different], np.float64)[which]


def _quoted(feed: TickFeed) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Times, bids and asks in ticks of all changes of the best prices, where both sides are there."""
    rows = feed.rows
    changes = np.flatnonzero((rows.kind == BEST_BID) | (rows.kind == BEST_ASK))
    kind, ticks = rows.kind[changes], rows.price_ticks[changes]
    bids, asks = _held(ticks, kind == BEST_BID), _held(ticks, kind == BEST_ASK)
    ts_ns = rows.ts_ns[changes]
    settled = np.append(ts_ns[1:] != ts_ns[:-1], True)  # the last word of each moment
    both = settled & (bids > 0) & (asks > 0)
    if not both.any():
        raise DataError(f"the {feed.content} of {feed.symbol} never show a bid and an ask at once")
    return ts_ns[both], bids[both], asks[both]


def _held(ticks: NDArray[np.int64], said: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The last tick said so far at every row; 0 before the first."""
    at = np.maximum.accumulate(np.where(said, np.arange(len(ticks)), -1))
    return np.where(at >= 0, ticks[np.maximum(at, 0)], 0)


def _looked_at(
    feed: TickFeed, instrument: Instrument
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Best prices of a book once a second, from a market in which nobody of us trades."""
    market = TickMarket(feed, instrument, fills=DEFAULT_FILLS)
    moments = np.arange(feed.start_ns, feed.end_ns + SECOND_NS, SECOND_NS)
    seen = []
    for now_ns in moments.tolist():
        market.run(now_ns)
        quote = market.view(now_ns)
        seen.append((quote.bid_ticks, quote.ask_ticks))
    bids, asks = np.array(seen, np.int64).T
    both = (bids > 0) & (asks > 0)
    if not both.any():
        raise DataError(f"the {feed.content} of {feed.symbol} never show a bid and an ask at once")
    return moments[both], bids[both], asks[both]


def _ending_by(bars: Bars | None, end_ns: int) -> Bars | None:
    """The bars that have closed by then; None where there are none."""
    if bars is None:
        return None
    past = bars[: int(np.searchsorted(bars.ts_close_ns, end_ns, side="right"))]
    return past if len(past) else None
