"""`fillwright import-fills`: orders and fills that were traded elsewhere, into execution reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from core.console import console, print_json, run
from core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from execution.foreign.layout import Layout
    from execution.foreign.reading import Imported

_NAMES: Final = 12


@click.command("import-fills")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output", default=Path("executions.ndjson"), show_default=True, type=click.Path(path_type=Path),
    help="Where the execution reports go, NDJSON.",
)  # fmt: skip
@click.option(
    "--format", "form", default="auto", show_default=True, type=click.Choice(["auto", "table", "ccxt", "fix"]),
    help="What the files are: CSV or Parquet, ccxt's fetchMyTrades as JSON, FIX execution reports.",
)  # fmt: skip
@click.option(
    "--orders", type=click.Path(path_type=Path), help="The file of orders, where FILE holds only their fills."
)
@click.option("--map", "layout_file", type=click.Path(path_type=Path), help="Column map and units, YAML.")
@click.option("--preset", "preset_name", help="A ready-made map: binance-trades, binance-trades-2018, ibkr-flex.")
@click.option("--column", multiple=True, metavar="OURS=THEIRS", help="Which column is which, qty=filled_size.")
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only rows with this value.")
@click.option("--side", "sides", multiple=True, metavar="WORD=buy|sell", help="What a word for a side means.")
@click.option("--status", "statuses", multiple=True, metavar="WORD=STATUS",
              help="What a word means: running, completed, cancelled or failed.")  # fmt: skip
@click.option("--rename", multiple=True, metavar="THEIRS=OURS", help="What to call a symbol, ATOMUSDT=ATOM/USDT.")
@click.option("--symbol", help="Only this symbol; also what rows are about that name none.")
@click.option("--venue", help="Where it was traded, for rows that do not say.")
@click.option("--algorithm", default="foreign", show_default=True, help="What traded, for rows that do not say.")
@click.option("--strategy", default="", help="Whose orders they are, for rows that do not say.")
@click.option("--time-unit", type=click.Choice(["auto", "s", "ms", "us", "ns"]),
              help="Unit of times in numbers.  [default: by their size]")  # fmt: skip
@click.option("--timezone", help="Zone of times that carry none.  [default: UTC]")
@click.option("--signed-quantity", is_flag=True, default=None, help="A quantity below 0 is a sell.")
@click.option("--fees", type=click.Choice(["paid", "earned"]),
              help="Whether a fee above 0 was paid or earned.  [default: paid]")  # fmt: skip
@click.option(
    "--fee-bps", type=float, default=float("nan"), help="Fees in basis points, where the file has none; 0: none."
)
@click.option("--fee-rate", "fee_rates", multiple=True, metavar="CURRENCY=PRICE",
              help="What one unit of a fee's currency is worth in quote currency.")  # fmt: skip
@click.option("--multiplier", type=float, default=1.0, show_default=True, help="What one unit of quantity is.")
@click.option("--group", type=click.Choice(["order", "fill", "moment"]),
              help="What is one order: an order id, each fill, or fills of one moment.  [default: order]")  # fmt: skip
@click.option("--parent-quantity", type=click.Choice(["orders", "fills"]),
              help="What a parent wanted, where no column says so.")  # fmt: skip
@click.option("--parent-tag", type=click.IntRange(1), metavar="TAG", help="FIX: the tag that holds the parent's id.")
@click.option("--no-checksum", is_flag=True, help="FIX: do not check tag 10, as in a log with names removed.")
@click.option("--paper", is_flag=True, help="The fills are not in the market's volume: paper trading, a simulation.")
@click.option("--on-bad", type=click.Choice(["fail", "skip"]), default="fail", show_default=True,
              help="Bad rows: fail and name the first, or leave them out, counted.")  # fmt: skip
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False),
              help="Stored market data for prices that the files do not know.  [default: data, if there]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of text.")
def command(
    files: tuple[Path, ...],
    output: Path,
    layout_file: Path | None,
    preset_name: str | None,
    column: tuple[str, ...],
    where: tuple[str, ...],
    sides: tuple[str, ...],
    statuses: tuple[str, ...],
    rename: tuple[str, ...],
    time_unit: str | None,
    timezone: str | None,
    signed_quantity: bool | None,
    fees: str | None,
    group: str | None,
    fee_rates: tuple[str, ...],
    no_checksum: bool,
    paper: bool,
    data_dir: Path | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Turn orders and fills that were traded elsewhere into execution reports.

    \b
    A table of fills, a table of orders beside it, ccxt's trades, a FIX log:
      fillwright import-fills fills.csv --symbol ATOM/USDT
      fillwright import-fills orders.csv fills.csv --column qty=filled_size
      fillwright import-fills trades.json --data-dir data
      fillwright import-fills session.log --parent-tag 583
    Then as with our own:
      fillwright analyze --execution-reports executions.ndjson

    What was recognised is printed; what the files do not know stays unknown, unless market data is stored for it.
    docs/foreign_fills.md has the columns, the words and the rules.
    """
    from execution.foreign.reading import Choices, read_foreign
    from execution.reports import write_reports
    from research.data_reader import DataReader

    try:
        layout = _layout(layout_file, preset_name).given(
            columns=_pairs("--column", column),
            where=_pairs("--where", where),
            sides=_pairs("--side", sides),
            statuses=_pairs("--status", statuses),
            symbols=_pairs("--rename", rename),
            time_unit=time_unit,
            timezone=timezone,
            signed_quantity=signed_quantity,
            fees=fees,
            group=group,
        )
        chosen = Choices(
            layout=layout, fee_rates=_rates(fee_rates), checksum=not no_checksum, in_tape=not paper, **choices
        )  # fmt: skip
    except ValueError as error:
        raise ConfigError(str(error)) from error
    for path in (*files, choices["orders"]):
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            raise DataError(f"{output} is one of the files to read: choose another --output")
    reader = DataReader(data_dir or "data")
    has_data = reader.store.exists()
    if data_dir is not None and not has_data:
        raise DataError(
            f"no market data is stored in {data_dir}: leave --data-dir out, or see `fillwright data --help`"
        )
    found = read_foreign(files, chosen, reader=reader if has_data else None)
    write_reports(output, found.reports)
    if as_json:
        print_json(document(found, output))
    else:
        _print(found, output, has_data)


