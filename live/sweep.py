"""After a kill: everything is withdrawn, again and again, until the venue itself shows nothing open.

No I/O, and time is an argument: nanoseconds of a clock that never jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from broker.base import VenueOrder
from core.contracts import OrderIntent
from live.effects import Effect, Withdraw
from live.engine import Engine

SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Residue:
    """What could not be brought down in time: ids that the venue shows open, and ids of which nobody knows."""

    open_orders: tuple[str, ...]
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        parts = (("still open", self.open_orders), ("unknown", self.unknown))
        return "; ".join(f"{what}: {', '.join(ids)}" for what, ids in parts if ids)


class Sweep:
    """One kill's rounds. `next_ns`: when the next one is due; None: the venue is empty, and so is the order store.

    It goes on after `limit_ns`; from then on `residue` says what is left, for whoever has to look at the venue.
    """

    def __init__(self, began_ns: int, *, every_ns: int = SECOND, limit_ns: int = 60 * SECOND) -> None:
        self.next_ns: int | None = began_ns
        self.residue: Residue | None = None
        self._began_ns = began_ns
        self._every_ns = every_ns
        self._limit_ns = limit_ns
        self._foreign = 0

    def round(self, engine: Engine, shown: Sequence[VenueOrder] | None, steady_ns: int, now_ns: int) -> list[Effect]:
        """What to withdraw now. `shown`: all that the venue has open; None where it cannot be asked.

        `steady_ns` is this clock's time, `now_ns` the engine's.
        """
        unknown = [order.intent.intent_id for order in engine.orders.live()]
        if shown is not None and not shown and not unknown:
            self.next_ns, self.residue = None, None
            return []
        self.next_ns = steady_ns + self._every_ns
        names = [order.intent_id for order in shown or ()]
        if steady_ns - self._began_ns >= self._limit_ns:
            self.residue = Residue(tuple(names), tuple(name for name in unknown if name not in names))
        effects = engine.sweep(now_ns)
        for order in shown or ():
            if order.intent_id not in engine.orders:
                self._foreign += 1
                effects.append(Withdraw(foreign_cancel(f"kill-{self._foreign}", order, now_ns)))
        return effects


def foreign_cancel(intent_id: str, order: VenueOrder, now_ns: int) -> OrderIntent:
    """Of an order in our account that is not at work here: side and price do not matter to a cancel."""
    return OrderIntent(
        intent_id,
        now_ns,
        "nobody",
        order.symbol,
        "buy",
        "market",
        order.qty,
        action="cancel",
        target_intent_id=order.intent_id,
    )
