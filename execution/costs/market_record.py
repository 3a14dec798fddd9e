"""What the market of one symbol did, as arrays, and the prices that executions are held against.

Mids come from quotes, else from last trades, else from the closes of bars; volume from trades, else from bars. A bar is
known from its close on. Joins go backward in time: the mid at t is the last one known at t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.bars import Bars
from core.contracts import Side, sign
from core.errors import DataError
from execution.conditions import DAY_NS, running

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    Frame = pd.DataFrame | pl.DataFrame

SILENCE_NS: Final = 30 * 60 * 1_000_000_000
"""Quotes or trades that stop for longer are taken for a closed market, or for data that are missing."""
FEW: Final = 10  # so few quotes do not show their pace
REGULAR: Final = 0.9  # of all spacings equal: quotes are snapshots at a fixed pace, not every change
NOTHING_LEFT: Final = 1e-9  # relative: what rounding leaves of a volume that was all our own

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class MarketRecord:
    """Build it with `MarketRecord.of`. Times are int64 nanoseconds, intervals [start, end); an unknown price is NaN.

    source: where mids and volume come from, in words.
    mid_ns, mid, half: shape (m,), in order of time; each mid and half spread (NaN: unknown) holds until the next.
    opens_ns, closes_ns, first, last, volume, money: shape (n,), the pieces of the tape: a trade (opens = closes), or a
    bar, whose volume is spread evenly over its time.
    gaps: shape (g, 2), from the last thing known before the market closed, or data end, to the first mid after it.
    resolution_ns: a mid may be as old as this although the market has moved; 0 where every change is recorded.
    left_out: rows that were no quote or trade: without a positive price or quantity, or crossed.
    """

    symbol: str
    source: str
    mid_ns: Ints
    mid: Floats
    half: Floats
    opens_ns: Ints
    closes_ns: Ints
    first: Floats
    last: Floats
    volume: Floats
    money: Floats
    gaps: Ints
    resolution_ns: int
    left_out: int
    _volume_sum: Floats
    _money_sum: Floats
    _mid_sum: Floats
    _closed_sum: Ints

    @classmethod
    def of(
        cls,
        symbol: str,
        *,
        quotes: Frame | None = None,
        trades: Frame | None = None,
        bars: Bars | None = None,
        gaps: Sequence[tuple[int, int]] = (),
        silence_ns: int = SILENCE_NS,
    ) -> Self:
        """A record from whatever is there: columns as in `research.schema`, rows in any order of time.

        gaps: intervals in which the market was closed or not recorded, besides those that the data show by themselves.
        Raises DataError where none of the three has a row.
        """
        quoted = _quoted(quotes) if quotes is not None else None
        traded = _traded(trades) if trades is not None else None
        bars = bars if bars is not None and len(bars) else None
        left_out = sum(one.left_out for one in (quoted, traded) if one is not None)
        quoted, traded = (one if one is not None and len(one.ts_ns) else None for one in (quoted, traded))
        if quoted is None and traded is None and bars is None:
            raise DataError(f"{symbol} has no quotes, trades or bars to measure executions against")
        if quoted is not None:
            mid_ns, mid, half, words = quoted.ts_ns, quoted.price, quoted.other, "quotes"
        elif traded is not None:
            mid_ns, mid, half, words = traded.ts_ns, traded.price, np.full(len(traded.price), np.nan), "last trades"
        else:
            assert bars is not None
            mid_ns, mid, half, words = bars.ts_close_ns, bars.close, np.full(len(bars), np.nan), "closes of bars"
        if traded is not None:
            pieces = (traded.ts_ns, traded.ts_ns, traded.price, traded.price, traded.other)
            money, tape = traded.price * traded.other, "trades"
        elif bars is not None:
            pieces = (bars.ts_open_ns, bars.ts_close_ns, bars.open, bars.close, bars.volume)
            typical = (bars.high + bars.low + bars.close) / 3
            money = typical * bars.volume if bars.quote_volume is None else bars.quote_volume
            tape = "bars, money / volume" if bars.quote_volume is not None else "bars, typical price (H+L+C)/3"
        else:
            nothing = np.zeros(0)
            none = np.zeros(0, np.int64)
            pieces, money, tape = (none, none, nothing, nothing, nothing), nothing, "unknown"
        closed = _gaps(mid_ns, traded, bars if bars is not None else None, gaps, silence_ns)
        return cls(
            symbol,
            f"mids: {words}; volume: {tape}",
            mid_ns,
            mid,
            half,
            *pieces,
            money,
            closed,
            _resolution(mid_ns, bars if words == "closes of bars" else None, every_change=words == "last trades"),
            left_out,
            running(pieces[-1]),
            running(money),
            _integral(mid_ns, mid, closed),
            _sums(closed[:, 1] - closed[:, 0]),
        )

    # ---- mids

    def mid_at(self, ts_ns: ArrayLike) -> Floats:
        """The last mid known at each time, that time included; NaN before the first and after the data's end."""
        return self._asof(self.mid, ts_ns, "right")

    def mid_before(self, ts_ns: ArrayLike) -> Floats:
        """The mid that a fill at each time met: the last one before it, as its own time may hold what it did.

        Of bars and snapshots the one at that very time counts: a fill at the open of a bar met the close before.
        """
        return self._asof(self.mid, ts_ns, "right" if self.resolution_ns else "left")

    def half_spread_before(self, ts_ns: ArrayLike) -> Floats:
        """Half the quoted spread that a fill at each time met; NaN where there are no quotes."""
        return self._asof(self.half, ts_ns, "right" if self.resolution_ns else "left")

    def later_mid(self, ts_ns: ArrayLike, horizon_ns: int) -> Floats:
        """The mid a while after each time; NaN beyond the data, across a gap, and where mids are sampled too rarely."""
        times = np.asarray(ts_ns, np.int64)
        later = self.mid_at(times + horizon_ns)
        if horizon_ns < self.resolution_ns:
            return np.full_like(later, np.nan)
        return np.where(self.crosses(times, times + horizon_ns), np.nan, later)

    def crosses(self, start_ns: ArrayLike, end_ns: ArrayLike) -> NDArray[np.bool_]:
        """Whether a gap lies between two times, or around them."""
        first = np.searchsorted(self.gaps[:, 1], np.asarray(start_ns, np.int64), side="right")
        starts = np.append(self.gaps[:, 0], np.iinfo(np.int64).max)
        return np.asarray(starts[first] < np.asarray(end_ns, np.int64))

    def stale(self, ts_ns: int) -> bool:
        """Whether the last mid known at a time is from before a gap."""
        k = int(np.searchsorted(self.gaps[:, 0], ts_ns)) - 1
        return k >= 0 and ts_ns < int(self.gaps[k, 1])

    def _asof(self, values: Floats, ts_ns: ArrayLike, side: Any) -> Floats:
        times = np.asarray(ts_ns, np.int64)
        at = np.searchsorted(self.mid_ns, times, side=side) - 1
        known = (at >= 0) & (times <= self.end_ns)
        return np.where(known, values[np.maximum(at, 0)], np.nan)

    @property
    def end_ns(self) -> int:
        """When the last thing that is known became known."""
        tape = int(self.closes_ns[-1]) if len(self.closes_ns) else 0
        return max(int(self.mid_ns[-1]), tape)

    # ---- prices of an interval

    def twap(self, start_ns: int, end_ns: int) -> float:
        """Time-weighted mid, the time in gaps left out; the mid at the start where nothing is between.

        NaN where the mid at the start or the end is unknown.
        """
        opening = float(self.mid_at(start_ns))
        if math.isnan(opening) or math.isnan(float(self.mid_at(end_ns))):
            return math.nan
        seconds = self._open_ns(end_ns) - self._open_ns(start_ns)
        if seconds <= 0:
            return opening
        return float(self.mid[0]) + (self._mids_until(end_ns) - self._mids_until(start_ns)) / seconds

    def traded(self, start_ns: int, end_ns: int) -> tuple[float, float]:
        """Volume and money of an interval, partly covered bars prorated by time; NaN where it leaves the data."""
        if not len(self.opens_ns) or start_ns < self.opens_ns[0] - self._slack or end_ns > self.end_ns + 1:
            return math.nan, math.nan
        (v0, m0), (v1, m1) = self._until(start_ns), self._until(end_ns)
        return max(0.0, v1 - v0), max(0.0, m1 - m0)

    def vwap(self, start_ns: int, end_ns: int, *, less: tuple[float, float] = (0.0, 0.0)) -> float:
        """Volume-weighted price of an interval; `less` is own (volume, money) to take out. NaN without volume."""
        volume, money = self.traded(start_ns, end_ns)
        rest = volume - less[0]
        return (money - less[1]) / rest if rest > NOTHING_LEFT * volume else math.nan

    def vwap_within(self, start_ns: int, end_ns: int, side: Side, limit: float) -> float:
        """VWAP of what traded at the limit or better: what a limit order could have had. NaN where nothing did.

        A bar counts as one trade at its average price.
        """
        first = int(np.searchsorted(self.closes_ns, start_ns, side="right" if self._bars_on_tape else "left"))
        after = int(np.searchsorted(self.opens_ns, end_ns))
        volume, money = self.volume[first:after], self.money[first:after]
        with np.errstate(invalid="ignore", divide="ignore"):
            prices = money / volume
        fits = (volume > 0) & (sign(side) * (limit - prices) >= -1e-12 * limit)
        total = float(volume[fits].sum())
        return float(money[fits].sum()) / total if total > 0 else math.nan

    def pwp(self, start_ns: int, volume: float) -> float:
        """VWAP from a time until this much has traded, the last piece prorated: known only after the fact.

        The participation-weighted price at rate x of an execution that filled F is `pwp(arrival, F / x)`. NaN where
        the record ends before so much has traded.
        """
        if not volume > 0 or not len(self.opens_ns) or start_ns < self.opens_ns[0] - self._slack:
            return math.nan
        v0, m0 = self._until(start_ns)
        target = v0 + volume
        if target > self._volume_sum[-1] * (1 + 1e-12):
            return math.nan
        k = min(int(np.searchsorted(self._volume_sum, target * (1 - 1e-15), side="left")) - 1, len(self.volume) - 1)
        k = max(k, 0)
        part = (target - self._volume_sum[k]) / self.volume[k] if self.volume[k] > 0 else 0.0
        return float(self._money_sum[k] + part * self.money[k] - m0) / volume

    def prorated(self, start_ns: int, end_ns: int) -> bool:
        """Whether the interval cuts a bar, so that its volume is shared out by time."""
        return any(self._inside_bar(ts) for ts in (start_ns, end_ns))

    # ---- prices of a day

    def day_open(self, ts_ns: int, day_starts_s: int = 0) -> float:
        """The first price of the UTC day (that begins so many seconds after midnight) around a time."""
        start = self._day(ts_ns, day_starts_s)
        if not len(self.opens_ns):
            return self._first_in(self.mid_ns, self.mid, start)
        return self._first_in(self.opens_ns, self.first, start)

    def day_close(self, ts_ns: int, day_starts_s: int = 0) -> float:
        """The last price of that day: known only after the fact. NaN where the record ends within the day."""
        end = self._day(ts_ns, day_starts_s) + DAY_NS
        return self._last_before(end) if self.end_ns >= end - SILENCE_NS or self._ends_in_gap(end) else math.nan

    def previous_close(self, ts_ns: int, day_starts_s: int = 0) -> float:
        """The last price before that day, on whatever day it was."""
        return self._last_before(self._day(ts_ns, day_starts_s), any_day=True)

    @staticmethod
    def _day(ts_ns: int, day_starts_s: int) -> int:
        shift = day_starts_s * 1_000_000_000
        return (ts_ns - shift) // DAY_NS * DAY_NS + shift

    @staticmethod
    def _first_in(times: Ints, prices: Floats, start: int) -> float:
        k = int(np.searchsorted(times, start))
        return float(prices[k]) if k < len(times) and times[k] < start + DAY_NS else math.nan

    def _last_before(self, end: int, *, any_day: bool = False) -> float:
        times, prices = (self.closes_ns, self.last) if len(self.closes_ns) else (self.mid_ns, self.mid)
        k = int(np.searchsorted(times, end, side="right" if self._bars_on_tape else "left")) - 1
        return float(prices[k]) if k >= 0 and (any_day or times[k] > end - DAY_NS) else math.nan

    def _ends_in_gap(self, ts_ns: int) -> bool:
        return bool(((self.gaps[:, 0] < ts_ns) & (ts_ns <= self.gaps[:, 1])).any())

    # ---- sums

    @property
    def _bars_on_tape(self) -> bool:
        return bool(len(self.opens_ns)) and bool(self.closes_ns[0] > self.opens_ns[0])

    @property
    def _slack(self) -> int:
        """Trades come when they come: an interval may begin before the first by as much as counts as no gap."""
        return 0 if self._bars_on_tape else SILENCE_NS

    def _inside_bar(self, ts_ns: int) -> bool:
        k = int(np.searchsorted(self.opens_ns, ts_ns)) - 1
        return k >= 0 and int(self.opens_ns[k]) < ts_ns < int(self.closes_ns[k])

    def _until(self, ts_ns: int) -> tuple[float, float]:
        """Volume and money before a time."""
        k = int(np.searchsorted(self.opens_ns, ts_ns))  # pieces that have begun before
        volume, money = float(self._volume_sum[k]), float(self._money_sum[k])
        if k and self.closes_ns[k - 1] > ts_ns:
            left = int(self.closes_ns[k - 1] - ts_ns) / int(self.closes_ns[k - 1] - self.opens_ns[k - 1])
            volume -= left * float(self.volume[k - 1])
            money -= left * float(self.money[k - 1])
        return volume, money

    def _open_ns(self, ts_ns: int) -> int:
        """Nanoseconds since the first mid, gaps left out."""
        k = int(np.searchsorted(self.gaps[:, 0], ts_ns))
        closed = int(self._closed_sum[k])
        if k and self.gaps[k - 1, 1] > ts_ns:
            closed -= int(self.gaps[k - 1, 1]) - ts_ns
        return ts_ns - int(self.mid_ns[0]) - closed

    def _mids_until(self, ts_ns: int) -> float:
        """Integral of (mid - first mid) over the open nanoseconds until a time."""
        k = int(np.searchsorted(self.mid_ns, ts_ns, side="right")) - 1
        since = self._open_ns(ts_ns) - self._open_ns(int(self.mid_ns[k]))
        return float(self._mid_sum[k]) + (float(self.mid[k]) - float(self.mid[0])) * since


