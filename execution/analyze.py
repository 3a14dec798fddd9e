"""`fillwright analyze`, `python -m execution.analyze`: what the executions of a run cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from core.console import console, print_json, progress, run
from core.errors import DataError, nearest

if TYPE_CHECKING:
    from rich.table import Table

    from execution.tca import ExecutionCost, Pooled

DEFAULT_REPORTS: Final = Path("var/backtest/executions.ndjson")
TABLE_STYLE: Final[dict[str, Any]] = {
    "box": None,
    "padding": (0, 2, 0, 0),
    "pad_edge": False,
    "header_style": "bold",
    "title_justify": "left",
    "title_style": "bold",
}
_TITLES: Final = {
    "arrival": "the arrival price",
    "vwap": "VWAP",
    "vwap_own": "VWAP with our volume",
    "twap": "TWAP",
}
_FILTERS: Final = {"strategy": "strategy_id", "symbol": "symbol", "algo": "algo_type"}


@click.command("analyze")
@click.option(
    "--execution-reports", "reports", default=DEFAULT_REPORTS, show_default=True, type=click.Path(path_type=Path),
    help="Execution reports, NDJSON.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path),
    help="Write one row per execution to this file, CSV, or Parquet where it ends in .parquet.",
)  # fmt: skip
@click.option("--strategy", help="Only this strategy's executions.")
@click.option("--symbol", help="Only executions in this symbol.")
@click.option("--algo", help="Only executions by this algorithm.")
@click.option(
    "--worst", type=click.IntRange(min=0), default=5, show_default=True, metavar="N",
    help="List the N executions that cost the most money.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables.")
def command(
    reports: Path,
    output: Path | None,
    strategy: str | None,
    symbol: str | None,
    algo: str | None,
    worst: int,
    as_json: bool,
) -> None:
    """What the executions of a run cost.

    \b
    Implementation shortfall = delay + spread + impact + timing + opportunity + fees, in basis points of the paper
    trade (ordered quantity at the decision price), and slippage of the fills against arrival, interval VWAP and TWAP.
    Positive is worse, for buys and for sells. docs/tca.md explains every number.

    \b
      fillwright analyze --output execution_analysis.csv
      fillwright analyze --execution-reports var/backtest/executions.ndjson --algo TWAP --worst 10
    """
    from execution.reports import provenance

    if output is not None and output.exists() and reports.exists() and output.samefile(reports):
        raise DataError(f"{output} is the file of the execution reports: choose another --output")
    costs, settings = read_costs(reports)
    costs = _only(costs, {"strategy": strategy, "symbol": symbol, "algo": algo}, reports)
    if output is not None:
        write_costs(output, costs)
    dear = worst_of(costs, worst)
    foot = provenance(settings)
    if as_json:
        print_json(_document(reports, output, costs, dear, settings))
        return
    screen = console()
    screen.print(f"cost of execution: {reports}", style="bold", markup=False, soft_wrap=True)
    screen.print(_summary_table(costs))
    if dear:
        screen.print()
        screen.print(_worst_table(dear))
    screen.print()
    for line in [*remarks(costs), *foot]:
        screen.print(line, style="dim", markup=False)
    if output is not None:
        screen.print(f"{len(costs)} executions written to {output}", markup=False, soft_wrap=True)


def read_costs(path: Path) -> tuple[list[ExecutionCost], list[dict[str, Any]]]:
    """Every execution of a file, measured, and the different settings they ran under. Raises DataError."""
    from execution.reports import read_reports
    from execution.tca import measure

    costs: list[ExecutionCost] = []
    settings: list[dict[str, Any]] = []
    with progress(f"reading {path.name}") as bar:
        for report in read_reports(path):
            costs.append(measure(report))
            if report.settings not in settings:
                settings.append(report.settings)
            bar.advance()
    return costs, settings


def write_costs(path: Path, costs: Sequence[ExecutionCost]) -> None:
    """One row per execution, whole or not at all; an unknown number is an empty cell. Raises DataError."""
    import polars as pl

    from execution.reports import whole_file

    may_be_none: dict[str, Any] = {"end_ts_ns": pl.Int64, "unfilled_reason": pl.String}
    frame = pl.DataFrame([row(cost) for cost in costs], schema_overrides=may_be_none)
    frame = frame.with_columns(pl.selectors.float().fill_nan(None))
    with whole_file(path) as partial:
        if path.suffix == ".parquet":
            frame.write_parquet(partial)
        else:
            frame.write_csv(partial)


def row(cost: ExecutionCost) -> dict[str, Any]:
    """One flat row, the columns of the CSV file: money in quote currency, times in UTC, see docs/tca.md."""
    from execution.tca import BENCHMARKS, PARTS

    shares = cost.parts.bps(cost.notional)
    return {
        "execution_id": cost.execution_id,
        "parent_intent_id": cost.parent_intent_id,
        "strategy_id": cost.strategy_id,
        "symbol": cost.symbol,
        "venue": cost.venue,
        "algo_type": cost.algo_type,
        "side": cost.side,
        "status": cost.status,
        "start": _moment(cost.start_ts_ns),
        "start_ts_ns": cost.start_ts_ns,
        "end_ts_ns": cost.end_ts_ns,
        "duration_s": cost.duration_s,
        "total_quantity": cost.total_quantity,
        "filled_quantity": cost.filled_quantity,
        "fill_rate": cost.fill_rate,
        "fills": cost.fills,
        "maker_share": cost.maker_share,
        "market_volume": cost.market_volume,
        "participation": cost.participation,
        "avg_fill_price": cost.avg_fill_price,
        "decision_price": cost.decision_price,
        "arrival_price": cost.arrival_price,
        "end_price": cost.end_price,
        "vwap": cost.against["vwap"].price,
        "vwap_own": cost.against["vwap_own"].price,
        "twap": cost.against["twap"].price,
        "notional": cost.notional,
        **{name: getattr(cost.parts, name) for name in PARTS},
        "shortfall": cost.shortfall,
        **{f"{name}_bps": getattr(shares, name) for name in PARTS},
        "shortfall_bps": cost.shortfall_bps,
        **{f"{name}_slippage_bps": cost.against[name].bps for name in BENCHMARKS},
        "unfilled_reason": cost.unfilled_reason,
        "denials": len(cost.denials),
        "flags": " ".join(cost.flags),
    }


def worst_of(costs: Iterable[ExecutionCost], count: int) -> list[ExecutionCost]:
    """The executions that cost the most money, dearest first; those whose shortfall is unknown are left out."""
    known = [cost for cost in costs if cost.shortfall == cost.shortfall]
    return sorted(known, key=lambda cost: (-cost.shortfall, cost.execution_id))[:count]


def remarks(costs: Sequence[ExecutionCost]) -> list[str]:
    """What a reader of the table must know: why quantity was left, every flag with its count, mixed currencies."""
    from execution.tca import FLAGS

    counts = {flag: sum(flag in cost.flags for cost in costs) for flag in FLAGS}
    reasons = Counter(cost.unfilled_reason for cost in costs if cost.unfilled_reason)
    lines = [f"{count} of {len(costs)} not filled to the end: {reason}" for reason, count in reasons.most_common(5)]
    lines += [f"{count} of {len(costs)}: {FLAGS[flag]}" for flag, count in counts.items() if count]
    currencies = sorted({cost.symbol.partition("/")[2] for cost in costs})
    if len(currencies) > 1:
        named = ", ".join(name or "unknown" for name in currencies)
        lines.append(f"money of different quote currencies ({named}) is added as it stands: use --symbol")
    return lines


def _only(costs: list[ExecutionCost], wanted: dict[str, str | None], path: Path) -> list[ExecutionCost]:
    for option, value in wanted.items():
        if value is None:
            continue
        field = _FILTERS[option]
        kept = [cost for cost in costs if getattr(cost, field).casefold() == value.casefold()]
        if not kept:
            known = {str(getattr(cost, field)) for cost in costs}
            raise DataError(f"{path} has no execution with --{option} {value}: {nearest(value, known)}")
        costs = kept
    return costs


def _groups(costs: Sequence[ExecutionCost]) -> dict[str, Pooled]:
    """Each algorithm's executions pooled, by name, and all of them where there are several."""
    from execution.tca import pooled

    names = sorted({cost.algo_type for cost in costs})
    groups = {name: pooled(cost for cost in costs if cost.algo_type == name) for name in names}
    return groups | ({"all": pooled(costs)} if len(names) > 1 else {})


