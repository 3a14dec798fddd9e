"""What `fillwright analyze` prints: the tables for people and the document for machines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from execution.analyze import (
    TABLE_STYLE,
    bps,
    clock,
    full_row,
    market_remarks,
    moment,
    money,
    percent,
    remarks,
)
from execution.costs.quality import HORIZONS, pooled_quality
from execution.reports import shared_settings
from execution.tca import BENCHMARKS, PARTS, pooled

if TYPE_CHECKING:
    from execution.costs.measurement import Measurement
    from execution.tca import ExecutionCost, Pooled

_TITLES: Final = {
    "arrival": "the arrival price",
    "vwap": "VWAP",
    "vwap_own": "VWAP with our volume",
    "twap": "TWAP",
}
_OF_MARKET: Final = {
    "effective_spread_bps": "effective spread",
    "markout_1m_bps": "markout after 1 min",
    "markout_5m_bps": "markout after 5 min",
    "reversion_5m_bps": "reversion, 5 min",
}


def summary_table(found: Sequence[Measurement]) -> Table:
    """Measures down, algorithms across: fits a narrow terminal, and the parts stand under their sum."""
    costs = [one.cost for one in found]
    members = _groups(found)
    groups = _pools(members)
    table = Table(**TABLE_STYLE)
    table.add_column("positive is worse", no_wrap=True)
    table.add_column("unit", style="dim", no_wrap=True)
    for name in groups:
        table.add_column(name, justify="right", no_wrap=True)

    def line(label: str, unit: str, cells: Iterable[str], *, style: str = "") -> None:
        table.add_row(label, unit, *cells, style=style)

    pools = list(groups.values())
    currency = _currency(costs)
    line("executions", "", (f"{pool.executions:,}" for pool in pools))
    if any(pool.measured < pool.executions for pool in pools):
        line("  with known shortfall", "", (f"{pool.measured:,}" for pool in pools))
    line("paper notional", currency, (money(pool.notional) for pool in pools))
    line("filled", "%", (percent(pool.fill_rate) for pool in pools))
    line("passive (maker)", "% of fills", (percent(pool.maker_share) for pool in pools))
    line("of market volume", "%", (percent(pool.participation, 3) for pool in pools))
    line("duration, median", "min:s", (clock(pool.duration_s) for pool in pools))
    table.add_row()
    line("implementation shortfall", "bps", (bps(pool.shortfall_bps) for pool in pools), style="bold")
    for part in PARTS:
        line(f"  {part}", "bps", (bps(getattr(pool.parts_bps, part)) for pool in pools))
    line("the same in money", currency, (money(pool.shortfall) for pool in pools))
    table.add_row()
    for name in BENCHMARKS:
        line(f"fills against {_TITLES[name]}", "bps", (bps(pool.against[name].bps) for pool in pools))
    told = [_of_market(group) for group in members.values()]
    for name, label in _OF_MARKET.items():
        values = [one[name] for one in told]
        if any(value == value for value in values):
            line(label, "bps", map(bps, values))
    return table


def _of_market(group: Sequence[Measurement]) -> dict[str, float]:
    """What the market beside the executions tells of their fills, pooled; NaN where there is none."""
    found = pooled_quality(one.quality for one in group)
    waits = [wait for one in group for wait in one.latencies_ms]
    strays = [one.schedule_deviation for one in group if one.schedule_deviation == one.schedule_deviation]
    return {
        "quoted_spread_bps": found.quoted.bps,
        "effective_spread_bps": found.effective.bps,
        **{f"markout_{name}_bps": found.markout["all"][name].bps for name in HORIZONS},
        **{f"maker_markout_{name}_bps": found.markout["maker"][name].bps for name in HORIZONS},
        **{f"taker_markout_{name}_bps": found.markout["taker"][name].bps for name in HORIZONS},
        **{f"reversion_{name}_bps": found.reversion[name].bps for name in HORIZONS},
        "latency_p50_ms": median(waits) if waits else math.nan,
        "schedule_deviation": math.fsum(strays) / len(strays) if strays else math.nan,
    }


def worst_table(costs: Sequence[ExecutionCost]) -> Table:
    table = Table(title="the executions that cost the most money", **TABLE_STYLE)
    table.add_column("start, UTC", no_wrap=True)
    table.add_column("execution", min_width=10, overflow="fold")
    several = len({cost.symbol for cost in costs}) > 1
    table.add_column("symbol, side, by" if several else "side, by")
    for name in ("filled %", _currency(costs) or "money", "bps"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("mostly", min_width=12, overflow="fold")
    for cost in costs:
        table.add_row(
            moment(cost.start_ts_ns)[:16].replace("T", " "),
            cost.execution_id,
            f"{cost.symbol + ' ' if several else ''}{cost.side} {cost.algo_type}",
            percent(cost.fill_rate),
            money(cost.shortfall),
            bps(cost.shortfall_bps),
            _mostly(cost),
        )
    return table


def _mostly(cost: ExecutionCost) -> str:
    """The largest part of a shortfall, in basis points."""
    shares = cost.parts.bps(cost.notional)
    known = [(share, name) for name, share in zip(PARTS, shares, strict=True) if share > 0]
    if not known:
        return ""
    share, name = max(known)
    return f"{name} {bps(share)}"


def document(
    path: Path,
    output: Path | None,
    found: Sequence[Measurement],
    dear: Sequence[ExecutionCost],
    settings: list[dict[str, Any]],
) -> dict[str, Any]:

    groups = _groups(found)
    pools = _pools(groups)
    by_id = {one.cost.execution_id: one for one in found}

    def summary(pool: Pooled, group: Sequence[Measurement]) -> dict[str, Any]:
        return {
            "executions": pool.executions,
            "measured": pool.measured,
            "notional": pool.notional,
            "fill_rate": pool.fill_rate,
            "maker_share": pool.maker_share,
            "participation": pool.participation,
            "median_duration_s": pool.duration_s,
            "shortfall": pool.shortfall,
            "shortfall_bps": pool.shortfall_bps,
            **{f"{name}_bps": getattr(pool.parts_bps, name) for name in PARTS},
            **{f"{name}_slippage_bps": pool.against[name].bps for name in BENCHMARKS},
            **_of_market(group),
            "impact_methods": sorted({one.impact_method.partition(":")[0] for one in group}),
        }

    return {
        "reports": str(path),
        "output": None if output is None else str(output),
        "algorithms": {name: summary(pool, groups[name]) for name, pool in pools.items()},
        "worst": [full_row(by_id[cost.execution_id]) for cost in dear],
        "remarks": [*remarks([one.cost for one in found]), *market_remarks(found)],
        "settings": shared_settings(settings),
    }


def _groups(found: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Each algorithm's executions, by name, and all of them where there are several."""
    names = sorted({one.cost.algo_type for one in found})
    groups = {name: [one for one in found if one.cost.algo_type == name] for name in names}
    return groups | ({"all": list(found)} if len(names) > 1 else {})


def _pools(groups: dict[str, list[Measurement]]) -> dict[str, Pooled]:
    return {name: pooled(one.cost for one in group) for name, group in groups.items()}


def _currency(costs: Sequence[ExecutionCost]) -> str:
    names = {cost.symbol.partition("/")[2] for cost in costs}
    return names.pop() if len(names) == 1 else ""
