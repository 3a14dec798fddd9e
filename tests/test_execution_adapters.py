"""One place to wait in, for messages and for time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.bus import InMemoryBus
from core.clock import ManualClock, WallClock
from execution.adapters import Listener, ManualTimer, RealTimer, Signal, timer_of
from tests.talk import play


def test_a_manual_timer_waits_for_the_clock_and_not_for_seconds() -> None:  # pitfall 33
    async def scene() -> None:
        clock = ManualClock(100)
        timer = timer_of(clock)
        assert isinstance(timer, ManualTimer)
        await timer.sleep_until(100)
        waiting = asyncio.create_task(timer.sleep_until(10**18))
        await asyncio.sleep(0)
        clock.set(10**18 - 1)
        await asyncio.sleep(0)
        assert not waiting.done()
        clock.advance(1)
        await waiting
        assert timer.now_ns() == 10**18

    play(scene)


def test_a_timer_that_is_given_up_leaves_nothing_behind() -> None:
    async def scene() -> None:
        clock = ManualClock()
        waiting = asyncio.create_task(ManualTimer(clock).sleep_until(50))
        await asyncio.sleep(0)
        assert clock.next_call_ns == 50
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert clock.next_call_ns is None

    play(scene)


def test_a_real_timer_has_waited_long_enough_when_it_returns() -> None:
    async def scene() -> None:
        clock = WallClock()
        timer = timer_of(clock)
        assert isinstance(timer, RealTimer)
        then = clock.now_ns() + 3_000_000
        await timer.sleep_until(then)
        assert clock.now_ns() >= then

    play(scene)


class Plain:
    """A bus of the protocol and nothing more: each topic is a stream of its own."""

    def __init__(self) -> None:
        self.bus = InMemoryBus()

    async def publish_json(self, topic: str, payload: dict[str, Any]) -> None:
        await self.bus.publish_json(topic, payload)

    def subscribe(self, topic: str) -> AsyncIterator[dict[str, Any]]:
        return self.bus.subscribe(topic)


@pytest.mark.parametrize("plain", [False, True])
def test_a_listener_hears_from_the_moment_it_is_made(plain: bool) -> None:
    async def scene() -> None:
        bus: Any = Plain() if plain else InMemoryBus()
        async with Listener(bus, ("a", "b"), timer_of(ManualClock())) as listener:
            await bus.publish_json("a", {"n": 1})
            await bus.publish_json("b", {"n": 2})
            assert [await listener.next(), await listener.next()] == [("a", {"n": 1}), ("b", {"n": 2})]

    play(scene)


def test_a_listener_keeps_the_order_of_a_bus_that_has_one() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        async with Listener(bus, ("a", "b"), timer_of(ManualClock())) as listener:
            for n in range(6):
                await bus.publish_json("ba"[n % 2], {"n": n})
            heard = [await listener.next() for _ in range(6)]
            assert [one[1]["n"] for one in heard if not isinstance(one, Signal)] == list(range(6))

    play(scene)


@pytest.mark.parametrize("plain", [False, True])
def test_a_listener_gives_out_what_is_there_before_the_time_and_before_the_end(plain: bool) -> None:
    async def scene() -> None:
        bus: Any = Plain() if plain else InMemoryBus()
        clock = ManualClock()
        async with Listener(bus, ("a", "b"), timer_of(clock)) as listener:
            await bus.publish_json("a", {})
            clock.set(10)
            assert await listener.next(5) == ("a", {})
            assert await listener.next(5) is Signal.TIME
            await bus.publish_json("b", {})
            await (bus.bus if plain else bus).close()
            assert await listener.next() == ("b", {})
            assert await listener.next() is Signal.END
            assert await listener.next(20) is Signal.END

    play(scene)


def test_a_flood_of_messages_does_not_stop_the_clock() -> None:
    async def scene() -> None:
        bus, clock = InMemoryBus(capacity=10_000), ManualClock()
        async with Listener(bus, ("a",), timer_of(clock)) as listener:
            for _ in range(1000):
                await bus.publish_json("a", {})
            clock.set(10)
            heard = [await listener.next(5) for _ in range(400)]
            assert Signal.TIME in heard

    play(scene)


def test_a_call_interrupts_the_wait_now_or_the_next_one() -> None:
    async def scene() -> None:
        async with Listener(InMemoryBus(), ("a",), timer_of(ManualClock())) as listener:
            waiting = asyncio.create_task(listener.next())
            await asyncio.sleep(0)
            listener.call()
            assert await waiting is Signal.CALL
            listener.call()
            assert await listener.next() is Signal.CALL

    play(scene)


def test_a_wait_that_is_cancelled_loses_no_message() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        async with Listener(bus, ("a",), timer_of(ManualClock())) as listener:
            waiting = asyncio.create_task(listener.next())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await bus.publish_json("a", {"n": 1})
            assert await listener.next() == ("a", {"n": 1})

    play(scene)


def test_a_listener_that_is_left_leaves_the_bus() -> None:
    async def scene() -> None:
        bus = InMemoryBus()
        listener = Listener(bus, ("a",), timer_of(ManualClock()))
        waiting = asyncio.create_task(listener.next(5))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await listener.aclose()
        assert bus.backlog("a") == []

    play(scene)
