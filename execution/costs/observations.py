"""Execution reports as observations for calibration: volatility and volume as they were known before each parent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.contracts import sign
from core.errors import DataError
from execution.conditions import DAY_NS, WINDOW_DAYS, Conditions
from execution.contracts import ExecutionReport
from execution.tca import measure
from research.calibration.orders import Orders, orders
from research.data_reader import DataReader

MINUTE: Final = "1m"
NOTABLE: Final = 0.05  # a share below this needs no warning


@dataclass(frozen=True, slots=True)
class Observed:
    """What the reports of a file say to a calibration.

    orders    by filled quantity; `ordered`: by ordered quantity, the rest at the closing price, None where all filled
    left_out  how many reports could not be used, by reason
    warnings  why the numbers may be biased, one line each
    data      the bars that volatility and volume were measured on: symbol, venue, kind, data_id, synthetic
    """

    orders: Orders
    ordered: Orders | None
    start_ns: int
    end_ns: int
    reports: int
    left_out: dict[str, int]
    warnings: list[str]
    data: list[dict[str, Any]]


@dataclass(slots=True)
class _Rows:
    filled: list[dict[str, float]] = field(default_factory=list)
    ordered: list[dict[str, float]] = field(default_factory=list)
    used: list[ExecutionReport] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def observe(reports: Iterable[ExecutionReport], reader: DataReader, *, venue: str | None = None) -> Observed:
    """One row for every report that ended with fills and whose market is stored up to its start.

    Raises DataError where the store has no bars of a symbol, or no report can be used.
    """
    by_symbol: dict[str, list[ExecutionReport]] = {}
    for report in reports:
        by_symbol.setdefault(report.symbol, []).append(report)
    rows, data = _Rows(), []
    for symbol, group in sorted(by_symbol.items()):
        history, source = _history(reader, symbol, group, venue)
        data.append(source)
        for report in group:
            _add(rows, report, history)
    total = sum(map(len, by_symbol.values()))
    if not rows.used:
        why = ", ".join(f"{count} {reason}" for reason, count in rows.left_out.most_common()) or "there are none"
        raise DataError(f"none of the {total} executions can be used: {why}")
    order = np.argsort([report.start_ts_ns for report in rows.used], kind="stable")
    whole = all(report.filled_quantity >= report.total_quantity * (1 - 1e-9) for report in rows.used)
    known = [row for row in rows.ordered if math.isfinite(row["cost"])]
    return Observed(
        orders=_columns(rows.filled)[order],
        ordered=None if whole or len(known) < len(rows.used) else _columns(rows.ordered)[order],
        start_ns=min(report.start_ts_ns for report in rows.used),
        end_ns=max(_ended(report) for report in rows.used),
        reports=total,
        left_out=dict(rows.left_out),
        warnings=warnings(rows.used),
        data=data,
    )


def warnings(reports: Sequence[ExecutionReport]) -> list[str]:
    """What in the reports themselves biases a fit to them."""
    lines = []
    if any(report.settings.get("synthetic") for report in reports):
        lines.append("SYNTHETIC market data: the coefficients say how the model works, not what a market charges")
    simulated = {str(report.settings["impact"]) for report in reports if "impact" in report.settings}
    if simulated:
        lines.append(
            f"these executions were simulated with the impact: {'; '.join(sorted(simulated))}. "
            "The fit can only give that back"
        )
    ordered = math.fsum(report.total_quantity * report.arrival_price for report in reports)
    missing = math.fsum(report.remaining_quantity * report.arrival_price for report in reports) / ordered
    if missing > NOTABLE:
        lines.append(
            f"{missing:.0%} of what was ordered was not filled: orders that run away from the market stay small here"
        )
    maker = [fill.qty * fill.price for report in reports for fill in report.fills if fill.liquidity == "maker"]
    traded = math.fsum(fill.qty * fill.price for report in reports for fill in report.fills)
    if traded and math.fsum(maker) / traded > NOTABLE:
        lines.append(
            f"{math.fsum(maker) / traded:.0%} was filled by resting orders: they earn the spread and are run over; "
            "neither is impact"
        )
    shared = _overlapping(reports)
    if shared > NOTABLE:
        lines.append(
            f"{shared:.0%} of the orders ran beside another one of ours in their symbol: each pays for the other"
        )
    unknown = sum(not math.isfinite(report.spread_bps) for report in reports)
    if unknown:
        lines.append(f"{unknown} of {len(reports)} reports do not know the spread: it counts as 0 where fills do not")
    return lines


class _History:
    """Conditions of a symbol's bars, looked up by time."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.conditions = Conditions.of(bars)
        self._edges = np.column_stack((bars.ts_open_ns, bars.ts_close_ns)).ravel()
        self._spent = np.column_stack((self.conditions.volume_days[:-1], self.conditions.volume_days[1:])).ravel()

    def at(self, ts_ns: int) -> tuple[float, float]:
        """Volatility and daily volume known at the open of the bar that holds this time; NaN where unknown."""
        k = int(np.searchsorted(self.bars.ts_open_ns, ts_ns, side="right")) - 1
        if k < 0 or ts_ns - int(self.bars.ts_close_ns[k]) > DAY_NS:
            return math.nan, math.nan
        return float(self.conditions.volatility[k]), float(self.conditions.daily_volume[k])

    def volume_days(self, start_ns: int, end_ns: int) -> float:
        """Market volume between two times in units of the daily volume; bars count by the share that is inside."""
        base = self._edges[0]
        times: NDArray[np.float64] = np.array([start_ns - base, end_ns - base], float)
        before, after = np.interp(times, (self._edges - base).astype(float), self._spent)
        return float(after - before)