@dataclass(frozen=True, slots=True)
class _Events:
    """Quotes (mid and half spread) or trades (price and quantity), valid and in order of time."""

    ts_ns: Ints
    price: Floats
    other: Floats
    left_out: int


def _quoted(quotes: Frame) -> _Events:
    ts, bid, ask = _column(quotes, "ts_ns", np.int64), _column(quotes, "bid"), _column(quotes, "ask")
    with np.errstate(invalid="ignore"):
        valid = (bid > 0) & (ask >= bid) & np.isfinite(ask)
    return _events(ts, (bid + ask) / 2, (ask - bid) / 2, valid)


def _traded(trades: Frame) -> _Events:
    ts, price, qty = _column(trades, "ts_ns", np.int64), _column(trades, "price"), _column(trades, "qty")
    with np.errstate(invalid="ignore"):
        valid = (price > 0) & np.isfinite(price) & (qty > 0) & np.isfinite(qty)
    return _events(ts, price, qty, valid)


def _events(ts: Ints, price: Floats, other: Floats, valid: NDArray[np.bool_]) -> _Events:
    left_out = len(ts) - int(valid.sum())
    if left_out:
        ts, price, other = ts[valid], price[valid], other[valid]
    if len(ts) > 1 and not (ts[1:] >= ts[:-1]).all():
        order = np.argsort(ts, kind="stable")
        ts, price, other = ts[order], price[order], other[order]
    return _Events(ts, price, other, left_out)


