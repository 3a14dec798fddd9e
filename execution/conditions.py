"""What was known of a market before each of its bars: volatility and average volume, from past bars only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars

DAY_NS: Final = 86_400_000_000_000
WINDOW_DAYS: Final = 7
FEWEST_BARS: Final = 10


@dataclass(frozen=True, slots=True)
class Conditions:
    """Per bar, shape (n,), NaN where too little was known.

    volatility     of log returns per square root of a day: root of the mean squared return of the seven days before
                   the bar's UTC day, over neighbouring bars only (a return across a gap does not count)
    daily_volume   base quantity per day that bars cover, over the same days
    volume_days    market volume before the bar in units of the daily volume of its day, summed from the first bar on;
                   shape (n + 1,). The clock in which impact decays.

    On a history's first days, when midnight knew fewer than 10 bars, each bar takes what was known at its own open.
    """

    volatility: NDArray[np.float64]
    daily_volume: NDArray[np.float64]
    volume_days: NDArray[np.float64]

    @classmethod
    def of(cls, bars: Bars, before: Bars | None = None) -> Self:
        """The conditions of `bars`; `before` are bars that end where these begin, for a past that is longer."""
        past = Past(bars if before is None else joined(before, bars))
        everywhere = np.arange(0 if before is None else len(before), len(past.open_ns))
        days = past.open_ns[everywhere] // DAY_NS
        midnights = np.searchsorted(past.open_ns, days * DAY_NS)
        volatility, daily_volume = past.known(midnights)
        young = np.isnan(volatility)
        volatility[young], daily_volume[young] = past.known(everywhere[young])
        spent = np.divide(bars.volume, daily_volume, out=np.zeros(len(bars)), where=daily_volume > 0)
        return cls(volatility, daily_volume, running(spent))


def joined(before: Bars, bars: Bars) -> Bars:
    """Two stretches of bars as one. Raises DataError where they overlap."""
    names = ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume")
    both = Bars(bars.symbol, **{name: np.concatenate((getattr(before, name), getattr(bars, name))) for name in names})
    both.check()
    return both


def running(column: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums before each row, shape (n + 1,): entry k is the sum of rows [0, k)."""
    sums = np.zeros(len(column) + 1)
    np.cumsum(column, out=sums[1:], dtype=np.float64)
    return sums


class Past:
    """Sums over bars, so that any stretch before a bar costs O(1)."""

    def __init__(self, bars: Bars) -> None:
        self.open_ns = bars.ts_open_ns
        self._close_ns = bars.ts_close_ns
        length = bars.ts_close_ns - bars.ts_open_ns
        joins = np.zeros(len(bars), dtype=bool)
        joins[1:] = bars.ts_open_ns[1:] == bars.ts_close_ns[:-1]
        squares = np.zeros(len(bars))
        squares[1:] = np.log(bars.close[1:] / bars.close[:-1]) ** 2
        self._squares = running(np.where(joins, squares, 0.0))
        self._returns_days = running(np.where(joins, length, 0)) / DAY_NS
        self._days = running(length) / DAY_NS
        self._volume = running(bars.volume)

    def before(self, ts_ns: int) -> tuple[float, float]:
        """Volatility and daily volume as `Conditions` has them for a bar that opens then; NaN: too little is known.

        From bars that have closed by the midnight before or, where that knew too little, by the moment itself.
        """
        for moment in (ts_ns // DAY_NS * DAY_NS, ts_ns):
            at = np.searchsorted(self._close_ns, [moment], side="right")
            volatility, daily_volume = (float(found[0]) for found in self.known(at)) if at[0] else (np.nan, np.nan)
            if volatility == volatility:
                break
        return volatility, daily_volume

    def known(self, at: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Volatility and daily volume from the seven days before each of these bars, NaN for fewer than 10 bars."""
        opens = self.open_ns[np.minimum(at, len(self.open_ns) - 1)]
        first = np.searchsorted(self.open_ns, opens - WINDOW_DAYS * DAY_NS)
        squares = self._squares[at] - self._squares[first]
        returns_days = self._returns_days[at] - self._returns_days[first]
        volume = self._volume[at] - self._volume[first]
        days = self._days[at] - self._days[first]
        enough = (at - first >= FEWEST_BARS) & (squares > 0) & (returns_days > 0) & (volume > 0)
        unknown = np.full(len(at), np.nan)
        variance = np.divide(squares, returns_days, out=unknown.copy(), where=enough)
        return np.sqrt(variance), np.divide(volume, days, out=unknown, where=enough)
