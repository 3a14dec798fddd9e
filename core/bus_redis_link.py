"""Connections to a Redis server that come back after they broke.

`Link` carries commands that nobody has to wait for one by one: they go out in order, as many at a time as there are,
and answers come back in the same order. What was on its way when the connection broke is sent again on the next one, in
the form that is safe to be sent twice. `BlockingLink` asks one thing at a time, such as a read that waits for messages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from core.errors import ConfigError, FillwrightError

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

Command = tuple[str | bytes | int, ...]
FIRST_WAIT_S: Final = 0.02
LONGEST_WAIT_S: Final = 1.0
SCHEMES: Final = ("redis://", "rediss://", "unix://")
CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
LEAVE_S: Final = 1.0
FLUSH_LOOK_S: Final = 0.002
AT_ONCE: Final = 512  # commands in one packet


class BusError(FillwrightError):
    """The server of the bus is not there, refuses, or has lost something."""


class Address:
    """Where the server is, and how to get there."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for a URL that is none, or where the redis package is not installed."""
        try:
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


class _Request:
    __slots__ = ("again", "answer", "command")

    def __init__(self, command: Command, again: Command | None, answer: asyncio.Future[Any]) -> None:
        self.command = command
        self.again = again
        self.answer = answer


class Link:
    """Commands in order on one connection, over and over. `open` first, `close` at the end."""

    def __init__(self, address: Address, outage_s: float) -> None:
        """outage_s: how long the server may be away before those who wait for an answer get a BusError."""
        self._address = address
        self._outage_s = outage_s
        self._queue: deque[_Request] = deque()
        self._on_its_way: deque[_Request] = deque()
        self._has_work = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._closed = False
        self._connected = False
        self.reconnects = 0

    async def open(self) -> None:
        """Connects. Raises BusError where that cannot be done now."""
        connection = self._address.connection()
        await connect(connection, self._address)
        self._running = asyncio.create_task(self._run(connection))

    def send(self, *command: str | bytes | int, again: Command | None = None) -> asyncio.Future[Any]:
        """The answer to come. `again` is what to send where nobody knows whether `command` has arrived.

        The future raises redis' ResponseError where the server refuses the command, BusError where it stays away.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(BusError(f"{self._address.shown}: the bus is closed"))
        else:
            self._queue.append(_Request(command, again, answer))
            self._has_work.set()
        answer.add_done_callback(_heard)
        return answer

    async def close(self) -> None:
        """Ends the connection once everything has its answer, or after a second; the rest never gets one."""
        self._closed = True
        deadline = asyncio.get_running_loop().time() + LEAVE_S
        while self._connected and (self._queue or self._on_its_way) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(FLUSH_LOOK_S)
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        self._give_up("the bus is closed")

    async def _run(self, connection: AbstractConnection) -> None:
        try:
            while True:
                reading = asyncio.create_task(self._read(connection))
                writing = asyncio.create_task(self._write(connection))
                self._connected = True
                try:
                    await self._until_broken(reading, writing)
                finally:
                    self._connected = False
                    for task in (reading, writing):
                        task.cancel()
                    await asyncio.gather(reading, writing, return_exceptions=True)
                await drop(connection)
                self._queue.extendleft(
                    _Request(one.again or one.command, one.again, one.answer) for one in reversed(self._on_its_way)
                )
                self._on_its_way.clear()
                self._has_work.set()
                connection = await self._again()
                self.reconnects += 1
        finally:
            await drop(connection, patience_s=LEAVE_S)

    async def _until_broken(self, *tasks: asyncio.Task[None]) -> None:
        """Until a task ends, or a command has had no answer for so long that there will be none."""
        oldest: _Request | None = None
        while not (await asyncio.wait(tasks, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED))[0]:
            before, oldest = oldest, next(iter(self._on_its_way), None)
            if oldest is not None and oldest is before:
                return

    async def _again(self) -> AbstractConnection:
        """A new connection, however long that takes; who has waited for too long meanwhile is told."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._outage_s
        wait_s = FIRST_WAIT_S
        while True:
            connection = self._address.connection()
            try:
                await connect(connection, self._address)
            except BusError as error:
                if loop.time() >= deadline:
                    self._give_up(f"no answer for {self._outage_s:g} s: {error}")
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            else:
                return connection

    async def _write(self, connection: AbstractConnection) -> None:
        with suppress(*broken()):
            while True:
                await self._has_work.wait()
                self._has_work.clear()
                while self._queue:
                    batch = [self._queue.popleft() for _ in range(min(len(self._queue), AT_ONCE))]
                    self._on_its_way.extend(batch)
                    packed = connection.pack_commands([one.command for one in batch])
                    await connection.send_packed_command(packed, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        from redis.exceptions import ResponseError

        with suppress(*broken()):
            while True:
                refused: ResponseError | None = None
                answer = None
                try:
                    answer = await connection.read_response(disconnect_on_error=False)
                except ResponseError as error:
                    refused = error
                request = self._on_its_way.popleft()
                if request.answer.done():
                    continue
                if refused is not None:
                    request.answer.set_exception(refused)
                else:
                    request.answer.set_result(answer)

    def _give_up(self, reason: str) -> None:
        for request in (*self._on_its_way, *self._queue):
            if not request.answer.done():
                request.answer.set_exception(BusError(f"{self._address.shown}: {reason}"))
        self._on_its_way.clear()
        self._queue.clear()


class BlockingLink:
    """One question at a time, over and over."""

    def __init__(self, address: Address, outage_s: float) -> None:
        self._address = address
        self._outage_s = outage_s
        self._connection: AbstractConnection | None = None
        self._away_since: float | None = None
        self._wait_s = FIRST_WAIT_S

    async def ask(self, *commands: Command, within_s: float) -> list[Any] | None:
        """The answers, with refusals as exceptions among them; None where the connection broke: look anew, ask again.

        Raises BusError once the server has been away for `outage_s`.
        """
        try:
            if self._connection is None:
                connection = self._address.connection()
                await connect(connection, self._address)
                self._connection = connection
            answers = await _exchange(self._connection, commands, within_s)
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
        return answers

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await drop(connection, patience_s=LEAVE_S)

    async def _away(self, error: BusError) -> None:
        now = asyncio.get_running_loop().time()
        self._away_since = now if self._away_since is None else self._away_since
        if now - self._away_since >= self._outage_s:
            raise BusError(f"no answer for {self._outage_s:g} s: {error}") from error
        await asyncio.sleep(self._wait_s)
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)


