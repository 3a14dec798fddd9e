"""The parent-order machine: events in, commands out, no I/O, time as an argument.

One definition for every algorithm and every driver. The rule says how many lots are due; the machine knows what is
filled and what may still fill, and never lets `filled + open + unknown` exceed the quantity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from core import ids
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision
from core.instrument import Instrument
from execution import rules
from execution.children import Child, Children, Parent, Standing, child_meta
from execution.contracts import ExecutionReport, Status, average_price
from execution.events import Amend, Cancel, Event, Market, OrderUnknown, Pause, Resume, Step, Wake
from execution.plan import NO_MARKET, NS_PER_MS, Completion, Plan, Style, View
from execution.states import ENDED, State, check_move

END_OF_HORIZON: Final = "end of horizon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is left to do and how long there is; an amendment makes new ones."""

    quantity: int
    horizon_ms: int
    limit_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """How a parent is worked: the rule, and the plan that it follows under given terms.

    `plan` raises ValueError where the terms cannot be met: fewer lots than the venue's minimum, say.
    """

    due: Callable[[Plan, View], int]
    plan: Callable[[Terms], Plan]
    retries: int = 3
    retry_ms: int = 1000
    pull_on_pause: bool = True


@dataclass(slots=True)
class _Trouble:
    """Refusals in a row and how long to wait because of them; the risk gate's refusals are kept for the report."""

    in_a_row: int = 0
    not_before_ns: int = 0
    no_cancel_before_ns: int = 0
    denials: list[str] = field(default_factory=list)


