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
    from execution.costs.measurement import Measurement
    from execution.tca import ExecutionCost

DEFAULT_REPORTS: Final = Path("var/backtest/executions.ndjson")
TABLE_STYLE: Final[dict[str, Any]] = {
    "box": None,
    "padding": (0, 2, 0, 0),
    "pad_edge": False,
    "header_style": "bold",
    "title_justify": "left",
    "title_style": "bold",
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
@click.option(
    "--data-dir", type=click.Path(path_type=Path),
    help="Market data beside the reports, for markouts, PWP, day prices, and prices that the reports lack.",
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
    data_dir: Path | None,
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
      fillwright analyze --data-dir data --json
      fillwright analyze --execution-reports var/backtest/executions.ndjson --algo TWAP --worst 10
    """
    from execution.costs.analyze_tables import document, summary_table, worst_table
    from execution.reports import provenance

    if output is not None and output.exists() and reports.exists() and output.samefile(reports):
        raise DataError(f"{output} is the file of the execution reports: choose another --output")
    found, settings = read_measurements(reports, data_dir)
    found = _only(found, {"strategy": strategy, "symbol": symbol, "algo": algo}, reports)
    costs = [one.cost for one in found]
    if output is not None:
        write_measurements(output, found)
    dear = worst_of(costs, worst)
    foot = provenance(settings)
    if as_json:
        print_json(document(reports, output, found, dear, settings))
        return
    screen = console()
    screen.print(f"cost of execution: {reports}", style="bold", markup=False, soft_wrap=True)
    screen.print(summary_table(found))
    if dear:
        screen.print()
        screen.print(worst_table(dear))
    screen.print()
    for line in [*remarks(costs), *market_remarks(found), *foot]:
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


def read_measurements(path: Path, data_dir: Path | None) -> tuple[list[Measurement], list[dict[str, Any]]]:
    """Every execution of a file with the market beside it, and the different settings they ran under.

    data_dir: None measures them from their reports alone. Raises DataError, also for a folder without market data.
    """
    from execution.performance import ExecutionPerformanceTracker
    from execution.reports import read_reports
    from research.data_reader import DataReader

    reader = None if data_dir is None else DataReader(data_dir)
    if reader is not None and not reader.describe():
        raise DataError(f"{data_dir} holds no market data: name the folder that `fillwright data` wrote to")
    tracker = ExecutionPerformanceTracker(reader)
    found: list[Measurement] = []
    settings: list[dict[str, Any]] = []
    with progress(f"reading {path.name}") as bar:
        for report in read_reports(path):
            found.append(tracker.measurement(report))
            if report.settings not in settings:
                settings.append(report.settings)
            bar.advance()
    return found, settings


def write_measurements(path: Path, found: Sequence[Measurement]) -> None:
    """One row per execution, whole or not at all; an unknown number is an empty cell. Raises DataError."""
    import polars as pl

    from execution.reports import whole_file

    may_be_none: dict[str, Any] = {"end_ts_ns": pl.Int64, "unfilled_reason": pl.String, "market_source": pl.String}
    frame = pl.DataFrame([full_row(one) for one in found], schema_overrides=may_be_none)
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
        "start": moment(cost.start_ts_ns),
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


def full_row(found: Measurement) -> dict[str, Any]:
    """`row`, and behind it what the market beside the report and the fills' times tell; flags are of both."""
    return {**row(found.cost), **found.row(), "flags": " ".join(found.flags)}


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


def market_remarks(found: Sequence[Measurement]) -> list[str]:
    """What a reader must know of the market beside the reports, where one was asked for, with counts."""
    from execution.costs.measurement import FLAGS

    counts = {flag: sum(flag in one.flags for one in found) for flag in FLAGS}
    if counts["no_market_record"] == len(found):
        return []
    return [f"{count} of {len(found)}: {FLAGS[flag]}" for flag, count in counts.items() if count]


def _only(found: list[Measurement], wanted: dict[str, str | None], path: Path) -> list[Measurement]:
    for option, value in wanted.items():
        if value is None:
            continue
        field = _FILTERS[option]
        kept = [one for one in found if getattr(one.cost, field).casefold() == value.casefold()]
        if not kept:
            known = {str(getattr(one.cost, field)) for one in found}
            raise DataError(f"{path} has no execution with --{option} {value}: {nearest(value, known)}")
        found = kept
    return found


def moment(ts_ns: int) -> str:
    """The time in UTC, to the millisecond."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


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
