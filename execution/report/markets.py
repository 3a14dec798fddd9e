"""The market around the executions of a run: bars from the store, where they are those that the run saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from core.bars import Bars
from core.errors import FillwrightError
from execution.conditions import DAY_NS, WINDOW_DAYS, Conditions

if TYPE_CHECKING:
    from execution.contracts import ExecutionReport
    from research.data_reader import DataReader

Key = tuple[str, str]
AROUND_NS: Final = 3600 * 10**9  # bars after the last execution's end, for what the price did next


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """Bars of one symbol at one venue and what they told before each; or why there are none."""

    bars: Bars | None
    conditions: Conditions | None
    data_id: str
    why_not: str = ""

    @classmethod
    def nothing(cls, why_not: str) -> Self:
        return cls(None, None, "", why_not)

    def window(self, start_ns: int, end_ns: int) -> Bars | None:
        """The bars that overlap [start_ns, end_ns]; None where none does."""
        if self.bars is None:
            return None
        first = int(np.searchsorted(self.bars.ts_close_ns, start_ns, side="right"))
        last = int(np.searchsorted(self.bars.ts_open_ns, end_ns, side="right"))
        return self.bars[first:last] if last > first else None

    def before(self, ts_ns: int) -> tuple[float, float]:
        """Daily volatility (a share) and daily volume (base) as known when this bar opened; NaN where unknown."""
        if self.bars is None or self.conditions is None:
            return np.nan, np.nan
        k = int(np.searchsorted(self.bars.ts_open_ns, ts_ns, side="right")) - 1
        if k < 0 or ts_ns - int(self.bars.ts_close_ns[k]) > DAY_NS:
            return np.nan, np.nan
        return float(self.conditions.volatility[k]), float(self.conditions.daily_volume[k])


def markets(reports: Sequence[ExecutionReport], data_dir: Path | None) -> dict[Key, Around]:
    """The market of every symbol and venue that the reports name. Never raises: what is not there has a reason."""
    keys = sorted({(report.symbol, report.venue) for report in reports})
    if data_dir is None:
        return dict.fromkeys(keys, Around.nothing("no market data were asked for"))
    from research.data_reader import DataReader

    reader = DataReader(data_dir)
    return {key: _around(key, [one for one in reports if (one.symbol, one.venue) == key], reader) for key in keys}


def _around(key: Key, reports: Sequence[ExecutionReport], reader: DataReader) -> Around:
    symbol, venue = key
    wanted = {str(one.settings["data_id"]) for one in reports if "data_id" in one.settings}
    try:
        stored = [one for one in reader.describe(symbol, venue=venue or None) if one.kind.startswith("ohlcv")]
        if not stored:
            return Around.nothing(f"no bars of {symbol}{f' at {venue}' if venue else ''} in {reader.store.data_dir}")
        ids = sorted(one.data_id for one in stored)
        if wanted and not wanted <= set(ids):
            missing = ", ".join(sorted(wanted - set(ids)))
            return Around.nothing(f"the store's bars (data id {', '.join(ids)}) are not those of the run ({missing})")
        start = min(one.start_ts_ns for one in reports)
        end = max(_end_ns(one) for one in reports)
        bars = reader.bars(
            symbol, "1m", start // DAY_NS * DAY_NS - WINDOW_DAYS * DAY_NS, end + AROUND_NS, venue=stored[0].venue
        )
        return Around(bars, Conditions.of(bars), ", ".join(sorted(wanted or ids)))
    except (FillwrightError, OSError) as error:
        return Around.nothing(str(error))


def _end_ns(report: ExecutionReport) -> int:
    fills = max((fill.ts_fill_ns for fill in report.fills), default=report.start_ts_ns)
    return max(fills, report.end_ts_ns or fills) + 1
