"""Executions as other systems export them: tables, ccxt's JSON, FIX logs. Each writer keeps what its format holds."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import simplefix  # type: ignore[import-untyped]

from core.contracts import FillEvent
from execution.contracts import ExecutionReport, average_price

MS = 1_000_000
_WORDS = {"completed": "2", "cancelled": "4", "failed": "8", "running": "1"}


def report(
    *fills: FillEvent, execution_id: str = "x-1", side: Any = "buy", total: float | None = None, **more: Any
) -> ExecutionReport:
    """An execution of its fills: one hour, arrival 10.0, end 10.2."""
    filled = math.fsum(fill.qty for fill in fills)
    total = filled if total is None else total
    last = max((fill.ts_fill_ns for fill in fills), default=START)
    done = filled >= total
    facts: dict[str, Any] = {
        "symbol": "ATOM/USDT", "status": "completed" if done else "cancelled", "start_ts_ns": START,
        "end_ts_ns": last if done else START + 3600 * 10**9, "unfilled_reason": None if done else "end of horizon",
        "decision_price": 9.9, "arrival_price": 10.0, "end_price": 10.2, "algo_type": "VWAP", "strategy_id": "mine",
        "venue": "sim", "parent_intent_id": execution_id,
    }  # fmt: skip
    return ExecutionReport(
        execution_id=execution_id,
        side=side,
        total_quantity=total,
        filled_quantity=filled,
        remaining_quantity=total - filled,
        avg_fill_price=average_price(fills),
        total_fees=math.fsum(fill.fee for fill in fills),
        slices_completed=1,
        slices_total=1,
        fills=fills,
        **{**facts, **more},
    )


START = 1_735_689_600_000_000_000  # 2025-01-01


def fill(number: int, qty: float, price: float, *, order: str = "x-1", side: Any = "buy", **more: Any) -> FillEvent:
    facts = {"ts_fill_ns": START + number * 60_000_000_000, "fee": qty * price * 1e-3, "liquidity": "taker", **more}
    return FillEvent(f"{order}-f{number}", order, "ATOM/USDT", side, qty, price, **facts)


def rows(reports: Iterable[ExecutionReport]) -> list[dict[str, Any]]:
    """One row a fill, with all about its execution on it; a row without a fill for an execution that got nothing."""
    out = []
    for one in reports:
        facts = {
            "execution": one.execution_id, "symbol": one.symbol, "side": one.side, "order_qty": one.total_quantity,
            "order_time": one.start_ts_ns, "end_time": one.end_ts_ns, "status": one.status, "algo": one.algo_type,
            "reason": one.unfilled_reason, "strategy": one.strategy_id, "exchange": one.venue,
            "decision_price": one.decision_price, "arrival_price": one.arrival_price, "end_price": one.end_price,
            "vwap": one.benchmark_vwap, "vwap_own": one.benchmark_vwap_own, "twap": one.benchmark_twap,
            "spread_bps": one.spread_bps, "market_volume": one.market_volume,
        }  # fmt: skip
        out += [facts | _of_fill(done) for done in one.fills]
        if not one.fills:
            out.append(facts)
    return out


def _of_fill(done: FillEvent) -> dict[str, Any]:
    return {
        "trade_id": done.fill_id, "ts": done.ts_fill_ns, "size": done.qty, "px": done.price, "fee": done.fee,
        "fee_coin": "USDT", "maker_taker": done.liquidity, "half_spread": done.meta.get("half_spread"),
        "impact": done.meta.get("impact"),
    }  # fmt: skip


def write_csv(path: Path, table: Sequence[dict[str, Any]], separator: str = ",") -> Path:
    """NaN and None are empty cells; floats are written in full."""
    names = list(dict.fromkeys(name for row in table for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(names)
        for row in table:
            values = (row.get(name) for name in names)
            writer.writerow(["" if value is None or value != value else value for value in values])
    return path


def ccxt_trades(reports: Iterable[ExecutionReport]) -> list[dict[str, Any]]:
    """`fetchMyTrades`: every fill under its execution's id."""
    return [
        {
            "id": done.fill_id, "order": one.execution_id, "timestamp": done.ts_fill_ns // MS, "symbol": one.symbol,
            "datetime": datetime.fromtimestamp(done.ts_fill_ns // 10**9, UTC).isoformat(), "type": "market",
            "side": done.side, "price": done.price, "amount": done.qty, "cost": done.price * done.qty,
            "takerOrMaker": done.liquidity, "fee": {"cost": done.fee, "currency": "USDT"}, "fees": [], "info": {"a": 1},
        }
        for one in reports
        for done in one.fills
    ]  # fmt: skip


def ccxt_orders(reports: Iterable[ExecutionReport]) -> list[dict[str, Any]]:
    """`fetchOrders` of the same."""
    return [
        {
            "id": one.execution_id, "clientOrderId": None, "timestamp": one.start_ts_ns // MS, "symbol": one.symbol,
            "side": one.side, "type": "limit", "price": None, "amount": one.total_quantity, "info": {},
            "filled": one.filled_quantity, "remaining": one.remaining_quantity,
            "average": one.avg_fill_price if one.filled_quantity else None,
            "status": {"completed": "closed", "cancelled": "canceled", "failed": "rejected"}.get(one.status, "open"),
            "lastUpdateTimestamp": None if one.end_ts_ns is None else one.end_ts_ns // MS, "fees": [],
        }
        for one in reports
    ]  # fmt: skip


def write_json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def fix_time(ts_ns: int) -> str:
    seconds, rest = divmod(ts_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%d-%H:%M:%S}.{rest:09d}"


def fix(**tags: Any) -> bytes:
    """An execution report: t37="..." and so on; a correct length and checksum."""
    message = simplefix.FixMessage()
    message.append_pair(8, "FIX.4.4", header=True)
    message.append_pair(35, tags.pop("t35", "8"), header=True)
    for name, value in tags.items():
        if value is not None:
            message.append_pair(int(name[1:]), value)
    encoded: bytes = message.encode()
    return encoded


def fix_messages(reports: Iterable[ExecutionReport]) -> list[bytes]:
    """New, every fill, and the end of each execution."""
    out = []
    for one in reports:
        head = {"t37": one.execution_id, "t11": f"c-{one.execution_id}", "t54": "1" if one.side == "buy" else "2",
                "t55": one.symbol, "t38": repr(one.total_quantity)}  # fmt: skip
        out.append(
            fix(**head, t17=f"{one.execution_id}-new", t150="0", t39="0", t14="0", t60=fix_time(one.start_ts_ns))
        )
        done_qty = 0.0
        for done in one.fills:
            done_qty += done.qty
            last = done is one.fills[-1] and one.status == "completed"
            out.append(
                fix(
                    **head, t17=done.fill_id, t150="F", t39="2" if last else "1", t31=repr(done.price),
                    t32=repr(done.qty), t14=repr(one.filled_quantity if last else done_qty),
                    t6=repr(one.avg_fill_price), t12=repr(done.fee), t13="3", t479="USDT",
                    t851="1" if done.liquidity == "maker" else "2", t60=fix_time(done.ts_fill_ns),
                )
            )  # fmt: skip
        if one.status in ("cancelled", "failed"):
            assert one.end_ts_ns is not None
            out.append(
                fix(
                    **head, t17=f"{one.execution_id}-end", t150="4" if one.status == "cancelled" else "8",
                    t39=_WORDS[one.status], t14=repr(one.filled_quantity), t58=one.unfilled_reason,
                    t60=fix_time(one.end_ts_ns),
                )
            )  # fmt: skip
    return out


def write_fix(path: Path, messages: Iterable[bytes], separator: bytes = b"|", prefix: bytes = b"") -> Path:
    lines = [prefix + message.replace(b"\x01", separator) for message in messages]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path
