"""`fillwright serve broker`: the paper venue and the market as a service on a bus, and whoever asks what time it is.

    orders.new   -> orders.accepted, fills.new, orders.closed
    orders.ask   -> the same again, or orders.closed for an order that has never come and is not taken any more
    ctl.kill     trips the switch; what is open is withdrawn
    ctl.epoch    a newer router or risk engine has begun: orders of older ones are not obeyed
    the tape     -> md.bars.*, md.quotes.*, and ctl.clock

A message is finished once the venue's journal has what it asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from core import topics
from core.bus import GroupBus, Said
from core.bus_groups import Consumer, Delivery
from core.contracts import OrderIntent
from core.epochs import read_announcement
from live.engine import Log
from live.serve_books import Books
from live.serve_run import first, who_and_why
from live.serve_time import BEAT_S, Beat, TapeClock
from risk.kill import KillSwitch

GROUP: Final = "broker"
_QUOTES: Final = topics.quotes("")


class BrokerService:
    """Serves `books` from `run` on until it is cancelled or the bus ends."""

    def __init__(
        self, bus: GroupBus, books: Books, journal: Log, kill: KillSwitch, clock: TapeClock, *, run_name: str
    ) -> None:
        self._bus = bus
        self._books = books
        self._journal = journal
        self._kill = kill
        self._clock = clock
        self._run_name = run_name
        self._turn = asyncio.Lock()  # one thing after the other, in order of time
        self._quotes: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        heard = (topics.KILL, topics.EPOCH, topics.ASK, topics.ORDERS)
        async with self._bus.consume(GROUP, *heard, consumer=GROUP) as consumer:
            self._remember(self._books.newest())
            await self._say()  # what may not have been published before the last end
            await first(self._listen(consumer), self._play(), self._beat())

    # ---- its three tasks

    async def _listen(self, consumer: Consumer) -> None:
        async for delivery in consumer:
            async with self._turn:
                await self._pass_time()
                try:
                    again = self._take(delivery)
                except ValueError as error:
                    await consumer.failed(delivery, str(error))
                    continue
                await self._say()
                await self._publish(again)
                await consumer.done(delivery)

    async def _play(self) -> None:
        while True:
            async with self._turn:
                await self._pass_time()
                if self._kill.tripped():
                    self._books.withdraw_all()
                await self._say()
            next_ns = self._books.next_ns
            await asyncio.sleep(BEAT_S if next_ns is None else min(BEAT_S, self._clock.seconds_until(next_ns)))

    async def _beat(self) -> None:
        """Says what time it is, and the newest quotes again: whoever has just started needs both."""
        while True:
            beat = Beat(self._clock.now_ns(), self._clock.speed, self._run_name)
            quotes = [Said(topic, quote) for topic, quote in self._quotes.items()]
            await self._bus.publish_all([Said(topics.CLOCK, beat.to_dict()), *quotes])
            await asyncio.sleep(BEAT_S)

    # ---- inside

    def _take(self, delivery: Delivery) -> list[Said]:
        """Raises ValueError for what cannot be read."""
        payload = delivery.payload
        if delivery.topic == topics.KILL:
            self._kill.trip(*who_and_why(payload), self._now())
            self._books.withdraw_all()
            return []
        if delivery.topic == topics.EPOCH:
            self._books.fence(*read_announcement(payload))
            return []
        if delivery.topic == topics.ASK:
            return [*self._books.ask(str(payload["intent_id"]))]
        return [*self._books.obey(OrderIntent.from_dict(payload))]

    async def _pass_time(self) -> None:
        await self._publish(list(self._books.play(self._now())))

    async def _say(self) -> None:
        """Publishes what has not been, once it is durable."""
        news = self._books.unsaid()
        if news:
            self._journal.sync()
            await self._publish(news)
        self._books.told(len(news))

    async def _publish(self, said: list[Said]) -> None:
        self._remember(said)
        await self._bus.publish_all(said)

    def _remember(self, said: Iterable[Said]) -> None:
        """Quotes, for whoever starts later."""
        for one in said:
            if one.topic.startswith(_QUOTES):
                self._quotes[one.topic] = one.payload

    def _now(self) -> int:
        return max(self._clock.now_ns(), self._books.now_ns)