def _history(
    reader: DataReader, symbol: str, reports: Sequence[ExecutionReport], venue: str | None
) -> tuple[_History, dict[str, Any]]:
    """The bars from eight days before the first parent to the end of the last."""
    from research.resample import shorter_bars
    from research.schema import kind_of

    first = min(report.start_ts_ns for report in reports) // DAY_NS * DAY_NS - (WINDOW_DAYS + 1) * DAY_NS
    last = max(_ended(report) for report in reports) + DAY_NS
    stored = {one.venue for one in reader.describe(symbol)}
    named = {report.venue for report in reports} & stored
    place = venue or (named.pop() if len(named) == 1 else None)
    bars = reader.bars(symbol, MINUTE, max(0, first), last, venue=place)
    kind = shorter_bars(reader.describe(symbol, venue=place), kind_of(f"ohlcv_{MINUTE}")) or f"ohlcv_{MINUTE}"
    dataset = reader.dataset(symbol, kind, place)
    return _History(bars), {
        "symbol": symbol,
        "venue": dataset.venue,
        "kind": dataset.kind,
        "data_id": dataset.data_id,
        "synthetic": dataset.synthetic,
    }


def _add(rows: _Rows, report: ExecutionReport, history: _History) -> None:
    reason = _unusable(report)
    cost = measure(report)
    volatility, daily_volume = history.at(report.start_ts_ns)
    if reason is None and not math.isfinite(cost.avg_fill_price):
        reason = "without fill prices"
    if reason is None and not (volatility > 0 and daily_volume > 0):
        reason = "without stored bars before them"
    if reason is not None:
        rows.left_out[reason] += 1
        return
    arrival, end, s = report.arrival_price, report.end_price, sign(report.side)
    unit = volatility * arrival
    paid = s * (cost.avg_fill_price - arrival)
    row = {
        "cost": paid / unit,
        "size": report.filled_quantity / daily_volume,
        "days": history.volume_days(report.start_ts_ns, _ended(report)),
        "spread": _half_spread(report) / unit,
        "volatility": volatility,
        "cluster": report.start_ts_ns // DAY_NS,
    }
    share = min(1.0, report.filled_quantity / report.total_quantity)
    missed = (1 - share) * s * (end - arrival) if share < 1 else 0.0
    rows.used.append(report)
    rows.filled.append(row)
    rows.ordered.append(
        row
        | {
            "cost": (share * paid + missed) / unit,
            "size": report.total_quantity / daily_volume,
            "spread": share * row["spread"],
        }
    )


def _unusable(report: ExecutionReport) -> str | None:
    if not report.done:
        return "still running"
    if not report.filled_quantity > 0:
        return "without fills"
    if not report.arrival_price > 0:
        return "without an arrival price"
    return None


def _half_spread(report: ExecutionReport) -> float:
    """Half spread that the taking part crossed, in price units per unit of all that was filled; 0 where unknown."""
    quoted = report.spread_bps / 2e4 * report.arrival_price if math.isfinite(report.spread_bps) else 0.0
    total = math.fsum(fill.qty for fill in report.fills)
    if not total:
        return quoted
    crossed = 0.0
    for fill in report.fills:
        if fill.liquidity == "taker":
            said = fill.meta.get("half_spread")
            crossed += fill.qty * (said if isinstance(said, int | float) and math.isfinite(said) else quoted)
    return crossed / total


def _ended(report: ExecutionReport) -> int:
    if report.end_ts_ns is not None:
        return report.end_ts_ns
    return max((fill.ts_fill_ns for fill in report.fills), default=report.start_ts_ns)


def _overlapping(reports: Sequence[ExecutionReport]) -> float:
    """Share of the orders that began before an earlier one in the same symbol had ended."""
    ends: dict[str, int] = {}
    shared = 0
    for report in sorted(reports, key=lambda one: one.start_ts_ns):
        shared += report.start_ts_ns < ends.get(report.symbol, 0)
        ends[report.symbol] = max(ends.get(report.symbol, 0), _ended(report))
    return shared / len(reports)


def _columns(rows: list[dict[str, float]]) -> Orders:
    return orders({name: [row[name] for row in rows] for name in rows[0]})
