"""Groups: readers of a bus that share the work, and never lose it.

A group gets every message once it exists, whoever of its consumers is alive. A message is finished by `done`; until
then it comes again, to the same consumer or to another: after `failed`, and after the consumer that held it is gone. So
handlers must be idempotent, by `Delivery.message_id` or by the ids in the payload. After so many failures it goes to
the dead letters, with the last reason, and the group goes on.

Messages with one order key (`order_key`: a parent's, else a symbol's) are given out one at a time and in order, also
while one of them waits to be tried again; those with other keys pass by.

    async with bus.consume("risk", topics.INTENT) as consumer:
        await work(consumer, handle)
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

LONGEST_WAIT_S: Final = 30.0
_CHILD: Final = re.compile(r"(x-[0-9a-f]{10})-")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in the hands of a consumer; `attempt` is 1 the first time."""

    topic: str
    payload: dict[str, Any]
    message_id: str
    attempt: int
    message: Message = field(repr=False, compare=False)  # the bus's


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a group gave up, and why."""

    topic: str
    group: str
    message_id: str
    payload: dict[str, Any]
    reason: str
    attempts: int


class Consumer(Protocol):
    """One reader of a group. Leave it by `aclose()` or `async with`: what it holds goes to another."""

    def __aiter__(self) -> AsyncIterator[Delivery]: ...

    async def __anext__(self) -> Delivery: ...

    async def done(self, delivery: Delivery) -> None:
        """This message need not come again."""
        ...

    async def failed(self, delivery: Delivery, reason: str) -> None:
        """It comes again after a while, which doubles each time, or goes to the dead letters."""
        ...

    async def aclose(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_exc: object) -> None: ...


async def work(
    consumer: Consumer,
    handle: Callable[[Delivery], Awaitable[object]],
    *,
    ends: type[Exception] | tuple[type[Exception], ...] = (),
) -> None:
    """Handle messages until the bus is closed. What a handler raises is the reason to try again.

    Raises what is one of `ends`: whoever takes over gets the message again, however often it has been given out.
    """
    async for delivery in consumer:
        try:
            await handle(delivery)
        except ends:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, its message is not lost and has a reason
            await consumer.failed(delivery, f"{type(error).__name__}: {error}")
        else:
            await consumer.done(delivery)


def order_key(payload: Mapping[str, Any]) -> str:
    """What a message must stay in order with: its execution where it tells, else its symbol, else everything."""
    meta = payload.get("meta")
    if isinstance(meta, Mapping) and "execution_id" in meta:
        return str(meta["execution_id"])
    if "execution_id" in payload:
        return str(payload["execution_id"])
    child = _CHILD.match(str(payload.get("order_id") or payload.get("intent_id") or ""))
    if child:
        return child[1]
    return str(payload.get("symbol", ""))


def wait_s(first_s: float, attempt: int) -> float:
    """Seconds until the next attempt after the n-th one failed: doubled each time, up to half a minute."""
    return float(min(first_s * 2.0 ** min(attempt - 1, 30), LONGEST_WAIT_S))


class Message:
    """A message on its way through a group."""

    __slots__ = ("attempt", "held", "key", "message_id", "payload", "position", "source", "topic", "waits")

    def __init__(
        self, topic: str, key: str, message_id: str, payload: bytes, source: object = None, position: bytes = b""
    ) -> None:
        self.topic = topic
        self.key = key
        self.message_id = message_id
        self.payload = payload
        self.source = source  # where a bus has it from
        self.position = position  # its place there
        self.attempt = 0
        self.held = False  # in somebody's hands
        self.waits = False  # to be tried again later


class Lanes:
    """Messages in lanes of topic and key: the first of each lane can be taken, the others wait behind it."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str], deque[Message]] = {}
        self._ready: deque[Message] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        """Whether there is one to take."""
        return bool(self._ready)

    def add(self, message: Message) -> None:
        lane = self._lanes.get((message.topic, message.key))
        self._count += 1
        if lane is None:
            self._lanes[message.topic, message.key] = deque((message,))
            self._ready.append(message)
        else:
            lane.append(message)

    def take(self) -> Message:
        """The oldest first of a lane, in the caller's hands from now on."""
        message = self._ready.popleft()
        message.held = True
        return message

    def wait(self, message: Message) -> None:
        """It cannot be taken until `again`, nor can those behind it."""
        message.held, message.waits = False, True

    def again(self, message: Message) -> None:
        """It can be taken again, before all others; nothing happens for one that has been dropped meanwhile."""
        lane = self._lanes.get((message.topic, message.key))
        if lane and lane[0] is message and (message.held or message.waits):
            message.held = message.waits = False
            self._ready.appendleft(message)

    def done(self, message: Message) -> None:
        """It is finished; the one behind it can be taken."""
        lane = self._lanes.get((message.topic, message.key))
        if not lane or lane[0] is not message:
            return
        lane.popleft()
        self._count -= 1
        if lane:
            self._ready.append(lane[0])
        else:
            del self._lanes[message.topic, message.key]

    def drop(self, source: object) -> int:
        """Forget what came from this source and is in nobody's hands; returns how many of its messages still are."""
        held = 0
        for place, lane in list(self._lanes.items()):
            first = lane[0]
            if first.source is not source:
                continue
            held += first.held
            self._count -= len(lane) - first.held
            if first.held:
                self._lanes[place] = deque((first,))
            else:
                del self._lanes[place]
        self._ready = deque(message for message in self._ready if message.source is not source)
        return held
