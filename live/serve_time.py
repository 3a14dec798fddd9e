"""Time of a trader split over processes: the broker plays the tape and says what time it is, the others follow.

While the broker is down the tape stands still, and so do all who follow it. Nobody compares clocks of machines: a beat
counts from when it is heard.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.contracts import Contract

BEAT_S: Final = 0.2
TRUSTED_S: Final = 3 * BEAT_S  # how long a follower goes on without a beat
NS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Beat(Contract):
    """What time it is on the tape, how many of its seconds go into one, and which run of the broker's journal it is."""

    ts_ns: int
    speed: float
    run: str


class TapeClock:
    """Tape time from `start_ns` on, `speed` seconds of it in each second of `steady` (seconds, never set)."""

    def __init__(self, start_ns: int, speed: float, steady: Callable[[], float]) -> None:
        self._start_ns = start_ns
        self.speed = speed
        self._steady = steady
        self._since_s = steady()

    def now_ns(self) -> int:
        return self._start_ns + round((self._steady() - self._since_s) * self.speed * NS)

    def seconds_until(self, ts_ns: int) -> float:
        """Of `steady`; 0 for what is over."""
        return max(0.0, (ts_ns - self.now_ns()) / NS / self.speed)


class FollowedClock:
    """The broker's time as its beats tell it. It never goes back, and stands still soon after beats stop coming."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._beat: Beat | None = None
        self._heard_s = 0.0
        self._latest_ns = 0
        self._begun = asyncio.Event()

    def hear(self, beat: Beat) -> None:
        if self._beat is not None:
            self.now_ns()
        self._beat, self._heard_s = beat, self._steady()
        self._begun.set()

    async def begun(self) -> Beat:
        """The newest beat, once there is one."""
        await self._begun.wait()
        assert self._beat is not None
        return self._beat

    def now_ns(self) -> int:
        """0 before the first beat."""
        if self._beat is not None:
            self._latest_ns = max(self._latest_ns, self._told_ns(self._beat))
        return self._latest_ns

    def seconds_until(self, ts_ns: int) -> float:
        """Of `steady`; 0 for what is over, infinite while it stands still."""
        if ts_ns <= self.now_ns():
            return 0.0
        if self._beat is None or self._steady() - self._heard_s >= TRUSTED_S:
            return math.inf
        return (ts_ns - self._told_ns(self._beat)) / NS / self._beat.speed

    def _told_ns(self, beat: Beat) -> int:
        since_s = min(self._steady() - self._heard_s, TRUSTED_S)
        return beat.ts_ns + round(since_s * beat.speed * NS)

    async def follow(self, beats: AsyncIterator[Mapping[str, Any]]) -> None:
        """Hears `ctl.clock` until it ends."""
        async for beat in beats:
            self.hear(Beat.from_dict(dict(beat)))
