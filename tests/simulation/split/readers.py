"""What simulated processes read from their bus: a tape of a topic, and the messages of a group.

Messages with one key stay in order, others overtake each other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

from core import codec
from core.bus_groups import DeadLetter, Delivery, Lanes, Message, wait_s
from core.bus_redis_link import BusError
from tests.simulation.split.server import Entry, Share

if TYPE_CHECKING:
    from tests.simulation.split.bus import Client

LOOK_S: Final = 0.5  # between two looks at a lease
DELIVERIES: Final = 5
RETRY_S: Final = 0.1


class SimulatedTape:
    """What a subscriber iterates over: everything from the call on, in order."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._messages: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._error: BusError | None = None
        self._free_ns = 0

    def send(self, entry: Entry) -> None:
        server = self._client.server
        self._free_ns = max(self._free_ns, server.travel())
        server.time.at(self._free_ns, lambda: self._arrives(entry.data))

    def fail(self, error: BusError) -> None:
        self._error = error
        self._ready.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._messages:
            if self._error is not None:
                raise self._error
            self._ready.clear()
            await self._ready.wait()
        message: dict[str, Any] = codec.from_json(self._messages.popleft())
        return message

    def _arrives(self, data: bytes) -> None:
        if not self._client.killed:
            self._messages.append(data)
            self._ready.set()


class SimulatedConsumer:
    """`core.bus_groups.Consumer`; in a name like `risk#7` the number is its epoch."""

    def __init__(self, client: Client, group: str, topics: tuple[str, ...], name: str) -> None:
        self.group = group
        self.topics = topics
        self.name = name
        self.epoch = int(name.partition("#")[2] or 0)
        self.client = client
        self._server = client.server
        self._lanes = Lanes()
        self._ready = asyncio.Event()
        self._free_ns: dict[tuple[str, str], int] = {}
        self._error: BusError | None = None
        self._left = False
        client.loop.call_later(LOOK_S, self._look)

    @property
    def gone(self) -> bool:
        return self._left or self.client.killed or self._error is not None

    def send(self, share: Share, entry: Entry, *, attempt: int) -> None:
        lane = entry.topic, entry.key
        self._free_ns[lane] = max(self._free_ns.get(lane, 0), self._server.travel())
        self._server.time.at(self._free_ns[lane], lambda: self._arrives(share, entry, attempt))

    def fail(self, error: BusError) -> None:
        self._error = error
        self._ready.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            while not self._lanes:
                if self._error is not None:
                    raise self._error
                if self._left:
                    raise StopAsyncIteration
                self._ready.clear()
                await self._ready.wait()
            message = self._lanes.take()
            if message.attempt == 0 and not await self._again(message):
                continue
            payload = codec.from_json(message.payload)
            return Delivery(message.topic, payload, message.message_id, message.attempt, message)

    async def done(self, delivery: Delivery) -> None:
        message = delivery.message
        if message.held:
            self.client.ask(lambda: self._server.finish(*_place(message), self.name))
            self._finish(message)

    async def failed(self, delivery: Delivery, reason: str) -> None:
        message = delivery.message
        if not message.held:
            return
        if message.attempt >= DELIVERIES:
            await self._give_up(message, reason)
            return
        pause_s = wait_s(RETRY_S, message.attempt)
        message.attempt = 0
        self._lanes.wait(message)
        self.client.loop.call_later(pause_s, self._try_again, message)

    async def aclose(self) -> None:
        if not self._left:
            self._left = True
            self._lanes = Lanes()
            if self._error is None:
                self.client.ask(lambda: self._server.release(self))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    # ---- inside

    def _arrives(self, share: Share, entry: Entry, attempt: int) -> None:
        if self.gone or share.holder is not self:
            return  # whoever takes over claims it
        message = Message(entry.topic, entry.key, entry.message_id, entry.data, share, b"%d" % entry.number)
        message.attempt = attempt
        self._lanes.add(message)
        self._ready.set()

    async def _again(self, message: Message) -> bool:
        message.attempt = await self.client.ask(lambda: self._server.again(*_place(message), self.name))
        if message.attempt == 0:
            self._finish(message)
            return False
        if message.attempt > DELIVERIES:
            await self._give_up(message, "it was given out so often and never finished")
            return False
        return True

    async def _give_up(self, message: Message, reason: str) -> None:
        payload = codec.from_json(message.payload)
        letter = DeadLetter(message.topic, self.group, message.message_id, payload, reason, message.attempt)
        await self.client.ask(lambda: self._server.give_up(*_place(message), self.name, letter))
        self._finish(message)

    def _try_again(self, message: Message) -> None:
        self._lanes.again(message)
        self._ready.set()

    def _finish(self, message: Message) -> None:
        message.held = False
        self._lanes.done(message)
        self._ready.set()

    def _look(self) -> None:
        """At its leases: what was lost is not given out any more."""
        if self.gone:
            return
        self.client.ask(self._lost).add_done_callback(self._drop)
        self.client.loop.call_later(LOOK_S, self._look)

    def _lost(self) -> list[Share]:
        shares = self._server.shares.values()
        return [one for one in shares if one.group == self.group and one.holder and one.holder.epoch > self.epoch]

    def _drop(self, seen: asyncio.Future[list[Share]]) -> None:
        if not self.gone and not seen.cancelled() and seen.exception() is None:
            for share in seen.result():
                self._lanes.drop(share)


def _place(message: Message) -> tuple[Share, int]:
    share = message.source
    assert isinstance(share, Share)
    return share, int(message.position)
