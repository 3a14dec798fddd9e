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
- **Groups.** `consume` shares the messages of topics among the consumers of a group, at least once each, as
  `core/bus_groups.py` says. A group exists from the first `consume` on.
- **The end.** After `close()` nothing can be published; iterators end once they have given out what was published.

One bus belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from core import codec
from core.bus_groups import Consumer, DeadLetter, Delivery, wait_s
from core.bus_inbox import Front, Group, GroupConsumer, Inbox

M = TypeVar("M")
OnStuck = Callable[[tuple[str, ...], int], None]
OnDead = Callable[[DeadLetter], None]
REMEMBERED = 100_000  # message ids


class BusProto(Protocol):
    """Bus protocol for publish and subscribe."""

    async def publish_json(self, topic: str, payload: dict[str, Any]) -> None:
        """Publish a JSON payload to a topic."""
        ...

    def subscribe(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        """Subscribe to a topic: `async for message in bus.subscribe(topic)`, without await before `bus`."""
        ...


class Said(NamedTuple):
    """A message for a bus; the same id is the same message. `message_id` None: it is to be heard again."""

    topic: str
    payload: dict[str, Any]
    message_id: str | None = None


class GroupBus(BusProto, Protocol):
    """A bus with groups: `core/bus_groups.py`."""

    async def publish_json(self, topic: str, payload: dict[str, Any], *, message_id: str | None = None) -> None:
        """Publish; once, however often it is called with one `message_id` (after a crash, an outbox repeats itself)."""
        ...

    async def publish_all(self, messages: Sequence[Said]) -> None:
        """Several, in this order, without waiting for the answer to one before the next one is sent."""
        ...

    def consume(self, group: str, *topics: str, consumer: str | None = None) -> Consumer:
        """A consumer of a group, which exists from the first call on; `consumer` is its name."""
        ...

    async def dead_letters(self, topic: str) -> list[DeadLetter]:
        """What groups gave up of a topic, oldest first."""
        ...

    async def next_epoch(self, name: str, above: int = 0) -> int:
        """A number for a process that begins: above all that were given under this name, and above `above`."""
        ...

    async def close(self) -> None: ...


class Subscription(AsyncIterator[M], Generic[M]):
    """What a subscriber iterates over.

    It ends by `aclose()` (`async with contextlib.aclosing(...)`, or `async with` on itself), or when nobody holds it
    any more, as after a cancelled `async for`. A time limit around one `anext` does not end it: no message is lost.
    """

    def __init__(self, inbox: Inbox, read: Callable[[str, bytes], M], leave: Callable[[Inbox], None]) -> None:
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

    def __init__(
        self,
        *,
        capacity: int = 1024,
        patience_s: float = 1.0,
        on_stuck: OnStuck | None = None,
        deliveries: int = 5,
        retry_s: float = 0.1,
        on_dead: OnDead | None = None,
    ) -> None:
        """`on_stuck(topics, backlog)` is called once each time a subscriber gets stuck, `on_dead` for each dead letter.

        A group tries a message `deliveries` times, `retry_s` after the first failure, and twice as long each time.
        """
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, was {capacity}")
        if not patience_s > 0:
            raise ValueError(f"patience_s must be above 0, was {patience_s}")
        self._capacity = capacity
        self._patience_s = patience_s
        self._on_stuck = on_stuck
        if deliveries < 1:
            raise ValueError(f"deliveries must be at least 1, was {deliveries}")
        self._deliveries = deliveries
        self._retry_s = retry_s
        self._on_dead = on_dead
        self._inboxes: dict[str, list[Inbox]] = {}
        self._groups: dict[str, list[Group]] = {}  # by topic
        self._dead: dict[str, list[DeadLetter]] = {}
        self._known: dict[str, None] = {}  # message ids, oldest first
        self._epochs: dict[str, int] = {}
        self._numbered = 0
        self._closed = False
        self.spilled = 0  # messages put in front of a subscriber that was stuck

    async def publish_json(self, topic: str, payload: dict[str, Any], *, message_id: str | None = None) -> None:
        """Put a message in front of every subscriber and group of the topic, then wait until they have room again.

        A publisher that is cancelled while it waits has published. Nobody there: the message is gone. Of the last
        100,000 messages with an id, one with the same id is published once.
        Raises RuntimeError on a closed bus, TypeError for a payload that is not a dictionary of JSON values.
        """
        if self._closed:
            raise RuntimeError(f"the bus is closed: nothing can be published to {topic}")
        data = encoded(topic, payload)
        if message_id is not None and self._is_known(message_id):
            return
        crowded: list[Front] = []
        for inbox in tuple(self._inboxes.get(topic, ())):  # a copy: an abandoned subscription may leave at any moment
            inbox.put(topic, data)
            if inbox.stuck:
                self.spilled += 1
            elif not inbox.room.is_set():
                crowded.append(inbox)
        if topic in self._groups:
            crowded += self._put_to_groups(topic, data, message_id)
        for front in crowded:
            if await front.wait_until_room(self._patience_s) and self._on_stuck:
                self._on_stuck(front.topics, len(front))

    async def publish_all(self, messages: Sequence[Said]) -> None:
        """One after the other, as `publish_json` does."""
        for one in messages:
            await self.publish_json(one.topic, one.payload, message_id=one.message_id)

    def subscribe(self, topic: str) -> Subscription[dict[str, Any]]:
        """The messages of a topic from now on. Raises RuntimeError on a closed bus."""
        return self._subscription((topic,), lambda _topic, data: codec.from_json(data))

    def subscribe_many(self, *topics: str) -> Subscription[tuple[str, dict[str, Any]]]:
        """(topic, message) of several topics from now on, in the order in which they were published."""
        return self._subscription(topics, lambda topic, data: (topic, codec.from_json(data)))

    def consume(self, group: str, *topics: str, consumer: str | None = None) -> Consumer:  # noqa: ARG002 - GroupBus's
        """A consumer of a group that gets the messages of these topics from its first consumer on.

        Raises RuntimeError on a closed bus, ValueError where the group has other topics.
        """
        self._must_be_open(topics)
        wanted = tuple(dict.fromkeys(topics))
        found = {one for groups in self._groups.values() for one in groups if one.name == group}
        if not found:
            found = {Group(group, wanted, self._capacity)}
            for topic in wanted:
                self._groups.setdefault(topic, []).extend(found)
        (shared,) = found
        if set(shared.topics) != set(wanted):
            raise ValueError(f"group {group!r} reads {', '.join(shared.topics)}, not {', '.join(wanted)}")
        return GroupConsumer(shared, self._give_back)

    async def dead_letters(self, topic: str) -> list[DeadLetter]:
        """What groups gave up of a topic, oldest first."""
        return list(self._dead.get(topic, ()))

    async def next_epoch(self, name: str, above: int = 0) -> int:
        """A number for whoever begins: above all that were given under this name, and above `above`."""
        self._epochs[name] = max(self._epochs.get(name, 0), above) + 1
        return self._epochs[name]

    def backlog(self, topic: str) -> list[int]:
        """How many messages are in front of each subscriber, then of each group of a topic, oldest first."""
        return [len(one) for one in (*self._inboxes.get(topic, ()), *self._groups.get(topic, ()))]

    async def close(self) -> None:
        """Refuse further messages. Iterators end once they have given out what was published: await their tasks."""
        self._closed = True
        fronts: list[Sequence[Front]] = [*self._inboxes.values(), *self._groups.values()]
        for front in itertools.chain(*fronts):
            front.end()

    def _give_back(self, group: Group, delivery: Delivery, reason: str) -> None:
        """A consumer could not handle a message: later again, or never."""
        message = delivery.message
        if message.attempt < self._deliveries:
            group.lanes.wait(message)
            asyncio.get_running_loop().call_later(wait_s(self._retry_s, message.attempt), group.again, message)
            return
        letter = DeadLetter(
            message.topic, group.name, message.message_id, codec.from_json(message.payload), reason, message.attempt
        )
        self._dead.setdefault(message.topic, []).append(letter)
        group.done(message)
        if self._on_dead:
            self._on_dead(letter)

    def _is_known(self, message_id: str) -> bool:
        if message_id in self._known:
            return True
        self._known[message_id] = None
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return False

    def _put_to_groups(self, topic: str, data: bytes, message_id: str | None) -> list[Front]:
        """The groups that have no room now."""
        self._numbered += 1
        crowded: list[Front] = []
        for group in self._groups[topic]:
            group.put(topic, data, message_id if message_id is not None else f"m-{self._numbered}")
            if group.stuck:
                self.spilled += 1
            elif not group.room.is_set():
                crowded.append(group)
        return crowded

    def _must_be_open(self, topics: tuple[str, ...]) -> None:
        if self._closed:
            raise RuntimeError(f"the bus is closed: nothing will come on {', '.join(topics)}")

    def _subscription(self, topics: tuple[str, ...], read: Callable[[str, bytes], M]) -> Subscription[M]:
        self._must_be_open(topics)
        inbox = Inbox(tuple(dict.fromkeys(topics)), self._capacity)
        for topic in inbox.topics:
            self._inboxes.setdefault(topic, []).append(inbox)
        return Subscription(inbox, read, self._remove)

    def _remove(self, inbox: Inbox) -> None:
        for topic in inbox.topics:
            self._inboxes[topic].remove(inbox)
            if not self._inboxes[topic]:
                del self._inboxes[topic]
        inbox.messages.clear()
        inbox.end()


def encoded(topic: str, payload: dict[str, Any]) -> bytes:
    """The payload as JSON. Raises TypeError for what is no dictionary of JSON values."""
    if not isinstance(payload, dict):
        raise TypeError(f"a payload for {topic} must be a dictionary, was {type(payload).__name__}")
    try:
        return codec.to_json(payload)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"a payload for {topic} must be JSON: {error}") from error
