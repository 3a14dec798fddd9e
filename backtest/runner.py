"""`fillwright backtest`, `python -m backtest.runner`: a strategy over stored bars, executed in a simulated market."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import console, note, print_json, progress, run
from execution.report.command import REPORT
from execution.routing.option import router_option

if TYPE_CHECKING:
    from backtest.engine import BacktestResult
    from backtest.session import Session
    from execution.routing.ledger import Ledger


def _finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"must be a finite number, was {value}")
    return value


def _positive(context: click.Context, parameter: click.Parameter, value: float) -> float:
    _finite(context, parameter, value)
    if value <= 0:
        raise click.BadParameter(f"must be above 0, was {value:g}")
    return value


_file = click.Path(path_type=Path)
_folder = click.Path(path_type=Path)


@click.command("backtest")
@click.option("--strategy", required=True, help="A strategy's id, or package.module:ClassName of your own.")
@click.option("--symbol", required=True, help="What to trade, such as ATOM/USDT.")
@click.option("--start", help="First day, such as 2025-01-01, or a time (UTC).  [default: the first bar]")
@click.option(
    "--end",
    help="Last day: 2025-09-30 goes to the end of that day. A time, 2025-09-30T12:00, ends there.  "
    "[default: the last bar]",
)
@click.option("--capital", default=10_000.0, show_default=True, callback=_positive, help="Money to start with.")
@click.option(
    "--execution-config", type=_file,
    help="How parents are worked, YAML.  [default: each parent is one market order]",
)  # fmt: skip
@click.option("--risk-config", type=_file, help="What orders may do, YAML.  [default: config/risk.yaml]")
@click.option(
    "--strategies-config", type=_file, help="Parameters of strategies, YAML.  [default: config/strategies.yaml]"
)  # fmt: skip
@click.option(
    "--commission", type=float, callback=_finite, metavar="BPS",
    help="Fee of makers and takers in basis points, in place of the venue's.",
)  # fmt: skip
@click.option(
    "--slippage-model", type=click.Choice(["square_root", "linear", "power", "almgren", "fixed_bps", "none"]),
    help="In place of the model in the execution config; its parameters stay.",
)  # fmt: skip
@router_option
@click.option(
    "--fills", type=click.Choice(["bars", "trades", "quotes", "book"]), default="bars", show_default=True,
    help="The recorded data that fill orders; a strategy of bars still decides at their closes.",
)  # fmt: skip
@click.option("--depth", type=_file, metavar="FILE", help="The levels of the order book, for --fills book.")
@click.option("--venue", help="Whose data, where several venues have the symbol.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other ids and other chances.")
@click.option("--data-dir", default="data", show_default=True, type=_folder, help="Where the market data is stored.")
@click.option("--output-dir", default="var/backtest", show_default=True, type=_folder, help="Where the files go.")
@click.option(
    "--report/--no-report", "wants_report", default=None,
    help="Write the HTML report to report/ in that folder.  [default: yes, but not with --json]",
)  # fmt: skip
@click.option(
    "--twin", is_flag=True, help="Add to every report what our orders did to the market (docs/simulation.md)."
)
@click.option("--quiet", is_flag=True, help="No progress and no remarks; the table only.")
@click.option("--json", "as_json", is_flag=True, help="Print run.json's content for machines instead of a table.")
def command(
    strategy: str,
    symbol: str,
    start: str | None,
    end: str | None,
    capital: float,
    execution_config: Path | None,
    risk_config: Path | None,
    strategies_config: Path | None,
    commission: float | None,
    slippage_model: Any,
    router: str | None,
    fills: Any,
    depth: Path | None,
    venue: str | None,
    seed: int,
    data_dir: Path,
    output_dir: Path,
    wants_report: bool | None,
    twin: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run a strategy over stored bars and execute what it wants.

    Parents are worked through the risk gate in a simulated market: spread, impact, fees, and at most a share of each
    bar's volume; with --fills, by recorded trades, quotes or books (docs/fill_models.md). Where nothing is stored yet,
    the SYNTHETIC sample market is made first. Writes executions.ndjson, fills.parquet, equity.parquet and run.json,
    all together or none, and report/index.html, which opens offline.

    \b
      fillwright backtest --strategy trendline_break_v1 --symbol ATOM/USDT \\
          --start 2025-01-01 --end 2025-09-30 --execution-config config/execution.yaml --capital 10000
    """
    from backtest.session import Wanted, prepare, read_settings
    from backtest.summary import next_steps, notes, summarize, table
    from execution.routing.ledger import Memory
    from execution.run_files import FILES, check_writable, write_run
    from execution.stored import asked_period, ensure_data
    from research.data_reader import DataReader

    start_ns, end_ns = asked_period(start, end)
    wanted = Wanted(
        strategy=strategy,
        symbol=symbol,
        start_ns=start_ns,
        end_ns=end_ns,
        capital=capital,
        execution_config=execution_config,
        risk_config=risk_config,
        strategies_config=strategies_config,
        commission_bps=commission,
        slippage_model=slippage_model,
        venue=venue,
        seed=seed,
        router=router,
        fills=fills,
        depth=depth,
    )
    settings = read_settings(wanted)
    check_writable(output_dir)
    reported = output_dir / REPORT if (not as_json if wants_report is None else wants_report) else None
    if reported is not None:
        from execution.report.folder import check_replaceable

        check_replaceable(reported)
    ensure_data(data_dir, quiet=quiet)
    with progress("reading market data", quiet=quiet):
        session = prepare(settings, DataReader(data_dir))
    ledger = Memory()
    result = play(session, ledger=ledger, quiet=quiet)
    if twin:
        from dataclasses import replace

        from execution.twin import with_twin

        result = replace(result, reports=with_twin(result.reports, session.venue))
    summary = summarize(result, capital=capital, multiplier=session.instrument.multiplier)
    about = session.about()
    document = write_run(
        output_dir,
        result,
        {**about, "summary": summary.to_dict()},
        lambda _execution: about["strategy"]["id"],
        routed=ledger.entries,
    )
    index = write_report(output_dir, reported, data_dir, quiet=quiet) if reported and result.reports else None
    if as_json:
        print_json({**document, "output_dir": str(output_dir)} | ({"report": str(index)} if index else {}))
        return
    screen = console()
    screen.print(table(summary, about))
    if not quiet:
        for line in notes(summary, about):
            screen.print(line, style="dim", markup=False)
    for line in next_steps(output_dir, FILES):
        screen.print(line, markup=False, soft_wrap=True)  # to be copied
    if index is not None:
        screen.print(f"report: {index}", markup=False, soft_wrap=True)
    elif (output_dir / REPORT).exists():
        note(f"{output_dir / REPORT} is of an earlier run: `fillwright report {output_dir}` renews it", quiet=quiet)


