"""What risk's journal amounts to, by the plainest arithmetic: the gate is held against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.contracts import Side, sign
from risk import engine


@dataclass(slots=True)
class _Order:
    side: Side
    qty: float
    fills: dict[str, float] = field(default_factory=dict)
    total: float | None = None

    @property
    def may_trade(self) -> float:
        rest = (self.qty if self.total is None else self.total) - sum(self.fills.values())
        return rest if rest > 1e-9 * self.qty else 0.0


class Ledger:
    """Orders that were allowed, and every fill and close that was heard, counted once."""

    def __init__(self, found: Iterable[Mapping[str, Any]]) -> None:
        self._orders: dict[str, _Order] = {}
        self._fills: dict[tuple[str, str], float] = {}  # signed
        for entry in found:
            self.add(entry)

    def add(self, entry: Mapping[str, Any]) -> None:
        match entry["k"]:
            case engine.ORDER if entry["ok"] and entry["i"]["action"] == "new":
                self._orders.setdefault(entry["i"]["intent_id"], _Order(entry["i"]["side"], entry["i"]["qty"]))
            case engine.FILL:
                fill = entry["e"]
                self._fills[fill["order_id"], fill["fill_id"]] = sign(fill["side"]) * fill["qty"]
                if fill["order_id"] in self._orders:
                    self._orders[fill["order_id"]].fills[fill["fill_id"]] = fill["qty"]
            case engine.CLOSED if (order := self._orders.get(entry["e"]["intent_id"])) is not None:
                order.total = entry["e"]["cumulative_qty"] if order.total is None else order.total

    @property
    def position(self) -> float:
        return sum(self._fills.values())

    @property
    def live(self) -> list[str]:
        return [name for name, order in self._orders.items() if order.may_trade]

    def reserved(self, side: Side) -> float:
        return sum(order.may_trade for order in self._orders.values() if order.side == side)

    def may_trade(self, intent_id: str) -> float | None:
        """None for an order that did not pass here."""
        order = self._orders.get(intent_id)
        return None if order is None else order.may_trade


def close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))
