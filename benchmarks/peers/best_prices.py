"""A book's rows, prepared: its best prices and its trades alone, for whoever rests no deeper than that."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from execution.batch import compiled_function
from execution.kernel import kernel
from execution.ticks.rows import ASK_LEVEL, BEST_ASK, BEST_BID, BID_LEVEL, TRADE, Rows


@kernel
def best_rows(rows: Rows, low: int, bids: NDArray[np.float64], asks: NDArray[np.float64], kept: Rows) -> int:
    """Writes the trades and every change of a best price or its quantity; returns how many rows that makes.

    `bids`, `asks`: what each price displays, from `low` ticks on; empty at first, and a price beyond both ends.
    """
    n = 0
    bid, ask = 0, len(asks) - 1
    for row in range(len(rows.ts_ns)):
        kind, lots = rows.kind[row], rows.quantity[row]
        at = rows.price_ticks[row] - low
        if kind == TRADE:
            kept.kind[n], kept.ts_ns[n] = TRADE, rows.ts_ns[row]
            kept.price_ticks[n], kept.quantity[n], kept.side[n] = rows.price_ticks[row], lots, rows.side[row]
            n += 1
        elif kind == BID_LEVEL:
            bids[at] = lots
            if at == bid or (at > bid and lots > 0):
                bid = at
                while bid > 0 and bids[bid] == 0:
                    bid -= 1
                kept.kind[n], kept.ts_ns[n], kept.side[n] = BEST_BID, rows.ts_ns[row], 0
                kept.price_ticks[n], kept.quantity[n] = (low + bid if bid > 0 else 0), bids[bid]
                n += 1
        elif kind == ASK_LEVEL:
            asks[at] = lots
            if at == ask or (at < ask and lots > 0):
                ask = at
                while ask < len(asks) - 1 and asks[ask] == 0:
                    ask += 1
                kept.kind[n], kept.ts_ns[n], kept.side[n] = BEST_ASK, rows.ts_ns[row], 0
                kept.price_ticks[n], kept.quantity[n] = (low + ask if ask < len(asks) - 1 else 0), asks[ask]
                n += 1
    return n


def prepared(rows: Rows) -> Rows:
    """The best prices and trades of these rows of a book and its trades."""
    low, high = int(rows.price_ticks.min()) - 1, int(rows.price_ticks.max()) + 1
    bids, asks = np.zeros(high - low + 1), np.zeros(high - low + 1)
    kept = Rows._make(np.empty_like(column) for column in rows)
    find: Any = compiled_function(best_rows) or best_rows
    n = find(rows, low, bids, asks, kept)
    return Rows._make(np.ascontiguousarray(column[:n]) for column in kept)
