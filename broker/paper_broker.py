"""The paper venue as a broker: the asynchronous protocol of `broker/base.py` over a venue that is played by a clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NoReturn

from broker.base import Answer, BrokerEvent, BrokerUnavailableError, Reply, VenueOrder, wire_id
from broker.faults import FaultyVenue, Told
from broker.paper import PaperVenue
from core.clock import Clock
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent
from execution.events import OrderUnknown


class PaperBroker:
    """A venue, with or without faults in front of it, for whoever lives by `clock`.

    The venue is played up to the clock's time whenever it is asked anything. For news without asking, `run` plays it
    every `step_s`; on a clock that is moved by hand, call `play` after each move.
    """

    def __init__(self, name: str, venue: PaperVenue | FaultyVenue, clock: Clock, *, step_s: float = 0.05) -> None:
        self._name = name
        self._venue = venue
        self._clock = clock
        self._step_s = step_s
        self._listeners: list[asyncio.Queue[BrokerEvent]] = []

    @property
    def venue(self) -> str:
        return self._name

    async def submit(self, intent: OrderIntent) -> Reply:
        """UNKNOWN also where the venue says nothing, as to an id that it has had before.

        Raises ValueError for an id that cannot be sent.
        """
        wire_id(intent.intent_id)
        now_ns = self.play()
        told: Sequence[Told] = self._venue.submit(intent, now_ns)
        for one in told:
            if isinstance(one, OrderUnknown):
                return Reply(Answer.UNKNOWN, reason="the answer was lost")
            self._publish(one)
        for one in told:
            if isinstance(one, OrderClosed) and one.status == "rejected":
                return Reply(Answer.REJECTED, one, one.reason)
            if isinstance(one, OrderEvent):
                return Reply(Answer.ACCEPTED)
        return Reply(Answer.UNKNOWN, reason="the venue did not say anything")

    async def cancel(self, intent: OrderIntent) -> Reply:
        now_ns = self.play()
        told: Sequence[Told] = self._venue.cancel(intent, now_ns)
        for one in told:
            if isinstance(one, OrderUnknown):
                return Reply(Answer.UNKNOWN, reason="the answer was lost")
            self._publish(one)
        if told:
            return Reply(Answer.ACCEPTED)
        try:
            found = self._venue.order(str(intent.target_intent_id))
        except BrokerUnavailableError as error:
            return Reply(Answer.UNKNOWN, reason=str(error))
        if found is not None and found.is_open:
            return Reply(Answer.ACCEPTED)
        return Reply(Answer.REJECTED, reason="the venue does not have it open")

    async def order(self, intent_id: str) -> VenueOrder | None:
        self.play()
        return self._venue.order(intent_id)

    async def open_orders(self) -> Sequence[VenueOrder]:
        self.play()
        return self._venue.open_orders()

    async def fills_since(self, ts_ns: int) -> Sequence[FillEvent]:
        self.play()
        return self._venue.fills_since(ts_ns)

    def events(self) -> AsyncIterator[BrokerEvent]:
        queue: asyncio.Queue[BrokerEvent] = asyncio.Queue()
        self._listeners.append(queue)
        return self._listen(queue)

    def play(self) -> int:
        """Plays the venue up to now, tells whoever listens, and returns the time."""
        now_ns = self._clock.now_ns()
        while True:
            heard_ns, news = self._venue.run(now_ns)
            for one in news:
                self._publish(one)
            if heard_ns >= now_ns and not news:
                return now_ns

    async def run(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> NoReturn:
        """Plays the venue for ever, every `step_s`; cancel its task to end it."""
        while True:
            self.play()
            await sleep(self._step_s)

    async def _listen(self, queue: asyncio.Queue[BrokerEvent]) -> AsyncIterator[BrokerEvent]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    def _publish(self, event: BrokerEvent) -> None:
        for queue in self._listeners:
            queue.put_nowait(event)