class ParentOrder:
    """A parent order at work. `on(event, now_ns)` is the only way in; `execution/states.py` has its states."""

    def __init__(self, parent: Parent, instrument: Instrument, algorithm: Algorithm, terms: Terms) -> None:
        self.parent = parent
        self.state = State.PENDING
        self.plan = algorithm.plan(terms)
        self.view = View()
        self.children = Children()
        self.quantity = terms.quantity
        self._instrument = instrument
        self._algorithm = algorithm
        self._start_ns = parent.start_ns  # of the present terms; the plan's times and quantities count from here
        self._filled_before = 0
        self._limit_ticks = terms.limit_ticks
        self._end_ns = parent.start_ns + terms.horizon_ms * NS_PER_MS
        self._now_ns = 0
        self._market_ns: int | None = None
        self._slice = -1
        self._trouble = _Trouble()
        self._waits_for_data = False
        self._reason: str | None = None
        self._outcome = State.CANCELLED
        self._ended_ns: int | None = None
        self._fills: list[FillEvent] = []
        self._cancels: dict[str, Child] = {}
        self._out: list[OrderIntent] = []

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def listens(self) -> bool:
        """Whether it wants every market update, and not only the newest one before each wake-up."""
        return self._waits_for_data

    def on(self, event: Event, now_ns: int) -> Step:
        """Takes one event. Repeated, late and foreign ones are harmless; time never runs backwards in here.

        Fills and closes are heard even after the end: the venue's word is final.
        """
        self._now_ns = max(self._now_ns, now_ns)
        self._out = []
        self._HEAR[type(event)](self, event)
        if not self.ended:
            self._act()
        return Step(tuple(self._out), self._wake_ns())

    def report(self) -> ExecutionReport:
        """Progress so far. Market prices and benchmarks are the driver's to add."""
        total = self._total_quantity()
        filled = self._instrument.qty(self.children.filled)
        status: Status = self.state.value if self.ended else "running"  # type: ignore[assignment]
        return ExecutionReport(
            execution_id=self.parent.execution_id,
            symbol=self.parent.symbol,
            total_quantity=total,
            filled_quantity=filled,
            remaining_quantity=max(0.0, total - filled),
            avg_fill_price=average_price(self._fills),
            total_fees=math.fsum(fill.fee for fill in self._fills),
            slices_completed=sum(1 for child in self.children if child.filled >= child.lots),
            slices_total=max(self.plan.slices, len(self.children)),
            status=status,
            start_ts_ns=self.parent.start_ns,
            end_ts_ns=self._ended_ns,
            side=self.parent.side,
            algo_type=self.parent.algo_type,
            strategy_id=self.parent.strategy_id,
            parent_intent_id=self.parent.parent_intent_id,
            venue=self.parent.venue or self._instrument.venue,
            unfilled_reason=self._unfilled_reason(total, filled),
            denials=tuple(self._trouble.denials),
            fills=tuple(self._fills),
        )

    # ---- hearing: what each event changes

    def _on_wake(self, _event: Wake) -> None:
        """Nothing but the time has changed."""

    def _on_market(self, event: Market) -> None:
        if self._market_ns is not None and event.ts_ns < self._market_ns:
            return
        self._market_ns = event.ts_ns
        self.view.bid_ticks = event.bid_ticks
        self.view.ask_ticks = event.ask_ticks
        if self._waits_for_data:
            self._waits_for_data = False
            self._move(State.WORKING)

    def _on_accepted(self, event: OrderEvent) -> None:
        child = self.children.get(event.intent_id)
        if child is not None and child.standing in (Standing.SENT, Standing.UNKNOWN):
            child.standing = Standing.OPEN

    def _on_fill(self, event: FillEvent) -> None:
        child = self.children.get(event.order_id)
        if child is not None and self.children.fill(child, event.fill_id, self._instrument.lots(event.qty)):
            self._fills.append(event)
            self._trouble.in_a_row = 0

    def _on_closed(self, event: OrderClosed) -> None:
        child = self.children.get(event.intent_id)
        if child is None:
            return
        asked = child.standing is Standing.CANCELLING
        if self.children.close(child, self._instrument.lots(event.cumulative_qty)):
            self._give_back(child)
            if event.status != "filled" and not asked:
                self._refused(f"{event.status} by the venue" + (f": {event.reason}" if event.reason else ""))

    def _on_decision(self, event: RiskDecision) -> None:
        if event.allowed:
            return
        reason = event.reason or "refused by the risk gate"
        target = self._cancels.get(event.intent_id)
        if target is not None and target.standing is Standing.CANCELLING:
            target.standing = Standing.OPEN
            self._trouble.no_cancel_before_ns = self._now_ns + self._algorithm.retry_ms * NS_PER_MS
            self._trouble.denials.append(f"{event.intent_id}: {reason}")
        child = self.children.get(event.intent_id)
        if child is not None and child.standing is Standing.SENT and self.children.close(child, 0):
            self._give_back(child)
            self._trouble.denials.append(f"{event.intent_id}: {reason}")
            self._refused(reason)

    def _on_unknown(self, event: OrderUnknown) -> None:
        child = self.children.get(event.intent_id)
        if child is not None and child.standing is not Standing.CLOSED:
            child.standing = Standing.UNKNOWN

    def _on_pause(self, event: Pause) -> None:
        if self.state in (State.PENDING, State.WORKING, State.CROSSING):
            self._move(State.PAUSED)
        if self.state is State.PAUSED:
            self._waits_for_data = False
            self._reason = event.reason

    def _on_resume(self, _event: Resume) -> None:
        if self.state is State.PAUSED and not self._waits_for_data:
            self._move(State.WORKING)
            self._reason = None

    def _on_cancel(self, event: Cancel) -> None:
        if not self.ended and self.state is not State.CLOSING:
            self._close(State.CANCELLED, event.reason)

    def _on_amend(self, event: Amend) -> None:
        if self.ended or self.state is State.CLOSING:
            return
        self.quantity = self.quantity if event.quantity is None else event.quantity
        self._end_ns = self._end_ns if event.end_ns is None else event.end_ns
        self._limit_ticks = self._limit_ticks if event.limit_ticks is None else event.limit_ticks
        if self.state is not State.AMENDING:
            self._waits_for_data = False
            self._move(State.AMENDING)

    _HEAR: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        Wake: _on_wake,
        Market: _on_market,
        OrderEvent: _on_accepted,
        FillEvent: _on_fill,
        OrderClosed: _on_closed,
        RiskDecision: _on_decision,
        OrderUnknown: _on_unknown,
        Pause: _on_pause,
        Resume: _on_resume,
        Cancel: _on_cancel,
        Amend: _on_amend,
    }

    # ---- acting: what follows from where it stands

    def _act(self) -> None:
        self._look()
        if self.children.filled >= self.quantity and self.children.reserved == 0:
            self._end(State.COMPLETED)
            return
        if self.state is State.AMENDING:
            self._amend()
        if self.state is State.PENDING and self.view.now_ms >= 0:
            self._move(State.WORKING)
        if self.state not in (State.CLOSING, State.AMENDING) and self.view.now_ms >= self.plan.end_ms:
            self._close(State.CANCELLED, self._reason or END_OF_HORIZON)
        if self.state is State.WORKING and self._crossing_time():
            self._move(State.CROSSING)
        self._ACT[self.state](self)

    def _work(self) -> None:
        lots = rules.child_lots(self.plan, self._algorithm.due(self.plan, self.view), self.view)
        if lots > 0:
            self._send(lots, marketable=self.plan.style == Style.MARKET)

    def _cross(self) -> None:
        self._pull(resting_only=True)
        free = self.plan.quantity - self.view.filled - self.view.open_lots
        if free >= self.plan.min_lots and all(child.marketable for child in self.children.live()):
            self._send(free, marketable=True)

    def _rest(self) -> None:
        if self._algorithm.pull_on_pause and not self._waits_for_data:
            self._pull()

    def _wind_up(self) -> None:
        self._pull()
        if self.children.reserved == 0:
            self._end(self._outcome)

    def _wait(self) -> None:
        """Its start, or the evidence for an amendment, has not come."""

    _ACT: ClassVar[dict[State, Callable[[Any], None]]] = {
        State.PENDING: _wait,
        State.WORKING: _work,
        State.PAUSED: _rest,
        State.AMENDING: _wait,
        State.CROSSING: _cross,
        State.CLOSING: _wind_up,
    }

    def _look(self) -> None:
        """Brings the view up to date; a new slice begins with nothing sent."""
        view = self.view
        view.now_ms = (self._now_ns - self._start_ns) // NS_PER_MS
        view.filled = self.children.filled - self._filled_before
        view.open_lots = self.children.reserved
        if self._market_ns is not None:
            view.market_ms = (self._market_ns - self._start_ns) // NS_PER_MS
        begun = rules.slices_begun(self.plan, view.now_ms) - 1
        if begun != self._slice:
            self._slice = begun
            view.sent_in_slice = 0

    def _send(self, lots: int, *, marketable: bool) -> None:
        if self._now_ns < self._trouble.not_before_ns:
            return
        if rules.blind(self.plan, self.view) or (not marketable and self.view.market_ms == NO_MARKET):
            self._waits_for_data = True
            self._move(State.PAUSED)
            return
        ticks = self.plan.limit_ticks if marketable else rules.rest_ticks(self.plan, self.view)
        price = self._instrument.price(ticks) if ticks else None
        number = len(self.children)
        child = Child(ids.child_id(self.parent.execution_id, number), number, self._slice, lots, marketable, price)
        self.children.add(child)
        self.view.sent_in_slice += lots
        self.view.open_lots += lots
        scheduled = self._start_ns + rules.slice_start_ms(self.plan, self._slice) * NS_PER_MS
        self._out.append(
            OrderIntent(
                child.intent_id,
                self._now_ns,
                self.parent.strategy_id,
                self.parent.symbol,
                self.parent.side,
                "market" if price is None else "limit",
                self._instrument.qty(lots),
                price,
                child_meta(self.parent, child.slice_idx, scheduled),
                expires_ts_ns=self._start_ns + self.plan.end_ms * NS_PER_MS,
            )
        )

    def _pull(self, *, resting_only: bool = False) -> None:
        """Asks to cancel what is open; what is unknown keeps its lots reserved until there is evidence."""
        if self._now_ns < self._trouble.no_cancel_before_ns:
            return
        for child in self.children.live():
            if child.standing in (Standing.SENT, Standing.OPEN) and not (resting_only and child.marketable):
                child.standing = Standing.CANCELLING
                child.cancels += 1
                intent = OrderIntent(
                    ids.cancel_id(child.intent_id, child.cancels),
                    self._now_ns,
                    self.parent.strategy_id,
                    self.parent.symbol,
                    self.parent.side,
                    "market" if child.limit_price is None else "limit",
                    self._instrument.qty(child.reserved),
                    child.limit_price,
                    child_meta(self.parent, child.slice_idx, self._now_ns),
                    action="cancel",
                    target_intent_id=child.intent_id,
                )
                self._cancels[intent.intent_id] = child
                self._out.append(intent)

    def _amend(self) -> None:
        """Once nothing is open, begins anew with what is left; an impossible amendment ends the parent and says why."""
        self._pull()
        if self.children.reserved:
            return
        left = self.quantity - self.children.filled
        terms = Terms(
            quantity=left, horizon_ms=(self._end_ns - self._now_ns) // NS_PER_MS, limit_ticks=self._limit_ticks
        )
        try:
            plan = self._algorithm.plan(terms)
        except ValueError as error:
            self._close(State.CANCELLED, f"cannot be amended: {error}")
            return
        self.plan = plan
        self._start_ns = self._now_ns
        self._filled_before = self.children.filled
        self._slice = -1
        self._look()
        self._move(State.WORKING)

    def _crossing_time(self) -> bool:
        plan = self.plan
        return plan.completion == Completion.COMPLETE and self.view.now_ms >= plan.horizon_ms - plan.completion_ms

    def _give_back(self, child: Child) -> None:
        """What a closed child did not fill may be sent again in its slice."""
        if child.slice_idx == self._slice:
            self.view.sent_in_slice -= max(0, child.lots - (child.total or 0))

    def _refused(self, reason: str) -> None:
        """Waits twice as long after each refusal in a row; fails after too many."""
        if self.state is State.CLOSING or self.ended:
            return
        trouble = self._trouble
        trouble.in_a_row += 1
        if trouble.in_a_row > self._algorithm.retries:
            self._close(State.FAILED, reason)
            return
        wait_ms = self._algorithm.retry_ms << min(trouble.in_a_row - 1, 20)
        trouble.not_before_ns = self._now_ns + wait_ms * NS_PER_MS

    def _close(self, outcome: State, reason: str) -> None:
        self._outcome = outcome
        self._reason = reason
        self._waits_for_data = False
        self._move(State.CLOSING)

    def _end(self, outcome: State) -> None:
        self._move(outcome)
        self._waits_for_data = False
        self._ended_ns = self._now_ns

    def _move(self, new: State) -> None:
        self.state = check_move(self.state, new)

    # ---- waking

    def _wake_ns(self) -> int | None:
        """The earliest moment at which time alone would change something."""
        if self.ended:
            return None
        plan, now_ns = self.plan, self._now_ns
        moments = [self._end_ns] if self.state is State.AMENDING else [self._at(plan.end_ms)]
        if self.state in (State.PENDING, State.WORKING):
            begun = self._slice + 1
            if begun < plan.slices:
                moments.append(self._at(rules.slice_start_ms(plan, begun)))
            if plan.completion == Completion.COMPLETE:
                moments.append(self._at(plan.horizon_ms - plan.completion_ms))
        if self.state is not State.PENDING:
            moments += (self._trouble.not_before_ns, self._trouble.no_cancel_before_ns)
        return min((moment for moment in moments if moment > now_ns), default=None)

    def _at(self, ms: int) -> int:
        return self._start_ns + ms * NS_PER_MS

    # ---- reporting

    def _total_quantity(self) -> float:
        wanted = self.parent.total_quantity
        return wanted if self._instrument.lots(wanted) == self.quantity else self._instrument.qty(self.quantity)

    def _unfilled_reason(self, total: float, filled: float) -> str | None:
        if not self.ended or filled >= total:
            return None
        if self.state is State.COMPLETED:
            return f"the rest is less than one lot of {self._instrument.lot}"
        return self._reason
