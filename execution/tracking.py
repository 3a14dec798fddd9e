"""An execution followed from the outside: its planned children, and the fills and closes that came for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from core import ids
from core.contracts import FillEvent, OrderClosed, OrderIntent
from execution.children import Parent
from execution.contracts import ExecutionAlgorithm, ExecutionReport, ExecutionSlice, Status, average_price

DUST = 1e-9  # relative: sums of float quantities are this exact


class Tracker:
    """What came of a plan. Fills count once by their ids; a close ends its child."""

    def __init__(self, algo: ExecutionAlgorithm, parent: Parent, planned: Sequence[OrderIntent]) -> None:
        self.algo = algo
        self.parent = parent
        self.end_ns = parent.start_ns + algo.duration_seconds * 1_000_000_000
        self.fills: list[FillEvent] = []
        self._planned = {intent.intent_id: intent for intent in planned}
        self._filled = dict.fromkeys(self._planned, 0.0)
        self._closed: dict[str, OrderClosed] = {}
        self._seen: set[str] = set()

    def owns(self, intent_id: str) -> bool:
        return intent_id in self._planned

    def on_fill(self, fill: FillEvent) -> bool:
        """Counts a fill; False where it was counted before or is not ours."""
        ours = self.owns(fill.order_id) or fill.meta.get("execution_id") == self.parent.execution_id
        if not ours or fill.fill_id in self._seen:
            return False
        self._seen.add(fill.fill_id)
        self.fills.append(fill)
        self._filled[fill.order_id] = self._filled.get(fill.order_id, 0.0) + fill.qty
        return True

    def on_closed(self, closed: OrderClosed) -> None:
        if self.owns(closed.intent_id):
            self._closed[closed.intent_id] = closed

    @property
    def filled(self) -> float:
        return math.fsum(fill.qty for fill in self.fills)

    @property
    def complete(self) -> bool:
        return self.filled >= self.algo.total_quantity * (1 - DUST)

    def cancels(self, now_ns: int) -> list[OrderIntent]:
        """A cancel for every planned child that is neither filled nor closed."""
        return [
            replace(
                intent,
                intent_id=ids.cancel_id(intent.intent_id, 1),
                ts_local_ns=now_ns,
                qty=intent.qty - self._filled[intent.intent_id],
                action="cancel",
                target_intent_id=intent.intent_id,
                expires_ts_ns=None,
            )
            for intent in self._planned.values()
            if not self._done(intent) and intent.intent_id not in self._closed
        ]

    def slices(self, now_ns: int) -> list[ExecutionSlice]:
        """The planned slices and how each stands."""
        return [
            ExecutionSlice(
                execution_id=self.parent.execution_id,
                slice_id=intent.meta["slice_id"],
                symbol=intent.symbol,
                side=intent.side,
                quantity=intent.qty,
                limit_price=intent.limit_price,
                scheduled_ts_ns=intent.meta["scheduled_ts_ns"],
                status="filled"
                if self._done(intent)
                else "cancelled"
                if intent.intent_id in self._closed
                else "submitted"
                if intent.meta["scheduled_ts_ns"] <= now_ns
                else "pending",
                client_order_id=intent.intent_id,
            )
            for intent in self._planned.values()
        ]

    def report(self, *, end_ns: int | None, status: Status, reason: str | None = None) -> ExecutionReport:
        filled = self.filled
        return ExecutionReport(
            execution_id=self.parent.execution_id,
            symbol=self.algo.symbol,
            total_quantity=self.algo.total_quantity,
            filled_quantity=filled,
            remaining_quantity=max(0.0, self.algo.total_quantity - filled),
            avg_fill_price=average_price(self.fills),
            total_fees=math.fsum(fill.fee for fill in self.fills),
            slices_completed=sum(self._done(intent) for intent in self._planned.values()),
            slices_total=len(self._planned),
            status=status,
            start_ts_ns=self.parent.start_ns,
            end_ts_ns=end_ns,
            side=self.algo.side,
            algo_type=self.algo.algo_type,
            strategy_id=self.parent.strategy_id,
            parent_intent_id=self.parent.parent_intent_id,
            venue=self.parent.venue or "",
            unfilled_reason=None if self.complete else reason,
            fills=tuple(self.fills),
        )

    def _done(self, intent: OrderIntent) -> bool:
        return self._filled[intent.intent_id] >= intent.qty * (1 - DUST)
