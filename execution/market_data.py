"""What a simulated market is made of: bars, trades, quotes, an order book, or several of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    Frame: TypeAlias = pd.DataFrame | pl.DataFrame

_KNOWN_BY: Final = {
    "bars": {"ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume"},
    "quotes": {"ts_ns", "bid", "ask"},
    "depth": {"ts_ns", "side", "price", "qty", "is_snapshot"},
    "trades": {"ts_ns", "price", "qty"},
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarketData:
    """Frames of one symbol, pandas or polars, with the columns of the store (`research.schema`); None: not there.

    trades  ts_ns, price, qty, and where known side, of the aggressor
    quotes  ts_ns, bid, ask, bid_qty, ask_qty: the best prices and what is displayed there
    depth   ts_ns, side, price, qty, is_snapshot: levels of an order book as they change, 0 where one goes
    bars    beside the others: bars of the days before, which tell volatility and volume; alone: what fills orders

    The finest data there are fill the orders: a book, else quotes, else trades, else bars.
    """

    trades: Frame | None = None
    quotes: Frame | None = None
    depth: Frame | None = None
    bars: Frame | None = None

    def __post_init__(self) -> None:
        if all(getattr(self, one.name) is None for one in fields(self)):
            raise DataError("market data need trades, quotes, depth or bars; all were None")
        for one in fields(self):
            frame = getattr(self, one.name)
            if frame is None:
                continue
            missing = sorted(_KNOWN_BY[one.name] - {"is_snapshot"} - set(frame.columns))
            if missing:
                raise DataError(f"{one.name} need the columns {_columns(one.name)}; missing: {', '.join(missing)}")
            if len(frame) == 0 and one.name != "bars":
                raise DataError(f"{one.name} have no rows")

    @property
    def has_ticks(self) -> bool:
        """Whether orders fill from events rather than from bars."""
        return not (self.trades is None and self.quotes is None and self.depth is None)

    @classmethod
    def of(cls, data: Self | Frame) -> Self:
        """Market data as they are, or a single frame, known by its columns.

        A frame that is none of the four is taken for bars, which then say what they miss.
        """
        if isinstance(data, cls):
            return data
        there = set(data.columns)  # type: ignore[union-attr]
        name = next((name for name, columns in _KNOWN_BY.items() if columns <= there), "bars")
        return cls(**{name: data})  # type: ignore[arg-type]


def _columns(name: str) -> str:
    return ", ".join(sorted(_KNOWN_BY[name] - {"is_snapshot"}))
