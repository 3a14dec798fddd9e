"""Both buses do what a bus does; then what only a bus between processes can show: its server dies."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from core.bus import GroupBus, InMemoryBus, Said
from core.bus_groups import Consumer, work
from core.bus_redis import RedisStreamBus
from core.bus_redis_group import RedisConsumer
from core.bus_redis_link import Address, BlockingLink, BusError, Link
from core.chance import generator
from core.errors import ConfigError
from tests.bus_conformance import (
    ARRIVED_S,
    DELIVERIES,
    LEASE_S,
    RETRY_S,
    SCENES,
    WITHIN_S,
    Place,
    Scene,
    Worker,
    taken,
    until,
)
from tests.redis_server import RedisServer, own_redis_server, redis_server, running  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[1]


class OneProcess:
    """Everybody uses the same bus."""

    def __init__(self) -> None:
        self._bus: InMemoryBus | None = None

    async def bus(self, **settings: Any) -> GroupBus:
        settings.pop("partitions", None)
        self._bus = InMemoryBus(**{"deliveries": DELIVERIES, "retry_s": RETRY_S, **settings})
        return self._bus

    async def another(self) -> GroupBus:
        assert self._bus is not None
        return self._bus

    async def crash(self, consumer: Consumer) -> None:
        await consumer.aclose()  # inside one process, that is how a consumer ends

    async def leave(self) -> None:
        if self._bus is not None:
            await self._bus.close()


class OverRedis:
    """Each has a bus of its own, with its own connections."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._buses: list[RedisStreamBus] = []
        self._settings: dict[str, Any] = {
            "prefix": server.prefix(), "deliveries": DELIVERIES, "retry_s": RETRY_S, "lease_s": LEASE_S,
            "outage_s": 60.0,
        }  # fmt: skip

    async def bus(self, **settings: Any) -> RedisStreamBus:
        self._settings |= settings
        return await self.another()

    async def another(self) -> RedisStreamBus:
        self._buses.append(await RedisStreamBus.connect(self._server.url, **self._settings))
        return self._buses[-1]

    async def crash(self, consumer: Consumer) -> None:
        """It neither renews its leases nor gives them back."""
        assert isinstance(consumer, RedisConsumer)
        consumer._task.cancel()
        await asyncio.gather(consumer._task, return_exceptions=True)

    async def leave(self) -> None:
        await asyncio.gather(*(bus.close() for bus in self._buses))


def play(place: Any, scene: Callable[[Any], Coroutine[Any, Any, None]], *, within_s: float = 120.0) -> None:
    """A scene that hangs fails; buses are closed at its end."""

    async def all_of_it() -> None:
        try:
            async with asyncio.timeout(within_s):
                await scene(place)
        finally:
            await place.leave()

    asyncio.run(all_of_it())


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_bus_inside_one_process(scene: Scene) -> None:
    play(OneProcess(), scene)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_bus_over_redis(scene: Scene, redis_server: RedisServer) -> None:  # noqa: F811
    place: Place = OverRedis(redis_server)
    play(place, scene)


# ---------------------------------------------------------------- the server dies


def test_kill_9_of_the_server_loses_nothing_and_doubles_nothing(own_redis_server: RedisServer) -> None:  # noqa: F811
    """Publishers, a group and a subscriber go on over three deaths of the server. pitfall 28"""

    async def scene(place: OverRedis) -> None:
        here, there = await place.bus(), await place.another()
        worker = Worker(there, "g", "t")
        messages = there.subscribe("t")
        await asyncio.sleep(ARRIVED_S)
        publishing = asyncio.create_task(publish(here))
        for n in range(3):
            await until(lambda n=n: len(worker.handled) >= 50 * (n + 1))  # type: ignore[misc]
            own_redis_server.kill()
            await asyncio.sleep(0.05)
            own_redis_server.start()
            await until(lambda n=n: here.reconnects > n)  # type: ignore[misc]
        over.set()
        count = await publishing
        await until(lambda: len(set(worker.numbers)) == count)
        assert list(dict.fromkeys(worker.numbers)) == list(range(count))  # a handled one may come again, never others
        assert [message["n"] for message in await taken(messages, count)] == list(range(count))
        assert await here.dead_letters("t") == []
        await worker.end()

    async def publish(bus: RedisStreamBus) -> int:
        """500 messages, and more for as long as the server dies."""
        n = 0
        while n < 250 or not over.is_set():
            await asyncio.gather(
                bus.publish_json("t", {"n": 2 * n}),
                bus.publish_json("t", {"n": 2 * n + 1}, message_id=f"m{2 * n + 1}"),
            )
            n += 1
        return 2 * n

    over = asyncio.Event()
    play(OverRedis(own_redis_server), scene)


