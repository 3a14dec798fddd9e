"""How much volume a stretch of the coming day may bring, judged by the same stretch of the days before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core import checks
from execution.conditions import DAY_NS
from execution.pretrade import student
from execution.profile import LEAST_COVERAGE, VolumeHistory, volume_profile

ASSUMED_LOG_SD: Final = 0.5  # of a stretch's volume where no days tell
FEWEST_DAYS: Final = 3
BINS: Final = 24
LEAST_SHARE: Final = 0.05  # of an even part's volume
_DIVISORS: Final = (24, 12, 8, 6, 4, 3, 2, 1)
_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class VolumeOutlook:
    """From `start_ns` on, by the `days` days before in bars of `bar_s` seconds; without a history, an even volume."""

    daily_volume: float
    history: VolumeHistory | None = None
    start_ns: int = 0
    days: int = 30
    bar_s: float = 60.0

    def __post_init__(self) -> None:
        checks.positive("daily_volume", self.daily_volume)
        checks.between("days", self.days, 1, 3660)
        checks.positive("bar_s", self.bar_s)

    def expected(self, duration_s: float) -> NDArray[np.float64]:
        """Expected volume of each of 24 equal parts of the next `duration_s` seconds, at most a day, all above 0.

        Where the history's bars are longer than a part, parts share what a bar holds.
        """
        parts = next(count for count in _DIVISORS if duration_s / count >= self.bar_s or count == 1)
        profile = volume_profile(self.history, self.start_ns, round(duration_s * 1e9), parts, 7)
        total = float(profile.volume.sum())
        if not total > 0:
            return np.full(BINS, self.daily_volume * duration_s * 1e9 / DAY_NS / BINS)
        # A part in which nobody traded is still one in which somebody may.
        shares = np.maximum(np.repeat(profile.weights, BINS // parts), LEAST_SHARE / parts)
        found: NDArray[np.float64] = total / shares.sum() * shares
        return found

    def past(self, duration_s: float) -> NDArray[np.float64]:
        """The volume of the same stretch of each day before that the data cover, newest first."""
        if self.history is None:
            return np.zeros(0)
        edges = np.array([self.start_ns, self.start_ns + round(duration_s * 1e9)], np.int64)
        found = []
        for back in range(1, self.days + 1):
            volumes, covered = self.history.day(edges - back * DAY_NS)
            if covered >= LEAST_COVERAGE:
                found.append(float(volumes[0]))
        return np.array(found)

    def chance_of(self, quantity: float, duration_s: float, share: float) -> float:
        """The probability that this share of the volume is enough for the quantity.

        Volumes of the days before are taken as log-normal, with the Student t that so few days deserve; days without
        any volume count as what they are. Fewer than three days: log-normal about the expected volume, log-sd 0.5.
        """
        wanted = math.log(quantity / share)
        volumes = self.past(duration_s)
        traded = volumes[volumes > 0]
        if len(traded) < FEWEST_DAYS:
            if len(volumes) >= FEWEST_DAYS:
                return 0.0
            middle = math.log(float(self.expected(duration_s).sum()))
            return student.NORMAL.cdf((middle - wanted) / ASSUMED_LOG_SD)
        logs = np.log(traded)
        sd = float(logs.std(ddof=1)) * math.sqrt(1 + 1 / len(logs))
        margin = float(logs.mean()) - wanted
        alive = len(traded) / len(volumes)
        if sd == 0:
            return alive * float(margin >= 0)
        return alive * student.chance_below(len(logs) - 1, margin / sd)

    def regularity(self) -> float:
        """How much of a day's volume shape the other days tell, R^2 against equal hours; NaN for fewer than 3 days.

        1 - sum (share - mean of the other days' shares)^2 / sum (share - 1/24)^2 over days and hours.
        """
        if self.history is None:
            return math.nan
        edges = self.start_ns + np.arange(_HOURS + 1, dtype=np.int64) * (DAY_NS // _HOURS)
        shares = []
        for back in range(1, self.days + 1):
            volumes, covered = self.history.day(edges - back * DAY_NS)
            if covered >= LEAST_COVERAGE and volumes.sum() > 0:
                shares.append(volumes / volumes.sum())
        if len(shares) < FEWEST_DAYS:
            return math.nan
        table = np.array(shares)
        others = (table.sum(axis=0) - table) / (len(table) - 1)
        plain = float(((table - 1 / _HOURS) ** 2).sum())
        return 1 - float(((table - others) ** 2).sum()) / plain if plain > 0 else math.nan
