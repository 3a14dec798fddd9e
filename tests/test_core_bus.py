"""The bus inside one process: order, no loss, back-pressure, shutdown."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bus import BusProto, InMemoryBus, Subscription

Json = dict[str, Any]


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scene; one that hangs fails."""
    asyncio.run(asyncio.wait_for(scene(), timeout=120))


async def taken(messages: AsyncIterator[Json]) -> list[int]:
    return [message["n"] async for message in messages]


def test_the_bus_has_the_signatures_of_the_protocol() -> None:
    bus: BusProto = InMemoryBus()
    assert asyncio.iscoroutinefunction(bus.publish_json)
    assert not asyncio.iscoroutinefunction(bus.subscribe)

    async def scene() -> None:
        assert isinstance(bus.subscribe("t"), AsyncIterator)

    play(scene)


def test_a_subscription_is_active_from_the_call_on() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        await bus.publish_json("t", {"n": 0})
        messages = bus.subscribe("t")
        await bus.publish_json("t", {"n": 1})
        await bus.publish_json("other", {"n": 2})
        await bus.close()
        assert await taken(messages) == [1]

    play(scene)


def test_every_subscriber_gets_every_message_as_its_own_copy() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        first, second = bus.subscribe("t"), bus.subscribe("t")
        payload = {"n": 1, "inner": {"list": [1, 2.5, None, "é"]}}
        await bus.publish_json("t", payload)
        payload["inner"]["list"].append("changed by the publisher")  # type: ignore[index]
        got = await anext(first)
        got["inner"]["list"].clear()
        assert await anext(second) == {"n": 1, "inner": {"list": [1, 2.5, None, "é"]}}

    play(scene)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"x": object()}, "payload for t must be JSON: .*object"),
        ({"x": {1j: 1}}, "payload for t must be JSON"),
        ([1, 2], "payload for t must be a dictionary, was list"),
        ("text", "payload for t must be a dictionary, was str"),
    ],
)
def test_what_is_not_json_is_refused_and_reaches_nobody(payload: Any, reason: str) -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        messages = bus.subscribe("t")
        with pytest.raises(TypeError, match=reason):
            await bus.publish_json("t", payload)
        await bus.close()
        assert await taken(messages) == []

    play(scene)


def test_a_payload_that_contains_itself_is_refused() -> None:
    async def scene() -> None:
        payload: Json = {}
        payload["self"] = payload
        with pytest.raises(TypeError, match="must be JSON"):
            await InMemoryBus().publish_json("t", payload)

    play(scene)


def test_a_publisher_waits_while_a_slow_subscriber_takes_messages() -> None:
    async def scene() -> None:
        bus = InMemoryBus(capacity=3, patience_s=5)
        messages = bus.subscribe("t")
        highest = 0

        async def publish() -> None:
            for n in range(50):
                await bus.publish_json("t", {"n": n})
            await bus.close()

        publisher = asyncio.create_task(publish())
        got = []
        async for message in messages:
            highest = max(highest, *bus.backlog("t"))
            got.append(message["n"])
            await asyncio.sleep(0)
        await publisher
        assert got == list(range(50))
        assert highest <= 4  # capacity and the one publisher that waits
        assert bus.spilled == 0

    play(scene)


def test_a_stuck_subscriber_neither_blocks_for_ever_nor_loses() -> None:
    reports: list[tuple[tuple[str, ...], int]] = []

    async def scene() -> None:
        bus = InMemoryBus(
            capacity=2, patience_s=0.02, on_stuck=lambda topics, backlog: reports.append((topics, backlog))
        )
        stuck, quick = bus.subscribe("t"), bus.subscribe("t")
        reader = asyncio.create_task(taken(quick))
        for n in range(100):
            await bus.publish_json("t", {"n": n})
        assert bus.spilled == 97  # two had room, the third publisher waited in vain
        await bus.close()
        assert await taken(stuck) == list(range(100))
        assert await reader == list(range(100))

    play(scene)
    assert reports == [(("t",), 3)]


def test_a_stuck_subscriber_that_wakes_up_gets_back_pressure_again() -> None:
    async def scene() -> None:
        bus = InMemoryBus(capacity=1, patience_s=0.02)
        messages = bus.subscribe("t")
        for n in range(5):
            await bus.publish_json("t", {"n": n})
        for n in range(4):
            assert (await anext(messages))["n"] == n
        bus._patience_s = 60  # from here on only room lets a publisher go on
        publisher = asyncio.create_task(bus.publish_json("t", {"n": 5}))
        await asyncio.sleep(0.01)
        assert not publisher.done()
        assert (await anext(messages))["n"] == 4
        await publisher

    play(scene)


