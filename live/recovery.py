"""An engine made again from its journal, and what the venue must be asked before it goes on.

Whatever part of a journal there is, from its beginning to any line, is a state that the engine can go on from: parents
hear what they heard, in that order, and want the same children again; those that the journal knows as sent are not sent
a second time. What may have reached the venue without an answer is asked for, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from broker.base import VenueOrder
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision
from core.errors import DataError
from execution.contracts import ExecutionReport
from execution.events import Amend, Market, OrderUnknown, Pause, Resume, Wake
from execution.events import Cancel as CancelParent
from execution.intake import Request
from execution.parent import ParentOrder
from live import entries
from live.effects import Effect, Submit, Withdraw
from live.engine import Engine, VenueEvent
from live.orders import DUST, SentOrder, Standing

NEVER_ARRIVED: Final = "the venue has never had it"
FORGOTTEN: Final = "the venue does not know it any more"
RESEND_WITHIN_NS: Final = 1_000_000_000  # an older order was meant for another market: its parent decides anew


class JournalMismatchError(DataError):
    """This program, fed with the journal, does not do what the journal says was done."""


def recall(engine: Engine, journal: Iterable[Mapping[str, Any]]) -> int:
    """Brings a fresh engine to where the journal ends and returns the number of entries read; sends nothing.

    Raises JournalMismatchError where a parent now wants something else than it did then: another version of the
    program, or other settings; ValueError for an entry that cannot be read.
    """
    count = 0
    engine.recalling = True
    try:
        for entry in journal:
            count += 1
            _ENTRIES[entry["k"]](engine, entry)
            engine.now_ns = max(engine.now_ns, int(entry["t"]))
    finally:
        engine.recalling = False
    return count


class Unsettled(NamedTuple):
    """An order that may still trade, and the request to cancel it that may have been lost."""

    order: SentOrder
    withdrawal: OrderIntent | None

    @property
    def intent_id(self) -> str:
        return self.order.intent.intent_id


def unsettled(engine: Engine) -> list[Unsettled]:
    """What must be asked of the venue before the engine goes on."""
    return [Unsettled(order, order.withdrawal) for order in engine.orders.live()]


def settle(
    engine: Engine, open_question: Unsettled, found: VenueOrder | None, now_ns: int, *, resend: bool = False
) -> list[Effect]:
    """What follows from the venue's word on an order; `found` None: it definitely never had it, or has forgotten it.

    Then it counts as closed. With `resend`, right after a restart at a venue that forgets nothing, it is sent again
    under the same id where it was wanted a moment ago, and is wanted still, and nobody has tripped the kill switch.
    Fills and closes that were missed are heard now; a cancel that may not have arrived goes again.
    """
    order, withdrawal = open_question
    intent = order.intent
    if found is None:
        old = now_ns - intent.ts_local_ns > RESEND_WITHIN_NS
        expired = old or (intent.expires_ts_ns is not None and intent.expires_ts_ns <= now_ns)
        # It was there once, or is not wanted any more.
        withdrawn = order.standing is not Standing.SENT or withdrawal is not None
        if not resend or engine.killed or expired or withdrawn:
            why = FORGOTTEN if order.standing is Standing.OPEN or order.filled else NEVER_ARRIVED
            return engine.venue(OrderClosed(intent.intent_id, "", "cancelled", order.filled, now_ns, why), now_ns)
        return [Submit(intent)]
    effects = _accept(engine, order, found, now_ns)
    for fill in found.fills:
        if fill.fill_id not in order.fill_ids:
            effects += engine.venue(fill, now_ns)
    if found.is_open and withdrawal is not None:
        effects.append(Withdraw(withdrawal))
    if not found.is_open and order.standing is not Standing.CLOSED and order.may_trade:
        effects += engine.venue(_closure(order, found, now_ns), now_ns)
    return effects


def from_fills(order: SentOrder, fills: Iterable[FillEvent]) -> VenueOrder | None:
    """An order that its venue does not find any more, as the account's fills show it; None where they do not."""
    intent = order.intent
    own = tuple(fill for fill in fills if fill.order_id == intent.intent_id)
    if not own:
        return None
    filled = sum(fill.qty for fill in own)
    whole = filled >= intent.qty * (1 - DUST)
    return VenueOrder(intent.intent_id, intent.symbol, "filled" if whole else "cancelled", intent.qty, filled, own)


def answered(open_question: Unsettled, found: VenueOrder, now_ns: int) -> list[tuple[str, VenueEvent]]:
    """Answers that a venue gave to requests and nobody heard, each with its request: they came before news of fills."""
    order, withdrawal = open_question
    name = order.intent.intent_id
    given: list[tuple[str, VenueEvent]] = []
    if _accepted(order, found):
        given.append((name, _acceptance(order, now_ns)))
    if found.status in ("cancelled", "rejected") and order.standing is not Standing.CLOSED:
        given.append((name if withdrawal is None else withdrawal.intent_id, _closure(order, found, now_ns)))
    return given


def unheard(engine: Engine, told: Sequence[VenueEvent]) -> list[VenueEvent]:
    """What of a venue's news is not known here."""
    return [event for event in told if not _known(engine, event)]


