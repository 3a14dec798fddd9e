"""The sync driver in time: parents at work in a market of events, through the gate, in one plain loop.

It stops only where something can happen: when a parent wakes, when something of ours is heard, and, for parents that
listen to the market, at most once every `view_ms` of the exchange's time. At one moment what the venue says comes
first, then the market, then wake-ups; whoever acts has seen the newest market known at that time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.contracts import FillEvent
from execution.contracts import ExecutionReport
from execution.plan import NS_PER_MS
from execution.seats import Gate, Seat, Seats, Worked, vwap_with_own
from execution.ticks.benchmarks import TickTape
from execution.ticks.market import TickMarket

VIEW_MS: Final = 1000


class TickDesk(Seats):
    """`on_fill` hears every fill with the time at which we heard of it, `on_report` every report.

    `half_spread` of a market that quotes none, in price units by time, for the reports. Listeners look at multiples of
    `view_ms`, so that what one parent sees does not depend on who else is there.
    """

    def __init__(
        self,
        market: TickMarket,
        tape: TickTape,
        gate: Gate | None,
        settings: dict[str, Any],
        on_fill: Callable[[FillEvent, int], None] = lambda _fill, _ns: None,
        on_report: Callable[[ExecutionReport], None] = lambda _report: None,
        *,
        view_ms: int = VIEW_MS,
    ) -> None:
        if view_ms < 1:
            raise ValueError(f"view_ms must be at least 1, was {view_ms}")
        super().__init__(market, market.view, gate, settings, on_fill, on_report)
        self._market = market
        self._tape = tape
        self._view_ns = view_ms * NS_PER_MS
        self._looked_ns = -1  # when listeners last looked

    def start(self, parent: Worked, now_ns: int, decision_price: float | None = None) -> None:
        """Plays up to `now_ns` and puts a parent to work there."""
        self.run(now_ns)
        self._market.run(now_ns)
        self._wake(self._seat(parent, now_ns, self._market.mid(now_ns), decision_price), now_ns, now_ns)

    def run(self, until_ns: int) -> None:
        """Plays everything up to and including `until_ns`; returns at once when nobody is at work."""
        while self._seats:
            stop_ns = self._next_stop(until_ns)
            now_ns, heard = self._market.run(stop_ns)
            if heard:
                self._hear(heard, now_ns, now_ns, now_ns)
                continue
            if now_ns >= self._next_look():
                self._looked_ns = now_ns
                for seat in self._listeners():
                    self._show(seat, now_ns, now_ns)
            self._wake_until(now_ns, now_ns)
            if now_ns >= until_ns:
                return

    def finish(self, last_ns: int) -> None:
        """The data are over: reports what is still running as it stands."""
        for seat in list(self._seats.values()):
            self._leave(seat, last_ns)

    def _next_stop(self, until_ns: int) -> int:
        stop_ns = until_ns
        wake_ns = self._next_wake()
        if wake_ns is not None:
            stop_ns = min(stop_ns, wake_ns)
        for seat in self._seats.values():
            if seat.parent.listens:
                stop_ns = min(stop_ns, self._next_look())
                break
        return max(stop_ns, self._market.now_ns)

    def _next_look(self) -> int:
        """The first multiple of `view_ms` at which listeners have not looked yet."""
        now_ns = self._market.now_ns
        here = -(-now_ns // self._view_ns) * self._view_ns
        return here if here > self._looked_ns else here + self._view_ns

    def _market_facts(self, seat: Seat, report: ExecutionReport, seen: int) -> dict[str, Any]:
        first_ns = seat.first
        last_ns = max((fill.ts_fill_ns for fill in report.fills), default=max(seen, first_ns))
        volume, vwap = self._tape.volume(first_ns, last_ns), self._tape.vwap(first_ns, last_ns)
        return {
            "end_price": self._market.mid(max(seen, first_ns)),
            "benchmark_vwap": vwap,
            "benchmark_vwap_own": vwap_with_own(vwap, volume, report.filled_quantity, report.avg_fill_price),
            "benchmark_twap": self._tape.twap(first_ns, last_ns),
            "spread_bps": 1e4 * self._tape.spread(first_ns, last_ns) / seat.arrival_price,
            "market_volume": volume,
        }
