"""A book that follows a feed, with orders of ours in it: the loop of `match.advance`, and how far it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.columns import plain_ints
from execution.ticks.book import Book, empty_book, place
from execution.ticks.feed import LiveFeed, TickFeed
from execution.ticks.match import advance, walk
from execution.ticks.orders import Rules
from execution.ticks.own import OwnOrders
from execution.ticks.rows import BEST, LEVELS, NO_BOOK, Rows, as_plain

if TYPE_CHECKING:
    from execution.machine_code import MachineCode
    from execution.machine_entry import Prepared

_FIRST: Final = 2000  # rows that tell around which price a book is


class Player:
    """`compiled`: by machine code where there is numba; worth its compiling for a long feed. Same answers."""

    def __init__(
        self, feed: TickFeed | LiveFeed, own: OwnOrders, rules: Rules, response_ns: int, *, window: int, compiled: bool
    ) -> None:
        self.feed = feed
        self.own = own
        self.rules = rules
        self.row = 0
        self.book = empty_book({NO_BOOK: 0, BEST: 1, LEVELS: window}[feed.shows])
        self.half = 0.0  # of the spread where no book is shown, in ticks
        self._response_ns = response_ns
        self._compiled: tuple[MachineCode | None, ...] = (None, None)
        if compiled:
            from execution.machine_code import compiled_function

            self._compiled = (compiled_function(advance), compiled_function(walk))
        self._rows: Rows | None = None
        self._columns: Any = None
        self._walked: Any = None
        self._arguments: Any = None
        self._advance: Prepared | None = None
        self._walk: Prepared | None = None
        self._times: Any = None
        self.view = as_plain(self.book)
        place_window(self.book, feed)

    def play(self, until_ns: int, *, whole: bool = False) -> None:
        """Goes on to this time, or to when we hear of the first fill; `whole`: of the last one of an order."""
        feed, own = self.feed, self.own
        if self._rows is not feed.rows or self._columns is not own.columns:
            self._bind()
        if self._advance is not None:
            self.row = self._advance(self.row, len(feed), until_ns, self._response_ns, self.half, whole)
        else:
            self.row = advance(self.row, len(feed), until_ns, self._response_ns, self.half, whole, *self._arguments)

    def walk(self, slot: int, side: int, ts_ns: int) -> bool:
        """An order of ours crosses what is displayed; False where there is no room for all of its fills."""
        own, code = self.own, self._compiled[1]
        if code is None:
            return walk(slot, side, ts_ns, self.view, own.view, own.filled) == 0
        if self._walk is None or self._walked is not own.columns:
            self._walked = own.columns
            self._walk = code.prepared((slot, side, ts_ns), self.book, own.columns, own.fills)
        return bool(self._walk(slot, side, ts_ns) == 0)

    def played(self, until_ns: int) -> bool:
        """Whether all rows up to this time have been played."""
        if self._rows is not self.feed.rows:
            self._bind()
        return self.row >= len(self.feed) or self._times[self.row] > until_ns

    def _bind(self) -> None:
        """What the loop is called with; some of its columns have been made anew."""
        feed, own = self.feed, self.own
        self._rows, self._columns = feed.rows, own.columns
        self._times = plain_ints(feed.rows.ts_ns)
        code = self._compiled[0]
        if code is None:
            self._arguments = (as_plain(feed.rows), self.view, own.view, self.rules, own.filled)
        else:
            self._advance = code.prepared(
                (0, 0, 0, 0, 0.0, 0), feed.rows, self.book, own.columns, self.rules, own.fills
            )


def place_window(book: Book, feed: TickFeed | LiveFeed) -> None:
    """Puts the window of an empty book where its feed begins; does nothing where no levels are shown."""
    if feed.shows == LEVELS and len(feed):
        first = slice(0, min(_FIRST, len(feed)))
        place(book, int(np.median(feed.rows.price_ticks[first])))
