"""`fillwright backtest`, `python -m backtest.runner`: a strategy over stored bars, executed in a simulated market."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import console, note, print_json, progress, run
from core.errors import ConfigError

if TYPE_CHECKING:
    from backtest.engine import BacktestResult
    from backtest.session import Session


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
@click.option("--venue", help="Whose data, where several venues have the symbol.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other ids and other chances.")
@click.option("--data-dir", default="data", show_default=True, type=_folder, help="Where the market data is stored.")
@click.option("--output-dir", default="var/backtest", show_default=True, type=_folder, help="Where the files go.")
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
    venue: str | None,
    seed: int,
    data_dir: Path,
    output_dir: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run a strategy over stored bars and execute what it wants.

    Parents are worked through the risk gate in a simulated market: spread, impact, fees, and at most a share of each
    bar's volume. Where nothing is stored yet, the SYNTHETIC sample market is made first. Writes executions.ndjson,
    fills.parquet, equity.parquet and run.json, all together or none.

    \b
      fillwright backtest --strategy trendline_break_v1 --symbol ATOM/USDT \\
          --start 2025-01-01 --end 2025-09-30 --execution-config config/execution.yaml --capital 10000
    """
    start_ns, end_ns = _period(start, end)
    from backtest.outputs import FILES, check_writable, write_run
    from backtest.session import Wanted, prepare, read_settings
    from backtest.summary import next_steps, notes, summarize, table
    from research.data_reader import DataReader

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
    )
    settings = read_settings(wanted)
    check_writable(output_dir)
    _ensure_data(data_dir, quiet=quiet)
    with progress("reading market data", quiet=quiet):
        session = prepare(settings, DataReader(data_dir))
    result = play(session, quiet=quiet)
    summary = summarize(result, capital=capital, multiplier=session.instrument.multiplier)
    about = session.about()
    document = write_run(output_dir, result, {**about, "summary": summary.to_dict()})
    if as_json:
        print_json({**document, "output_dir": str(output_dir)})
        return
    screen = console()
    screen.print(table(summary, about))
    if not quiet:
        for line in notes(summary, about):
            screen.print(line, style="dim", markup=False)
    for line in next_steps(output_dir, FILES):
        screen.print(line, markup=False, soft_wrap=True)  # to be copied


def play(session: Session, *, quiet: bool = True) -> BacktestResult:
    """Runs a session through a fresh gate, with progress on a terminal."""
    from backtest.engine import BacktestEngine
    from risk.gate import RiskGate

    settings = session.settings
    with progress(f"running {settings.strategy.strategy_id}", total=len(session.bars), quiet=quiet) as bar:
        engine = BacktestEngine(
            session.venue,
            settings.strategy,
            execution=settings.execution,
            gate=RiskGate(settings.limits),
            capital=settings.wanted.capital,
            seed=settings.wanted.seed,
            on_progress=bar.at,
        )
        return engine.run()


def _period(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Half-open nanoseconds of --start and --end; an end that is a day includes that day."""
    from research.times import DAY_NS, parse_ns

    start_ns = None if start is None else parse_ns(start, "--start")
    end_ns = None if end is None else parse_ns(end, "--end")
    if end is not None and end_ns is not None and _is_day(end):
        end_ns += DAY_NS
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ConfigError(f"--start must be before --end, was {start} and {end}")
    return start_ns, end_ns


def _is_day(text: str) -> bool:
    """Whether an ISO time is a date alone: 2025-09-30, 20250930 or 2025-W40-2."""
    return len(text.strip()) <= len("2025-09-30")


def _ensure_data(data_dir: Path, *, quiet: bool) -> None:
    """The sample market where no market data is stored at all; what is stored is never added to."""
    from research.store import Store

    if Store(data_dir).exists():
        return
    from research.sample import ensure_sample

    with ExitStack() as shown:

        def announce(line: str) -> None:
            note(line, quiet=quiet)
            shown.enter_context(progress("making the SYNTHETIC sample market", quiet=quiet))

        ensure_sample(data_dir, announce)


if __name__ == "__main__":
    run(command)
