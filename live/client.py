"""Asking a running trader, from another process."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from core import codec
from core.errors import FillwrightError
from live.socket_path import short


class NoTraderError(FillwrightError):
    """Nobody answers at the socket."""


def ask(path: Path, request: dict[str, Any], *, timeout_s: float = 10.0) -> dict[str, Any]:
    """The answer to one request.

    Raises NoTraderError where no trader answers, FillwrightError with the trader's words where it refuses.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        try:
            line.connect(short(path))
            line.sendall(codec.to_json(request) + b"\n")
            with line.makefile("rb") as replies:
                reply = replies.readline()
        except OSError as error:
            why = error.strerror or str(error)
            raise NoTraderError(
                f"no trader answers at {path} ({why}): `fillwright trade` starts one; --folder says where it writes"
            ) from error
    if not reply:
        raise NoTraderError(
            f"the trader at {path} ended before it answered: ask again once it is back, with the same id"
        )
    answer: dict[str, Any] = codec.from_json(reply)
    if not answer.pop("ok", False):
        raise FillwrightError(str(answer.get("error", "the trader refused without a word")))
    return answer
