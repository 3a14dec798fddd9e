"""`fillwright data`: import, sample, download, list, check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import note, print_json, progress, run
from core.errors import ConfigError
from research.listing import show, show_findings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from research.dataset import Dataset

Decorated = Any

_data_dir = click.option(
    "--data-dir", default="data", show_default=True, type=click.Path(path_type=Path, file_okay=False),
    help="Where the market data is stored.",
)  # fmt: skip
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables.")
_venue = click.option("--venue", help="Only this venue.")
_symbol = click.option("--symbol", help="Only this symbol.")
_on_conflict = click.option(
    "--on-conflict", type=click.Choice(["fail", "keep", "replace"]), default="fail", show_default=True,
    help="Where a row differs from the stored one: fail, keep the stored one, or replace it.",
)  # fmt: skip


def _instrument_options(command: Decorated) -> Decorated:
    for name, kind, text in (
        ("--taker-fee-bps", float, "Fee for taking, in basis points."),
        ("--maker-fee-bps", float, "Fee for making, in basis points; negative for a rebate."),
        ("--spread-bps", float, "Typical quoted spread, in basis points."),
        ("--min-notional", float, "Smallest order, in quote currency."),
        ("--lot", str, "Step of quantities, such as 0.01."),
        ("--tick", str, "Step of prices, such as 0.001."),
    ):
        command = click.option(name, type=kind, help=text)(command)
    return command


@click.group()
def data() -> None:
    """Import, make, download, list and check market data.

    \b
    Data is stored as Parquet below --data-dir, by venue, symbol, kind and month.
    Kinds: ohlcv_1m, ohlcv_1h, ... (bars), trades, quotes, fills.
    """


@data.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--symbol", required=True, help="What to call the symbol, such as ATOM/USDT.")
@click.option("--venue", required=True, help="What to call the venue, such as binance.")
@click.option(
    "--format", "form", default="auto", show_default=True,
    type=click.Choice(["auto", "binance-klines", "binance-aggtrades", "ccxt-ohlcv", "table"]),
    help="What the files are; auto knows by their columns.",
)  # fmt: skip
@click.option("--kind", help="ohlcv_1m, ohlcv_1h, trades, quotes or fills.  [default: by format, else ohlcv_1m]")
@click.option("--map", "mapping", metavar="OURS=THEIRS,...", help="Which column is which: ts_open=time,volume=vol.")
@click.option("--where", multiple=True, metavar="COLUMN=VALUE", help="Only rows with this value; may be repeated.")
@click.option(
    "--time-unit", default="auto", show_default=True, type=click.Choice(["auto", "s", "ms", "us", "ns"]),
    help="Unit of times in numbers; auto goes by their size.",
)  # fmt: skip
@click.option("--timezone", default="UTC", show_default=True, help="Zone of times that carry none.")
@click.option(
    "--bar-stamp", default="open", show_default=True, type=click.Choice(["open", "close"]),
    help="Whether a bar's time is its open or its close.",
)  # fmt: skip
@click.option(
    "--on-bad", default="fail", show_default=True, type=click.Choice(["fail", "skip"]),
    help="Bad rows: fail and name them, or leave them out, counted.",
)  # fmt: skip
@_on_conflict
@_instrument_options
@_data_dir
@_as_json
def import_command(
    files: tuple[Path, ...],
    symbol: str,
    venue: str,
    form: Any,
    kind: str | None,
    mapping: str | None,
    where: tuple[str, ...],
    time_unit: Any,
    timezone: str,
    bar_stamp: Any,
    on_bad: Any,
    on_conflict: Any,
    data_dir: Path,
    as_json: bool,
    **facts: str | float | None,
) -> None:
    """Import CSV (also zipped), Parquet or ccxt JSON files.

    \b
    Binance public data, bars and trades (files of data.binance.vision):
      fillwright data import ATOMUSDT-1m-2025-01.zip --symbol ATOM/USDT --venue binance
      fillwright data import ATOMUSDT-aggTrades-2025-01.zip --symbol ATOM/USDT --venue binance
    Any table, one symbol of several:
      fillwright data import bars.parquet --symbol ATOM/USDT --venue binance \\
          --map ts_open=open_time_ms --where symbol=ATOMUSDT
    Quotes with times of New York:
      fillwright data import quotes.csv --kind quotes --map ts=time,bid_qty=bsize,ask_qty=asize \\
          --timezone America/New_York --symbol IBM --venue nyse
    """
    from research.columns import Layout
    from research.importers import read_rows, store_rows

    known = _facts(symbol, venue, facts)
    layout = Layout(_pairs("--map", mapping.split(",") if mapping else ()), time_unit, timezone, bar_stamp)
    wanted = _pairs("--where", where)
    read = []
    with progress("reading", total=len(files)) as bar:
        for file in files:
            bar.title(file.name)
            read.append(read_rows(file, form=form, kind=kind, layout=layout, where=wanted, on_bad=on_bad))
            bar.advance()
    stored: dict[str, Dataset] = {}
    for rows in read:
        stored[rows.kind] = store_rows(
            data_dir, rows, symbol=symbol, venue=venue, on_conflict=on_conflict, instrument=known
        )
        for reason, count in rows.skipped.items():
            verb = "put in order" if reason == "out of order" else "left out"
            note(f"{rows.source}: {count} rows {verb}: {reason}", quiet=as_json)
    show(stored.values(), as_json)


@data.command("sample", short_help="Make the deterministic SYNTHETIC market.")
@click.option("--symbol", default="ATOM/USDT", show_default=True)
@click.option("--start", default="2025-01-01", show_default=True, help="First day.")
@click.option("--end", default="2025-10-01", show_default=True, help="Day after the last.")
@click.option("--seed", default=13, show_default=True, help="Another seed, another market.")
@click.option("--start-price", default=6.5, show_default=True)
@click.option("--daily-vol", default=0.045, show_default=True, help="Deviation of daily returns.")
@click.option("--daily-volume", default=6_000_000.0, show_default=True, help="Coins a day.")
@click.option("--tick", default="0.001", show_default=True, help="Step of prices.")
@click.option("--lot", default="0.01", show_default=True, help="Step of quantities.")
@_data_dir
@_as_json
def sample_command(start: str, end: str, data_dir: Path, as_json: bool, **market: Any) -> None:
    """Make the deterministic SYNTHETIC market: one-minute bars and quotes.

    The same options give the same bytes. The data is labelled synthetic wherever it is used, and is stored under the
    venue "sample", apart from real data.

    \b
      fillwright data sample
      fillwright data sample --start 2025-01-01 --end 2025-02-01 --seed 4 --data-dir var/data
    """
    from research.sample import SampleMarket, write_sample

    try:
        settings = SampleMarket(**market)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with progress("making the sample market"):
        stored = write_sample(data_dir, settings, start=start, end=end)
    show(stored, as_json)


@data.command("download")
@click.option("--exchange", default="binance", show_default=True, help="Any exchange that ccxt knows.")
@click.option("--symbol", required=True, help="As ccxt writes it: ATOM/USDT, or ATOM/USDT:USDT for the perpetual.")
@click.option("--start", required=True, help="First time, such as 2025-01-01.")
@click.option("--end", help="Time after the last.  [default: now]")
@click.option("--kind", default="ohlcv_1m", show_default=True, help="ohlcv_1m, ohlcv_1h, ... or trades.")
@click.option("--venue", help="What to call the venue.  [default: the exchange]")
@click.option("--endpoint", metavar="URL", help="Scheme and host to ask instead of the exchange's: proxy, testnet.")
@click.option("--quiet", is_flag=True, help="No progress.")
@_data_dir
@_as_json
def download_command(
    exchange: str,
    symbol: str,
    start: str,
    end: str | None,
    kind: str,
    venue: str | None,
    endpoint: str | None,
    quiet: bool,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Download bars or trades from an exchange, through ccxt.

    Only what is not stored yet is asked for, so the same command again goes on where it stopped.

    \b
      fillwright data download --symbol ATOM/USDT --start 2025-01-01 --end 2025-10-01
      fillwright data download --exchange kraken --symbol ATOM/USD --kind ohlcv_1h --start 2025-09-01
      fillwright data download --symbol ATOM/USDT --kind trades --start 2025-09-30 --end 2025-10-01
    """
    from research.download import download
    from research.times import parse_ns

    with progress(f"{symbol} from {exchange}", quiet=quiet) as bar:
        stored = download(
            data_dir,
            exchange=exchange,
            symbol=symbol,
            start_ns=parse_ns(start, "start"),
            end_ns=None if end is None else parse_ns(end, "end"),
            kind=kind,
            venue=venue,
            endpoint=endpoint,
            on_progress=bar.at,
        )
    show([stored], as_json)


