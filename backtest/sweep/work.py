"""One task of a sweep, as a worker does it: everything that decides the result is in `Work`, the data are in the store.

`do` is a plain function of plain data, so every scheduler can carry it, and it answers with the bytes that are kept:
the same work gives the same bytes in every process, on every machine with the same program and the same data.
"""

from __future__ import annotations

import hashlib
import traceback
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from backtest.sweep.settings import ParentsStudy
from core.codec import to_json
from core.errors import DataError, FillwrightError
from execution.conditions import DAY_NS, WINDOW_DAYS
from execution.config import ExecutionConfig
from execution.stored import StoredMarket, program_version, stored_market
from research.data_reader import DataReader
from research.schema import kind_of
from risk.limits import RiskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A setting under a condition. `parents`: a study of parents; else `strategy` is run with `capital` and `limits`.

    `data`: digest of the data that it may read. `version`: of the program. `source`: digest of a strategy of the
    user's own. A result is kept under the hash of all this, so it is found again as long as nothing of it has changed.
    """

    parents: ParentsStudy | None
    strategy: str | None = None
    strategy_params: dict[str, Any] = field(default_factory=dict)
    limits: RiskLimits | None = None
    capital: float = 0.0
    source: str | None = None
    execution: ExecutionConfig
    whole: bool
    parent_params: dict[str, Any]
    symbol: str
    venue: str | None
    start_ns: int | None
    end_ns: int | None
    seed: int
    data: str
    version: str

    @property
    def key(self) -> str:
        """32 hexadecimal digits of the content."""
        return hashlib.sha256(to_json(self)).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a task has no result: one line."""

    reason: str


def do(work: Work, data_dir: str) -> bytes | Failed:
    """The result of the work as JSON, or why there is none."""
    try:
        return to_json(_figures(work, data_dir))
    except FillwrightError as error:
        return Failed(" ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 - one task's error must not end the sweep: it is reported by name
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return Failed(" ".join(f"{type(error).__name__}{place}: {error}".split()))


def data_digest(reader: DataReader, symbol: str, venue: str | None, start_ns: int | None, end_ns: int | None) -> str:
    """16 hexadecimal digits of the bars and quotes of a symbol in a period and in the days before it.

    Months are digested whole; those that a task in this period never reads are left out, so that data of tomorrow do
    not make yesterday's results stale.
    """
    earliest = None if start_ns is None else (start_ns // DAY_NS - WINDOW_DAYS) * DAY_NS
    digest = hashlib.sha256()
    for one in reader.describe(symbol, venue=venue):
        if one.kind != "quotes" and kind_of(one.kind).family != "ohlcv":
            continue  # what no task reads
        digest.update(to_json([one.venue, one.kind, one.synthetic, one.instrument]))
        for name in sorted(one.months):
            month = one.months[name]
            if (earliest is None or month.end_ns > earliest) and (end_ns is None or month.start_ns < end_ns):
                digest.update(f"{name} {month.content}\n".encode())
    return digest.hexdigest()[:16]


def _figures(work: Work, data_dir: str) -> dict[str, Any]:
    if work.version != program_version():
        raise DataError(
            f"the worker runs version {program_version()}, the sweep is of {work.version}: install that one"
        )
    market = _market(
        data_dir,
        work.data,
        work.symbol,
        work.venue,
        work.start_ns,
        work.end_ns,
        # what a market does is the same under every algorithm: workers make it once for many settings
        to_json([work.execution.slippage, work.execution.fills]),
        _Unhashed(work.execution),
    )
    if work.parents is not None:
        from backtest.sweep.parents import study

        return study(work, work.parents, market)
    from backtest.sweep.strategy import run

    return run(work, market)


@dataclass(frozen=True, slots=True, eq=False)
class _Unhashed:
    """An argument that a cache does not look at: another one says the same."""

    execution: ExecutionConfig

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashed)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=2)
def _market(
    data_dir: str,
    data: str,
    symbol: str,
    venue: str | None,
    start_ns: int | None,
    end_ns: int | None,
    _settings: bytes,
    execution: _Unhashed,
) -> StoredMarket:
    reader = DataReader(data_dir)
    found = data_digest(reader, symbol, venue, start_ns, end_ns)
    if found != data:
        raise DataError(f"{data_dir} holds other data of {symbol} for the worker ({found}) than for the sweep ({data})")
    return stored_market(
        reader, symbol, execution.execution, start_ns=start_ns, end_ns=end_ns, venue_name=venue, identity={}
    )
