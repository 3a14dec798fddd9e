"""What lies in front of the readers of a bus inside one process: back-pressure, and who takes what."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from core import codec
from core.bus_groups import Delivery, Lanes, Message, order_key


class Front:
    """The messages in front of a reader, as its publishers see it: is there room, and does it take any?"""

    def __init__(self, topics: tuple[str, ...], capacity: int) -> None:
        self.topics = topics
        self.capacity = capacity
        self.taken = 0
        self.stuck = False
        self.ended = False
        self.ready = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()

    def __len__(self) -> int:
        raise NotImplementedError

    def end(self) -> None:
        """Nothing comes any more: whoever waits, on either side, goes on."""
        self.ended = True
        self.ready.set()
        self.room.set()

    async def wait_until_room(self, patience_s: float) -> bool:
        """Wait for room, or until the reader takes nothing for so long. True for the first who finds it stuck."""
        while not (self.room.is_set() or self.stuck):
            taken = self.taken
            try:
                async with asyncio.timeout(patience_s):
                    await self.room.wait()
            except TimeoutError:
                if self.taken == taken and not self.stuck:
                    self.stuck = True
                    return True
        return False

    def _has_come(self) -> None:
        self.ready.set()
        if len(self) > self.capacity:
            self.room.clear()

    def _has_gone(self) -> None:
        self.taken += 1
        self.stuck = False
        if len(self) <= self.capacity:
            self.room.set()


class Inbox(Front):
    """The messages in front of one subscriber, as JSON."""

    def __init__(self, topics: tuple[str, ...], capacity: int) -> None:
        super().__init__(topics, capacity)
        self.messages: deque[tuple[str, bytes]] = deque()
        self.error: Exception | None = None

    def __len__(self) -> int:
        return len(self.messages)

    def put(self, topic: str, data: bytes) -> None:
        self.messages.append((topic, data))
        self._has_come()

    async def take(self) -> tuple[str, bytes]:
        while not self.messages:
            if self.ended:
                if self.error is not None:
                    raise self.error
                raise StopAsyncIteration
            self.ready.clear()
            await self.ready.wait()
        message = self.messages.popleft()
        self._has_gone()
        return message


class Group(Front):
    """The messages in front of a group, and those in the hands of its consumers."""

    def __init__(self, name: str, topics: tuple[str, ...], capacity: int) -> None:
        super().__init__(topics, capacity)
        self.name = name
        self.lanes = Lanes()

    def __len__(self) -> int:
        return len(self.lanes)

    def put(self, topic: str, data: bytes, message_id: str) -> None:
        self.lanes.add(Message(topic, order_key(codec.from_json(data)), message_id, data))
        self._has_come()

    async def take(self) -> Message:
        while not self.lanes:
            if self.ended and not len(self.lanes):
                raise StopAsyncIteration
            self.ready.clear()
            await self.ready.wait()
        message = self.lanes.take()
        message.attempt += 1
        return message

    def done(self, message: Message) -> None:
        self.lanes.done(message)
        self._has_gone()
        self.ready.set()  # the one behind it, or the end

    def again(self, message: Message) -> None:
        self.lanes.again(message)
        self.ready.set()


class GroupConsumer:
    """A consumer of a group inside the process."""

    def __init__(self, group: Group, give_back: GiveBack) -> None:
        self._group = group
        self._give_back = give_back
        self._held: list[Message] = []
        self._left = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        if self._left:
            raise StopAsyncIteration
        message = await self._group.take()
        self._held.append(message)
        return Delivery(message.topic, codec.from_json(message.payload), message.message_id, message.attempt, message)

    async def done(self, delivery: Delivery) -> None:
        if delivery.message in self._held:
            self._held.remove(delivery.message)
            self._group.done(delivery.message)

    async def failed(self, delivery: Delivery, reason: str) -> None:
        if delivery.message in self._held:
            self._held.remove(delivery.message)
            self._give_back(self._group, delivery, reason)

    async def aclose(self) -> None:
        self._left = True
        while self._held:
            self._group.again(self._held.pop())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()


GiveBack = Callable[[Group, Delivery, str], None]
