"""The parent-order machine: events in, commands out, no I/O, time as an argument.

One definition for every algorithm and every driver. The rule says how many lots are due; the machine knows what is
filled and what may still fill, and never lets `filled + open + unknown` exceed the quantity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from core import ids
from core.contracts import FillEvent, OrderClosed, OrderEvent, RiskDecision
from core.instrument import Instrument
from execution import rules, volume
from execution.algorithm import Algorithm, Schedule, Terms
from execution.children import Child, Children, Parent, Standing
from execution.contracts import ExecutionReport
from execution.events import Amend, Cancel, Event, Market, OrderUnknown, Pause, Resume, Step, Wake
from execution.outbox import Outbox
from execution.plan import NO_MARKET, NS_PER_MS, Completion, Style, View
from execution.progress import END_OF_HORIZON, Record, progress
from execution.states import ENDED, State, check_move

NO_DATA: Final = "no fresh market data"
MOST_DOUBLINGS: Final = 10  # of the wait between two attempts
THIN: Final = "a slice traded less than the minimum volume"


@dataclass(slots=True)
class _Trouble:
    """Refusals in a row, and how long to wait because of them."""

    in_a_row: int = 0
    not_before_ns: int = 0


class ParentOrder:
    """A parent order at work. `on(event, now_ns)` is the only way in; `execution/states.py` has its states."""

    def __init__(self, parent: Parent, instrument: Instrument, algorithm: Algorithm, terms: Terms) -> None:
        self.parent = parent
        self.state = State.PENDING
        self.plan, self.curve, self.notes = algorithm.schedule(terms)
        self.view = View()
        self.children = Children()
        self.record = Record()
        self.quantity = terms.quantity
        self.instrument = instrument
        self.algorithm = algorithm
        self._start_ns = parent.start_ns  # of the present terms; the plan's times and quantities count from here
        self._filled_before = 0
        self._limit_ticks = terms.limit_ticks
        self._end_ns = parent.start_ns + terms.horizon_ms * NS_PER_MS
        self._now_ns = 0
        self._market_ns: int | None = None
        self._tape = 0  # the market's cumulative lots, and where they stood when the present terms began
        self._tape_before: int | None = None
        self._held = False  # paused by request, and not by missing data
        self._slice = -1
        self._trouble = _Trouble()
        self._waits_for: str | None = None  # why it has paused by itself
        self._outcome = State.CANCELLED
        self._outbox = Outbox(parent, instrument)

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def has_seen_market(self) -> bool:
        return self._market_ns is not None

    @property
    def listens(self) -> bool:
        """Whether it wants every market update, and not only the newest one before each wake-up."""
        return self._waits_for == NO_DATA or self.plan.style in (Style.PEG, Style.REST_THEN_CROSS)

    @property
    def pause_reason(self) -> str | None:
        """Why it is paused; None where it is not."""
        return (self._waits_for or self.record.reason) if self.state is State.PAUSED else None

    def on(self, event: Event, now_ns: int) -> Step:
        """Takes one event. Repeated, late and foreign ones are harmless; time never runs backwards in here.

        Fills and closes are heard even after the end: the venue's word is final.
        """
        self._now_ns = max(self._now_ns, now_ns)
        self._HEAR[type(event)](self, event)
        if not self.ended:
            self._act()
        return Step(self._outbox.take(), self._wake_ns())

    def adopt(self, schedule: Schedule) -> None:
        """Follows a schedule that was made before, and not the one that its history would give today.

        Raises ValueError once it has heard anything.
        """
        if self._now_ns:
            raise ValueError(f"{self.parent.execution_id} has begun: it cannot adopt another schedule")
        self.plan, self.curve, self.notes = schedule

    def planned(self) -> list[tuple[int, int]]:
        """When each slice begins (ns), and the lots due from then on; empty where volume or a display decides that."""
        plan, curve = self.plan, self.curve
        if plan.display or plan.ratio_ppm:
            return []
        return [
            (
                self._at(rules.slice_start_ms(plan, curve, k)),
                self._filled_before + (curve.targets[k] if curve.targets else plan.quantity * (k + 1) // plan.slices),
            )
            for k in range(plan.slices)
        ]

    def report(self) -> ExecutionReport:
        """Progress so far. Market prices and benchmarks are the driver's to add."""
        return progress(self)

    @property
    def is_patient(self) -> bool:
        """Whether it would do nothing about the market, or about a fill that leaves something of its child, until it
        wakes or a child ends; so far as its rule reads what is new with each slice, and `filled + open` alone."""
        return (
            self.state is State.WORKING
            and not self.listens
            and not self.plan.display
            and not self._trouble.in_a_row
            and self._due_lots() == 0
        )

    def book(self, fill: FillEvent) -> bool:
        """Hears of a fill as `on` would while it `is_patient`; False, and nothing is booked, where its child ends."""
        child = self.children.get(fill.order_id)
        lots = self.instrument.lots(fill.qty)
        if child is None or child.standing not in (Standing.SENT, Standing.OPEN) or child.filled + lots >= child.lots:
            return False
        if self.children.fill(child, fill.fill_id, lots):
            self.record.fills.append(fill)
        return True

    # ---- hearing: what each event changes

    def _on_wake(self, _event: Wake) -> None:
        """Nothing but the time has changed."""

    def _on_market(self, event: Market) -> None:
        one_sided = event.bid_ticks <= 0 or event.ask_ticks <= 0  # has no mid: as good as no data
        if one_sided or (self._market_ns is not None and event.ts_ns < self._market_ns):
            return
        self._market_ns = event.ts_ns
        self.view.bid_ticks = event.bid_ticks
        self.view.ask_ticks = event.ask_ticks
        self._tape = max(self._tape, event.tape_lots)
        if self._waits_for == NO_DATA:
            self._work_on()

    def _on_accepted(self, event: OrderEvent) -> None:
        child = self.children.get(event.intent_id)
        if child is not None and child.standing in (Standing.SENT, Standing.UNKNOWN):
            child.standing = Standing.OPEN

    def _on_fill(self, event: FillEvent) -> None:
        child = self.children.get(event.order_id)
        if child is not None and self.children.fill(child, event.fill_id, self.instrument.lots(event.qty)):
            self.record.fills.append(event)
            self._trouble.in_a_row = 0

    def _on_closed(self, event: OrderClosed) -> None:
        child = self.children.get(event.intent_id)
        if child is None:
            return
        asked = child.cancels > 0
        if self.children.close(child, self.instrument.lots(event.cumulative_qty)):
            self._give_back(child)
            if event.status != "filled" and not asked:
                self._refused(f"{event.status} by the venue" + (f": {event.reason}" if event.reason else ""))

    def _on_decision(self, event: RiskDecision) -> None:
        if event.allowed:
            return
        reason = event.reason or "refused by the risk gate"
        target = self._outbox.cancelled_by(event.intent_id)
        if target is not None and target.standing is Standing.CANCELLING:
            target.standing = Standing.OPEN
            self.record.denials.append(f"{event.intent_id}: {reason}")
        child = self.children.get(event.intent_id)
        if child is not None and child.filled == 0 and self.children.close(child, 0):
            self._give_back(child)
            self.record.denials.append(f"{event.intent_id}: {reason}")
            self._refused(reason)

    def _on_unknown(self, event: OrderUnknown) -> None:
        child = self.children.get(event.intent_id)
        if child is not None and child.standing is not Standing.CLOSED:
            child.standing = Standing.UNKNOWN

    def _on_pause(self, event: Pause) -> None:
        if self.state in (State.PENDING, State.WORKING, State.CROSSING):
            self._move(State.PAUSED)
        if self.state in (State.PAUSED, State.AMENDING):
            self._held = True
            self._waits_for = None
            self.record.reason = event.reason

    def _on_resume(self, _event: Resume) -> None:
        if self._held and self.state in (State.PAUSED, State.AMENDING):
            self._held = False
            self.record.reason = None
            if self.state is State.PAUSED:
                self._move(State.WORKING)

    def _on_cancel(self, event: Cancel) -> None:
        if not self.ended and self.state is not State.CLOSING:
            self._close(State.CANCELLED, event.reason)

    def _on_amend(self, event: Amend) -> None:
        if self.ended or self.state is State.CLOSING:
            return
        self.quantity = self.quantity if event.quantity is None else event.quantity
        extended = self._now_ns >= self._end_ns and not self.ended
        end_ns = self._at(self.plan.end_ms) if extended else self._end_ns
        self._end_ns = end_ns if event.end_ns is None else event.end_ns
        self._limit_ticks = self._limit_ticks if event.limit_ticks is None else event.limit_ticks
        if self.state is not State.AMENDING:
            self._waits_for = None
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
            self._close(State.CANCELLED, self.record.reason or END_OF_HORIZON)
        if self._waits_for == THIN and (self._crossing_time() or not self._thin()):
            self._work_on()
        if self.state is State.WORKING and self._crossing_time():
            self._move(State.CROSSING)
        self._ACT[self.state](self)

    def _work(self) -> None:
        if self.view.now_ms < 0:
            return  # resumed or amended before its start
        if self._thin():
            self._pause_for(THIN)
        elif self.plan.display:
            self._show()
        elif self.plan.style == Style.REST_THEN_CROSS and self._crossing_in_slice():
            self._cross(self._due_lots())
        else:
            self._follow()
            lots = self._due_lots()
            if lots > 0:
                self._send(lots, marketable=self.plan.style == Style.MARKET)

    def _due_lots(self) -> int:
        plan, curve, view = self.plan, self.curve, self.view
        room = rules.slice_room(plan, curve, view, self._slice)
        return rules.child_lots(plan, self.algorithm.due(plan, curve, view), room, view)

    def _show(self) -> None:
        """Shows clips on each price level, as far as what was shown there is known to be gone."""
        self._follow()
        before = 0
        for level in range(self.plan.levels):
            display = self.curve.targets[level] - before
            before = self.curve.targets[level]
            shown = sum(child.reserved for child in self.children.live() if child.level == level)
            lots = rules.clip_lots(self.plan, display, shown, self.view, self.algorithm.draw(len(self.children)))
            if lots > 0 and self.state is State.WORKING:
                self._send(lots, marketable=False, level=level)

    def _follow(self) -> None:
        """Pulls resting children from which the touch has moved away; their lots come back once that is certain."""
        if self.plan.style in (Style.PEG, Style.REST_THEN_CROSS) and self.view.market_ms != NO_MARKET:
            self._pull(
                lambda child: (
                    not child.marketable
                    and rules.has_strayed(
                        self.plan, child.limit_ticks, rules.rest_ticks(self.plan, self.view, child.level)
                    )
                )
            )

    def _cross_rest(self) -> None:
        free = self.plan.quantity - self.view.filled - self.view.open_lots
        self._cross(free if free >= self.plan.min_lots else 0)

    def _cross(self, lots: int) -> None:
        """Pulls what rests or is left behind, takes once nothing rests; what a pull frees comes with the next event."""
        self._pull(lambda child: not child.marketable or rules.is_behind(self.plan, self.view, child.limit_ticks))
        if lots > 0 and all(child.marketable for child in self.children.live()):
            self._send(lots, marketable=True)

    def _rest(self) -> None:
        if self.algorithm.pull_on_pause and self._waits_for is None:
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
        State.CROSSING: _cross_rest,
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
        begun = rules.intervals_begun(self.plan, self.curve, view.now_ms) - 1
        if begun != self._slice:
            self._slice = begun
            if self._tape_before is None:
                self._tape_before = self._tape
            own = view.filled if self.plan.own_in_tape else 0
            volume.begin_slice(self.plan, view, max(0, begun), max(0, self._tape - self._tape_before - own))

    def _send(self, lots: int, *, marketable: bool, level: int = 0) -> None:
        if self._now_ns < self._trouble.not_before_ns:
            return
        if rules.blind(self.plan, self.view) or (not marketable and self.view.market_ms == NO_MARKET):
            self._pause_for(NO_DATA)
            return
        plan, view = self.plan, self.view
        ticks = rules.cross_ticks(plan, view) if marketable else rules.rest_ticks(plan, view, level)
        number = len(self.children)
        index = number if plan.display else min(self._slice, plan.slices - 1)
        name = ids.child_id(self.parent.execution_id, number)
        child = Child(name, number, index, lots, marketable, ticks, level)
        self.children.add(child)
        view.sent_in_slice += lots
        view.open_lots += lots
        scheduled = self._now_ns
        if not plan.display:
            scheduled = self._at(rules.slice_start_ms(plan, self.curve, self._slice))
        self._outbox.send(child, self._now_ns, scheduled_ts_ns=scheduled, expires_ts_ns=self._at(plan.end_ms))

    def _pull(self, which: Callable[[Child], bool] = lambda _child: True) -> None:
        """Asks to cancel what may still be open, and again, ever more seldom, while nobody answers.

        What is being cancelled or unknown keeps its lots reserved until there is evidence.
        """
        for child in self.children.live():
            if child.standing is not Standing.CLOSED and self._now_ns >= child.ask_again_ns and which(child):
                if child.standing is not Standing.UNKNOWN:
                    child.standing = Standing.CANCELLING
                child.ask_again_ns = self._now_ns + self._wait_ns(child.cancels)
                child.cancels += 1
                self._outbox.cancel(child, self._now_ns)

    def _amend(self) -> None:
        """Once nothing is open, begins anew with what is left; an impossible amendment ends the parent and says why."""
        self._pull()
        if self.children.reserved:
            return
        self.quantity = max(self.quantity, self.children.filled)
        left = self.quantity - self.children.filled
        start_ns = max(self._now_ns, self.parent.start_ns)
        horizon_ms = (self._end_ns - start_ns) // NS_PER_MS
        terms = Terms(quantity=left, horizon_ms=horizon_ms, limit_ticks=self._limit_ticks, start_ns=start_ns)
        try:
            schedule = self.algorithm.schedule(terms)
        except ValueError as error:
            self._close(State.CANCELLED, f"cannot be amended: {error}")
            return
        self.plan, self.curve, self.notes = schedule
        self.view = View(bid_ticks=self.view.bid_ticks, ask_ticks=self.view.ask_ticks)
        self._tape_before = None
        self._start_ns = start_ns
        self._filled_before = self.children.filled
        self._slice = -1
        self._look()
        self._move(State.PAUSED if self._held else State.WORKING)

    def _crossing_time(self) -> bool:
        plan = self.plan
        return plan.completion == Completion.COMPLETE and self.view.now_ms >= plan.horizon_ms - plan.completion_ms

    def _crossing_in_slice(self) -> bool:
        index = min(self._slice, self.plan.slices - 1)
        return self.view.now_ms >= rules.cross_start_ms(self.plan, self.curve, index)

    def _thin(self) -> bool:
        return volume.is_thin(self.plan, self.view, self._slice)

    def _pause_for(self, reason: str) -> None:
        self._waits_for = reason
        self.record.pauses[reason] += 1
        self._move(State.PAUSED)

    def _work_on(self) -> None:
        self._waits_for = None
        self._move(State.WORKING)

    def _give_back(self, child: Child) -> None:
        """What a closed child did not fill may be sent again in its slice."""
        if child.slice_idx == min(self._slice, self.plan.slices - 1):
            self.view.sent_in_slice = max(0, self.view.sent_in_slice - max(0, child.lots - (child.total or 0)))

    def _refused(self, reason: str) -> None:
        """Waits twice as long after each refusal in a row; fails after too many."""
        if self.state is State.CLOSING or self.ended or self._now_ns >= self._at(self.plan.end_ms):
            return
        trouble = self._trouble
        trouble.in_a_row += 1
        if trouble.in_a_row > self.algorithm.retries:
            self._close(State.FAILED, reason)
            return
        trouble.not_before_ns = self._now_ns + self._wait_ns(trouble.in_a_row - 1)

    def _wait_ns(self, attempts: int) -> int:
        """How long to wait after so many attempts before the last."""
        return (self.algorithm.retry_ms << min(attempts, MOST_DOUBLINGS)) * NS_PER_MS

    def _close(self, outcome: State, reason: str) -> None:
        self._outcome = outcome
        self.record.reason = reason
        self._waits_for = None
        self._move(State.CLOSING)

    def _end(self, outcome: State) -> None:
        self._move(outcome)
        self._waits_for = None
        self.record.ended_ns = self._now_ns

    def _move(self, new: State) -> None:
        self.state = check_move(self.state, new)

    # ---- waking

    def _wake_ns(self) -> int | None:
        """The earliest moment at which time alone would change something."""
        if self.ended:
            return None
        plan, now_ns = self.plan, self._now_ns
        moments = [self._end_ns] if self.state is State.AMENDING else [self._at(plan.end_ms)]
        if self.state in (State.PENDING, State.WORKING) or self._waits_for == THIN:
            moments.append(self._at(rules.slice_start_ms(plan, self.curve, self._slice + 1)))
            if plan.style == Style.REST_THEN_CROSS and 0 <= self._slice < plan.slices:
                moments.append(self._at(rules.cross_start_ms(plan, self.curve, self._slice)))
            if plan.completion == Completion.COMPLETE:
                moments.append(self._at(plan.horizon_ms - plan.completion_ms))
        if self.state is not State.PENDING:
            moments.append(self._trouble.not_before_ns)
            moments += [child.ask_again_ns for child in self.children.live() if child.cancels]
        return min((moment for moment in moments if moment > now_ns), default=None)

    def _at(self, ms: int) -> int:
        return self._start_ns + ms * NS_PER_MS