def test_a_server_that_stays_away_is_a_bus_error(own_redis_server: RedisServer) -> None:  # noqa: F811
    async def scene(place: OverRedis) -> None:
        bus = await place.bus(outage_s=1.5)
        consumer, messages = bus.consume("g", "t"), bus.subscribe("t")
        await bus.publish_json("t", {"n": 1})
        await consumer.done(await anext(consumer))
        await anext(messages)
        own_redis_server.kill()
        for waiting in (bus.publish_json("t", {"n": 2}), anext(consumer), anext(messages)):
            with pytest.raises(BusError, match=r"no answer for 1\.5 s: unix://.*: no Redis server answers"):
                await waiting

    play(OverRedis(own_redis_server), scene)


def test_a_server_that_still_loads_its_files_is_asked_again(tmp_path: Path) -> None:
    """Right after its restart it refuses everything: that is no answer, to nobody."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        says = b"-LOADING Redis is loading the dataset in memory\r\n" if connections < 3 else b"+PONG\r\n"
        while data := await reader.read(65536):
            writer.write(b"+OK\r\n" * data.count(b"SETINFO") + says * data.count(b"PING"))
        writer.close()

    async def scene() -> None:
        path = tmp_path / "s"
        async with await asyncio.start_unix_server(answer, path):
            address = Address(f"unix://{path}")
            link, blocking = Link(address, 10.0), BlockingLink(address, 10.0)
            await link.open()
            asked = [link.send("PING"), link.send("PING")]
            assert [await one for one in asked] == [b"PONG", b"PONG"]
            assert link.reconnects == 2
            nonlocal connections
            connections = 2
            assert await blocking.ask(("PING",), ("PING",), within_s=5.0) == [b"PONG", b"PONG"]
            await blocking.close()
            connections = 1
            assert await blocking.ask(("PING",), within_s=5.0) is None
            await blocking.close()
            await link.close()

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_a_frozen_server_is_waited_for(own_redis_server: RedisServer) -> None:  # noqa: F811
    async def scene(place: OverRedis) -> None:
        bus = await place.bus()
        worker = Worker(bus, "g", "t")
        await bus.publish_json("t", {"n": 0})
        assert own_redis_server._process is not None
        own_redis_server._process.send_signal(signal.SIGSTOP)
        publishing = asyncio.create_task(bus.publish_json("t", {"n": 1}))
        await asyncio.sleep(0.3)
        assert not publishing.done()
        own_redis_server._process.send_signal(signal.SIGCONT)
        await publishing
        await until(lambda: 1 in worker.numbers)
        assert list(dict.fromkeys(worker.numbers)) == [0, 1]
        await worker.end()

    play(OverRedis(own_redis_server), scene)


def test_a_server_that_lost_everything_is_started_on_anew(own_redis_server: RedisServer) -> None:  # noqa: F811
    """Groups are made again; messages that came after are read."""
    import redis

    async def scene(place: OverRedis) -> None:
        bus = await place.bus()
        worker = Worker(bus, "g", "t")
        await bus.publish_json("t", {"n": 0})
        await until(lambda: worker.numbers == [0])
        with redis.Redis.from_url(own_redis_server.url) as client:
            client.flushall()
        await asyncio.sleep(LEASE_S)
        await bus.publish_json("t", {"n": 1})
        await until(lambda: worker.numbers == [0, 1])
        await worker.end()

    play(OverRedis(own_redis_server), scene)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_storm_of_deaths_loses_nothing_and_keeps_the_order(seed: int, own_redis_server: RedisServer) -> None:  # noqa: F811
    """The server and consumers die at random moments; every key is first handled in its order, nothing is doubled."""
    chance = generator(seed, "storm")

    async def scene(place: OverRedis) -> None:
        here = await place.bus(partitions=4, outage_s=60.0)
        messages = here.subscribe("t")
        workers = [Worker(await place.another(), "g", "t") for _ in range(2)]
        publishing = [asyncio.create_task(publish(here, author)) for author in range(5)]
        while not all(task.done() for task in publishing):
            await asyncio.sleep(float(chance.uniform(0.05, 0.4)))
            if chance.random() < 0.5:
                own_redis_server.kill()
                await asyncio.sleep(float(chance.uniform(0.0, 0.2)))
                own_redis_server.start()
            else:
                await place.crash(workers[-1].consumer)
                workers.append(Worker(await place.another(), "g", "t"))
        await asyncio.gather(*publishing)
        await until(lambda: len({one["n"] for worker in workers for one in worker.handled}) == 1000)
        for author in range(5):
            for worker in workers:
                own = list(dict.fromkeys(one["n"] for one in worker.handled if one["symbol"] == f"S{author}"))
                assert own == sorted(own)
        arrived = [message["n"] for message in await taken(messages, 1000)]
        assert sorted(arrived) == list(range(1000))
        for author in range(5):
            own = [n for n in arrived if n % 5 == author]
            assert own == sorted(own)
        assert await here.dead_letters("t") == []
        for worker in workers:
            await worker.end()

    async def publish(bus: RedisStreamBus, author: int) -> None:
        for n in range(author, 1000, 5):
            await bus.publish_json("t", {"n": n, "symbol": f"S{author}"}, message_id=f"m{n}" if n % 2 else None)
            await asyncio.sleep(0.005)

    play(OverRedis(own_redis_server), scene, within_s=300)


# ---------------------------------------------------------------- processes die

CONSUMER = """
import asyncio, sys
from core.bus_redis import RedisStreamBus

