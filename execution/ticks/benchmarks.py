"""Benchmark prices over stretches of time, exact to the trade and the quote, each in O(log n) after one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from execution.conditions import running

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """A step function of time: `values[i]` holds from `ts_ns[i]` until the next; both of shape (n,), n >= 1.

    Before the first step its value is taken to hold. Of several steps at one moment the last one counts.
    """

    ts_ns: Ints
    values: Floats
    _area: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.ts_ns) == 0:
            raise ValueError("steps must have at least one value, had none")
        held = np.diff(self.ts_ns).astype(np.float64)
        object.__setattr__(self, "_area", running((self.values[:-1] - self.values[0]) * held))

    def at(self, ts_ns: int) -> float:
        """The value at a moment, changes at that moment included."""
        return float(self.values[self._last(ts_ns)])

    def mean(self, start_ns: int, end_ns: int) -> float:
        """The average over time, sum of value * time / time; at a single moment the value there."""
        if end_ns <= start_ns:
            return self.at(start_ns)
        return float(self.values[0]) + (self._integral(end_ns) - self._integral(start_ns)) / (end_ns - start_ns)

    def _last(self, ts_ns: int) -> int:
        return max(0, int(np.searchsorted(self.ts_ns, ts_ns, side="right")) - 1)

    def _integral(self, ts_ns: int) -> float:
        """Of what the value has above the first one, which keeps the sums small."""
        k = self._last(ts_ns)
        return float(self._area[k] + (self.values[k] - self.values[0]) * float(ts_ns - self.ts_ns[k]))


class TickTape:
    """What the market did between any two moments, without us: volume, money, mid and spread.

    An interval is open at its start and closed at its end, (start, end]: what traded at the moment at which a parent
    became live was over before it could trade.
    """

    def __init__(self, ts_ns: Ints, prices: Floats, quantities: Floats, mids: Steps, spreads: Steps) -> None:
        self.mids = mids
        self.spreads = spreads
        self._ts_ns = ts_ns
        self._volume = running(quantities)
        self._money = running(prices * quantities)

    def volume(self, start_ns: int, end_ns: int) -> float:
        """Base quantity traded in (start, end]."""
        first, last = self._between(start_ns, end_ns)
        return float(self._volume[last] - self._volume[first])

    def vwap(self, start_ns: int, end_ns: int) -> float:
        """sum(price * qty) / sum(qty) of the trades in (start, end]; NaN where there were none."""
        first, last = self._between(start_ns, end_ns)
        volume = float(self._volume[last] - self._volume[first])
        return float(self._money[last] - self._money[first]) / volume if volume > 0 else math.nan

    def twap(self, start_ns: int, end_ns: int) -> float:
        """The mid averaged over time, each one held until the next."""
        return self.mids.mean(start_ns, end_ns)

    def spread(self, start_ns: int, end_ns: int) -> float:
        """The spread averaged over time, in price units."""
        return self.spreads.mean(start_ns, end_ns)

    def _between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        first, last = np.searchsorted(self._ts_ns, [start_ns, end_ns], side="right")
        return int(first), int(max(first, last))
