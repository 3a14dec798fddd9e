"""Publish and subscribe: the protocol that every bus follows, and the bus inside one process.

What `InMemoryBus` promises:

- **Order.** A message is put in front of all its subscribers in one step, so everybody sees the messages they share in
  the same order, across topics and publishers (`subscribe_many` shows it for several topics).
- **From the call on.** A subscription is active when `subscribe()` returns, not when the first message is awaited.
- **Copies.** A payload travels as JSON: what arrives is a fresh dictionary, and what cannot be JSON is refused.
- **Back-pressure without deadlock.** A publisher waits while a subscriber has more than `capacity` messages before it,
  for as long as that subscriber takes messages. When it takes none for `patience_s`, it counts as stuck: publishers go
  on, its backlog keeps growing without a loss and is counted in `spilled`, until it takes a message again. A
  queue is therefore bounded by capacity + waiting publishers, except for a stuck subscriber, which `on_stuck` reports.
- **The end.** After `close()` nothing can be published; iterators end once they have given out what was published.

One bus belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, Self, TypeVar

from core import codec

M = TypeVar("M")
OnStuck = Callable[[tuple[str, ...], int], None]


class BusProto(Protocol):
    """Bus protocol for publish and subscribe."""

    async def publish_json(self, topic: str, payload: dict[str, Any]) -> None:
        """Publish a JSON payload to a topic."""
        ...

    def subscribe(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        """Subscribe to a topic: `async for message in bus.subscribe(topic)`, without await before `bus`."""
        ...


class _Inbox:
    """The messages in front of one subscriber, as JSON."""

    def __init__(self, topics: tuple[str, ...], capacity: int) -> None:
        self.topics = topics
        self.capacity = capacity
        self.messages: deque[tuple[str, bytes]] = deque()
        self.taken = 0
        self.stuck = False
        self.ended = False
        self.ready = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()

    def put(self, topic: str, data: bytes) -> None:
        self.messages.append((topic, data))
        self.ready.set()
        if len(self.messages) > self.capacity:
            self.room.clear()

    async def take(self) -> tuple[str, bytes]:
        while not self.messages:
            if self.ended:
                raise StopAsyncIteration
            self.ready.clear()
            await self.ready.wait()
        self.taken += 1
        self.stuck = False
        message = self.messages.popleft()
        if len(self.messages) <= self.capacity:
            self.room.set()
        return message

    def end(self) -> None:
        """Nothing comes any more: whoever waits, on either side, goes on."""
        self.ended = True
        self.ready.set()
        self.room.set()

    async def wait_until_room(self, patience_s: float) -> bool:
        """Wait for room, or until the subscriber takes nothing for so long. True for the first who finds it stuck."""
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


class Subscription(AsyncIterator[M], Generic[M]):
    """What a subscriber iterates over.

    It ends by `aclose()` (`async with contextlib.aclosing(...)`, or `async with` on itself), or when nobody holds it
    any more, as after a cancelled `async for`. A time limit around one `anext` does not end it: no message is lost.
    """

    def __init__(self, inbox: _Inbox, read: Callable[[str, bytes], M], leave: Callable[[_Inbox], None]) -> None:
        self._inbox = inbox
        self._read = read
        self._leave = weakref.finalize(self, leave, inbox)
        self._leave.atexit = False

    async def __anext__(self) -> M:
        try:
            topic, data = await self._inbox.take()
        except asyncio.CancelledError:
            del self  # the traceback must not keep an abandoned subscription alive
            raise
        return self._read(topic, data)

    async def aclose(self) -> None:
        """Leave the bus: what was not taken is dropped, publishers that wait for this subscriber go on."""
        self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()


class InMemoryBus:
    """The bus inside one process; the module says what it promises."""

    def __init__(self, *, capacity: int = 1024, patience_s: float = 1.0, on_stuck: OnStuck | None = None) -> None:
        """`on_stuck(topics, backlog)` is called once each time a subscriber gets stuck."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, was {capacity}")
        if not patience_s > 0:
            raise ValueError(f"patience_s must be above 0, was {patience_s}")
        self._capacity = capacity
        self._patience_s = patience_s
        self._on_stuck = on_stuck
        self._inboxes: dict[str, list[_Inbox]] = {}
        self._closed = False
        self.spilled = 0  # messages put in front of a subscriber that was stuck

    async def publish_json(self, topic: str, payload: dict[str, Any]) -> None:
        """Put a message in front of every subscriber of the topic, then wait until they have room again.

        A publisher that is cancelled while it waits has published. No subscriber: the message is gone.
        Raises RuntimeError on a closed bus, TypeError for a payload that is not a dictionary of JSON values.
        """
        if self._closed:
            raise RuntimeError(f"the bus is closed: nothing can be published to {topic}")
        data = _encode(topic, payload)
        crowded = []
        for inbox in tuple(self._inboxes.get(topic, ())):  # a copy: an abandoned subscription may leave at any moment
            inbox.put(topic, data)
            if inbox.stuck:
                self.spilled += 1
            elif not inbox.room.is_set():
                crowded.append(inbox)
        for inbox in crowded:
            if await inbox.wait_until_room(self._patience_s) and self._on_stuck:
                self._on_stuck(inbox.topics, len(inbox.messages))

    def subscribe(self, topic: str) -> Subscription[dict[str, Any]]:
        """The messages of a topic from now on. Raises RuntimeError on a closed bus."""
        return self._subscription((topic,), lambda _topic, data: codec.from_json(data))

    def subscribe_many(self, *topics: str) -> Subscription[tuple[str, dict[str, Any]]]:
        """(topic, message) of several topics from now on, in the order in which they were published."""
        return self._subscription(topics, lambda topic, data: (topic, codec.from_json(data)))

    def backlog(self, topic: str) -> list[int]:
        """How many messages are in front of each subscriber of a topic, oldest subscription first."""
        return [len(inbox.messages) for inbox in self._inboxes.get(topic, ())]

    async def close(self) -> None:
        """Refuse further messages. Iterators end once they have given out what was published: await their tasks."""
        self._closed = True
        for inboxes in self._inboxes.values():
            for inbox in inboxes:
                inbox.end()

    def _subscription(self, topics: tuple[str, ...], read: Callable[[str, bytes], M]) -> Subscription[M]:
        if self._closed:
            raise RuntimeError(f"the bus is closed: nothing will come on {', '.join(topics)}")
        inbox = _Inbox(tuple(dict.fromkeys(topics)), self._capacity)
        for topic in inbox.topics:
            self._inboxes.setdefault(topic, []).append(inbox)
        return Subscription(inbox, read, self._remove)

    def _remove(self, inbox: _Inbox) -> None:
        for topic in inbox.topics:
            self._inboxes[topic].remove(inbox)
            if not self._inboxes[topic]:
                del self._inboxes[topic]
        inbox.messages.clear()
        inbox.end()


def _encode(topic: str, payload: dict[str, Any]) -> bytes:
    if not isinstance(payload, dict):
        raise TypeError(f"a payload for {topic} must be a dictionary, was {type(payload).__name__}")
    try:
        return codec.to_json(payload)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"a payload for {topic} must be JSON: {error}") from error
