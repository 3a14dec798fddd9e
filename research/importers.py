"""Files of market data into the store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from core.errors import DataError
from research.columns import Layout, to_kind
from research.dataset import Dataset
from research.merge import OnConflict
from research.quality import OnBad, checked
from research.schema import kind_of
from research.store import Store
from research.tables import only, read_table

if TYPE_CHECKING:
    import polars as pl

Form = Literal["auto", "binance-klines", "binance-aggtrades", "ccxt-ohlcv", "table"]
FORMS: tuple[Form, ...] = ("auto", "binance-klines", "binance-aggtrades", "ccxt-ohlcv", "table")

_KLINES = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_AGGTRADES = (
    *("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time"),
    *("is_buyer_maker", "is_best_match"),
)
# What the same columns are called in the exchange's headers of other years and markets.
_SPELLINGS = {
    "quote_asset_volume": "quote_volume",
    "number_of_trades": "count",
    "taker_buy_base_asset_volume": "taker_buy_volume",
    "timestamp": "transact_time",
}
_PRESETS: dict[Form, tuple[str, dict[str, str]]] = {
    "binance-klines": ("ohlcv_1m", {"ts_open": "open_time", "trades": "count"}),
    "binance-aggtrades": ("trades", {"ts": "transact_time", "qty": "quantity", "trade_id": "agg_trade_id"}),
    "ccxt-ohlcv": ("ohlcv_1m", {}),
    "table": ("ohlcv_1m", {}),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Checked rows of one file, and what is to be said about them."""

    frame: pl.DataFrame
    kind: str
    source: str
    skipped: dict[str, int]


def read_rows(
    path: str | Path,
    *,
    form: Form = "auto",
    kind: str | None = None,
    layout: Layout | None = None,
    where: dict[str, str] | None = None,
    on_bad: OnBad = "fail",
) -> Rows:
    """Reads and checks one file; nothing is stored.

    form "auto" knows a file by its columns: Binance public data, ccxt arrays (.json), else a table with a column map
    (`layout.columns`) or with the store's own column names. `where` keeps the rows with these values in columns.
    Raises DataError naming the file, and the first bad rows unless `on_bad="skip"`.
    """
    path, layout = Path(path), layout or Layout()
    names = _names_without_header(path, form)
    raw = only(read_table(path, names), where or {}, path)
    if form == "auto":
        form = _recognised(path, raw, layout)
    preset_kind, preset = _PRESETS[form]
    if form.startswith("binance"):
        raw = raw.rename({old: new for old, new in _SPELLINGS.items() if old in raw.columns and new not in raw.columns})
    form_kind = kind_of(kind or preset_kind)
    _one_symbol(raw, where or {}, path, form_kind.family)
    preset = {
        ours: theirs for ours, theirs in preset.items() if theirs in raw.columns or ours not in form_kind.optional
    }
    layout = replace(layout, columns={**preset, **layout.columns})
    frame, skipped = checked(to_kind(raw, form_kind, layout, str(path)), form_kind, on_bad, str(path))
    return Rows(frame, form_kind.name, f"{form} {path.name}", skipped)


def import_file(
    data_dir: str | Path,
    path: str | Path,
    *,
    symbol: str,
    venue: str,
    form: Form = "auto",
    kind: str | None = None,
    layout: Layout | None = None,
    where: dict[str, str] | None = None,
    on_bad: OnBad = "fail",
    on_conflict: OnConflict = "fail",
    instrument: dict[str, Any] | None = None,
) -> Dataset:
    """Reads, checks and stores one file; the dataset it went into. All of the file is stored, or nothing.

    Importing the same file again changes nothing. Raises DataError as `read_rows` and `Store.commit` do.
    """
    rows = read_rows(path, form=form, kind=kind, layout=layout, where=where, on_bad=on_bad)
    return store_rows(data_dir, rows, symbol=symbol, venue=venue, on_conflict=on_conflict, instrument=instrument)


def store_rows(
    data_dir: str | Path,
    rows: Rows,
    *,
    symbol: str,
    venue: str,
    on_conflict: OnConflict = "fail",
    instrument: dict[str, Any] | None = None,
) -> Dataset:
    """Stores what `read_rows` read."""
    return Store(data_dir).commit(
        rows.frame,
        venue=venue,
        symbol=symbol,
        kind=rows.kind,
        source=rows.source,
        instrument=instrument,
        skipped=rows.skipped,
        on_conflict=on_conflict,
    )


def _names_without_header(path: Path, form: Form) -> tuple[str, ...]:
    """The columns of a CSV file that names none: Binance's, told apart by how many there are."""
    if form == "binance-klines":
        return _KLINES
    if form == "binance-aggtrades":
        return _AGGTRADES
    if form == "auto":
        return _AGGTRADES if "aggtrades" in path.name.lower() else _KLINES
    return ()


def _recognised(path: Path, raw: pl.DataFrame, layout: Layout) -> Form:
    columns = {_SPELLINGS.get(name, name) for name in raw.columns}
    if path.suffix.lower() == ".json":
        return "ccxt-ohlcv"
    if layout.columns:
        return "table"
    if {"agg_trade_id", "price", "quantity", "transact_time"} <= columns:
        return "binance-aggtrades"
    if {"open_time", "open", "high", "low", "close", "volume"} <= columns:
        return "binance-klines"
    return "table"


def _one_symbol(raw: pl.DataFrame, where: dict[str, str], path: Path, family: str) -> None:
    """Rows of several symbols would look like duplicates; say what they are instead."""
    if family == "fills" or "symbol" not in raw.columns or "symbol" in where:
        return
    symbols = raw["symbol"].unique().sort().to_list()
    if len(symbols) > 1:
        shown = ", ".join(map(str, symbols[:12]))
        raise DataError(f"{path} holds several symbols ({shown}): choose one with --where symbol={symbols[0]}")
