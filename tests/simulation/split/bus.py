"""The bus of a simulated process: what `core/bus_redis.py` promises, and no more than that.

Requests of one process arrive in order; of those that are on their way when it is killed, the first few still do. Who
waits too long for the server is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.bus import Said, encoded
from core.bus_groups import DeadLetter, order_key
from core.bus_redis_link import BusError
from core.disk_simulated import Crashed
from tests.simulation.split.loop import VirtualLoop
from tests.simulation.split.readers import SimulatedConsumer, SimulatedTape
from tests.simulation.split.server import Server

SECOND: Final = 1_000_000_000
OUTAGE_NS: Final = 20 * SECOND  # the longest that a process waits for the server


@dataclass(eq=False, slots=True)
class _Request:
    act: Callable[[], Any]
    answer: asyncio.Future[Any]
    lost: bool = False


class Client:
    """`core.bus.GroupBus` of one process, until it is killed: then it moves nobody any more."""

    def __init__(self, server: Server, loop: VirtualLoop) -> None:
        self.server = server
        self.loop = loop
        self.killed = False
        self.error: BusError | None = None
        self._free_ns = 0
        self._requests: deque[_Request] = deque()
        self._fronts: list[SimulatedConsumer | SimulatedTape] = []

    async def publish_json(self, topic: str, payload: dict[str, Any], *, message_id: str | None = None) -> None:
        await self._publish(topic, payload, message_id)

    async def publish_all(self, messages: Sequence[Said]) -> None:
        for answer in [self._publish(*one) for one in messages]:
            await answer

    def subscribe(self, topic: str) -> SimulatedTape:
        self._must_live()
        tape = SimulatedTape(self)
        self.server.tapes[topic].append(tape)
        self._fronts.append(tape)
        return tape

    def consume(self, group: str, *topics: str, consumer: str | None = None) -> SimulatedConsumer:
        assert consumer is not None
        made = SimulatedConsumer(self, group, tuple(dict.fromkeys(topics)), consumer)
        self.ask(lambda: self.server.join(made))
        self._fronts.append(made)
        return made

    async def dead_letters(self, topic: str) -> list[DeadLetter]:
        return [letter for letter in self.server.dead if letter.topic == topic]

    async def next_epoch(self, name: str, above: int = 0) -> int:
        epoch: int = await self.ask(lambda: self.server.next_epoch(name, above))
        return epoch

    async def close(self) -> None: ...

    def ask(self, act: Callable[[], Any]) -> asyncio.Future[Any]:
        """In order with all that was asked before."""
        self._must_live()
        if self.error is not None:
            raise self.error
        request = _Request(act, self.loop.create_future())
        self._requests.append(request)
        self._free_ns = max(self._free_ns, self.server.travel())
        self.server.time.at(self._free_ns, self._arrives)
        return request.answer

    def kill(self) -> None:
        """What has left the process may still arrive."""
        self.killed = True
        arrive = self.server.draw(len(self._requests) + 1)
        for number, request in enumerate(self._requests):
            request.lost = number >= arrive

    def cut(self) -> None:
        """The server has been away for too long."""
        self.error = BusError("no server for too long")
        for request in self._requests:
            request.lost = True
            if not request.answer.done():
                request.answer.set_exception(self.error)
        for front in self._fronts:
            front.fail(self.error)

    def _publish(self, topic: str, payload: dict[str, Any], message_id: str | None) -> asyncio.Future[Any]:
        data, key = encoded(topic, payload), order_key(payload)  # as it is now, whatever becomes of it
        return self.ask(lambda: self.server.append(topic, data, key, message_id))

    def _must_live(self) -> None:
        if self.killed:
            raise Crashed

    def _arrives(self) -> None:
        request = self._requests.popleft()
        if not request.lost:
            result = request.act()
            self.server.time.at(self.server.travel(), lambda: self._answers(request, result))

    def _answers(self, request: _Request, result: Any) -> None:
        if not (self.killed or request.answer.done()):
            request.answer.set_result(result)
