"""The children of one parent: what was sent, what the venue said of it, and how many lots that leaves reserved.

Fills and closes may come late, twice, and in any order. Fills are counted by their ids; a close carries the venue's
total, and lots come free only when the fills that we have seen add up to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from core.contracts import Side
from execution.contracts import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """Who wants what: the facts of a parent order that no event changes."""

    execution_id: str
    strategy_id: str
    parent_intent_id: str
    algo_type: Label
    symbol: str
    side: Side
    total_quantity: float
    start_ns: int
    venue: str | None = None


def child_meta(parent: Parent, slice_idx: int, scheduled_ts_ns: int) -> dict[str, Any]:
    """What every child carries, so that its fills find their execution; it never holds the parent's size."""
    meta: dict[str, Any] = {
        "execution_id": parent.execution_id,
        "slice_id": f"{parent.execution_id}_{slice_idx}",
        "slice_idx": slice_idx,
        "algo_type": parent.algo_type,
        "scheduled_ts_ns": scheduled_ts_ns,
        "parent_intent_id": parent.parent_intent_id,
    }
    if parent.venue is not None:
        meta["venue"] = parent.venue
    return meta


class Standing(Enum):
    SENT = auto()  # nobody has answered yet
    OPEN = auto()  # the venue has it
    CANCELLING = auto()  # we have asked to cancel it
    UNKNOWN = auto()  # nobody can say
    CLOSED = auto()  # the venue or the gate has said its last word


@dataclass(slots=True)
class Child:
    intent_id: str
    number: int
    slice_idx: int
    lots: int
    marketable: bool
    limit_ticks: int  # 0: a market order
    level: int = 0
    filled: int = 0
    total: int | None = None  # the venue's cumulative quantity at its close
    standing: Standing = Standing.SENT
    cancels: int = 0  # how often we have asked to cancel it
    ask_again_ns: int = 0  # not before

    @property
    def reserved(self) -> int:
        """Lots that may still turn out filled; never negative, whatever a venue reports."""
        return max(0, (self.lots if self.total is None else self.total) - self.filled)


class Children:
    """All children of a parent, and the sums over them that every decision reads."""

    __slots__ = ("_by_id", "_fill_ids", "_live", "filled", "reserved")

    def __init__(self) -> None:
        self._by_id: dict[str, Child] = {}
        self._live: dict[str, Child] = {}
        self._fill_ids: set[str] = set()
        self.filled = 0
        self.reserved = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Child]:
        return iter(self._by_id.values())

    def get(self, intent_id: str) -> Child | None:
        return self._by_id.get(intent_id)

    def live(self) -> list[Child]:
        """Children with lots reserved, oldest first."""
        return list(self._live.values())

    def add(self, child: Child) -> None:
        if child.intent_id in self._by_id:
            raise RuntimeError(f"child {child.intent_id} was sent before")
        self._by_id[child.intent_id] = child
        self._live[child.intent_id] = child
        self.reserved += child.lots

    def fill(self, child: Child, fill_id: str, lots: int) -> bool:
        """Counts a fill once; False for a repeated one."""
        if fill_id in self._fill_ids:
            return False
        self._fill_ids.add(fill_id)
        before = child.reserved
        child.filled += lots
        self.filled += lots
        if child.standing in (Standing.SENT, Standing.UNKNOWN):
            child.standing = Standing.OPEN
        if child.filled >= child.lots:
            child.standing = Standing.CLOSED
        self._settle(child, before)
        return True

    def close(self, child: Child, total: int) -> bool:
        """The venue's last word; False where it had been said already."""
        if child.total is not None:
            return False
        before = child.reserved
        child.total = total
        child.standing = Standing.CLOSED
        self._settle(child, before)
        return True

    def _settle(self, child: Child, before: int) -> None:
        self.reserved += child.reserved - before
        if child.reserved == 0:
            self._live.pop(child.intent_id, None)
        else:  # again, where a venue reports more filled than it was asked for
            self._live.setdefault(child.intent_id, child)
