"""Execution reports, in memory or as NDJSON, into the columns of the tables: no object per fill outlives its line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from core.codec import to_json
from core.contracts import FillEvent, Liquidity, Side
from execution.contracts import ExecutionReport, Status
from execution.costs.quality import sent_ns
from execution.costs.tables import BATCH_FILLS, EXECUTIONS, FILLS, NUMBERS, TEXTS, Tables
from execution.reports import check_new, report_lines, report_of

if TYPE_CHECKING:
    import polars as pl

_Above0 = Annotated[float, msgspec.Meta(gt=0, le=1.7976931348623157e308)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^\S(.*\S)?$")]


class _Meta(msgspec.Struct, gc=False, frozen=True):
    """What the costs need of a fill's meta; the rest of it is not decoded."""

    half_spread: float | None = None
    impact: float | None = None
    mid: float | None = None
    venue: str | None = None
    submitted_ts_ns: int | None = None
    scheduled_ts_ns: int | None = None
    ts_accepted_ns: int | None = None
    accepted_ts_ns: int | None = None

    @property
    def sent_ns(self) -> int | None:
        """As `execution.costs.quality.sent_ns`: the best source first."""
        every = (self.submitted_ts_ns, self.scheduled_ts_ns, self.ts_accepted_ns, self.accepted_ts_ns)
        return next((one for one in every if one is not None), None)


