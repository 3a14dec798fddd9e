"""Parents as the gate knows them: how much their children have traded and may still trade, whoever sends these."""

from __future__ import annotations

from dataclasses import dataclass

from core import checks
from core.contracts import SIDES, Side

FORGOTTEN_AFTER_NS = 48 * 3600 * 1_000_000_000  # without a child; no parent is longer than a day


@dataclass(slots=True)
class Parent:
    """`reserved`: of children that are open or of unknown fate."""

    execution_id: str
    symbol: str
    side: Side
    qty: float
    filled: float = 0.0
    reserved: float = 0.0
    open_orders: int = 0
    touched_ns: int | None = None  # None: told since anybody said what time it is

    def begin(self, qty: float) -> None:
        self.open_orders += 1
        self.reserved += qty

    def end(self) -> None:
        self.open_orders -= 1
        if self.open_orders == 0:
            self.reserved = 0.0


class Parents:
    """By execution id."""

    def __init__(self) -> None:
        self._parents: dict[str, Parent] = {}
        self._swept_ns = 0

    def __len__(self) -> int:
        return len(self._parents)

    def get(self, execution_id: object) -> Parent | None:
        return self._parents.get(execution_id) if isinstance(execution_id, str) else None

    def put(self, execution_id: str, symbol: str, side: Side, qty: float) -> None:
        """A parent begins, or is amended to another quantity.

        Raises ValueError for a quantity that is not finite and above 0, an unknown side, or a parent that changes its
        symbol or side.
        """
        checks.named("execution_id", execution_id)
        checks.named("symbol", symbol)
        checks.one_of("side", side, SIDES)
        checks.positive("qty", qty)
        parent = self._parents.get(execution_id)
        if parent is None:
            self._parents[execution_id] = Parent(execution_id, symbol, side, qty)
        elif (parent.symbol, parent.side) != (symbol, side):
            raise ValueError(f"parent {execution_id} is a {parent.side} of {parent.symbol}, not a {side} of {symbol}")
        else:
            parent.qty = qty
            parent.touched_ns = None

    def forget(self, now_ns: int) -> None:
        """Drops those without an open child that have had none for long; looks once in so much time."""
        if now_ns - self._swept_ns < FORGOTTEN_AFTER_NS:
            return
        self._swept_ns = now_ns
        for parent in list(self._parents.values()):
            if parent.open_orders or parent.touched_ns is None:
                parent.touched_ns = now_ns
            elif now_ns - parent.touched_ns > FORGOTTEN_AFTER_NS:
                del self._parents[parent.execution_id]