def _layout(path: Path | None, name: str | None) -> Layout:
    from execution.foreign.layout import Layout, preset, read_layout

    if path is not None and name is not None:
        raise ConfigError("--map and --preset are both given: one map says which column is which")
    return read_layout(path) if path is not None else preset(name) if name is not None else Layout()


def _pairs(option: str, pairs: Sequence[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise ConfigError(f"{option} must be NAME=VALUE, was {pair!r}")
        out[name.strip()] = value.strip()
    return out


def _rates(pairs: Sequence[str]) -> dict[str, float]:
    rates = {}
    for name, text in _pairs("--fee-rate", pairs).items():
        try:
            rates[name] = float(text)
        except ValueError:
            raise ConfigError(f"--fee-rate {name} must be a number, was {text!r}") from None
    return rates


def document(found: Imported, output: Path) -> dict[str, Any]:
    """What was read, for machines."""
    reports = found.reports
    start, end = _period(found)
    return {
        "output": str(output),
        "format": found.form,
        "files": [
            {"name": one.name, "rows": one.rows, "holds": one.role, "columns": one.columns, "unused": list(one.unused),
             "remarks": one.said}
            for one in found.sources
        ],
        "orders": found.orders,
        "executions": len(reports),
        "fills": sum(len(report.fills) for report in reports),
        "unfilled_executions": sum(not report.filled_quantity for report in reports),
        "repeated_fills": found.repeated,
        "fills_without_id": found.without_id,
        "symbols": sorted({report.symbol for report in reports}),
        "symbols_matched": found.matched,
        "start_ts_ns": start,
        "end_ts_ns": end,
        "skipped": found.skipped,
        "taken": found.taken,
        "market": found.market,
    }  # fmt: skip


def _period(found: Imported) -> tuple[int, int]:
    """First start and last thing that happened."""
    starts = [report.start_ts_ns for report in found.reports]
    lasts = [report.end_ts_ns or report.start_ts_ns for report in found.reports]
    lasts += [report.fills[-1].ts_fill_ns for report in found.reports if report.fills]
    return min(starts), max(lasts)


def _print(found: Imported, output: Path, has_data: bool) -> None:
    from research.times import iso

    screen = console()

    def line(text: str, style: str = "") -> None:
        screen.print(text, style=style, markup=False, soft_wrap=True)

    for source in found.sources:
        line(f"{source.name}: {source.rows:,} rows of {source.role} ({source.form})", "bold")
        if source.columns:
            alike = [ours for ours, theirs in source.columns.items() if ours == theirs]
            others = [f"{ours} = {theirs}" for ours, theirs in source.columns.items() if ours != theirs]
            line("  read as   " + ", ".join(others + alike))
        if source.unused:
            more = f" and {len(source.unused) - _NAMES} more" if len(source.unused) > _NAMES else ""
            line("  not used  " + ", ".join(source.unused[:_NAMES]) + more)
        for remark in source.said:
            line(f"  {remark}")
    reports = found.reports
    start, end = _period(found)
    symbols = sorted({report.symbol for report in reports})
    fills = sum(len(report.fills) for report in reports)
    line("")
    line(f"{len(reports):,} executions of {found.orders:,} orders, {fills:,} fills, {iso(start)} to {iso(end)} UTC")
    line(
        "symbols: "
        + ", ".join(symbols[:_NAMES])
        + (f" and {len(symbols) - _NAMES} more" if len(symbols) > _NAMES else "")
    )
    for theirs, ours in found.matched.items():
        line(f"  {theirs} is taken to be {ours}")
    if unfilled := sum(not report.filled_quantity for report in reports):
        line(f"{unfilled:,} without a fill: their price move is opportunity cost")
    if found.repeated:
        line(f"{found.repeated:,} fills came again and count once")
    if found.without_id:
        line(f"{found.without_id:,} fills have no id: one that stands twice counts twice")
    for reason, count in found.skipped.items():
        line(f"{count:,} rows left out: {reason}")
    for note, count in found.taken.items():
        line(f"{count:,} of {len(reports):,}: {note}", "dim")
    for symbol, words in found.market.items():
        line(f"market of {symbol}: {words}", "dim")
    if not has_data:
        line(
            "no market data is stored: prices that the files do not have stay unknown (`fillwright data --help`)", "dim"
        )
    line("")
    line(f"written to {output}")
    line(f"next: fillwright analyze --execution-reports {output}")


if __name__ == "__main__":
    run(command)
