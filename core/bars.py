"""Bars as columns: what strategies and simulated markets read, without a data frame in the hot path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import repeat
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from core.bulk import made
from core.contracts import OHLCVBar
from core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

COLUMNS = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume")
FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """OHLCV columns of one symbol, all of shape (n,), ordered by ts_open_ns, bars not overlapping.

    `ts_open_ns`, `ts_close_ns`: int64 nanoseconds, bar k covers [open, close) and is known from ts_close_ns[k] on.
    `open`, `high`, `low`, `close`: quote currency. `volume`: base quantity. `quote_volume`: money traded, where the
    feed has it: quote_volume / volume is the bar's own VWAP.
    """

    symbol: str
    ts_open_ns: IntColumn
    ts_close_ns: IntColumn
    open: FloatColumn
    high: FloatColumn
    low: FloatColumn
    close: FloatColumn
    volume: FloatColumn
    quote_volume: FloatColumn | None = None

    @classmethod
    def from_frame(cls, symbol: str, frame: pd.DataFrame | pl.DataFrame) -> Self:
        """Bars from a pandas or polars frame with the columns of `COLUMNS`.

        Raises DataError naming the columns that are missing, or the first row that is not what a bar must be.
        """
        missing = [name for name in COLUMNS if name not in frame.columns]
        if missing:
            raise DataError(f"bars need the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
        columns: dict[str, Any] = {}
        for name in COLUMNS:
            kind = np.int64 if name.startswith("ts_") else np.float64
            columns[name] = np.ascontiguousarray(frame[name].to_numpy(), dtype=kind)
        if "quote_volume" in frame.columns:
            columns["quote_volume"] = np.ascontiguousarray(frame["quote_volume"].to_numpy(), dtype=np.float64)
        bars = cls(symbol, **columns)
        bars.check()
        return bars

    def check(self) -> None:
        """Raises DataError naming the first row that breaks the promises of the class."""
        price_low = np.minimum(self.open, self.close)
        price_high = np.maximum(self.open, self.close)
        with np.errstate(invalid="ignore"):
            tests = {
                "low <= open, close <= high and low > 0 must hold": (
                    (self.low > 0) & (self.low <= price_low) & (price_high <= self.high) & np.isfinite(self.high)
                ),
                "volume must be a finite number of at least 0": (self.volume >= 0) & np.isfinite(self.volume),
                "ts_close_ns must be after ts_open_ns": self.ts_close_ns > self.ts_open_ns,
            }
        if len(self) > 1:
            ordered = np.concatenate(([True], self.ts_open_ns[1:] >= self.ts_close_ns[:-1]))
            tests["bars must be in order of time and not overlap"] = ordered
        for promise, holds in tests.items():
            if not holds.all():
                row = int(np.argmin(holds))
                raise DataError(f"{self.symbol} bar {row} (ts_open_ns {self.ts_open_ns[row]}): {promise}")

    def __len__(self) -> int:
        return len(self.ts_open_ns)

    def __getitem__(self, part: slice) -> Self:
        """The same bars, fewer of them; columns are views, nothing is copied."""
        columns: dict[str, Any] = {}
        for f in fields(self)[1:]:
            column = getattr(self, f.name)
            columns[f.name] = None if column is None else column[part]
        return type(self)(self.symbol, **columns)

    def bar(self, k: int) -> OHLCVBar:
        return OHLCVBar(
            self.symbol,
            int(self.ts_open_ns[k]),
            int(self.ts_close_ns[k]),
            float(self.open[k]),
            float(self.high[k]),
            float(self.low[k]),
            float(self.close[k]),
            float(self.volume[k]),
        )


def each_bar(bars: Bars, at_once: int = 512) -> Iterator[OHLCVBar]:
    """`bars.bar(k)` for each k: made some at a time, which takes a fraction of the time. The bars have been checked."""
    for first in range(0, len(bars), at_once):
        part = bars[first : first + at_once]
        columns = {name: getattr(part, name).tolist() for name in COLUMNS}
        yield from made(OHLCVBar, len(part), symbol=repeat(bars.symbol), **columns)
