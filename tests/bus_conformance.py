"""What every bus does, as scenes that a test plays on each of them.

A `Place` is where buses meet: `bus()` is one process's bus, `another()` that of a second process. Inside one process
both are the same object. Scenes use short leases and pauses, and end what they begin.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

import pytest

from core.bus import GroupBus, Said
from core.bus_groups import Consumer, DeadLetter, Delivery, work

Json = dict[str, Any]
RETRY_S = 0.01
ARRIVED_S = 0.5  # then another process's subscription has reached the server, on a busy machine too
WITHIN_S = 60.0  # only what hangs takes that long
DELIVERIES = 3
LEASE_S = 1.0  # what a busy machine may keep a live process from renewing it


class Place(Protocol):
    async def bus(self, **settings: Any) -> GroupBus:
        """The first process's bus, with settings that all buses have, and `partitions` for those that have any."""
        ...

    async def another(self) -> GroupBus:
        """A second process's bus, with the settings of the first."""
        ...

    async def crash(self, consumer: Consumer) -> None:
        """The consumer's process dies without a word, as far as this bus can show that."""
        ...


async def taken(messages: AsyncIterator[Json], count: int) -> list[Json]:
    async with asyncio.timeout(WITHIN_S):
        return [await anext(messages) for _ in range(count)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not true():
            await asyncio.sleep(0.005)


class Worker:
    """A consumer at work in a task, which remembers what it has handled."""

    def __init__(
        self, bus: GroupBus, group: str, *topics: str, fail: Callable[[Delivery], bool] = lambda _: False
    ) -> None:
        self.consumer = bus.consume(group, *topics)
        self.handled: list[Json] = []
        self.tried: list[Json] = []
        self.attempts: list[int] = []
        self._fail = fail
        self._task = asyncio.create_task(work(self.consumer, self._handle))

    async def _handle(self, delivery: Delivery) -> None:
        self.tried.append(delivery.payload)
        self.attempts.append(delivery.attempt)
        await asyncio.sleep(0)
        if self._fail(delivery):
            raise ValueError(f"cannot handle {delivery.payload.get('n')}")
        self.handled.append(delivery.payload)

    @property
    def numbers(self) -> list[int]:
        return [payload["n"] for payload in self.handled]

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.consumer.aclose()


# ---------------------------------------------------------------- subscribers


async def subscribers_see_everything_from_the_call_on(place: Place) -> None:
    here, there = await place.bus(), await place.another()
    await here.publish_json("t", {"n": 0})
    own, other = here.subscribe("t"), there.subscribe("t")
    await asyncio.sleep(ARRIVED_S)
    for n in range(1, 101):
        await here.publish_json("t", {"n": n})
        await here.publish_json("elsewhere", {"n": -n})
    for messages in (own, other):
        assert [message["n"] for message in await taken(messages, 100)] == list(range(1, 101))


async def a_subscription_is_active_when_subscribe_returns(place: Place) -> None:
    bus = await place.bus()
    for n in range(20):
        await bus.publish_json("t", {"n": -1})
        messages = bus.subscribe("t")
        await bus.publish_json("t", {"n": n})
        assert await taken(messages, 1) == [{"n": n}]


async def a_time_limit_around_one_message_loses_none(place: Place) -> None:
    bus = await place.bus()
    messages = bus.subscribe("t")
    for n in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(messages), timeout=0.005)
        await bus.publish_json("t", {"n": n})
        assert await taken(messages, 1) == [{"n": n}]


async def large_and_strange_messages_arrive_as_they_were(place: Place) -> None:
    here, there = await place.bus(), await place.another()
    strange = {
        "text": "é 漢字 🚀 \u0000 \r\n $3", "deep": [[[{"a": None, "b": True}]]], "": -0.1, "big": 2**53,
        "long": "x" * 3_000_000,
    }  # fmt: skip
    messages = there.subscribe("thème/ß:*")
    await asyncio.sleep(ARRIVED_S)
    consumer = there.consume("größe", "thème/ß:*")
    await here.publish_json("thème/ß:*", strange, message_id="id/ü:1")
    assert await taken(messages, 1) == [strange]
    async with asyncio.timeout(WITHIN_S):
        delivery = await anext(consumer)
    assert (delivery.topic, delivery.payload, delivery.message_id) == ("thème/ß:*", strange, "id/ü:1")
    await consumer.done(delivery)
    await consumer.aclose()


