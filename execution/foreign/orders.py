"""Rows into orders: what belongs together, what was said twice, what contradicts itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from core.contracts import Side
from execution.foreign.layout import Grouping
from execution.foreign.records import Ending, Fill, Refusals, Refused, Row
from research.times import iso

_UNCHANGING: Final = (
    *("parent_id", "parent_qty", "order_qty", "order_ns", "decision_ns", "algorithm", "strategy", "currency"),
    *("decision_price", "arrival_price", "end_price", "vwap", "vwap_own", "twap", "spread_bps", "market_volume"),
)
_LATEST: Final = ("limit_price", "end_ns", "reason")
ALMOST: Final = 1e-9  # relative: quantities that differ by less are equal


@dataclass(slots=True, kw_only=True)
class Order:
    """An order with its fills, oldest first. `facts` are the rest of `Row`'s fields, None or NaN where unknown.

    `filled` and `average` are those of the fills, or what the file says where it tells of more than its fills.
    """

    where: str
    order_id: str
    symbol: str
    side: Side
    status: Ending | None
    venues: tuple[str, ...]
    fills: tuple[Fill, ...]
    filled: float
    average: float
    facts: dict[str, Any]

    @property
    def qty(self) -> float:
        """The ordered quantity; NaN where the file does not say."""
        return float(self.facts["order_qty"])

    @property
    def unfilled(self) -> bool:
        """Whether the file says that something was left."""
        return self.filled < self.qty * (1 - ALMOST)


@dataclass(slots=True)
class Gathered:
    """Orders, by their id and symbol, and what was noticed on the way."""

    orders: list[Order]
    repeated: int = 0
    without_id: int = 0


def gathered(
    rows: Iterable[Row], refusals: Refusals, *, group: Grouping = "order", amended: bool = False, listed: bool = False
) -> Gathered:
    """The orders that the rows are about, whatever their sequence.

    A fill whose id was seen for the same order counts once. `amended`: facts of an order may change, and the latest row
    is right; otherwise a change is a contradiction. `listed`: there is a file of orders (rows without a time), and
    every fill must belong to one of them.
    Raises DataError, or leaves rows out, as `refusals` says.
    """
    found = Gathered([])
    by_id: dict[str, list[Row]] = {}
    for row in rows:
        try:
            by_id.setdefault(_order_id(row, group, refusals), []).append(row)
        except Refused:
            continue
    for order_id in sorted(by_id):
        for symbol, of_one in _by_symbol(order_id, by_id[order_id], refusals):
            try:
                if listed and all(row.ts_ns is not None for row in of_one):
                    raise refusals.refuse(
                        of_one[0].where, f"order {order_id!r} is not in the file of orders",
                        "give the fills of the orders alone, or leave the file of orders out",
                        reason="fill of an order that is not in the file of orders",
                    )  # fmt: skip
                found.orders.append(_order(order_id, symbol, of_one, refusals, amended, found))
            except Refused:
                continue
    return found


def _order_id(row: Row, group: Grouping, refusals: Refusals) -> str:
    fill = row.fill
    if group == "moment" and fill is not None:
        return f"{row.symbol or ''} {row.side or ''} {iso(fill.ts_ns)}".strip()
    if group == "fill" and fill is not None:
        return fill.fill_id or f"{row.symbol or ''} {row.side or ''} {iso(fill.ts_ns)} {fill.qty!r} {fill.price!r}"
    named = row.order_id or row.parent_id
    if named is None:
        raise refusals.refuse(
            row.where, "there is no order id",
            "say which column it is with --column order_id=..., or what one order is with --group fill or moment",
            reason="no order id",
        )  # fmt: skip
    return named


def _by_symbol(order_id: str, rows: Sequence[Row], refusals: Refusals) -> list[tuple[str, list[Row]]]:
    """An id may be used again for another symbol; rows that name none belong to the only one that there is."""
    symbols = sorted({row.symbol for row in rows if row.symbol is not None})
    if len(symbols) == 1:
        return [(symbols[0], list(rows))]
    split: dict[str, list[Row]] = {symbol: [] for symbol in symbols}
    for row in rows:
        if row.symbol is not None:
            split[row.symbol].append(row)
            continue
        why = f"order {order_id!r} has several symbols, {', '.join(symbols)}" if symbols else "there is no symbol"
        try:
            raise refusals.refuse(
                row.where, why, "say which column it is with --column symbol=..., or what it is with --symbol",
                reason="no symbol",
            )  # fmt: skip
        except Refused:
            continue
    return [(symbol, found) for symbol, found in split.items() if found]


def _order(
    order_id: str, symbol: str, rows: list[Row], refusals: Refusals, amended: bool, found: Gathered
) -> Order:  # fmt: skip
    rows.sort(key=_when)
    facts = {name: _agreed(name, order_id, rows, refusals, amended) for name in _UNCHANGING}
    facts |= {
        name: next((value for row in reversed(rows) if _known(value := getattr(row, name))), None) for name in _LATEST
    }
    side = _agreed("side", order_id, rows, refusals, amended=False)
    if side is None:
        raise refusals.refuse(
            rows[0].where, f"order {order_id!r} has no side", "say which column it is with --column side=..., or "
            "--signed-quantity where quantities below 0 are sells", reason="no side",
        )  # fmt: skip
    fills, repeated, without_id = _fills(order_id, rows, refusals)
    found.repeated += repeated
    found.without_id += without_id
    filled, average = _filled(order_id, rows, fills, refusals)
    if math.isclose(filled, facts["order_qty"], rel_tol=ALMOST):
        filled = facts["order_qty"]  # sums of floats are off by their last digit
    venues = {name for row in rows for name in (row.venue, row.fill.venue if row.fill else None) if name}
    return Order(
        where=rows[0].where,
        order_id=order_id,
        symbol=symbol,
        side=side,
        status=next((row.status for row in reversed(rows) if row.status is not None), None),
        venues=tuple(sorted(venues)),
        fills=fills,
        filled=filled,
        average=average,
        facts=facts,
    )


def _when(row: Row) -> tuple[float, float, int, str]:
    """Rows without a time are the last word; of rows of one time the ended order is later than the running one."""
    return (math.inf if row.ts_ns is None else row.ts_ns, row.rank, int(row.status not in (None, "running")), row.where)


def _known(value: object) -> bool:
    return value is not None and value == value


def _agreed(name: str, order_id: str, rows: Sequence[Row], refusals: Refusals, amended: bool) -> Any:
    """What all rows that say it say; NaN or None where none does."""
    said = [(row, value) for row in rows if _known(value := getattr(row, name))]
    if not said:
        return getattr(rows[0], name)
    (first, value), (_, latest) = said[0], said[-1]
    if amended:
        return latest
    for row, other in said:
        if other != value:
            raise refusals.refuse(
                row.where, f"{name} of order {order_id!r} is {other!r}, but {value!r} in {first.where}",
                "an order has one; check the order ids, or the column map", reason=f"{name} contradicts itself",
            )  # fmt: skip
    return value


def _fills(order_id: str, rows: Sequence[Row], refusals: Refusals) -> tuple[tuple[Fill, ...], int, int]:
    """Every fill once, oldest first; how many came again; how many have no id to tell."""
    named: dict[str, tuple[Row, Fill]] = {}
    nameless: list[Fill] = []
    repeated = 0
    for row in rows:
        fill = row.fill
        if fill is None:
            continue
        if fill.fill_id is None:
            nameless.append(fill)
            continue
        seen, first = named.setdefault(fill.fill_id, (row, fill))
        if first is fill:
            continue
        repeated += 1
        if (first.qty, first.price, first.ts_ns) != (fill.qty, fill.price, fill.ts_ns):
            raise refusals.refuse(
                row.where, f"fill {fill.fill_id!r} of order {order_id!r} is {fill.qty:g} at {fill.price:g}, but "
                f"{first.qty:g} at {first.price:g} in {seen.where}",
                "a fill id means one fill; check the column map", reason="fill id with two meanings",
            )  # fmt: skip
    every = chain((fill for _, fill in named.values()), nameless)
    ordered = sorted(every, key=lambda fill: (fill.ts_ns, fill.fill_id or "", fill.qty, fill.price))
    return tuple(ordered), repeated, len(nameless)


def _filled(order_id: str, rows: Sequence[Row], fills: Sequence[Fill], refusals: Refusals) -> tuple[float, float]:
    """Filled quantity and average price; what the file says of the whole order counts where fills are missing."""
    of_fills = math.fsum(fill.qty for fill in fills)
    said = next((row for row in reversed(rows) if _known(row.filled_qty)), None)
    if said is None or said.filled_qty <= of_fills * (1 + ALMOST):  # less is an older state
        money = math.fsum(fill.qty * fill.price for fill in fills)
        return of_fills, money / of_fills if of_fills else math.nan
    if said.avg_price > 0:
        return said.filled_qty, said.avg_price
    if fills:
        return said.filled_qty, math.nan
    raise refusals.refuse(
        said.where, f"order {order_id!r} filled {said.filled_qty:g} at avg_price {said.avg_price:g}, without fills",
        "export the fills too, or the average price", reason="filled without a price",
    )  # fmt: skip