class _Fill(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    fill_id: _Name
    order_id: str
    symbol: str
    side: Side
    qty: _Above0
    price: _Above0
    ts_fill_ns: int
    fee: float = 0.0
    liquidity: Liquidity = "taker"
    meta: _Meta = _Meta()


class _Report(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """`ExecutionReport` as it stands in a file; a line that does not fit is read, or refused, the slow way."""

    execution_id: str
    symbol: str
    total_quantity: _Above0
    filled_quantity: Annotated[float, msgspec.Meta(ge=0, le=1.7976931348623157e308)]
    remaining_quantity: Annotated[float, msgspec.Meta(ge=0, le=1.7976931348623157e308)]
    avg_fill_price: float | None
    total_fees: float | None
    slices_completed: int
    slices_total: int
    status: Status
    start_ts_ns: int
    end_ts_ns: int | None
    side: Side = "buy"
    algo_type: _Name = "TWAP"
    strategy_id: str = ""
    parent_intent_id: str = ""
    venue: str = ""
    decision_price: float | None = None
    arrival_price: float | None = None
    end_price: float | None = None
    benchmark_vwap: float | None = None
    benchmark_vwap_own: float | None = None
    benchmark_twap: float | None = None
    spread_bps: float | None = None
    market_volume: float | None = None
    unfilled_reason: str | None = None
    denials: list[str] = []
    fills: list[_Fill] = []
    settings: msgspec.Raw = msgspec.Raw(b"{}")
    notes: msgspec.Raw = msgspec.Raw(b"{}")


class _Columns:
    """The columns of one batch as they grow."""

    def __init__(self) -> None:
        self.executions: dict[str, list[Any]] = {name: [] for name in EXECUTIONS}
        self.fills: dict[str, list[Any]] = {name: [] for name in FILLS}

    @property
    def fill_count(self) -> int:
        return len(self.fills["qty"])

    @property
    def empty(self) -> bool:
        return not self.executions["execution_id"]

    def add(self, report: _Report) -> None:
        columns, fills, metas = self.fills, report.fills, [fill.meta for fill in report.fills]
        for name in (*TEXTS, "start_ts_ns", "end_ts_ns", *NUMBERS, "unfilled_reason"):
            self.executions[name].append(getattr(report, name))
        self.executions["denials"].append(len(report.denials))
        self.executions["fills"].append(len(fills))
        self.executions["settings"].append(bytes(report.settings).decode())
        columns["execution_id"] += [report.execution_id] * len(fills)
        columns["fill_id"] += [fill.fill_id for fill in fills]
        columns["order_id"] += [fill.order_id for fill in fills]
        columns["venue"] += [meta.venue or report.venue for meta in metas]
        columns["qty"] += [fill.qty for fill in fills]
        columns["price"] += [fill.price for fill in fills]
        columns["ts_fill_ns"] += [fill.ts_fill_ns for fill in fills]
        columns["fee"] += [fill.fee for fill in fills]
        columns["liquidity"] += [fill.liquidity for fill in fills]
        columns["half_spread"] += [meta.half_spread for meta in metas]
        columns["impact"] += [meta.impact for meta in metas]
        columns["mid"] += [meta.mid for meta in metas]
        columns["sent_ts_ns"] += [meta.sent_ns for meta in metas]

    def tables(self) -> Tables:
        return Tables(_frame(self.executions, EXECUTIONS), _frame(self.fills, FILLS))


def tables(reports: Iterable[ExecutionReport]) -> Tables:
    """Reports in memory as one batch, in their order; no reports: two empty tables."""
    columns = _Columns()
    for report in reports:
        columns.add(_flat(report))
    return columns.tables()


def read_reports_tables(path: Path, *, batch_fills: int = BATCH_FILLS) -> Iterator[Tables]:
    """The batches of a file of execution reports, NDJSON, in the order of its lines.

    The JSON goes straight into columns: several times as fast as `execution.reports.read_reports`, which accepts and
    refuses the same files in the same words (DataError).
    """
    decoder = msgspec.json.Decoder(_Report)
    seen: dict[str, int] = {}
    columns = _Columns()
    for number, line in report_lines(path):
        report = _decoded(decoder, line)
        if report is None:
            report = _flat(report_of(path, number, line))
        check_new(path, number, report.execution_id, seen)
        columns.add(report)
        if columns.fill_count >= batch_fills:
            yield columns.tables()
            columns = _Columns()
    if not columns.empty:
        yield columns.tables()


def _frame(columns: dict[str, list[Any]], schema: dict[str, str]) -> pl.DataFrame:
    import polars as pl

    kinds = {name: getattr(pl, kind) for name, kind in schema.items()}
    return pl.DataFrame(columns, schema=kinds)


def _decoded(decoder: msgspec.json.Decoder[_Report], line: bytes) -> _Report | None:
    """None where the line is not quite what we write."""
    try:
        report = decoder.decode(line)
    except msgspec.MsgspecError:
        return None
    plain = bytes(report.settings)[:1] == b"{" == bytes(report.notes)[:1]
    return report if plain else None


def _flat(report: ExecutionReport) -> _Report:
    numbers: dict[str, Any] = {name: _known(getattr(report, name)) for name in NUMBERS[2:]}
    texts: dict[str, Any] = {name: getattr(report, name) for name in TEXTS}
    return _Report(
        **texts,
        **numbers,
        total_quantity=report.total_quantity,
        filled_quantity=report.filled_quantity,
        remaining_quantity=report.remaining_quantity,
        slices_completed=report.slices_completed,
        slices_total=report.slices_total,
        start_ts_ns=report.start_ts_ns,
        end_ts_ns=report.end_ts_ns,
        unfilled_reason=report.unfilled_reason,
        denials=list(report.denials),
        fills=[_flat_fill(fill) for fill in report.fills],
        settings=msgspec.Raw(to_json(report.settings)),
    )


def _flat_fill(fill: FillEvent) -> _Fill:
    meta = fill.meta
    venue = meta.get("venue")
    said = _Meta(
        half_spread=_said(meta.get("half_spread")),
        impact=_said(meta.get("impact")),
        mid=_said(meta.get("mid")),
        venue=venue if isinstance(venue, str) else None,
        submitted_ts_ns=sent_ns(fill),
    )
    return _Fill(
        fill.fill_id, fill.order_id, fill.symbol, fill.side, fill.qty, fill.price, fill.ts_fill_ns, fill.fee,
        fill.liquidity, said,
    )  # fmt: skip


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _said(value: object) -> float | None:
    """None where the fill says nothing, NaN where it says something that is no number."""
    if value is None:
        return None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan
