"""What the journal of a trader says, line by line; `live/recovery.py` reads it back.

    start    a process began: epoch, settings, version
    parent   a parent was taken in and put to work: the request, the schedule that it follows, the price it found; with
             a router in front, its decision (`live/routing.py`)
    heard    what a parent was told, in the order in which it was told: everything that it decides follows from these
    order    a child or a cancel that a parent wants to send, and what the risk gate said; before it is sent
    stray    what the venue said of an order that belongs to no parent here
    kill, clear   the kill switch
    rearm    somebody has enabled again what the gate had disabled: key, by, reason
    report   a parent has ended: its report
    refused  a parent that was asked for and not taken in: the report that says why
    route-reset  what the router has learnt is forgotten (`fillwright router reset`)
    decided  strategies and requests have been asked about everything up to here; written only where more follows at t
    stop     the process ended in order

Every entry has `k`, its kind, and `t`, when, in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from core import codec
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision
from execution.algorithm import Schedule
from execution.events import Amend, Cancel, Event, Market, OrderUnknown, Pause, Resume, Wake
from execution.plan import Curve, Plan

START: Final = "start"
PARENT: Final = "parent"
HEARD: Final = "heard"
ORDER: Final = "order"
STRAY: Final = "stray"
KILL: Final = "kill"
CLEAR: Final = "clear"
REARM: Final = "rearm"
REPORT: Final = "report"
REFUSED: Final = "refused"
DECIDED: Final = "decided"
VENUE: Final = "venue"  # of the paper venue's own journal
STOP: Final = "stop"
ROUTE_RESET: Final = "route-reset"

_EVENTS: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        Wake,
        Market,
        OrderEvent,
        FillEvent,
        OrderClosed,
        RiskDecision,
        OrderUnknown,
        Pause,
        Resume,
        Cancel,
        Amend,
    )
}


def of_order(intent: OrderIntent, decision: RiskDecision, now_ns: int) -> dict[str, Any]:
    """The line of a child or a cancel that a parent wants to send."""
    entry: dict[str, Any] = {"k": ORDER, "t": now_ns, "i": intent, "ok": decision.allowed}
    return entry if decision.allowed else entry | {"why": decision.reason, "caps": decision.caps}


def venue_lines(note: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    """A venue's lines, as entries of a journal."""

    def write(line: dict[str, Any]) -> None:
        note({"k": VENUE, **line})

    return write


def from_event(event: Event) -> list[Any]:
    """[kind, the event]; a wake-up is its kind alone. Written as JSON, `to_event` reads it back."""
    name = type(event).__name__
    return [name] if isinstance(event, Wake | Resume) else [name, event]


def to_event(written: list[Any]) -> Event:
    """Raises ValueError for what is no event."""
    if not written or written[0] not in _EVENTS:
        raise ValueError(f"no such event: {written!r}")
    event: Event = codec.from_dict(_EVENTS[written[0]], written[1] if len(written) > 1 else {})
    return event


def from_schedule(schedule: Schedule) -> dict[str, Any]:
    """Plan, curve and notes as they are followed: history may look different after a restart."""
    curve = {name: [int(value) for value in getattr(schedule.curve, name)] for name in Curve._fields}
    return {"plan": codec.to_dict(schedule.plan), "curve": curve, "notes": dict(schedule.notes)}


def to_schedule(written: Mapping[str, Any]) -> Schedule:
    """Raises ValueError where a field is missing or unknown."""
    try:
        plan = codec.from_dict(Plan, written["plan"])
        curve = Curve(**{name: tuple(values) for name, values in written["curve"].items()})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a schedule of this version: {error}") from error
    return Schedule(plan, curve, written.get("notes", {}))
