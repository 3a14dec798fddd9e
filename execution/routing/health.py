"""Which venues can be used: one that refuses, falls silent or is down is left out, and tried again later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FIRST_WAIT_NS: Final = 5_000_000_000
MOST_WAIT_NS: Final = 300_000_000_000


@dataclass(slots=True)
class _State:
    heard_ns: int | None = None
    refusals: int = 0
    again_ns: int = 0
    why: str = ""
    down: str = ""


class VenueHealth:
    """stale_seconds: a venue that has been heard of is left out once it has been silent for so long; 0: never.

    After a refusal a venue waits 5 s, twice as long after each one that follows, at most 5 min; what it accepts or
    fills ends that.
    """

    def __init__(self, venues: Sequence[str], *, stale_seconds: float = 0.0) -> None:
        if not venues or len(set(venues)) < len(venues):
            raise ValueError(f"venues must be different names, were {', '.join(venues) or 'none'}")
        self.venues = tuple(venues)
        self._stale_ns = round(stale_seconds * 1e9)
        self._states = {venue: _State() for venue in venues}

    def heard(self, venue: str, now_ns: int) -> None:
        """Market data of it have come."""
        state = self._states[venue]
        state.heard_ns = max(now_ns, state.heard_ns or 0)

    def worked(self, venue: str) -> None:
        """It has taken or filled an order."""
        state = self._states[venue]
        state.refusals, state.again_ns, state.why = 0, 0, ""

    def refused(self, venue: str, now_ns: int, reason: str) -> None:
        state = self._states[venue]
        state.again_ns = now_ns + min(MOST_WAIT_NS, FIRST_WAIT_NS << min(state.refusals, 10))
        state.refusals += 1
        state.why = reason

    def down(self, venue: str, reason: str) -> None:
        self._states[venue].down = reason or "down"

    def up(self, venue: str) -> None:
        self._states[venue].down = ""

    def trouble(self, venue: str, now_ns: int) -> str | None:
        """Why it is left out now; None: it can be used."""
        state = self._states[venue]
        if state.down:
            return state.down
        if now_ns < state.again_ns:
            return f"refused: {state.why}; again in {(state.again_ns - now_ns) / 1e9:.0f} s"
        if self._stale_ns and state.heard_ns is not None and now_ns - state.heard_ns > self._stale_ns:
            return f"silent for {(now_ns - state.heard_ns) / 1e9:.0f} s"
        return None

    def usable(self, now_ns: int) -> list[str]:
        return [venue for venue in self.venues if self.trouble(venue, now_ns) is None]
