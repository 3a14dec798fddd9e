"""The intents that a parent sends: children and the requests to cancel them."""

from __future__ import annotations

from typing import Literal

from core import ids
from core.contracts import OrderIntent
from core.instrument import Instrument
from execution.children import Child, Parent, child_meta


class Outbox:
    """The commands of one step, and which child each request to cancel is for."""

    __slots__ = ("_cancels", "_instrument", "_out", "_parent")

    def __init__(self, parent: Parent, instrument: Instrument) -> None:
        self._parent = parent
        self._instrument = instrument
        self._out: list[OrderIntent] = []
        self._cancels: dict[str, Child] = {}

    def send(self, child: Child, now_ns: int, *, scheduled_ts_ns: int, expires_ts_ns: int) -> None:
        self._put("new", child, child.intent_id, now_ns, child.lots, scheduled_ts_ns, None, expires_ts_ns)

    def cancel(self, child: Child, now_ns: int) -> None:
        name = ids.cancel_id(child.intent_id, child.cancels)
        self._cancels[name] = child
        self._put("cancel", child, name, now_ns, child.reserved, now_ns, child.intent_id, None)

    def cancelled_by(self, intent_id: str) -> Child | None:
        """The child that a request to cancel was for; a request is answered once."""
        return self._cancels.pop(intent_id, None)

    def take(self) -> tuple[OrderIntent, ...]:
        """What has been put here since the last time."""
        out, self._out = tuple(self._out), []
        return out

    def _put(
        self,
        action: Literal["new", "cancel"],
        child: Child,
        name: str,
        now_ns: int,
        lots: int,
        scheduled_ts_ns: int,
        target: str | None,
        expires_ts_ns: int | None,
    ) -> None:
        parent = self._parent
        self._out.append(
            OrderIntent(
                name,
                now_ns,
                parent.strategy_id,
                parent.symbol,
                parent.side,
                "limit" if child.limit_ticks else "market",
                self._instrument.qty(lots),
                self._instrument.price(child.limit_ticks) if child.limit_ticks else None,
                child_meta(parent, child.slice_idx, scheduled_ts_ns),
                action,
                target,
                expires_ts_ns,
            )
        )
