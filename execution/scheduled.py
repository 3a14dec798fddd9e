"""A parent worked from a ready-made plan: for executors that plan, but leave the rest to whoever plays the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from execution.children import Parent
from execution.contracts import ExecutionAlgorithm, ExecutionReport, Status
from execution.events import Event, Step
from execution.parent import END_OF_HORIZON
from execution.tracking import Tracker


class ScheduledParent:
    """Sends each planned child at its `scheduled_ts_ns`, cancels what is open at the end, and reports."""

    listens = False

    def __init__(self, algo: ExecutionAlgorithm, parent: Parent, planned: Sequence[OrderIntent]) -> None:
        self._tracker = Tracker(algo, parent, planned)
        self._waiting = sorted(planned, key=lambda intent: int(intent.meta["scheduled_ts_ns"]))
        self._sent: set[str] = set()
        self._over: set[str] = set()
        self._denials: list[str] = []
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
            case RiskDecision(allowed=False):
                self._denials.append(f"{event.intent_id}: {event.reason}")
                self._over.add(event.intent_id)
        commands: list[OrderIntent] = []
        while self._waiting and int(self._waiting[0].meta["scheduled_ts_ns"]) <= min(now_ns, self._tracker.end_ns - 1):
            intent = self._waiting.pop(0)
            self._sent.add(intent.intent_id)
            commands.append(replace(intent, ts_local_ns=now_ns))
        if self._tracker.complete:
            self._end("completed", now_ns)
        elif now_ns >= self._tracker.end_ns:
            commands += [
                cancel
                for cancel in self._tracker.cancels(now_ns)
                if cancel.target_intent_id in self._sent and cancel.target_intent_id not in self._over
            ]
            if not commands:
                self._end("cancelled", now_ns)
        elif not self._waiting and self._sent <= self._over:
            self._end("cancelled", now_ns)
        return Step(tuple(commands), self._wake_ns(now_ns))

    def report(self) -> ExecutionReport:
        report = self._tracker.report(end_ns=self._ended_ns, status=self._status, reason=END_OF_HORIZON)
        return replace(report, denials=tuple(self._denials))

    def _end(self, status: Status, now_ns: int) -> None:
        if not self.ended:
            self._status = status
            self._ended_ns = now_ns

    def _wake_ns(self, now_ns: int) -> int | None:
        if self.ended:
            return None
        moments = [self._tracker.end_ns] + [int(intent.meta["scheduled_ts_ns"]) for intent in self._waiting[:1]]
        return min((moment for moment in moments if moment > now_ns), default=None)
