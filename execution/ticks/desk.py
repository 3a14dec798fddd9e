"""The sync driver in time: parents at work in a market of events, through the gate, in one plain loop.

It stops only where something can happen: when a parent wakes, when something of ours is heard, and, for parents that
listen to the market, at most once every `view_ms` of the exchange's time. At one moment what the venue says comes
first, then the market, then wake-ups; whoever acts has seen the newest market known at that time.

An order that prints fill takes many of them. Where no parent would do anything about a part of an order (`is_patient`),
the market is played on to the end of one, and the fills before it are booked when it is heard: with the same results,
in less than half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from core.contracts import FillEvent
from execution.contracts import ExecutionReport
from execution.parent import ParentOrder
from execution.plan import NS_PER_MS
from execution.seats import Gate, Seat, Seats, Worked, vwap_with_own
from execution.ticks.benchmarks import TickTape
from execution.ticks.market import TickMarket
from execution.ticks.post import VenueEvent

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
            patient = self._all_patient()
            now_ns, heard = self._market.run(stop_ns, whole=patient)
            if heard:
                self._hear(self._booked(heard) if patient else heard, now_ns, now_ns, now_ns)
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

    def _all_patient(self) -> bool:
        """Whether nobody would do anything about a fill of a part of an order."""
        for seat in self._seats.values():
            parent = seat.parent
            if not isinstance(parent, ParentOrder) or parent.algorithm.due not in _by_slices() or not parent.is_patient:
                return False
        return True

    def _booked(self, events: list[VenueEvent]) -> list[VenueEvent]:
        """Books fills about which nobody does anything; gives back what is left, from the first that is another."""
        response_ns, gate, wake_ns = self._market.response_ns, self._gate, self._next_wake()
        for number, event in enumerate(events):
            if not isinstance(event, FillEvent):
                return events[number:]
            if wake_ns is not None and event.ts_fill_ns + response_ns >= wake_ns:  # the venue's word is what wakes it
                return events[number:]
            parent = self._owners[event.order_id].parent
            if not isinstance(parent, ParentOrder) or not parent.book(event):
                return events[number:]
            self._on_fill(event, event.ts_fill_ns + response_ns)
            if gate is not None:
                gate.on_fill(event)
        return []

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


@cache
def _by_slices() -> frozenset[Callable[..., int]]:
    """The rules that read what is new with each slice, and nothing else that happens."""
    from execution import pov, shortfall, twap, vwap

    return frozenset((twap.due, vwap.due, pov.due, shortfall.due))