async def connect(connection: AbstractConnection, address: Address) -> None:
    """Raises BusError with one line that says why not."""
    from redis.exceptions import AuthenticationError, RedisError, ResponseError

    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except (RedisError, OSError) as error:
        await drop(connection)
        said = " ".join(str(error).split())
        if isinstance(error.__cause__ or error, AuthenticationError | ResponseError):
            raise BusError(
                f"{address.shown}: the server refuses; check user, password and database ({said})"
            ) from error
        raise BusError(
            f"{address.shown}: no Redis server answers ({said}); start one, or correct the bus url"
        ) from error


async def drop(connection: AbstractConnection, *, patience_s: float = 0.0) -> None:
    """Ends a connection; with patience, what was written may still leave."""
    with suppress(*broken()):
        async with asyncio.timeout(patience_s or None):
            await connection.disconnect(nowait=not patience_s)


async def _exchange(connection: AbstractConnection, commands: Sequence[Command], within_s: float) -> list[Any]:
    from redis.exceptions import ResponseError

    answers: list[Any] = []
    async with asyncio.timeout(within_s):
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        for _ in commands:
            try:
                answers.append(await connection.read_response(disconnect_on_error=False))
            except ResponseError as error:
                answers.append(error)
    return answers


def _heard(answer: asyncio.Future[Any]) -> None:
    """Answers that nobody waits for are heard all the same, or the loop would complain."""
    if not answer.cancelled():
        answer.exception()