async def main(url, prefix):
    bus = await RedisStreamBus.connect(url, prefix=prefix, lease_s=1.0, deliveries=3)
    async for delivery in bus.consume("g", "t"):
        print(delivery.payload["n"], flush=True)
        await asyncio.sleep(3600)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_message_that_kills_its_consumers_goes_to_the_dead_letters(redis_server: RedisServer) -> None:  # noqa: F811
    """Real processes, kill -9. Those that it held besides are not blamed."""
    place = OverRedis(redis_server)

    async def scene(_place: OverRedis) -> None:
        bus = await place.bus()
        for n in range(5):
            await bus.publish_json("t", {"n": n})
        for _ in range(DELIVERIES):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CONSUMER, redis_server.url, place._settings["prefix"],
                cwd=ROOT, stdout=subprocess.PIPE,
            )  # fmt: skip
            assert process.stdout is not None
            assert await process.stdout.readline() == b"0\n"
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        worker = Worker(bus, "g", "t")
        await until(lambda: len(worker.handled) >= 4)
        await worker.end()
        assert worker.numbers == [1, 2, 3, 4]
        (letter,) = await bus.dead_letters("t")
        assert (letter.payload, letter.attempts) == ({"n": 0}, DELIVERIES)
        assert "never finished" in letter.reason

    play(place, scene)


# ---------------------------------------------------------------- what is kept


def test_trimming_keeps_what_a_group_has_not_finished(redis_server: RedisServer) -> None:  # noqa: F811
    async def scene(place: OverRedis) -> None:
        bus = await place.bus(capacity=80, patience_s=0.01, keep=100)
        consumer = bus.consume("g", "t")
        await asyncio.gather(*(bus.publish_json("t", {"n": n}) for n in range(1000)))
        assert await bus.behind("t") == 1000
        worker = Worker(await place.another(), "g", "t")
        await consumer.aclose()
        await until(lambda: len(worker.handled) >= 1000)
        assert worker.numbers == list(range(1000))
        await _all_finished(bus)
        for n in range(20):
            await bus.publish_json("t", {"n": n})
        length = await bus._answer("t", bus._link.send("XLEN", bus._key("t", 0)))
        assert length < 400  # a server trims by the hundred
        await worker.end()

    play(OverRedis(redis_server), scene)


