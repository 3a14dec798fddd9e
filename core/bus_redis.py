"""The bus between processes: Redis Streams.

What `RedisStreamBus` promises, on a server that keeps what it answered for (`appendonly yes`, `appendfsync always`):

- **Published is published.** `publish_json` returns when the server has the message. A message whose answer was lost,
  with the connection or the server, is looked for before it is sent again. With a `message_id`, a message is published
  once however often it is said, for a day (`remember_s`): an outbox may repeat itself after a crash.
- **Subscribers** (`subscribe`) get every message from the call on, over reconnects too, and no message from before.
- **Groups** (`consume`) get every message from the beginning of what is kept, at least once: `core/bus_groups.py`.
- **Order.** Messages with one order key arrive in the order in which they were published, in one process at a time. A
  topic has `partitions` streams, keys are spread over them, and each stream is read by one consumer of a group, which
  holds it by a lease: that many consumers share the work, the others stand by.
- **Nothing unread is dropped.** Streams are trimmed to about `keep` messages, but only of what every group has
  finished. A subscriber without a group that falls further behind than that is told: BusError, or `on_lost`.
- **Back-pressure.** A publisher waits while a group is more than `capacity` messages behind, as long as it moves; one
  that does not move for `patience_s` is stuck: publishers go on, `on_stuck` is called, `spilled` counts.
- **Outages.** Connections come back with growing pauses. After `outage_s` without a server, who waits gets a BusError.

One bus belongs to one event loop. Redis pub/sub is used for nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Self
from zlib import crc32

from core import codec
from core.bus import OnDead, OnStuck, Said, Subscription, encoded
from core.bus_groups import DeadLetter, order_key
from core.bus_inbox import Inbox
from core.bus_redis_group import GroupSettings, RedisConsumer
from core.bus_redis_link import Address, BusError, Link
from core.bus_redis_scripts import NEXT_EPOCH, PUBLISH_AGAIN, PUBLISH_ONCE, TEND
from core.bus_redis_tape import Tape
from core.errors import ConfigError

OLDEST_SERVER: Final = (7, 0)
DAY_S: Final = 86_400
FIRST_POLL_S: Final = 0.002
LONGEST_POLL_S: Final = 0.1
OnLost = Callable[[str, int], None]


class RedisStreamBus:
    """The bus on Redis Streams; the module says what it promises. Made by `await RedisStreamBus.connect(url)`."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "fillwright",
        partitions: int = 1,
        capacity: int = 10_000,
        patience_s: float = 1.0,
        keep: int = 100_000,
        remember_s: int = DAY_S,
        deliveries: int = 5,
        retry_s: float = 0.1,
        lease_s: float = 5.0,
        outage_s: float = 60.0,
        on_stuck: OnStuck | None = None,
        on_dead: OnDead | None = None,
        on_lost: OnLost | None = None,
    ) -> None:
        """url: `redis://[user:password@]host:port/db`, `rediss://` with TLS, or `unix:///path/to/socket?db=0`.

        prefix: of all keys on the server. partitions: of every topic; the same in all processes of one prefix.
        deliveries, retry_s: a group tries a message so often, first again after so long, then twice as long each time.
        lease_s: how long after its death a consumer's messages go to another. `on_lost(topic, count)` is called instead
        of a BusError where a subscriber was too slow. Raises ConfigError for what cannot be meant.
        """
        for name, value in (
            ("partitions", partitions),
            ("capacity", capacity),
            ("keep", keep),
            ("deliveries", deliveries),
        ):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, was {value}")
        for name, seconds in (("patience_s", patience_s), ("lease_s", lease_s), ("outage_s", outage_s)):
            if not seconds > 0:
                raise ConfigError(f"{name} must be above 0, was {seconds}")
        self._address = Address(url)
        self._prefix = prefix
        self._partitions = partitions
        self._capacity = capacity
        self._patience_s = patience_s
        self._keep = keep
        self._remember_s = remember_s
        self._outage_s = outage_s
        self._group_settings = GroupSettings(prefix, partitions, deliveries, retry_s, lease_s, outage_s, on_dead)
        self._on_stuck = on_stuck
        self._on_lost = on_lost
        self._link = Link(self._address, outage_s)
        self._name = ""
        self._numbers = itertools.count(1)
        self._consumers_made = itertools.count(1)
        self._positions: dict[str, bytes] = {}  # of our newest message in each stream
        self._published: dict[str, int] = {}  # since a stream was tended
        self._crowded: set[str] = set()  # streams with a group that is stuck
        self._tapes: dict[Inbox, Tape] = {}
        self._consumers: set[RedisConsumer] = set()
        self._closed = False
        self.spilled = 0  # messages published although a group was stuck
        self.warnings: list[str] = []  # what in the server's settings can lose messages

    @classmethod
    async def connect(cls, url: str, **settings: Any) -> Self:
        """A bus that is connected. Raises BusError where no server answers, it is too old, or has other partitions."""
        bus = cls(url, **settings)
        await bus._link.open()
        try:
            await bus._greet()
        except BaseException:
            await bus.close()
            raise
        return bus

    @property
    def reconnects(self) -> int:
        """How often the connection that publishes has been made anew."""
        return self._link.reconnects

    async def publish_json(self, topic: str, payload: dict[str, Any], *, message_id: str | None = None) -> None:
        """Returns when the server has the message, and groups have room.

        A publisher that is cancelled while it waits may have published. Raises RuntimeError on a closed bus, TypeError
        for a payload that is not a dictionary of JSON values, BusError where the server refuses or stays away.
        """
        await self.publish_all((Said(topic, payload, message_id),))

    async def publish_all(self, messages: Sequence[Said]) -> None:
        """Several in one packet, in this order, as `publish_json` does; it leaves before anything else happens here."""
        if self._closed:
            raise RuntimeError(
                f"the bus is closed: nothing can be published to {messages[0].topic if messages else ''}"
            )
        ready = [(one, encoded(one.topic, one.payload), self._stream(one.topic, one.payload)) for one in messages]
        answers = [self._send(one, data, stream) for one, data, stream in ready]
        self._link.flush()
        for (one, _, stream), answer in zip(ready, answers, strict=True):
            position = await self._answer(one.topic, answer)
            if position is not None:
                self._positions[stream] = position
        for one, _, stream in ready:
            await self._tend(one.topic, stream)

    def subscribe(self, topic: str) -> Subscription[dict[str, Any]]:
        """The messages of a topic from now on. Raises RuntimeError on a closed bus."""
        self._must_be_open((topic,))
        inbox = Inbox((topic,), self._capacity)
        streams = [self._key(topic, partition) for partition in range(self._partitions)]
        self._tapes[inbox] = Tape(self._address, self._link, inbox, topic, streams, self._outage_s, self._on_lost)
        return Subscription(inbox, lambda _topic, data: codec.from_json(data), self._leave)

    def consume(self, group: str, *topics: str, consumer: str | None = None) -> RedisConsumer:
        """A consumer of a group; a new group starts at the beginning of what is kept. Names must differ.

        A name may end in `#` and an epoch: `risk#7` takes over from `risk#6` and all before it without waiting for
        the end of their leases, and these get nothing more to read while it is there, dead or only held up.
        """
        self._must_be_open(topics)
        name = consumer if consumer is not None else f"{self._name}-{next(self._consumers_made)}"
        made = RedisConsumer(
            self._address, self._link, group, tuple(dict.fromkeys(topics)), name, self._group_settings, self._forget
        )
        self._consumers.add(made)
        return made

    async def dead_letters(self, topic: str) -> list[DeadLetter]:
        """What groups gave up of a topic, oldest first."""
        entries = await self._answer(topic, self._link.send("XRANGE", f"{self._prefix}:dead:{topic}", "-", "+"))
        return [codec.from_dict(DeadLetter, codec.from_json(fields[1])) for _, fields in entries]

    async def next_epoch(self, name: str, above: int = 0) -> int:
        """A number for a process that begins: above all that were given under this name, and above `above`.

        `above` is what its journal knows: a server that has lost its data must not begin anew. One that is asked for
        twice, because an answer was lost, leaves a gap.
        """
        epoch = await self._answer("", self._link.send("EVAL", NEXT_EPOCH, 1, f"{self._prefix}:epoch:{name}", above))
        return int(epoch)

    async def behind(self, topic: str) -> int:
        """How many messages of a topic the slowest group has not finished."""
        streams = [self._key(topic, partition) for partition in range(self._partitions)]
        answers = [self._link.send("EVAL", TEND, 1, stream, self._keep) for stream in streams]
        return sum([await self._answer(topic, answer) for answer in answers])

    async def close(self) -> None:
        """Refuse further messages and leave. Iterators end once they have given out what has arrived."""
        self._closed = True
        for consumer in list(self._consumers):
            await consumer.aclose()
        for inbox, tape in list(self._tapes.items()):
            await tape.close()
            inbox.end()
        self._tapes.clear()
        await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    # ---- inside

    def _send(self, one: Said, data: bytes, stream: str) -> asyncio.Future[Any]:
        if one.message_id is not None:
            known = f"{self._prefix}:id:{one.topic}:{one.message_id}"
            return self._link.send("EVAL", PUBLISH_ONCE, 2, stream, known, self._remember_s, one.message_id, data)
        name = f"{self._name}-{next(self._numbers)}"
        since = self._positions.get(stream, b"0-0")
        again = ("EVAL", PUBLISH_AGAIN, 1, stream, since, name, data)
        return self._link.send("XADD", stream, "*", "id", name, "d", data, again=again)

    def _key(self, topic: str, partition: int) -> str:
        return f"{self._prefix}:s:{topic}:{partition}"

    def _stream(self, topic: str, payload: dict[str, Any]) -> str:
        if self._partitions == 1:
            return self._key(topic, 0)
        return self._key(topic, crc32(order_key(payload).encode()) % self._partitions)

    async def _greet(self) -> None:
        where = self._address.shown
        info = dict(
            line.split(":", 1)
            for line in (await self._answer("", self._link.send("INFO", "server"))).decode().split("\r\n")
            if ":" in line
        )
        version = info.get("redis_version", "0")
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SERVER:
            oldest = ".".join(map(str, OLDEST_SERVER))
            raise BusError(f"{where}: the server is Redis {version}; the bus needs {oldest} or newer")
        settings = f"{self._prefix}:partitions"
        self._link.send("SETNX", settings, self._partitions)
        there = int(await self._answer("", self._link.send("GET", settings)))
        if there != self._partitions:
            raise BusError(
                f"{where}: topics of {self._prefix!r} have {there} partitions, not {self._partitions}: "
                "set partitions alike in all processes, or use another prefix"
            )
        seconds, micros = await self._answer("", self._link.send("TIME"))
        self._name = f"{socket.gethostname()}-{os.getpid()}-{int(seconds) * 10**6 + int(micros):x}"
        await self._look_at_settings()

    async def _look_at_settings(self) -> None:
        from redis.exceptions import ResponseError

        try:
            found = [
                await self._link.send("CONFIG", "GET", name)
                for name in ("appendonly", "appendfsync", "maxmemory-policy")
            ]
        except ResponseError:
            return  # a managed server does not tell
        appendonly, appendfsync, policy = (pair[1].decode() if len(pair) > 1 else "" for pair in found)
        if appendonly == "no":
            self.warnings.append("appendonly is no: messages are lost when the server dies")
        elif appendfsync != "always":
            self.warnings.append(f"appendfsync is {appendfsync}: the last messages may be lost when the server dies")
        if policy not in ("noeviction", ""):
            self.warnings.append(f"maxmemory-policy is {policy}: a full server drops messages; set noeviction")

    async def _answer(self, topic: str, answer: asyncio.Future[Any]) -> Any:
        from redis.exceptions import ResponseError

        try:
            return await answer
        except ResponseError as error:
            raise BusError(f"{self._address.shown}: {topic}: the server refuses: {error}") from error

    async def _tend(self, topic: str, stream: str) -> None:
        """Every so often: trim the stream, and wait for the groups that are far behind."""
        if stream in self._crowded:
            self.spilled += 1
        self._published[stream] = self._published.get(stream, 0) + 1
        if self._published[stream] < max(1, self._capacity // 8):
            return
        self._published[stream] = 0
        loop = asyncio.get_running_loop()
        least, wait_s, deadline = -1, FIRST_POLL_S, loop.time() + self._patience_s
        while (
            behind := await self._answer(topic, self._link.send("EVAL", TEND, 1, stream, self._keep))
        ) > self._capacity:
            if stream in self._crowded and least < 0:
                return  # still stuck, as far as one look can tell
            if least < 0 or behind < least:
                least, deadline = behind, loop.time() + self._patience_s
            elif loop.time() >= deadline:
                self._crowded.add(stream)
                if self._on_stuck:
                    self._on_stuck((topic,), behind)
                return
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_POLL_S)
        self._crowded.discard(stream)

    def _leave(self, inbox: Inbox) -> None:
        tape = self._tapes.pop(inbox, None)
        if tape is not None:
            tape.stop()
        inbox.messages.clear()
        inbox.end()

    def _forget(self, consumer: RedisConsumer) -> None:
        self._consumers.discard(consumer)

    def _must_be_open(self, topics: tuple[str, ...]) -> None:
        if self._closed:
            raise RuntimeError(f"the bus is closed: nothing will come on {', '.join(topics)}")
