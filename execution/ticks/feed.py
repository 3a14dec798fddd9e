"""What happened in a market, event by event, in the order in which it is played.

Rows are ordered by the time of the exchange. Among rows of one time, trades come before changes of quotes and book:
the trade causes the change. Within each of the two, rows keep the order of their source. All frames of a feed must
carry the time of one clock; a trade that is stamped later than the change that it caused is taken for a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.instrument import Instrument
from execution.ticks.rows import (
    ASK_LEVEL,
    BEST_ASK,
    BEST_BID,
    BID_LEVEL,
    SHOWS,
    TRADE,
    Content,
    Rows,
    clean,
    no_rows,
)
from execution.ticks.snapshots import as_changes

if TYPE_CHECKING:
    import polars as pl

OFF_GRID: Final = 1e-6  # of a tick: nearer to the grid than this is on it


@dataclass(frozen=True, slots=True)
class TickFeed:
    """The events of one symbol. `rows` may be read, never written."""

    symbol: str
    content: Content
    rows: Rows

    @classmethod
    def of(cls, instrument: Instrument, *, trades: Any = None, quotes: Any = None, depth: Any = None) -> Self:
        """A feed from frames (polars or pandas) as the store has them, of one symbol and one clock.

        trades  ts_ns, price, qty, and where known side: "buy" or "sell", the aggressor's
        quotes  ts_ns, bid, ask, bid_qty, ask_qty; a side whose price is 0 or missing is empty
        depth   ts_ns, side ("bid" or "ask"), price, qty (what the level displays from now on), and where there are
                any is_snapshot and seq, which orders rows of one time. A snapshot states the whole book anew: what
                it leaves out is gone, and what it repeats is no news.

        Raises DataError naming the first value that cannot be meant (missing, negative, off the instrument's grid),
        ValueError for no frame at all and for quotes beside depth, which shows them already.
        """
        if quotes is not None and depth is not None:
            raise ValueError("a feed takes its book from quotes or from depth, not from both")
        parts = []
        if trades is not None:
            parts.append(_trades(instrument, _frame(trades)))
        if quotes is not None:
            parts.append(_quotes(instrument, _frame(quotes)))
        if depth is not None:
            parts.append(_depth(instrument, _frame(depth)))
        if not parts:
            raise ValueError("a feed needs trades, quotes or depth")
        names = (["book"] if depth is not None else []) + (["quotes"] if quotes is not None else [])
        content = " and ".join(names + (["trades"] if trades is not None else []))
        rows = _in_order(parts)
        if len(rows.ts_ns) == 0:
            raise DataError(f"the {content} of {instrument.symbol} have no rows in this period")
        return cls(instrument.symbol, content, rows)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.rows.ts_ns)

    @property
    def shows(self) -> int:
        """How much of the book it shows: `NO_BOOK`, `BEST` or `LEVELS`."""
        return SHOWS[self.content]

    @property
    def start_ns(self) -> int:
        return int(self.rows.ts_ns[0])

    @property
    def end_ns(self) -> int:
        return int(self.rows.ts_ns[-1])

    def until(self, end_ns: int) -> Self:
        """What was known before `end_ns`."""
        n = int(np.searchsorted(self.rows.ts_ns, end_ns))
        return type(self)(self.symbol, self.content, Rows._make(column[:n] for column in self.rows))


class LiveFeed:
    """A feed that grows as events arrive, and forgets what has been played."""

    def __init__(self, symbol: str, content: Content) -> None:
        self.symbol = symbol
        self.content = content
        self.rows = no_rows(1024)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def shows(self) -> int:
        return SHOWS[self.content]

    @property
    def end_ns(self) -> int:
        return int(self.rows.ts_ns[self._count - 1]) if self._count else 0

    def append(self, kind: int, ts_ns: int, price_ticks: int, lots: float, side: int) -> None:
        """Adds a row. A time before that of the last row counts as that: what is heard late has not happened yet."""
        at = self._count
        if at == len(self.rows.ts_ns):
            self.rows = Rows._make(np.concatenate((column, np.zeros_like(column))) for column in self.rows)
        rows = self.rows
        rows.kind[at], rows.price_ticks[at], rows.quantity[at], rows.side[at] = kind, price_ticks, lots, side
        rows.ts_ns[at] = max(ts_ns, self.end_ns)
        self._count = at + 1

    def forget(self, played: int) -> None:
        """Drops the first rows; the last one stays, for its time."""
        for column in self.rows:
            column[: self._count - played] = column[played : self._count]
        self._count -= played


# ---- from frames to rows


def _frame(frame: Any) -> pl.DataFrame:
    import polars as pl

    if isinstance(frame, pl.DataFrame):
        return frame
    return pl.DataFrame({str(name): frame[name].to_numpy() for name in frame.columns})


def _in_order(parts: Sequence[Rows]) -> Rows:
    """All rows by time; the parts keep their order among rows of one time, and so do the rows of a part."""
    whole = Rows._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(whole.ts_ns, kind="stable")
    return Rows._make(np.ascontiguousarray(column[order]) for column in whole)


def _trades(instrument: Instrument, frame: pl.DataFrame) -> Rows:
    prices, quantities = _column(frame, "trades", "price"), _column(frame, "trades", "qty")
    _refuse(quantities <= 0, quantities, "trades", "qty", "must be above 0")
    side = np.zeros(len(frame), np.int8)
    if "side" in frame.columns:
        side = _sides(frame, "trades", "buy", "sell")
    return Rows(
        np.full(len(frame), TRADE, np.int8),
        _times(frame, "trades"),
        on_grid(instrument, prices, "trades", "price"),
        clean(quantities / instrument.qty(1)),
        side,
    )


def _quotes(instrument: Instrument, frame: pl.DataFrame) -> Rows:
    """Two rows a quote: the bid, then the ask."""
    n = len(frame)
    rows = no_rows(2 * n)
    rows.ts_ns[:] = np.repeat(_times(frame, "quotes"), 2)
    for first, kind, price, size in ((0, BEST_BID, "bid", "bid_qty"), (1, BEST_ASK, "ask", "ask_qty")):
        prices = np.nan_to_num(_column(frame, "quotes", price, missing=True))
        quantities = np.where(prices > 0, _column(frame, "quotes", size, missing=True), 0.0)
        _refuse(~(quantities >= 0), quantities, "quotes", size, "must be at least 0")
        rows.kind[first::2] = kind
        rows.price_ticks[first::2] = on_grid(instrument, prices, "quotes", price, empty=True)
        rows.quantity[first::2] = clean(quantities / instrument.qty(1))
    bids, asks = rows.price_ticks[0::2], rows.price_ticks[1::2]
    crossed = (bids > asks) & (asks > 0)
    if crossed.any():
        at = int(np.argmax(crossed))
        raise DataError(
            f"quotes row {at}: bid {frame['bid'][at]} is above ask {frame['ask'][at]}; remove crossed quotes first"
        )
    return rows


def _depth(instrument: Instrument, frame: pl.DataFrame) -> Rows:
    import polars as pl

    keys = [name for name in ("ts_ns", "seq") if name in frame.columns]
    frame = frame.sort(keys, maintain_order=True)
    quantities = _column(frame, "depth", "qty")
    _refuse(quantities < 0, quantities, "depth", "qty", "must be at least 0")
    side = _sides(frame, "depth", "bid", "ask")
    if (side == 0).any():
        raise DataError(f"depth row {int(np.argmax(side == 0))}: side is missing; it must be 'bid' or 'ask'")
    rows = Rows(
        np.where(side > 0, BID_LEVEL, ASK_LEVEL).astype(np.int8),
        _times(frame, "depth"),
        on_grid(instrument, _column(frame, "depth", "price"), "depth", "price"),
        clean(quantities / instrument.qty(1)),
        np.zeros(len(frame), np.int8),
    )
    if "is_snapshot" not in frame.columns:
        return rows
    return as_changes(rows, frame["is_snapshot"].cast(pl.Boolean).fill_null(False).to_numpy())


def on_grid(
    instrument: Instrument, prices: NDArray[np.float64], what: str, name: str, *, empty: bool = False
) -> NDArray[np.int64]:
    """Prices in ticks. Raises DataError for one that is not positive (`empty`: or 0), or off the grid."""
    _refuse(prices < 0 if empty else prices <= 0, prices, what, name, "must be above 0")
    ticks = prices / instrument.price(1)
    whole = np.rint(ticks)
    off = np.abs(ticks - whole) > OFF_GRID
    _refuse(off, prices, what, name, f"is off the tick of {instrument.tick}: give the instrument a finer tick")
    return whole.astype(np.int64)


def _times(frame: pl.DataFrame, what: str) -> NDArray[np.int64]:
    times = _column(frame, what, "ts_ns", np.int64)
    return times.astype(np.int64)


def _column(
    frame: pl.DataFrame, what: str, name: str, kind: type = np.float64, *, missing: bool = False
) -> NDArray[Any]:
    if name not in frame.columns:
        raise DataError(f"{what}: column {name} is missing; there are {', '.join(frame.columns)}")
    if frame[name].null_count() and not missing:
        raise DataError(f"{what} row {int(np.argmax(frame[name].is_null().to_numpy()))}: {name} is missing")
    column: NDArray[Any] = np.ascontiguousarray(frame[name].to_numpy()).astype(kind)
    if not missing and kind is np.float64:
        _refuse(~np.isfinite(column), column, what, name, "must be a number")
    return column


def _sides(frame: pl.DataFrame, what: str, plus: str, minus: str) -> NDArray[np.int8]:
    """+1, -1, and 0 where there is none. Raises DataError for any other word."""
    import polars as pl

    if "side" not in frame.columns:
        raise DataError(f"{what}: column side is missing; there are {', '.join(frame.columns)}")
    words = frame["side"].cast(pl.String)
    known = words.is_in([plus, minus]) | words.is_null()
    if not known.all():
        at = int(np.argmax(~known.to_numpy()))
        raise DataError(f"{what} row {at}: side must be {plus!r} or {minus!r}, was {words[at]!r}")
    signs = (words == plus).fill_null(False).cast(pl.Int8) - (words == minus).fill_null(False).cast(pl.Int8)
    return np.ascontiguousarray(signs.to_numpy())


def _refuse(wrong: NDArray[np.bool_], values: NDArray[Any], what: str, name: str, why: str) -> None:
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(f"{what} row {at}: {name} {why}, was {values[at]}")