async def many_topics_stay_apart(place: Place) -> None:
    here, there = await place.bus(), await place.another()
    names = [f"md.quotes.S{number}" for number in range(100)]
    worker = Worker(there, "g", *names)
    await asyncio.gather(*(here.publish_json(name, {"n": n, "topic": name}) for n in range(5) for name in names))
    await until(lambda: len(worker.handled) >= 500)
    seen = defaultdict(list)
    for payload in worker.handled:
        seen[payload["topic"]].append(payload["n"])
    assert seen == {name: [0, 1, 2, 3, 4] for name in names}
    await worker.end()


# ---------------------------------------------------------------- groups


async def two_groups_both_get_everything(place: Place) -> None:
    bus = await place.bus()
    first, second = Worker(bus, "one", "t"), Worker(bus, "two", "t")
    await asyncio.gather(*(bus.publish_json("t", {"n": n}) for n in range(100)))
    await until(lambda: len(first.handled) >= 100 and len(second.handled) >= 100)
    assert first.numbers == second.numbers == list(range(100))
    await first.end()
    await second.end()


async def a_group_gets_what_came_while_nobody_was_there(place: Place) -> None:
    bus = await place.bus()
    worker = Worker(bus, "g", "t")
    await bus.publish_json("t", {"n": 0})
    await until(lambda: worker.numbers == [0])
    await worker.end()
    for n in range(1, 10):
        await bus.publish_json("t", {"n": n})
    worker = Worker(await place.another(), "g", "t")
    await until(lambda: len(worker.handled) >= 9)
    assert worker.numbers == list(range(1, 10))
    await worker.end()


async def consumers_share_the_work_and_keep_the_order_of_each_key(place: Place) -> None:
    here = await place.bus(partitions=8)
    workers = [Worker(here, "g", "t"), Worker(await place.another(), "g", "t")]
    for numbers in (range(100), range(100, 400)):
        await asyncio.gather(*(here.publish_json("t", {"n": n, "symbol": f"S{n % 40}"}) for n in numbers))
        await asyncio.sleep(2 * LEASE_S)  # both have found their share
    await until(lambda: sum(len(worker.handled) for worker in workers) >= 400)
    for worker in workers:
        assert len(worker.handled) >= 50, [len(one.handled) for one in workers]
        await worker.end()
    handled = Counter(number for worker in workers for number in worker.numbers)
    assert handled == Counter(range(400))
    for worker in workers:
        _assert_order(worker.handled)


async def a_message_whose_handler_raises_comes_again_in_order(place: Place) -> None:
    """Messages of its key wait for it, those of other keys pass by. pitfall 37"""
    bus = await place.bus()
    worker = Worker(bus, "g", "t", fail=lambda delivery: delivery.payload["n"] % 6 == 0 and delivery.attempt < 3)
    for n in range(60):
        await bus.publish_json("t", {"n": n, "meta": {"execution_id": f"x-{n % 4}"}})
    await until(lambda: len(worker.handled) >= 60)
    await worker.end()
    assert sorted(worker.numbers) == list(range(60))
    assert worker.numbers != sorted(worker.numbers)
    assert Counter(worker.attempts) == {1: 60, 2: 10, 3: 10}
    _assert_order(worker.handled, lambda payload: payload["meta"]["execution_id"])
    assert await bus.dead_letters("t") == []


async def a_poison_message_goes_to_the_dead_letters(place: Place) -> None:
    told: list[DeadLetter] = []
    bus = await place.bus(on_dead=told.append)
    worker = Worker(bus, "g", "t", fail=lambda delivery: delivery.payload["n"] == 3)
    for n in range(6):
        await bus.publish_json("t", {"n": n, "symbol": "S"}, message_id=f"m{n}")
    await until(lambda: len(worker.handled) >= 5)
    await worker.end()
    assert worker.numbers == [0, 1, 2, 4, 5]
    letter = DeadLetter("t", "g", "m3", {"n": 3, "symbol": "S"}, "ValueError: cannot handle 3", DELIVERIES)
    assert await (await place.another()).dead_letters("t") == [letter]
    assert await bus.dead_letters("other") == []
    assert told == [letter]


