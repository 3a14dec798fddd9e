"""`fillwright preview`: the children that a parent would get, before it is sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from core.console import console, print_json, run
from core.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from core.instrument import Instrument
    from execution.base import RuleExecutor
    from execution.preview import Preview, PreviewChild
    from execution.profile import VolumeHistory

MOST_ROWS: Final = 60
_ALGORITHMS: Final = ("TWAP", "VWAP", "Iceberg", "POV", "IS")
_LENGTH = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_AMOUNT = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)")


class _Setting(NamedTuple):
    """What the preview knows of the market, and in words where each part comes from."""

    instrument: Instrument
    grid_source: str
    price: float
    price_source: str
    start_ns: int
    start_source: str
    history: VolumeHistory | None


@click.command("preview")
@click.option(
    "--algo", required=True, type=click.Choice(_ALGORITHMS, case_sensitive=False), help="How the parent is worked."
)
@click.option("--symbol", required=True, help="What to trade, such as ATOM/USDT.")
@click.option("--side", required=True, type=click.Choice(["buy", "sell"]))
@click.option("--quantity", required=True, metavar="QUANTITY", help="In base, 50000; or in quote currency, 100000USDT.")
@click.option("--quote", is_flag=True, help="The quantity is in quote currency.")
@click.option("--duration", required=True, metavar="LENGTH", help="Such as 4h, 90m, 1h30m, or seconds; a day at most.")
@click.option("--start", metavar="TIME", help="When it begins, UTC.  [default: where the stored data ends, else now]")
@click.option("--price", type=float, help="The mid at the start.  [default: the last stored close before it]")
@click.option("--param", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option(
    "--expected-volume", type=float, metavar="QUANTITY",
    help="Base quantity that others trade meanwhile, evenly; used where no history tells.",
)  # fmt: skip
@click.option(
    "--execution-config", type=click.Path(path_type=Path), help="Defaults of the algorithms, YAML.  [default: built in]"
)
@click.option(
    "--data-dir", default="data", show_default=True, type=click.Path(path_type=Path, file_okay=False),
    help="Where the market data is stored; without any it works from --price.",
)  # fmt: skip
@click.option("--venue", help="Whose data, where several venues have the symbol.")
@click.option("--seed", default=0, show_default=True, help="Of the random draws, where parameters ask for any.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines, with every child.")
def command(
    algo: str,
    symbol: str,
    side: Any,
    quantity: str,
    quote: bool,
    duration: str,
    start: str | None,
    price: float | None,
    pairs: tuple[str, ...],
    expected_volume: float | None,
    execution_config: Path | None,
    data_dir: Path,
    venue: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """The children that a parent order would get, before it is sent, or why it would be refused.

    \b
    The real algorithm runs over the expected volume with perfect fills. docs/algorithms.md has all parameters.
      fillwright preview --algo VWAP --symbol ATOM/USDT --side buy --quantity 50000 --duration 4h
      fillwright preview --algo POV --symbol ATOM/USDT --side sell --quantity 100000USDT --duration 2h \\
          --param participation_rate=0.1
    """
    from execution.contracts import ExecutionAlgorithm
    from execution.executors import executor as make_executor
    from execution.preview import preview

    amount, in_quote = _quantity(quantity, symbol, quote)
    name: Any = {known.upper(): known for known in _ALGORITHMS}[algo.upper()]
    params = _params(pairs)
    if in_quote:
        params["quantity_currency"] = "quote"
    try:
        defaults = _defaults(execution_config, name)
        order = ExecutionAlgorithm(name, symbol, side, amount, _seconds(duration), params)
        wanted = make_executor(name, "preview", **defaults).params(order)
        setting = _setting(symbol, data_dir, venue, start, price, getattr(wanted, "lookback_days", 0))
        executor: RuleExecutor = make_executor(
            name, "preview", volumes=setting.history, instrument=setting.instrument, seed=seed, **defaults
        )
        found = preview(
            order, executor, start_ns=setting.start_ns, price=setting.price, expected_volume=expected_volume
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if found.refusal is not None:
        raise ConfigError(f"{name} of {symbol} is refused: {found.refusal}")
    if as_json:
        sources = {"price": setting.price_source, "start": setting.start_source, "instrument": setting.grid_source}
        print_json({**found.to_dict(), "sources": sources})
        return
    _show(found, setting)


def _show(found: Preview, setting: _Setting) -> None:
    from execution.columns_chart import columns

    screen = console()
    screen.print(_header(found, setting))
    if found.children:
        screen.print()
        screen.print(_table(found))
        screen.print()
        clips = found.algo.algo_type == "Iceberg"
        ascii_only = not (screen.encoding or "").lower().replace("-", "").startswith("utf")
        chart = columns(
            _heights(found),
            width=min(screen.width, 100),
            ascii_only=ascii_only,
            left="clip 1" if clips else _clock(found.start_ns),
            right=f"clip {len(found.children)}" if clips else _clock(found.end_ns),
        )
        screen.print(f"quantity per {'clip' if clips else 'slice'}", style="bold")
        for line in chart:
            screen.print(line, markup=False, soft_wrap=True)
    if found.remarks:
        screen.print()
    for line in found.remarks:
        screen.print(line, markup=False, style="yellow")


def _header(found: Preview, setting: _Setting) -> Table:
    from rich.table import Table

    from execution.preview import duration_text
    from research.times import iso

    algo, instrument = found.algo, found.instrument
    money = found.quantity * found.price * instrument.multiplier
    table = Table(
        box=None,
        show_header=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        title=f"{algo.algo_type}: {algo.side} {found.quantity:,.10g} {algo.symbol} in "
        f"{duration_text(algo.duration_seconds)}",
        title_justify="left",
        title_style="bold",
    )
    grid = f"{instrument.venue}, lot {instrument.lot}, tick {instrument.tick}"
    if instrument.min_notional > 0:
        grid += f", at least {instrument.min_notional:g} {_quote_name(algo.symbol)} an order"
    if float(instrument.min_qty) > 0:
        grid += f", at least {instrument.min_qty} an order"
    table.add_row("instrument", f"{grid} ({setting.grid_source})")
    table.add_row(
        "price", f"{found.price:,.10g} ({setting.price_source}): {money:,.2f} {_quote_name(algo.symbol)} in all"
    )
    table.add_row("start", f"{iso(found.start_ns)} UTC ({setting.start_source})")
    table.add_row("end", f"{iso(found.end_ns)} UTC")
    if found.profile_source is not None:
        table.add_row("volume profile", found.profile_source)
    if found.trajectory is not None:
        table.add_row("trajectory", found.trajectory)
    table.add_row("children", f"{len(found.children):,}, {found.style}; fills assumed perfect")
    return table


def _table(found: Preview) -> Table:
    from rich.table import Table

    from execution.analyze import TABLE_STYLE

    clips = found.algo.algo_type == "Iceberg"
    volume = any(child.expected_volume is not None for child in found.children)
    table = Table(**TABLE_STYLE)
    names = ["clip" if clips else "start", "lots", "quantity", "done %", "price"]
    names += ["others' volume", "our %"] if volume else []
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    children: list[PreviewChild | None] = list(found.children)
    if len(children) > MOST_ROWS:
        children[MOST_ROWS // 2 : -MOST_ROWS // 2] = [None]
    for child in children:
        if child is None:
            left_out = len(found.children) - MOST_ROWS
            table.add_row("...", f"{left_out:,} more", "", "", "--json", *([""] * (2 * volume)))
            continue
        row = [
            str(child.number + 1) if clips else _clock(child.ts_ns),
            f"{child.lots:,}",
            f"{child.quantity:,.{_decimals(found.instrument.lot)}f}",
            f"{100 * child.cumulative:.1f}",
            "market" if child.limit_price is None else f"{child.limit_price:,.{_decimals(found.instrument.tick)}f}",
        ]
        if volume:
            row += [
                "-"
                if child.expected_volume is None
                else f"{child.expected_volume:,.{_decimals(found.instrument.lot)}f}"
            ]
            row += ["-" if child.participation is None else f"{100 * child.participation:.1f}"]
        table.add_row(*row)
    return table


def _heights(found: Preview) -> list[float]:
    """Quantity per slice, zeros included; per clip where there are no slices."""
    if found.algo.algo_type == "Iceberg":
        return [child.quantity for child in found.children]
    heights = [0.0] * found.slices
    for child in found.children:
        heights[child.slice_idx] += child.quantity
    return heights


def _decimals(step: str) -> int:
    """How many decimals a grid has: 2 for 0.01, 0 for 5."""
    from decimal import Decimal

    exponent = Decimal(step).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _clock(ts_ns: int) -> str:
    from research.times import DAY_NS, SECOND_NS

    seconds = ts_ns % DAY_NS // SECOND_NS
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text


def _quote_name(symbol: str) -> str:
    return symbol.partition("/")[2] or "quote currency"


# ---- what the words mean


def _quantity(text: str, symbol: str, quote: bool) -> tuple[float, bool]:
    """The amount, and whether it is in quote currency."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise click.UsageError(f"--quantity must be a number such as 50000 or 100000USDT, was {text!r}")
    amount, unit = float(found[1].replace(",", "").replace("_", "")), found[2].upper()
    if not amount > 0:
        raise click.UsageError(f"--quantity must be above 0, was {text!r}")
    base, _, money = symbol.upper().partition("/")
    if unit and unit not in (base, money):
        raise click.UsageError(f"--quantity of {symbol} is in {base} or {money}, was {text!r}")
    if quote and unit == base:
        raise click.UsageError(f"--quote says quote currency and --quantity says {base}: leave one of them out")
    return amount, quote or (unit == money and bool(unit))


