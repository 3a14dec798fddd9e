"""An order that the gate let pass, and what of it may still trade."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from core.contracts import FillEvent, OrderIntent
from risk.book import EPSILON, Book
from risk.parents import Parent

_NO_FILLS: Final[frozenset[str]] = frozenset()


class Order:
    """Reserved until fills or the venue's last word say otherwise; `done` when nothing more may come of it."""

    __slots__ = (
        "book", "closed", "content", "done", "fill_ids", "filled", "intent", "last_fill_ns", "parent", "qty", "side",
    )  # fmt: skip

    def __init__(self, intent: OrderIntent, book: Book, parent: Parent | None, content: Hashable) -> None:
        self.intent = intent
        self.book = book
        self.parent = parent
        self.content = content
        self.qty = intent.qty
        self.filled = 0.0
        self.fill_ids: set[str] | frozenset[str] = _NO_FILLS  # most orders that are sent are cancelled
        self.last_fill_ns = 0
        self.closed = False
        self.done = False
        self.side = book.own(intent.side)
        self.side.begin(intent.intent_id, intent.qty, intent.limit_price)
        if parent is not None:
            parent.begin(intent.qty)

    @property
    def left(self) -> float:
        rest = self.qty - self.filled
        return rest if rest > EPSILON * self.qty else 0.0

    def fill(self, fill: FillEvent) -> None:
        """The venue's word is final: more than was asked for counts too."""
        before = self.left
        if isinstance(self.fill_ids, frozenset):
            self.fill_ids = set()
        self.fill_ids.add(fill.fill_id)
        self.last_fill_ns = max(self.last_fill_ns, fill.ts_fill_ns)
        self.filled += fill.qty
        if self.parent is not None:
            self.parent.filled += fill.qty
        self._settle(before)

    def close(self, cumulative_qty: float) -> None:
        """Only fills up to the venue's total may still come: they stay reserved until they are seen."""
        before = self.left
        self.qty = max(self.qty, cumulative_qty) if self.closed else cumulative_qty
        self.closed = True
        self.side.rest_no_more(self.intent.intent_id)
        self._settle(before)

    def _settle(self, before: float) -> None:
        if self.done:
            return
        left, intent = self.left, self.intent
        self.side.reserve(left - before, intent.limit_price)
        if self.parent is not None:
            self.parent.reserved += left - before
        if left == 0.0:
            self.done = True
            self.side.end(intent.intent_id)
            if self.parent is not None:
                self.parent.end()
