"""What a rule may look at, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from core.contracts import OrderIntent
from risk.account import Account
from risk.book import BPS, Book, sane
from risk.breakers import NS_PER_S, Breakers
from risk.kill import KillSwitch
from risk.limits import RiskLimits
from risk.parents import Parents
from risk.windows import Contents, Window


class Breach(NamedTuple):
    value: object
    limit: object
    text: str


@dataclass(slots=True)
class View:
    """The gate's state, and the intent in question. Rules read it and change nothing.

    problem: what is wrong with the reference price. price: what the order is priced at, its limit or else the collar's
    edge; None where that cannot be known. content: what makes another order its double. epoch: the highest known.
    """

    limits: RiskLimits
    kill: KillSwitch | None
    account: Account
    parents: Parents
    breakers: Breakers
    contents: Contents
    orders: Window
    cancels: Window
    epoch: int | None = None
    intent: OrderIntent = field(default_factory=lambda: OrderIntent("-", 0, "-", "-", "buy", "market", 1.0))
    now_ns: int = 0
    book: Book = field(default_factory=lambda: Book("-", RiskLimits().limits))
    problem: str | None = None
    price: float | None = None
    content: Hashable = None

    def look(self, intent: OrderIntent, now_ns: int, book: Book, content: Hashable) -> None:
        """Turns to an intent."""
        self.intent, self.now_ns, self.book, self.content = intent, now_ns, book, content
        self.problem = reference_problem(book, now_ns)
        self.price = intent.limit_price
        if self.price is None and self.problem is None:
            self.price = book.ask * (1.0 + (book.limits.price_collar_bps or 0.0) * BPS)


Rule = Callable[[View], Breach | None]


def missing(name: str) -> Breach:
    return Breach(None, None, f"no limit {name} is set, so nothing may pass")


def content_of(intent: OrderIntent) -> Hashable:
    """What an order is, whatever its id. Slices of an execution are told apart: equal children are its business."""
    meta = intent.meta
    return (
        intent.strategy_id,
        intent.symbol,
        intent.side,
        intent.qty,
        intent.limit_price,
        meta.get("execution_id"),
        meta.get("slice_id"),
        meta.get("scheduled_ts_ns"),
    )


def reference_problem(book: Book, now_ns: int) -> str | None:
    """Why nothing can be compared with the reference price; None where it is there, sane and fresh."""
    if book.reference_ts_ns is None:
        return f"no reference price for {book.symbol} has been seen"
    if not sane(book.bid, book.ask):
        return f"reference price is not usable: bid {book.bid:g}, ask {book.ask:g}"
    limit_s = book.limits.max_reference_age_s
    age_s = (now_ns - book.reference_ts_ns) / NS_PER_S
    if limit_s is not None and not -limit_s <= age_s <= limit_s:  # far in the future is a broken clock
        return f"reference price is {age_s:g} s old, max_reference_age_s is {limit_s:g}"
    return None
