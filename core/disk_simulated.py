"""A disk in memory that fails as disks do: it fills up, refuses, loses what was not synced, and crashes between any two
operations or in the middle of one. What happens is a function of the draws that it is given."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Draw = Callable[[int], int]
PAGE = 512  # small, so that short files have several


class Crashed(BaseException):
    """The process died here. Not an Exception: nobody may handle it and go on."""


@dataclass(slots=True)
class _File:
    data: bytearray = field(default_factory=bytearray)
    safe: int = 0  # bytes that survive a power cut
    named: bool = False  # its name survives one


class SimulatedDisk:
    """`core.disk.Disk` in memory.

    draw       draw(n) gives an integer in [0, n): how much of a torn write arrives, what a power cut takes
    capacity   bytes in all; a write that does not fit writes what fits and raises
    crash_at   the number of the operation in which the process dies, counted from 1 in `operations`
    errors     operation number -> errno: that operation is refused, a write perhaps half done

    Operations are those that change something: making a file, writing, syncing, cutting off.
    """

    def __init__(
        self,
        draw: Draw = lambda _n: 0,
        *,
        capacity: int | None = None,
        crash_at: int | None = None,
        errors: dict[int, int] | None = None,
    ) -> None:
        self.draw = draw
        self.capacity = capacity
        self.crash_at = crash_at
        self.errors = dict(errors or {})
        self.operations = 0
        self._files: dict[Path, _File] = {}
        self._locked: set[Path] = set()
        self._life = 0

    # ---- what tests and simulations do to it

    def restart(self, *, power_cut: bool) -> None:
        """A new process: locks are free, and after a power cut what was not synced is gone, whole or in part.

        Of the unsynced bytes a beginning of any length is left, with pages of zeros in it where a later page was
        written before an earlier one; a file whose folder was not synced may be gone altogether.
        """
        self._life += 1
        self._locked.clear()
        self.crash_at = None
        if not power_cut:
            return
        for path, file in list(self._files.items()):
            if not file.named and self.draw(2):
                del self._files[path]
                continue
            del file.data[file.safe + self.draw(len(file.data) - file.safe + 1) :]
            for start in range(file.safe, len(file.data), PAGE):
                page = slice(start, min(start // PAGE * PAGE + PAGE, len(file.data)))
                if self.draw(4) == 3:
                    file.data[page] = bytes(page.stop - page.start)
            file.safe, file.named = len(file.data), True

    def flip(self, path: Path, bit: int) -> None:
        """Turns one bit of a file over."""
        self._files[path].data[bit // 8] ^= 1 << bit % 8

    def write(self, path: Path, data: bytes) -> None:
        """A file with this content, as if it had always been there."""
        self._files[path] = _File(bytearray(data), len(data), True)

    # ---- Disk

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in self._files if path.parent == folder)

    def read(self, path: Path) -> bytes:
        return bytes(self._file(path).data)

    def make_folder(self, folder: Path) -> None:
        """Folders are free."""

    def append_to(self, path: Path) -> _SimulatedFile:
        if path not in self._files:
            self._operation(self._life)
            self._files[path] = _File()
        return _SimulatedFile(self, path, self._life)

    def truncate(self, path: Path, size: int) -> None:
        self._operation(self._life)
        file = self._file(path)
        del file.data[size:]
        file.safe = len(file.data)

    def sync_folder(self, folder: Path) -> None:
        self._operation(self._life)
        for path, file in self._files.items():
            file.named = file.named or path.parent == folder

    def lock(self, path: Path) -> _SimulatedLock | None:
        if path in self._locked:
            return None
        self._locked.add(path)
        return _SimulatedLock(self._locked, path)

    # ---- inside

    def append(self, path: Path, data: bytes, life: int) -> None:
        file = self._file(path)
        try:
            self._operation(life)
        except (OSError, Crashed):
            file.data += data[: self.draw(len(data) + 1)] if life == self._life else b""
            raise
        room = (
            len(data) if self.capacity is None else self.capacity - sum(len(one.data) for one in self._files.values())
        )
        file.data += data[: max(0, room)]
        if room < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def sync(self, path: Path, life: int) -> None:
        self._operation(life)
        file = self._file(path)
        file.safe = len(file.data)

    def _operation(self, life: int) -> None:
        """Counts; raises Crashed for good from `crash_at` on, and for what a dead process still holds in its hands."""
        if life != self._life:
            raise Crashed
        self.operations += 1
        if self.crash_at is not None and self.operations >= self.crash_at:
            raise Crashed
        code = self.errors.get(self.operations)
        if code is not None:
            raise OSError(code, errno.errorcode[code])

    def _file(self, path: Path) -> _File:
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return self._files[path]


class _SimulatedFile:
    def __init__(self, disk: SimulatedDisk, path: Path, life: int) -> None:
        self._disk, self._path, self._life = disk, path, life

    def write(self, data: bytes) -> None:
        self._disk.append(self._path, data, self._life)

    def sync(self) -> None:
        self._disk.sync(self._path, self._life)

    def close(self) -> None:
        """Changes nothing on disk."""


class _SimulatedLock:
    def __init__(self, locked: set[Path], path: Path) -> None:
        self._locked, self._path = locked, path

    def release(self) -> None:
        self._locked.discard(self._path)
