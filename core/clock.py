"""The only place that reads the time of day; everybody else is told what time it is."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Nanoseconds since the epoch that never go backwards."""

    def now_ns(self) -> int: ...


class WallClock:
    """The machine's clock. When it is set back, time stands still here until it has caught up."""

    def __init__(self) -> None:
        self._latest_ns = 0

    def now_ns(self) -> int:
        self._latest_ns = max(self._latest_ns, time.time_ns())
        return self._latest_ns


class ManualClock:
    """A clock that moves only when told to: for replays, simulations and tests."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, by_ns: int) -> int:
        """Move on by some nanoseconds and return the new time. Raises ValueError for a step back."""
        if by_ns < 0:
            raise ValueError(f"by_ns must be at least 0, was {by_ns}")
        self._now_ns += by_ns
        return self._now_ns

    def set(self, now_ns: int) -> None:
        """Move on to a time. Raises ValueError for a time that is over."""
        if now_ns < self._now_ns:
            raise ValueError(f"now_ns must not be before {self._now_ns}, was {now_ns}")
        self._now_ns = now_ns
