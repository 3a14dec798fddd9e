"""What the loop over a market's events knows of our orders, and what it writes down of their fills."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from execution.kernel import kernel


class Orders(NamedTuple):
    """Columns of capacity n. `limit`: ticks; a market order's is beyond all prices. `left`: lots. `front`: lots ahead
    of it; below 0: what of a lot it has been given so far. `shown`, `traded`: what its level displayed when the feed
    last said so, and what traded there since. `taker`: 1 while it takes. `born`: order of arrival. `rank`: (2 * n,),
    buys then sells, the first `counts` of each. `credit`: what of a lot takers may still take of prints.
    """

    limit: NDArray[np.int64]
    left: NDArray[np.int64]
    front: NDArray[np.float64]
    shown: NDArray[np.float64]
    traded: NDArray[np.float64]
    taker: NDArray[np.int64]
    born: NDArray[np.int64]
    rank: NDArray[np.int64]
    counts: NDArray[np.int64]
    credit: NDArray[np.float64]


class Fills(NamedTuple):
    """What has filled: `size` rows. `left`: what of its order then was; `ticks`: of the level or print; `mid`, `half`:
    the market around it, in ticks."""

    size: NDArray[np.int64]
    slot: NDArray[np.int64]
    lots: NDArray[np.int64]
    left: NDArray[np.int64]
    ticks: NDArray[np.int64]
    taker: NDArray[np.int64]
    ts_ns: NDArray[np.int64]
    mid: NDArray[np.float64]
    half: NDArray[np.float64]


class Rules(NamedTuple):
    """`model` and `exponent` of the queue. `participation`: of a print, for all takers where no book is shown;
    `queue_ahead`: lots ahead of an order there."""

    model: int
    exponent: float
    participation: float
    queue_ahead: float


@kernel
def record(
    slot: int, lots: int, ticks: int, taker: int, ts_ns: int, mid: float, half: float, orders: Orders, fills: Fills
) -> None:
    orders.left[slot] -= lots
    at = fills.size[0]
    fills.slot[at] = slot
    fills.lots[at] = lots
    fills.left[at] = orders.left[slot]
    fills.ticks[at] = ticks
    fills.taker[at] = taker
    fills.ts_ns[at] = ts_ns
    fills.mid[at] = mid
    fills.half[at] = half
    fills.size[0] = at + 1
