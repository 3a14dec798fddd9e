"""Where decisions and outcomes are written down: a journal in live use, a list in a backtest.

An entry is `{"k": kind, "t": nanoseconds, ...}`; `Chooser.restore` makes the state again from entries in order. In a
trader's journal a decision is part of the line that takes its parent in, and an outcome of the line of its report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from core import codec
from core.errors import DataError

DECIDED: Final = "route"
TURNED_OUT: Final = "route-outcome"
RESET: Final = "route-reset"
RESTED: Final = "route-rested"  # an order that rested at one of several venues
EXECUTED: Final = "route-executed"  # a report, where venues are scored by them
FOLDER: Final = "router"
SEGMENTS: Final = "[0-9]*.ndjson"  # of a journal; a run's folder has other files of that kind
ROUTE: Final = "route"  # the decision, in a line of a trader's journal
OUTCOME: Final = "outcome"


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


def entries_in(line: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The router's entries in a line of a journal: itself where it is one, or what a trader has added to it."""
    if line["k"] in (DECIDED, TURNED_OUT, RESET, RESTED, EXECUTED):
        yield line
        return
    if ROUTE in line:
        yield {"k": DECIDED, "t": line["t"], "decision": line[ROUTE]}
    if OUTCOME in line:
        yield {"k": TURNED_OUT, "t": line["t"], "outcome": line[OUTCOME]}


def journal_in(folder: Path) -> Path:
    """The journal that a router writes, by its own folder or by that of the run or the trader that it belongs to.

    Raises DataError where there is none.
    """
    for part in ("", FOLDER, "journal", f"{FOLDER}/journal"):
        if any((folder / part).glob(SEGMENTS)):
            return folder / part
    raise DataError(
        f"{folder} has no journal of a router: no router has written there; `fillwright backtest --router learn` and "
        "`fillwright trade --router learn` do, or name another folder with --state"
    )


def read_entries(folder: Path) -> list[dict[str, Any]]:
    """The entries of a ledger's journal, oldest first. Raises DataError where there is none, or it is damaged."""
    from core.journal_read import read

    return [dict(entry) for line in read(journal_in(folder)) for entry in entries_in(line.data)]


def write_entries(folder: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """A journal of these entries, in a folder that is not there yet; on the disk when this returns."""
    from core.journal import Journal

    with Journal(folder, fsync="on_sync") as journal:
        for entry in entries:
            journal.append(dict(entry))
        journal.sync()
