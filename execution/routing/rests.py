"""Limit orders at venues, until they are over: what each of them filled is told to who chose its venue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from core.instrument import Instrument
from execution.events import Event
from execution.routing.venue_choice import VenueChoice


@dataclass(slots=True)
class _Resting:
    intent: OrderIntent
    fills: set[str] = field(default_factory=set)
    filled: float = 0.0
    early: bool = False  # withdrawn at somebody's request


class Rests:
    """Those of one parent. An order that was rejected or denied never rested."""

    def __init__(self, instrument: Instrument, choice: VenueChoice) -> None:
        self._instrument = instrument
        self._choice = choice
        self._resting: dict[str, _Resting] = {}

    def sent(self, intents: Sequence[OrderIntent], *, asked: bool) -> None:
        """Orders and cancels on their way; `asked`: because somebody paused, amended or cancelled the parent."""
        for intent in intents:
            if intent.action == "cancel":
                resting = self._resting.get(str(intent.target_intent_id))
                if resting is not None and asked:
                    resting.early = True
            elif intent.type == "limit":
                self._resting[intent.intent_id] = _Resting(intent)

    def heard(self, event: Event, now_ns: int) -> None:
        """News of orders, as the venues tell them."""
        match event:
            case FillEvent():
                resting = self._resting.get(event.order_id)
                if resting is not None and event.fill_id not in resting.fills:
                    resting.fills.add(event.fill_id)
                    resting.filled += event.qty
                    lots = self._instrument.lots
                    if lots(resting.filled) >= lots(resting.intent.qty):
                        self._over(event.order_id, resting.filled, now_ns)
            case OrderClosed():
                if event.status == "rejected":
                    self._resting.pop(event.intent_id, None)
                else:
                    self._over(event.intent_id, event.cumulative_qty, now_ns)
            case RiskDecision(allowed=False):
                self._resting.pop(event.intent_id, None)

    def _over(self, name: str, total: float, now_ns: int) -> None:
        resting = self._resting.pop(name, None)
        if resting is not None:
            self._choice.rested(resting.intent, max(total, resting.filled), now_ns, early=resting.early)
