"""Our orders in a market: what the loop over its events needs of them, in columns, and what it does not."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from core.contracts import OrderIntent
from execution.ticks.orders import Fills, Orders
from execution.ticks.rows import as_plain

FAR: Final = 2**61  # ticks: the limit of a market order
MARGIN: Final = 1024  # rows of `Fills` beyond two per order


@dataclass(slots=True)
class Own:
    """An order of ours. `limit_ticks` None: a market order."""

    intent: OrderIntent
    side: int  # of the book: 0 a buy, 1 a sell
    lots: int
    limit_ticks: int | None
    slot: int = -1
    filled: int = 0
    fills: int = 0
    rank: tuple[int, int, int] = (0, 0, -1)  # how good its limit is, the best first, then when it came; its slot

    @property
    def sign(self) -> int:
        return 1 - 2 * self.side


class OwnOrders:
    """The orders in the market. `columns` and `fills` are made anew where more orders stand than ever before; `view`
    and `filled` are the same for plain Python."""

    def __init__(self, capacity: int = 32) -> None:
        self.columns, self.fills = _columns(capacity), _fills(capacity)
        self.view, self.filled = as_plain(self.columns), as_plain(self.fills)
        self._by_id: dict[str, Own] = {}
        self._by_slot: dict[int, Own] = {}
        self._free = list(range(capacity))[::-1]
        self._ranks: tuple[list[tuple[int, int, int]], ...] = ([], [])
        self._born = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Own]:
        return iter(list(self._by_id.values()))

    def get(self, intent_id: str) -> Own | None:
        return self._by_id.get(intent_id)

    def at(self, slot: int) -> Own:
        return self._by_slot[slot]

    def add(self, own: Own, limit: int, front: float, shown: float) -> None:
        """Puts an order behind those of its side and limit."""
        if not self._free:
            self._grow()
        slot = own.slot = self._free.pop()
        columns = self.view
        columns.limit[slot] = limit
        columns.left[slot] = own.lots - own.filled
        columns.front[slot] = front
        columns.shown[slot] = shown
        columns.traded[slot] = 0.0
        columns.taker[slot] = 0
        columns.born[slot] = self._born
        self._born += 1
        self._by_id[own.intent.intent_id] = own
        self._by_slot[slot] = own
        self._put(own, (-own.sign * limit, self._born, slot))

    def remove(self, own: Own) -> None:
        del self._by_id[own.intent.intent_id]
        del self._by_slot[own.slot]
        self._take(own)
        self._free.append(own.slot)

    def move(self, own: Own, limit: int) -> None:
        """Another limit, in the order of arrival that it has."""
        _, born, slot = own.rank
        self._take(own)
        self.view.limit[slot] = limit
        self._put(own, (-own.sign * limit, born, slot))

    def _put(self, own: Own, rank: tuple[int, int, int]) -> None:
        own.rank = rank
        ranks = self._ranks[own.side]
        insort(ranks, rank)
        self._tell(own.side, bisect_left(ranks, rank))

    def _take(self, own: Own) -> None:
        ranks = self._ranks[own.side]
        at = bisect_left(ranks, own.rank)
        del ranks[at]
        self._tell(own.side, at)

    def _tell(self, side: int, first: int = 0) -> None:
        """Writes the slots of a side from this rank on into the columns."""
        ranks, columns = self._ranks[side], self.view
        columns.counts[side] = len(ranks)
        rank, offset = columns.rank, side * len(columns.limit)
        for at in range(first, len(ranks)):
            rank[offset + at] = ranks[at][2]

    def _grow(self) -> None:
        before, capacity = self.columns, len(self.columns.limit)
        columns, fills = _columns(2 * capacity), _fills(2 * capacity)
        for name in ("limit", "left", "front", "shown", "traded", "taker", "born"):
            getattr(columns, name)[:capacity] = getattr(before, name)
        columns.credit[:] = before.credit
        self.columns, self.fills = columns, fills
        self.view, self.filled = as_plain(columns), as_plain(fills)
        self._free = list(range(capacity, 2 * capacity))[::-1]
        for side in (0, 1):
            self._tell(side)


def _columns(capacity: int) -> Orders:
    def ints(n: int = capacity) -> Any:
        return np.zeros(n, np.int64)

    def floats(n: int = capacity) -> Any:
        return np.zeros(n)

    return Orders(
        limit=ints(), left=ints(), front=floats(), shown=floats(), traded=floats(), taker=ints(), born=ints(),
        rank=ints(2 * capacity), counts=ints(2), credit=floats(1),
    )  # fmt: skip


def _fills(capacity: int) -> Fills:
    n = 2 * capacity + MARGIN

    def ints(length: int = n) -> Any:
        return np.zeros(length, np.int64)

    return Fills(
        size=ints(1), slot=ints(), lots=ints(), left=ints(), ticks=ints(), taker=ints(), ts_ns=ints(),
        mid=np.zeros(n), half=np.zeros(n),
    )  # fmt: skip
