"""When a market trades: the share of volume in each bin of a stretch of the day, from days strictly before it.

Per bin the median over days of the same type (weekday, weekend) of the day's share, shrunk towards the pooled curve of
all days with weight n / (n + 10) for n days of the type: robust over days, and sensible when there are few.
Source: science page, section 3; Bialkowski, Darolles, Le Fol (2008) for shares per day.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.instrument import Instrument
from execution.conditions import DAY_NS, Past, running
from execution.plan import MAX_TAPE_LOTS

SHRINKAGE_DAYS: Final = 10
LEAST_COVERAGE: Final = 0.8  # of a day's stretch in bars; days with less are left out
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True, slots=True)
class Profile:
    """`weights`: shares per bin, shape (n_bins,), summing to 1. `volume`: expected quantity per bin, NaN where unknown.

    `source` says what it was made from: it goes into the report.
    """

    weights: NDArray[np.float64]
    volume: NDArray[np.float64]
    source: str

    def expected(self, instrument: Instrument) -> tuple[int, ...]:
        """Lots expected to trade by the end of each bin, at most what rules count; empty where nobody knows."""
        total = float(self.volume.sum())
        if not total > 0:
            return ()
        lots = np.cumsum(self.weights) * (total / instrument.qty(1))
        row: list[int] = np.minimum(lots, MAX_TAPE_LOTS).astype(np.int64).tolist()
        return tuple(row)


class VolumeHistory:
    """Volumes of any stretch of time, from bars; and how volatile the price was before a moment."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._close_ns = bars.ts_close_ns
        self._volume = running(bars.volume)
        self._time = running(bars.ts_close_ns - bars.ts_open_ns)
        self.first_ns = int(bars.ts_open_ns[0]) if len(bars) else 0

    def day(self, edges_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
        """Volume of each bin between the edges, and the share of the time that has bars.

        A bar counts where it closes: one that is not over by the last edge is not known by then.
        """
        at = np.searchsorted(self._close_ns, edges_ns, side="right")
        covered = (self._time[at[-1]] - self._time[at[0]]) / (edges_ns[-1] - edges_ns[0])
        return np.diff(self._volume[at]), float(covered)

    def conditions(self, ts_ns: int) -> tuple[float, float]:
        """Volatility and daily volume as known at a moment: see `execution.conditions.Past.before`."""
        return self._past.before(ts_ns)

    @cached_property
    def bar_ns(self) -> int:
        """The length of a bar: the median; 0 without bars."""
        lengths = self._bars.ts_close_ns - self._bars.ts_open_ns
        return int(np.median(lengths)) if len(lengths) else 0

    @cached_property
    def _past(self) -> Past:
        return Past(self._bars)


def uniform(bins: int, why: str) -> Profile:
    """Equal weights, for want of anything better."""
    return Profile(np.full(bins, 1 / bins), np.full(bins, np.nan), f"uniform: {why}")


def volume_profile(
    history: VolumeHistory | None,
    start_ns: int,
    duration_ns: int,
    bins: int,
    lookback_days: int,
    least_volume: float = 0.0,
) -> Profile:
    """The expected volume curve of [start, start + duration), at most a day, in equal bins.

    Reads the same stretch of each of the last `lookback_days` days of the same type; every one of them has ended
    before the start. A day that traded less than `least_volume` in it, or nothing, tells nothing and does not count.
    Fewer days, or none: a partial or uniform curve, said in `source`; never an error.
    """
    if history is None:
        return uniform(bins, "no history")
    edges = start_ns + np.arange(bins + 1, dtype=np.int64) * duration_ns // bins
    same: list[NDArray[np.float64]] = []
    every: list[NDArray[np.float64]] = []
    weekend = _weekend(start_ns)
    for back in range(1, 4 * lookback_days + 8):
        shifted = edges - back * DAY_NS
        if shifted[-1] <= history.first_ns or len(same) >= lookback_days:
            break
        volumes, covered = history.day(shifted)
        if covered < LEAST_COVERAGE or not volumes.sum() > 0 or volumes.sum() < least_volume:
            continue
        every.append(volumes)
        if _weekend(int(shifted[0])) == weekend:
            same.append(volumes)
    if not every:
        return uniform(bins, "no day of history covers this time of day")
    pooled = _shares(every)
    kind = "weekend" if weekend else "weekday"
    if not same:
        return Profile(pooled, _median(np.array(every)), f"partial: {len(every)} days, none of them a {kind}")
    trust = len(same) / (len(same) + SHRINKAGE_DAYS)
    weights = trust * _shares(same) + (1 - trust) * pooled
    found = f"{len(same)} {kind} days"
    source = found if len(same) >= lookback_days else f"partial: {found} of {lookback_days}"
    return Profile(weights / weights.sum(), _median(np.array(same)), source)


def cumulative_lots(weights: NDArray[np.float64], quantity: int) -> tuple[int, ...]:
    """Lots due by the end of each bin: weights made integers by the largest remainder; the last is the quantity."""
    row: list[int] = cumulative_rows((weights / weights.sum())[np.newaxis], np.array([quantity]))[0].tolist()
    return tuple(row)


def cumulative_rows(shares: NDArray[np.float64], quantities: NDArray[np.int64]) -> NDArray[np.int64]:
    """`cumulative_lots` of each quantity, shape (n, bins). shares: of each bin, summing to 1 in each row."""
    exact = shares * quantities[:, np.newaxis]
    lots = np.floor(exact).astype(np.int64)
    missing = quantities - lots.sum(axis=1)
    place = np.empty_like(lots)
    order = np.argsort(-(exact - lots), axis=1, kind="stable")
    np.put_along_axis(place, order, np.arange(shares.shape[1])[np.newaxis], axis=1)
    lots += place < missing[:, np.newaxis]
    rows: NDArray[np.int64] = np.cumsum(lots, axis=1)
    return rows


def cumulative_floor(weights: NDArray[np.float64], quantity: int) -> tuple[int, ...]:
    """Lots due by the end of each slice: floor(Q * W_k), W_k the running share of the weights; the last is Q."""
    shares = np.cumsum(weights)
    lots = np.floor(shares / shares[-1] * quantity + 1e-9).astype(np.int64)
    lots[-1] = quantity
    return tuple(int(count) for count in lots)


def _shares(days: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Median share of each bin over days, summing to 1; the mean where the median leaves nothing."""
    table = np.array(days)
    of_day = table / table.sum(axis=1, keepdims=True)
    shares = _median(of_day)
    if shares.sum() <= 0:
        shares = of_day.mean(axis=0)
    shares /= shares.sum()
    return shares


def _median(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """`np.median(rows, axis=0)` without NaN, at a quarter of its price for the few rows that there are."""
    ordered, half = np.sort(rows, axis=0), len(rows) // 2
    middle: NDArray[np.float64] = ordered[half] if len(rows) % 2 else (ordered[half - 1] + ordered[half]) / 2
    return middle


def _weekend(ts_ns: int) -> bool:
    return (ts_ns // DAY_NS + _EPOCH_WEEKDAY) % 7 >= 5
