"""A parent worked from a ready-made plan: for executors that plan, but leave the rest to whoever plays the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from core import ids
from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from execution.children import Parent
from execution.contracts import ExecutionAlgorithm, ExecutionReport, Status
from execution.events import Event, Step
from execution.progress import END_OF_HORIZON
from execution.tracking import DUST, Tracker

PLAN_DONE: Final = "the plan holds no more"
RETRY_NS: Final = 1_000_000_000  # between two requests to cancel the same child


class ScheduledParent:
    """Sends each planned child at its `scheduled_ts_ns`, cancels what is open at the end, and reports.

    A cancel that comes to nothing is asked for again, a second later.

    Raises ValueError for a plan of more than the parent.
    """

    listens = False

    def __init__(self, algo: ExecutionAlgorithm, parent: Parent, planned: Sequence[OrderIntent]) -> None:
        total = math.fsum(intent.qty for intent in planned)
        if total > algo.total_quantity * (1 + DUST):
            raise ValueError(f"the planned children must not exceed {algo.total_quantity} {algo.symbol}, were {total}")
        self._tracker = Tracker(algo, parent, planned)
        self._waiting = sorted(planned, key=lambda intent: int(intent.meta["scheduled_ts_ns"]))
        self._sent: set[str] = set()
        self._over: set[str] = set()
        self._denials: list[str] = []
        self._cancels = 0
        self._no_cancel_before_ns = 0
        self._refusal: str | None = None
        self._status: Status = "running"
        self._ended_ns: int | None = None

    @property
    def ended(self) -> bool:
        return self._status != "running"

    def on(self, event: Event, now_ns: int) -> Step:
        match event:
            case FillEvent():
                self._tracker.on_fill(event)
            case OrderClosed():
                self._tracker.on_closed(event)
                self._over.add(event.intent_id)
                if event.status == "rejected":
                    self._refusal = event.reason
            case RiskDecision(allowed=False):
                self._denials.append(f"{event.intent_id}: {event.reason}")
                if event.intent_id in self._sent:
                    self._over.add(event.intent_id)
                    self._refusal = event.reason
        commands: list[OrderIntent] = []
        over = now_ns >= self._tracker.end_ns
        while not over and self._waiting and int(self._waiting[0].meta["scheduled_ts_ns"]) <= now_ns:
            intent = self._waiting.pop(0)
            self._sent.add(intent.intent_id)
            commands.append(replace(intent, ts_local_ns=now_ns))
        if self._tracker.complete:
            self._end("completed", now_ns)
        elif over:
            stuck = self._open(now_ns)
            if not stuck:
                self._end("cancelled", now_ns)
            elif now_ns >= self._no_cancel_before_ns:
                self._cancels += 1
                self._no_cancel_before_ns = now_ns + RETRY_NS
                commands += [
                    replace(cancel, intent_id=ids.cancel_id(str(cancel.target_intent_id), self._cancels))
                    for cancel in stuck
                ]
        elif not self._waiting and not commands and not self._open(now_ns):
            self._end("cancelled", now_ns)
        return Step(tuple(commands), self._wake_ns(now_ns))

    def _open(self, now_ns: int) -> list[OrderIntent]:
        """A cancel for every child that may still fill."""
        return [
            cancel
            for cancel in self._tracker.cancels(now_ns)
            if cancel.target_intent_id in self._sent and cancel.target_intent_id not in self._over
        ]

    def report(self) -> ExecutionReport:
        over = self._ended_ns is not None and self._ended_ns >= self._tracker.end_ns
        reason = self._refusal or (END_OF_HORIZON if over else PLAN_DONE)
        report = self._tracker.report(end_ns=self._ended_ns, status=self._status, reason=reason if self.ended else None)
        return replace(report, denials=tuple(self._denials))

    def _end(self, status: Status, now_ns: int) -> None:
        if not self.ended:
            self._status = status
            self._ended_ns = now_ns

    def _wake_ns(self, now_ns: int) -> int | None:
        if self.ended:
            return None
        moments = [self._tracker.end_ns, self._no_cancel_before_ns]
        moments += [int(intent.meta["scheduled_ts_ns"]) for intent in self._waiting[:1]]
        return min((moment for moment in moments if moment > now_ns), default=None)