def _column(frame: Frame, name: str, kind: Any = np.float64) -> Any:
    if name not in frame.columns:
        raise DataError(f"market data need a column {name!r}; there are {', '.join(map(str, frame.columns))}")
    return np.ascontiguousarray(frame[name].to_numpy(), dtype=kind)


def _gaps(
    mid_ns: Ints,
    traded: _Events | None,
    bars: Bars | None,
    told: Sequence[tuple[int, int]],
    silence_ns: int,
) -> Ints:
    """Joined gaps: told, between bars, and where neither quotes nor trades come for longer than the silence."""
    found = [(int(start), int(end)) for start, end in told if end > start]
    if bars is not None:
        opens, closes = bars.ts_open_ns, bars.ts_close_ns
        found += [(int(closes[k]), int(opens[k + 1])) for k in np.flatnonzero(opens[1:] > closes[:-1])]
    else:
        both = None if traded is None else np.concatenate((mid_ns, traded.ts_ns))
        events = mid_ns if both is None else np.sort(both, kind="stable")  # merges two sorted runs
        quiet = np.flatnonzero(np.diff(events) > silence_ns)
        found += [(int(events[k]), int(events[k + 1])) for k in quiet]
    joined: list[list[int]] = []
    for start, end in sorted(found):
        after = int(np.searchsorted(mid_ns, end))
        end = max(end, int(mid_ns[after])) if after < len(mid_ns) else end
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(end, joined[-1][1])
        else:
            joined.append([start, end])
    return np.array(joined, np.int64).reshape(-1, 2)


