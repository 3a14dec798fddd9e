"""An order book's feed, prepared: its trades and its best prices alone, for orders that stay there.

Most of what a book tells is about levels that nobody of us touches. Played once without us, it leaves its best prices,
what is available there, and the trades. Orders that take no more than the best price offers, and orders that rest at
the best price for as long as it is the best, fill as they do in the whole book, unless its sides cross. What lies
behind is gone: an order that would walk the book waits until its next level has become the best, and one that rests
behind the best price does not know its queue before; and what we have taken of a level is forgotten once it is not the
best any more.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from execution.kernel import kernel
from execution.ticks.book import (
    BID,
    NO_ASK,
    NO_BID,
    SHOWN,
    TRADED,
    Book,
    empty_book,
    level_at,
    set_level,
)
from execution.ticks.feed import TickFeed
from execution.ticks.market import WINDOW
from execution.ticks.player import place_window
from execution.ticks.prints import passive_side, take_from
from execution.ticks.rows import ASK_LEVEL, BEST_ASK, BEST_BID, BID_LEVEL, LEVELS, TRADE, Rows, no_rows

_CHUNK: Final = 2**18
_MOST: Final = 3  # rows that one row leaves: the window may move with it, and with the window both best prices


def best_of(feed: TickFeed, *, window: int = WINDOW) -> TickFeed:
    """The best prices, and the trades where there are any, of a feed of price levels.

    `window`: ticks of the book that are kept, as in `TickMarket`. Raises ValueError for a feed that shows no levels.
    """
    from execution.machine_code import compiled_function

    if feed.shows != LEVELS:
        raise ValueError(f"only a feed of price levels can be prepared, this one has {feed.content}")
    book = empty_book(window)
    place_window(book, feed)
    play: Any = compiled_function(best_rows) or best_rows
    told = np.array([NO_BID, NO_ASK])
    parts = []
    for first in range(0, len(feed), _CHUNK):
        last = min(first + _CHUNK, len(feed))
        out = no_rows(_MOST * (last - first))
        size = play(feed.rows, first, last, book, told, out)
        parts.append(Rows._make(column[:size] for column in out))
    rows = Rows._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    return TickFeed(feed.symbol, "quotes and trades" if feed.content == "book and trades" else "quotes", rows)


@kernel
def best_rows(rows: Rows, first: int, last: int, book: Book, told: NDArray[np.int64], out: Rows) -> int:
    """Plays rows [first, last) into a book and writes down trades and news of best prices; returns how many rows.

    `told`: the best bid and ask that have been written down last.
    """
    size = 0
    for row in range(first, last):
        ts_ns, ticks, quantity = rows.ts_ns[row], rows.price_ticks[row], rows.quantity[row]
        side = -1  # of the level that the row speaks of
        if rows.kind[row] == TRADE:
            out.kind[size], out.ts_ns[size], out.side[size] = TRADE, ts_ns, rows.side[row]
            out.price_ticks[size], out.quantity[size] = ticks, quantity
            size += 1
            take_from(book, passive_side(book, ticks, rows.side[row]), ticks, quantity)
        elif rows.kind[row] in (BID_LEVEL, ASK_LEVEL):
            side = rows.kind[row] - BID_LEVEL
            set_level(book, side, ticks, quantity)
        for one in range(2):
            best = book.best[one]
            if best != told[one] or (one == side and best == ticks):
                told[one] = best
                at = level_at(book, one, best)
                out.kind[size], out.ts_ns[size], out.side[size] = BEST_BID if one == BID else BEST_ASK, ts_ns, 0
                out.price_ticks[size], out.quantity[size] = 0, 0.0
                if at >= 0:
                    left = max(book.cells[at, SHOWN] - book.cells[at, TRADED], 0.0)
                    out.price_ticks[size], out.quantity[size] = best, left
                size += 1
    return size
