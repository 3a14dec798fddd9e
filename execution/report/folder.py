"""The folder of a report: pages, frames and what they need to open offline, all of it or nothing.

It is written beside its place and then moved in. Only a folder that a report wrote, or an empty one, is replaced.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import DataError
from core.folders import alone
from execution.report.frames import costs_frame, fills_frame, groups_frame, summary_frame
from execution.report.listing import list_page
from execution.report.overview import overview
from execution.report.page import write_assets
from execution.report.pages import execution_page

if TYPE_CHECKING:
    import polars as pl

    from execution.report.run import Run

PAGES: Final = 500
INDEX: Final = "index.html"
LIST: Final = "executions.html"
FOLDER: Final = "executions"
MARK: Final = "fillwright-report"
"""A file that says that the folder may be replaced."""


def check_replaceable(folder: Path) -> None:
    """Raises DataError where something else than a report is in this place; makes nothing."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{folder} is not a folder: choose another place for the report")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise DataError(f"{folder} holds files that are not a report's: choose another place, or empty it")


def write_report(run: Run, folder: Path, *, pages: int = PAGES, advance: Callable[[], None] = lambda: None) -> Path:
    """Writes the report of a run and returns the page to open. The same run gives the same bytes.

    pages: how many executions get a page of their own, those that cost the most; `advance` is called for each.
    Raises DataError where the folder is something else's or cannot be written; then nothing has changed.
    """
    check_replaceable(folder)
    index, folder = folder / INDEX, folder.absolute()
    staged = folder.with_name(f".{folder.name}.partial")
    made = [path for path in folder.parents if not path.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder.parent):
            shutil.rmtree(staged, ignore_errors=True)  # of a report that was killed
            staged.mkdir()
            try:
                _fill(run, staged, pages, advance)
                _move_in(staged, folder)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
    except BaseException as error:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error
        raise
    return index


def page_names(run: Run, pages: int) -> dict[str, str]:
    """The executions that get a page, dearest chosen, in the order of the run: execution id -> file."""
    known = [cost.shortfall if cost.shortfall == cost.shortfall else float("-inf") for cost in run.measured]
    dearest = sorted(range(len(known)), key=lambda place: (-known[place], place))[:pages]
    names: dict[str, str] = {}
    taken: set[str] = set()
    for place in sorted(dearest):
        execution_id = run.reports[place].execution_id
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", execution_id).strip("-")[:60] or "execution"
        if name.casefold() in taken or name != execution_id:  # ids that become alike, also where case does not count
            name = f"{name}-{place + 1}"
        taken.add(name.casefold())
        names[execution_id] = f"{FOLDER}/{name}.html"
    return names


def _fill(run: Run, folder: Path, pages: int, advance: Callable[[], None]) -> None:
    (folder / FOLDER).mkdir()
    (folder / MARK).write_text("The report of a run. `fillwright report` replaces this folder.\n", encoding="utf-8")
    write_assets(folder)
    files = _write_frames(run, folder)
    paged = page_names(run, pages)
    places = {report.execution_id: place for place, report in enumerate(run.reports)}
    for execution_id, name in paged.items():
        _write(folder / name, execution_page(run, places[execution_id], paged))
        advance()
    _write(folder / LIST, list_page(run, paged))
    _write(folder / INDEX, overview(run, paged, files))


def _write_frames(run: Run, folder: Path) -> list[str]:
    import polars as pl

    frames: dict[str, pl.DataFrame] = {
        "summary": summary_frame(run),
        "costs": costs_frame(run),
        "groups": pl.concat([groups_frame(groups) for groups in run.breakdowns.values()]),
        "fills": fills_frame(run),
    }
    names = []
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv")
        frame.write_parquet(folder / f"{name}.parquet")
        names += [f"{name}.csv", f"{name}.parquet"]
    return names


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _move_in(staged: Path, folder: Path) -> None:
    """Two renames: the old report makes room, the new one takes its place; back if that fails."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        staged.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
