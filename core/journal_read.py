"""Reading a journal: its entries in order, and what state it is in. A writer may be at work meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from core import codec
from core.disk import Disk, RealDisk
from core.errors import DataError
from core.journal_lines import Bad, Line, Segment, read_segment

SUFFIX: Final = ".ndjson"
SNAPSHOT: Final = "snapshot"
Found = list[tuple[str, Segment]]


class Entry(NamedTuple):
    """An entry and where it stands."""

    number: int
    kind: str
    ts_ns: int
    data: dict[str, Any]  # as it was appended, `k` and `t` included
    segment: str
    offset: int


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a journal that is not as it should be."""

    segment: str
    offset: int
    size: int
    reason: str

    def __str__(self) -> str:
        return f"{self.segment} at byte {self.offset}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Survey:
    """What state a journal is in. Times are those of the first and the last entry in it; None where it is empty."""

    folder: str
    segments: int
    entries: int
    first: int | None
    last: int | None
    first_ts_ns: int | None
    last_ts_ns: int | None
    kinds: dict[str, int]
    torn_bytes: int
    torn: tuple[Spot, ...]
    bad: tuple[Spot, ...]

    @classmethod
    def of(cls, folder: Path, found: Found) -> Self:
        lines = [line for _, segment in found for line in segment.lines]
        kinds = Counter(_decoded(line)["k"] for line in lines)
        return cls(
            folder=str(folder),
            segments=len(found),
            entries=len(lines),
            first=lines[0].number if lines else None,
            last=lines[-1].number if lines else None,
            first_ts_ns=_decoded(lines[0])["t"] if lines else None,
            last_ts_ns=_decoded(lines[-1])["t"] if lines else None,
            kinds=dict(sorted(kinds.items())),
            torn_bytes=sum(one.size for one in found[-1][1].torn) if found else 0,
            torn=tuple(_spot(name, one) for name, segment in found for one in segment.torn),
            bad=tuple(_spot(name, one) for name, segment in found for one in segment.bad),
        )

    @property
    def sound(self) -> bool:
        """Nothing is bad and nothing is torn."""
        return not self.bad and not self.torn


def survey(journal: Path | str, *, disk: Disk | None = None) -> Survey:
    """The state of a whole journal, or of one segment file. Raises DataError where there is none."""
    folder, names = _named(Path(journal), disk or RealDisk())
    return Survey.of(Path(journal), list(_segments(folder, names, disk or RealDisk())))


def read(
    journal: Path | str, *, lenient: bool = False, from_snapshot: bool = False, disk: Disk | None = None
) -> Iterator[Entry]:
    """The entries of a journal, or of one segment file, in order; what is torn at the end is left out.

    lenient: damage is left out too, instead of a DataError where it is reached.
    from_snapshot: from the newest snapshot on, where there is one.

    Raises DataError where there is no journal.
    """
    disk = disk or RealDisk()
    folder, names = _named(Path(journal), disk)
    found = since_snapshot(folder, disk) if from_snapshot and folder == Path(journal) else None
    for name, segment in found if found is not None else _segments(folder, names, disk):
        spoiled = segment.bad[0].offset if segment.bad and not lenient else None
        for line in segment.lines:
            if spoiled is not None and line.offset >= spoiled:
                break
            data = _decoded(line)
            yield Entry(line.number, data["k"], data["t"], data, name, line.offset)
        if spoiled is not None:
            raise DataError(f"{folder}: {_spot(name, segment.bad[0])}; `fillwright verify {folder}` lists all damage")


def first_damage(found: Found) -> Spot | None:
    """The first bad place."""
    return next((_spot(name, segment.bad[0]) for name, segment in found if segment.bad), None)


def since_snapshot(folder: Path, disk: Disk) -> Found:
    """The segments from the newest one on that begins with a snapshot; all where there is none."""
    names = segment_names(folder, disk)
    found: Found = []
    numbers = first_numbers(names)
    for index in range(len(names) - 1, -1, -1):
        segment = _read(folder, names, numbers, index, disk)
        found.append((names[index], segment))
        if segment.lines and segment.lines[0].number == numbers[index] and _is_snapshot(segment.lines[0]):
            break
    return found[::-1]


def segment_names(folder: Path, disk: Disk) -> list[str]:
    return [name for name in disk.names(folder) if name.endswith(SUFFIX) and name[: -len(SUFFIX)].isdigit()]


def first_numbers(names: Sequence[str]) -> list[int]:
    """The numbers of the first entries of segments."""
    return [int(name[: -len(SUFFIX)]) for name in names]


def _named(journal: Path, disk: Disk) -> tuple[Path, list[str]]:
    names = segment_names(journal, disk) if journal.suffix != SUFFIX else []
    if names:
        return journal, names
    if journal.suffix == SUFFIX and journal.name in segment_names(journal.parent, disk):
        return journal.parent, [journal.name]
    raise DataError(f"{journal} is no journal: name the folder in which a trader writes, such as var/live/journal")


def _segments(folder: Path, names: list[str], disk: Disk) -> Iterator[tuple[str, Segment]]:
    numbers = first_numbers(names)
    for index, name in enumerate(names):
        yield name, _read(folder, names, numbers, index, disk)


def _read(folder: Path, names: list[str], numbers: list[int], index: int, disk: Disk) -> Segment:
    """A segment; one that ends before the next one begins has a bad place at its end."""
    last = index + 1 == len(names)
    segment = read_segment(disk.read(folder / names[index]), numbers[index], last=last)
    if last:
        return segment
    after = segment.lines[-1].number + 1 if segment.lines else numbers[index]
    if after != numbers[index + 1] and not (segment.bad and segment.bad[-1].offset >= _end(segment)):
        missing = Bad(segment.good_size, 0, after, f"entries {after} to {numbers[index + 1] - 1} are missing")
        segment.bad.append(missing)
    return segment


def _end(segment: Segment) -> int:
    return segment.lines[-1].offset if segment.lines else 0


def _is_snapshot(line: Line) -> bool:
    return SNAPSHOT.encode() in line.body and _decoded(line)["k"] == SNAPSHOT


def _decoded(line: Line) -> dict[str, Any]:
    """The entry as it was appended. Its checksum agrees, so it is what a journal wrote."""
    data: dict[str, Any] = codec.from_json(line.body)
    del data["n"], data["b"]
    return data


def _spot(name: str, bad: Bad) -> Spot:
    return Spot(name, bad.offset, bad.size, bad.reason)
