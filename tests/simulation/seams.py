"""Where the simulated process touches the world: a disk and a kill switch that let it die, and fail, as told."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.disk_simulated import Crashed, SimulatedDisk
from risk.kill import KillStatus


class Mortality:
    """Counts the places at which a process may die; at the chosen one it does."""

    def __init__(self) -> None:
        self.passed = 0
        self.dies_at: int | None = None

    def born(self, dies_at: int | None) -> None:
        self.passed, self.dies_at = 0, dies_at

    def is_next(self) -> bool:
        """Whether this is the place; the caller dies in its own way."""
        self.passed += 1
        return self.passed == self.dies_at

    def here(self) -> None:
        if self.is_next():
            raise Crashed


class MortalDisk(SimulatedDisk):
    """A disk on which every write may be the last: cut short, or whole and nothing after it."""

    def __init__(self, draw: Callable[[int], int], mortality: Mortality) -> None:
        super().__init__(draw)
        self._mortality = mortality

    def copied(self, mortality: Mortality) -> MortalDisk:
        """Another disk with the same files, as they are now, on which nobody holds a lock."""
        other = MortalDisk(self.draw, mortality)
        for path, file in self._files.items():
            other.write(path, bytes(file.data))
        return other

    def append(self, path: Path, data: bytes, life: int) -> None:
        if self._mortality.is_next():
            self.crash_at = self.operations + 1
        super().append(path, data, life)
        self._mortality.here()

    def sync(self, path: Path, life: int) -> None:
        if self._mortality.is_next():
            self.crash_at = self.operations + 1
        super().sync(path, life)
        self._mortality.here()


@dataclass
class KillStore:
    """The switch's file: it outlives processes and power cuts, and it may fail to be read or written."""

    on: bool = False
    fails: bool = False


class SimulatedSwitch:
    """`risk.kill.KillSwitch` of one process on a simulated file."""

    def __init__(self, store: KillStore, mortality: Mortality) -> None:
        self._store = store
        self._mortality = mortality
        self._latched = False

    def tripped(self) -> bool:
        return self._latched or self._store.on

    def status(self) -> KillStatus:
        return KillStatus(self.tripped())

    def trip(self, by: str, reason: str, ts_ns: int) -> KillStatus:
        self._latched = True
        self._mortality.here()
        if self._store.fails:
            raise OSError(errno.EROFS, "Read-only file system")
        self._store.on = True
        self._latched = False
        self._mortality.here()
        return self.status()

    def clear(self, by: str, reason: str, ts_ns: int) -> None:
        if not self.tripped():
            raise ValueError("the kill switch is not tripped")
        self._store.on = self._latched = False
        self._mortality.here()
