"""An execution followed from the outside: its children, and what the venue and the gate said of them.

Fills and closes may come late, twice and in any order: fills count once by their ids, a close carries the venue's
total, and a child is over only when the fills that we have seen add up to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core import ids, topics
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from execution.children import Parent
from execution.contracts import ExecutionAlgorithm, ExecutionReport, ExecutionSlice, Status, average_price

DUST: Final = 1e-9  # relative: sums of float quantities are this exact
REFUSED: Final = "refused by the risk gate"


@dataclass(slots=True)
class _Followed:
    """A child and what is known of it. `total`: all that it ever filled, by the last word of the venue or the gate."""

    intent: OrderIntent
    filled: float = 0.0
    total: float | None = None
    reason: str = ""  # why it was closed
    refused: bool = False

    @property
    def done(self) -> bool:
        return self.filled >= self.intent.qty * (1 - DUST)

    @property
    def over(self) -> bool:
        """Nothing of it can fill any more, and all that has is known."""
        return self.done or (self.total is not None and self.filled >= self.total * (1 - DUST))


class Tracker:
    """What came of a plan. `total`: the base quantity of the parent, where `algo.total_quantity` is money."""

    def __init__(
        self, algo: ExecutionAlgorithm, parent: Parent, planned: Sequence[OrderIntent], total: float | None = None
    ) -> None:
        self.algo = algo
        self.parent = parent
        self.total = algo.total_quantity if total is None else total
        self.end_ns = parent.start_ns + algo.duration_seconds * 1_000_000_000
        self.fills: list[FillEvent] = []
        self.denials: list[str] = []
        self._children: dict[str, _Followed] = {}
        self._seen: set[str] = set()
        for intent in planned:
            self.add(intent)

    def add(self, intent: OrderIntent) -> None:
        """A child more; one that is known already stays as it is."""
        if intent.action == "new":
            self._children.setdefault(intent.intent_id, _Followed(intent))

    def owns(self, intent_id: str) -> bool:
        return intent_id in self._children

    def hear(self, topic: str, message: dict[str, Any]) -> bool:
        """Takes a message of `fills.new`, `orders.closed` or `risk.decision`; False where it tells nothing new."""
        if topic == topics.FILLS:
            return self.on_fill(FillEvent.from_dict(message))
        if topic == topics.CLOSED:
            return self.on_closed(OrderClosed.from_dict(message))
        return self.on_decision(RiskDecision.from_dict(message))

    def on_fill(self, fill: FillEvent) -> bool:
        """Counts a fill; False where it was counted before or is not ours.

        A venue gives back only the client order id, so that decides where the order is known; `meta` does elsewhere.
        """
        ours = self.owns(fill.order_id) or fill.meta.get("execution_id") == self.parent.execution_id
        if not ours or fill.fill_id in self._seen:
            return False
        self._seen.add(fill.fill_id)
        self.fills.append(fill)
        child = self._children.get(fill.order_id)
        if child is not None:
            child.filled += fill.qty
        return True

    def on_closed(self, closed: OrderClosed) -> bool:
        """The venue's last word on a child; False where it had been said before, or is about somebody else's."""
        child = self._children.get(closed.intent_id)
        if child is None or child.total is not None:
            return False
        child.total = closed.cumulative_qty
        child.reason = f"{closed.status} by the venue" + (f": {closed.reason}" if closed.reason else "")
        child.refused = closed.status == "rejected"
        return True

    def on_decision(self, decision: RiskDecision) -> bool:
        """The gate's refusal of a child, which then never trades; False for anything else that a gate says."""
        child = self._children.get(decision.intent_id)
        if decision.allowed or child is None or child.total is not None or child.filled > 0:
            return False
        child.total, child.refused = 0.0, True
        child.reason = decision.reason or REFUSED
        self.denials.append(f"{decision.intent_id}: {child.reason}")
        return True

    @property
    def filled(self) -> float:
        return math.fsum(fill.qty for fill in self.fills)

    @property
    def complete(self) -> bool:
        return self.filled >= self.total * (1 - DUST)

    @property
    def over(self) -> bool:
        """Nothing more can come of the plan: every child is over, and together they are all of the parent."""
        planned = math.fsum(child.intent.qty for child in self._children.values())
        return planned >= self.total * (1 - DUST) and all(child.over for child in self._children.values())

    @property
    def missing(self) -> float:
        """Quantity that closes speak of and whose fills have not come."""
        return math.fsum(
            max(0.0, child.total - child.filled)
            for child in self._children.values()
            if child.total is not None and not child.over
        )

    def ending(self, otherwise: str) -> tuple[Status, str | None]:
        """How it stands if it ends now: the status, and why there is a rest.

        `failed` where nothing but refusals stands between the fills and the total, else `cancelled`. The reasons are
        those of the children that are not filled, each once; `otherwise` is that of those which are still open.
        """
        if self.complete:
            return "completed", None
        undone = [child for child in self._children.values() if not child.done]
        reasons = [otherwise if child.total is None else child.reason for child in undone]
        if self.missing > 0:
            reasons.append(f"the venue filled {self.missing:g} more, of which no fill has come")
        failed = bool(undone) and all(child.refused for child in undone)
        return "failed" if failed else "cancelled", "; ".join(dict.fromkeys(reasons)) or otherwise

    def cancels(self, now_ns: int) -> list[OrderIntent]:
        """A cancel for every child that is neither filled nor closed."""
        return [
            replace(
                child.intent,
                intent_id=ids.cancel_id(child.intent.intent_id, 1),
                ts_local_ns=now_ns,
                qty=child.intent.qty - child.filled,
                action="cancel",
                target_intent_id=child.intent.intent_id,
                expires_ts_ns=None,
            )
            for child in self._children.values()
            if not child.done and child.total is None
        ]

    def slices(self, now_ns: int) -> list[ExecutionSlice]:
        """The children and how each stands."""
        return [
            ExecutionSlice(
                execution_id=self.parent.execution_id,
                slice_id=child.intent.meta["slice_id"],
                symbol=child.intent.symbol,
                side=child.intent.side,
                quantity=child.intent.qty,
                limit_price=child.intent.limit_price,
                scheduled_ts_ns=child.intent.meta["scheduled_ts_ns"],
                status="filled"
                if child.done
                else "cancelled"
                if child.total is not None
                else "submitted"
                if child.intent.meta["scheduled_ts_ns"] <= now_ns
                else "pending",
                client_order_id=child.intent.intent_id,
            )
            for child in self._children.values()
        ]

    def report(self, *, end_ns: int | None, status: Status, reason: str | None = None) -> ExecutionReport:
        filled = self.filled
        return ExecutionReport(
            execution_id=self.parent.execution_id,
            symbol=self.algo.symbol,
            total_quantity=self.total,
            filled_quantity=filled,
            remaining_quantity=max(0.0, self.total - filled),
            avg_fill_price=average_price(self.fills),
            total_fees=math.fsum(fill.fee for fill in self.fills),
            slices_completed=sum(child.done for child in self._children.values()),
            slices_total=len(self._children),
            status=status,
            start_ts_ns=self.parent.start_ns,
            end_ts_ns=end_ns,
            side=self.algo.side,
            algo_type=self.algo.algo_type,
            strategy_id=self.parent.strategy_id,
            parent_intent_id=self.parent.parent_intent_id,
            venue=self.parent.venue or "",
            unfilled_reason=None if self.complete else reason,
            denials=tuple(self.denials),
            fills=tuple(self.fills),
        )
