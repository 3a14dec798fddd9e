"""A real redis-server for tests, on a unix socket in a folder of its own; it can be killed and started again.

    from tests.redis_server import RedisServer, redis_server  # noqa: F401 - a fixture

    def test_something(redis_server: RedisServer) -> None: ...

Where redis-server is not installed, these tests are skipped; in CI they fail.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = shutil.which("redis-server")
START_WITHIN_S = 120.0  # a slow machine under load
_PREFIXES = itertools.count()


class RedisServer:
    """A server that keeps everything it has answered for (`appendfsync always`), unless told otherwise."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        if PROGRAM is None:
            if os.environ.get("CI"):
                pytest.fail("CI must have redis-server (Debian package redis-server)")
            pytest.skip("redis-server is not installed: the bus between processes is NOT tested")
        command = [
            PROGRAM, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", "--logfile", str(self.folder / "log"), *self._settings,
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        import redis

        with redis.Redis.from_url(self.url) as client:
            for _ in range(round(START_WITHIN_S / 0.01)):
                try:
                    client.ping()
                except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
                    assert self._process.poll() is None, (self.folder / "log").read_text()
                    time.sleep(0.01)
                else:
                    return
        raise TimeoutError(f"{self.url} does not answer: {(self.folder / 'log').read_text()}")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def prefix(self) -> str:
        """Keys of its own for each test."""
        return f"test{next(_PREFIXES)}"


def running(*settings: str) -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="redis", dir="/tmp"))  # short: a socket's path has at most 107 letters
    server = RedisServer(folder, *settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """One server for a module; ask it for a `prefix()`."""
    yield from running()


@pytest.fixture
def own_redis_server() -> Iterator[RedisServer]:
    """A server for one test, which may kill it."""
    yield from running()