@pytest.mark.parametrize("leave", ["aclose", "context", "cancel", "forget"])
def test_a_subscriber_that_leaves_releases_the_publishers_that_wait_for_it(leave: str) -> None:
    async def scene() -> None:
        bus = InMemoryBus(capacity=1, patience_s=60)
        publisher: asyncio.Task[None]

        async def publish() -> None:
            for n in range(10):
                await bus.publish_json("t", {"n": n})

        async def wait_for_nothing(messages: Subscription[Json]) -> None:
            await anext(messages)
            await asyncio.Event().wait()

        messages: Subscription[Json] | None = bus.subscribe("t")
        assert messages is not None
        publisher = asyncio.create_task(publish())
        await asyncio.sleep(0.01)
        assert not publisher.done()
        if leave == "aclose":
            await messages.aclose()
        elif leave == "context":
            async with messages:
                await anext(messages)
        elif leave == "cancel":
            reader = asyncio.create_task(wait_for_nothing(messages))
            messages = None
            await asyncio.sleep(0.01)
            reader.cancel()
            del reader
        messages = None
        await asyncio.sleep(0)
        gc.collect()
        await publisher
        assert bus.backlog("t") == []

    play(scene)


def test_a_cancelled_async_for_leaves_the_bus_at_once() -> None:
    async def scene() -> None:
        bus = InMemoryBus()

        async def read() -> None:
            async for _ in bus.subscribe("t"):
                pass

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        assert bus.backlog("t") == [0]
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        assert bus.backlog("t") == []

    play(scene)


def test_a_time_limit_around_one_message_does_not_end_the_subscription() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        messages = bus.subscribe("t")
        for n in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(messages), timeout=0.005)
            await bus.publish_json("t", {"n": n})
            assert (await asyncio.wait_for(anext(messages), timeout=60))["n"] == n

    play(scene)


def test_after_aclose_the_iterator_has_ended() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        messages = bus.subscribe("t")
        await bus.publish_json("t", {"n": 1})
        await messages.aclose()
        await messages.aclose()
        assert await taken(messages) == []

    play(scene)


def test_closing_gives_out_what_was_published_and_wakes_those_who_wait() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        waiting = asyncio.create_task(taken(bus.subscribe("quiet")))
        busy = asyncio.create_task(taken(bus.subscribe("t")))
        for n in range(5):
            await bus.publish_json("t", {"n": n})
        await asyncio.sleep(0)
        await bus.close()
        await bus.close()
        assert await waiting == []
        assert await busy == [0, 1, 2, 3, 4]

    play(scene)


def test_closing_releases_a_publisher_that_waits_and_keeps_its_message() -> None:
    async def scene() -> None:
        bus = InMemoryBus(capacity=1, patience_s=60)
        messages = bus.subscribe("t")
        await bus.publish_json("t", {"n": 0})
        publisher = asyncio.create_task(bus.publish_json("t", {"n": 1}))
        await asyncio.sleep(0)
        assert not publisher.done()
        await bus.close()
        await publisher
        assert await taken(messages) == [0, 1]

    play(scene)


def test_a_closed_bus_refuses_messages_and_subscribers() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        await bus.close()
        with pytest.raises(RuntimeError, match="closed: nothing can be published to t"):
            await bus.publish_json("t", {})
        with pytest.raises(RuntimeError, match="closed: nothing will come on t"):
            bus.subscribe("t")

    play(scene)


@pytest.mark.parametrize(("capacity", "patience_s"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_a_bus_needs_room_and_patience(capacity: int, patience_s: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        InMemoryBus(capacity=capacity, patience_s=patience_s)


@given(
    script=st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc")), max_size=60),
    pauses=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=4),
    capacity=st.integers(1, 5),
)
def test_everybody_sees_everything_in_one_order(
    script: list[tuple[int, str]], pauses: list[list[int]], capacity: int
) -> None:
    """Three publishers, three topics, subscribers that dawdle as they like: nothing lost, one order for all."""

    async def scene() -> None:
        bus = InMemoryBus(capacity=capacity, patience_s=5)
        topics = ("a", "b", "c")
        seen: list[list[tuple[str, int]]] = [[] for _ in pauses]

        async def read(k: int, messages: Subscription[tuple[str, Json]]) -> None:
            async for topic, message in messages:
                for _ in range(pauses[k][len(seen[k]) % len(pauses[k])]):
                    await asyncio.sleep(0)
                seen[k].append((topic, message["n"]))

        async def publish(who: int) -> None:
            for n, (author, topic) in enumerate(script):
                if author == who:
                    await bus.publish_json(topic, {"n": n})

        readers = [asyncio.create_task(read(k, bus.subscribe_many(*topics))) for k in range(len(pauses))]
        one_topic = asyncio.create_task(taken(bus.subscribe("a")))
        await asyncio.gather(*(publish(who) for who in range(3)))
        await bus.close()
        await asyncio.gather(*readers)
        assert all(order == seen[0] for order in seen)
        assert sorted((n, topic) for topic, n in seen[0]) == [(n, topic) for n, (_, topic) in enumerate(script)]
        for who in range(3):
            own = [n for _, n in seen[0] if script[n][0] == who]
            assert own == sorted(own)
        assert await one_topic == [n for topic, n in seen[0] if topic == "a"]
        assert bus.spilled == 0

    play(scene)
