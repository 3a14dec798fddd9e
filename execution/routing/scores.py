"""What the performance tracker knows of venues, asked for by every child and worked out anew only now and then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from execution.performance import ExecutionPerformanceTracker

GROWTH: Final = 1.1  # so much more must be known before scores are worked out again
LOOKBACK_DAYS: Final = 30
MARKOUT: Final = "markout_10s_bps"


class TrackedScores:
    """Scores and markouts in bps by venue, positive is worse, from the executions of the last 30 days."""

    def __init__(self, tracker: ExecutionPerformanceTracker, venues: Sequence[str]) -> None:
        self._tracker = tracker
        self._venues = tuple(venues)
        self._known: dict[str, tuple[int, dict[str, dict[str, float]]]] = {}

    def scores(self, symbol: str) -> dict[str, float]:
        """All-in costs (`execution.costs.venue_score`); NaN where nothing is known."""
        return {venue: row["score_bps"] for venue, row in self._rows(symbol).items()}

    def markouts(self, symbol: str) -> dict[str, float]:
        """What fills there lose in ten seconds; no entry where there are no market data."""
        return {venue: row[MARKOUT] for venue, row in self._rows(symbol).items() if MARKOUT in row}

    def _rows(self, symbol: str) -> dict[str, dict[str, float]]:
        count = len(self._tracker.reports)
        at, rows = self._known.get(symbol, (-1, {}))
        if count != at and count >= GROWTH * at:
            rows = {venue: self._tracker.score_venue_quality(venue, symbol, LOOKBACK_DAYS) for venue in self._venues}
            self._known[symbol] = count, rows
        return rows
