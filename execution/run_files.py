"""The files of a run: they appear together or not at all, and never mixed with those of another run.

They are written to a hidden folder beside their places and then moved in, which takes milliseconds. `run.json` is
removed before the first and put in place after the last, so a folder that has one holds one whole run, even after a
power cut; and it holds the SHA-256 of the others. Ctrl-C waits for the moves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from core.contracts import sign
from core.errors import DataError
from core.folders import alone, sync
from execution.routing.ledger import FOLDER as ROUTER

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from core.bars import Bars
    from core.contracts import FillEvent
    from core.instrument import Instrument
    from execution.contracts import ExecutionReport

REPORTS: Final = "executions.ndjson"
FILLS: Final = "fills.parquet"
EQUITY: Final = "equity.parquet"
RUN: Final = "run.json"
FILES: Final = (REPORTS, FILLS, EQUITY, RUN)  # run.json last: it seals the others


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run. The arrays have shape (n_bars + 1,): the start, then every close; money in quote currency.

    `reports` in order of start; `fills` as they were heard. Both may be made when they are first read.
    """

    reports: Sequence[ExecutionReport]
    fills: Sequence[FillEvent]
    ts_ns: NDArray[np.int64]
    equity: NDArray[np.float64]
    cash: NDArray[np.float64]
    position: NDArray[np.float64]


class Moves(NamedTuple):
    """What fills have changed, one row each, as they were heard: the bar, lots (signed) and money."""

    bar: NDArray[np.int64]
    lots: NDArray[np.int64]
    cash: NDArray[np.float64]


def run_result(
    bars: Bars,
    instrument: Instrument,
    capital: float,
    reports: Iterable[ExecutionReport],
    fills: Sequence[FillEvent],
    fill_bars: Sequence[int],
) -> RunResult:
    """The account over the bars, exact to the fill. `fill_bars`: the bar of each fill."""
    import numpy as np

    sides = np.fromiter((sign(fill.side) for fill in fills), np.int64, len(fills))
    qty, price, fee = (
        np.fromiter(map(attrgetter(name), fills), np.float64, len(fills)) for name in ("qty", "price", "fee")
    )
    moves = Moves(
        np.asarray(fill_bars, dtype=np.int64),
        sides * np.rint(qty / instrument.qty(1)).astype(np.int64),
        -sides * (qty * price * instrument.multiplier) - fee,
    )
    return result_of(bars, instrument, capital, in_order(reports), list(fills), moves)


def in_order(reports: Iterable[ExecutionReport]) -> list[ExecutionReport]:
    """In order of start, then of ids."""
    return sorted(reports, key=lambda report: (report.start_ts_ns, report.execution_id))


def result_of(
    bars: Bars,
    instrument: Instrument,
    capital: float,
    reports: Sequence[ExecutionReport],
    fills: Sequence[FillEvent],
    moves: Moves,
) -> RunResult:
    """The same from columns; the reports are in order."""
    import numpy as np

    moved, which = np.unique(moves.bar, return_inverse=True)
    lots, money = np.zeros(len(moved) + 1, np.int64), np.zeros(len(moved) + 1)
    money[0] = capital
    np.add.at(lots, which + 1, moves.lots)
    np.add.at(money, which + 1, moves.cash)
    stretches = np.diff(moved + 1, prepend=0, append=len(bars) + 1)  # rows between two bars with fills
    held = np.multiply(np.cumsum(lots), instrument.qty(1), dtype=np.float64)
    position, cash = np.repeat(held, stretches), np.repeat(np.cumsum(money), stretches)
    equity = np.concatenate((bars.open[:1], bars.close))
    equity *= position
    equity *= instrument.multiplier
    equity += cash
    ts_ns = np.concatenate((bars.ts_open_ns[:1], bars.ts_close_ns))
    return RunResult(reports, fills, ts_ns, equity, cash, position)


