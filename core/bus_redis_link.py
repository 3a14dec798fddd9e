"""Connections to a Redis server that come back after they broke.

`Link` carries commands that nobody has to wait for one by one: they go out in order, as many at a time as there are,
and answers come back in the same order. What was on its way when the connection broke is sent again on the next one, in
the form that is safe to be sent twice. `BlockingLink` asks one thing at a time, such as a read that waits for messages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from core.errors import ConfigError, FillwrightError

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

Command = tuple[str | bytes | int, ...]
Hear = Callable[[Any], None]
FIRST_WAIT_S: Final = 0.02
LONGEST_WAIT_S: Final = 1.0
SCHEMES: Final = ("redis://", "rediss://", "unix://")
CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
LEAVE_S: Final = 1.0
NOT_NOW: Final = (
    "LOADING ",
    "ERR max number of clients",
)  # of a server that reads its files after a restart, or is full
FLUSH_LOOK_S: Final = 0.002
LATER_S: Final = 0.02  # what nobody waits for waits so long for a packet to leave with


class BusError(FillwrightError):
    """The server of the bus is not there, refuses, or has lost something."""


class Address:
    """Where the server is, and how to get there."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for a URL that is none, or where the redis package is not installed."""
        try:
            import hiredis  # noqa: F401 - used by each connection
            from redis.asyncio import ConnectionPool
        except ImportError:
            raise ConfigError("the Redis bus needs the package redis: pip install 'fillwright[redis]'") from None
        if not url.startswith(SCHEMES):
            raise ConfigError(f"bus url {_shown(url)!r} is no Redis URL, such as redis://host:6379/0")
        try:
            # RESP2, no timeout on reads that wait, and no retries but ours
            self._pool = ConnectionPool.from_url(
                url, protocol=2, socket_timeout=None, socket_connect_timeout=CONNECT_S, decode_responses=False
            )
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"bus url {_shown(url)!r} is no Redis URL, such as redis://host:6379/0: {error}"
            ) from None
        self.shown = _shown(url)

    def connection(self) -> AbstractConnection:
        made: AbstractConnection = self._pool.connection_class(**self._pool.connection_kwargs)
        return made


