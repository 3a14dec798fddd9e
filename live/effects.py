"""What the engine wants done, once its journal says why: requests to the broker, messages for whoever listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.contracts import OrderClosed, OrderIntent, RiskDecision


@dataclass(frozen=True, slots=True)
class Submit:
    """Send this order to the broker, once."""

    intent: OrderIntent


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Ask the broker for the end of `intent.target_intent_id`."""

    intent: OrderIntent


@dataclass(frozen=True, slots=True)
class Deny:
    """Tell the engine what its gate refused, in its turn among the venue's answers."""

    decision: RiskDecision


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell the bus; nobody's money depends on who hears it."""

    topic: str
    payload: dict[str, Any]


Effect = Submit | Withdraw | Deny | Publish


def unsent(intent: OrderIntent, now_ns: int) -> OrderClosed:
    """What the engine hears instead of an answer when the kill switch was tripped after the gate had let this pass."""
    return OrderClosed(intent.intent_id, "", "cancelled", 0.0, now_ns, "killed before it was sent")
