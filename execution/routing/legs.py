"""Where each child goes, and a child that goes to several venues at once, seen by its parent as one.

`Venued` stands between a parent and whoever drives it. A child gets its venue when it is sent, so a venue that refuses
or falls silent is left out from then on; where no venue can be used the child comes back rejected, and its parent tries
again as it does after any refusal. A child that is split has legs with ids of their own (`{child}-v{n}`); their fills
are the child's, it closes when all of them have, and a request to cancel it goes to each that is open.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision
from core.instrument import Instrument
from execution.contracts import ExecutionReport
from execution.desk import Worked
from execution.events import Amend, Cancel, Event, OrderUnknown, Pause, Step
from execution.routing.rests import Rests
from execution.routing.venue_choice import VenueChoice

NOWHERE = "no venue can take it"


@dataclass(slots=True)
class _Leg:
    venue: str
    qty: float
    done: bool = False
    filled: float = 0.0


@dataclass(slots=True)
class _Split:
    child: OrderIntent
    legs: dict[str, _Leg] = field(default_factory=dict)
    fills: set[str] = field(default_factory=set)
    accepted: bool = False
    last_words: str | None = None
    denied: int = 0


class Venued:
    """A parent whose children carry venues; the module says how."""

    def __init__(self, parent: Worked, instrument: Instrument, choice: VenueChoice) -> None:
        self._parent = parent
        self._instrument = instrument
        self._choice = choice
        self._splits: dict[str, _Split] = {}  # by child
        self._child_of: dict[str, str] = {}  # by leg
        self._cancel_of: dict[str, str] = {}  # by a leg's cancel
        self._venue_of: dict[str, str] = {}  # by the order that is at the venue
        self._rests = Rests(instrument, choice)
        self._wake_ns: int | None = None

    @property
    def ended(self) -> bool:
        return self._parent.ended

    @property
    def listens(self) -> bool:
        return self._parent.listens

    def report(self) -> ExecutionReport:
        return self._parent.report()

    def on(self, event: Event, now_ns: int) -> Step:
        waiting: deque[Event] = deque()
        asked = isinstance(event, Cancel | Pause | Amend)
        self._rests.heard(event, now_ns)
        waiting.extend(self._inward(event, now_ns))
        out: list[OrderIntent] = []
        while waiting:
            step = self._parent.on(waiting.popleft(), now_ns)
            self._wake_ns = step.wake_ns
            for command in step.commands:
                sent = self._outward(command, now_ns)
                out += sent
                self._rests.sent(sent, asked=asked)
                if not sent and command.action == "new":
                    waiting.append(OrderClosed(command.intent_id, "", "rejected", 0.0, now_ns, NOWHERE))
        return Step(tuple(out), self._wake_ns)

    # ---- to the venues

    def _outward(self, command: OrderIntent, now_ns: int) -> list[OrderIntent]:
        if command.action == "cancel":
            return self._cancels(command)
        legs = self._choice.legs(command, now_ns)
        if len(legs) < 2:
            return [self._at(command, command.intent_id, venue, command.qty) for venue, _ in legs]
        parts = _Split(command)
        self._splits[command.intent_id] = parts
        sent = []
        for number, (venue, qty) in enumerate(legs, 1):
            name = f"{command.intent_id}-v{number}"
            parts.legs[name] = _Leg(venue, qty)
            self._child_of[name] = command.intent_id
            sent.append(self._at(command, name, venue, qty))
        return sent

    def _at(self, command: OrderIntent, name: str, venue: str, qty: float) -> OrderIntent:
        self._venue_of[name] = venue
        return replace(command, intent_id=name, qty=qty, meta={**command.meta, "venue": venue})

    def _cancels(self, command: OrderIntent) -> list[OrderIntent]:
        target = str(command.target_intent_id)
        parts = self._splits.get(target)
        if parts is None:
            venue = self._venue_of.get(target)
            return [command if venue is None else replace(command, meta={**command.meta, "venue": venue})]
        sent = []
        for number, (name, leg) in enumerate(parts.legs.items(), 1):
            if not leg.done:
                own = f"{command.intent_id}-v{number}"
                self._cancel_of[own] = command.intent_id
                left = leg.qty - leg.filled
                sent.append(
                    replace(
                        command,
                        intent_id=own,
                        target_intent_id=name,
                        qty=left if left > 0 else leg.qty,
                        meta={**command.meta, "venue": leg.venue},
                    )
                )
        return sent

    # ---- from the venues

    def _inward(self, event: Event, now_ns: int) -> list[Event]:
        """The event as the parent knows its children: none where it is not its business."""
        told: Event | None = event
        match event:
            case FillEvent():
                self._works(event.order_id)
                return self._filled(event)
            case OrderEvent():
                self._works(event.intent_id)
                told = self._accepted(event)
            case OrderClosed():
                if event.status == "rejected" and event.intent_id in self._venue_of:
                    self._choice.health.refused(self._venue_of[event.intent_id], now_ns, event.reason or "rejected")
                told = self._closed(event, event.intent_id, event.cumulative_qty, event.status)
            case RiskDecision():
                told = self._decided(event, now_ns)
            case OrderUnknown():
                told = replace(event, intent_id=self._child_of.get(event.intent_id, event.intent_id))
        return [] if told is None else [told]

    def _filled(self, event: FillEvent) -> list[Event]:
        """A leg that has filled is over, whether its venue says so or not; the child may be, too."""
        child = self._child_of.get(event.order_id)
        if child is None:
            return [event]
        parts = self._splits[child]
        leg = parts.legs[event.order_id]
        told: list[Event] = [replace(event, order_id=child)]
        if event.fill_id in parts.fills:
            return told
        parts.fills.add(event.fill_id)
        leg.filled += event.qty
        lots = self._instrument.lots
        if not leg.done and lots(leg.filled) >= lots(leg.qty):
            over = OrderClosed(event.order_id, leg.venue, "filled", leg.filled, event.ts_fill_ns)
            closed = self._closed(over, event.order_id, leg.filled, "filled")
            told += [] if closed is None else [closed]
        return told

    def _works(self, order: str) -> None:
        if order in self._venue_of:
            self._choice.health.worked(self._venue_of[order])

    def _accepted(self, event: OrderEvent) -> Event | None:
        child = self._child_of.get(event.intent_id)
        if child is None:
            return event
        parts = self._splits[child]
        if parts.accepted:
            return None
        parts.accepted = True
        return replace(event, intent_id=child, qty=parts.child.qty)

    def _closed(self, event: OrderClosed, name: str, total: float, status: str) -> Event | None:
        if name in self._cancel_of:
            return replace(event, intent_id=self._cancel_of[name])
        child = self._child_of.get(name)
        if child is None:
            return event
        parts = self._splits[child]
        leg = parts.legs[name]
        leg.done = True
        leg.filled = max(leg.filled, total)
        if status != "filled":
            parts.last_words = event.reason or parts.last_words
        if not all(one.done for one in parts.legs.values()):
            return None
        lots = sum(self._instrument.lots(one.filled) for one in parts.legs.values())
        got = self._instrument.qty(lots)
        whole = lots >= self._instrument.lots(parts.child.qty)
        nothing = lots == 0 and status == "rejected"
        return replace(
            event,
            intent_id=child,
            status="filled" if whole else "rejected" if nothing else "cancelled",
            cumulative_qty=got,
            reason=None if whole else parts.last_words,
        )

    def _decided(self, event: RiskDecision, now_ns: int) -> Event | None:
        if event.allowed:
            return event
        if event.intent_id in self._cancel_of:
            return replace(event, intent_id=self._cancel_of[event.intent_id])
        child = self._child_of.get(event.intent_id)
        if child is None:
            return event
        parts = self._splits[child]
        parts.denied += not parts.legs[event.intent_id].done
        closed = OrderClosed(
            event.intent_id, parts.legs[event.intent_id].venue, "cancelled", 0.0, now_ns, f"denied: {event.reason}"
        )
        told = self._closed(closed, event.intent_id, 0.0, "cancelled")
        if told is not None and parts.denied == len(parts.legs):
            return replace(event, intent_id=child)
        return told
