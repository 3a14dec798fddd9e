"""What a run earned and what it took: pure functions over an equity curve and over fills.

An equity curve is two arrays of one shape (n,): `ts_ns` (int64, not falling) and `equity` (quote currency). Where a
question has no answer (nothing recorded, too short, not finite) the answer is NaN or None, never 0; a 0 here means 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.contracts import FillEvent

DAY_NS = 86_400_000_000_000
DAYS_PER_YEAR = 365  # markets that never close


class Drawdown(NamedTuple):
    """The deepest fall from a high: `fraction` of the high (0.25: a quarter lost), when the high and the low were."""

    fraction: float
    peak_ts_ns: int | None
    trough_ts_ns: int | None


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """From flat to flat, or from one side to the other.

    `qty` is all that was bought into it (sold short into it), `entry_price` and `exit_price` are averages weighted by
    quantity. `pnl` is after `fees`, both in quote currency. While `closed_ts_ns` is None the trip is still open:
    `exit_price` is that of the part already closed (NaN for none), and `pnl` is NaN.
    """

    side: Literal["long", "short"]
    opened_ts_ns: int
    closed_ts_ns: int | None
    qty: float
    entry_price: float
    exit_price: float
    fees: float
    pnl: float


@dataclass(frozen=True, slots=True)
class Performance:
    """The figures of a run; each field is the function of that name, `trades` counts closed round trips."""

    total_return: float
    sharpe: float
    max_drawdown: float
    drawdown_peak_ts_ns: int | None
    drawdown_trough_ts_ns: int | None
    trades: int
    win_rate: float
    exposure: float
    turnover: float
    fees: float

    def to_dict(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def performance(
    ts_ns: ArrayLike, equity: ArrayLike, fills: Sequence[FillEvent], *, multiplier: float = 1.0
) -> Performance:
    """All figures at once. `fills` of one symbol in order of time; exposure is measured over the curve's own span."""
    times, values = _curve(ts_ns, equity)
    trips = round_trips(fills, multiplier=multiplier)
    drawdown = max_drawdown(times, values)
    span = (int(times[0]), int(times[-1])) if len(times) else (0, 0)
    return Performance(
        total_return=total_return(values),
        sharpe=sharpe(times, values),
        max_drawdown=drawdown.fraction,
        drawdown_peak_ts_ns=drawdown.peak_ts_ns,
        drawdown_trough_ts_ns=drawdown.trough_ts_ns,
        trades=sum(trip.closed_ts_ns is not None for trip in trips),
        win_rate=win_rate(trips),
        exposure=exposure(trips, *span),
        turnover=turnover(fills, values, multiplier=multiplier),
        fees=math.fsum(fill.fee for fill in fills),
    )


def total_return(equity: ArrayLike) -> float:
    """last / first - 1 as a fraction. NaN for fewer than two values, any not finite, or a first one not above 0."""
    values = np.asarray(equity, np.float64)
    if len(values) < 2 or not np.isfinite(values).all() or values[0] <= 0:
        return math.nan
    return float(values[-1] / values[0] - 1)


