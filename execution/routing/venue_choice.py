"""Which venues a child goes to: what is taken, by displayed books; what rests, by where it should fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from core.contracts import OrderIntent
from execution.routing.depths import Depths
from execution.routing.health import VenueHealth
from execution.routing.taking import Book, split


class VenueChoice(Protocol):
    """Which venues take a child, and how much each."""

    @property
    def health(self) -> VenueHealth: ...
    def legs(self, intent: OrderIntent, now_ns: int) -> list[tuple[str, float]]:
        """(venue, quantity), together the child's; none: nobody can take it now."""
        ...

    def rested(self, intent: OrderIntent, filled: float, now_ns: int, *, early: bool) -> None:
        """A limit order is over that its venue had taken; `early`: it was withdrawn at somebody's request."""
        ...


class BestVenue:
    """One venue per child, the usable one with the best score; a market order is split over books where they are known,
    a limit order over venues by where it should fill.

    scores  all-in cost in bps by venue (`execution.costs.venue_score`), the least is best; without one it comes last
    depths  where limit orders rest; None: all of each at one venue
    books   what venues display to (symbol, side), with when; older ones than `book_seconds` are not used
    """

    def __init__(
        self,
        health: VenueHealth,
        *,
        scores: Callable[[str], Mapping[str, float]] = lambda _symbol: {},
        books: Callable[[str, str], list[Book]] = lambda _symbol, _side: [],
        book_seconds: float = 5.0,
        depths: Depths | None = None,
    ) -> None:
        self._health = health
        self._depths = depths
        self._scores = scores
        self._books = books
        self._book_ns = round(book_seconds * 1e9)

    @property
    def health(self) -> VenueHealth:
        return self._health

    def legs(self, intent: OrderIntent, now_ns: int) -> list[tuple[str, float]]:
        usable = self._health.usable(now_ns)
        if self._depths is not None:
            with_symbol = self._depths.venues(intent.symbol)
            usable = [venue for venue in usable if venue in with_symbol]
        if not usable:
            return []
        if self._depths is not None and intent.type == "limit":
            return self._depths.legs(intent, usable)
        scores = self._scores(intent.symbol)
        ranked = sorted(usable, key=lambda venue: (_or_last(scores.get(venue)), self._health.venues.index(venue)))
        if intent.type == "market":
            books = [
                book
                for book in self._books(intent.symbol, intent.side)
                if book.venue in usable and now_ns - book.ts_ns <= self._book_ns
            ]
            found = split(intent.side, intent.qty, books)
            if found.legs and found.left == 0:
                return [(leg.venue, leg.qty) for leg in found.legs]
        return [(ranked[0], intent.qty)]

    def rested(self, intent: OrderIntent, filled: float, now_ns: int, *, early: bool) -> None:
        if self._depths is not None:
            self._depths.rested(intent, filled, now_ns, early=early)


def _or_last(score: float | None) -> float:
    return float("inf") if score is None or score != score else score
