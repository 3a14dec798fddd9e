"""The engine's journal, with the moments at which strategies were asked."""

from __future__ import annotations

from typing import Any

from live import entries
from live.engine import Log


class Diary:
    """The engine's journal, with a line before the first thing that happens after strategies were asked at a moment."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._asked_ns: int | None = None

    def asked(self, ts_ns: int | None) -> None:
        """Strategies are asked now; None: that has been written before."""
        self._asked_ns = ts_ns

    def append(self, entry: dict[str, Any]) -> None:
        if self._asked_ns is not None:
            if entry["t"] == self._asked_ns:
                self._log.append({"k": entries.DECIDED, "t": self._asked_ns})
            self._asked_ns = None
        self._log.append(entry)

    def sync(self) -> None:
        self._log.sync()
