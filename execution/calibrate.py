"""`fillwright calibrate`: what size costs, from our own executions or from public trades and quotes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from core.console import console, note, print_json, progress, run
from core.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from execution.costs.observations import Observed
    from research.calibration.executions import OrderCalibration

DEFAULT_OUTPUT: Final = Path("var/calibration.yaml")

_data_dir = click.option(
    "--data-dir", default="data", show_default=True, type=click.Path(path_type=Path, file_okay=False),
    help="Where the market data is stored.",
)  # fmt: skip
_output = click.option(
    "--output", default=DEFAULT_OUTPUT, show_default=True, type=click.Path(path_type=Path),
    help="Write the result to this YAML file.",
)  # fmt: skip
_venue = click.option("--venue", help="The venue whose market data is used.")
_resamples = click.option(
    "--resamples", default=2000, show_default=True, type=click.IntRange(100, 100_000),
    help="Resamples behind the intervals.",
)  # fmt: skip
_seed = click.option("--seed", default=0, show_default=True, help="Seed of the resamples.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables.")


@click.group("calibrate")
def command() -> None:
    """What size costs, measured, with intervals, and against a constant.

    \b
    Both commands write a file that config/execution.yaml can name:
      execution:
        slippage:
          calibration: ../var/calibration.yaml
    docs/calibration.md explains every number, and how far to trust it.
    """


@command.command("executions", short_help="From our own executions.")
@click.argument("reports", type=click.Path(path_type=Path))
@click.option("--symbol", help="Only executions in this symbol.")
@click.option(
    "--law", default="square_root", show_default=True, type=click.Choice(["square_root", "almgren"]),
    help="The law to use where it beats a constant; all of them are shown.",
)  # fmt: skip
@click.option(
    "--permanent-share", default=1 / 3, show_default="1/3", type=click.FloatRange(0, 1),
    help="The part of the square root's impact that stays, as in execution.yaml.",
)  # fmt: skip
@_venue
@_resamples
@_seed
@_output
@_data_dir
@_as_json
def executions_command(
    reports: Path,
    symbol: str | None,
    law: Any,
    permanent_share: float,
    venue: str | None,
    resamples: int,
    seed: int,
    output: Path,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Fit laws of impact to the executions in REPORTS (executions.ndjson of a backtest, or of live trading).

    Volatility and volume are those of the days before each execution, from the market data store.

    \b
      fillwright calibrate executions var/backtest/executions.ndjson
      fillwright calibrate executions executions.ndjson --symbol ATOM/USDT --law almgren --output atom.yaml
    """
    from execution.costs.observations import observe
    from research.calibration.executions import calibrate_orders
    from research.calibration.result import executions_document, moments, plain, write
    from research.data_reader import DataReader

    _not_the_input(output, reports)
    chosen = _chosen(reports, symbol)
    with progress("calibrating"):
        observed = observe(chosen, DataReader(data_dir), venue=venue)
        found = calibrate_orders(
            observed.orders,
            ordered=observed.ordered,
            permanent_share=permanent_share,
            wanted=law,
            resamples=resamples,
            seed=seed,
        )
    document = plain(
        executions_document(found)
        | {
            "period": moments(observed.start_ns, observed.end_ns),
            "reports": observed.reports,
            "left_out": observed.left_out,
            "warnings": [*observed.warnings, *found.remarks],
            "data": observed.data,
        }
    )
    write(output, document)
    if as_json:
        print_json(document | {"output": str(output)})
        return
    _show_executions(found, observed, document)
    note(f"written to {output}")


@command.command("market", short_help="From public trades and quotes.")
@click.option("--symbol", required=True, help="Such as ATOM/USDT.")
@click.option("--start", help="First time, such as 2025-01-01.")
@click.option("--end", help="Time after the last.")
@click.option(
    "--interval", default=60, show_default=True, type=click.IntRange(1, 3600), metavar="SECONDS",
    help="Length of the intervals of the regressions.",
)  # fmt: skip
@click.option(
    "--mid", type=click.Choice(["quotes", "bars", "trades"]),
    help="Where mids come from.  [default: quotes where stored, else one-minute bars, else trades]",
)  # fmt: skip
@click.option(
    "--quote-lag-ms", default=0, show_default=True, type=click.IntRange(0, 60_000),
    help="Trades are reported this much later than quotes.",
)  # fmt: skip
@click.option(
    "--day-hours", default=24.0, show_default=True, type=click.FloatRange(0.5, 24),
    help="Hours of trading that make a day of volatility and volume; 6.5 for US stocks.",
)  # fmt: skip
@_venue
@_resamples
@_seed
@_output
@_data_dir
@_as_json
def market_command(
    symbol: str,
    start: str | None,
    end: str | None,
    interval: int,
    mid: Any,
    quote_lag_ms: int,
    day_hours: float,
    venue: str | None,
    resamples: int,
    seed: int,
    output: Path,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Measure a market: spread, volatility, volume by hour, and how order flow moves its price.

    \b
      fillwright calibrate market --symbol BTC/USDT --venue binance
      fillwright calibrate market --symbol IBM --day-hours 6.5 --interval 300
    """
    from research.calibration.market import calibrate_market
    from research.calibration.public import read_public
    from research.calibration.result import market_document, plain, write
    from research.calibration.screen import show_market
    from research.data_reader import DataReader
    from research.times import parse_ns

    with progress(f"measuring {symbol}"):
        public = read_public(
            DataReader(data_dir),
            symbol,
            venue=venue,
            start_ns=None if start is None else parse_ns(start, "start"),
            end_ns=None if end is None else parse_ns(end, "end"),
            mid=mid,
            lag_ns=quote_lag_ms * 1_000_000,
        )
        found = calibrate_market(public, interval_s=interval, day_hours=day_hours, resamples=resamples, seed=seed)
    document = plain(market_document(found))
    write(output, document)
    if as_json:
        print_json(document | {"output": str(output)})
        return
    show_market(console(), found)
    note(f"written to {output}")


def _chosen(path: Path, symbol: str | None) -> list[Any]:
    from execution.reports import read_reports

    reports = list(read_reports(path))
    if symbol is None:
        return reports
    kept = [report for report in reports if report.symbol == symbol]
    if not kept:
        known = {report.symbol for report in reports}
        raise DataError(f"{path} has no execution in {symbol!r}: {nearest(symbol, known)}")
    return kept


def _not_the_input(output: Path, reports: Path) -> None:
    if output.exists() and reports.exists() and output.samefile(reports):
        raise ConfigError(f"{output} is the file of the execution reports: choose another --output")


def _show_executions(found: OrderCalibration, observed: Observed, document: dict[str, Any]) -> None:
    from research.calibration.screen import show_orders

    left = sum(observed.left_out.values())
    why = ", ".join(f"{count} {reason}" for reason, count in observed.left_out.items())
    lines = [f"{left} of {observed.reports} executions left out: {why}"] if left else []
    show_orders(console(), found, document["period"], [*lines, *document["warnings"]])


if __name__ == "__main__":
    run(command)
