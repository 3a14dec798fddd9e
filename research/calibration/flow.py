"""Equal intervals of time with what the price did and what was traded: the rows of the public regressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from research.calibration.orders import BPS, Floats, Ints
from research.calibration.signs import Mids, Trades


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Best quotes, shape (n,), in order of time; each holds until the next."""

    ts_ns: Ints
    bid: Floats
    ask: Floats
    bid_qty: Floats
    ask_qty: Floats

    @property
    def mids(self) -> Mids:
        return Mids(self.ts_ns, (self.bid + self.ask) / 2)

    def imbalance(self) -> Floats:
        """What each quote adds to demand less what it adds to supply at the touch, shape (n,); the first is 0.

            e = [bid >= bid'] q_b - [bid <= bid'] q_b' - [ask <= ask'] q_a + [ask >= ask'] q_a'

        with ' the quote before (Cont, Kukanov, Stoikov: "The price impact of order book events", 2014).
        """
        e = np.zeros(len(self.ts_ns))
        bid, ask, bid_qty, ask_qty = self.bid, self.ask, self.bid_qty, self.ask_qty
        e[1:] += np.where(bid[1:] >= bid[:-1], bid_qty[1:], 0.0) - np.where(bid[1:] <= bid[:-1], bid_qty[:-1], 0.0)
        e[1:] += np.where(ask[1:] >= ask[:-1], ask_qty[:-1], 0.0) - np.where(ask[1:] <= ask[:-1], ask_qty[1:], 0.0)
        return e


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Intervals [start, start + length), shape (n,), in order of time; those across gaps are left out.

    change     mid just before the end less mid just before the start, price units
    mid        at the start
    flow       quantity that buyers started less that of sellers
    volume     all of it
    imbalance  order-flow imbalance of the quotes, NaN without quotes; depth: mean quantity at the touch, per side
    """

    length_ns: int
    start_ns: Ints
    change: Floats
    mid: Floats
    flow: Floats
    volume: Floats
    imbalance: Floats
    depth: Floats

    def __len__(self) -> int:
        return len(self.start_ns)

    def __getitem__(self, part: Any) -> Self:
        names = ("start_ns", "change", "mid", "flow", "volume", "imbalance", "depth")
        return type(self)(self.length_ns, *(getattr(self, name)[part] for name in names))

    @property
    def change_bps(self) -> Floats:
        return BPS * self.change / self.mid

    def volatility(self, day_ns: int) -> float:
        """Of returns per square root of a day of trading time; NaN without intervals."""
        if not len(self):
            return float("nan")
        return float(np.sqrt(np.mean((self.change / self.mid) ** 2) * day_ns / self.length_ns))

    def daily_volume(self, day_ns: int) -> float:
        """Per day of trading time; NaN without intervals."""
        return float(self.volume.mean() * day_ns / self.length_ns) if len(self) else float("nan")


def flow_of(trades: Trades, mids: Mids, length_ns: int, quotes: Quotes | None = None) -> Flow:
    """The intervals, aligned to the epoch, that something was traded or quoted in and whose first mid is fresh.

    A mid is fresh that changed or was confirmed no longer than one interval before; so a night, an outage and the
    intervals on either side of it are left out.
    """
    first = max(int(trades.ts_ns[0]), int(mids.ts_ns[0])) // length_ns
    last = min(int(trades.ts_ns[-1]), int(mids.ts_ns[-1])) // length_ns
    edges = np.arange(first, last + 2, dtype=np.int64) * length_ns
    n = len(edges) - 1
    if n < 1:
        empty = np.empty(0)
        return Flow(length_ns, np.empty(0, np.int64), *(empty,) * 6)
    number = trades.ts_ns // length_ns - first
    inside = (number >= 0) & (number < n)
    signed = np.bincount(number[inside], (trades.sign * trades.qty)[inside], n).astype(np.float64)
    volume = np.bincount(number[inside], trades.qty[inside], n).astype(np.float64)
    mid = mids.before(edges)
    imbalance, depth = np.full(n, np.nan), np.full(n, np.nan)
    quoted = np.diff(np.searchsorted(mids.ts_ns, edges, side="left"))
    if quotes is not None:
        imbalance, depth = _quoted(quotes, length_ns, first, n)
    # The first and the last interval are cut by the ends of the data, not by a clock.
    whole = (edges[:-1] >= max(trades.ts_ns[0], mids.ts_ns[0])) & (edges[1:] <= min(trades.ts_ns[-1], mids.ts_ns[-1]))
    kept = whole & np.isfinite(mid[:-1]) & (mids.age_ns(edges[:-1]) <= length_ns) & ((volume > 0) | (quoted > 0))
    table = Flow(length_ns, edges[:-1], np.diff(mid), mid[:-1], signed, volume, imbalance, depth)
    return table[kept]


def _quoted(quotes: Quotes, length_ns: int, first: int, n: int) -> tuple[Floats, Floats]:
    """Imbalance and mean depth of each interval; an interval without a quote has no imbalance and no depth (NaN)."""
    number = quotes.ts_ns // length_ns - first
    inside = (number >= 0) & (number < n)
    count = np.bincount(number[inside], minlength=n)
    imbalance = np.bincount(number[inside], quotes.imbalance()[inside], n)
    size = np.bincount(number[inside], ((quotes.bid_qty + quotes.ask_qty) / 2)[inside], n)
    depth = np.divide(size, count, out=np.full(n, np.nan), where=count > 0)
    return np.where(count > 0, imbalance, 0.0), depth
