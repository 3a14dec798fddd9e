"""The kill switch: a file. While it is there, no new order passes any gate that watches it.

A file works across processes, survives a restart and can be made by hand (`touch var/kill`) when nothing else answers.
It fails closed: a switch that cannot be read counts as tripped. Beside it, `<file>.log` keeps who tripped and who
cleared it, when and why, one JSON object a line.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core import checks, codec
from core.folders import sync


@dataclass(frozen=True, slots=True)
class KillStatus:
    """Whether the switch is tripped and, as far as its file tells, by whom, why and when."""

    tripped: bool
    by: str | None = None
    reason: str | None = None
    ts_ns: int | None = None

    def __str__(self) -> str:
        return (
            f"tripped by {self.by or 'unknown'}: {self.reason or 'no reason given'}" if self.tripped else "not tripped"
        )


_CLEAR = KillStatus(False)


class KillSwitch:
    """Latched: only `clear`, with a name and a reason, re-arms it."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path).absolute()  # a later change of the working directory must not lose the switch
        self._name = os.fspath(self._path)
        self._latched: KillStatus | None = None  # holds when the file could not be written

    @property
    def path(self) -> Path:
        return self._path

    @property
    def log_path(self) -> Path:
        """Who tripped and who cleared it."""
        return self._path.with_name(self._path.name + ".log")

    def tripped(self) -> bool:
        """Quick enough to ask before every order (below a microsecond: one stat)."""
        if self._latched is not None:
            return True
        try:
            os.stat(self._name)  # noqa: PTH116 - Path.stat costs three times as much
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def status(self) -> KillStatus:
        """What the file says. An empty file (made by hand) or an unreadable one is a tripped switch all the same."""
        if not self.tripped():
            return _CLEAR
        if self._latched is not None:
            return self._latched
        try:
            text = self._path.read_bytes()
            if not text.strip():
                return KillStatus(True, None, f"{self._name} was made by hand")
            status = codec.from_dict(KillStatus, codec.from_json(text))
        except FileNotFoundError:
            return _CLEAR  # cleared a moment ago
        except (OSError, ValueError) as error:
            return KillStatus(True, None, f"{self._name} cannot be read ({error}), which counts as tripped")
        return KillStatus(True, status.by, status.reason, status.ts_ns)

    def trip(self, by: str, reason: str, ts_ns: int) -> KillStatus:
        """Shut the gates, durably. The first trip stays on record; a later one only adds a line to the log.

        Raises OSError where the file cannot be written; this process stays killed even then.
        """
        checks.named("by", by)
        checks.named("reason", reason)
        status = KillStatus(True, by, reason, ts_ns)
        if not self.tripped():
            self._latched = status  # first in memory: a full disk must not keep the gate open
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _write_durably(self._path, codec.to_json(status) + b"\n")
            self._latched = None
        self._log("trip", by, reason, ts_ns)
        return self.status()

    def clear(self, by: str, reason: str, ts_ns: int) -> None:
        """Re-arm. Raises ValueError without a name and a reason, or where it is not tripped, OSError if it stays."""
        checks.named("by", by)
        checks.named("reason", reason)
        if not self.tripped():
            raise ValueError(f"the kill switch {self._name} is not tripped")
        self._log("clear", by, reason, ts_ns)
        with suppress(FileNotFoundError):
            self._path.unlink()
        sync(self._path.parent)
        self._latched = None

    def _log(self, action: str, by: str, reason: str, ts_ns: int) -> None:
        line = codec.to_json({"action": action, "by": by, "reason": reason, "ts_ns": ts_ns}) + b"\n"
        with self.log_path.open("ab") as log:
            log.write(line)
            log.flush()
            os.fsync(log.fileno())


def _write_durably(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)
