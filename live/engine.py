"""The trader's heart, without I/O: market, requests, venue and time go in, requests to the broker come out.

Everything that a parent hears, and everything that it wants to send with the risk gate's answer, is in the journal
before anybody outside learns of it. So a process that is killed at any moment can be made again from its journal, and
what it may have sent without hearing of it is asked of the venue (`live/recovery.py`). Parents are those of the
backtest, and so is the order in which they hear things (`execution/switchboard.py`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from core import topics
from core.contracts import (
    FillEvent,
    OHLCVBar,
    OrderClosed,
    OrderEvent,
    OrderIntent,
    QuoteEvent,
    RiskDecision,
    TradeEvent,
)
from core.instrument import Instrument
from execution.algorithm import Schedule
from execution.contracts import ExecutionReport
from execution.desk import Gate, Worked
from execution.events import Amend, Cancel, Event, Market, OrderUnknown, Pause, Resume
from execution.intake import Request
from execution.parent import ParentOrder
from execution.switchboard import Command, Switchboard
from live import entries
from live.effects import Deny, Effect, Publish, Submit, Withdraw
from live.orders import OrderStore
from live.recorded import Recorded

Wish = Pause | Resume | Amend | Cancel
VenueEvent = OrderEvent | FillEvent | OrderClosed | OrderUnknown


class Log(Protocol):
    """Where entries go: `core.journal.Journal`, or anything that keeps them in order."""

    def append(self, entry: dict[str, Any]) -> object: ...
    def sync(self) -> None: ...


class RecallingGate(Gate, Protocol):
    """A gate that can be told what it answered before a restart: `risk.gate.RiskGate`."""

    def recall(self, intent: OrderIntent, decision: RiskDecision, now_ns: int) -> None: ...


class Switch(Protocol):
    """The kill switch: `risk.kill.KillSwitch`."""

    def tripped(self) -> bool: ...
    def trip(self, by: str, reason: str, ts_ns: int) -> object: ...
    def clear(self, by: str, reason: str, ts_ns: int) -> None: ...


class Engine:
    """Parents at work behind one gate and one order store.

    make           a parent from its request: `execution.intake.Intake.work`
    on_fill        hears every fill of ours once, with its order's meta
    settings       go into every report: what filled the orders, data, version, hash
    """

    def __init__(
        self,
        log: Log,
        gate: RecallingGate,
        kill: Switch,
        instruments: Mapping[str, Instrument],
        make: Callable[[Request], Worked],
        *,
        settings: Mapping[str, Any] | None = None,
        own_in_tape: bool = False,
        on_fill: Callable[[FillEvent], None] = lambda _fill: None,
        on_refused: Callable[[str, str], None] = lambda _topic, _reason: None,
    ) -> None:
        self.orders = OrderStore()
        self.parents: dict[str, Request] = {}
        self.reports: dict[str, ExecutionReport] = {}
        self._machines: dict[str, ParentOrder] = {}  # of parents at work
        self.now_ns = 0
        self.epoch = 0
        self.recalling = False  # while it is made again from its journal, nothing is written
        self.latched: tuple[str, str, int] | None = None  # the kill that its journal knows of, not cleared since
        self.denied: dict[str, RiskDecision] = {}  # refusals of which their parents have not heard
        self._log = log
        self.gate = gate
        self._kill = kill
        self._instruments = dict(instruments)
        self.make = make
        self._settings = dict(settings or {})
        self._on_fill = on_fill
        self.board = Switchboard(instruments, own_in_tape=own_in_tape, on_refused=on_refused)
        self.turns: dict[str, int] = {}  # which request of the journal each was, oldest first
        self.pending: deque[OrderIntent] = deque()  # wanted by parents, not yet put to the gate
        self._sweeps = 0

    # ---- what it can be told

    @property
    def working(self) -> bool:
        return self.board.working

    @property
    def wake_ns(self) -> int | None:
        return self.board.wake_ns

    @property
    def killed(self) -> bool:
        return self._kill.tripped()

    def market(self, topic: str, message: QuoteEvent | TradeEvent | OHLCVBar, now_ns: int) -> list[Effect]:
        """News of the market, on one of `market_topics`."""
        return self._carry_out(self.board.take(topic, message, now_ns), now_ns)

    def remember(self, topic: str, message: QuoteEvent | TradeEvent | OHLCVBar) -> None:
        """News of before a restart: prices and volumes follow, parents do not hear of it again."""
        self.board.remember(topic, message)

    def remembered(self, ts_ns: int) -> None:
        """The market is remembered up to this time: benchmarks of before the restart are those of then."""
        self.board.remembered(ts_ns)

    def start(self, request: Request, now_ns: int) -> list[Effect]:
        """Takes a parent in and puts it to work; one that was taken in before is not taken again.

        Raises ValueError where its algorithm refuses it, or the trader is killed; nothing is left of it then.
        """
        if request.execution_id in self.parents:
            return []
        if self.killed:
            raise ValueError("the kill switch is tripped: no parent is taken in")
        arrival = self.board.feeds[request.algo.symbol].mid if request.algo.symbol in self.board.feeds else math.nan
        self.admit(request, self.make(request), arrival, now_ns)
        return self._carry_out(self.board.begin(request.execution_id, now_ns), now_ns)

    def refuse(self, report: ExecutionReport, now_ns: int) -> list[Effect]:
        """Writes down that a parent was asked for and cannot be worked: a report without a child."""
        if report.execution_id in self.reports or report.execution_id in self.parents:
            return []
        report = self._finished(report)
        self.reports[report.execution_id] = report
        self.note({"k": entries.REFUSED, "t": now_ns, "report": report.to_dict()})
        return [Publish(topics.REPORT, report)]

    def tell(self, execution_id: str, wish: Wish, now_ns: int) -> list[Effect]:
        """Pause, resume, amend or cancel. Raises ValueError for an execution that is not here."""
        if execution_id not in self.parents:
            raise ValueError(f"execution_id {execution_id!r} is not here")
        commands = self.board.tell(execution_id, wish, now_ns)
        self.amended(execution_id, wish)
        return self._carry_out(commands, now_ns)

    def show(self, event: VenueEvent | None, now_ns: int) -> list[Effect]:
        """The newest market, to the parent that is about to hear of its order, or to be woken (None)."""
        shown = self.board.show_due(now_ns) if event is None else self.board.show_owner(event, now_ns)
        return self._carry_out(shown, now_ns)

    def wake(self, now_ns: int) -> list[Effect]:
        """The time that `wake_ns` named has come."""
        return self._carry_out(self.board.wake(now_ns), now_ns)

    def venue(self, event: VenueEvent, now_ns: int) -> list[Effect]:
        """What the broker says of an order: repeated, late and foreign news are harmless."""
        if isinstance(event, FillEvent):
            event = self.orders.with_meta(event)
        if not self.board.owns(event):
            self.note({"k": entries.STRAY, "t": now_ns, "e": entries.from_event(event)})
        self.book(event)
        said = [] if isinstance(event, OrderUnknown) else [Publish(_TOPICS[type(event)], event)]
        return self._carry_out(self.board.fate(event, now_ns), now_ns, said)

    def refused(self, decision: RiskDecision, now_ns: int) -> list[Effect]:
        """The parent hears of a refusal."""
        self.denied.pop(decision.intent_id, None)
        self.book(decision)
        return self._carry_out(self.board.fate(decision, now_ns), now_ns)

    def kill(self, by: str, reason: str, now_ns: int) -> list[Effect]:
        """Latched in the journal first, then the gate is shut, then everything that may trade is withdrawn."""
        self.note({"k": entries.KILL, "t": now_ns, "by": by, "reason": reason})
        self._log.sync()
        self.latched = (by, reason, now_ns)
        self._trip()
        commands = self.board.tell_all(Cancel(f"killed by {by}: {reason}"), now_ns)
        return [*self._carry_out(commands, now_ns), *self.sweep(now_ns)]

    def sweep(self, now_ns: int) -> list[Effect]:
        """Requests to withdraw everything that may still trade, whoever it belongs to; past the gate, as always."""
        self._sweeps += 1
        swept = [
            replace(
                order.intent,
                intent_id=f"{order.intent.intent_id}-k{self.epoch}-{self._sweeps}",
                ts_local_ns=now_ns,
                action="cancel",
                target_intent_id=order.intent.intent_id,
                qty=order.may_trade or order.intent.qty,
            )
            for order in self.orders.live()
        ]
        return [Withdraw(intent) for intent in swept]

    def clear(self, by: str, reason: str, now_ns: int) -> None:
        """Re-arms. Raises ValueError without a name and a reason, or where it is not tripped."""
        self._kill.clear(by, reason, now_ns)
        self.cleared(by, reason, now_ns)

    def cleared(self, by: str, reason: str, now_ns: int) -> None:
        """Somebody has re-armed the switch by name, here or in another process."""
        self.note({"k": entries.CLEAR, "t": now_ns, "by": by, "reason": reason})
        self._log.sync()
        self.latched = None

    def stop(self, reason: str, now_ns: int) -> list[Effect]:
        """Every parent is cancelled; `working` turns false once the venue has answered for all of them."""
        return self._carry_out(self.board.tell_all(Cancel(reason), now_ns), now_ns)

    def unfinished(self) -> list[ExecutionReport]:
        """Parents at work, as they stand."""
        return [self._finished(report) for report in self.board.unfinished()]

    # ---- shared with recovery

    def note(self, entry: dict[str, Any]) -> None:
        if not self.recalling:
            self._log.append(entry)

    def resume(self, now_ns: int, news: Iterable[tuple[str, QuoteEvent | TradeEvent | OHLCVBar]] = ()) -> list[Effect]:
        """Goes on where the journal ends: children that were wanted, reports not given. `unheard` has the refusals.

        `news`: of this very moment, which some parents have heard and others not; they all decide before anything is
        carried out, as they did when nobody died.

        A kill that the journal knows of holds, even where the switch itself was lost, and parents that had not heard of
        it when the process died hear of it now.
        """
        commands = [command for topic, one in news for command in self.board.take(topic, one, now_ns)]
        self.board.remembered(now_ns)
        commands += self.board.unreported(now_ns)
        if self.latched is not None:
            if not self.killed:
                self._trip()
            commands += self.board.tell_all(Cancel(f"killed by {self.latched[0]}: {self.latched[1]}"), now_ns)
        return self._carry_out(commands, now_ns)

    def unheard(self) -> list[Effect]:
        """The gate's refusals of which parents have not heard."""
        return [Deny(decision) for decision in self.denied.values()]

    def admit(self, request: Request, parent: Worked, arrival: float, now_ns: int) -> None:
        """Gives a parent a seat and writes it down; it does nothing yet."""
        entry: dict[str, Any] = {"k": entries.PARENT, "t": now_ns, "request": request.to_dict(), "arrival": arrival}
        if isinstance(parent, ParentOrder):
            entry["schedule"] = entries.from_schedule(Schedule(parent.plan, parent.curve, parent.notes))
        recorded = Recorded(parent, request.execution_id, self.note)
        self.board.admit(recorded, decision_price=request.decision_price)
        self.note(entry)
        self.parents[request.execution_id] = request
        if isinstance(parent, ParentOrder):
            self._machines[request.execution_id] = parent
        algo = request.algo
        self.gate.on_parent(request.execution_id, algo.symbol, algo.side, algo.total_quantity)

    def amended(self, execution_id: str, wish: Event) -> None:
        """The gate follows a parent that has taken a new quantity; one that is about to end takes none."""
        if isinstance(wish, Amend) and wish.quantity is not None and execution_id not in self.reports:
            machine = self._machines.get(execution_id)
            if machine is not None and machine.quantity != wish.quantity:
                return
            algo = self.parents[execution_id].algo
            qty = self._instruments[algo.symbol].qty(wish.quantity)
            self.gate.on_parent(execution_id, algo.symbol, algo.side, qty)

    def over(self, report: ExecutionReport) -> None:
        """A parent has ended."""
        self.reports[report.execution_id] = report
        self._machines.pop(report.execution_id, None)

    def saw(self, execution_id: str, market: Market) -> None:
        """The gate knows the prices that a parent saw before a restart, as old as they are."""
        symbol = self.parents[execution_id].algo.symbol
        self._show_gate(symbol, self._instruments[symbol], market)

    def book(self, event: VenueEvent | RiskDecision) -> None:
        """Order store and gate follow the venue's word."""
        match event:
            case FillEvent():
                self.gate.on_fill(event)
                if self.orders.fill(event):
                    self._on_fill(event)
            case OrderClosed():
                self.gate.on_closed(event)
                self.orders.closed(event)
            case OrderEvent():
                self.orders.accepted(event.intent_id)
            case OrderUnknown():
                self.orders.unknown(event.intent_id)
            case RiskDecision(allowed=False):
                self.orders.refused(event.intent_id)

    # ---- inside

    def _trip(self) -> None:
        """The journal has the kill: a switch that cannot be written shuts this process's gate and must not stop it."""
        assert self.latched is not None
        with suppress(OSError):
            self._kill.trip(*self.latched)

    def _carry_out(self, commands: list[Command], now_ns: int, said: list[Publish] | None = None) -> list[Effect]:
        """Children through the gate, and on their way."""
        self.now_ns = max(self.now_ns, now_ns)
        effects: list[Effect] = list(said or ())
        if not (commands or self.pending):
            return effects
        wanted = [*self.pending, *commands]
        self.pending.clear()
        lines: list[dict[str, Any]] = []
        sends = False
        for command in wanted:
            if isinstance(command, ExecutionReport):
                report = self._finished(command)
                self.over(report)
                lines.append({"k": entries.REPORT, "t": now_ns, "report": report.to_dict()})
                effects.append(Publish(topics.REPORT, report))
                continue
            self._price(command.symbol)  # the gate must not judge by an older market than the parent saw
            decision = self.gate.check(command, now_ns)
            lines.append(entries.of_order(command, decision, now_ns))
            effects += (Publish(topics.INTENT, command), Publish(topics.RISK, decision))
            if not decision.allowed:
                self.denied[command.intent_id] = decision
                effects.append(Deny(decision))
                continue
            sends = True
            if command.action == "cancel":
                self.orders.withdrawn(command)
                effects.append(Withdraw(command))
            else:
                self.orders.sent(command)
                effects.append(Submit(command))
        for line in lines:
            self.note(line)
        if sends:
            self._log.sync()
        return effects

    def _finished(self, report: ExecutionReport) -> ExecutionReport:
        return replace(report, settings={**self._settings, **report.settings})

    def _price(self, symbol: str) -> None:
        feed = self.board.feeds.get(symbol)
        if feed is not None and feed.market is not None:
            self._show_gate(symbol, feed.instrument, feed.market)

    def _show_gate(self, symbol: str, instrument: Instrument, market: Market) -> None:
        price = instrument.price
        self.gate.on_price(symbol, price(market.bid_ticks), price(market.ask_ticks), market.ts_ns)


_TOPICS: Final[dict[type, str]] = {
    FillEvent: topics.FILLS,
    OrderClosed: topics.CLOSED,
    OrderEvent: topics.ACCEPTED,
}
