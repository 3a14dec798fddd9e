"""When a market trades: the share of volume in each bin of a stretch of the day, from days strictly before it.

Per bin the median over days of the same type (weekday, weekend) of the day's share, shrunk towards the pooled curve of
all days with weight n / (n + 10) for n days of the type: robust over days, and sensible when there are few.
Source: science page, section 3; Bialkowski, Darolles, Le Fol (2008) for shares per day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from core.bars import Bars
from core.instrument import Instrument
from execution.conditions import DAY_NS, Past, running
from execution.medians import medians
from execution.plan import MAX_TAPE_LOTS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SHRINKAGE_DAYS: Final = 10
LEAST_COVERAGE: Final = 0.8  # of a day's stretch in bars; days with less are left out
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
_CELLS: Final = 12_000  # in a block: few enough for the processor's cache


@dataclass(frozen=True, slots=True)
class Profile:
    """`weights`: shares per bin, shape (n_bins,), summing to 1. `volume`: expected quantity per bin, NaN where unknown.

    `source` says what it was made from: it goes into the report.
    """

    weights: Floats
    volume: Floats
    source: str

    def expected(self, instrument: Instrument) -> tuple[int, ...]:
        """Lots expected to trade by the end of each bin, at most what rules count; empty where nobody knows."""
        lots, known = expected_lots(self.weights[np.newaxis], self.volume[np.newaxis], instrument)
        return tuple(lots[0].tolist()) if known[0] else ()


def expected_lots(weights: Floats, volume: Floats, instrument: Instrument) -> tuple[Ints, NDArray[np.bool_]]:
    """`Profile.expected` of each row, and which rows are known; the others hold zeros. Shapes (n, bins) and (n,)."""
    total = volume.sum(axis=1)
    known = total > 0
    lots = np.cumsum(weights, axis=1)
    lots *= np.where(known, total / instrument.qty(1), 0.0)[:, np.newaxis]
    return np.minimum(lots, MAX_TAPE_LOTS, out=lots).astype(np.int64), known


class VolumeHistory:
    """Volumes of any stretch of time, from bars; and how volatile the price was before a moment."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._close_ns = bars.ts_close_ns
        self._volume = running(bars.volume)
        self._time = running(bars.ts_close_ns - bars.ts_open_ns)
        self.first_ns = int(bars.ts_open_ns[0]) if len(bars) else 0

    def day(self, edges_ns: Ints) -> tuple[Floats, float]:
        """Volume of each bin between the edges, and the share of the time that has bars.

        A bar counts where it closes: one that is not over by the last edge is not known by then.
        """
        at = self._known(edges_ns)
        covered = (self._time[at[-1]] - self._time[at[0]]) / (edges_ns[-1] - edges_ns[0])
        return np.diff(self._volume[at]), float(covered)

    def stretches(self, starts_ns: Ints, duration_ns: int) -> tuple[Floats, Floats]:
        """The volume of the stretch behind each start, and the share of its time that has bars; of any shape."""
        first, last = self._known(starts_ns), self._known(starts_ns + duration_ns)
        return self._volume[last] - self._volume[first], (self._time[last] - self._time[first]) / duration_ns

    def bins(self, starts_ns: Ints, duration_ns: int, bins: int) -> Floats:
        """The volumes of equal bins behind each start, shape (..., bins): `day` of many."""
        edges = np.arange(bins + 1, dtype=np.int64) * duration_ns // bins
        sums = self._volume[self._known(starts_ns[..., np.newaxis] + edges)]
        return sums[..., 1:] - sums[..., :-1]

    def cut(self, starts_ns: Ints, duration_ns: int, bins: int) -> Callable[[Ints], Floats]:
        """What gives `bins` for some of these starts at a time.

        Where starts and edges lie on one grid, as most do, they are cut out of the volumes of the grid.
        """
        width, uneven = divmod(duration_ns, bins)
        if not uneven:
            low, high = int(starts_ns.min()), int(starts_ns.max())
            step = int(np.gcd.reduce(starts_ns - low, axis=None, initial=width))
            points = (high + duration_ns - low) // step + 1
            if points < starts_ns.size * bins:
                sums = self._volume[self._known(low + step * np.arange(points))]
                lag = width // step
                rows = sliding_window_view(sums[lag:] - sums[:-lag], (bins - 1) * lag + 1)[:, ::lag]
                return lambda some: rows[(some - low) // step]
        return lambda some: self.bins(some, duration_ns, bins)

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

    def _known(self, moments_ns: Ints) -> NDArray[np.intp]:
        """How many bars have closed by each moment."""
        return np.searchsorted(self._close_ns, moments_ns, side="right")


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
    if duration_ns <= 0:  # amended at its very end
        return uniform(bins, "no time is left")
    good, alike = _days(history, np.array([start_ns]), duration_ns, lookback_days, least_volume)
    backs = good[:, 0].nonzero()[0]
    firsts = start_ns - (1 + backs) * DAY_NS
    among = alike[backs, 0].nonzero()[0]
    if len(firsts) == 0:
        return uniform(bins, "no day of history covers this time of day")
    kind = "weekend" if _is_weekend(start_ns // DAY_NS) else "weekday"
    if len(among) == 0:
        source = f"partial: {len(firsts)} days, none of them a {kind}"
    elif len(among) < lookback_days:
        source = f"partial: {len(among)} {kind} days of {lookback_days}"
    else:
        source = f"{len(among)} {kind} days"
    volumes = history.bins(firsts, duration_ns, bins)[:, np.newaxis]
    weights, volume = _curves(volumes, among[:, np.newaxis])
    return Profile(weights[0], volume[0], source)


class Profiles(NamedTuple):
    """`weights` and `volume` as in `Profile`, each of shape (n, bins), of the starts in these rows."""

    rows: Ints
    weights: Floats
    volume: Floats


def volume_profiles(
    history: VolumeHistory | None,
    starts_ns: Ints,
    duration_ns: int,
    bins: int,
    lookback_days: int,
    least_volume: float = 0.0,
) -> Iterator[Profiles]:
    """`volume_profile` from each of many starts, to the last bit; some of them at a time, in any order."""
    if history is None or len(starts_ns) == 0 or duration_ns <= 0:
        yield _uniform(np.arange(len(starts_ns)), bins)
        return
    good, alike = _days(history, starts_ns, duration_ns, lookback_days, least_volume)
    days = good.sum(axis=0)
    numbers = days * (len(good) + 1) + alike.sum(axis=0)
    yield _uniform(np.flatnonzero(days == 0), bins)
    for number in np.unique(numbers[days > 0]):
        rows = np.flatnonzero(numbers == number)
        chosen = good[:, rows]
        firsts = starts_ns[rows] - (1 + _places(chosen)) * DAY_NS
        among = _places(alike[:, rows].T[chosen.T].reshape(len(rows), -1).T)
        volumes_of = history.cut(firsts, duration_ns, bins)
        for some in blocks(len(rows), bins):
            yield Profiles(rows[some], *_curves(volumes_of(firsts[:, some]), among[:, some]))


def _uniform(rows: Ints, bins: int) -> Profiles:
    shape = (len(rows), bins)
    return Profiles(rows, np.full(shape, 1 / bins), np.full(shape, np.nan))


def _days(
    history: VolumeHistory, starts_ns: Ints, duration_ns: int, lookback_days: int, least_volume: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which days before each start count, the nearest first, and which of them are of its type: shape (days, n).

    Looked at in stretches of days, as few as there need be.
    """
    parts: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = []
    reach = (int(starts_ns.max()) + duration_ns - 1 - history.first_ns) // DAY_NS  # the days that the history has
    most, stretch = max(1, min(4 * lookback_days + 7, reach)), lookback_days + lookback_days // 2 + 2
    types, enough = starts_ns // DAY_NS, np.zeros(len(starts_ns), np.int64)
    weekend = _is_weekend(types)
    for nearest in range(1, most + 1, stretch):
        backs = np.arange(nearest, min(nearest + stretch, most + 1))[:, np.newaxis]
        traded, covered = history.stretches(starts_ns - backs * DAY_NS, duration_ns)
        good = (covered >= LEAST_COVERAGE) & (traded > 0) & (traded >= least_volume)
        alike = good & (_is_weekend(types - backs) == weekend)
        counted = np.cumsum(alike, axis=0) + enough
        wanted = counted - alike < lookback_days
        parts.append((good & wanted, alike & wanted))
        enough = counted[-1]
        if enough.min() >= lookback_days:
            break
    if len(parts) == 1:
        return parts[0]
    good, alike = (np.concatenate(part) for part in zip(*parts, strict=True))
    return good, alike


def _places(chosen: NDArray[np.bool_]) -> Ints:
    """Where in its column each choice stands, as many in every column: shape (choices, n)."""
    _, places = np.nonzero(chosen.T)
    return places.reshape(chosen.shape[1], -1).T


def blocks(count: int, bins: int) -> Iterator[slice]:
    """Rows of so many bins in blocks that are quickly worked through, one after the other."""
    size = max(1, _CELLS // bins)
    return (slice(first, first + size) for first in range(0, count, size))


def _curves(volumes: Floats, among: Ints) -> tuple[Floats, Floats]:
    """Weights and expected volume from the volumes of past days, shape (days, n, bins). among: where those of the same
    type stand, shape (alike, n)."""
    shares = volumes / volumes.sum(axis=2, keepdims=True)
    pooled = _typical(shares)
    if len(among) == 0:
        return pooled, medians(volumes)
    own = pooled
    if len(among) < len(volumes):
        column = np.arange(volumes.shape[1])
        own, volumes = _typical(shares[among, column]), volumes[among, column]
    trust = len(among) / (len(among) + SHRINKAGE_DAYS)
    weights = trust * own + (1 - trust) * pooled
    weights /= weights.sum(axis=1, keepdims=True)
    return weights, medians(volumes)


def _typical(shares: Floats) -> Floats:
    """Median over days of each bin's share, made to sum to 1; the mean where the median leaves nothing."""
    found = medians(shares)
    total = found.sum(axis=1)
    if total.min() <= 0:
        for row in np.flatnonzero(total <= 0):
            found[row] = np.ascontiguousarray(shares[:, row]).mean(axis=0)
            total[row] = found[row].sum()
    found /= total[:, np.newaxis]
    return found


def _is_weekend(days: Any) -> Any:
    """Of days since 1970-01-01."""
    return (days + _EPOCH_WEEKDAY) % 7 >= 5
