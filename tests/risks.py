"""Limits that nothing meets unless a test says so, and the messages of a gate."""

from __future__ import annotations

import dataclasses
from typing import Any

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from risk.gate import RiskGate
from risk.kill import KillSwitch
from risk.limits import (
    AccountLimits,
    IntentLimits,
    RateLimits,
    RejectLimits,
    RepeatLimits,
    RiskLimits,
    SymbolLimits,
)

S = 1_000_000_000
DAY = 86_400 * S
X = "ATOM/USDT"
LOOSE = RiskLimits(
    symbols=("*",),
    limits=SymbolLimits(
        max_order_qty=1e6,
        max_order_notional=1e9,
        max_position_qty=1e6,
        max_open_orders=10_000,
        price_collar_bps=1000.0,
        max_reference_age_s=120.0,
    ),
    account=AccountLimits(max_open_notional=1e12, buying_power=1e12, max_open_orders=10_000, max_daily_loss=1e12),
    rate=RateLimits(window_s=10.0, max_orders=1000, max_cancels=1000),
    repeats=RepeatLimits(window_s=1.0, max_executions=10_000),
    rejects=RejectLimits(window_s=1.0, last_orders=10_000, max_rejects=9_999),
    intents=IntentLimits(max_age_s=1e9, duplicate_window_s=1.0),
    parents="if_known",
    venue_filters="if_known",
)
NO_KILL = KillSwitch("/no/such/folder/kill")


def loose(**changes: Any) -> RiskLimits:
    """LOOSE with other limits, each named as in its section: `limits={"max_order_qty": 5}`, `parents="required"`."""
    for section, names in changes.items():
        if isinstance(names, dict) and section != "overrides":
            changes[section] = dataclasses.replace(getattr(LOOSE, section), **names)
    return dataclasses.replace(LOOSE, **changes)


def gate_at(bid: float = 5.0, ask: float = 5.01, *, ts_ns: int = 0, **changes: Any) -> RiskGate:
    """A gate with LOOSE limits but for these changes, and a market; `positions` and `instruments` are the gate's."""
    settings = {name: changes.pop(name) for name in ("positions", "instruments", "epoch", "kill") if name in changes}
    gate = RiskGate(loose(**changes), **{"kill": NO_KILL, **settings})
    gate.on_price(X, bid, ask, ts_ns)
    return gate


def order(intent_id: str = "o1", qty: float = 10.0, price: float | None = 5.0, **changes: Any) -> OrderIntent:
    """A buy of X; every id is a slice of its own, so that equal orders are no doubles."""
    settings: dict[str, Any] = {
        "strategy_id": "s", "symbol": X, "side": "buy", "type": "market" if price is None else "limit",
        "ts_local_ns": 0, "meta": {"slice_id": intent_id}, **changes,
    }  # fmt: skip
    return OrderIntent(intent_id=intent_id, qty=qty, limit_price=price, **settings)


def child(intent_id: str, execution_id: str, qty: float = 10.0, price: float | None = 5.0, **more: Any) -> OrderIntent:
    return order(intent_id, qty, price, meta={"execution_id": execution_id, "slice_id": intent_id}, **more)


def cancel(intent_id: str, target: str = "o1", **changes: Any) -> OrderIntent:
    return order(intent_id, action="cancel", target_intent_id=target, **changes)


def fill(
    intent: OrderIntent, qty: float, fill_id: str, price: float = 5.0, fee: float = 0.0, ts_ns: int = 0
) -> FillEvent:
    return FillEvent(fill_id, intent.intent_id, intent.symbol, intent.side, qty, price, ts_ns, fee)


def closed(intent: OrderIntent, cumulative: float, status: Any = "cancelled", ts_ns: int = 0) -> OrderClosed:
    return OrderClosed(intent.intent_id, "sim", status, cumulative, ts_ns)


def breached(decision: RiskDecision) -> list[str]:
    assert decision.allowed == (not decision.caps)
    return list(decision.caps)
