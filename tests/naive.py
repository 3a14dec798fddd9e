"""Slow, obvious versions of everything fast, to compare with. Nothing here is clever."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from core.bars import Bars
from core.contracts import FillEvent

# ---------------------------------------------------------------- bars to try things on

MINUTE_NS = 60_000_000_000
START_NS = 1_735_689_600_000_000_000  # 2025-01-01T00:00Z


def bars_of(closes: Iterable[float], symbol: str = "ATOM/USDT") -> Bars:
    """One-minute bars with these closes; each opens at the close before, high and low are just wide enough."""
    close = np.array(list(closes), np.float64)
    opens = np.concatenate((close[:1], close[:-1]))
    ts = START_NS + np.arange(len(close)) * MINUTE_NS
    high, low = np.maximum(opens, close), np.minimum(opens, close)
    return Bars(symbol, ts, ts + MINUTE_NS, opens, high, low, close, np.full(len(close), 1000.0))


# ---------------------------------------------------------------- strategies


def least_squares_ahead(values: Sequence[float]) -> Fraction:
    """The line of least squares through (0, y_0) .. (n - 1, y_n-1), read at n; by the normal equations, exactly."""
    points = [(Fraction(x), Fraction(y)) for x, y in enumerate(values)]
    n = len(points)
    mean_x = Fraction(sum(x for x, _ in points), n)
    mean_y = Fraction(sum(y for _, y in points), n)
    joint = Fraction(sum((x - mean_x) * (y - mean_y) for x, y in points))
    spread = Fraction(sum((x - mean_x) ** 2 for x, _ in points))
    return mean_y + joint / spread * (n - mean_x)


def trendline_signals(closes: Sequence[float], window: int, threshold: float) -> list[int]:
    out = []
    for k, close in enumerate(closes):
        if k < window:
            out.append(0)
            continue
        line = least_squares_ahead(closes[k - window : k])
        above = Fraction(close) > line * (1 + Fraction(threshold))
        below = Fraction(close) < line * (1 - Fraction(threshold))
        out.append(int(above) - int(below))
    return out


def ema(values: Sequence[float], period: int) -> list[float]:
    out = [values[0]]
    for value in values[1:]:
        out.append(out[-1] + 2 / (period + 1) * (value - out[-1]))
    return out


def tema(closes: Sequence[float], period: int) -> list[float]:
    first = ema(closes, period)
    second = ema(first, period)
    third = ema(second, period)
    return [3 * a - 3 * b + c for a, b, c in zip(first, second, third, strict=True)]


def rsi(closes: Sequence[float], period: int) -> list[float]:
    """Wilder's RSI, NaN for the first `period` closes and where nothing moved."""
    changes = [b - a for a, b in pairwise(closes)]
    gains = [max(change, 0.0) for change in changes]
    losses = [max(-change, 0.0) for change in changes]
    out = [math.nan] * len(closes)
    if len(changes) < period:
        return out
    gain, loss = statistics.fmean(gains[:period]), statistics.fmean(losses[:period])
    for k in range(period, len(closes)):
        if k > period:
            gain = (gain * (period - 1) + gains[k - 1]) / period
            loss = (loss * (period - 1) + losses[k - 1]) / period
        out[k] = 100 * gain / (gain + loss) if gain + loss else math.nan
    return out


# ---------------------------------------------------------------- results of a run


def max_drawdown(equity: Sequence[float]) -> float:
    """Every pair of points, the later one against the earlier one."""
    falls = [1 - late / early for k, early in enumerate(equity) for late in equity[k:]]
    return max(falls)


def sharpe(ts_ns: Sequence[int], equity: Sequence[float]) -> float:
    day = 86_400_000_000_000
    midnights = [m for m in range(0, ts_ns[-1] + 1, day) if m >= ts_ns[0]]
    marks = [[value for ts, value in zip(ts_ns, equity, strict=True) if ts <= midnight][-1] for midnight in midnights]
    returns = [Fraction(b) / Fraction(a) - 1 for a, b in pairwise(marks)]
    if len(returns) < 2 or len(set(returns)) == 1:
        return math.nan
    return statistics.fmean(returns) / statistics.stdev(returns) * math.sqrt(365)


def fifo_results(fills: Sequence[FillEvent]) -> list[Fraction]:
    """Profit before fees from flat to flat, first in first out, with exact decimals."""
    queue: list[tuple[Fraction, Fraction]] = []  # signed quantity, price
    results = []
    result = Fraction(0)
    for fill in fills:
        left = Fraction(repr(fill.qty)) * (1 if fill.side == "buy" else -1)
        price = Fraction(fill.price)
        while left and queue and queue[0][0] * left < 0:
            held, paid = queue[0]
            closed = min(abs(held), abs(left)) * (1 if held > 0 else -1)
            result += closed * (price - paid)
            left += closed
            if held == closed:
                queue.pop(0)
            else:
                queue[0] = (held - closed, paid)
            if not queue:
                results.append(result)
                result = Fraction(0)
        if left:
            queue.append((left, price))
    return results


def time_in_market(fills: Sequence[FillEvent], start_ns: int, end_ns: int) -> Fraction:
    """Step through every nanosecond: for spans that are that short."""
    held = 0
    for now in range(start_ns, end_ns):
        before = [fill for fill in fills if fill.ts_fill_ns <= now]
        position = sum(Fraction(repr(fill.qty)) * (1 if fill.side == "buy" else -1) for fill in before)
        held += position != 0
    return Fraction(held, end_ns - start_ns)


# ---------------------------------------------------------------- impact of our own trading

Stretch = tuple[float, float]  # signed participation rate, market volume in volume-days


def transient_displacement(path: Sequence[Stretch], at: float, scale: float, exponent: float) -> float:
    """scale / 2 * integral over s < at of sgn(a) |a|^exponent * (at - s)^(-1/2) ds, stretch by stretch."""
    total, start = 0.0, 0.0
    for rate, length in path:
        end = min(start + length, at)
        if end > start:
            force = math.copysign(math.pow(abs(rate), exponent), rate)
            total += scale / 2 * force * 2 * (math.sqrt(at - start) - math.sqrt(at - end))
        start += length
    return total


def average_displacement(
    path: Sequence[Stretch], scale: float, exponent: float, permanent_share: float, reference: float, steps: int = 4000
) -> float:
    """What the last stretch of a path pays on average: the displacement at many moments of it, with the permanent
    part permanent_share * scale * reference^exponent * quantity / reference growing in a straight line."""
    before = sum(length for _, length in path[:-1])
    length = path[-1][1]
    moments = (before + length * (k + 0.5) / steps for k in range(steps))
    transient = math.fsum(transient_displacement(path, at, scale, exponent) for at in moments) / steps
    done = math.fsum(rate * stretch for rate, stretch in path[:-1])
    half = path[-1][0] * length / 2
    permanent = scale * math.pow(reference, exponent) * (done + half) / reference
    return (1 - permanent_share) * transient + permanent_share * permanent