def write_report(output_dir: Path, folder: Path, data_dir: Path, *, quiet: bool) -> Path:
    """The HTML report of the run in `output_dir`, as `fillwright report` writes it. Returns the page to open."""
    from execution.report.command import write
    from execution.report.run import open_run

    return write(open_run(output_dir, data_dir=data_dir), folder, quiet=quiet)


def play(session: Session, *, ledger: Ledger | None = None, quiet: bool = True) -> BacktestResult:
    """Runs a session through a fresh gate, with progress on a terminal."""
    from backtest.engine import BacktestEngine
    from backtest.tick_engine import TickBacktestEngine
    from execution.routing.ledger import NOWHERE
    from execution.venue import Venue
    from risk.gate import RiskGate
    from strategies.base import Strategy

    settings, place, strategy = session.settings, session.venue, session.settings.strategy
    with progress(f"running {strategy.strategy_id}", total=len(session.bars), quiet=quiet) as bar:
        told: dict[str, Any] = {
            "execution": settings.execution,
            "gate": RiskGate(settings.limits, instruments={session.instrument.symbol: session.instrument}),
            "capital": settings.wanted.capital,
            "seed": settings.wanted.seed,
            "on_progress": bar.at,
        }
        if isinstance(place, Venue):
            assert isinstance(strategy, Strategy)  # `read_settings` has seen to it
            return BacktestEngine(place, strategy, ledger=ledger or NOWHERE, **told).run()
        return TickBacktestEngine(place, strategy, bars=session.bars, **told).run()


if __name__ == "__main__":
    run(command)
