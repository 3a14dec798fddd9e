"""Reports and costs as small tables, for notebooks: `_repr_html_` of ExecutionReport, ExecutionCost and Pooled.

Plain markup without style or script, so that it looks like its surroundings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from execution.report.charts import signed
from execution.report.page import Html, tag
from execution.report.words import moment, money

if TYPE_CHECKING:
    from execution.contracts import ExecutionReport
    from execution.tca import ExecutionCost, Parts, Pooled


def report_html(report: ExecutionReport) -> str:
    """What was ordered, what was done, at which prices."""
    base, _, quote = report.symbol.partition("/")
    order = f"{report.side} {report.total_quantity:,.10g} {base} by {report.algo_type}"
    end = "running" if report.end_ts_ns is None else f"to {moment(report.end_ts_ns)}"
    rows: list[tuple[str, object, str]] = [
        ("status", report.status, ""),
        ("filled", f"{report.filled_quantity:,.10g} ({100 * report.fill_rate:.1f} %)", base),
        ("average fill price", _price(report.avg_fill_price), quote),
        ("arrival price", _price(report.arrival_price), quote),
        ("market VWAP", _price(report.benchmark_vwap), quote),
        ("fees", money(report.total_fees), quote),
        ("fills", f"{len(report.fills):,}", ""),
        ("time, UTC", f"{moment(report.start_ts_ns)} {end}", ""),
    ]
    if report.unfilled_reason:
        rows.append(("not filled because", report.unfilled_reason, ""))
    synthetic = " on SYNTHETIC data" if report.settings.get("synthetic") is True else ""
    return _table(f"{report.execution_id}: {order}{synthetic}", ("", "", ""), rows)


def cost_html(cost: ExecutionCost) -> str:
    """The parts of one execution's shortfall."""
    unit = cost.symbol.partition("/")[2] or "money"
    what = f"{cost.execution_id}: {cost.side} {cost.symbol} by {cost.algo_type}, {100 * cost.fill_rate:.1f} % filled"
    said = f"; {', '.join(cost.flags)}" if cost.flags else ""
    return _table(what + said, ("", unit, "bps"), _parts(cost.parts, cost.notional, cost.shortfall, cost.shortfall_bps))


def pooled_html(pool: Pooled, unit: str = "") -> str:
    """The parts of the shortfall of many executions as one."""
    what = f"{pool.executions:,} executions, {money(pool.notional)} {unit} ordered".rstrip()
    rows = _parts(pool.parts, pool.notional, pool.shortfall, pool.shortfall_bps)
    return _table(what, ("", unit or "money", "bps"), rows)


def _parts(parts: Parts, notional: float, shortfall: float, shortfall_bps: float) -> list[tuple[str, object, str]]:
    from execution.tca import PARTS

    shares = parts.bps(notional)
    rows: list[tuple[str, object, str]] = [
        (name, money(getattr(parts, name)), signed(getattr(shares, name))) for name in PARTS
    ]
    return [*rows, ("shortfall", tag("b", money(shortfall)), signed(shortfall_bps))]


def _table(caption: str, heads: tuple[str, str, str], rows: Iterable[tuple[str, object, str]]) -> Html:
    style = "caption-side:top;text-align:left"
    head = [tag("tr", *(tag("th", one) for one in heads))] if any(heads) else []
    body = [
        tag("tr", tag("th", name, style="text-align:left"), tag("td", value), tag("td", unit))
        for name, value, unit in rows
    ]
    return tag("table", tag("caption", caption, style=style), *head, *body)


def _price(value: float) -> str:
    return f"{value:,.7g}" if math.isfinite(value) else "–"
