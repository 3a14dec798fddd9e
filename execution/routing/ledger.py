"""Where decisions and outcomes are written down: a journal in live use, a list in a backtest.

An entry is `{"k": kind, "t": nanoseconds, ...}`; `Chooser.restore` makes the state again from entries in order.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from core import codec
from core.errors import DataError

DECIDED: Final = "route"
TURNED_OUT: Final = "route-outcome"
RESET: Final = "route-reset"
FOLDER: Final = "router"


class Ledger(Protocol):
    """`core.journal.Journal` is one."""

    def append(self, entry: Mapping[str, Any], /) -> int: ...


class Memory:
    """A list of entries; records in them stay what they are until somebody asks."""

    def __init__(self) -> None:
        self._entries: list[Mapping[str, Any]] = []

    def append(self, entry: Mapping[str, Any]) -> int:
        self._entries.append(entry)
        return len(self._entries)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """As a journal would give them back."""
        return [codec.from_json(codec.to_json(entry)) for entry in self._entries]


class _Nowhere:
    def append(self, entry: Mapping[str, Any]) -> int:  # noqa: ARG002 - nobody reads it
        return 0


NOWHERE: Final[Ledger] = _Nowhere()


def read_entries(folder: Path) -> list[dict[str, Any]]:
    """The entries of a ledger's journal, oldest first. Raises DataError where there is none, or it is damaged."""
    from core.journal_read import read

    if not folder.is_dir():
        raise DataError(
            f"{folder} does not exist: no router has written there; "
            "`fillwright backtest --router learn` does, or name another folder with --state"
        )
    return [entry.data for entry in read(folder) if entry.kind in (DECIDED, TURNED_OUT, RESET)]


def replace_entries(folder: Path, entries: list[dict[str, Any]]) -> None:
    """A journal of these entries in place of what is in the folder; none: no folder. Raises DataError."""
    from core.journal import Journal

    staged = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(staged, ignore_errors=True)
        if entries:
            with Journal(staged, fsync="never") as journal:
                for entry in entries:
                    journal.append(entry)
        if folder.exists():
            shutil.rmtree(folder)
        if entries:
            staged.replace(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error
