"""Errors planted into the trader, to see that the checker finds them: each is one that a real system has made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import PropertyMock, patch

from core.contracts import FillEvent, OrderClosed
from core.journal import Journal
from execution.children import Child, Children
from execution.events import OrderUnknown
from live import entries, recovery
from live.effects import Effect, Submit
from live.engine import Engine, VenueEvent
from live.orders import OrderStore
from live.questions import Questions
from live.recorded import Recorded
from risk.orders import Order
from risk.rules import NEW_ORDER_RULES

Patches = list[Any]


def resends_unknown() -> Patches:
    """An order whose answer is lost is sent again."""
    heard = Engine.venue

    def venue(self: Engine, event: VenueEvent, now_ns: int) -> list[Effect]:
        effects = heard(self, event, now_ns)
        order = self.orders.get(event.intent_id) if isinstance(event, OrderUnknown) else None
        return effects if order is None else [*effects, Submit(order.intent)]

    return [patch.object(Engine, "venue", venue)]


def takes_unknown_for_lost() -> Patches:
    """An order whose answer is lost counts as never arrived."""
    heard = Engine.venue

    def venue(self: Engine, event: VenueEvent, now_ns: int) -> list[Effect]:
        if isinstance(event, OrderUnknown) and event.intent_id in self.orders:
            event = OrderClosed(event.intent_id, "", "cancelled", 0.0, now_ns)
        return heard(self, event, now_ns)

    return [patch.object(Engine, "venue", venue)]


def counts_fills_twice() -> Patches:
    """A parent counts a fill as often as it is told."""
    counted = Children.fill

    def fill(self: Children, child: Child, fill_id: str, lots: int) -> bool:
        self._fill_ids.discard(fill_id)
        return counted(self, child, fill_id, lots)

    return [patch.object(Children, "fill", fill)]


def frees_lots_at_the_close() -> Patches:
    """A close frees everything, and fills that come after it are on top."""
    closed, stored, reserved = Children.close, OrderStore.closed, Order.close

    def close(self: Children, child: Child, total: int) -> bool:
        return closed(self, child, min(total, child.filled))

    def store(self: OrderStore, event: OrderClosed) -> None:
        order = self.get(event.intent_id)
        seen = event.cumulative_qty if order is None else min(event.cumulative_qty, order.filled)
        stored(self, OrderClosed(event.intent_id, event.venue, event.status, seen, event.ts_closed_ns))

    def release(self: Order, cumulative_qty: float) -> None:
        reserved(self, min(cumulative_qty, self.filled))

    return [
        patch.object(Children, "close", close),
        patch.object(OrderStore, "closed", store),
        patch.object(Order, "close", release),
    ]


def believes_absence_at_once() -> Patches:
    """What the venue does not find now will never come."""
    return [patch.object(Questions, "believes_absence", lambda self, intent_id, now_ns: True)]


def never_syncs() -> Patches:
    """Orders leave before the journal is safe on disk."""
    return [patch.object(Journal, "sync", lambda self: None)]


def writes_no_fills() -> Patches:
    """Fills are booked and not written down."""
    heard = Recorded.on

    def on(self: Recorded, event: Any, now_ns: int) -> Any:
        return self.parent.on(event, now_ns) if isinstance(event, FillEvent) else heard(self, event, now_ns)

    return [patch.object(Recorded, "on", on)]


def forgets_the_latch() -> Patches:
    """After a restart nobody remembers that the trader was killed."""
    return [patch.dict(recovery._ENTRIES, {entries.KILL: lambda engine, entry: None})]


def sends_while_killed() -> Patches:
    """The kill switch cancels, and shuts no gate."""
    return [
        patch.dict(NEW_ORDER_RULES, {"R18": lambda view: None}),
        patch.object(Engine, "killed", PropertyMock(return_value=False)),
    ]


def never_asks() -> Patches:
    """Nobody asks the venue about what is unknown."""
    return [patch.object(Questions, "due", lambda self, now_ns: [])]


MUTANTS: Final[dict[str, Callable[[], Patches]]] = {
    mutant.__name__: mutant
    for mutant in (
        resends_unknown,
        takes_unknown_for_lost,
        counts_fills_twice,
        frees_lots_at_the_close,
        believes_absence_at_once,
        never_syncs,
        writes_no_fills,
        forgets_the_latch,
        sends_while_killed,
        never_asks,
    )
}


@contextmanager
def planted(mutant: Callable[[], Patches]) -> Iterator[None]:
    with ExitStack() as stack:
        for one in mutant():
            stack.enter_context(one)
        yield