def _shown(url: str) -> str:
    """The URL without user, password and options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "..."
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@cache
def broken() -> tuple[type[BaseException], ...]:
    """What says that a connection is of no use any more."""
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    return RedisConnectionError, RedisTimeoutError, OSError, EOFError, TimeoutError


def _nobody(*_said: Any) -> None:
    """Hears nothing."""


class Wire(asyncio.Protocol):
    """One connection, that redis-py has made: packets leave at once, each answer goes to `hear` the moment it is here.

    A refusal is an answer: redis' ResponseError. redis-py reads through a stream and a task, which are two more turns
    of the event loop for each answer, and packs commands in Python: together more than the server takes.
    """

    def __init__(self, connection: AbstractConnection, hear: Hear, lost: Callable[[], None]) -> None:
        """`hear` gets each answer, `lost` is called once when the connection is gone, unless it was dropped."""
        from hiredis import HiredisError, Reader, pack_command
        from redis.exceptions import ResponseError

        self._connection = connection
        self._hear = hear
        self._lost = lost
        self._answers = Reader(replyError=ResponseError)
        self._no_answers = HiredisError
        self._pack: Callable[[Any], bytes] = pack_command
        writer = connection._writer  # redis-py has no other way to its transport
        assert writer is not None
        self._transport = writer.transport
        self._stream = self._transport.get_protocol()
        self._transport.set_protocol(self)
        if self._transport.is_closing():  # its end was heard by redis-py
            asyncio.get_running_loop().call_soon(self._end)

    def send(self, commands: Iterable[Command]) -> None:
        """In one packet."""
        self._transport.write(b"".join([self._pack(command) for command in commands]))

    async def drop(self, *, patience_s: float = 0.0) -> None:
        """Ends it, and nobody hears of it any more; with patience, what was sent may still leave."""
        self._hear, self._lost = _nobody, _nobody
        with suppress(*broken()):
            async with asyncio.timeout(patience_s or None):
                await self._connection.disconnect(nowait=not patience_s)

    def data_received(self, data: bytes) -> None:
        try:
            self._answers.feed(data)
            while (answer := self._answers.gets()) is not False:
                if isinstance(answer, Exception) and str(answer).startswith(NOT_NOW):
                    self._hear = _nobody  # nothing has been done: all of it is asked again on the next connection
                    self._transport.abort()
                    return
                self._hear(answer)
        except self._no_answers:  # this is no Redis server, or not any more
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._stream.connection_lost(error)  # redis-py waits for it when it closes
        self._end()

    def _end(self) -> None:
        self._lost()


class _Request:
    __slots__ = ("again", "answer", "command")

    def __init__(self, command: Command, again: Command | None, answer: asyncio.Future[Any] | None) -> None:
        self.command = command
        self.again = again
        self.answer = answer  # None: nobody waits for it


class Link:
    """Commands in order on one connection, over and over. `open` first, `close` at the end."""

    def __init__(self, address: Address, outage_s: float) -> None:
        """outage_s: how long the server may be away before those who wait for an answer get a BusError."""
        self._address = address
        self._outage_s = outage_s
        self._queue: deque[_Request] = deque()
        self._on_its_way: deque[_Request] = deque()
        self._wire: Wire | None = None
        self._soon: asyncio.Handle | None = None  # when the queue leaves
        self._hurry = False  # it leaves in the next turn
        self._broken = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._closed = False
        self.reconnects = 0

    async def open(self) -> None:
        """Connects. Raises BusError where that cannot be done now."""
        wire = await connect(self._address, self._hear, self._broken.set)
        self._running = asyncio.create_task(self._run(wire))

    def send(self, *command: str | bytes | int, again: Command | None = None) -> asyncio.Future[Any]:
        """The answer to come. What is sent in one turn of the event loop leaves in one packet, after it or by `flush`.

        `again` is what to send where nobody knows whether `command` has arrived. The future raises redis'
        ResponseError where the server refuses the command, BusError where it stays away.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            _fail(answer, BusError(f"{self._address.shown}: the bus is closed"))
            return answer
        self._queue.append(_Request(command, again, answer))
        if not self._hurry:
            self._forget_soon()
            self._soon, self._hurry = loop.call_soon(self.flush), True
        return answer

    def later(self, *command: str | bytes | int) -> None:
        """Leaves with the next packet, soon at the latest; nobody waits for its answer, and twice does no harm."""
        if self._closed:
            return
        self._queue.append(_Request(command, None, None))
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(LATER_S, self.flush)

    def flush(self) -> None:
        """What waits in the queue leaves now."""
        self._forget_soon()
        if self._wire is None or not self._queue:
            return
        batch, self._queue = self._queue, deque()
        self._on_its_way.extend(batch)
        self._wire.send([one.command for one in batch])

    async def close(self) -> None:
        """Ends the connection once everything has its answer, or after a second; the rest never gets one."""
        self._closed = True
        self.flush()
        deadline = asyncio.get_running_loop().time() + LEAVE_S
        while self._wire and self._on_its_way and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(FLUSH_LOOK_S)
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        self._give_up("the bus is closed")

    async def _run(self, wire: Wire) -> None:
        try:
            while True:
                self._wire = wire
                self.flush()
                try:
                    await self._until_broken()
                finally:
                    self._wire = None
                await wire.drop()
                self._broken.clear()
                self._queue.extendleft(
                    _Request(one.again or one.command, one.again, one.answer) for one in reversed(self._on_its_way)
                )
                self._on_its_way.clear()
                wire = await self._again()
                self.reconnects += 1
        finally:
            self._forget_soon()
            await wire.drop(patience_s=LEAVE_S)

    async def _until_broken(self) -> None:
        """Until it is lost, or a command has had no answer for so long that there will be none."""
        oldest: _Request | None = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await self._broken.wait()
                    return
            before, oldest = oldest, next(iter(self._on_its_way), None)
            if oldest is not None and oldest is before:
                return

    async def _again(self) -> Wire:
        """A new connection, however long that takes; who has waited for too long meanwhile is told."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._outage_s
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return await connect(self._address, self._hear, self._broken.set)
            except BusError as error:
                if loop.time() >= deadline:
                    self._give_up(f"no answer for {self._outage_s:g} s: {error}")
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _hear(self, said: Any) -> None:
        answer = self._on_its_way.popleft().answer
        if answer is None or answer.done():
            return
        if isinstance(said, Exception):
            _fail(answer, said)
        else:
            answer.set_result(said)

    def _forget_soon(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        self._soon, self._hurry = None, False

    def _give_up(self, reason: str) -> None:
        for request in (*self._on_its_way, *self._queue):
            if request.answer is not None and not request.answer.done():
                _fail(request.answer, BusError(f"{self._address.shown}: {reason}"))
        self._on_its_way.clear()
        self._queue.clear()


class BlockingLink:
    """One question at a time, over and over."""

    def __init__(self, address: Address, outage_s: float) -> None:
        self._address = address
        self._outage_s = outage_s
        self._wire: Wire | None = None
        self._answers: list[Any] = []
        self._expected = 0
        self._complete: asyncio.Future[None] | None = None
        self._at_once: Hear = _nobody
        self._away_since: float | None = None
        self._wait_s = FIRST_WAIT_S

    async def ask(self, *commands: Command, within_s: float, at_once: Hear = _nobody) -> list[Any] | None:
        """The answers, with refusals as exceptions among them; None where the connection broke: look anew, ask again.

        at_once: gets the last answer the moment it is here, before anything else happens in this process. Raises what
        it raises, and BusError once the server has been away for `outage_s`.
        """
        try:
            if self._wire is None:
                self._wire = await connect(self._address, self._hear, self._lost)
            self._answers, self._expected, self._at_once = [], len(commands), at_once
            self._complete = asyncio.get_running_loop().create_future()
            self._wire.send(commands)
            async with asyncio.timeout(within_s):
                await self._complete
        except BusError as error:
            await self._away(error)
            return None
        except broken():
            await self.close()
            return None
        except BaseException:
            await self.close()  # an answer may be on its way that nobody waits for
            raise
        self._away_since, self._wait_s = None, FIRST_WAIT_S
        return self._answers

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.drop(patience_s=LEAVE_S)

    def _hear(self, answer: Any) -> None:
        self._answers.append(answer)
        if len(self._answers) < self._expected or self._complete is None or self._complete.done():
            return
        try:
            self._at_once(answer)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            self._complete.set_exception(error)
        else:
            self._complete.set_result(None)

    def _lost(self) -> None:
        if self._complete is not None and not self._complete.done():
            self._complete.set_exception(ConnectionResetError("the server has closed the connection"))

    async def _away(self, error: BusError) -> None:
        now = asyncio.get_running_loop().time()
        self._away_since = now if self._away_since is None else self._away_since
        if now - self._away_since >= self._outage_s:
            raise BusError(f"no answer for {self._outage_s:g} s: {error}") from error
        await asyncio.sleep(self._wait_s)
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)


async def connect(address: Address, hear: Hear, lost: Callable[[], None]) -> Wire:
    """Raises BusError with one line that says why not."""
    from redis.exceptions import AuthenticationError, RedisError, ResponseError

    connection = address.connection()
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except (RedisError, OSError) as error:
        with suppress(*broken()):
            await connection.disconnect(nowait=True)
        said = " ".join(str(error).split())
        if isinstance(error.__cause__ or error, AuthenticationError | ResponseError):
            raise BusError(
                f"{address.shown}: the server refuses; check user, password and database ({said})"
            ) from error
        raise BusError(
            f"{address.shown}: no Redis server answers ({said}); start one, or correct the bus url"
        ) from error
    return Wire(connection, hear, lost)


def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
    """Answers that nobody waits for are heard all the same, or the loop would complain."""
    answer.set_exception(error)
    answer.exception()
