"""What the gate knows about a symbol and about its own orders: position, reservations, reference price, message counts.

Quantities are floats. The gate compares them with limits that are policy, not accounting, so being right to one part
in 10**9 is enough (`EPSILON`), and an error of rounding cannot build up: every order's share is computed from its own
few fills, and the sums of open orders restart from exactly 0 whenever nothing is open. Lots would be exact, but they
would tie the gate to one venue's grid, and positions in a symbol may come from several venues.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from risk.limits import SymbolLimits

EPSILON = 1e-9


@dataclass(slots=True)
class Book:
    """One symbol of the account: all strategies together, because the venue nets them in one position."""

    symbol: str
    limits: SymbolLimits
    position: float = 0.0
    open_buys: float = 0.0  # open or of unknown fate
    open_sells: float = 0.0
    open_orders: int = 0
    bid: float = math.nan
    ask: float = math.nan
    reference_ts_ns: int | None = None

    def reserve(self, side: str, qty: float) -> None:
        """Add to (or, below 0, take from) what is open."""
        if side == "buy":
            self.open_buys += qty
        else:
            self.open_sells += qty

    def order_done(self) -> None:
        self.open_orders -= 1
        if self.open_orders == 0:
            self.open_buys = self.open_sells = 0.0


class Reservation:
    """What an accepted order may still trade: reserved until fills or the venue's last word say otherwise."""

    __slots__ = ("book", "filled", "qty", "side")

    def __init__(self, book: Book, side: str, qty: float) -> None:
        self.book = book
        self.side = side
        self.qty = qty
        self.filled = 0.0
        book.open_orders += 1
        book.reserve(side, qty)

    @property
    def left(self) -> float:
        rest = self.qty - self.filled
        return rest if rest > EPSILON * self.qty else 0.0

    def fill(self, qty: float) -> None:
        before = self.left
        self.filled += qty
        self.book.reserve(self.side, self.left - before)

    def close(self, cumulative_qty: float) -> None:
        """Only fills up to the venue's total may still come: they stay reserved until they are seen."""
        before = self.left
        self.qty = cumulative_qty
        self.book.reserve(self.side, self.left - before)


class Window:
    """Times of the messages that were let through, forgotten when they leave the window."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[int] = deque()

    def add(self, now_ns: int) -> None:
        self._times.append(now_ns)

    def count(self, now_ns: int, window_ns: int) -> int:
        """Messages in (now - window, now]."""
        times = self._times
        while times and times[0] <= now_ns - window_ns:
            times.popleft()
        return len(times)
