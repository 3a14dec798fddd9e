"""What a journal's bytes mean: lines with a checksum, segments of lines, and what is wrong with them.

A line is `{"c":CRC,"e":{"n":17,"b":15,...}}` and a newline. CRC is the CRC-32 of the exact bytes of `e`'s JSON. `n`
counts the entries of the whole journal from 1, without gaps; `b` is the first entry that was not known to be safe on
disk when this one was written, which helps to tell a power cut from damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple
from zlib import crc32

HEAD: Final = b'{"c":'
MIDDLE: Final = b',"e":'
MOST_DIGITS: Final = 10


class Line(NamedTuple):
    """A good line of a segment."""

    number: int  # its number, n
    batch: int  # b
    offset: int  # where it begins in the segment
    body: bytes  # the JSON of e


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes that are no entry, or a place where entries are missing."""

    offset: int
    size: int
    number: int  # of the entry that should be there
    reason: str


class Segment(NamedTuple):
    """What is in a segment."""

    lines: list[Line]
    bad: list[Bad]  # with good lines behind them, or in a segment that is not the last one
    torn: list[Bad]  # at the end, never known to be safe on disk: a write that a crash cut short
    good_size: int  # bytes in front of the torn ones


def line_of(body: bytes) -> bytes:
    return b'{"c":%d,"e":%b}\n' % (crc32(body), body)


def body_of(line: bytes) -> bytes | None:
    """The JSON of `e`, where this is exactly what `line_of` makes without its newline; None where a bit is wrong."""
    middle = line.find(MIDDLE, len(HEAD), len(HEAD) + MOST_DIGITS + len(MIDDLE))
    if middle < 0 or not line.startswith(HEAD) or not line.endswith(b"}"):
        return None
    body = line[middle + len(MIDDLE) : -1]
    return body if line[len(HEAD) : middle] == b"%d" % crc32(body) else None


def numbers_of(body: bytes) -> tuple[int, int] | None:
    """n and b from the front of `e`, without reading the rest."""
    first = body.find(b",")
    second = body.find(b",", first + 1)
    number, batch = body[5:first], body[first + 5 : second]
    if not (body.startswith(b'{"n":') and body[first:].startswith(b',"b":') and number.isdigit() and batch.isdigit()):
        return None
    return int(number), int(batch)


def read_segment(data: bytes, first: int, *, last: bool) -> Segment:
    """The lines of a segment whose first entry should be number `first`; `last`: no segment follows it."""
    lines: list[Line] = []
    bad: list[Bad] = []
    expected = first
    behind_bad = False
    for offset, line, whole in _split(data):
        found = _checked(line, offset) if whole else "it has no end"
        if isinstance(found, Line) and found.number < expected:
            found = f"entry {found.number} comes after entry {expected - 1}"
        if isinstance(found, str):
            bad.append(Bad(offset, len(line) + whole, expected, found))
            behind_bad = True
            continue
        if found.number > expected and not behind_bad:
            bad.append(Bad(offset, 0, expected, f"entries {expected} to {found.number - 1} are missing before it"))
        lines.append(found)
        expected, behind_bad = found.number + 1, False
    torn_from = _torn_from(data, lines, bad) if last else len(data)
    return Segment(
        [line for line in lines if line.offset < torn_from],
        [one for one in bad if one.offset < torn_from],
        [one for one in bad if one.offset >= torn_from],
        torn_from,
    )


def _split(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Offset, line without its newline, whether it has one."""
    offset = 0
    while offset < len(data):
        end = data.find(b"\n", offset)
        if end < 0:
            yield offset, data[offset:], False
            return
        yield offset, data[offset:end], True
        offset = end + 1


def _checked(line: bytes, offset: int) -> Line | str:
    body = body_of(line)
    if body is None:
        return "it does not agree with its checksum"
    numbers = numbers_of(body)
    return "it has no number" if numbers is None else Line(*numbers, offset, body)


def _torn_from(data: bytes, lines: list[Line], bad: list[Bad]) -> int:
    """Where the part begins that a crash may have left half written, or the size where there is none.

    Nothing good is behind it; or a power cut has lost an earlier page of one unsynced batch and kept a later one. The
    lost page reads as zeros, which no line contains, and every good line behind it says that it was of that batch.
    """
    torn, batch, index = len(data), 0, len(lines)
    for one in reversed(bad):
        while index and lines[index - 1].offset >= one.offset:
            index -= 1
            batch = max(batch, lines[index].batch)
        lost_page = b"\0" in data[one.offset : one.offset + one.size]
        if batch and not (lost_page and batch <= one.number):
            break
        torn = one.offset
    return torn
