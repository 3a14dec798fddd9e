"""What is known about stored data: where it comes from, what it covers, what is missing, and its content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from research.schema import Kind, kind_of
from research.times import period

if TYPE_CHECKING:
    import polars as pl

Gap = tuple[int, int]
"""[from, to) in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Month:
    """One Parquet file: its name, its rows and their content hash, and the gaps between its bars."""

    file: str
    rows: int
    start_ns: int
    end_ns: int
    content: str
    gaps: tuple[Gap, ...] = ()
    zero_volume: int = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """The metadata of one (venue, symbol, kind).

    `source` says where the rows came from, in the order they came. `skipped` counts, by source and reason, the
    rows that an import left out or put in order. `instrument` holds the facts that are known (tick, lot, fees,
    spread_bps). `synthesis` holds seed and parameters of a synthetic market. `covered` are the intervals that a
    download has seen whole, so that it need not ask again for what the venue does not have.
    """

    venue: str
    symbol: str
    kind: str
    synthetic: bool
    source: tuple[str, ...] = ()
    months: dict[str, Month] = field(default_factory=dict)
    instrument: dict[str, Any] = field(default_factory=dict)
    synthesis: dict[str, Any] = field(default_factory=dict)
    covered: tuple[Gap, ...] = ()
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(month.rows for month in self.months.values())

    @property
    def start_ns(self) -> int:
        """The first time stamp."""
        return min(month.start_ns for month in self.months.values())

    @property
    def end_ns(self) -> int:
        """The end of the last bar, or one nanosecond after the last event."""
        return max(month.end_ns for month in self.months.values())

    @property
    def data_id(self) -> str:
        """16 hexadecimal digits over names and values of all rows; the same rows give the same id on every machine."""
        digest = hashlib.sha256(f"{self.venue}\n{self.symbol}\n{self.kind}\n{self.synthetic}\n".encode())
        for name in sorted(self.months):
            digest.update(f"{name} {self.months[name].content}\n".encode())
        return digest.hexdigest()[:16]

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Where bars are missing, in order of time; always empty for events, whose silence may be real."""
        out: list[Gap] = []
        if kind_of(self.kind).family != "ohlcv":
            return ()
        before: Month | None = None
        for name in sorted(self.months):
            month = self.months[name]
            if before is not None and before.end_ns < month.start_ns:
                out.append((before.end_ns, month.start_ns))
            out.extend(month.gaps)
            before = month
        return tuple(out)

    @property
    def missing_bars(self) -> int:
        """Bars that would fill the gaps; 0 for events."""
        length = kind_of(self.kind).timeframe_ns
        return sum(-(-(end - start) // length) for start, end in self.gaps)

    @property
    def zero_volume(self) -> int:
        return sum(month.zero_volume for month in self.months.values())

    @property
    def period(self) -> str:
        events = kind_of(self.kind).family != "ohlcv"
        return period(self.start_ns, self.end_ns - 1 if events else self.end_ns)

    def __str__(self) -> str:
        return f"{self.symbol} at {self.venue}{' (synthetic)' if self.synthetic else ''}: {self.kind} {self.period}"

    def summary(self) -> dict[str, Any]:
        """What `fillwright data list --json` prints: counts instead of files and lists."""
        longest_ns = max((end - start for start, end in self.gaps), default=0)
        return {
            "venue": self.venue,
            "symbol": self.symbol,
            "kind": self.kind,
            "synthetic": self.synthetic,
            "rows": self.rows,
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "gaps": len(self.gaps),
            "missing_bars": self.missing_bars,
            "longest_gap_s": longest_ns / 1e9,
            "zero_volume": self.zero_volume,
            "skipped": self.skipped,
            "source": list(self.source),
            "instrument": self.instrument,
            "synthesis": self.synthesis,
            "data_id": self.data_id,
        }


def united(intervals: Iterable[Gap]) -> tuple[Gap, ...]:
    """The same points in as few intervals as possible, in order."""
    out: list[Gap] = []
    for start, end in sorted(intervals):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return tuple(out)


def month_of(frame: pl.DataFrame, kind: Kind, file: str) -> Month:
    """The facts of the rows of one month, which are in order of time."""
    times = frame[kind.time]
    start_ns, last_ns = int(times[0]), int(times[-1])
    if kind.family != "ohlcv":
        return Month(file, len(frame), start_ns, last_ns + 1, content_hash(frame))
    opens, closes = times.to_numpy(), frame["ts_close_ns"].to_numpy()
    after = (opens[1:] > closes[:-1]).nonzero()[0]
    gaps = tuple((int(closes[k]), int(opens[k + 1])) for k in after)
    zero_volume = int((frame["volume"] == 0).sum())
    return Month(file, len(frame), start_ns, int(closes[-1]), content_hash(frame), gaps, zero_volume)


def content_hash(frame: pl.DataFrame) -> str:
    """SHA-256 over names, types, nulls and values of all columns: of what the file says, not of how it is packed."""
    import polars as pl

    digest = hashlib.sha256()
    for column in frame.iter_columns():
        text = column.dtype == pl.String
        digest.update(f"{column.name}:{column.dtype}:{len(column)}\n".encode())
        if column.null_count():
            digest.update(column.is_null().to_numpy().tobytes())
            column = column.fill_null("" if text else 0)
        if text:
            digest.update("\x1f".join(column.to_list()).encode())
        else:
            digest.update(column.to_numpy().data)
    return digest.hexdigest()
