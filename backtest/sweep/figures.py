"""What a task says of its executions: a few figures for the table, and each order's cost for intervals and pairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from execution.contracts import ExecutionReport
from execution.costs.comparison import DAY_NS, Order, Yardstick, orders_of
from execution.tca import measure, pooled

YARDSTICKS: Final[tuple[Yardstick, ...]] = ("shortfall", "arrival", "vwap", "twap")


def figures_of(reports: Iterable[ExecutionReport]) -> dict[str, Any]:
    """`figures` of all executions together, as `fillwright analyze` has them, and `orders` by yardstick."""
    every = list(reports)
    costs = [measure(report) for report in every]
    all_ = pooled(costs)
    figures: dict[str, Any] = {
        "executions": len(costs),
        "completed": sum(report.status == "completed" for report in every),
        "failed_executions": sum(report.status == "failed" for report in every),
        "fill_rate": all_.fill_rate,
        "shortfall_bps": all_.shortfall_bps,
        "fees_bps": all_.parts_bps.fees,
    }
    figures |= {f"{name}_bps": all_.against[name].bps for name in YARDSTICKS if name != "shortfall"}
    return {"figures": figures, "orders": {name: packed(orders_of(costs, name)) for name in YARDSTICKS}}


def packed(orders: Iterable[Order]) -> dict[str, list[Any]]:
    """Orders as columns. The day is the order's own; its parent is one word within the task."""
    every = list(orders)
    return {
        "cost": [order.cost for order in every],
        "notional": [order.notional for order in every],
        "day": [order.cluster[1] for order in every],  # type: ignore[index]  # (symbol, day)
        "parent": ["\x1f".join(map(str, order.parent or ())) for order in every],
    }


def unpacked(columns: dict[str, list[Any]], symbol: str, condition: int, *, days_alone: bool = False) -> list[Order]:
    """The orders again. A parent is the same one where condition and word are; `days_alone`: a day is one draw of
    chance over all symbols."""
    return [
        Order(cost, notional, day if days_alone else (symbol, day), (condition, parent) if parent else None)
        for cost, notional, day, parent in zip(*(columns[name] for name in COLUMNS), strict=True)
    ]


COLUMNS: Final = ("cost", "notional", "day", "parent")
__all__ = ["COLUMNS", "DAY_NS", "YARDSTICKS", "figures_of", "packed", "unpacked"]