@data.command("list", short_help="List what is stored.")
@_venue
@_symbol
@_data_dir
@_as_json
def list_command(venue: str | None, symbol: str | None, data_dir: Path, as_json: bool) -> None:
    """List what is stored: period, rows, gaps, and whether it is synthetic."""
    from research.data_reader import HOW_TO_GET_DATA, DataReader

    stored = DataReader(data_dir).describe(symbol, venue=venue)
    if not stored and not as_json:
        note(f"no such market data in {data_dir}: {HOW_TO_GET_DATA}")
        return
    show(stored, as_json)


@data.command("check", short_help="Check stored data again, and show its gaps.")
@_venue
@_symbol
@click.option("--gaps", "shown_gaps", default=5, show_default=True, help="How many of the longest gaps to show.")
@_data_dir
@_as_json
def check_command(venue: str | None, symbol: str | None, shown_gaps: int, data_dir: Path, as_json: bool) -> int:
    """Check stored data again: files, content hashes, rows; and show its gaps.

    The exit code is 1 where anything is broken. Gaps and minutes without volume are facts of the market, not faults.
    """
    from research.data_reader import HOW_TO_GET_DATA, DataReader
    from research.verify import verify

    reader = DataReader(data_dir)
    stored = reader.describe(symbol, venue=venue)
    if not stored:
        raise ConfigError(f"no such market data in {data_dir}: {HOW_TO_GET_DATA}")
    with progress("checking", total=len(stored)) as bar:
        findings = []
        for dataset in stored:
            findings.append(verify(reader.store, dataset))
            bar.advance()
    if as_json:
        print_json([one.summary() for one in findings])
    else:
        show_findings(findings, shown_gaps)
    return int(any(one.problems for one in findings))


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    out = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise click.UsageError(f"{option} takes name=value, was {text!r}")
        out[name] = value
    return out


def _facts(symbol: str, venue: str, facts: dict[str, str | float | None]) -> dict[str, Any]:
    from core.instrument import Instrument

    known: dict[str, Any] = {name: value for name, value in facts.items() if value is not None}
    try:
        Instrument(symbol, venue, **known)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return known


if __name__ == "__main__":
    run(data)
