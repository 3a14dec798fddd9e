"""The order store: every child that was sent, by its client order id, and how much of it may still trade.

A venue gives back ids and quantities only; what an order belongs to is remembered here. Every fact counts once: fills
by their id, a close by the total that it names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from core.contracts import FillEvent, OrderClosed, OrderIntent

DUST = 1e-9
_NO_FILLS: Final[frozenset[str]] = frozenset()


class Standing(Enum):
    """What is known of an order at the venue."""

    SENT = "sent"  # the request may or may not have arrived
    OPEN = "open"
    UNKNOWN = "unknown"
    CLOSED = "closed"


@dataclass(slots=True)
class SentOrder:
    """`total`: what the venue says it ever filled, once it has closed. `filled`: what we have seen of that.

    `withdrawal`: the newest request to cancel it.
    """

    intent: OrderIntent
    standing: Standing = Standing.SENT
    filled: float = 0.0
    total: float | None = None
    fill_ids: set[str] | frozenset[str] = _NO_FILLS  # most orders never have one
    withdrawal: OrderIntent | None = None

    @property
    def settled(self) -> bool:
        """Closed, and every fill of which the close speaks has been seen."""
        return self.total is not None and self.filled >= self.total - DUST * max(1.0, self.total)

    @property
    def may_trade(self) -> float:
        """The quantity that may still come as fills."""
        rest = (self.intent.qty if self.total is None else self.total) - self.filled
        return rest if rest > DUST * self.intent.qty else 0.0


class OrderStore:
    """Orders by id; those that may still trade are `live`."""

    def __init__(self) -> None:
        self._orders: dict[str, SentOrder] = {}
        self._live: dict[str, SentOrder] = {}

    def __contains__(self, intent_id: str) -> bool:
        return intent_id in self._orders

    def get(self, intent_id: str) -> SentOrder | None:
        return self._orders.get(intent_id)

    def live(self) -> Iterator[SentOrder]:
        """Orders that may still trade, oldest first."""
        return iter(list(self._live.values()))

    def sent(self, intent: OrderIntent) -> None:
        """Raises ValueError for an id that was used before: one venue order per wire id."""
        if intent.intent_id in self._orders:
            raise ValueError(f"order {intent.intent_id} was sent before")
        order = SentOrder(intent)
        self._orders[intent.intent_id] = self._live[intent.intent_id] = order

    def withdrawn(self, cancel: OrderIntent) -> None:
        """Its end has been asked for."""
        order = self._orders.get(str(cancel.target_intent_id))
        if order is not None:
            order.withdrawal = cancel

    def accepted(self, intent_id: str) -> None:
        order = self._orders.get(intent_id)
        if order is not None and order.standing in (Standing.SENT, Standing.UNKNOWN):
            order.standing = Standing.OPEN

    def unknown(self, intent_id: str) -> None:
        order = self._orders.get(intent_id)
        if order is not None and order.standing is not Standing.CLOSED:
            order.standing = Standing.UNKNOWN

    def fill(self, fill: FillEvent) -> bool:
        """True the first time that this fill of a known order is seen."""
        order = self._orders.get(fill.order_id)
        if order is None or fill.fill_id in order.fill_ids:
            return False
        if isinstance(order.fill_ids, frozenset):
            order.fill_ids = set()
        order.fill_ids.add(fill.fill_id)
        order.filled += fill.qty
        self._settle(order)
        return True

    def refused(self, intent_id: str) -> None:
        """A gate in another process said no: the venue will never see it."""
        order = self._orders.get(intent_id)
        if order is not None and order.standing is Standing.SENT:
            order.standing, order.total = Standing.CLOSED, order.filled
            self._settle(order)

    def closed(self, closed: OrderClosed) -> None:
        order = self._orders.get(closed.intent_id)
        if order is not None:
            order.standing = Standing.CLOSED
            order.total = max(closed.cumulative_qty, order.total or 0.0)
            self._settle(order)

    def with_meta(self, fill: FillEvent) -> FillEvent:
        """The fill with the meta of its order, as far as the venue did not send it along."""
        order = self._orders.get(fill.order_id)
        if order is None:
            return fill
        return replace(fill, meta={**order.intent.meta, **fill.meta})

    def _settle(self, order: SentOrder) -> None:
        if order.settled or (order.total is None and order.may_trade == 0.0):
            self._live.pop(order.intent.intent_id, None)