async def what_a_dead_consumer_held_goes_to_another(place: Place) -> None:
    here, there = await place.bus(), await place.another()
    dying = here.consume("g", "t")
    for n in range(20):
        await here.publish_json("t", {"n": n, "symbol": f"S{n % 3}"})
    async with asyncio.timeout(WITHIN_S):
        first = await anext(dying)
        await dying.done(first)
        held = [await anext(dying) for _ in range(2)]
    assert [one.payload["n"] for one in (first, *held)] in ([0, 1, 2], [0, 3, 1], [0, 1, 3])
    await place.crash(dying)
    heir = Worker(there, "g", "t")
    await until(lambda: len(heir.handled) >= 19)
    await heir.end()
    assert sorted(heir.numbers) == list(range(1, 20))
    assert sorted(heir.attempts, reverse=True)[:2] == [2, 2]
    _assert_order(heir.handled)


async def what_a_replaced_consumer_finishes_is_not_lost_with_its_heir(place: Place) -> None:
    """It was held up while another one took over, and that one dies before it has done anything."""
    here, there = await place.bus(), await place.another()
    held_up = here.consume("g", "t")
    await here.publish_json("t", {"n": 0})
    async with asyncio.timeout(WITHIN_S):
        late = await anext(held_up)
    await place.crash(held_up)
    heir = there.consume("g", "t")
    async with asyncio.timeout(WITHIN_S):
        assert (await anext(heir)).payload == {"n": 0}
    await held_up.done(late)
    await here.publish_json("t", {"n": 1})  # whatever it has said, the bus has heard it by now
    await asyncio.sleep(ARRIVED_S)
    await place.crash(heir)
    last = Worker(await place.another(), "g", "t")
    await until(lambda: len(last.handled) >= 2)
    assert last.numbers == [0, 1]
    await last.end()


async def what_a_leaving_consumer_held_goes_to_another_at_once(place: Place) -> None:
    here, there = await place.bus(), await place.another()
    async with here.consume("g", "t") as leaving:
        for n in range(3):
            await here.publish_json("t", {"n": n})
        async with asyncio.timeout(WITHIN_S):
            await anext(leaving)
    heir = Worker(there, "g", "t")
    await until(lambda: len(heir.handled) >= 3)
    assert heir.numbers == [0, 1, 2]
    await heir.end()


async def a_message_id_is_published_once(place: Place) -> None:
    here, there = await place.bus(), await place.another()
    worker = Worker(here, "g", "t")
    for _ in range(3):
        for n in range(5):
            await here.publish_json("t", {"n": n}, message_id=f"intent-{n}")
            await there.publish_json("t", {"n": n}, message_id=f"intent-{n}")
    await here.publish_json("t", {"n": 5})
    await until(lambda: 5 in worker.numbers)
    assert worker.numbers == [0, 1, 2, 3, 4, 5]
    await worker.end()


async def several_that_are_published_together_arrive_in_order_and_once(place: Place) -> None:
    here, there = await place.bus(), await place.another()
    worker, other = Worker(there, "g", "t"), Worker(there, "g2", "u")
    await here.publish_all([])
    together = [Said("t" if n % 3 else "u", {"n": n}, f"m-{n}" if n % 2 else None) for n in range(12)]
    await here.publish_all(together)
    await here.publish_all([one for one in together if one.message_id is not None])
    await here.publish_all([Said("t", {"n": 12}), Said("u", {"n": 12})])
    await until(lambda: worker.numbers[-1:] == [12] and other.numbers[-1:] == [12])
    assert worker.numbers == [n for n in range(13) if n % 3 or n == 12]
    assert other.numbers == [0, 3, 6, 9, 12]
    await worker.end()
    await other.end()


