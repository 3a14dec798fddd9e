"""The account as the gate sees it: what is open and held in all symbols, and the profit or loss of the day.

Sums are kept as they change and added up anew now and then, so that rounding cannot build up. There is one quote
currency; a symbol that has never had a price is counted in `unpriced`, and what hangs on its worth is refused.
"""

from __future__ import annotations

import math

from core.contracts import FillEvent
from risk.book import Book

DAY_NS = 86_400 * 1_000_000_000
_ANEW = 1024  # changes after which sums are added up anew


class Account:
    """All books of a gate."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        self.unpriced: set[str] = set()
        self.open_orders = 0
        self.open_worth = 0.0
        self.exposure = 0.0
        self._value = 0.0
        self._cash = 0.0  # paid and received since the start
        self._changes = 0
        self._day = -1
        self._start_equity = 0.0
        self._openings: dict[int, float] = {}  # equity before the first event of a day that has not begun here
        self._latest_day = -1

    @property
    def equity(self) -> float:
        """Cash flows plus positions at their marks; only its changes mean anything."""
        return self._cash + self._value

    @property
    def profit(self) -> float:
        """Realised and unrealised since midnight UTC, fees taken off."""
        return self.equity - self._start_equity

    def begin_day(self, now_ns: int) -> None:
        """The gate's own clock decides when a day begins: a venue's or a feed's may be broken."""
        day = now_ns // DAY_NS
        if day > self._day:
            self._day = day
            self._start_equity = self._openings.pop(day, self.equity)
            for old in [known for known in self._openings if known < day]:
                del self._openings[old]

    def fill(self, book: Book, fill: FillEvent) -> None:
        """Moves position and cash."""
        self._before(fill.ts_fill_ns)
        qty = fill.qty if fill.side == "buy" else -fill.qty
        if book.reference_ts_ns is None:  # nobody has told a price: the newest trade is one
            was, book.mark, book.edge = book.mark, fill.price, fill.price
            if math.isnan(was):
                self._first_mark(book)
        book.position += qty
        self._cash -= qty * fill.price * book.multiplier + fill.fee
        self.follow(book)

    def price(self, book: Book, bid: float, ask: float, ts_ns: int) -> None:
        self._before(ts_ns)
        if bid == book.bid and ask == book.ask:  # nothing is worth anything else
            book.reference_ts_ns = ts_ns
            return
        was = book.mark
        book.price(bid, ask, ts_ns)
        if math.isnan(was):
            self._first_mark(book)
        self.follow(book)

    def follow(self, book: Book) -> None:
        """Takes over what has changed in a book."""
        value, worth, exposure = book.value, book.buys_worth + book.sells_worth, book.exposure
        book.appraise()
        change = book.exposure - exposure
        if change != change:  # NaN: there is or was no price
            self._add_up()
            return
        self._value += book.value - value
        self.open_worth += book.buys_worth + book.sells_worth - worth
        self.exposure += change
        self._changes += 1
        if self._changes >= _ANEW:
            self._add_up()

    def _add_up(self) -> None:
        self._changes = 0
        known = [book for book in self.books.values() if not math.isnan(book.exposure)]
        self.unpriced = {book.symbol for book in self.books.values() if math.isnan(book.exposure)}
        self._value = math.fsum(book.value for book in known)
        self.open_worth = math.fsum(book.buys_worth + book.sells_worth for book in known)
        self.exposure = math.fsum(book.exposure for book in known)

    def _before(self, ts_ns: int) -> None:
        """Keeps the equity with which a new day begins, however late the gate is asked for the first time in it."""
        day = ts_ns // DAY_NS
        if day > self._latest_day:
            self._latest_day = day
            if day > self._day:
                self._openings[day] = self.equity

    def _first_mark(self, book: Book) -> None:
        """What was held before there was a price is no profit now: the day began with it."""
        if book.position and not math.isnan(book.mark):
            held = book.position * book.mark * book.multiplier
            self._start_equity += held
            self._openings = {day: equity + held for day, equity in self._openings.items()}
