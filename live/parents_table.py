"""What is said of a parent, to machines and in a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from execution.contracts import ExecutionReport


def report_facts(report: ExecutionReport) -> dict[str, Any]:
    """Where a parent stands, as its report has it."""
    return {
        "id": report.parent_intent_id,
        "execution_id": report.execution_id,
        "strategy": report.strategy_id,
        "symbol": report.symbol,
        "side": report.side,
        "algo": report.algo_type,
        "quantity": report.total_quantity,
        "filled": report.filled_quantity,
        "avg_price": report.avg_fill_price,
        "fees": report.total_fees,
        "status": report.status,
        "reason": report.unfilled_reason,
        "start_ns": report.start_ts_ns,
    }


def parents_table(parents: Sequence[Mapping[str, Any]]) -> Table:
    """One row per parent, readable at 80 columns; `parents`: their `report_facts`."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = Table(
        title=", ".join(sorted({str(one["symbol"]) for one in parents})),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    out.add_column("id", min_width=8, overflow="fold")
    for name in ("execution", "order"):
        out.add_column(name, no_wrap=True)
    for name in ("quantity", "filled", "price"):
        out.add_column(name, justify="right", no_wrap=True)
    out.add_column("status", min_width=9, overflow="fold")
    for one in parents:
        price = one["avg_price"]
        status = one["status"] if not one["reason"] else f"{one['status']}: {one['reason']}"
        out.add_row(
            *(Text(str(one[name])) for name in ("id", "execution_id")),
            Text(f"{one['side']} {one['algo']}"),
            f"{one['quantity']:,.8g}",
            f"{one['filled']:,.8g}",
            f"{price:,.8g}" if price is not None and price == price and one["filled"] else "–",
            Text(status),
        )
    return out