def daily_returns(ts_ns: ArrayLike, equity: ArrayLike) -> NDArray[np.float64]:
    """Returns from UTC midnight to UTC midnight, shape (whole days in the curve,).

    Equity at a midnight is the last value at or before it, so a day without values returns 0 (nothing was traded or
    marked). Part days at both ends are left out. Fewer than two midnights: empty. Where the equity of a day's start is
    not above 0, or either end is not finite, that day is NaN.
    """
    times, values = _curve(ts_ns, equity)
    if not len(times):
        return np.empty(0)
    midnights = np.arange(-(-int(times[0]) // DAY_NS) * DAY_NS, int(times[-1]) + 1, DAY_NS)
    if len(midnights) < 2:
        return np.empty(0)
    marks = values[np.searchsorted(times, midnights, side="right") - 1]
    base = np.where(marks[:-1] > 0, marks[:-1], math.nan)
    returns = marks[1:] / base - 1
    return np.where(np.isfinite(returns), returns, math.nan)


def sharpe(ts_ns: ArrayLike, equity: ArrayLike) -> float:
    """Annualised Sharpe ratio: mean / standard deviation (n - 1) of `daily_returns`, times sqrt(365); riskless rate 0.

    NaN for fewer than two whole days, no variance (to 12 digits of the largest return), or any day that is NaN.
    Sharpe (1994), The Sharpe Ratio.
    """
    returns = daily_returns(ts_ns, equity)
    if len(returns) < 2 or not np.isfinite(returns).all():
        return math.nan
    deviation = float(returns.std(ddof=1))
    if deviation <= 1e-12 * float(np.abs(returns).max()):
        return math.nan
    return float(returns.mean()) / deviation * math.sqrt(DAYS_PER_YEAR)


def max_drawdown(ts_ns: ArrayLike, equity: ArrayLike) -> Drawdown:
    """max over t of (high so far - equity) / high so far; above 1 where equity fell below 0.

    The trough is the first time at which the deepest fall was reached, the peak the last time at its high before that.
    A curve that never falls: 0.0 without times. Nothing recorded, anything not finite, or a first value not above 0:
    NaN without times.
    """
    times, values = _curve(ts_ns, equity)
    if not len(values) or not np.isfinite(values).all() or values[0] <= 0:
        return Drawdown(math.nan, None, None)
    highs = np.maximum.accumulate(values)
    falls = 1 - values / highs
    trough = int(falls.argmax())
    if falls[trough] <= 0:
        return Drawdown(0.0, None, None)
    peak = int(np.flatnonzero(values[:trough] == highs[trough])[-1])
    return Drawdown(float(falls[trough]), int(times[peak]), int(times[trough]))


def round_trips(fills: Iterable[FillEvent], *, multiplier: float = 1.0) -> list[RoundTrip]:
    """The round trips that fills of one symbol make, in order; at most the last one is still open.

    Average cost: a trip's entries are averaged, its exits are averaged, pnl = (exit - entry) * qty * multiplier - fees
    (negated for a short). A trip ends flat, so first-in-first-out gives the same sum. A fill that turns the position
    over closes one trip and opens the next, its fee shared by quantity. Quantities are added as the decimal numbers
    they are written as, so 0.1 + 0.2 - 0.3 is flat.

    Raises: ValueError if the fills are of several symbols or not in order of time.
    """
    done: list[RoundTrip] = []
    trip: _Trip | None = None
    last: FillEvent | None = None
    for fill in fills:
        if last is not None and (fill.symbol != last.symbol or fill.ts_fill_ns < last.ts_fill_ns):
            raise ValueError(
                f"fills must be of one symbol and in order of time, was {fill.symbol} at {fill.ts_fill_ns} "
                f"after {last.symbol} at {last.ts_fill_ns}"
            )
        last = fill
        qty = Decimal(repr(fill.qty)) * (1 if fill.side == "buy" else -1)
        if trip is not None and qty * trip.position < 0:
            part = qty if abs(qty) <= abs(trip.position) else -trip.position
            trip.add(fill, part)
            qty -= part
            if not trip.position:
                done.append(trip.closed(fill.ts_fill_ns, multiplier))
                trip = None
        if qty:
            trip = trip or _Trip("long" if qty > 0 else "short", fill.ts_fill_ns)
            trip.add(fill, qty)
    if trip is not None:
        done.append(trip.still_open())
    return done


class _Trip:
    """A round trip under way: its signed position, and quantity and money on both sides of it."""

    def __init__(self, side: Literal["long", "short"], opened_ts_ns: int) -> None:
        self.side = side
        self.opened_ts_ns = opened_ts_ns
        self.position = self.bought = self.sold = Decimal(0)
        self.paid = self.received = self.fees = 0.0

    def add(self, fill: FillEvent, qty: Decimal) -> None:
        """Book the signed part `qty` of a fill."""
        size = float(abs(qty))
        self.position += qty
        self.fees += fill.fee * (size / fill.qty)
        if qty > 0:
            self.bought += qty
            self.paid += size * fill.price
        else:
            self.sold -= qty
            self.received += size * fill.price

    def closed(self, ts_ns: int, multiplier: float) -> RoundTrip:
        pnl = (self.received - self.paid) * multiplier - self.fees
        return replace(self.still_open(), closed_ts_ns=ts_ns, pnl=pnl)

    def still_open(self) -> RoundTrip:
        bought = self.paid / float(self.bought) if self.bought else math.nan
        sold = self.received / float(self.sold) if self.sold else math.nan
        qty, entry, leave = (self.bought, bought, sold) if self.side == "long" else (self.sold, sold, bought)
        return RoundTrip(self.side, self.opened_ts_ns, None, float(qty), entry, leave, self.fees, math.nan)


def win_rate(trips: Iterable[RoundTrip]) -> float:
    """Share of the closed round trips with pnl above 0, after fees. None closed: NaN."""
    results = [trip.pnl > 0 for trip in trips if trip.closed_ts_ns is not None]
    return sum(results) / len(results) if results else math.nan


def exposure(trips: Iterable[RoundTrip], start_ns: int, end_ns: int) -> float:
    """Share of the time in [start_ns, end_ns) with a position, 0 to 1; no trips: 0.0. An empty interval: NaN."""
    if end_ns <= start_ns:
        return math.nan
    held = 0
    for trip in trips:
        until = end_ns if trip.closed_ts_ns is None else min(trip.closed_ts_ns, end_ns)
        held += max(0, until - max(trip.opened_ts_ns, start_ns))
    return held / (end_ns - start_ns)


def turnover(fills: Iterable[FillEvent], equity: ArrayLike, *, multiplier: float = 1.0) -> float:
    """Notional traded, both sides, over the mean of the equity curve's values; not annualised. No fills: 0.0.

    NaN where the curve is empty, not finite, or its mean is not above 0.
    """
    values = np.asarray(equity, np.float64)
    mean = float(values.mean()) if len(values) else math.nan
    if not (math.isfinite(mean) and mean > 0):
        return math.nan
    return math.fsum(fill.qty * fill.price for fill in fills) * multiplier / mean


def _curve(ts_ns: ArrayLike, equity: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    times, values = np.asarray(ts_ns, np.int64), np.asarray(equity, np.float64)
    if times.ndim != 1 or times.shape != values.shape:
        raise ValueError(f"ts_ns and equity must be of one shape (n,), were {times.shape} and {values.shape}")
    if (times[1:] < times[:-1]).any():
        raise ValueError("ts_ns must be in order of time")
    return times, values
