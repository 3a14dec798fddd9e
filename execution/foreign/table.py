"""CSV and Parquet tables of orders and fills into rows: one file of fills with the order on each row, or two files."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.errors import DataError, nearest
from execution.foreign.cells import Cells
from execution.foreign.fields import FIELDS, OF_FILLS, Role, looks_like_orders, recognised
from execution.foreign.layout import Layout
from execution.foreign.naming import Naming
from execution.foreign.records import Fill, Refusals, Row, Source
from research.tables import ROW, only, read_table

if TYPE_CHECKING:
    import polars as pl

_SEPARATORS: Final = (",", ";", "\t", "|")
_FACTS: Final = (
    *("parent_id", "order_qty", "parent_qty", "status", "reason", "filled_qty", "avg_price", "limit_price"),
    *("algorithm", "strategy", "venue", "currency", "decision_price", "arrival_price", "end_price"),
    *("vwap", "vwap_own", "twap", "spread_bps", "market_volume"),
)


@dataclass(slots=True)
class Table:
    """One file: its raw columns, what it holds, and what was recognised."""

    path: Path
    frame: pl.DataFrame
    role: Role
    found: dict[str, str]
    source: Source


def read_tables(
    paths: Sequence[Path], layout: Layout, naming: Naming, refusals: Refusals, *, orders: Path | None = None
) -> tuple[list[Row], list[Source]]:
    """The rows of all files. Of several, one may hold orders: the one that is named, or else the one that looks so.

    Raises DataError naming file, row, field, value and remedy.
    """
    frames = [(path, _selected(path, layout)) for path in [*paths, *([orders] if orders else [])]]
    _check_map(frames, layout)
    listing = orders if orders else _listing(frames, layout)
    rows: list[Row] = []
    sources: list[Source] = []
    for path, frame in frames:
        table = _table(path, frame, "orders" if path == listing else "fills", layout)
        rows.extend(_rows(table, layout, naming, refusals))
        sources.append(table.source)
    return rows, sources


def _selected(path: Path, layout: Layout) -> pl.DataFrame:
    frame = read_table(path, separator=_separator(path))
    present = {column: value for column, value in layout.where_present.items() if column in frame.columns}
    return only(frame, {**present, **layout.where}, path)


def _separator(path: Path) -> str:
    """The character that stands most often in the first line of a CSV file."""
    if path.suffix.lower() in {".parquet", ".pq", ".zip"} or not path.is_file():
        return ","
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            first = gzip.GzipFile(fileobj=file).readline(1 << 16) if packed else file.readline(1 << 16)
        except (OSError, EOFError):
            return ","  # read_table says what is wrong
    return max(_SEPARATORS, key=first.decode("utf-8", "replace").count)


def _listing(frames: Sequence[tuple[Path, pl.DataFrame]], layout: Layout) -> Path | None:
    """The file of orders, where there is one."""
    looks = {path: looks_like_orders(_names(frame)) for path, frame in frames}
    if len(frames) == 1:
        ((path, frame),) = frames
        fills = recognised(_names(frame), _there(layout.columns, frame), "fills")
        orders = recognised(_names(frame), _there({**layout.columns, **layout.orders}, frame), "orders")
        return path if "price" not in fills and "avg_price" in orders else None
    likely = [path for path, look in looks.items() if look > 0]
    if len(likely) > 1:
        named = ", ".join(map(str, likely))
        raise DataError(f"several files look like orders ({named}): say which one is with --orders FILE")
    return likely[0] if likely else None


def _check_map(frames: Sequence[tuple[Path, pl.DataFrame]], layout: Layout) -> None:
    """Every column of the map must stand in one of the files."""
    there = {name for _, frame in frames for name in _names(frame)}
    for name, column in {**layout.columns, **layout.orders}.items():
        if column not in there:
            files = ", ".join(str(path) for path, _ in frames)
            raise DataError(f"{files} has no column {column!r} for {name}: {nearest(column, there)}")


def _table(path: Path, frame: pl.DataFrame, role: Role, layout: Layout) -> Table:
    given = {**layout.columns, **layout.orders} if role == "orders" else dict(layout.columns)
    if role == "orders":
        given = {name: column for name, column in given.items() if name not in OF_FILLS}
    found = recognised(_names(frame), _there(given, frame), role)
    needed = ("order_id",) if role == "orders" else ("qty", "price", "time")
    missing = [name for name in needed if name not in found and not (name == "order_id" and "parent_id" in found)]
    if missing:
        raise DataError(
            f"{path} has no column that is known as {', '.join(missing)}; it has {', '.join(_names(frame))}: "
            f"say which is which with --column {missing[0]}=..."
        )
    unused = tuple(name for name in _names(frame) if name not in found.values())
    return Table(path, frame, role, found, Source(path.name, "table", len(frame), role, found, unused))


def _rows(table: Table, layout: Layout, naming: Naming, refusals: Refusals) -> Iterator[Row]:
    frame = table.frame
    word = "row" if table.path.suffix.lower() in {".parquet", ".pq"} else "line"
    places = [f"{table.path.name}, {word} {number}" for number in frame[ROW].to_list()]
    cells = Cells(places, layout, refusals)
    values = {name: cells.of_kind(FIELDS[name].kind)(name, frame[column]) for name, column in table.found.items()}
    if layout.units_in_cells and "fee" in table.found and "fee_currency" not in table.found:
        values["fee_currency"] = cells.units(frame[table.found["fee"]])
    if layout.fees == "earned" and "fee" in values:
        values["fee"] = [-fee for fee in values["fee"]]
    read = _fill_row if table.role == "fills" else _order_row
    for place in range(len(frame)):
        if place in cells.dropped:
            continue
        said = {name: column[place] for name, column in values.items()}
        symbol = naming.of(said.get("symbol"))
        if naming.unwanted(symbol):
            continue
        row = read(cells, place, said, layout)
        if row is not None:
            yield Row(where=places[place], symbol=symbol, **row)


def _order_row(cells: Cells, place: int, said: dict[str, Any], layout: Layout) -> dict[str, Any] | None:
    """What a row of a file of orders says; it is the last word on the order."""
    qty = said.get("order_qty", math.nan)
    side, qty = _signed(cells, place, "order_qty", qty, said.get("side"), layout)
    if qty == 0:
        cells.refuse(place, "order_qty is 0", "an order wants something", reason="order_qty is 0")
    if place in cells.dropped:
        return None
    facts: dict[str, Any] = {name: said[name] for name in _FACTS if name in said}
    facts |= {"order_qty": qty, "filled_qty": abs(said.get("filled_qty", math.nan))}
    return {"ts_ns": None, "order_id": said.get("order_id"), "side": side, **facts, **_times(said)}


def _fill_row(cells: Cells, place: int, said: dict[str, Any], layout: Layout) -> dict[str, Any] | None:
    """What a row of a file of fills says; one without a quantity tells of an order that got nothing."""
    side, qty = _signed(cells, place, "qty", said["qty"], said.get("side"), layout)
    order_qty = said.get("order_qty", math.nan)
    if layout.signed_quantity:
        order_qty = abs(order_qty)
    if order_qty <= 0:
        cells.refuse(
            place, f"order_qty is {order_qty:g}", "an order wants something", reason="order_qty is not above 0"
        )
    price, ts_ns = said["price"], said["time"]
    nothing = not qty > 0
    if nothing and not (order_qty > 0 or said.get("status") is not None):
        cells.refuse(
            place, "qty is missing or 0", "a fill has a quantity; an order without fills has order_qty or status",
            reason="fill without a quantity",
        )  # fmt: skip
    elif not nothing and not price > 0:  # pitfall 30: a missing price would be a fill for nothing
        cells.refuse(
            place, "price is missing" if math.isnan(price) else f"price is {price:g}",
            "a fill has a price above 0; check which column it is", reason="fill without a price",
        )  # fmt: skip
    elif not nothing and ts_ns is None:
        cells.refuse(place, "time is missing", "a fill has a time", reason="fill without a time")
    if place in cells.dropped:
        return None
    facts: dict[str, Any] = {name: said[name] for name in _FACTS if name in said}
    row = {
        "ts_ns": ts_ns,
        "order_id": said.get("order_id"),
        "side": side,
        **facts,
        **_times(said),
        "order_qty": order_qty,
    }
    if nothing:
        return {**row, "end_ns": row.get("end_ns") or ts_ns}
    kept = {name: said[name] for name in OF_FILLS if name in said and name not in ("qty", "time")}
    return {**row, "fill": Fill(qty=qty, ts_ns=ts_ns, venue=said.get("venue"), **{"fill_id": None, **kept})}


def _signed(cells: Cells, place: int, name: str, qty: float, side: Any, layout: Layout) -> tuple[Any, float]:
    """Side and size; a quantity below 0 is a sell where the layout says so, and is refused elsewhere."""
    if layout.signed_quantity and qty:
        signed = None if math.isnan(qty) else "sell" if qty < 0 else "buy"
        if side is not None and signed is not None and side != signed:
            cells.refuse(
                place, f"{name} is {qty:g}, but side is {side}",
                "with --signed-quantity buys are above 0 and sells below", reason=f"side and sign of {name} disagree",
            )  # fmt: skip
        return side or signed, abs(qty)
    if qty < 0:
        cells.refuse(
            place,
            f"{name} is {qty:g}, below 0",
            "if that means a sell, say --signed-quantity",
            reason=f"{name} below 0",
        )
    return side, qty


def _times(said: dict[str, Any]) -> dict[str, Any]:
    ours = {"order_time": "order_ns", "end_time": "end_ns", "decision_time": "decision_ns"}
    return {field: said[name] for name, field in ours.items() if name in said}


def _names(frame: pl.DataFrame) -> list[str]:
    return [name for name in frame.columns if name != ROW]


def _there(given: dict[str, str], frame: pl.DataFrame) -> dict[str, str]:
    return {name: column for name, column in given.items() if column in frame.columns}
