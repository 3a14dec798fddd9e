"""Parents at work in a simulated market, through the gate: what every sync driver does, whatever its market is made of.

A driver says when: it wakes parents, shows them the market and lets them hear what became of their orders. How it
counts time is its own affair. A desk of bars counts bars, a desk of ticks nanoseconds, and to `Seats` both are plain
numbers: `seen` is what of the market is known, `at` is when something happened.
"""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from core.instrument import Instrument
from execution.contracts import ExecutionReport
from execution.events import Event, Market, Step, Wake


class Gate(Protocol):
    """Who may trade. Nothing reaches the market but through `check`."""

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision: ...
    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None: ...
    def on_fill(self, fill: FillEvent) -> None: ...
    def on_closed(self, closed: OrderClosed) -> None: ...
    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None: ...


class Worked(Protocol):
    """What a desk drives: a parent order, or anything that behaves like one."""

    @property
    def ended(self) -> bool: ...
    @property
    def listens(self) -> bool: ...
    def on(self, event: Event, now_ns: int) -> Step: ...
    def report(self) -> ExecutionReport: ...


class Venue(Protocol):
    """Where the orders go. An answer at once is a close: rejected, or cancelled."""

    @property
    def instrument(self) -> Instrument: ...
    def submit(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None: ...
    def cancel(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None: ...


@dataclass(slots=True)
class Seat:
    """A parent on the desk, with what the desk must remember of it; `first` is where its interval begins."""

    number: int
    parent: Worked
    first: int
    arrival_price: float
    decision_price: float
    last_fill: int | None = None
    seen: int | None = None
    wake_ns: int | None = None


class Seats(ABC):
    """`on_fill` hears every fill with when it happened, `on_report` every report once its parent has ended."""

    def __init__(
        self,
        venue: Venue,
        quote: Callable[[int], Market],
        gate: Gate | None,
        settings: dict[str, Any],
        on_fill: Callable[[FillEvent, int], None],
        on_report: Callable[[ExecutionReport], None],
    ) -> None:
        self._venue = venue
        self._quote = quote
        self._gate = gate
        self._settings = settings
        self._on_fill = on_fill
        self._on_report = on_report
        self._wakes: list[tuple[int, int]] = []
        self._seats: dict[int, Seat] = {}
        self._owners: dict[str, Seat] = {}
        self._started = 0
        self._priced = -2  # what the gate knows of the market

    @property
    def working(self) -> bool:
        return bool(self._seats)

    @abstractmethod
    def _market_facts(self, seat: Seat, report: ExecutionReport, seen: int) -> dict[str, Any]:
        """What the market did in the parent's interval: fields of its report."""

    def _seat(self, parent: Worked, first: int, arrival: float, decision_price: float | None) -> Seat:
        """A seat for a parent, which still has to be woken."""
        if self._gate is not None:
            asked = parent.report()
            self._gate.on_parent(asked.execution_id, asked.symbol, asked.side, asked.total_quantity)
        decided = arrival if decision_price is None else decision_price
        seat = Seat(self._started, parent, first, arrival, decided)
        self._started += 1
        self._seats[seat.number] = seat
        return seat

    def _next_wake(self) -> int | None:
        while self._wakes and self._stale(self._wakes[0]):
            heapq.heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else None

    def _listeners(self) -> list[Seat]:
        return [seat for seat in self._seats.values() if seat.parent.listens]

    def _wake_until(self, until_ns: int, seen: int) -> None:
        while self._wakes and self._wakes[0][0] <= until_ns:
            entry = heapq.heappop(self._wakes)
            if not self._stale(entry):
                seat = self._seats[entry[1]]
                seat.wake_ns = None
                self._wake(seat, entry[0], seen)

    def _stale(self, entry: tuple[int, int]) -> bool:
        seat = self._seats.get(entry[1])
        return seat is None or seat.wake_ns != entry[0]

    def _wake(self, seat: Seat, now_ns: int, seen: int) -> None:
        self._show(seat, seen, now_ns)
        self._deliver(seat, Wake(), now_ns, seen)

    def _show(self, seat: Seat, seen: int, now_ns: int) -> None:
        """The newest market, to a parent that has not seen it."""
        if seat.seen != seen:
            seat.seen = seen
            self._deliver(seat, self._quote(seen), now_ns, seen)

    def _hear(self, events: list[FillEvent | OrderClosed], now_ns: int, at: int, seen: int) -> None:
        for event in events:
            if isinstance(event, FillEvent):
                seat = self._owners[event.order_id]
                seat.last_fill = at
                self._on_fill(event, at)
                if self._gate is not None:
                    self._gate.on_fill(event)
            else:
                seat = self._owners[event.intent_id]
                if self._gate is not None:
                    self._gate.on_closed(event)
            self._show(seat, seen, now_ns)
            self._deliver(seat, event, now_ns, seen)

    def _deliver(self, seat: Seat, event: Event, now_ns: int, seen: int) -> None:
        """Gives a parent an event and carries out what it commands, until it commands no more."""
        waiting: deque[Event] = deque([event])
        while waiting:
            step = seat.parent.on(waiting.popleft(), now_ns)
            for intent in step.commands:
                answer = self._send(seat, intent, now_ns, seen)
                if answer is not None:
                    waiting.append(answer)
        if seat.parent.ended:
            if seat.number in self._seats:
                self._leave(seat, seen)
        elif step.wake_ns is not None and step.wake_ns != seat.wake_ns:
            seat.wake_ns = step.wake_ns
            heapq.heappush(self._wakes, (step.wake_ns, seat.number))

    def _send(self, seat: Seat, intent: OrderIntent, now_ns: int, seen: int) -> RiskDecision | OrderClosed | None:
        """Through the gate into the market; the answer, where there is one at once."""
        if self._gate is not None:
            if self._priced != seen:
                self._priced = seen
                quote = self._quote(seen)
                price = self._venue.instrument.price
                self._gate.on_price(intent.symbol, price(quote.bid_ticks), price(quote.ask_ticks), quote.ts_ns)
            decision = self._gate.check(intent, now_ns)
            if not decision.allowed:
                return decision
        if intent.action == "cancel":
            answer = self._venue.cancel(intent, now_ns)
        else:
            self._owners[intent.intent_id] = seat
            answer = self._venue.submit(intent, now_ns)
        if answer is not None and self._gate is not None:
            self._gate.on_closed(answer)
        return answer

    def _leave(self, seat: Seat, seen: int) -> None:
        del self._seats[seat.number]
        report = seat.parent.report()
        self._on_report(
            replace(
                report,
                decision_price=seat.decision_price,
                arrival_price=seat.arrival_price,
                settings=self._settings,
                **self._market_facts(seat, report, seen),
            )
        )


def vwap_with_own(vwap: float, volume: float, own: float, price: float) -> float:
    """The market's VWAP with our own quantity in it, traded at `price`; without volume of its own it stays unknown."""
    money = own * price if own else 0.0
    return (vwap * volume + money) / (volume + own) if volume > 0 else vwap
