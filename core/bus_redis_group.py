"""A consumer of a group on Redis Streams: which streams it may read, what it holds, what comes again.

A stream is read by the one consumer of a group that holds its lease. Who takes over a lease first takes over what its
predecessor had not finished (XAUTOCLAIM), in order, and only then reads what is new: that keeps the order of each key.
How often a message was given out is counted by the server (XCLAIM), so that one that kills its consumers is found out.
A message is finished by whoever has it: what a consumer that was replaced has done with it is of no use to its heir.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

from core import codec
from core.bus import OnDead
from core.bus_groups import DeadLetter, Delivery, Lanes, Message, order_key, wait_s
from core.bus_redis_link import Address, BlockingLink, BusError, Command, Link
from core.bus_redis_scripts import AGAIN, CLAIM, FINISH, GIVE_UP, LEASE, RELEASE

PREFETCH: Final = 64  # messages at a consumer: what it may get again after a crash
CLAIM_AT_ONCE: Final = 100
LEASE_LOOKS: Final = 4  # in the time of a lease
READS_ON_S: Final = 0.05  # an answer that was on its way
GRACE_S: Final = 5.0
LEAVE_S: Final = 1.0


class GroupSettings(NamedTuple):
    prefix: str
    partitions: int
    deliveries: int
    retry_s: float
    lease_s: float
    outage_s: float
    on_dead: OnDead | None


class _Share:
    """A stream that this consumer may read."""

    __slots__ = ("leaving", "messages", "number", "stream", "topic")

    def __init__(self, topic: str, number: int, stream: str) -> None:
        self.topic = topic
        self.number = number
        self.stream = stream
        self.leaving = False
        self.messages: dict[bytes, Message] = {}  # by position: unfinished


class RedisConsumer:
    """`core.bus_groups.Consumer` on Redis Streams."""

    def __init__(
        self,
        address: Address,
        link: Link,
        group: str,
        topics: tuple[str, ...],
        name: str,
        settings: GroupSettings,
        forget: Callable[[RedisConsumer], None],
    ) -> None:
        self.group = group
        self.topics = topics
        self.name = name
        self._link = link
        self._settings = settings
        self._forget = forget
        self._reader = BlockingLink(address, settings.outage_s)
        self._lanes = Lanes()
        self._shares: dict[str, _Share] = {}
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._look_at = 0.0  # loop time of the next look at the leases
        self._look_back = False  # an answer was lost: messages may be ours that we have not seen
        self._error: BusError | None = None
        self._ended = False
        self._left = False
        # Sent now: whatever this process publishes later finds the group there.
        self._made = [link.send(*command) for command in self._group_commands()]
        self._task = asyncio.create_task(self._run())

    @property
    def streams(self) -> int:
        """How many streams it reads now; 0: it stands by."""
        return len(self._shares)

    def __aiter__(self) -> AsyncIterator[Delivery]:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            while not self._lanes:
                if self._ended:
                    if self._error is not None:
                        raise self._error
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
            self._link.later("EVAL", FINISH, 1, *self._place(message))
            self._finish(message)

    async def failed(self, delivery: Delivery, reason: str) -> None:
        message = delivery.message
        if not message.held:
            return
        if message.attempt >= self._settings.deliveries:
            await self._give_up(message, reason, message.attempt)
            return
        pause_s = wait_s(self._settings.retry_s, message.attempt)
        message.attempt = 0
        self._lanes.wait(message)
        asyncio.get_running_loop().call_later(pause_s, self._try_again, message)

    async def aclose(self) -> None:
        """Stops reading; what it holds and has not finished goes to another consumer at once."""
        if self._left:
            return
        self._left = True
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._lanes = Lanes()
        self._forget(self)
        leaving = [self._release(topic, list(self._shares.values()), gone=True) for topic in self.topics]
        self._shares.clear()
        with suppress(BusError, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await asyncio.gather(*leaving)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    # ---- reading

    async def _run(self) -> None:
        try:
            self._check_made(await asyncio.gather(*self._made, return_exceptions=True))
            while True:
                if asyncio.get_running_loop().time() >= self._look_at:
                    await self._look_at_leases()
                else:
                    await self._read()
        except BusError as error:
            self._error = error
        finally:
            self._ended = True
            self._ready.set()
            await self._reader.close()

    def _group_commands(self) -> list[Command]:
        streams = [self._key(topic, number) for topic in self.topics for number in range(self._settings.partitions)]
        return [("XGROUP", "CREATE", stream, self.group, "0", "MKSTREAM") for stream in streams]

    def _check_made(self, answers: Sequence[Any]) -> None:
        for answer in answers:
            if isinstance(answer, BaseException) and not str(answer).startswith("BUSYGROUP"):
                raise BusError(f"group {self.group}: {answer}") from answer

    async def _make_groups(self) -> bool:
        """Once more, for a server that has lost them; False where the connection broke meanwhile."""
        answers = await self._reader.ask(*self._group_commands(), within_s=GRACE_S)
        self._check_made(answers or ())
        return answers is not None

    async def _look_at_leases(self) -> None:
        settings = self._settings
        commands = [
            ("EVAL", LEASE, 2, *self._lease_keys(topic), self.name, round(settings.lease_s * 1000), settings.partitions)
            for topic in self.topics
        ]
        answers = await self._reader.ask(*commands, within_s=GRACE_S)
        if answers is None:
            self._look_back = True
            return
        if any(not isinstance(answer, Exception) and answer[2] for answer in answers):
            # Who has been replaced may read on until it looks at its lease; what it got by then is claimed, in order.
            await asyncio.sleep(settings.lease_s / LEASE_LOOKS + READS_ON_S)
        look_back, self._look_back = self._look_back, False
        for topic, answer in zip(self.topics, answers, strict=True):
            if isinstance(answer, Exception):
                raise BusError(f"group {self.group}: the server refuses: {answer}")
            surplus, mine, _ = answer
            if not await self._hold(topic, mine, look_back):
                self._look_back = True
                return
            self._hand_over(topic, surplus)
        if not await self._gather_strays():
            self._look_back = True
            return
        self._look_at = asyncio.get_running_loop().time() + settings.lease_s / LEASE_LOOKS

    async def _hold(self, topic: str, mine: list[int], look_back: bool) -> bool:
        """Takes up the leases that are new, drops those that were lost; False where the connection broke meanwhile."""
        kept = {self._key(topic, number): number for number in mine}
        for stream, share in list(self._shares.items()):
            if share.topic == topic and stream not in kept:
                self._lanes.drop(share)
                del self._shares[stream]
        for stream, number in kept.items():
            if stream in self._shares and not look_back:
                continue
            share = self._shares.get(stream, _Share(topic, number, stream))
            if not await self._claim(share):
                return False
            self._shares[stream] = share
        return True

    async def _gather_strays(self) -> bool:
        """A request to read that was held up on its way from who has been replaced was given what is ours."""
        shares = list(self._shares.values())
        if not shares:
            return True
        answers = await self._reader.ask(*(("XPENDING", one.stream, self.group) for one in shares), within_s=GRACE_S)
        if answers is None:
            return False
        for share, answer in zip(shares, answers, strict=True):
            who = () if isinstance(answer, Exception) else answer[3] or ()
            if any(name.decode() != self.name for name, _ in who) and not await self._claim(share):
                return False
        return True

    async def _claim(self, share: _Share) -> bool:
        """What was given out before and is not finished is ours; False where the connection broke meanwhile."""
        start: bytes = b"0-0"
        positions: list[bytes] = []
        while True:
            _, leases = self._lease_keys(share.topic)
            answers = await self._reader.ask(
                ("EVAL", CLAIM, 2, share.stream, leases, self.group, self.name, share.number, start, CLAIM_AT_ONCE),
                within_s=GRACE_S,
            )
            if answers is None:
                return False
            if isinstance(answers[0], Exception):
                return await self._make_groups()
            start, found = answers[0][:2]
            positions += [position for position in found if position not in share.messages]
            if start == b"0-0":
                break
        if not positions:
            return True
        ranges = [("XRANGE", share.stream, position, position) for position in positions]
        answers = await self._reader.ask(*ranges, within_s=GRACE_S)
        if answers is None:
            return False
        for entries in answers:
            for position, fields in entries:
                self._arrived(share, position, fields, attempt=0)
        return True

    def _hand_over(self, topic: str, surplus: int) -> None:
        """More consumers than before: give streams away, once nobody here has a message of theirs in hand."""
        own = sorted((share for share in self._shares.values() if share.topic == topic), key=lambda share: share.number)
        for share in own[len(own) - surplus :]:
            share.leaving = True
            if self._lanes.drop(share) == 0:
                del self._shares[share.stream]
                self._release(topic, [share], gone=False)

    async def _read(self) -> None:
        shares = [share for share in self._shares.values() if not share.leaving]
        room = PREFETCH - len(self._lanes)
        wait_for_s = max(0.001, self._look_at - asyncio.get_running_loop().time())
        if not shares or room <= 0:
            self._room.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_for_s):
                    await self._room.wait()
            return
        block_ms = max(1, round(wait_for_s * 1000))
        places = (*(share.stream for share in shares), *(">" for _ in shares))
        read: Command = (
            "XREADGROUP",
            "GROUP",
            self.group,
            self.name,
            "COUNT",
            room,
            "BLOCK",
            block_ms,
            "STREAMS",
            *places,
        )
        answers = await self._reader.ask(read, within_s=wait_for_s + GRACE_S, at_once=self._take_in)
        if answers is None or isinstance(answers[0], Exception):
            self._look_at, self._look_back = 0.0, True
            if answers is not None and not await self._refused(answers[0]):
                raise BusError(f"group {self.group}: the server refuses: {answers[0]}")
            return

    def _take_in(self, answer: Any) -> None:
        """What was read, before this consumer's own task wakes: then who waits for it goes first, and more is read."""
        if isinstance(answer, Exception):
            return
        for name, entries in answer or ():
            share = self._shares[name.decode()]
            for position, fields in entries:
                self._arrived(share, position, fields, attempt=1)

    async def _refused(self, error: Exception) -> bool:
        """Whether it can go on: the stream was removed by hand, or the server came back without it."""
        if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
            return False
        await self._make_groups()
        return True

    def _arrived(self, share: _Share, position: bytes, fields: list[bytes], *, attempt: int) -> None:
        data = fields[3]
        message = Message(share.topic, order_key(codec.from_json(data)), fields[1].decode(), data, share, position)
        message.attempt = attempt
        share.messages[position] = message
        self._lanes.add(message)
        self._ready.set()

    # ---- giving out

    async def _again(self, message: Message) -> bool:
        """Counts one more delivery; False where that is once too often, or another consumer has the message."""
        try:
            message.attempt = await self._link.send("EVAL", AGAIN, 1, *self._place(message))
        except BaseException:
            self._lanes.again(message)
            raise
        if message.attempt == 0:
            self._finish(message)
            return False
        if message.attempt > self._settings.deliveries:
            await self._give_up(message, "it was given out so often and never finished", message.attempt - 1)
            return False
        return True

    async def _give_up(self, message: Message, reason: str, attempts: int) -> None:
        payload = codec.from_json(message.payload)
        letter = DeadLetter(message.topic, self.group, message.message_id, payload, reason, attempts)
        dead = f"{self._settings.prefix}:dead:{message.topic}"
        stream, group, me, position = self._place(message)
        given_up = await self._link.send("EVAL", GIVE_UP, 2, stream, dead, group, me, position, codec.to_json(letter))
        self._finish(message)
        if given_up and self._settings.on_dead:
            self._settings.on_dead(letter)

    def _try_again(self, message: Message) -> None:
        self._lanes.again(message)
        self._ready.set()

    def _finish(self, message: Message) -> None:
        message.held = False
        _share(message).messages.pop(message.position, None)
        self._lanes.done(message)
        self._ready.set()
        self._room.set()

    def _place(self, message: Message) -> tuple[str, str, str, bytes]:
        """Which message it is, and who has it."""
        return _share(message).stream, self.group, self.name, message.position

    # ---- leases

    def _key(self, topic: str, partition: int) -> str:
        return f"{self._settings.prefix}:s:{topic}:{partition}"

    def _lease_keys(self, topic: str) -> tuple[str, str]:
        return (
            f"{self._settings.prefix}:members:{self.group}:{topic}",
            f"{self._settings.prefix}:leases:{self.group}:{topic}",
        )

    def _release(self, topic: str, shares: list[_Share], *, gone: bool) -> asyncio.Future[Any]:
        numbers = [share.number for share in shares if share.topic == topic]
        return self._link.send("EVAL", RELEASE, 2, *self._lease_keys(topic), self.name, int(gone), *numbers)


def _share(message: Message) -> _Share:
    share = message.source
    assert isinstance(share, _Share)
    return share
