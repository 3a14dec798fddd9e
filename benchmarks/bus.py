"""A message's way over the bus: how long, and how many a second, beside a bare queue and bare streams in the same run.

    python benchmarks/bus.py [--messages N]

A hop is from just before publishing to the moment when the reader has the message. One message is under way at a time
for the latency; for the rate, 64 publishers at once and the group finishes each message. Redis runs here on a unix
socket, without appendfsync (the wire) and with `appendfsync always` (what a trader needs). All readers and publishers
are in one process, on one core.
Without redis-server only the part inside one process is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from core.bus import GroupBus, InMemoryBus
from core.bus_groups import work
from core.bus_redis import RedisStreamBus

Hops = list[float]
PAYLOAD: dict[str, Any] = {
    "intent_id": "x-0123456789-1", "ts_local_ns": 1_700_000_000_123_456_789, "strategy_id": "bench",
    "symbol": "ATOM/USDT", "side": "buy", "type": "limit", "qty": 12.5, "limit_price": 10.01,
    "meta": {"execution_id": "x-0123456789"},
}  # fmt: skip
AT_ONCE = 64


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--messages", type=int, default=2000)
    count: int = arguments.parse_args().messages
    print(f"{'one hop':44}{'p50 us':>9}{'p99 us':>9}{'messages/s':>12}")
    asyncio.run(inside(count))
    from tests.redis_server import PROGRAM, running

    if PROGRAM is None:
        print("redis-server is not installed: nothing is measured between processes")
        return
    for fsync in ("no", "always"):
        for server in running("--appendfsync", fsync):
            asyncio.run(over_redis(server.url, fsync, count))


async def inside(count: int) -> None:
    row("bare asyncio.Queue", *await bare_queue(count))
    for name, measure in (("InMemoryBus, subscriber", subscriber), ("InMemoryBus, group", group)):
        row(name, *await measure(InMemoryBus(), count))


async def over_redis(url: str, fsync: str, count: int) -> None:
    bare = await bare_streams(url, count)
    row(f"bare XADD + XREAD, fsync {fsync}", *bare)
    for name, measure in (("subscriber", subscriber), ("group", group)):
        async with await RedisStreamBus.connect(url, prefix=name) as bus:
            ours = await measure(bus, count)
        row(f"RedisStreamBus, {name}, fsync {fsync}", *ours)
        print(f"{'':44}{middle(ours[0]) / middle(bare[0]):8.2f}x the bare hop")


def row(name: str, hops: Hops, rate: float) -> None:
    ordered = sorted(hops)
    print(f"{name:44}{middle(ordered) * 1e6:9.0f}{ordered[len(ordered) * 99 // 100] * 1e6:9.0f}{rate:12,.0f}")


def middle(hops: Hops) -> float:
    return sorted(hops)[len(hops) // 2]


async def hops(send: Callable[[], Awaitable[object]], arrived: asyncio.Event, count: int) -> Hops:
    out: Hops = []
    for _ in range(count):
        arrived.clear()
        begun = time.perf_counter()
        sending = asyncio.ensure_future(send())
        await arrived.wait()
        out.append(time.perf_counter() - begun)
        await sending
    return out


async def rate(send: Callable[[], Awaitable[object]], received: Callable[[], int], count: int) -> float:
    before, begun = received(), time.perf_counter()

    async def publisher() -> None:
        for _ in range(count // AT_ONCE):
            await send()

    await asyncio.gather(*(publisher() for _ in range(AT_ONCE)))
    while received() < before + count // AT_ONCE * AT_ONCE:
        await asyncio.sleep(0.001)
    return (count // AT_ONCE * AT_ONCE) / (time.perf_counter() - begun)


class Reader:
    """Counts what arrives, and says so."""

    def __init__(self) -> None:
        self.count = 0
        self.arrived = asyncio.Event()

    def take(self, _message: object) -> None:
        self.count += 1
        self.arrived.set()

    async def handle(self, message: object) -> None:
        self.take(message)

    async def measured(self, send: Callable[[], Awaitable[object]], count: int) -> tuple[Hops, float]:
        await send()
        while self.count < 1:
            await asyncio.sleep(0.001)
        return await hops(send, self.arrived, count), await rate(send, lambda: self.count, 5 * count)


async def bare_queue(count: int) -> tuple[Hops, float]:
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1024)
    reader = Reader()

    async def read() -> None:
        while True:
            reader.take(await queue.get())

    reading = asyncio.create_task(read())
    result = await reader.measured(lambda: queue.put(PAYLOAD), count)
    reading.cancel()
    return result


async def subscriber(bus: GroupBus, count: int) -> tuple[Hops, float]:
    reader = Reader()
    messages = bus.subscribe("t")

    async def read() -> None:
        async for message in messages:
            reader.take(message)

    reading = asyncio.create_task(read())
    result = await reader.measured(lambda: bus.publish_json("t", PAYLOAD), count)
    reading.cancel()
    return result


async def group(bus: GroupBus, count: int) -> tuple[Hops, float]:
    reader = Reader()
    consumer = bus.consume("bench", "t")
    reading = asyncio.create_task(work(consumer, reader.handle))
    result = await reader.measured(lambda: bus.publish_json("t", PAYLOAD), count)
    reading.cancel()
    await consumer.aclose()
    return result


async def bare_streams(url: str, count: int) -> tuple[Hops, float]:
    """What the client library does by itself: XADD on one connection, a waiting XREAD on another."""
    from redis.asyncio import Redis

    from core.codec import from_json, to_json

    reader = Reader()
    async with Redis.from_url(url) as publishing, Redis.from_url(url) as listening:

        async def read() -> None:
            last: Any = "0-0"
            while True:
                answer: Any = await listening.xread({"bare": last}, count=256, block=5000)
                for _, entries in answer:
                    for position, fields in entries:
                        last = position
                        reader.take(from_json(fields[b"d"]))

        reading = asyncio.create_task(read())
        result = await reader.measured(lambda: publishing.xadd("bare", {"d": to_json(PAYLOAD)}), count)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return result


if __name__ == "__main__":
    main()