async def publishers_wait_for_a_slow_group_and_nothing_is_lost(place: Place) -> None:
    bus = await place.bus(capacity=20, patience_s=WITHIN_S)
    consumer = bus.consume("g", "t")
    published = 0

    async def publish() -> None:
        nonlocal published
        for n in range(60):
            await bus.publish_json("t", {"n": n})
            published = n + 1

    publisher = asyncio.create_task(publish())
    await until(lambda: published >= 20)
    await asyncio.sleep(0.2)
    for handled in range(60):
        assert published - handled <= 25
        async with asyncio.timeout(WITHIN_S):
            delivery = await anext(consumer)
        assert delivery.payload["n"] == handled
        await consumer.done(delivery)
    await publisher
    await consumer.aclose()


async def a_stuck_group_stops_nobody_and_loses_nothing(place: Place) -> None:
    stuck: list[tuple[str, ...]] = []
    bus = await place.bus(capacity=20, patience_s=0.05, on_stuck=lambda topics, _behind: stuck.append(topics))
    consumer = bus.consume("g", "t")
    async with asyncio.timeout(WITHIN_S):
        for n in range(200):
            await bus.publish_json("t", {"n": n})
    assert set(stuck) == {("t",)}
    worker = Worker(bus, "g", "t")
    await consumer.aclose()
    await until(lambda: len(worker.handled) >= 200)
    assert worker.numbers == list(range(200))
    await worker.end()


async def closing_ends_those_who_wait_and_refuses_the_rest(place: Place) -> None:
    bus = await place.bus()
    messages, consumer = bus.subscribe("t"), bus.consume("g", "t")

    async def count(iterator: AsyncIterator[object]) -> int:
        return len([one async for one in iterator])

    waiting = [asyncio.create_task(count(messages)), asyncio.create_task(count(aiter(consumer)))]
    await asyncio.sleep(0.05)
    await bus.close()
    await bus.close()
    async with asyncio.timeout(WITHIN_S):
        assert await asyncio.gather(*waiting) == [0, 0]
    with pytest.raises(RuntimeError, match="the bus is closed"):
        bus.subscribe("t")
    with pytest.raises(RuntimeError, match="the bus is closed"):
        bus.consume("g", "t")
    with pytest.raises(RuntimeError, match="the bus is closed"):
        await bus.publish_json("t", {})


async def what_is_not_json_is_refused(place: Place) -> None:
    bus = await place.bus()
    worker = Worker(bus, "g", "t")
    for payload in ({"x": object()}, [1], {"x": {1j: 1}}):
        with pytest.raises(TypeError, match="payload for t must be"):
            await bus.publish_json("t", payload)  # type: ignore[arg-type]
    await bus.publish_json("t", {"n": 1})
    await until(lambda: worker.numbers == [1])
    await worker.end()


Scene = Callable[[Place], Coroutine[Any, Any, None]]
SCENES: tuple[Scene, ...] = (
    subscribers_see_everything_from_the_call_on,
    a_subscription_is_active_when_subscribe_returns,
    a_time_limit_around_one_message_loses_none,
    large_and_strange_messages_arrive_as_they_were,
    many_topics_stay_apart,
    two_groups_both_get_everything,
    a_group_gets_what_came_while_nobody_was_there,
    consumers_share_the_work_and_keep_the_order_of_each_key,
    a_message_whose_handler_raises_comes_again_in_order,
    a_poison_message_goes_to_the_dead_letters,
    what_a_dead_consumer_held_goes_to_another,
    what_a_replaced_consumer_finishes_is_not_lost_with_its_heir,
    what_a_leaving_consumer_held_goes_to_another_at_once,
    a_message_id_is_published_once,
    several_that_are_published_together_arrive_in_order_and_once,
    publishers_wait_for_a_slow_group_and_nothing_is_lost,
    a_stuck_group_stops_nobody_and_loses_nothing,
    closing_ends_those_who_wait_and_refuses_the_rest,
    what_is_not_json_is_refused,
)


def _assert_order(handled: list[Json], key: Callable[[Json], str] = lambda payload: str(payload["symbol"])) -> None:
    lanes = defaultdict(list)
    for payload in handled:
        lanes[key(payload)].append(payload["n"])
    assert all(numbers == sorted(numbers) for numbers in lanes.values()), lanes
