"""Errors planted into the three processes, to see that the checker finds them; some of them have been there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from core import epochs, topics
from core.bus_groups import Delivery
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from core.journal import Journal
from execution.children import Child, Children
from live import serve_router
from live.serve_books import Books
from risk import engine as risk_engine
from risk.engine import RiskEngine, UnwrittenError
from risk.gate import RiskGate
from risk.kill import KillSwitch
from tests.simulation.mutants import Patches
from tests.simulation.split.server import Server, Share


def passes_on_what_it_refused() -> Patches:
    """Risk sends to the broker whatever it has been asked."""
    decide = RiskEngine._decide

    def decided(self: RiskEngine, intent: OrderIntent) -> RiskDecision:
        return replace(decide(self, intent), allowed=True, reason=None)

    return [patch.object(RiskEngine, "_decide", decided)]


def enlarges_orders() -> Patches:
    """What goes on to the broker is not what was allowed."""
    sent_on = RiskEngine._sent_on

    def enlarged(self: RiskEngine, intent: OrderIntent) -> dict[str, Any]:
        return sent_on(self, replace(intent, qty=intent.qty + 1))

    return [patch.object(RiskEngine, "_sent_on", enlarged)]


def allows_before_it_is_safe() -> Patches:
    """An order is on its way before risk's disk has it."""
    return [patch.object(RiskEngine, "_sync", lambda self: None)]


def says_before_it_is_safe() -> Patches:
    """Nobody ever waits for a disk."""
    return [patch.object(Journal, "sync", lambda self: None)]


def forgets_reservations() -> Patches:
    """After a restart risk knows fills and closes, and not of which orders."""
    return [patch.dict(risk_engine._RECALL, {risk_engine.ORDER: lambda gate, entry: None})]


def writes_no_fills() -> Patches:
    """Risk books fills and does not write them down."""
    return [patch.object(RiskEngine, "_fill", lambda self, payload: self.gate.on_fill(FillEvent.from_dict(payload)))]


def finishes_before_it_is_safe() -> Patches:
    """Risk lets the bus forget a fill or a close before its disk has it."""
    handle = RiskEngine._handle

    async def handled(self: RiskEngine, delivery: Delivery) -> None:
        if delivery.topic in (topics.FILLS, topics.CLOSED):
            self._handlers[delivery.topic](delivery.payload)
        else:
            await handle(self, delivery)

    return [patch.object(RiskEngine, "_handle", handled)]


def lets_anybody_finish() -> Patches:
    """The bus takes the word of a consumer that was replaced for what its heir has in hand."""

    def finish(_self: Server, share: Share, number: int, _name: str) -> bool:
        return share.unfinished.pop(number, None) is not None

    return [patch.object(Server, "finish", finish)]


def counts_fills_twice_in_risk() -> Patches:
    """Risk books a fill as often as it is told."""
    heard = RiskGate.on_fill

    def on_fill(self: RiskGate, fill: FillEvent) -> None:
        order = self._passed.get(fill.order_id)
        if order is not None and isinstance(order.fill_ids, set):
            order.fill_ids.discard(fill.fill_id)
        heard(self, fill)

    return [patch.object(RiskGate, "on_fill", on_fill)]


def counts_fills_twice_in_parents() -> Patches:
    """A parent counts a fill as often as it is told."""
    counted = Children.fill

    def fill(self: Children, child: Child, fill_id: str, lots: int) -> bool:
        self._fill_ids.discard(fill_id)
        return counted(self, child, fill_id, lots)

    return [patch.object(Children, "fill", fill), patch.object(serve_router, "unheard", lambda engine, told: told)]


def lives_on_without_a_journal() -> Patches:
    """Risk goes on when its disk is full."""
    write, sync = RiskEngine._write, RiskEngine._sync

    def wrote(self: RiskEngine, entry: dict[str, Any]) -> None:
        with suppress(UnwrittenError):
            write(self, entry)

    def synced(self: RiskEngine) -> None:
        with suppress(UnwrittenError):
            sync(self)

    return [patch.object(RiskEngine, "_write", wrote), patch.object(RiskEngine, "_sync", synced)]


def trades_while_killed() -> Patches:
    """Nobody looks at the kill switch."""
    return [patch.object(KillSwitch, "tripped", lambda self: False)]


def forgets_the_newest_quote() -> Patches:
    """After a restart the broker has no quotes for whoever waits for one."""
    return [patch.object(Books, "newest", lambda self: [])]


def is_never_replaced() -> Patches:
    """An older process does not hear that it is over."""

    async def until_replaced(news: AsyncIterator[dict[str, Any]], kind: str, epoch: int) -> None:
        async for _ in news:
            pass

    return [patch.object(epochs, "until_replaced", until_replaced)]


def withdraws_and_lets_trade() -> Patches:
    """An order that was withdrawn before it came is taken when it comes."""
    shut = Books._shut

    def forget(self: Books, intent_id: str, status: Any, reason: str) -> None:
        shut(self, intent_id, status, reason)
        del self._answers[intent_id]

    return [patch.object(Books, "_shut", forget)]


def believes_the_close() -> Patches:
    """A close frees everything, and fills that come after it are on top."""
    closed = RiskGate.on_closed

    def on_closed(self: RiskGate, event: OrderClosed) -> None:
        closed(self, replace(event, cumulative_qty=0.0))

    return [patch.object(RiskGate, "on_closed", on_closed)]


MUTANTS: Final[dict[str, Callable[[], Patches]]] = {
    mutant.__name__: mutant
    for mutant in (
        passes_on_what_it_refused,
        enlarges_orders,
        allows_before_it_is_safe,
        says_before_it_is_safe,
        forgets_reservations,
        writes_no_fills,
        finishes_before_it_is_safe,
        lets_anybody_finish,
        counts_fills_twice_in_risk,
        counts_fills_twice_in_parents,
        lives_on_without_a_journal,
        trades_while_killed,
        forgets_the_newest_quote,
        is_never_replaced,
        withdraws_and_lets_trade,
        believes_the_close,
    )
}
