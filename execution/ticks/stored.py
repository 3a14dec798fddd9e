"""A simulated market of events out of the store: trades, or quotes and trades, and the venue made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core import config
from core.bars import Bars
from core.errors import DataError
from core.instrument import Instrument
from execution.conditions import DAY_NS, WINDOW_DAYS
from execution.config import ExecutionConfig
from execution.slippage import slippage_model
from execution.stored import instrument_facts, program_version
from execution.ticks.feed import TickFeed
from execution.ticks.venue import TickVenue, tick_venue
from research.data_reader import DataReader
from research.dataset import Dataset


@dataclass(frozen=True, slots=True)
class StoredTicks:
    """Ready to trade in; `bars` are minutes of the trades, `remarks` lines for the reader."""

    dataset: Dataset
    bars: Bars
    instrument: Instrument
    venue: TickVenue
    config_hash: str
    remarks: tuple[str, ...]


def stored_ticks(
    reader: DataReader,
    symbol: str,
    market: ExecutionConfig,
    *,
    with_quotes: bool,
    start_ns: int | None = None,
    end_ns: int | None = None,
    venue_name: str | None = None,
    seed: int = 0,
    identity: Mapping[str, Any],
) -> StoredTicks:
    """Events with start_ns <= time < end_ns, and the market that they make under these settings.

    `identity`: what else decides the result, for the hash of settings. Raises DataError where the store does not have
    trades (and quotes), or its instrument's grid is not theirs.
    """
    dataset = reader.dataset(symbol, "trades", venue_name)
    venue = dataset.venue
    instrument = reader.instrument(symbol, venue)
    trades = reader.read_trades(symbol, start_ns, end_ns, venue=venue, format="polars")
    quotes = reader.read_quotes(symbol, start_ns, end_ns, venue=venue, format="polars") if with_quotes else None
    feed = TickFeed.of(instrument, trades=trades, quotes=quotes)
    config_hash = config.config_hash(
        {
            **identity,
            "market": {"slippage": market.slippage, "fills": market.fills},
            "instrument": instrument_facts(instrument),
        }
    )
    data_id = dataset.data_id
    if with_quotes:
        data_id += "+" + reader.dataset(symbol, "quotes", venue).data_id
    made = tick_venue(
        feed,
        instrument,
        slippage_model(market.slippage),
        reader=reader,
        fills=market.fills,
        permanent_share=market.slippage.permanent_share,
        before=_before(reader, symbol, venue, feed.start_ns),
        data={
            "synthetic": dataset.synthetic,
            "data": f"{symbol} at {venue}, {feed.content}",
            "data_id": data_id,
            "config_hash": config_hash,
            "seed": seed,
            "version": program_version(),
        },
    )
    return StoredTicks(dataset, made.bars, instrument, made, config_hash, ())


def _before(reader: DataReader, symbol: str, venue: str, first_ns: int) -> Bars | None:
    """Bars of the days before, where some are stored."""
    start_ns = (first_ns // DAY_NS - WINDOW_DAYS) * DAY_NS
    try:
        return reader.bars(symbol, "1m", start_ns, first_ns, venue=venue)
    except DataError:
        return None
