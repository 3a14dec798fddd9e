"""Where async meets sync: an async executor for sync callers, and one place to wait in for messages and for time.

Nothing in this package decides while it waits: what is heard here goes to plain functions, and their answers are
published afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, runtime_checkable

from core.bus import BusProto
from core.clock import Clock, ManualClock
from core.contracts import OrderIntent
from execution.contracts import ExecutionAlgorithm

if TYPE_CHECKING:
    from execution.base import BaseExecutor

Message = tuple[str, dict[str, Any]]
"""The topic and what came on it."""

_MOST_BEFORE_TIME: Final = (
    256  # messages that are given out first once the time has come: a flood cannot stop the clock
)


class SyncExecutionWrapper:
    """Wraps an async executor for a caller without an event loop, such as a backtest.

    It uses `asyncio.run`, which makes an event loop of its own:
    - safe where no loop runs (the backtest engine, a script);
    - RuntimeError where one runs (a notebook, an async service): await `plan_execution` there instead;
    - never for the risk engine, a broker or any other async service.
    """

    def __init__(self, async_executor: BaseExecutor) -> None:
        self.async_executor = async_executor

    def plan_execution_sync(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """The executor's plan. Raises RuntimeError when called from within a running event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.async_executor.plan_execution(algo))
        raise RuntimeError(
            "plan_execution_sync cannot run inside an event loop: use `await executor.plan_execution(algo)` there"
        )


# ---------------------------------------------------------------- time


class Timer(Clock, Protocol):
    """A clock that one can wait for."""

    async def sleep_until(self, ts_ns: int) -> None:
        """Returns once `now_ns()` has reached `ts_ns`; at once where it has already."""
        ...


class RealTimer:
    """Waits in real time, by any clock that follows it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now_ns(self) -> int:
        return self._clock.now_ns()

    async def sleep_until(self, ts_ns: int) -> None:
        while (
            left_ns := ts_ns - self._clock.now_ns()
        ) > 0:  # again where the loop wakes early or the clock stood still
            await asyncio.sleep(left_ns / 1e9)


class ManualTimer:
    """Waits until a manual clock is moved; real time does not count."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def now_ns(self) -> int:
        return self._clock.now_ns()

    async def sleep_until(self, ts_ns: int) -> None:
        if ts_ns <= self._clock.now_ns():
            return
        reached = asyncio.Event()
        undo = self._clock.call_at(ts_ns, reached.set)
        try:
            await reached.wait()
        finally:
            undo()


def timer_of(clock: Clock) -> Timer:
    """How to wait by this clock: as it says itself, else until somebody moves it, else in real time."""
    if hasattr(clock, "sleep_until"):
        return clock  # type: ignore[return-value]
    return ManualTimer(clock) if isinstance(clock, ManualClock) else RealTimer(clock)


# ---------------------------------------------------------------- what goes on beside the caller


class Background:
    """Coroutines that run beside their maker, until they end or are ended; what one raises is raised by `check`."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    def check(self) -> None:
        """Raises what a coroutine has raised."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def wait(self) -> None:
        """Returns once all have ended. Raises what one has raised."""
        await asyncio.gather(*self._tasks)

    async def aclose(self) -> None:
        """Ends those that run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


# ---------------------------------------------------------------- messages and time together


@runtime_checkable
class OrderedBus(Protocol):
    """A bus that keeps its order across topics."""

    def subscribe_many(self, *topics: str) -> AsyncIterator[Message]: ...


class Signal(Enum):
    """What a listener hears besides messages."""

    TIME = auto()  # the time that it was told to wait for has come
    CALL = auto()  # somebody called
    END = auto()  # nothing will come any more: the bus is closed


class Listener:
    """Messages of some topics, from the moment it is made, and the passing of time, in one place to wait.

    The order of messages is that of the bus: across topics where the bus keeps it, within each topic otherwise.
    Messages that are there when the time comes are given out before it. Leave it by `aclose()` or `async with`.
    """

    def __init__(self, bus: BusProto, topics: Sequence[str], timer: Timer) -> None:
        self._timer = timer
        self._streams: dict[str, AsyncIterator[Any]] = {}  # by topic; "" is one that names its topics itself
        if isinstance(bus, OrderedBus):
            self._streams[""] = bus.subscribe_many(*topics)
        else:
            self._streams = {topic: bus.subscribe(topic) for topic in topics}
        self._taking: dict[str, asyncio.Task[Message | None]] = {}
        self._sleep: asyncio.Task[None] | None = None
        self._sleep_ns: int | None = None
        self._since_time = 0
        self._called = False
        self._call: asyncio.Future[None] | None = None

    async def next(self, until_ns: int | None = None) -> Message | Signal:
        """The next message, or what else there is to know; waits for `until_ns` at the longest (None: for ever)."""
        self._wait_for(until_ns)
        for topic, stream in self._streams.items():
            if topic not in self._taking:
                self._taking[topic] = asyncio.ensure_future(_take(topic, stream))
        if not self._taking:
            return Signal.END
        if not self._called:
            self._call = asyncio.get_running_loop().create_future()
            waits: set[asyncio.Future[Any]] = {self._call, *self._taking.values()}
            if self._sleep is not None:
                waits.add(self._sleep)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self._called:
            self._called = False
            return Signal.CALL
        time_has_come = self._sleep is not None and self._sleep.done()
        if self._sleep is not None and time_has_come:
            self._sleep.result()  # what a timer raises is not lost
        if not (time_has_come and self._since_time >= _MOST_BEFORE_TIME):
            for topic in [topic for topic, task in self._taking.items() if task.done()]:
                message = self._taking.pop(topic).result()
                if message is not None:
                    self._since_time += time_has_come
                    return message
                del self._streams[topic]
        if not self._streams:
            return Signal.END
        if time_has_come:
            self._since_time = 0
            return Signal.TIME
        return await self.next(until_ns)  # one of several topics has ended

    def call(self) -> None:
        """Makes `next` answer `CALL`, now or the next time that it is asked."""
        self._called = True
        if self._call is not None and not self._call.done():
            self._call.set_result(None)

    async def aclose(self) -> None:
        tasks: list[asyncio.Task[Any]] = list(self._taking.values())
        if self._sleep is not None:
            tasks.append(self._sleep)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._taking, self._sleep = {}, None
        for stream in self._streams.values():
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        self._streams = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    def _wait_for(self, until_ns: int | None) -> None:
        if until_ns == self._sleep_ns:
            return
        if self._sleep is not None:
            self._sleep.cancel()
        self._since_time = 0
        self._sleep_ns = until_ns
        self._sleep = None if until_ns is None else asyncio.ensure_future(self._timer.sleep_until(until_ns))


async def _take(topic: str, stream: AsyncIterator[Any]) -> Message | None:
    """The next message with its topic; None at the end."""
    try:
        item = await anext(stream)
    except StopAsyncIteration:
        return None
    return (topic, item) if topic else item