def _seconds(text: str) -> int:
    found = _LENGTH.fullmatch(text.strip().lower().replace(" ", ""))
    if found is None or not any(found.groups()):
        raise click.UsageError(f"--duration must be a length such as 4h, 90m or 1h30m, was {text!r}")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total < 1 or total != int(total):
        raise click.UsageError(f"--duration must be whole seconds, at least 1, was {text!r}")
    return int(total)


def _params(pairs: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals and value):
            raise click.UsageError(f"--param takes name=value, was {pair!r}")
        found[name.replace("-", "_")] = (
            tuple(_value(part) for part in value.split(",")) if "," in value else _value(value)
        )
    if "levels" in found and not isinstance(found["levels"], tuple):
        found["levels"] = (found["levels"],)
    return found


def _value(text: str) -> Any:
    """A number, yes or no, nothing, or a word."""
    words = {"true": True, "yes": True, "false": False, "no": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# ---- what the market is taken to be


def _defaults(path: Path | None, algo_type: Any) -> dict[str, Any]:
    from execution.config import load

    return {} if path is None else load(path).defaults(algo_type)


def _setting(
    symbol: str, data_dir: Path, venue: str | None, start: str | None, price: float | None, lookback_days: int
) -> _Setting:
    from research.store import Store
    from research.times import parse_ns

    start_ns = None if start is None else parse_ns(start, "--start")
    if Store(data_dir).exists():
        from research.data_reader import DataReader

        reader = DataReader(data_dir)
        if price is None or reader.describe(symbol, venue=venue):
            return _stored(reader, symbol, venue, start_ns, price, lookback_days)
    if price is None:
        raise ConfigError(
            f"no market data is stored in {data_dir}: give --price, or get data with `fillwright data download`, "
            "`import` or `sample`"
        )
    from core.clock import WallClock
    from execution.base import default_instrument

    if start_ns is None:
        start_ns, why = WallClock().now_ns() // 1_000_000_000 * 1_000_000_000, "now"
    else:
        why = "given"
    nothing = f"nothing is stored of it in {data_dir}: a fine grid, no minima"
    return _Setting(default_instrument(symbol), nothing, price, "given", start_ns, why, None)


def _stored(
    reader: Any, symbol: str, venue: str | None, start_ns: int | None, price: float | None, lookback_days: int
) -> _Setting:
    from execution.profile import VolumeHistory
    from research.times import DAY_NS, iso

    instrument = reader.instrument(symbol, venue)
    stored = reader.dataset(symbol, "ohlcv_1m", instrument.venue)
    start_source = "given"
    if start_ns is None:
        start_ns, start_source = stored.end_ns, "where the stored data ends"
    first_ns = max(stored.start_ns, start_ns - (4 * lookback_days + 8) * DAY_NS)
    last_ns = min(start_ns, stored.end_ns)
    bars = None
    if first_ns < last_ns:
        bars = reader.bars(symbol, "1m", first_ns, last_ns, venue=instrument.venue)
        bars = bars[: int((bars.ts_close_ns <= start_ns).sum())]
    if price is not None:
        price_source = "given"
    elif bars is not None and len(bars):
        price = float(bars.close[-1])
        price_source = f"close of the stored bar of {iso(int(bars.ts_open_ns[-1]))}"
    else:
        raise ConfigError(f"no stored bar of {symbol} lies before {iso(start_ns)}: give --price, or a later --start")
    history = VolumeHistory(bars) if bars is not None and len(bars) and lookback_days else None
    kind = "stored facts, SYNTHETIC market" if stored.synthetic else "stored facts"
    return _Setting(instrument, kind, price, price_source, start_ns, start_source, history)


if __name__ == "__main__":
    run(command)
