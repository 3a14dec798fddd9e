"""A book that follows a feed, with orders of ours in it: the loop of `match.advance`, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from execution.ticks.book import empty_book, place
from execution.ticks.feed import LiveFeed, TickFeed
from execution.ticks.match import advance, walk
from execution.ticks.orders import Rules
from execution.ticks.own import OwnOrders
from execution.ticks.rows import BEST, LEVELS, NO_BOOK, Rows, as_plain

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
        self._response_ns = response_ns
        self._advance: Callable[..., int] = advance
        self._walk: Callable[..., int] = walk
        self._compiled = compiled
        if compiled:
            from execution.batch import compiled_function

            self._advance = compiled_function(advance) or advance
            self._walk = compiled_function(walk) or walk
            self._compiled = self._advance is not advance
        self._rows: Rows | None = None
        self._arguments: Any = None
        self.view = as_plain(self.book)
        if feed.shows == LEVELS and len(feed):
            first = slice(0, min(_FIRST, len(feed)))
            place(self.book, int(np.median(feed.rows.price_ticks[first])))

    def play(self, until_ns: int) -> None:
        """Goes on to this time, or to when we hear of the first fill."""
        feed = self.feed
        if self._rows is not feed.rows or self._arguments[1] is not self.own.columns:
            self._rows = feed.rows
            self._arguments = (feed.rows, self.own.columns, self._packed(feed.rows), self._packed(self.own.columns),
                               self._packed(self.own.fills), self._packed(self.book))  # fmt: skip
        _, _, rows, columns, fills, book = self._arguments
        self.row = self._advance(
            rows, self.row, len(feed), until_ns, self._response_ns, book, columns, self.rules, fills
        )

    def walk(self, slot: int, side: int, ts_ns: int) -> bool:
        """An order of ours crosses what is displayed; False where there is no room for all of its fills."""
        own = self.own
        if self._compiled:
            return self._walk(slot, side, ts_ns, self.book, own.columns, own.fills) == 0
        return self._walk(slot, side, ts_ns, self.view, own.view, own.filled) == 0

    def played(self, until_ns: int) -> bool:
        """Whether all rows up to this time have been played."""
        return self.row >= len(self.feed) or self.feed.rows.ts_ns[self.row] > until_ns

    def _packed(self, columns: Any) -> Any:
        return columns if self._compiled else as_plain(columns)
