"""An exchange on this machine whose market goes on: trades and best prices, and answers that fail as a test wants."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from core.clock import WallClock
from tests import exchanges

PAGE_MS = 50  # between two trades of the market that goes on by itself


class Handler(exchanges.Handler):
    server: Ticking

    def get(self) -> None:
        server, name, query = self.server, self.path_name(), self.query()
        if name == "exchangeInfo":
            return self.answer(self.markets())
        mood = server.moods.popleft() if server.moods else None
        if mood == "silent":
            server.let_go.wait(20)
            return self.answer([])
        if mood == "busy":
            return self.answer({"code": -1001, "msg": "Internal error"}, 503)
        if mood == "nonsense":
            return self.answer("<html>gateway</html>")
        if name == "depth":
            bid, ask = server.quote
            return self.answer({"lastUpdateId": 1, "bids": [[bid, "500"]], "asks": [[ask, "500"]]})
        server.asked += 1
        start, limit = int(query.get("startTime", 0)), int(query.get("limit", 500))
        server.grow()
        there = [one for one in server.trades if one["T"] >= start]
        return self.answer(there[:limit] if start else there[-limit:])


class Ticking(exchanges.Server):
    """`moods`: what becomes of the next requests for data. `alive`: a trade every 50 ms by itself."""

    handler = Handler

    def __init__(self, *, alive: bool = False) -> None:
        super().__init__()
        self.moods: deque[str | None] = deque()
        self.let_go = threading.Event()  # those that it keeps waiting
        self.quote = ("9.990", "10.010")
        self.trades: list[dict[str, Any]] = []
        self.asked = 0
        self._alive = alive
        self._growing = threading.Lock()
        self._clock = WallClock()
        self._began_ms = self.now_ms() - 1000

    def now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000

    def trade(self, number: int, ms: int, price: str = "10.000", qty: str = "5") -> None:
        """In the order in which they are published, which need not be that of their times."""
        self.trades.append(
            {"a": number, "p": price, "q": qty, "f": number, "l": number, "T": ms, "m": number % 2 == 0, "M": True}
        )
        self.trades.sort(key=lambda one: (one["T"], one["a"]))

    def grow(self) -> None:
        with self._growing:
            while self._alive and self._began_ms + len(self.trades) * PAGE_MS <= self.now_ms():
                number = len(self.trades)
                price = f"{10 + (number % 7 - 3) / 1000:.3f}"
                self.trade(number, self._began_ms + number * PAGE_MS, price)
                self.quote = (f"{float(price) - 0.005:.3f}", f"{float(price) + 0.005:.3f}")