def test_a_higher_epoch_takes_over_in_order_and_the_lower_one_gets_nothing_more(
    redis_server: RedisServer,  # noqa: F811
) -> None:
    async def scene(place: OverRedis) -> None:
        bus = await place.bus(lease_s=2.0)
        old = await place.another()
        assert [await bus.next_epoch("g"), await old.next_epoch("g"), await bus.next_epoch("g", 7)] == [1, 2, 8]
        held_up = old.consume("g", "t", consumer="g#2")
        await bus.publish_json("t", {"n": 0})
        await anext(held_up)  # and then it does nothing for a while, though messages arrive at it
        newer = bus.consume("g", "t", consumer="g#8")
        for n in range(1, 10):
            await bus.publish_json("t", {"n": n})
        seen = []
        async with asyncio.timeout(1.5):  # before the lease is over
            for _ in range(10):
                delivery = await anext(newer)
                seen.append(delivery.payload["n"])
                await newer.done(delivery)
        assert seen == list(range(10))
        await until(lambda: held_up.streams == 0)
        await bus.publish_json("t", {"n": 10})
        assert ((await anext(newer)).payload, newer.streams) == ({"n": 10}, 1)
        await newer.aclose()
        await held_up.aclose()

    play(OverRedis(redis_server), scene)


def test_what_a_replaced_consumer_was_still_given_comes_to_its_heir(redis_server: RedisServer) -> None:  # noqa: F811
    """Its request to read was on its way while the heir took over. pitfall 28"""
    read = """
    redis.call('XADD', KEYS[1], '*', 'id', 'late', 'd', '{"n":1}')
    return redis.call('XREADGROUP', 'GROUP', 'g', 'g#1', 'STREAMS', KEYS[1], '>')
    """

    async def scene(place: OverRedis) -> None:
        bus = await place.bus()
        heir = bus.consume("g", "t", consumer="g#2")
        await bus.publish_json("t", {"n": 0})
        await heir.done(await anext(heir))
        assert await bus._answer("t", bus._link.send("EVAL", read, 1, bus._key("t", 0)))
        async with asyncio.timeout(WITHIN_S):
            delivery = await anext(heir)
        assert (delivery.payload, delivery.attempt) == ({"n": 1}, 2)
        await heir.done(delivery)
        await _all_finished(bus)
        await heir.aclose()

    play(OverRedis(redis_server), scene)


def test_what_is_finished_is_told_to_the_server_soon_and_at_once_by_who_leaves(
    redis_server: RedisServer,  # noqa: F811
) -> None:
    async def scene(place: OverRedis) -> None:
        bus = await place.bus()
        consumer = bus.consume("g", "t")
        await bus.publish_all([Said("t", {"n": n}) for n in range(3)])
        for _ in range(3):
            await consumer.done(await anext(consumer))
        assert await bus.behind("t") in (0, 3)  # this question takes them along, or finds them on their way
        await _all_finished(bus)
        await bus.publish_json("t", {"n": 3})
        await consumer.done(await anext(consumer))
        await bus.close()
        assert await (await place.another()).behind("t") == 0

    play(OverRedis(redis_server), scene)


async def _all_finished(bus: RedisStreamBus) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await bus.behind("t"):
            await asyncio.sleep(0.01)


def test_a_group_that_comes_late_gets_what_is_kept(redis_server: RedisServer) -> None:  # noqa: F811
    async def scene(place: OverRedis) -> None:
        bus = await place.bus()
        for n in range(10):
            await bus.publish_json("t", {"n": n})
        worker = Worker(bus, "late", "t")
        await until(lambda: len(worker.handled) >= 10)
        assert worker.numbers == list(range(10))
        await worker.end()

    play(OverRedis(redis_server), scene)


@pytest.mark.parametrize("callback", [False, True])
def test_a_subscriber_that_is_too_slow_is_told_what_it_lost(
    redis_server: RedisServer,  # noqa: F811
    callback: bool,
) -> None:
    lost: list[int] = []

    async def scene(place: OverRedis) -> None:
        bus = await place.bus(capacity=80, keep=300, **({"on_lost": lambda _t, n: lost.append(n)} if callback else {}))
        messages = bus.subscribe("t")
        got: list[int] = []
        for start in range(0, 6000, 2000):
            await asyncio.gather(*(bus.publish_json("t", {"n": n}) for n in range(start, start + 2000)))
        told = ""
        try:
            while not got or got[-1] < 5999:
                got.append((await asyncio.wait_for(anext(messages), WITHIN_S))["n"])
        except BusError as error:
            told = str(error)
        assert bool(lost) == callback
        assert bool(re.match(r"t: \d+ messages were trimmed before this subscriber read them", told)) != callback
        if callback:
            assert len(got) + sum(lost) == 6000
            assert got == sorted(set(got))
        else:
            assert got == list(range(len(got)))

    play(OverRedis(redis_server), scene)


# ---------------------------------------------------------------- settings and greetings


