"""Orders into execution reports: an order is its own parent, or one of several under a parent's id."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from core.contracts import FillEvent, Side
from core.errors import DataError
from execution.contracts import ExecutionReport, Status
from execution.foreign.money import Fees
from execution.foreign.orders import ALMOST, Order
from execution.foreign.records import say

ParentQuantity = Literal["orders", "fills"]
UNNAMED = "foreign"
"""What the algorithm is called where the file names none."""


@dataclass(slots=True, kw_only=True)
class Assembly:
    """How orders become reports.

    `parent_quantity` is what a parent wanted where no column says so and not all of its orders were filled: the sum of
    its orders, which counts twice what was cancelled and sent again, or what was filled, which knows no opportunity
    cost. `said` counts what was taken for what, over all executions.
    """

    fees: Fees = field(default_factory=Fees)
    parent_quantity: ParentQuantity | None = None
    algorithm: str = UNNAMED
    settings: Mapping[str, Any] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)

    def reports(self, orders: Iterable[Order]) -> list[ExecutionReport]:
        """One report per parent, symbol and side, oldest first."""
        parents: dict[tuple[str, str, Side], list[Order]] = {}
        for order in orders:
            named = order.facts["parent_id"] or order.order_id
            parents.setdefault((named, order.symbol, order.side), []).append(order)
        uses = Counter(name for name, _, _ in parents)
        made = [
            self._report(name if uses[name] == 1 else f"{name}:{symbol}:{side}", name, children)
            for (name, symbol, side), children in parents.items()
        ]
        return sorted(made, key=lambda report: (report.start_ts_ns, report.execution_id))

    def _report(self, execution_id: str, parent_id: str, children: list[Order]) -> ExecutionReport:
        children.sort(key=lambda order: (_begin(order), order.order_id))
        notes: list[str] = []
        total = self._total(parent_id, children, notes)
        filled = math.fsum(order.filled for order in children)
        filled = total if math.isclose(filled, total, rel_tol=ALMOST) else filled
        status = _status(children, filled, total)
        start_ns, end_ns = _span(children, status, notes)
        fills, total_fees = self._fills(children, notes)
        venues = {venue for order in children for venue in order.venues}
        first = children[0]
        self.said.update(notes)
        return ExecutionReport(
            execution_id=execution_id,
            symbol=first.symbol,
            side=first.side,
            total_quantity=total,
            filled_quantity=filled,
            remaining_quantity=max(0.0, total - filled),
            avg_fill_price=_average(children),
            total_fees=total_fees,
            slices_completed=sum(order.filled > 0 and not order.unfilled for order in children),
            slices_total=len(children),
            status=status,
            start_ts_ns=start_ns,
            end_ts_ns=end_ns,
            algo_type=_only(children, "algorithm") or self.algorithm,
            strategy_id=_only(children, "strategy") or "",
            parent_intent_id=parent_id,
            venue=venues.pop() if len(venues) == 1 else "",
            decision_price=_first(children, "decision_price"),
            arrival_price=_first(children, "arrival_price"),
            end_price=_first(children[::-1], "end_price"),
            benchmark_vwap=_same(children, "vwap"),
            benchmark_vwap_own=_same(children, "vwap_own"),
            benchmark_twap=_same(children, "twap"),
            spread_bps=_same(children, "spread_bps"),
            market_volume=_same(children, "market_volume"),
            unfilled_reason=None if status in ("completed", "running") else _reason(children),
            fills=fills,
            settings=dict(self.settings),
            notes=_notes(children, notes),
        )

    def _total(self, parent_id: str, children: Sequence[Order], notes: list[str]) -> float:
        said = _same(children, "parent_qty")
        if said > 0:
            return said
        filled = math.fsum(order.filled for order in children)
        if all(math.isnan(order.qty) for order in children):
            if not filled:
                raise DataError(
                    f"{children[0].where}: order {parent_id!r} has neither fills nor a quantity: "
                    "say which column it is with --column order_qty=..."
                )
            say(notes, "no ordered quantity: taken to be what was filled, so opportunity cost is unknown")
            return filled
        # An order that was filled beyond its quantity, or whose quantity is unknown, wanted what it got.
        of_orders = math.fsum(order.filled if math.isnan(order.qty) else order.qty for order in children)
        if len(children) == 1 or not any(order.unfilled for order in children) or self.parent_quantity == "orders":
            return of_orders
        if self.parent_quantity == "fills" and filled:
            say(notes, "parent without a quantity: taken to be what was filled, so opportunity cost is unknown")
            return filled
        if self.parent_quantity == "fills":
            return of_orders
        raise DataError(
            f"{children[0].where}: parent {parent_id!r} has {len(children)} orders that were not all filled, and no "
            "quantity of its own: give one with --column parent_qty=..., or choose --parent-quantity orders (the sum "
            "of its orders; what was sent again counts twice) or fills (no opportunity cost)"
        )

    def _fills(self, children: Sequence[Order], notes: list[str]) -> tuple[tuple[FillEvent, ...], float]:
        """Fills of all orders, oldest first, with their fees in quote currency; NaN as total where a fee is unknown."""
        events: list[FillEvent] = []
        fees: list[float] = []
        for order in children:
            for number, fill in enumerate(order.fills, 1):
                fee = self.fees.in_quote(fill, order.symbol, order.facts["currency"], notes)
                fees.append(fee)
                meta: dict[str, Any] = {}
                for name in ("half_spread", "impact", "mid"):
                    if math.isfinite(value := getattr(fill, name)):
                        meta[name] = value
                if fill.venue:
                    meta["venue"] = fill.venue
                if math.isnan(fee) and math.isfinite(fill.fee):
                    meta["fee"] = f"{fill.fee!r} {fill.fee_currency}"
                if fill.liquidity is None:
                    say(notes, "liquidity unknown: counted as taker")
                events.append(
                    FillEvent(
                        fill_id=fill.fill_id or f"{order.order_id}-f{number}",
                        order_id=order.order_id,
                        symbol=order.symbol,
                        side=order.side,
                        qty=fill.qty,
                        price=fill.price,
                        ts_fill_ns=fill.ts_ns,
                        fee=0.0 if math.isnan(fee) else fee,
                        liquidity=fill.liquidity or "taker",
                        meta=meta,
                    )
                )
            if order.filled > math.fsum(fill.qty for fill in order.fills) * (1 + ALMOST):
                say(notes, "fills missing: the file says that more was filled")
                fees.append(math.nan)
        events.sort(key=lambda fill: fill.ts_fill_ns)
        return tuple(events), math.fsum(fees) if fees else 0.0


def _notes(children: Iterable[Order], taken: Sequence[str]) -> dict[str, Any]:
    notes: dict[str, Any] = {"taken": tuple(taken)} if taken else {}
    if decided := _said(children, "decision_ns"):
        notes["decision_ts_ns"] = min(decided)
    return notes


def _begin(order: Order) -> float:
    first = order.fills[0].ts_ns if order.fills else math.inf
    own = order.facts["order_ns"]
    return min(first, math.inf if own is None else own)


def _status(children: Sequence[Order], filled: float, total: float) -> Status:
    if filled >= total * (1 - ALMOST):
        return "completed"
    if any(order.status == "running" for order in children):
        return "running"
    return "failed" if not filled and all(order.status == "failed" for order in children) else "cancelled"


def _span(children: Sequence[Order], status: Status, notes: list[str]) -> tuple[int, int | None]:
    """Start and end: of the orders where the file has them, else of the fills."""
    starts = [order.facts["order_ns"] for order in children if order.facts["order_ns"] is not None]
    times = [fill.ts_ns for order in children for fill in order.fills]
    ends = [order.facts["end_ns"] for order in children if order.facts["end_ns"] is not None]
    if not starts and not times and not ends:
        raise DataError(
            f"{children[0].where}: order {children[0].order_id!r} has no time: "
            "say which column it is with --column order_time=..."
        )
    if len(starts) < len(children):
        say(notes, "no time of the order: it starts with its first fill, so what the market did before is not in it")
    elif times and min(times) < min(starts):
        say(notes, "fills before the time of the order: it starts with its first fill")
    start_ns = min(starts + times or ends)
    if status == "running":
        return start_ns, None
    if status == "completed" and times:
        return start_ns, max(times)
    if len(ends) < len(children) and not (ends and status == "completed"):
        say(notes, "no time when the order ended: its last fill stands for it")
        return start_ns, None
    return start_ns, max([*ends, *times, start_ns])


def _average(children: Sequence[Order]) -> float:
    filled = [order for order in children if order.filled]
    quantity = math.fsum(order.filled for order in filled)
    return math.fsum(order.filled * order.average for order in filled) / quantity if quantity else math.nan


def _reason(children: Sequence[Order]) -> str:
    """Why something was left, of the orders that were not filled."""
    left = [order for order in children if order.unfilled or order.status in ("cancelled", "failed")] or children
    words = {
        order.facts["reason"] or (order.status if order.status in ("cancelled", "failed") else None) for order in left
    }
    named = sorted(word for word in words if word)
    return "; ".join(named[:3]) if named else "the file does not say why"


def _said(children: Iterable[Order], name: str) -> list[Any]:
    return [value for order in children if (value := order.facts[name]) is not None and value == value]


def _only(children: Iterable[Order], name: str) -> str | None:
    words = set(_said(children, name))
    return words.pop() if len(words) == 1 else None


def _first(children: Iterable[Order], name: str) -> float:
    return next(iter(_said(children, name)), math.nan)


def _same(children: Iterable[Order], name: str) -> float:
    """A benchmark of the whole parent: what its orders say, if all that say it say the same."""
    values = _said(children, name)
    return float(values[0]) if values and values.count(values[0]) == len(values) else math.nan