def check_writable(folder: Path, option: str = "--output-dir") -> None:
    """Raises DataError where the files of a run cannot go to this folder; makes nothing."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise DataError(f"{folder} cannot be written: {there} is a file; choose another {option}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"{folder} cannot be written: no permission to write in {there}; choose another {option}")
    for name in FILES:
        if (folder / name).is_dir():
            raise DataError(f"{folder / name} is a folder where a file must go; choose another {option}")


def write_run(
    folder: Path,
    result: RunResult,
    about: dict[str, Any],
    strategy_of: Callable[[str], str],
    *,
    routed: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Writes the four files and returns what `run.json` says: `about`, and rows and SHA-256 of the other files.

    `about` has at least version, config_hash, seed and data; `strategy_of`: whose an execution is, by its id.
    `routed`: the entries of the router's ledger, a journal in `router/`; none: there is no such folder.

    The same result gives the same bytes. Raises DataError where the folder cannot be written.
    """
    from core.codec import to_json
    from execution.reports import write_reports
    from execution.routing.ledger import write_entries

    fills = fills_frame(result.fills, strategy_of=strategy_of, venue=about["data"]["venue"])
    identity = {name: about[name] for name in ("version", "config_hash", "seed")} | {"data": about["data"]}
    provenance = {"fillwright": to_json(identity).decode()}
    try:
        with _staged(folder) as staged:
            rows = {REPORTS: write_reports(staged / REPORTS, result.reports)}
            for name, frame in ((FILLS, fills), (EQUITY, equity_frame(result))):
                frame.write_parquet(staged / name, compression="zstd", compression_level=1, metadata=provenance)
                rows[name] = len(frame)
            document = {**about, "files": {name: _seal(staged / name, count) for name, count in rows.items()}}
            (staged / RUN).write_bytes(_pretty(document))
            if routed:
                write_entries(staged / ROUTER, routed)
            for name in FILES:
                sync(staged / name)
            _move_in(staged, folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error
    return document


def fills_frame(fills: Sequence[FillEvent], *, strategy_of: Callable[[str], str], venue: str) -> pl.DataFrame:
    """One row per fill in order of time, with the columns of the store's fills."""
    import polars as pl

    from research.schema import dtype, kind_of

    columns: dict[str, list[Any]] = {
        "strategy_id": [strategy_of(fill.meta["execution_id"]) for fill in fills],
        "execution_id": [fill.meta["execution_id"] for fill in fills],
        "venue": [venue] * len(fills),
    }
    names = kind_of("fills").required
    for name in names:
        if name not in columns:
            columns[name] = [getattr(fill, name) for fill in fills]
    return pl.DataFrame({name: columns[name] for name in names}, schema={name: dtype(name) for name in names})


def equity_frame(result: RunResult) -> pl.DataFrame:
    """The account at the start and at every close: ts_ns, equity and cash in quote currency, position in base."""
    import polars as pl

    names = ("ts_ns", "equity", "cash", "position")
    return pl.DataFrame({name: getattr(result, name) for name in names})


def _pretty(document: dict[str, Any]) -> bytes:
    import msgspec

    from core.codec import to_json

    return msgspec.json.format(to_json(document), indent=2) + b"\n"


def _seal(file: Path, rows: int) -> dict[str, Any]:
    return {"rows": rows, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder` to write to; it is gone afterwards, and so is what was made for nothing."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            staged = folder / ".run.partial"
            shutil.rmtree(staged, ignore_errors=True)  # of a run that was killed
            staged.mkdir()
            try:
                yield staged
            finally:
                shutil.rmtree(staged, ignore_errors=True)
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise


def _move_in(staged: Path, folder: Path) -> None:
    with _uninterrupted():
        (folder / RUN).unlink(missing_ok=True)
        if (folder / ROUTER).exists():
            (folder / ROUTER).replace(staged / f"{ROUTER}.before")
        if (staged / ROUTER).exists():
            (staged / ROUTER).replace(folder / ROUTER)
        for name in FILES:
            (staged / name).replace(folder / name)
        sync(folder)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block is done."""
    if threading.current_thread() is not threading.main_thread():  # Ctrl-C goes to the main thread anyway
        yield
        return
    pressed: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
