"""What was known of a market before a moment: volatility and average volume, from past bars only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars

DAY_NS: Final = 86_400_000_000_000
WINDOW_DAYS: Final = 7
FEWEST_BARS: Final = 30


@dataclass(frozen=True, slots=True)
class Conditions:
    """`volatility`: of log returns per square root of a day. `daily_volume`: base quantity per day of trading time."""

    volatility: float
    daily_volume: float


class PastConditions:
    """Conditions before any bar, from the seven days before it; O(1) a question after one pass over the bars.

    Volatility is the root of the mean squared close-to-close return per day, over neighbouring bars only: a return
    across a gap does not count. Days are the time that bars cover, so gaps dilute neither figure.
    """

    def __init__(self, bars: Bars) -> None:
        self._open_ns = bars.ts_open_ns
        joined = np.zeros(len(bars), dtype=bool)
        joined[1:] = bars.ts_open_ns[1:] == bars.ts_close_ns[:-1]
        squares = np.zeros(len(bars))
        squares[1:] = np.log(bars.close[1:] / bars.close[:-1]) ** 2
        squares[~joined] = 0.0
        self._squares = running(squares)
        self._time = running(bars.ts_close_ns - bars.ts_open_ns)
        self._returns_time = running(np.where(joined, bars.ts_close_ns - bars.ts_open_ns, 0))
        self._volume = running(bars.volume)

    def before(self, k: int) -> Conditions | None:
        """Conditions known when bar k opens; None where fewer than 30 bars, no volume or no movement came before."""
        if k <= 0:
            return None
        earliest = int(self._open_ns[min(k, len(self._open_ns) - 1)]) - WINDOW_DAYS * DAY_NS
        first = int(np.searchsorted(self._open_ns, earliest))
        if k - first < FEWEST_BARS:
            return None
        returns_days = (self._returns_time[k] - self._returns_time[first]) / DAY_NS
        volume = self._volume[k] - self._volume[first]
        squares = self._squares[k] - self._squares[first]
        if returns_days <= 0 or volume <= 0 or squares <= 0:
            return None
        days = (self._time[k] - self._time[first]) / DAY_NS
        return Conditions(float(np.sqrt(squares / returns_days)), float(volume / days))

    def first_bar_of(self, day: int) -> int:
        """The first bar that opens in a UTC day, counted from the epoch."""
        return int(np.searchsorted(self._open_ns, day * DAY_NS))

    def volume_between(self, first: int, last: int, offset: int = 0) -> float:
        """Volume of the bars [first, last), both counted from bar `offset`."""
        return float(self._volume[last + offset] - self._volume[first + offset])


def running(column: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums before each row: entry k is the sum of rows [0, k)."""
    sums = np.zeros(len(column) + 1)
    np.cumsum(column, out=sums[1:], dtype=np.float64)
    return sums
