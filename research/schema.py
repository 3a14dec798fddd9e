"""What the store holds: the kinds of data, their columns and types, and what makes a row the same row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from core.errors import ConfigError, nearest
from research.times import timeframe_ns

if TYPE_CHECKING:
    import polars as pl
    from polars.datatypes import DataTypeClass

Family = Literal["ohlcv", "trades", "quotes", "fills"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of data.

    `time` is the column that orders it and that intervals select on. `key` names the columns that make a row unique;
    without a key, equal rows are told apart by counting them. `timeframe_ns` is the length of a bar, else 0.
    """

    name: str
    family: Family
    time: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    timeframe_ns: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        return self.required + self.optional


_INTEGERS = {"ts_open_ns", "ts_close_ns", "ts_ns", "ts_fill_ns", "trades"}
_TEXTS = {
    *("side", "trade_id", "strategy_id", "execution_id", "fill_id", "order_id", "venue", "symbol", "liquidity"),
}

_BARS = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume")
_BARS_MORE = ("quote_volume", "trades", "taker_buy_volume")
_FILLS = (
    *("strategy_id", "execution_id", "fill_id", "order_id", "venue", "symbol"),
    *("side", "qty", "price", "ts_fill_ns", "fee", "liquidity"),
)
_EVENTS: dict[str, Kind] = {
    "trades": Kind("trades", "trades", "ts_ns", ("ts_ns", "price", "qty"), ("side", "trade_id"), ("trade_id",)),
    "quotes": Kind("quotes", "quotes", "ts_ns", ("ts_ns", "bid", "ask", "bid_qty", "ask_qty")),
    "fills": Kind("fills", "fills", "ts_fill_ns", _FILLS, key=("strategy_id", "execution_id", "fill_id")),
}


@cache
def kind_of(name: str) -> Kind:
    """The kind with this name: "trades", "quotes", "fills", or bars such as "ohlcv_1m". Raises ConfigError."""
    if name in _EVENTS:
        return _EVENTS[name]
    if name.startswith("ohlcv_"):
        return Kind(name, "ohlcv", "ts_open_ns", _BARS, _BARS_MORE, ("ts_open_ns",), timeframe_ns(name[6:]))
    raise ConfigError(f"unknown kind of data {name!r}: {nearest(name, ['ohlcv_1m', 'ohlcv_1h', *_EVENTS])}")


def dtype(column: str) -> DataTypeClass:
    """The polars type of a column of the store."""
    import polars as pl

    if column in _INTEGERS:
        return pl.Int64
    return pl.String if column in _TEXTS else pl.Float64


def arranged(frame: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    """The known columns that are there, in the order and with the types of the kind; optional all-null ones go."""
    names = [name for name in kind.columns if name in frame.columns]
    names = [name for name in names if name in kind.required or frame[name].null_count() < len(frame)]
    return frame.select(names).cast({name: dtype(name) for name in names})
