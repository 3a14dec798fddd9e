"""Taking at several venues at once: the split with the least all-in cost over what they display.

Every level has an all-in price, price * (1 + fee + drift) to a buyer and price * (1 - fee - drift) to a seller; drift
is what waiting for the venue costs. Costs are convex in what each venue gives, so going through all levels from the
best all-in price on is optimal: the worst level taken is never dearer than the best one left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from core.contracts import Side, sign
from core.instrument import Instrument

_HALF_NORMAL = 0.3989422804014327  # expected adverse part of a standard normal move


class Level(NamedTuple):
    price: float
    qty: float


@dataclass(frozen=True, slots=True)
class Book:
    """What a venue displays on the side that is taken from, best first. drift_bps: see `drift_bps`."""

    instrument: Instrument
    levels: tuple[Level, ...]
    ts_ns: int = 0
    drift_bps: float = 0.0

    @property
    def venue(self) -> str:
        return self.instrument.venue

    def all_in(self, price: float, side: Side) -> float:
        """What a unit costs a buyer, or the negative of what it brings a seller."""
        return sign(side) * price * (1 + sign(side) * (self.instrument.taker_fee_bps + self.drift_bps) / 1e4)


@dataclass(frozen=True, slots=True)
class Leg:
    """venue: where; qty: on its grid; worst: the worst price that is taken there."""

    venue: str
    qty: float
    worst: float


@dataclass(frozen=True, slots=True)
class Split:
    """legs in the order of books; cost: sum of all-in prices; left: what no book shows, or no venue takes."""

    legs: tuple[Leg, ...]
    cost: float
    left: float
    dropped: tuple[str, ...] = field(default=())


def drift_bps(volatility: float, latency_ms: float) -> float:
    """Expected adverse move in the time that an order takes to arrive, 0.399 sigma sqrt(latency); sigma daily."""
    return 1e4 * _HALF_NORMAL * volatility * math.sqrt(latency_ms / 86_400_000)


def split(side: Side, quantity: float, books: Sequence[Book]) -> Split:
    """The cheapest way to take a quantity. Whole lots at each venue; a venue of which less than its minimum would be
    taken is left out and the rest goes elsewhere. No books: nothing is taken.
    """
    left_out: list[str] = []
    while True:
        open_books = [book for book in books if book.venue not in left_out]
        found = _greedy(side, quantity, open_books)
        small = [leg for leg, book in _paired(found, open_books) if _below_minimum(leg, book)]
        if not small:
            return Split(found.legs, found.cost, found.left, tuple(left_out))
        left_out.append(min(small, key=lambda leg: leg.qty * leg.worst).venue)


def _greedy(side: Side, quantity: float, books: Sequence[Book]) -> Split:
    offers = []
    for index, book in enumerate(books):
        shown, lots_before = 0.0, 0
        for level in book.levels:
            shown += level.qty
            lots = book.instrument.lots(shown)
            if lots > lots_before:
                offers.append((book.all_in(level.price, side), index, level.price, lots - lots_before))
            lots_before = lots
    offers.sort(key=lambda offer: (offer[0], offer[1]))
    wanted = Fraction(str(quantity))
    taken = [0] * len(books)
    worst = [0.0] * len(books)
    cost = 0.0
    for all_in, index, price, lots in offers:
        step = Fraction(str(books[index].instrument.lot))
        count = min(lots, wanted // step)
        if count:
            taken[index] += count
            worst[index] = price
            wanted -= count * step
            cost += all_in * float(count * step)
    legs = tuple(
        Leg(book.venue, book.instrument.qty(count), price)
        for book, count, price in zip(books, taken, worst, strict=True)
        if count
    )
    return Split(legs, cost, float(wanted))


def _paired(found: Split, books: Sequence[Book]) -> list[tuple[Leg, Book]]:
    by_venue = {book.venue: book for book in books}
    return [(leg, by_venue[leg.venue]) for leg in found.legs]


def _below_minimum(leg: Leg, book: Book) -> bool:
    return book.instrument.lots(leg.qty) < book.instrument.min_lots(leg.worst)
