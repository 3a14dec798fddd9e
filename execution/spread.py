"""The spread of a market of bars, and where it comes from: bars themselves carry none.

Quotes know it, else the instrument's configuration does, else it is estimated from the bars of the days before by EDGE
(Ardia, Guidotti and Kroencke, 2024), else it is assumed. An estimate lives off the bounce of trades between bid and
ask, so it can be told from noise only where the spread is not small against what the price moves in a bar:
docs/fill_models.md has what it is worth on markets whose spread is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.instrument import Instrument
from execution.conditions import DAY_NS, WINDOW_DAYS, joined
from research.data_reader import DataReader

FEWEST_BARS: Final = 100  # of an estimate
WIDEST_BPS: Final = 500.0  # an estimate above this says that the bars are no prices of trades


@dataclass(frozen=True, slots=True)
class Spread:
    """`half`: half the quoted spread of each bar in price units, shape (n,). `source` goes into the report."""

    half: NDArray[np.float64]
    source: str


def bar_spread(
    bars: Bars, instrument: Instrument, reader: DataReader | None, assumed_bps: float, before: Bars | None = None
) -> Spread:
    """From quotes where the store has them, else from the instrument, else estimated from past bars, else assumed.

    With quotes, a bar's spread is that of the last one at or before its open; bars before the first quote take the
    first one's. An estimate for a UTC day is made from the seven days before it, `before` included, and never from the
    day itself; days of which too little is known, or whose estimate is lost in noise, take `assumed_bps`.
    """
    quoted = _quoted(bars, instrument, reader)
    if quoted is not None:
        return quoted
    if instrument.spread_bps is not None:
        return Spread(bars.open * (instrument.spread_bps / 2e4), f"instrument, {instrument.spread_bps:g} bps")
    estimated = estimated_bps(bars, before)
    known = np.isfinite(estimated)
    if not known.any():
        source = f"assumed: neither quotes nor the instrument tell, {assumed_bps:g} bps"
        return Spread(bars.open * (assumed_bps / 2e4), source)
    half = bars.open * (np.where(known, estimated, assumed_bps) / 2e4)
    half = np.where(known, np.maximum(half, instrument.price(1) / 2), half)  # no spread is less than a tick
    low, high = float(estimated[known].min()), float(estimated[known].max())
    source = f"estimated from the bars of the {WINDOW_DAYS} days before (EDGE), {low:.3g} to {high:.3g} bps"
    if not known.all():
        source += f"; assumed, {assumed_bps:g} bps, for {1 - known.mean():.0%} of the bars, where that is lost in noise"
    return Spread(half, source)


def estimated_bps(bars: Bars, before: Bars | None = None) -> NDArray[np.float64]:
    """The quoted spread of each bar in basis points, estimated from the days before its UTC day; shape (n,).

    NaN where fewer than 100 bars are known, and where `edge_bps` says so.
    """
    past = bars if before is None or len(before) == 0 else joined(before, bars)
    estimates = np.full(len(bars), np.nan)
    days = bars.ts_open_ns // DAY_NS
    for day in np.unique(days).tolist():
        first, last = np.searchsorted(past.ts_open_ns, [(day - WINDOW_DAYS) * DAY_NS, day * DAY_NS])
        estimates[days == day] = edge_bps(past[int(first) : int(last)])
    return estimates


def edge_bps(bars: Bars) -> float:
    """EDGE's spread of these bars in basis points; NaN where it cannot be told from noise, or is absurd.

    The estimator answers with a square, s^2, that is negative as often as not when there is no spread. On random walks
    without one its standard deviation is about a fifth of  g = sqrt(mean(r^4) / n)  with r the log returns from close
    to close (measured), so an answer counts from s^2 >= g on: five standard deviations, as real returns cluster.
    """
    if len(bars) < FEWEST_BARS:
        return math.nan
    from bidask import edge  # type: ignore[import-untyped]  # brings pandas: only where it is needed

    spread = float(edge(bars.open, bars.high, bars.low, bars.close, sign=True))
    returns = np.diff(np.log(bars.close))
    noise = math.sqrt(float(np.mean(returns**4)) / len(returns))
    if not spread > 0 or spread**2 < noise or 1e4 * spread > WIDEST_BPS:
        return math.nan
    return 1e4 * spread


def _quoted(bars: Bars, instrument: Instrument, reader: DataReader | None) -> Spread | None:
    venues = [one.venue for one in reader.describe(bars.symbol, "quotes")] if reader is not None else []
    if reader is None or not (instrument.venue in venues or len(venues) == 1):
        return None
    from_venue = instrument.venue if instrument.venue in venues else venues[0]
    quotes = reader.read_quotes(
        bars.symbol, int(bars.ts_open_ns[0]), int(bars.ts_close_ns[-1]), venue=from_venue, format="polars"
    )
    if len(quotes) == 0:
        return None
    half = (quotes["ask"].to_numpy() - quotes["bid"].to_numpy()) / 2
    at = np.searchsorted(quotes["ts_ns"].to_numpy(), bars.ts_open_ns, side="right") - 1
    return Spread(np.ascontiguousarray(half[np.maximum(at, 0)]), f"quotes of {from_venue}")
