"""Between async and sync: an async executor for sync callers, and a deadline for an async stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar

from core.clock import Clock
from core.contracts import OrderIntent
from execution.contracts import ExecutionAlgorithm

if TYPE_CHECKING:
    from execution.base import BaseExecutor

T = TypeVar("T")


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


async def until(stream: AsyncIterator[T], clock: Clock, deadline_ns: int) -> AsyncIterator[T]:
    """The items of a stream that come before the deadline; the stream is closed afterwards."""
    try:
        while (left_ns := deadline_ns - clock.now_ns()) > 0:
            try:
                item = await asyncio.wait_for(anext(stream), left_ns / 1e9)
            except (StopAsyncIteration, TimeoutError):
                return
            yield item
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
