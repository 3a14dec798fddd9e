"""The file system as the journal sees it: few operations, each of which a simulation can let fail.

`RealDisk` is the machine's; `core.disk_simulated.SimulatedDisk` loses, tears, fills up and crashes on demand.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol


class AppendFile(Protocol):
    """A file that only grows."""

    def write(self, data: bytes) -> None:
        """All of `data` at the end of the file, or OSError; what was written before the error may be there."""
        ...

    def sync(self) -> None:
        """Returns once everything written survives a power cut. OSError: nobody knows what would survive."""
        ...

    def close(self) -> None: ...


class Lock(Protocol):
    """Held by one process at a time; the operating system frees it when that process dies."""

    def release(self) -> None: ...


class Disk(Protocol):
    """Folders of files that are appended to, and read whole."""

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, sorted; none where there is no folder."""
        ...

    def read(self, path: Path) -> bytes: ...

    def make_folder(self, folder: Path) -> None:
        """A folder, with those above it, that survives a power cut."""
        ...

    def append_to(self, path: Path) -> AppendFile:
        """The file, made where it is absent; its name survives a power cut once `sync_folder` has returned."""
        ...

    def truncate(self, path: Path, size: int) -> None:
        """Cut off what is behind `size`, durably."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Names in the folder survive a power cut."""
        ...

    def lock(self, path: Path) -> Lock | None:
        """The lock; None where another holds it."""
        ...


class RealDisk:
    """The machine's files."""

    def names(self, folder: Path) -> list[str]:
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted, not paths
        except FileNotFoundError:
            return []

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            self.sync_folder(new.parent)

    def append_to(self, path: Path) -> AppendFile:
        return _RealFile(path)

    def truncate(self, path: Path, size: int) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(handle, size)
            os.fsync(handle)
        finally:
            os.close(handle)

    def sync_folder(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def lock(self, path: Path) -> Lock | None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        return _RealLock(handle)


class _RealFile:
    """Unbuffered: what was written survives a killed process, what was synced also a power cut."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, data: bytes) -> None:
        written = os.write(self._handle, data)
        while written < len(data):  # a nearly full disk or a signal
            written += os.write(self._handle, data[written:])

    def sync(self) -> None:
        os.fdatasync(self._handle)

    def close(self) -> None:
        os.close(self._handle)


class _RealLock:
    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        os.close(self._handle)