def _known(engine: Engine, event: VenueEvent) -> bool:
    order = engine.orders.get(event.order_id if isinstance(event, FillEvent) else event.intent_id)
    if order is None:
        return False
    match event:
        case FillEvent():
            return event.fill_id in order.fill_ids
        case OrderClosed():
            return order.standing is Standing.CLOSED
        case _:
            return order.standing is not Standing.SENT


def _accept(engine: Engine, order: SentOrder, found: VenueOrder, now_ns: int) -> list[Effect]:
    return engine.venue(_acceptance(order, now_ns), now_ns) if _accepted(order, found) else []


def _accepted(order: SentOrder, found: VenueOrder) -> bool:
    """Whether the venue has taken an order of which nobody here knows that."""
    return found.status != "rejected" and order.standing in (Standing.SENT, Standing.UNKNOWN)


def _acceptance(order: SentOrder, now_ns: int) -> OrderEvent:
    return OrderEvent.of(order.intent, str(order.intent.meta.get("venue", "")), now_ns)


def _closure(order: SentOrder, found: VenueOrder, now_ns: int) -> OrderClosed:
    if found.status == "open":
        raise ValueError(f"order {found.intent_id} is open at the venue: there is nothing to close")
    return OrderClosed(order.intent.intent_id, "", found.status, found.cumulative_qty, now_ns, found.reason)


def _start(engine: Engine, entry: Mapping[str, Any]) -> None:
    engine.epoch = max(engine.epoch, int(entry["epoch"]))


def _parent(engine: Engine, entry: Mapping[str, Any]) -> None:
    request = Request.from_dict(entry["request"])
    parent = engine.make(request)
    if isinstance(parent, ParentOrder) and "schedule" in entry:
        parent.adopt(entries.to_schedule(entry["schedule"]))
    arrival = math.nan if entry["arrival"] is None else float(entry["arrival"])
    engine.admit(request, parent, arrival, int(entry["t"]))
    engine.board.recall_begin(request.execution_id, arrival, int(entry["t"]))


def _heard(engine: Engine, entry: Mapping[str, Any]) -> None:
    event, now_ns = entries.to_event(entry["e"]), int(entry["t"])
    if isinstance(event, RiskDecision):
        engine.denied.pop(event.intent_id, None)
        engine.book(event)
    elif isinstance(event, Market):
        engine.saw(entry["x"], event)
    elif not isinstance(event, Wake | Pause | Resume | CancelParent | Amend):
        engine.book(event)
    engine.pending.extend(engine.board.recall(entry["x"], event, now_ns))
    engine.amended(entry["x"], event)


def _order(engine: Engine, entry: Mapping[str, Any]) -> None:
    intent, now_ns = OrderIntent.from_dict(entry["i"]), int(entry["t"])
    wanted = engine.pending.popleft() if engine.pending else None
    if wanted != intent:
        raise JournalMismatchError(
            f"the journal has {intent.intent_id} at {now_ns}, but its parent now wants "
            f"{'nothing' if wanted is None else wanted}: this is another version of the program, or other settings"
        )
    engine.turns[intent.intent_id] = len(engine.turns)
    decision = RiskDecision(intent.intent_id, bool(entry["ok"]), entry.get("why"), entry.get("caps", {}))
    engine.gate.recall(intent, decision, now_ns)
    if not decision.allowed:
        engine.denied[intent.intent_id] = decision
    elif intent.action == "new":
        engine.orders.sent(intent)
    else:
        engine.orders.withdrawn(intent)


def _stray(engine: Engine, entry: Mapping[str, Any]) -> None:
    event = entries.to_event(entry["e"])
    assert isinstance(event, FillEvent | OrderClosed | OrderEvent | OrderUnknown)
    engine.book(event)


def _kill(engine: Engine, entry: Mapping[str, Any]) -> None:
    engine.latched = (str(entry["by"]), str(entry["reason"]), int(entry["t"]))


def _clear(engine: Engine, _entry: Mapping[str, Any]) -> None:
    engine.latched = None


def _report(engine: Engine, entry: Mapping[str, Any]) -> None:
    report = ExecutionReport.from_dict(entry["report"])
    engine.over(report)
    engine.board.recall_report(report)


def _refused(engine: Engine, entry: Mapping[str, Any]) -> None:
    report = ExecutionReport.from_dict(entry["report"])
    engine.reports[report.execution_id] = report


def _remark(_engine: Engine, _entry: Mapping[str, Any]) -> None:
    """Changes nothing here: a process ended in order, strategies were asked."""


_ENTRIES = {
    entries.START: _start,
    entries.PARENT: _parent,
    entries.HEARD: _heard,
    entries.ORDER: _order,
    entries.STRAY: _stray,
    entries.KILL: _kill,
    entries.CLEAR: _clear,
    entries.REARM: _remark,
    entries.REPORT: _report,
    entries.REFUSED: _refused,
    entries.DECIDED: _remark,
    entries.STOP: _remark,
    entries.ROUTE_RESET: _remark,
}
