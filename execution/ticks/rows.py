"""The row of a market's events: what the compiled loop reads, one column each."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Content = Literal["trades", "quotes", "quotes and trades", "book", "book and trades"]

TRADE: Final = 0  # `side` is that of the aggressor: 1 a buyer, -1 a seller, 0 unknown
BEST_BID: Final = 1  # the best bid of a market that shows no more than that; price 0: there is none
BEST_ASK: Final = 2
BID_LEVEL: Final = 3  # what a price level of an order book displays from now on; 0: nothing
ASK_LEVEL: Final = 4
KINDS: Final = (TRADE, BEST_BID, BEST_ASK, BID_LEVEL, ASK_LEVEL)

NO_BOOK: Final = 0  # what a market shows of its book: nothing, the best prices, price levels
BEST: Final = 1
LEVELS: Final = 2
SHOWS: Final[dict[Content, int]] = {
    "trades": NO_BOOK,
    "quotes": BEST,
    "quotes and trades": BEST,
    "book": LEVELS,
    "book and trades": LEVELS,
}


class Rows(NamedTuple):
    """Columns of equal length in order of time; quantities in lots, which may be broken."""

    kind: NDArray[np.int8]
    ts_ns: NDArray[np.int64]
    price_ticks: NDArray[np.int64]
    quantity: NDArray[np.float64]
    side: NDArray[np.int8]


def no_rows(capacity: int = 0) -> Rows:
    """Columns of this length, of which nothing is written yet."""
    return Rows(
        np.zeros(capacity, np.int8),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity),
        np.zeros(capacity, np.int8),
    )


def as_plain(columns: Any) -> Any:
    """Columns for plain Python, which reads and writes views of them several times quicker than arrays."""
    return type(columns)(*(memoryview(column) for column in columns))


def clean(lots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lots without the residue of the division that made them: 2.9999999999999996 is 3."""
    whole = np.rint(lots)
    return np.where(np.abs(lots - whole) <= 1e-9 * np.maximum(1.0, whole), whole, lots)