def test_no_server_is_one_line_without_the_password(tmp_path: Path) -> None:
    for url in (f"unix:///{tmp_path}/none.sock", "redis://me:secret@127.0.0.1:1/3"):
        with pytest.raises(BusError, match="no Redis server answers") as caught:
            asyncio.run(RedisStreamBus.connect(url))
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "start one, or correct the bus url" in str(caught.value)


@pytest.mark.parametrize("url", ["http://host", "redis:/host:port:x", "", "redis://host:abc"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is no Redis URL, such as redis://host:6379/0"):
        RedisStreamBus(url)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"partitions": 0}, "partitions must be at least 1, was 0"),
        ({"lease_s": 0.0}, "lease_s must be above 0"),
        ({"keep": -1}, "keep must be at least 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        RedisStreamBus("redis://localhost", **settings)


def test_a_wrong_password_is_one_line() -> None:
    for server in running():
        with pytest.raises(BusError, match="the server refuses; check user, password and database") as caught:
            asyncio.run(RedisStreamBus.connect(server.url.replace("unix://", "unix://me:secret@")))
        assert "secret" not in str(caught.value)


def test_all_processes_have_the_same_partitions(redis_server: RedisServer) -> None:  # noqa: F811
    async def scene(place: OverRedis) -> None:
        await place.bus(partitions=4)
        with pytest.raises(BusError, match="have 4 partitions, not 2: set partitions alike"):
            await place.bus(partitions=2)

    play(OverRedis(redis_server), scene)


def test_a_server_that_may_lose_messages_is_noticed() -> None:
    for server in running("--appendonly", "no", "--maxmemory-policy", "allkeys-lru"):

        async def scene(place: OverRedis) -> None:
            assert (await place.bus()).warnings == [
                "appendonly is no: messages are lost when the server dies",
                "maxmemory-policy is allkeys-lru: a full server drops messages; set noeviction",
            ]

        play(OverRedis(server), scene)


def test_a_server_that_is_too_old_is_refused(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("core.bus_redis.OLDEST_SERVER", (99, 1))
    with pytest.raises(BusError, match=r"the server is Redis \d+\.\d+\.\d+; the bus needs 99\.1 or newer"):
        asyncio.run(RedisStreamBus.connect(redis_server.url))


def test_a_server_that_refuses_a_message_is_one_line() -> None:
    for server in running("--maxmemory", "3mb", "--maxmemory-policy", "noeviction"):

        async def scene(place: OverRedis) -> None:
            bus = await place.bus()
            large = [bus.publish_json("t", {"n": n, "pad": "x" * 100_000}) for n in range(100)]
            with pytest.raises(BusError, match=r"t: the server refuses: .*used memory"):
                await asyncio.gather(*large)

        play(OverRedis(server), scene)


def test_nothing_imports_redis_until_a_bus_is_made() -> None:
    probe = "import sys, core.bus_redis; print([name for name in sys.modules if name.split('.')[0] == 'redis'])"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_many_keys_in_flight_are_handled_at_the_same_time(redis_server: RedisServer) -> None:  # noqa: F811
    """A consumer gives out the next key while one is in hand; two tasks may share it."""

    async def scene(place: OverRedis) -> None:
        bus = await place.bus()
        consumer = bus.consume("g", "t")
        for n in range(6):
            await bus.publish_json("t", {"n": n, "symbol": f"S{n % 3}"})
        async with asyncio.timeout(5):
            in_hand = [await anext(consumer) for _ in range(3)]
        assert Counter(one.payload["symbol"] for one in in_hand) == {"S0": 1, "S1": 1, "S2": 1}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(consumer), 0.05)
        await consumer.done(in_hand[1])
        assert (await asyncio.wait_for(anext(consumer), 5)).payload == {"n": 4, "symbol": "S1"}
        await consumer.aclose()
        await work(consumer, lambda _delivery: asyncio.sleep(0))  # has ended

    play(OverRedis(redis_server), scene)


def test_the_example_of_the_guide_runs(redis_server: RedisServer) -> None:  # noqa: F811
    (example,) = re.findall(r"```python needs=redis\n(.*?)```", (ROOT / "docs" / "bus.md").read_text(), re.DOTALL)
    text = example.replace("redis://redis.example:6379/0", redis_server.url)
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n{'fill_id': 'f-1', 'qty': 5.0}\n", "")
