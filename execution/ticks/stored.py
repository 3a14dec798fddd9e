"""A simulated market of events out of the store: trades, quotes or a book with them, and the venue made of these."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from core import config
from core.bars import Bars
from core.errors import ConfigError, DataError
from core.instrument import Instrument
from execution.conditions import DAY_NS, WINDOW_DAYS
from execution.config import ExecutionConfig
from execution.slippage import slippage_model
from execution.stored import instrument_facts, program_version, with_fees
from execution.ticks.feed import TickFeed
from execution.ticks.venue import TickVenue, tick_venue
from research.data_reader import DataReader
from research.dataset import Dataset
from research.tables import read_table

if TYPE_CHECKING:
    import polars as pl

TickData = Literal["trades", "quotes", "book"]
TICK_DATA: Final[tuple[TickData, ...]] = ("trades", "quotes", "book")
_DEPTH: Final = "a table with ts_ns, side (bid or ask), price and qty of every level as it changes"


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
    data: TickData,
    depth: Path | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    venue_name: str | None = None,
    commission_bps: float | None = None,
    seed: int = 0,
    identity: Mapping[str, Any],
) -> StoredTicks:
    """Events with start_ns <= time < end_ns, and the market that they make under these settings.

    data      which events, besides trades: `quotes`, or the `book` whose levels are in the file `depth`
    identity  what else decides the result, for the hash of settings. `commission_bps` wins over what the data say

    Raises DataError where the store does not have trades (or quotes), or its instrument's grid is not theirs, and
    ConfigError for a book without a file.
    """
    dataset = _stored(reader, symbol, "trades", venue_name)
    venue = dataset.venue
    told = {name for one in reader.describe(symbol, venue=venue) for name in one.instrument}
    instrument, remarks = with_fees(reader.instrument(symbol, venue), told, commission_bps)
    trades = reader.read_trades(symbol, start_ns, end_ns, venue=venue, format="polars")
    data_id, frames = dataset.data_id, {}
    if data == "quotes":
        quotes = _stored(reader, symbol, "quotes", venue)
        frames["quotes"] = reader.read_quotes(symbol, start_ns, end_ns, venue=venue, format="polars")
        data_id += f"+{quotes.data_id}"
    elif data == "book":
        frames["depth"], digest = _depth(depth, start_ns, end_ns)
        data_id += f"+{digest}"
    feed = TickFeed.of(instrument, trades=trades, **frames)
    config_hash = config.config_hash(
        {
            **identity,
            "market": {"slippage": market.slippage, "fills": market.fills},
            "instrument": instrument_facts(instrument),
        }
    )
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
    return StoredTicks(dataset, made.bars, instrument, made, config_hash, tuple(remarks))


def _stored(reader: DataReader, symbol: str, kind: str, venue: str | None) -> Dataset:
    """What the store has of a kind of events; where it has none, the line says how to get them."""
    there = reader.describe(symbol, kind=kind, venue=venue)
    if there or not reader.describe(symbol, venue=venue):
        return reader.dataset(symbol, kind, venue)
    at = "" if venue is None else f" at venue {venue!r}"
    options = "" if venue is None else f" --venue {venue}"
    download = f", or `fillwright data download --kind {kind} --symbol {symbol} ...`" if kind == "trades" else ""
    raise DataError(
        f"no {kind} of {symbol}{at} are stored in {reader.store.data_dir}: "
        f"`fillwright data import FILE --kind {kind} --symbol {symbol}{options}` adds them{download}"
    )


def _depth(file: Path | None, start_ns: int | None, end_ns: int | None) -> tuple[pl.DataFrame, str]:
    """The levels of an order book in a file, and the hash of the file.

    All rows before the end count: a book without its past would be empty.
    """
    import polars as pl

    if file is None:
        raise ConfigError(f"--fills book needs --depth FILE, {_DEPTH}: the store keeps no order books")
    frame = read_table(file)
    types: dict[str, Any] = {"ts_ns": pl.Int64, "side": pl.String, "price": pl.Float64, "qty": pl.Float64}
    missing = sorted(set(types) - set(frame.columns))
    if missing:
        raise DataError(f"{file}: column {missing[0]} is missing; a book is {_DEPTH}")
    types |= {name: kind for name, kind in (("is_snapshot", pl.Boolean), ("seq", pl.Int64)) if name in frame.columns}
    try:
        frame = frame.select(pl.col(name).cast(kind) for name, kind in types.items())
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{file} is not readable: {str(error).strip().splitlines()[0]}") from error
    if end_ns is not None:
        frame = frame.filter(pl.col("ts_ns") < end_ns)
    if start_ns is not None:
        frame = frame.with_columns(pl.col("ts_ns").clip(lower_bound=start_ns))
    if frame.is_empty():
        raise DataError(f"{file} has no rows in this period")
    return frame, hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _before(reader: DataReader, symbol: str, venue: str, first_ns: int) -> Bars | None:
    """Bars of the days before, where some are stored."""
    start_ns = (first_ns // DAY_NS - WINDOW_DAYS) * DAY_NS
    try:
        return reader.bars(symbol, "1m", start_ns, first_ns, venue=venue)
    except DataError:
        return None
