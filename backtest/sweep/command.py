"""`fillwright sweep`, `python -m backtest.sweep.command`: many settings, and what chance makes of the best."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import FAILED, console, note, print_json, progress, run
from execution.analyze import TABLE_STYLE, bps, percent

if TYPE_CHECKING:
    from rich.table import Table

    from backtest.sweep.leaderboard import By, Leaderboard, Place
    from backtest.sweep.plan import Plan
    from backtest.sweep.pools import BackendName

MOST_REASONS_LISTED = 10


@click.command("sweep")
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="What to try, YAML.  [default: config/sweep.yaml]"
)
@click.option(
    "--backend", type=click.Choice(["loky", "dask", "ray"]), default="loky", show_default=True,
    help="Where tasks run: processes of this machine, or a cluster.",
)  # fmt: skip
@click.option("--address", help="Of a Dask scheduler or a Ray cluster.  [default: one is started on this machine]")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Processes here.  [default: one for each core]"
)
@click.option(
    "--by", type=click.Choice(["shortfall", "arrival", "vwap", "twap", "return"]),
    help="What settings are ranked by.  [default: return of backtests, shortfall of parents]",
)  # fmt: skip
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="Places to list.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap and the sign flips.")
@click.option("--fresh", is_flag=True, help="Compute everything again, kept or not.")
@click.option(
    "--data-dir", default="data", show_default=True, help="Where the market data is stored, as every worker sees it."
)
@click.option(
    "--output-dir", default="var/sweep", show_default=True, type=click.Path(path_type=Path),
    help="Where results go, and where those of an earlier run are found.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress and no remarks; the table only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of a table.")
def command(
    file: Path | None,
    backend: BackendName,
    address: str | None,
    workers: int | None,
    by: By | None,
    top: int,
    seed: int,
    fresh: bool,
    data_dir: str,
    output_dir: Path,
    quiet: bool,
    as_json: bool,
) -> int | None:
    """Try many settings under the same conditions, and say what chance makes of the best.

    Every finished task is kept: a sweep that was stopped goes on where it was, and one that is extended computes what
    is new. A task that fails is named and the others go on; then the exit code is 1. Writes results.parquet, a row for
    each task with its settings. Where nothing is stored yet, the SYNTHETIC sample market is made first. docs/sweeps.md.

    \b
      fillwright sweep --config config/sweep.yaml
      fillwright sweep --config sweep.yaml --backend dask --address tcp://scheduler:8786 --data-dir s3://bucket/data
    """
    from backtest.sweep.leaderboard import rank
    from backtest.sweep.plan import plan
    from backtest.sweep.run import sweep
    from backtest.sweep.settings import BacktestStudy, load_sweep
    from backtest.sweep.table import RESULTS
    from core import config
    from core.errors import ConfigError
    from execution.run_files import check_writable
    from execution.stored import ensure_data
    from research.data_reader import DataReader

    source = file or config.find("sweep.yaml")
    if source is None:
        raise ConfigError("config/sweep.yaml does not exist: write it, or name one with --config")
    settings = load_sweep(source)
    earns = isinstance(settings.study, BacktestStudy)
    if by == "return" and not earns:
        raise ConfigError("--by return: a study of parents earns nothing; rank it by shortfall, arrival, vwap or twap")
    by = by or ("return" if earns else "shortfall")
    check_writable(output_dir)
    ensure_data(Path(data_dir), quiet=quiet)
    reader = DataReader(data_dir)
    planned = plan(settings, reader, str(source))
    place = reader.store.data_dir
    where = str(place.absolute() if isinstance(place, Path) else place)
    found = sweep(
        planned, where, output_dir, backend=backend, address=address, workers=workers, fresh=fresh, quiet=quiet
    )
    with progress("comparing settings", quiet=quiet):
        board = rank(planned, found.results, by, shown=top, seed=seed)
    failures = [{"task": planned.describe(planned.tasks[k]), "error": why} for k, why in found.failures.items()]
    if as_json:
        print_json(
            {
                "leaderboard": board,
                "tasks": len(planned.tasks),
                "computed": found.computed,
                "kept": found.kept,
                "failures": failures,
                "results": str(output_dir / RESULTS),
            }
        )
        return FAILED if failures else None
    screen = console()
    if board.places:
        screen.print(_table(board, planned))
        screen.print()
    screen.print(board.verdict, style="bold", markup=False)
    if not quiet:
        screen.print()
        for line in board.remarks:
            screen.print(line, style="dim", markup=False)
    screen.print(
        f"{len(planned.tasks):,} tasks: {found.computed:,} computed, {found.kept:,} kept from before, "
        f"{len(failures):,} failed; written to {output_dir / RESULTS}",
        markup=False,
        soft_wrap=True,
    )
    for line in _reasons(failures, str(output_dir / RESULTS)):
        note(line)
    return FAILED if failures else None


def _reasons(failures: list[dict[str, str]], results: str) -> Iterator[str]:
    """A line for each reason, with the first task that it stopped; what stops one task often stops many."""
    tasks: dict[str, list[str]] = {}
    for one in failures:
        tasks.setdefault(one["error"], []).append(one["task"])
    for why, stopped in list(tasks.items())[:MOST_REASONS_LISTED]:
        others = f" and {len(stopped) - 1:,} more" if len(stopped) > 1 else ""
        yield f"failed: {stopped[0]}{others}: {why}"
    if len(tasks) > MOST_REASONS_LISTED:
        yield f"and {len(tasks) - MOST_REASONS_LISTED:,} more reasons: the column `error` of {results}"


def _table(board: Leaderboard, planned: Plan) -> Table:
    from rich.table import Table

    earns = board.by == "return"
    what = {"return": "return a day, of equity", "shortfall": "implementation shortfall"}.get(
        board.by, f"fills against {board.by}"
    )
    sign = "positive is better" if earns else "positive is worse"
    under = "one condition" if len(planned.conditions) == 1 else f"{len(planned.conditions):,} conditions"
    title = f"{board.tried:,} settings under {under}: {what}, in basis points; {sign}"
    table = Table(title=title, **TABLE_STYLE)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("setting", overflow="fold", min_width=12)
    for name in ("days" if earns else "orders", "mean", "95 % interval", "filled %", "behind", "95 % interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in board.places:
        figures = (f"{one.n:,}", bps(one.mean), _span(one.interval), percent(one.fill_rate))
        table.add_row(f"{one.rank}", one.label, *figures, *_behind(one))
    return table


def _behind(one: Place) -> tuple[str, str, str]:
    """A first place is behind nobody."""
    if one.rank == 1:
        return "", "", ""
    p = "-" if math.isnan(one.p) else "<0.001" if one.p < 0.001 else f"{one.p:.3f}"
    return bps(one.behind), _span(one.behind_interval), p


def _span(interval: Any) -> str:
    return f"{bps(interval.low)} to {bps(interval.high)}" if math.isfinite(interval.low) else "-"


if __name__ == "__main__":
    run(command)
