"""What is on its way between us and a market: orders and cancels that arrive, lives that end, news that is heard."""

from __future__ import annotations

import heapq
from collections import deque
from operator import itemgetter
from typing import Final

from core.contracts import FillEvent, OrderClosed
from execution.ticks.own import Own

VenueEvent = FillEvent | OrderClosed
ARRIVES, CANCELS, EXPIRES = range(3)  # what of ours comes due; of one moment in this order
NEVER: Final = 2**62


class Post:
    """Two heaps in order of time: what comes due in the market, and what we are to hear.

    Beside the second a queue of its own for `parts`: fills of a part of an order, as the market tells them where the
    caller would not stop for one.
    """

    def __init__(self, response_ns: int) -> None:
        self._response_ns = response_ns
        self._due: list[tuple[int, int, int, Own | str]] = []
        self._heard: list[tuple[int, int, VenueEvent]] = []
        self._parts: deque[tuple[int, int, VenueEvent]] = deque()
        self._sequence = 0
        self._travelling = 0

    @property
    def busy(self) -> bool:
        """Whether anything but the end of a life is on its way."""
        return bool(self._travelling or self._heard or self._parts)

    def next_ns(self, whole: bool) -> int:
        """When something comes due or is heard, `parts` only if not `whole`; `NEVER` where nothing is on its way."""
        next_ns = self._due[0][0] if self._due else NEVER
        if self._heard and self._heard[0][0] < next_ns:
            next_ns = self._heard[0][0]
        if self._parts and not whole and self._parts[0][0] < next_ns:
            next_ns = self._parts[0][0]
        return next_ns

    def send(self, at_ns: int, what: int, whom: Own | str) -> None:
        """An order (`ARRIVES`, `EXPIRES`) or the name of one (`CANCELS`) comes due."""
        self._sequence += 1
        self._travelling += what != EXPIRES
        heapq.heappush(self._due, (at_ns, what, self._sequence, whom))

    def due(self, now_ns: int) -> tuple[int, Own | str] | None:
        """The next that has come due by now, taken out."""
        if not self._due or self._due[0][0] > now_ns:
            return None
        _, what, _, whom = heapq.heappop(self._due)
        self._travelling -= what != EXPIRES
        return what, whom

    def tell(self, event: VenueEvent, happened_ns: int, *, part: bool = False) -> None:
        """We hear of this when the response has come. Parts are told in order of time."""
        self._sequence += 1
        news = happened_ns + self._response_ns, self._sequence, event
        if part:
            self._parts.append(news)
        else:
            heapq.heappush(self._heard, news)

    def hear(self, now_ns: int) -> list[VenueEvent]:
        """All that is heard by now, taken out, in order of time."""
        news = []
        while self._parts and self._parts[0][0] <= now_ns:
            news.append(self._parts.popleft())
        is_mixed = bool(news)
        while self._heard and self._heard[0][0] <= now_ns:
            news.append(heapq.heappop(self._heard))
        if is_mixed:
            news.sort(key=itemgetter(0, 1))
        return [event for _, _, event in news]
