"""The numbers of a report as frames: for notebooks, and for the CSV and Parquet files beside the pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError
from execution.analyze import row
from execution.contracts import ExecutionReport
from execution.report.groups import Group
from execution.tca import BENCHMARKS, PARTS

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from execution.report.run import Run


def costs_frame(run: Run) -> pl.DataFrame:
    """One row per execution: `fillwright analyze`'s columns, then volatility (a share, per day), daily volume (base)
    and the ordered quantity's share of it, as known before the start; null where unknown."""
    import polars as pl

    rows = []
    for cost in run.measured:
        volatility, daily = run.around(cost).before(cost.start_ts_ns)
        share = cost.total_quantity / daily if daily > 0 else math.nan
        rows.append({**row(cost), "daily_volatility": volatility, "daily_volume": daily, "size_of_day": share})
    return _frame(rows, {"end_ts_ns": pl.Int64, "unfilled_reason": pl.String})


def groups_frame(groups: Iterable[Group]) -> pl.DataFrame:
    """One row per group: counts, money, and basis points of paper notional with the interval's ends."""
    import polars as pl

    rows = [
        {
            "by": group.by,
            "group": group.name,
            "executions": group.executions,
            "known": group.known,
            "days": group.days,
            "notional": group.notional,
            "fill_rate": group.fill_rate,
            "shortfall": group.shortfall,
            "shortfall_bps": group.shortfall_bps,
            "low_95_bps": group.interval.low,
            "high_95_bps": group.interval.high,
            "median_bps": group.median_bps,
            **{f"{name}_bps": getattr(group.parts_bps, name) for name in PARTS},
        }
        for group in groups
    ]
    return _frame(rows, {"by": pl.String, "group": pl.String})


def summary_frame(run: Run) -> pl.DataFrame:
    """The headline numbers, one a row: name, unit, value."""
    total = run.total
    rows: list[tuple[str, str, float]] = [
        ("executions", "", total.executions),
        ("executions with known shortfall", "", total.measured),
        ("paper notional", run.currency, total.notional),
        ("shortfall", run.currency, total.shortfall),
        ("shortfall", "bps", total.shortfall_bps),
        *((name, run.currency, getattr(total.parts, name)) for name in PARTS),
        *((name, "bps", getattr(total.parts_bps, name)) for name in PARTS),
        *((f"fills against {name}", "bps", total.against[name].bps) for name in BENCHMARKS),
        ("filled", "share", total.fill_rate),
        ("maker", "share", total.maker_share),
        ("of market volume", "share", total.participation),
        ("median duration", "s", total.duration_s),
    ]
    return _frame([{"figure": name, "unit": unit, "value": float(value)} for name, unit, value in rows], {})


def fills_frame(run: Run) -> pl.DataFrame:
    """One row per fill, half spread and impact in price units; null where the fill does not say."""
    import polars as pl

    rows = [fill_row(report, fill_no) for report in run.reports for fill_no in range(len(report.fills))]
    texts = dict.fromkeys(("execution_id", "fill_id", "order_id", "symbol", "side", "liquidity"), pl.String)
    numbers = dict.fromkeys(("qty", "price", "fee", "half_spread", "impact"), pl.Float64)
    return _frame(rows, {**texts, **numbers, "ts_fill_ns": pl.Int64})


def fill_row(report: ExecutionReport, fill_no: int) -> dict[str, Any]:
    fill = report.fills[fill_no]
    return {
        "execution_id": report.execution_id,
        "fill_id": fill.fill_id,
        "order_id": fill.order_id,
        "symbol": fill.symbol,
        "side": fill.side,
        "qty": fill.qty,
        "price": fill.price,
        "ts_fill_ns": fill.ts_fill_ns,
        "fee": fill.fee,
        "liquidity": fill.liquidity,
        **{name: told(fill.meta.get(name)) for name in ("half_spread", "impact")},
    }


def told(value: object) -> float:
    """A number of a fill's meta; NaN for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def handed_out(frame: pl.DataFrame, form: str) -> pd.DataFrame | pl.DataFrame:
    """The frame in pandas (which takes no pyarrow) or polars. Raises ConfigError for another word."""
    import polars as pl

    if form == "polars":
        return frame
    if form != "pandas":
        raise ConfigError(f"format must be pandas or polars, was {form!r}")
    import pandas as pd

    columns = {column.name: column.to_list() if column.dtype == pl.String else column.to_numpy() for column in frame}
    return pd.DataFrame(columns, columns=frame.columns)


def _frame(rows: Sequence[dict[str, Any]], kinds: dict[str, Any]) -> pl.DataFrame:
    import polars as pl

    if not rows:
        return pl.DataFrame(schema=kinds)
    frame = pl.DataFrame(rows, schema_overrides={name: kind for name, kind in kinds.items() if name in rows[0]})
    return frame.with_columns(pl.selectors.float().fill_nan(None))
