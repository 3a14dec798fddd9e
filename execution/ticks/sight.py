"""What can be seen of a market: its middle and its spread, from its book or from its last trade."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from execution.ticks.book import ASK, BID, NO_ASK, NO_BID, Book
from execution.ticks.feed import LiveFeed, TickFeed

HalfSpread = float | NDArray[np.float64] | Callable[[int], float]
MINUTE_NS: Final = 60_000_000_000
ALWAYS: Final = 2**62
_FIRST: Final = 1000


class GivenSpread:
    """Half the spread of a market that shows no quotes: a number, one per bar, or a function of the time."""

    def __init__(self, half: HalfSpread, bars: Bars | None) -> None:
        if isinstance(half, np.ndarray) and (bars is None or len(half) != len(bars)):
            raise ValueError("half_spread as an array needs the bars, and one entry for each")
        self._half = half
        self._bars = bars
        self._since_ns, self._known = ALWAYS, (0.0, ALWAYS)  # the last answer of an array

    def at(self, now_ns: int) -> tuple[float, int]:
        """In price units, and until when that holds."""
        half = self._half
        if callable(half):
            return float(half(now_ns)), (now_ns // MINUTE_NS + 1) * MINUTE_NS
        if not isinstance(half, np.ndarray):
            return float(half), ALWAYS
        if not self._since_ns <= now_ns < self._known[1]:
            assert self._bars is not None
            opens = self._bars.ts_open_ns
            after = int(np.searchsorted(opens, now_ns, side="right"))
            self._since_ns = int(opens[after - 1]) if after else -ALWAYS
            self._known = float(half[max(after - 1, 0)]), int(opens[after]) if after < len(half) else ALWAYS
        return self._known


def best_prices(book: Book, feed: TickFeed | LiveFeed) -> tuple[int, int]:
    """Best bid and ask in ticks; where one side is empty the other's price for both, else the last trade's."""
    bid, ask = book.best[BID], book.best[ASK]
    if bid == NO_BID and ask == NO_ASK:
        bid = ask = book.last[0] or first_price(feed)
    elif bid == NO_BID:
        bid = ask
    elif ask == NO_ASK:
        ask = bid
    return min(bid, ask), max(bid, ask)


def middle_of_trades(book: Book, feed: TickFeed | LiveFeed, half_ticks: float) -> float:
    """The last trade in ticks, half a spread off where its aggressor is known."""
    ticks, aggressor = book.last
    return ticks - aggressor * half_ticks if ticks else float(first_price(feed))


def first_price(feed: TickFeed | LiveFeed) -> int:
    """The first price of a feed, which stands for what is known before its first event. Raises ValueError."""
    priced = feed.rows.price_ticks[: min(len(feed), _FIRST)]
    priced = priced[priced > 0]
    if not len(priced):
        raise ValueError(f"nothing is known of {feed.symbol} yet: no price has been seen")
    return int(priced[0])
