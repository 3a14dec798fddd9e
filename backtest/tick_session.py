"""What a backtest on recorded events needs: the data that fill its orders, and the bars that its strategy sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from core.bars import Bars
from core.errors import ConfigError, DataError
from execution.config import ExecutionConfig
from execution.ticks.stored import StoredTicks, TickData, stored_ticks
from research.data_reader import DataReader
from research.times import period
from strategies.base import AnyStrategy, TickStrategy


def check_hears(strategy: AnyStrategy, fills: str, execution: ExecutionConfig | None) -> None:
    """Raises ConfigError where a strategy or the settings cannot go with the data that fill the orders."""
    if fills == "bars":
        if isinstance(strategy, TickStrategy):
            raise ConfigError(f"strategy {strategy.strategy_id} hears trades: add --fills trades (or quotes, or book)")
    elif execution is not None and execution.routing.router is not None:
        raise ConfigError(f"--router {execution.routing.router} chooses on bars only: leave it out, or --fills {fills}")


def tick_market(
    reader: DataReader,
    symbol: str,
    market: ExecutionConfig,
    strategy: AnyStrategy,
    *,
    data: TickData,
    start_ns: int | None,
    end_ns: int | None,
    identity: Mapping[str, Any],
    **more: Any,
) -> StoredTicks:
    """The market of `stored_ticks`, its `bars` those that the strategy sees: the stored ones, from the first event on.

    Where no bars are stored, and for a strategy of trades, they are minutes of the trades.
    """
    ticks = stored_ticks(reader, symbol, market, data=data, start_ns=start_ns, end_ns=end_ns, identity=identity, **more)
    feed, remarks = ticks.venue.feed, list(ticks.remarks)
    remarks.append(f"filled by recorded {feed.content}")
    if (start_ns is not None and feed.start_ns > start_ns) or (end_ns is not None and feed.end_ns < end_ns - 1):
        remarks.append(f"the {feed.content} cover {period(feed.start_ns, feed.end_ns)}")
    bars: Bars | None = None
    if not isinstance(strategy, TickStrategy):
        bars = _stored_bars(reader, symbol, ticks, start_ns, end_ns)
        if bars is None:
            remarks.append("no bars are stored: the strategy sees minutes of the trades")
    return replace(ticks, bars=ticks.bars if bars is None else bars, remarks=tuple(remarks))


def _stored_bars(
    reader: DataReader, symbol: str, ticks: StoredTicks, start_ns: int | None, end_ns: int | None
) -> Bars | None:
    """The stored bars that close behind the first event and open before the last; None where there are none."""
    try:
        bars = reader.bars(symbol, "1m", start_ns, end_ns, venue=ticks.dataset.venue)
    except DataError:
        return None
    feed = ticks.venue.feed
    first = int(np.searchsorted(bars.ts_close_ns, feed.start_ns, side="right"))
    last = int(np.searchsorted(bars.ts_open_ns, feed.end_ns, side="right"))
    return bars[first:last] if first < last else None
