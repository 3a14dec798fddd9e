"""The gate: every order intent passes here or does not trade.

All rules run, all breaches are listed, and what passes is reserved in the same step, so that two orders cannot share
one limit. Reservations shrink on evidence only: a fill, or the venue's last word on an order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from core.frozen import FrozenDict
from risk.book import Book, Reservation, Window
from risk.kill import KillSwitch
from risk.limits import RiskLimits
from risk.rules import CANCEL_RULES, DUPLICATE, NEW_ORDER_RULES, Breach, View


class RiskGate:
    """One account's gate. Not thread-safe: it belongs to the loop that sends the orders.

    `kill` defaults to a switch on `limits.kill_switch_file`; `positions` (symbol -> signed base quantity) is what the
    account holds at the start.
    """

    def __init__(
        self, limits: RiskLimits, *, kill: KillSwitch | None = None, positions: Mapping[str, float] | None = None
    ) -> None:
        if kill is None and limits.kill_switch_file is not None:
            kill = KillSwitch(limits.kill_switch_file)
        self._limits = limits
        self._kill = kill
        self._books: dict[str, Book] = {}
        self._reservations: dict[str, Reservation] = {}
        self._answers: dict[str, tuple[OrderIntent, RiskDecision]] = {}
        self._fills: set[tuple[str, str]] = set()
        self._orders = Window()
        self._cancels = Window()
        self._new_order_rules = tuple(NEW_ORDER_RULES.items())
        self._cancel_rules = tuple(CANCEL_RULES.items())
        for symbol, qty in (positions or {}).items():
            self._book(symbol).position = qty

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        """May this intent go to a venue? The same intent again gets the same answer, and reserves nothing more."""
        answered = self._answers.get(intent.intent_id)
        if answered is not None:
            return _replay(*answered, intent)
        is_cancel = intent.action == "cancel"
        book = self._books.get(intent.symbol) or self._book(intent.symbol)
        view = View(intent, now_ns, book, self._limits, self._kill, self._orders, self._cancels)
        breaches: list[tuple[str, Breach]] | None = None
        for rule_id, rule in self._cancel_rules if is_cancel else self._new_order_rules:
            breach = rule(view)
            if breach is not None:
                breaches = breaches or []
                breaches.append((rule_id, breach))
        if breaches:
            decision = _refusal(intent.intent_id, breaches)
        else:
            decision = RiskDecision(intent.intent_id, True)
            if is_cancel:
                self._cancels.add(now_ns)
            else:
                self._orders.add(now_ns)
                self._reservations[intent.intent_id] = Reservation(book, intent.side, intent.qty)
        self._answers[intent.intent_id] = (intent, decision)
        return decision

    def on_fill(self, fill: FillEvent) -> None:
        """Book a fill, once per order and fill id; a fill of an order that never passed here moves the position too."""
        key = (fill.order_id, fill.fill_id)
        if key in self._fills:
            return
        self._fills.add(key)
        book = self._book(fill.symbol)
        book.position += fill.qty if fill.side == "buy" else -fill.qty
        reservation = self._reservations.get(fill.order_id)
        if reservation is not None:
            reservation.fill(fill.qty)
            self._release_if_done(fill.order_id, reservation)

    def on_closed(self, closed: OrderClosed) -> None:
        """Release what an order will not trade any more: all but fills that the venue counts and nobody has seen."""
        reservation = self._reservations.get(closed.intent_id)
        if reservation is not None:
            reservation.close(closed.cumulative_qty)
            self._release_if_done(closed.intent_id, reservation)

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        """The reference price. An older one than the last is ignored; one that is not sane shuts the symbol's gate."""
        book = self._books.get(symbol) or self._book(symbol)
        if book.reference_ts_ns is None or ts_ns >= book.reference_ts_ns:
            book.bid, book.ask, book.reference_ts_ns = bid, ask, ts_ns

    def position(self, symbol: str) -> float:
        """Signed base quantity."""
        return self._book(symbol).position

    def reserved(self, symbol: str) -> tuple[float, float]:
        """Quantities (to buy, to sell) of orders that are open or of unknown fate."""
        book = self._book(symbol)
        return book.open_buys, book.open_sells

    def _book(self, symbol: str) -> Book:
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = Book(symbol, self._limits.for_symbol(symbol))
        return book

    def _release_if_done(self, intent_id: str, reservation: Reservation) -> None:
        if reservation.left == 0.0:
            del self._reservations[intent_id]
            reservation.book.order_done()


def _replay(first: OrderIntent, decision: RiskDecision, again: OrderIntent) -> RiskDecision:
    """The answer given before, unless another order hides behind the same id."""
    if again == first:
        return decision
    text = f"intent id {again.intent_id} was used for another order before"
    return _refusal(again.intent_id, [(DUPLICATE, Breach(again.intent_id, None, text))])


def _refusal(intent_id: str, breaches: list[tuple[str, Breach]]) -> RiskDecision:
    reason = "; ".join(f"{rule_id} {breach.text}" for rule_id, breach in breaches)
    caps: dict[str, Any] = {rule_id: {"value": breach.value, "limit": breach.limit} for rule_id, breach in breaches}
    return RiskDecision(intent_id, False, reason, FrozenDict(caps))
