"""Requests from other processes over a local unix socket: one JSON object a line, one answer a line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from core import codec
from core.errors import FillwrightError
from live.socket_path import short

MOST_BYTES: Final = 1 << 20  # of one request


class RequestServer:
    """Answers while it is open. Only this user's processes may ask: the file's mode is 0600."""

    def __init__(self, path: Path, answer: Callable[[object], dict[str, Any]]) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Raises FillwrightError where the socket cannot be made."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)  # of a trader that was killed; the journal's lock says there is no other
            self._server = await asyncio.start_unix_server(self._serve, short(self._path), limit=MOST_BYTES)
            self._path.chmod(0o600)
        except OSError as error:
            raise FillwrightError(f"{self._path}: no socket can be made there: {error.strerror or error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than the limit
                    writer.write(_line({"ok": False, "error": f"a request has at most {MOST_BYTES} bytes"}))
                    break
                if not line:
                    break
                writer.write(_line(self._answered(line)))
                await writer.drain()
        with suppress(ConnectionError):
            writer.close()

    def _answered(self, line: bytes) -> dict[str, Any]:
        try:
            asked = codec.from_json(line)
        except ValueError as error:
            return {"ok": False, "error": str(error)}
        return self._answer(asked)


def _line(answer: dict[str, Any]) -> bytes:
    return codec.to_json(answer) + b"\n"
