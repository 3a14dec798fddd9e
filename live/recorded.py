"""A parent at work, with a journal at its ear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from execution.contracts import ExecutionReport
from execution.desk import Worked
from execution.events import Event, Step
from live import entries


class Recorded:
    """A parent for which every word that it hears is written down before it acts on it."""

    def __init__(self, parent: Worked, execution_id: str, note: Callable[[dict[str, Any]], None]) -> None:
        self.parent = parent
        self._execution_id = execution_id
        self._note = note

    @property
    def ended(self) -> bool:
        return self.parent.ended

    @property
    def listens(self) -> bool:
        return self.parent.listens

    @property
    def state(self) -> str:
        return str(getattr(self.parent, "state", "working"))

    def on(self, event: Event, now_ns: int) -> Step:
        self._note({"k": entries.HEARD, "t": now_ns, "x": self._execution_id, "e": entries.from_event(event)})
        return self.parent.on(event, now_ns)

    def report(self) -> ExecutionReport:
        return self.parent.report()
