"""The journal: what happened, in order, on disk before anybody outside learns of it.

A journal is a folder of segments, NDJSON files named by the number of their first entry; `core/journal_lines.py` has
the format of a line. An entry is a dictionary with `k`, its kind, and `t`, when it was written in nanoseconds; the
kinds are their writer's, but for `snapshot`, which is known here: it holds all that the entries before it amount to,
begins a segment, and recovery starts at the newest one. A contract in an entry is written as its dictionary.

What holds, whatever happens:

- Entries are numbered from 1 without gaps; a number is given once.
- `append` hands the line to the operating system: it survives a killed process. After `sync` it survives a power cut.
  Within `with journal.together()` both hold at the block's end, or at a `sync` in it, for all lines of the block.
- A write or sync that fails ends the writing: every later append raises, as nobody knows what is on disk.
- One writer at a time, by a lock that the operating system frees when its holder dies.
- What a crash left half written at the end is cut off when the journal is opened to write, counted in `cut`, and kept
  in a `.torn` file. Damage anywhere else refuses the opening: nobody may trade on a history with holes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NoReturn, Self, get_args

from core import codec
from core.disk import AppendFile, Disk, Lock, RealDisk
from core.errors import FillwrightError, nearest
from core.journal_lines import Segment, line_of
from core.journal_read import SNAPSHOT, SUFFIX, first_damage, first_numbers, since_snapshot

Fsync = Literal["always", "on_sync", "never"]
SEGMENT_BYTES: Final = 64 << 20


class JournalError(FillwrightError):
    """The journal cannot be written, or what it says cannot be trusted."""


class Journal:
    """A journal opened to write; the module says what holds.

    fsync: "always" makes each append durable before it returns, "on_sync" (live) makes `sync` do that for all appends
    since the last one, "never" leaves it to the operating system (replays, simulations without power cuts).
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        fsync: Fsync = "on_sync",
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> None:
        """Opens the journal, or makes an empty one.

        Raises JournalError where another process writes it, where it is damaged, and where the disk refuses.
        """
        if fsync not in get_args(Fsync):
            raise ValueError(f"fsync is {fsync!r}: {nearest(str(fsync), get_args(Fsync))}")
        if segment_bytes < 1:
            raise ValueError(f"segment_bytes must be at least 1, was {segment_bytes}")
        self.folder = Path(folder)
        self.cut = 0  # bytes cut off when it was opened
        self._disk = disk if disk is not None else RealDisk()
        self._fsync = fsync
        self._segment_bytes = segment_bytes
        self._ended: str | None = None
        self._file: AppendFile | None = None
        self._lock: Lock | None = None
        self._next = self._first_unsynced = 1  # as long as it is not open
        self._holds = False  # in a block of `together`
        self._held: list[bytes] = []  # its numbered lines
        try:
            self._open()
        except OSError as error:
            self._let_go()
            raise JournalError(f"{self.folder}: the journal cannot be opened: {_said(error)}") from error
        except BaseException:
            self._let_go()
            raise

    @property
    def last(self) -> int:
        """The number of the newest entry; 0 where there is none."""
        return self._next - 1

    @property
    def unsynced(self) -> int:
        """Entries that a power cut may take."""
        return self._next - self._first_unsynced

    def append(self, entry: Mapping[str, Any]) -> int:
        """Writes an entry and returns its number.

        Raises ValueError for an entry without `k` and `t` or with `n` or `b`, TypeError for what is not JSON, and
        JournalError where the disk refuses, now or before.
        """
        if self._ended is not None:
            self._refuse()
        line = line_of(self._body(entry))
        try:
            if self._size >= self._segment_bytes and not self._held:
                self._begin_segment()
            if self._holds:
                self._held.append(line)
                self._next += 1
            else:
                self._write(line, 1)
        except OSError as error:
            self._fail("written", error)
        except BaseException:
            self._ended = "an append was interrupted"
            raise
        return self._next - 1

    def together(self) -> _Together:
        """A block whose lines are handed over in one write, and made durable at once where each append is.

        For things of which nobody outside learns before the block is over. One block at a time, not one in another.
        What was written in it is handed over however it ends: it has been acted on. Raises JournalError as `append`.
        """
        return _Together(self)

    def hold(self, holds: bool) -> None:
        """Begins or ends a block; `together` does both."""
        self._holds = holds
        if self._held and not holds:
            self._hand_over()

    def snapshot(self, entry: Mapping[str, Any]) -> int:
        """Writes an entry of kind `snapshot` at the head of a new segment, durably; recovery needs nothing before."""
        if entry.get("k") != SNAPSHOT:
            raise ValueError(f"k of a snapshot must be {SNAPSHOT!r}, was {entry.get('k')!r}")
        if self._ended is not None:
            self._refuse()
        self._body(entry)  # what is not JSON is refused before a segment begins
        self._hand_over()
        try:
            if self._size:
                self._begin_segment()
        except OSError as error:
            self._fail("written", error)
        except BaseException:
            self._ended = "a new segment was interrupted"
            raise
        number = self.append(entry)
        self.sync()
        return number

    def sync(self) -> None:
        """Returns once all entries survive a power cut; at once with fsync="never". Raises JournalError."""
        if self._ended is not None:
            self._refuse()
        if self._held:
            self._hand_over()
        if self._fsync == "never" or self._first_unsynced == self._next:
            return
        try:
            assert self._file is not None
            self._file.sync()
        except OSError as error:
            self._fail("made durable", error)
        except BaseException:
            self._ended = "a sync was interrupted"
            raise
        self._first_unsynced = self._next

    def _hand_over(self) -> None:
        """What a block holds so far goes to the operating system. Raises JournalError where the disk refuses."""
        if not self._held or self._ended is not None:
            return
        held, self._held = self._held, []
        self._next -= len(held)
        try:
            self._write(b"".join(held), len(held))
        except OSError as error:
            self._fail("written", error)
        except BaseException:
            self._ended = "an append was interrupted"
            raise

    def close(self) -> None:
        """Makes durable what is not, and frees the journal for another writer; after a failure it only frees it."""
        try:
            self._hand_over()
            if self._ended is None and self._file is not None and self._first_unsynced < self._next:
                self._file.sync()
        except OSError as error:
            self._fail("made durable", error)
        finally:
            if self._ended is None:
                self._ended = "it is closed"
            self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ---- opening

    def _open(self) -> None:
        self._disk.make_folder(self.folder)
        self._lock = self._disk.lock(self.folder / "lock")
        if self._lock is None:
            raise JournalError(f"{self.folder}: another process writes this journal; stop it first")
        found = since_snapshot(self.folder, self._disk)
        if damage := first_damage(found):
            raise JournalError(
                f"{self.folder}: the journal is damaged, {damage}; nothing is written to it. `fillwright verify` lists "
                "what is wrong: restore it from a copy, or move it away and make sure at the venue what is open"
            )
        if found:
            name, segment = found[-1]
            self._cut(name, segment)
            self._next = segment.lines[-1].number + 1 if segment.lines else first_numbers([name])[0]
            self._size = segment.good_size
        else:
            name, self._next, self._size = f"{1:020d}{SUFFIX}", 1, 0
        self._file = self._disk.append_to(self.folder / name)
        self._file.sync()  # what is about to be believed must not vanish in the next power cut
        self._disk.sync_folder(self.folder)
        self._first_unsynced = self._next

    def _cut(self, name: str, segment: Segment) -> None:
        """The torn end goes to a file of its own first; cut short by a crash, this happens again."""
        data = self._disk.read(self.folder / name)
        torn = data[segment.good_size :]
        if not torn:
            return
        aside, count = self.folder / f"{name}.{segment.good_size}.torn", 1
        while aside.name in self._disk.names(self.folder) and self._disk.read(aside) != torn:
            count += 1
            aside = self.folder / f"{name}.{segment.good_size}-{count}.torn"
        if aside.name not in self._disk.names(self.folder):
            kept = self._disk.append_to(aside)
            try:
                kept.write(torn)
                kept.sync()
            finally:
                kept.close()
            self._disk.sync_folder(self.folder)
        self._disk.truncate(self.folder / name, segment.good_size)
        self.cut = len(torn)

    # ---- writing

    def _body(self, entry: Mapping[str, Any]) -> bytes:
        get = entry.get
        if type(get("k")) is not str or type(get("t")) is not int or "n" in entry or "b" in entry:  # those are ours
            raise ValueError(f"an entry has a word k, nanoseconds t, and neither n nor b, was {dict(entry)!r:.200}")
        try:
            data = codec.to_json(entry)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TypeError(f"an entry of kind {entry['k']} must be JSON: {error}") from error
        batch = self._next if self._fsync == "never" else self._first_unsynced
        return b'{"n":%d,"b":%d,%b' % (self._next, batch, data[1:])

    def _write(self, data: bytes, count: int) -> None:
        """Lines of so many entries; they count once they are there."""
        assert self._file is not None
        self._file.write(data)
        self._size += len(data)
        self._next += count
        if self._fsync == "always":
            self._file.sync()
            self._first_unsynced = self._next

    def _begin_segment(self) -> None:
        """What is in the old segment is durable before there is a new one: only the last one can be torn."""
        assert self._file is not None
        self._file.sync()
        self._file.close()
        self._file = None
        self._file = self._disk.append_to(self.folder / f"{self._next:020d}{SUFFIX}")
        self._disk.sync_folder(self.folder)
        self._size = 0

    def _fail(self, what: str, error: OSError) -> NoReturn:
        """Nobody knows what is on disk now: this writer is at its end."""
        self._ended = f"entry {self._next} could not be {what}: {_said(error)}"
        raise JournalError(f"{self.folder}: {self._ended}; nothing more is written, restart to recover") from error

    def _refuse(self) -> NoReturn:
        raise JournalError(f"{self.folder}: the journal takes no more entries: {self._ended}")

    def _let_go(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
        if self._lock is not None:
            lock, self._lock = self._lock, None
            lock.release()


class _Together:
    """The block of `Journal.together`."""

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __enter__(self) -> None:
        self._journal.hold(True)

    def __exit__(self, *_: object) -> None:
        self._journal.hold(False)


def _said(error: OSError) -> str:
    return error.strerror or str(error)
