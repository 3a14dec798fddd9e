"""What the engine wants done, once its journal says why: requests to the broker, messages for whoever listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from core.contracts import Contract, OrderClosed, OrderIntent, RiskDecision


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


@dataclass(frozen=True, slots=True, match_args=False)
class Publish:
    """Tell the bus; nobody's money depends on who hears it. What nobody listens to never becomes a dictionary."""

    topic: str
    message: Contract
    __match_args__: ClassVar = ("topic", "payload")

    @property
    def payload(self) -> dict[str, Any]:
        return self.message.to_dict()


Effect = Submit | Withdraw | Deny | Publish


def unsent(intent: OrderIntent, now_ns: int) -> OrderClosed:
    """What the engine hears instead of an answer when the kill switch was tripped after the gate had let this pass."""
    return OrderClosed(intent.intent_id, "", "cancelled", 0.0, now_ns, "killed before it was sent")
