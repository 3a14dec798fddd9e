"""The sync driver on bars: parents at work in one simulated market, through the gate, in one plain loop.

It visits only the bars in which something can happen: an order in the market, a parent that wakes, a parent that
listens. Within a bar: wake-ups before it opens, takers at the open, wake-ups inside it (which see the bar before),
resting orders and then the new market at its close.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.columns import plain_ints
from core.contracts import FillEvent
from execution.benchmarks import Tape
from execution.contracts import ExecutionReport
from execution.market import BarMarket
from execution.seats import Gate, Seat, Seats, Worked, vwap_with_own

__all__ = ["Desk", "Gate", "Worked"]


class Desk(Seats):
    """`on_fill` and `on_report` hear every fill with its bar, and every report once its parent has ended."""

    def __init__(
        self,
        market: BarMarket,
        tape: Tape,
        gate: Gate | None,
        settings: dict[str, Any],
        on_fill: Callable[[FillEvent, int], None] = lambda _fill, _bar: None,
        on_report: Callable[[ExecutionReport], None] = lambda _report: None,
    ) -> None:
        super().__init__(market, market.quote, gate, settings, on_fill, on_report)
        self._market = market
        self._tape = tape
        self._open_ns = plain_ints(market.bars.ts_open_ns)
        self._close_ns = plain_ints(market.bars.ts_close_ns)

    def start(self, parent: Worked, now_ns: int, seen_bar: int, decision_price: float | None = None) -> None:
        """Puts a parent to work at `now_ns`, when bar `seen_bar` is the last one known (-1: none)."""
        seat = self._seat(parent, seen_bar + 1, self._market.mid(seen_bar), decision_price)
        self._wake(seat, now_ns, seen_bar)

    def next_bar(self, after: int) -> int | None:
        """The first bar behind `after` in which something can happen; None where nothing waits for a bar."""
        if not self._seats:
            return None
        first = after + 1
        if not (self._market.busy or any(seat.parent.listens for seat in self._seats.values())):
            wake_ns = self._next_wake()
            if wake_ns is None:
                return None
            first = max(first, bisect_left(self._close_ns, wake_ns))
        return first if first < len(self._close_ns) else None

    def play(self, k: int) -> None:
        """Everything that happens in bar k, in order of time."""
        opens, closes = self._open_ns[k], self._close_ns[k]
        self._wake_until(opens, k - 1)
        self._hear(self._market.open(k), opens, k, k - 1)
        self._wake_until(closes - 1, k - 1)
        self._hear(self._market.close(k), closes, k, k)
        for seat in self._listeners():
            self._show(seat, k, closes)
        self._wake_until(closes, k)

    def finish(self, last_bar: int) -> None:
        """The data are over: reports what is still running as it stands."""
        for seat in list(self._seats.values()):
            self._leave(seat, last_bar)

    def _market_facts(self, seat: Seat, report: ExecutionReport, seen: int) -> dict[str, Any]:
        last = seat.last_fill if seat.last_fill is not None else max(seen, seat.first)
        return {
            "end_price": self._market.mid(seen),
            **interval_facts(
                self._tape,
                self._market.half_spread,
                seat.first,
                last,
                seat.arrival_price,
                report.filled_quantity,
                report.avg_fill_price,
            ),
        }


def interval_facts(
    tape: Tape,
    half_spread: NDArray[np.float64],
    first: int,
    last: int,
    arrival_price: float,
    own: float,
    own_price: float,
) -> dict[str, float]:
    """What the market did in the bars [first, last], as far as there are any: fields of a report.

    own, own_price: our quantity and its average price.
    """
    last = min(last, len(half_spread) - 1)
    first = min(first, last)
    volume, vwap = tape.volume(first, last), tape.vwap(first, last)
    return {
        "benchmark_vwap": vwap,
        "benchmark_vwap_own": vwap_with_own(vwap, volume, own, own_price),
        "benchmark_twap": tape.twap(first, last),
        "spread_bps": float(2e4 * half_spread[first : last + 1].mean() / arrival_price),
        "market_volume": volume,
    }