def _resolution(mid_ns: Ints, bars: Bars | None, *, every_change: bool) -> int:
    """The length of bars, the pace of snapshots, 0 for events."""
    if bars is not None:
        return int(np.median(bars.ts_close_ns - bars.ts_open_ns))
    if every_change or len(mid_ns) < FEW:
        return 0
    steps = np.diff(mid_ns)
    usual = int(np.median(steps))
    return usual if float((steps == usual).mean()) >= REGULAR else 0


def _sums(lengths: Ints) -> Ints:
    sums = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=sums[1:])
    return sums


def _integral(mid_ns: Ints, mid: Floats, gaps: Ints) -> Floats:
    """Integral of (mid - first mid) over the open nanoseconds before each mid, shape (m,)."""
    sums = np.zeros(len(mid))
    if len(mid) < 2:
        return sums
    steps = np.diff(mid_ns)
    for start, end in gaps.tolist():  # a gap ends with a mid, and lies within few steps
        first, after = int(np.searchsorted(mid_ns, start, side="right")) - 1, int(np.searchsorted(mid_ns, end))
        for k in range(max(first, 0), min(after, len(steps))):
            steps[k] -= max(0, min(end, int(mid_ns[k + 1])) - max(start, int(mid_ns[k])))
    np.cumsum((mid[:-1] - mid[0]) * steps, out=sums[1:])
    return sums
