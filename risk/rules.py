"""What an order must not do: one small function a rule, in a table by id.

A rule looks at a `View` and answers None, or a `Breach` with the value, the limit and a sentence. A limit that is not
set is a breach, and comparisons are written so that NaN is one too. Rules change nothing; the gate runs them all and
reserves what it lets pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from core.contracts import OrderIntent
from risk.book import EPSILON, Book, Window
from risk.kill import KillSwitch
from risk.limits import EVERY_SYMBOL, RiskLimits

BPS = 1e-4
NS_PER_S = 1_000_000_000


class Breach(NamedTuple):
    value: object
    limit: object
    text: str


@dataclass(slots=True)
class View:
    """What a rule may look at."""

    intent: OrderIntent
    now_ns: int
    book: Book
    limits: RiskLimits
    kill: KillSwitch | None
    orders: Window
    cancels: Window


Rule = Callable[[View], Breach | None]


def max_quantity(view: View) -> Breach | None:
    limit = view.book.limits.max_order_qty
    if limit is None:
        return _missing("max_order_qty")
    if view.intent.qty <= limit * (1 + EPSILON):
        return None
    return Breach(view.intent.qty, limit, f"quantity {view.intent.qty:g} is above max_order_qty {limit:g}")


def max_notional(view: View) -> Breach | None:
    """A market order is priced at the collar's upper edge: no fill that the collar allows is worth more."""
    limit = view.book.limits.max_order_notional
    if limit is None:
        return _missing("max_order_notional")
    price = view.intent.limit_price
    if price is None:
        if _reference_problem(view) is not None:
            return Breach(None, limit, "notional of a market order cannot be known without a reference price")
        price = view.book.ask * (1 + (view.book.limits.price_collar_bps or 0.0) * BPS)
    notional = view.intent.qty * price
    if notional <= limit * (1 + EPSILON):
        return None
    return Breach(notional, limit, f"notional {notional:g} is above max_order_notional {limit:g}")


def price_collar(view: View) -> Breach | None:
    """bid * (1 - collar) <= limit price <= ask * (1 + collar)."""
    collar = view.book.limits.price_collar_bps
    if collar is None:
        return _missing("price_collar_bps")
    price = view.intent.limit_price
    if price is None or _reference_problem(view) is not None:  # no reference: R04 refuses
        return None
    low, high = view.book.bid * (1 - collar * BPS), view.book.ask * (1 + collar * BPS)
    if low * (1 - EPSILON) <= price <= high * (1 + EPSILON):
        return None
    return Breach(price, [low, high], f"limit price {price:g} is outside the collar {low:g} to {high:g}")


def reference(view: View) -> Breach | None:
    """A price to compare with must be there, fresh and sane."""
    limit = view.book.limits.max_reference_age_s
    if limit is None:
        return _missing("max_reference_age_s")
    problem = _reference_problem(view)
    return None if problem is None else Breach(None, limit, problem)


def order_rate(view: View) -> Breach | None:
    return _rate(view.orders, view.limits.rate.max_orders, "max_orders", view)


def cancel_rate(view: View) -> Breach | None:
    return _rate(view.cancels, view.limits.rate.max_cancels, "max_cancels", view)


def max_position(view: View) -> Breach | None:
    """|position + what is open on the same side + this order|; what is open on the other side may never fill."""
    book, qty = view.book, view.intent.qty
    limit = book.limits.max_position_qty
    if limit is None:
        return _missing("max_position_qty")
    worst = book.position + book.open_buys + qty if view.intent.side == "buy" else book.open_sells + qty - book.position
    if worst <= limit * (1 + EPSILON):
        return None
    direction = "long" if view.intent.side == "buy" else "short"
    return Breach(worst, limit, f"position could become {worst:g} {direction}, above max_position_qty {limit:g}")


def allowed_symbol(view: View) -> Breach | None:
    symbols = view.limits.symbols
    if symbols is None:
        return _missing("symbols")
    if view.intent.symbol in symbols or EVERY_SYMBOL in symbols:
        return None
    return Breach(
        view.intent.symbol, list(symbols), f"symbol {view.intent.symbol} is not in the list of allowed symbols"
    )


def kill_switch(view: View) -> Breach | None:
    if view.kill is None:
        return _missing("kill_switch_file")
    return Breach(True, False, f"kill switch {view.kill.status()}") if view.kill.tripped() else None


# R07 (an id used twice) is the gate's own: it needs the answers given so far.
DUPLICATE = "R07"
NEW_ORDER_RULES: dict[str, Rule] = {
    "R01": max_quantity,
    "R02": max_notional,
    "R03": price_collar,
    "R04": reference,
    "R05": order_rate,
    "R08": max_position,
    "R14": allowed_symbol,
    "R20": kill_switch,
}
# Taking an order back only ever lowers the risk: nothing but a flood of messages speaks against it.
CANCEL_RULES: dict[str, Rule] = {"R05": cancel_rate}


def _missing(name: str) -> Breach:
    return Breach(None, None, f"no limit {name} is set, so nothing may pass")


def _rate(window: Window, limit: int | None, name: str, view: View) -> Breach | None:
    window_s = view.limits.rate.window_s
    if limit is None or window_s is None:
        return _missing(f"rate.{name}" if limit is None else "rate.window_s")
    sent = window.count(view.now_ns, int(window_s * NS_PER_S))
    if sent < limit:
        return None
    return Breach(sent + 1, limit, f"message {sent + 1} within {window_s:g} s is above rate.{name} {limit}")


def _reference_problem(view: View) -> str | None:
    book = view.book
    if book.reference_ts_ns is None:
        return f"no reference price for {book.symbol} has been seen"
    # Infinity and NaN fail the chain of comparisons; a locked market (bid = ask) is a price.
    if not 0.0 < book.bid <= book.ask < math.inf:
        return f"reference price is not usable: bid {book.bid:g}, ask {book.ask:g}"
    limit_s = book.limits.max_reference_age_s
    age_s = (view.now_ns - book.reference_ts_ns) / NS_PER_S
    if limit_s is not None and not -limit_s <= age_s <= limit_s:  # far in the future is a broken clock
        return f"reference price is {age_s:g} s old, max_reference_age_s is {limit_s:g}"
    return None
