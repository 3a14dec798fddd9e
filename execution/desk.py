"""The sync driver: parents at work in one simulated market, through the gate, in one plain loop.

It visits only the bars in which something can happen: an order in the market, a parent that wakes, a parent that
listens. Within a bar: wake-ups before it opens, takers at the open, wake-ups inside it (which see the bar before),
resting orders and then the new market at its close.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from core.columns import plain_ints
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from execution.benchmarks import Tape
from execution.contracts import ExecutionReport
from execution.events import Event, Step, Wake
from execution.market import BarMarket


class Gate(Protocol):
    """Who may trade. Nothing reaches the market but through `check`."""

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision: ...
    def on_fill(self, fill: FillEvent) -> None: ...
    def on_closed(self, closed: OrderClosed) -> None: ...
    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None: ...


class Worked(Protocol):
    """What the desk drives: a parent order, or anything that behaves like one."""

    @property
    def ended(self) -> bool: ...
    @property
    def listens(self) -> bool: ...
    def on(self, event: Event, now_ns: int) -> Step: ...
    def report(self) -> ExecutionReport: ...


@dataclass(slots=True)
class _Seat:
    """A parent on the desk, with what the desk must remember of it."""

    number: int
    parent: Worked
    first_bar: int
    arrival_price: float
    decision_price: float
    last_fill_bar: int | None = None
    seen_bar: int | None = None
    wake_ns: int | None = None


class Desk:
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
        self._market = market
        self._tape = tape
        self._gate = gate
        self._settings = settings
        self._on_fill = on_fill
        self._on_report = on_report
        self._open_ns = plain_ints(market.bars.ts_open_ns)
        self._close_ns = plain_ints(market.bars.ts_close_ns)
        self._wakes: list[tuple[int, int]] = []
        self._seats: dict[int, _Seat] = {}
        self._owners: dict[str, _Seat] = {}
        self._started = 0
        self._priced_bar = -2

    @property
    def working(self) -> bool:
        return bool(self._seats)

    def start(self, parent: Worked, now_ns: int, seen_bar: int, decision_price: float | None = None) -> None:
        """Puts a parent to work at `now_ns`, when bar `seen_bar` is the last one known (-1: none)."""
        arrival = self._market.mid(seen_bar)
        seat = _Seat(
            self._started, parent, seen_bar + 1, arrival, arrival if decision_price is None else decision_price
        )
        self._started += 1
        self._seats[seat.number] = seat
        self._wake(seat, now_ns, seen_bar)

    def next_bar(self, after: int) -> int | None:
        """The first bar behind `after` in which something can happen; None where nothing waits for a bar."""
        if not self._seats:
            return None
        first = after + 1
        if not (self._market.busy or any(seat.parent.listens for seat in self._seats.values())):
            while self._wakes and self._stale(self._wakes[0]):
                heapq.heappop(self._wakes)
            if not self._wakes:
                return None
            first = max(first, bisect_left(self._close_ns, self._wakes[0][0]))
        return first if first < len(self._close_ns) else None

    def play(self, k: int) -> None:
        """Everything that happens in bar k, in order of time."""
        opens, closes = self._open_ns[k], self._close_ns[k]
        self._wake_until(opens, k - 1)
        self._hear(self._market.open(k), opens, k, k - 1)
        self._wake_until(closes - 1, k - 1)
        self._hear(self._market.close(k), closes, k, k)
        for seat in [seat for seat in self._seats.values() if seat.parent.listens]:
            self._show(seat, k, closes)
        self._wake_until(closes, k)

    def finish(self, last_bar: int) -> None:
        """The data are over: reports what is still running as it stands."""
        for seat in list(self._seats.values()):
            self._leave(seat, last_bar)

    def _wake_until(self, until_ns: int, seen_bar: int) -> None:
        while self._wakes and self._wakes[0][0] <= until_ns:
            entry = heapq.heappop(self._wakes)
            if not self._stale(entry):
                seat = self._seats[entry[1]]
                seat.wake_ns = None
                self._wake(seat, entry[0], seen_bar)

    def _stale(self, entry: tuple[int, int]) -> bool:
        seat = self._seats.get(entry[1])
        return seat is None or seat.wake_ns != entry[0]

    def _wake(self, seat: _Seat, now_ns: int, seen_bar: int) -> None:
        self._show(seat, seen_bar, now_ns)
        self._deliver(seat, Wake(), now_ns, seen_bar)

    def _show(self, seat: _Seat, seen_bar: int, now_ns: int) -> None:
        """The newest market, to a parent that has not seen it."""
        if seat.seen_bar != seen_bar:
            seat.seen_bar = seen_bar
            self._deliver(seat, self._market.quote(seen_bar), now_ns, seen_bar)

    def _hear(self, events: list[FillEvent | OrderClosed], now_ns: int, k: int, seen_bar: int) -> None:
        for event in events:
            if isinstance(event, FillEvent):
                seat = self._owners[event.order_id]
                seat.last_fill_bar = k
                self._on_fill(event, k)
                if self._gate is not None:
                    self._gate.on_fill(event)
            else:
                seat = self._owners[event.intent_id]
                if self._gate is not None:
                    self._gate.on_closed(event)
            self._show(seat, seen_bar, now_ns)
            self._deliver(seat, event, now_ns, seen_bar)

    def _deliver(self, seat: _Seat, event: Event, now_ns: int, seen_bar: int) -> None:
        """Gives a parent an event and carries out what it commands, until it commands no more."""
        waiting: deque[Event] = deque([event])
        while waiting:
            step = seat.parent.on(waiting.popleft(), now_ns)
            for intent in step.commands:
                answer = self._send(seat, intent, now_ns, seen_bar)
                if answer is not None:
                    waiting.append(answer)
        if seat.parent.ended:
            if seat.number in self._seats:
                self._leave(seat, seen_bar)
        elif step.wake_ns is not None and step.wake_ns != seat.wake_ns:
            seat.wake_ns = step.wake_ns
            heapq.heappush(self._wakes, (step.wake_ns, seat.number))

    def _send(self, seat: _Seat, intent: OrderIntent, now_ns: int, seen_bar: int) -> RiskDecision | OrderClosed | None:
        """Through the gate into the market; the answer, where there is one at once."""
        if self._gate is not None:
            if self._priced_bar != seen_bar:
                self._priced_bar = seen_bar
                quote = self._market.quote(seen_bar)
                price = self._market.instrument.price
                self._gate.on_price(intent.symbol, price(quote.bid_ticks), price(quote.ask_ticks), quote.ts_ns)
            decision = self._gate.check(intent, now_ns)
            if not decision.allowed:
                return decision
        if intent.action == "cancel":
            answer = self._market.cancel(intent, now_ns)
        else:
            self._owners[intent.intent_id] = seat
            answer = self._market.submit(intent, now_ns)
        if answer is not None and self._gate is not None:
            self._gate.on_closed(answer)
        return answer

    def _leave(self, seat: _Seat, seen_bar: int) -> None:
        del self._seats[seat.number]
        report = seat.parent.report()
        end_bar = max(seen_bar, seat.first_bar)
        last = seat.last_fill_bar if seat.last_fill_bar is not None else end_bar
        last = min(last, len(self._close_ns) - 1)
        first = min(seat.first_bar, last)
        volume, vwap = self._tape.volume(first, last), self._tape.vwap(first, last)
        own = report.filled_quantity
        money = own * report.avg_fill_price if own else 0.0
        half = self._market.half_spread[first : last + 1]
        self._on_report(
            replace(
                report,
                decision_price=seat.decision_price,
                arrival_price=seat.arrival_price,
                end_price=self._market.mid(seen_bar),
                benchmark_vwap=vwap,
                benchmark_vwap_own=(vwap * volume + money) / (volume + own) if volume > 0 else vwap,
                benchmark_twap=self._tape.twap(first, last),
                spread_bps=float(2e4 * half.mean() / seat.arrival_price),
                market_volume=volume,
                settings=self._settings,
            )
        )
