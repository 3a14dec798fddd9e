"""The only place that reads the time of day; everybody else is told what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    """A clock that moves only when told to: for replays, simulations and tests.

    Whoever waits for a time waits for the clock to be moved there, not for seconds to pass: `call_at`.
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._asked = 0
        self._calls: dict[int, tuple[int, Callable[[], None]]] = {}  # in the order in which they were asked for

    def now_ns(self) -> int:
        return self._now_ns

    @property
    def next_call_ns(self) -> int | None:
        """The earliest time that somebody waits for; None where nobody waits."""
        return min((ts_ns for ts_ns, _ in self._calls.values()), default=None)

    def call_at(self, ts_ns: int, call: Callable[[], None]) -> Callable[[], None]:
        """Calls back once, from inside the `advance` or `set` that reaches `ts_ns`; what is returned undoes it.

        Calls that fall due in one step come in order of their times, equal ones as they were asked for; all of them
        see the end of the step.
        """
        number = self._asked
        self._asked += 1
        self._calls[number] = (ts_ns, call)

        def undo() -> None:
            self._calls.pop(number, None)

        return undo

    def advance(self, by_ns: int) -> int:
        """Move on by some nanoseconds and return the new time. Raises ValueError for a step back."""
        if by_ns < 0:
            raise ValueError(f"by_ns must be at least 0, was {by_ns}")
        self.set(self._now_ns + by_ns)
        return self._now_ns

    def set(self, now_ns: int) -> None:
        """Move on to a time. Raises ValueError for a time that is over."""
        if now_ns < self._now_ns:
            raise ValueError(f"now_ns must not be before {self._now_ns}, was {now_ns}")
        self._now_ns = now_ns
        due = sorted((ts_ns, number) for number, (ts_ns, _) in self._calls.items() if ts_ns <= now_ns)
        for _, number in due:
            waiting = self._calls.pop(number, None)  # an earlier call may have undone it
            if waiting is not None:
                waiting[1]()
