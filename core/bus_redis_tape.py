"""A subscriber's reading of a topic on Redis Streams: every message from the call on, in front of its inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from core.bus_inbox import Inbox
from core.bus_redis_link import Address, BlockingLink, BusError, Command, Link

AT_ONCE: Final = 256
BLOCK_MS: Final = 5000
GRACE_S: Final = 5.0  # for an answer to arrive, beyond the time that the server may take


class Tape:
    """Reads on in a task of its own until it is closed, or the server stays away."""

    def __init__(
        self,
        address: Address,
        link: Link,
        inbox: Inbox,
        topic: str,
        streams: Sequence[str],
        outage_s: float,
        on_lost: Callable[[str, int], None] | None,
    ) -> None:
        self._reader = BlockingLink(address, outage_s)
        self._inbox = inbox
        self._topic = topic
        self._streams = list(streams)
        self._on_lost = on_lost
        self._at: list[bytes] = []  # the position in each stream, and how many messages came up to there
        self._count: list[int] = []
        # Sent now: whatever this process publishes later is behind what the server answers.
        self._starts = [link.send("XINFO", "STREAM", stream) for stream in streams]
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        self._task.cancel()

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        try:
            await self._start()
            look = True
            while True:
                look = look or not self._inbox.room.is_set()
                await self._inbox.room.wait()
                look = await self._read(look)
        except BusError as error:
            self._inbox.error = error
            self._inbox.end()
        finally:
            await self._reader.close()

    async def _start(self) -> None:
        from redis.exceptions import ResponseError

        for start in self._starts:
            try:
                facts = _facts(await start)
            except ResponseError:  # no such stream yet
                facts = {b"last-generated-id": b"0-0", b"entries-added": 0}
            self._at.append(facts[b"last-generated-id"])
            self._count.append(facts[b"entries-added"])

    async def _read(self, look: bool) -> bool:
        """Reads once; looks first, in the same packet, whether something was dropped. True where to look next time."""
        read: Command = ("XREAD", "COUNT", AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS", *self._streams, *self._at)
        looks: list[Command] = [("XINFO", "STREAM", stream) for stream in self._streams] if look else []
        answers = await self._reader.ask(*looks, read, within_s=BLOCK_MS / 1000 + GRACE_S)
        if answers is None:
            return True
        found = answers.pop()
        for index, facts in enumerate(answers):
            if not isinstance(facts, Exception):
                self._check(index, _facts(facts))
        if isinstance(found, Exception):
            raise BusError(f"{self._topic}: the server refuses: {found}")
        behind = False
        for name, entries in found or ():
            index = self._streams.index(name.decode())
            for position, fields in entries:
                self._inbox.put(self._topic, fields[3])
                self._at[index] = position
            self._count[index] += len(entries)
            behind = behind or len(entries) == AT_ONCE
        return behind

    def _check(self, index: int, facts: dict[bytes, Any]) -> None:
        """More messages dropped than we had read?"""
        dropped = facts[b"entries-added"] - facts[b"length"]
        lost = dropped - self._count[index]
        if lost <= 0:
            return
        self._count[index] = dropped
        if self._on_lost is None:
            raise BusError(
                f"{self._topic}: {lost} messages were trimmed before this subscriber read them: it is too slow; "
                "read in a group, or raise keep"
            )
        self._on_lost(self._topic, lost)


def _facts(flat: Sequence[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
