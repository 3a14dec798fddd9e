"""Logs of FIX messages into messages: whatever stands before them, SOH or | between the fields, checksums checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from core.errors import ConfigError, DataError
from execution.foreign.records import Refusals, Refused

SOH: Final = b"\x01"
_BEGIN: Final = re.compile(rb"8=FIX(?:T)?\.\d")
_TAIL: Final = re.compile(rb"\x0110=(\d{3})(?:\x01|(?=\s|$))")
_VISIBLE: Final = (b"^A", b"\\x01", b"|", b"\xe2\x90\x81")  # how logs print SOH


class Message(NamedTuple):
    """One message and where it stands."""

    where: str
    fields: Any  # simplefix.FixMessage

    def text(self, tag: int, nth: int = 1) -> str | None:
        """The value of a field, or None; `nth` counts repeated ones from 1."""
        value = self.fields.get(tag, nth)
        return None if value is None else str(value.decode("utf-8", "replace")).strip() or None


def read_messages(path: Path, refusals: Refusals, *, checksum: bool = True) -> Iterator[Message]:
    """The messages of a log, in its order. Lines without one are passed over.

    Raises DataError where the file holds no message, and for a message that is cut off or whose checksum (tag 10) is
    wrong, with the line; ConfigError where simplefix is not installed.
    """
    simplefix = _simplefix()
    if not path.is_file():
        raise DataError(f"{path} does not exist, or is not a file")
    found = False
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            for raw in _split(line):
                found = True
                try:
                    yield _message(simplefix, f"{path.name}, line {number}", raw, refusals, checksum)
                except Refused:
                    continue
    if not found:
        raise DataError(
            f"{path} holds no FIX message: one begins with 8=FIX, each on a line, SOH or | between its fields"
        )


def _simplefix() -> Any:
    try:
        import simplefix  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ConfigError(
            "FIX messages are read with simplefix, which is not installed: pip install 'fillwright[fix]'"
        ) from (error)
    return simplefix


def _split(line: bytes) -> Iterator[bytes]:
    """The messages of a line, each from its 8=FIX on, with SOH between the fields."""
    starts = [match.start() for match in _BEGIN.finditer(line)]
    for start, end in pairwise([*starts, len(line)]):
        raw = line[start:end].rstrip(b"\r\n")
        if SOH not in raw:
            separator = next((word for word in _VISIBLE if word + b"9=" in raw), b"|")
            raw = raw.replace(separator, SOH)
        yield raw


def _message(simplefix: Any, where: str, raw: bytes, refusals: Refusals, checksum: bool) -> Message:
    tail = None
    for tail in _TAIL.finditer(raw):  # noqa: B007 - the last one: text fields may look like it
        pass
    if tail is None:
        raise refusals.refuse(
            where, "the message has no checksum (tag 10) at its end", "it is cut off, or not all fields have the same "
            "separator", reason="message cut off",
        )  # fmt: skip
    summed = sum(raw[: tail.start() + 1]) % 256
    if checksum and summed != int(tail[1]):
        raise refusals.refuse(
            where, f"the checksum (tag 10) is {tail[1].decode()}, but the message adds up to {summed:03d}",
            "it was changed or cut since it was sent; where that is known and harmless, say --no-checksum",
            reason="wrong checksum",
        )  # fmt: skip
    parser = simplefix.FixParser(allow_empty_values=True)
    parser.append_buffer(raw[: tail.end()].rstrip(SOH) + SOH)
    try:
        message = parser.get_message()
    except simplefix.errors.ParsingError as error:
        raise refusals.refuse(
            where, f"the message cannot be read ({error})", "a field is tag=value", reason="unreadable"
        ) from (error)
    if message is None:
        raise refusals.refuse(where, "the message cannot be read", "a field is tag=value", reason="unreadable")
    return Message(where, message)
