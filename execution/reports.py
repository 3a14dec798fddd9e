"""Execution reports on disk: NDJSON, one `ExecutionReport` with its fills a line.

The same reports give the same bytes. A price that nobody knows is NaN in memory and null in the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.codec import from_json, to_json
from core.errors import DataError
from execution.contracts import ExecutionReport


def write_reports(path: Path, reports: Iterable[ExecutionReport]) -> int:
    """Writes the reports in their order and returns how many there were; the file appears whole or not at all.

    Folders on the way are made. Raises DataError where the file cannot be written.
    """
    count = 0
    with whole_file(path) as partial, partial.open("wb") as file:
        for report in reports:
            file.write(to_json(report) + b"\n")
            count += 1
    return count


def read_reports(path: Path) -> Iterator[ExecutionReport]:
    """The reports of a file, one at a time, in the order of its lines; blank lines do not count.

    Raises DataError that names the file, the line and the remedy where the file is absent, holds no report, or has a
    line that is not a report or repeats an execution: the same costs must not count twice.
    """
    seen: dict[str, int] = {}
    for number, line in report_lines(path):
        report = report_of(path, number, line)
        check_new(path, number, report.execution_id, seen)
        yield report


def report_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers. Raises DataError where there are none."""
    empty = True
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                empty = False
                yield number, line
    if empty:
        raise DataError(f"{path} holds no execution reports: the run that wrote it traded nothing, or did not end")


def report_of(path: Path, number: int, line: bytes) -> ExecutionReport:
    """The report in one line of a file. Raises DataError that names the file, the line and what is wrong."""
    try:
        value = from_json(line)
    except ValueError as error:
        start = line[:40].decode("utf-8", "replace").strip()
        raise DataError(
            f"{path}, line {number}: {error}; one execution report in JSON is expected, the line begins with {start!r}"
        ) from error
    try:
        return ExecutionReport.from_dict(value)
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}") from error


def check_new(path: Path, number: int, execution_id: str, seen: dict[str, int]) -> None:
    """Remembers the line of an execution in `seen`; raises DataError where another line already reported it."""
    first = seen.setdefault(execution_id, number)
    if first != number:
        raise DataError(
            f"{path}, line {number}: execution {execution_id!r} was already reported in line {first}; "
            "keep its last report only, or keep the runs in separate files"
        )


def shared_settings(settings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What all reports say alike about how their numbers were made, in the order of the first one's keys."""
    shared: dict[str, Any] | None = None
    for one in settings:
        if shared is None:
            shared = dict(one)
        elif shared != one:
            shared = {key: value for key, value in shared.items() if key in one and one[key] == value}
    return shared or {}


def provenance(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines for the foot of a table: real or synthetic data first, then every setting that all reports share."""
    every = list(settings)
    synthetic = {one.get("synthetic") for one in every}
    if synthetic == {True}:
        lines = ["SYNTHETIC market data: these costs say how the model works, not what a market charges"]
    elif True in synthetic:
        lines = ["Some of these executions ran on SYNTHETIC market data: do not read the totals as market costs"]
    elif synthetic == {False}:
        lines = ["market data: real"]
    else:
        lines = ["the reports do not say whether the market data were real"]
    shared = shared_settings(every)
    said = [(key.replace("_", " "), _words(value)) for key, value in shared.items() if key != "synthetic"]
    lines += [f"{name}: {value}" for name, value in said if " " in value]
    short = [f"{name} {value}" for name, value in said if " " not in value]  # hashes, seeds, versions: one line for all
    differing = {key for one in every for key in one} - set(shared) - {"synthetic"}
    everywhere = {key for key in differing if all(key in one for one in every)}
    short += [f"{key.replace('_', ' ')} differs" for key in sorted(everywhere)]
    lines += [f"some executions: {key.replace('_', ' ')}" for key in sorted(differing - everywhere)]
    return [*lines, ", ".join(short)] if short else lines


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends well; otherwise nothing stays behind.

    Raises DataError where `path` cannot be written.
    """
    from research.store import atomic

    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial:
            yield partial
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Iterable[bytes]]:
    if path.is_dir():
        raise DataError(f"{path} is a folder: name the NDJSON file in it, such as {path / 'executions.ndjson'}")
    if not path.exists():
        raise DataError(f"{path} does not exist: `fillwright backtest` writes execution reports")
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _words(value: object) -> str:
    """A setting for people: mappings and lists in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return value if isinstance(value, str) else json.dumps(value)
