"""The book of a simulated market: what each price displays, and what we have taken of it.

A market that shows price levels keeps those within a window around the price, which follows it: what lies further away
is dropped, and is unknown until the feed speaks of it again. A market that shows its best prices keeps two levels.

Available to us is  shown - traded - taken:
shown    what the feed last said of the level
traded   public trades at the level since then
taken    what we have taken of it and the feed, which does not know of us, still shows. So a level that we emptied
         holds for us what is added to it and no more. It never exceeds what is displayed, and is forgotten when the
         level empties or, where only the best prices are shown, stops being the best.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from execution.kernel import kernel

BID: Final = 0
ASK: Final = 1
NO_BID: Final = -(2**62)  # the best price of an empty side
NO_ASK: Final = 2**62
SHOWN, TAKEN, TRADED = 0, 1, 2  # the columns of a level
UNPLACED: Final = -(2**62)  # the window, before any price is known
ROOM: Final = 1e-9  # of a lot: a quantity that is as near to a whole one as this is whole


class Book(NamedTuple):
    """best: best bid and ask in ticks. levels: how many levels of each side display something. low: the lowest tick of
    the window. last: the last trade, price in ticks and aggressor. tape: all lots that have traded.

    cells: (2 * width, 4), a row of shown, taken, traded and nothing for each level, bids then asks; a level stands at
    its ticks modulo the width, a power of two. Width 0 where no book is shown, 1 where the best prices are.
    """

    best: NDArray[np.int64]
    levels: NDArray[np.int64]
    low: NDArray[np.int64]
    last: NDArray[np.int64]
    tape: NDArray[np.float64]
    cells: NDArray[np.float64]


def empty_book(width: int) -> Book:
    """A book of which nothing is known yet."""
    return Book(
        np.array([NO_BID, NO_ASK]),
        np.zeros(2, np.int64),
        np.array([UNPLACED]),
        np.zeros(2, np.int64),
        np.zeros(1),
        np.zeros((2 * width, 4)),
    )


@kernel
def level_at(book: Book, side: int, ticks: int) -> int:
    """Where a level stands in the columns, -1 where it is not kept."""
    width = len(book.cells) // 2
    if width <= 1:
        return side if width == 1 and ticks == book.best[side] else -1
    distance = ticks - book.low[0]
    if distance < 0 or distance >= width:
        return -1
    return side * width + (ticks & (width - 1))


@kernel
def room_at(book: Book, at: int) -> int:
    """Whole lots that are there for us."""
    room = int(book.cells[at, SHOWN] - book.cells[at, TRADED] - book.cells[at, TAKEN] + ROOM)
    return max(room, 0)


@kernel
def next_level(book: Book, side: int, ticks: int) -> int:
    """The first level behind this one that displays something; `NO_BID` or `NO_ASK` where there is none."""
    nothing = NO_BID if side == BID else NO_ASK
    width = len(book.cells) // 2
    if width <= 1 or book.levels[side] == 0:
        return nothing
    step = -1 if side == BID else 1
    low = book.low[0]
    at = ticks + step
    if step < 0 and at >= low + width:
        at = low + width - 1
    elif step > 0 and at < low:
        at = low
    while low <= at < low + width:
        if book.cells[side * width + (at & (width - 1)), SHOWN] > 0:
            return at
        at += step
    return nothing


@kernel
def refresh(book: Book, at: int, quantity: float) -> None:
    """The level displays this from now on."""
    book.cells[at, TAKEN] = min(book.cells[at, TAKEN], quantity)
    book.cells[at, SHOWN] = quantity
    book.cells[at, TRADED] = 0.0


@kernel
def set_level(book: Book, side: int, ticks: int, quantity: float) -> int:
    """A price level displays this from now on. Returns where it stands, -1 where it is not kept."""
    if book.low[0] == UNPLACED:
        place(book, ticks)
    at = level_at(book, side, ticks)
    if at < 0:
        return at
    before = book.cells[at, SHOWN]
    refresh(book, at, quantity)
    best = book.best[side]
    if quantity > 0:
        if before == 0:
            book.levels[side] += 1
        if (side == BID and ticks > best) or (side == ASK and ticks < best):
            book.best[side] = ticks
            width = len(book.cells) // 2
            if not width // 4 <= ticks - book.low[0] < width - width // 4:
                place(book, ticks)
    elif before > 0:
        book.levels[side] -= 1
        if ticks == best:
            book.best[side] = next_level(book, side, ticks)
    return at


@kernel
def set_best(book: Book, side: int, ticks: int, quantity: float) -> int:
    """The best price of a side and what it displays; ticks 0: the side is empty. Returns where it stands."""
    if ticks <= 0:
        ticks, quantity = NO_BID if side == BID else NO_ASK, 0.0
    if ticks == book.best[side]:
        refresh(book, side, quantity)
    else:
        book.best[side] = ticks
        book.cells[side, SHOWN] = quantity
        book.cells[side, TAKEN] = book.cells[side, TRADED] = 0.0
    return side


@kernel
def follow(book: Book, ticks: int) -> None:
    """Brings the window to a price at which the market trades, where it is lost."""
    width = len(book.cells) // 2
    if width > 1 and (book.low[0] == UNPLACED or not 0 <= ticks - book.low[0] < width):
        place(book, ticks)


@kernel
def place(book: Book, ticks: int) -> None:
    """Moves the window so that this price is in its middle; levels that leave it are dropped."""
    width = len(book.cells) // 2
    low = ticks - width // 2
    before = book.low[0]
    book.low[0] = low
    if before == UNPLACED:
        return
    first, last = before, before + width  # the ticks that leave
    if before < low < last:
        last = low
    elif low < before < low + width:
        first = low + width
    for side in range(2):
        for gone in range(first, last):
            at = side * width + (gone & (width - 1))
            if book.cells[at, SHOWN] > 0:
                book.levels[side] -= 1
            book.cells[at, SHOWN] = book.cells[at, TAKEN] = book.cells[at, TRADED] = 0.0
        best = book.best[side]
        if first <= best < last:
            edge = low + width if side == BID else low - 1
            book.best[side] = next_level(book, side, edge)