def _summary_table(costs: Sequence[ExecutionCost]) -> Table:
    """Measures down, algorithms across: fits a narrow terminal, and the parts stand under their sum."""
    from rich.table import Table

    from execution.tca import BENCHMARKS, PARTS

    groups = _groups(costs)
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
    return table


def _worst_table(costs: Sequence[ExecutionCost]) -> Table:
    from rich.table import Table

    table = Table(title="the executions that cost the most money", **TABLE_STYLE)
    table.add_column("start, UTC", no_wrap=True)
    table.add_column("execution", min_width=10, overflow="fold")
    several = len({cost.symbol for cost in costs}) > 1
    table.add_column("symbol, side, by" if several else "side, by", no_wrap=True)
    for name in ("filled %", _currency(costs) or "money", "bps"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("mostly", min_width=12)
    for cost in costs:
        table.add_row(
            _moment(cost.start_ts_ns)[:16].replace("T", " "),
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
    from execution.tca import PARTS

    shares = cost.parts.bps(cost.notional)
    known = [(share, name) for name, share in zip(PARTS, shares, strict=True) if share > 0]
    if not known:
        return ""
    share, name = max(known)
    return f"{name} {bps(share)}"


def _document(
    path: Path,
    output: Path | None,
    costs: Sequence[ExecutionCost],
    dear: Sequence[ExecutionCost],
    settings: list[dict[str, Any]],
) -> dict[str, Any]:
    from execution.reports import shared_settings
    from execution.tca import BENCHMARKS, PARTS

    def summary(pool: Pooled) -> dict[str, Any]:
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
        }

    return {
        "reports": str(path),
        "output": None if output is None else str(output),
        "algorithms": {name: summary(pool) for name, pool in _groups(costs).items()},
        "worst": [row(cost) for cost in dear],
        "remarks": remarks(costs),
        "settings": shared_settings(settings),
    }


def _moment(ts_ns: int) -> str:
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def _currency(costs: Sequence[ExecutionCost]) -> str:
    names = {cost.symbol.partition("/")[2] for cost in costs}
    return names.pop() if len(names) == 1 else ""


def bps(value: float) -> str:
    """Basis points for tables: two decimals, a dash for unknown, and no minus before a zero."""
    return "-" if value != value else f"{round(value, 2) + 0.0:,.2f}"


def money(value: float) -> str:
    """Money for tables: cents up to ten thousand."""
    return f"{value:,.0f}" if abs(value) >= 1e4 else bps(value)


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent; what is not quite 100 % never reads 100."""
    if share != share:
        return "-"
    text = f"{100 * share:.{digits}f}"
    return f">{100 - 10**-digits:.{digits}f}" if share < 1 and float(text) >= 100 else text


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    if seconds != seconds:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


if __name__ == "__main__":
    run(command)
