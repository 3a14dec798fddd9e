"""What an order must not do: one small function a rule, in a table by id.

These functions define what may pass; the gate asks them where `risk/quick.py`, which holds an order against all of
them at once, does not say yes. A rule looks at a `View` and answers None, or a `Breach` with the value, the limit and
a sentence. A limit that is not set is a breach, and comparisons are written so that NaN is one too. Rules change
nothing; the gate runs them all and reserves what it lets pass. Here are those about the order itself;
`risk/rules_account.py` has those about what it adds to, `docs/risk.md` describes them all.
"""

from __future__ import annotations

from risk.book import BPS, EPSILON
from risk.breakers import NS_PER_S, REJECTS, repeat_key
from risk.rules_account import (
    daily_loss,
    gross_notional,
    max_open_orders,
    max_position,
    parent_cap,
    self_match,
)
from risk.view import Breach, Rule, View, missing
from risk.windows import Window


def max_quantity(view: View) -> Breach | None:
    limit = view.book.limits.max_order_qty
    if limit is None:
        return missing("max_order_qty")
    if view.intent.qty <= limit * (1 + EPSILON):
        return None
    return Breach(view.intent.qty, limit, f"quantity {view.intent.qty:g} is above max_order_qty {limit:g}")


def max_notional(view: View) -> Breach | None:
    """A market order is priced at the collar's upper edge: no fill that the collar allows is worth more."""
    limit = view.book.limits.max_order_notional
    if limit is None:
        return missing("max_order_notional")
    if view.price is None:
        return Breach(None, limit, "notional of a market order cannot be known without a reference price")
    notional = view.intent.qty * view.price * view.book.multiplier
    if notional <= limit * (1 + EPSILON):
        return None
    return Breach(notional, limit, f"notional {notional:g} is above max_order_notional {limit:g}")


def price_collar(view: View) -> Breach | None:
    """bid * (1 - collar) <= limit price <= ask * (1 + collar)."""
    collar = view.book.limits.price_collar_bps
    if collar is None:
        return missing("price_collar_bps")
    price = view.intent.limit_price
    if price is None or view.problem is not None:  # no reference: R04 refuses
        return None
    low, high = view.book.bid * (1 - collar * BPS), view.book.ask * (1 + collar * BPS)
    if low * (1 - EPSILON) <= price <= high * (1 + EPSILON):
        return None
    return Breach(price, [low, high], f"limit price {price:g} is outside the collar {low:g} to {high:g}")


def reference(view: View) -> Breach | None:
    """A price to compare with must be there, fresh and sane."""
    limit = view.book.limits.max_reference_age_s
    if limit is None:
        return missing("max_reference_age_s")
    return None if view.problem is None else Breach(None, limit, view.problem)


def order_rate(view: View) -> Breach | None:
    return _rate(view.orders, view.limits.rate.max_orders, "max_orders", view)


def cancel_rate(view: View) -> Breach | None:
    return _rate(view.cancels, view.limits.rate.max_cancels, "max_cancels", view)


def repeated_execution(view: View) -> Breach | None:
    """A strategy that was executed too often in one symbol and side is disabled until it is re-armed by name."""
    limits = view.limits.repeats
    if limits.max_executions is None or limits.window_s is None:
        return missing("repeats.max_executions" if limits.max_executions is None else "repeats.window_s")
    if not view.breakers.disabled:
        return None
    why = view.breakers.disabled.get(repeat_key(view.intent))
    return None if why is None else _disabled(repeat_key(view.intent), why, limits.max_executions)


def duplicate_content(view: View) -> Breach | None:
    """Another id around the same order: sent twice by mistake. (An id used twice is the gate's own affair.)"""
    window_s = view.limits.intents.duplicate_window_s
    if window_s is None:
        return missing("intents.duplicate_window_s")
    found = view.contents.find(view.content, view.now_ns, int(window_s * NS_PER_S))
    if found is None:
        return None
    ts_ns, first = found
    age_s = (view.now_ns - ts_ns) / NS_PER_S
    return Breach(
        first, window_s, f"same order as {first} {age_s:g} s before, intents.duplicate_window_s is {window_s:g}"
    )


def allowed_symbol(view: View) -> Breach | None:
    symbols = view.limits.symbols
    if symbols is None:
        return missing("symbols")
    symbol = view.intent.symbol
    if view.limits.allows(symbol):
        return None
    return Breach(symbol, list(symbols), f"symbol {symbol} is not in the list of allowed symbols")


def expiry(view: View) -> Breach | None:
    """Too late is never: an intent that waited somewhere was meant for another market."""
    limit_s = view.limits.intents.max_age_s
    if limit_s is None:
        return missing("intents.max_age_s")
    intent, now_ns = view.intent, view.now_ns
    if intent.expires_ts_ns is not None and not now_ns < intent.expires_ts_ns:
        late_s = (now_ns - intent.expires_ts_ns) / NS_PER_S
        return Breach(late_s, 0.0, f"intent expired {late_s:g} s ago")
    age_s = (now_ns - intent.ts_local_ns) / NS_PER_S
    if -limit_s <= age_s <= limit_s:  # far in the future is a broken clock
        return None
    return Breach(age_s, limit_s, f"intent is {age_s:g} s old, intents.max_age_s is {limit_s:g}")


def reject_rate(view: View) -> Breach | None:
    """A venue that rejects so much is telling us something; nothing new goes there until somebody has listened."""
    limits = view.limits.rejects
    if limits.max_rejects is None or limits.last_orders is None or limits.window_s is None:
        return missing("rejects.max_rejects, last_orders and window_s")
    if not view.breakers.disabled:
        return None
    why = view.breakers.disabled.get(REJECTS)
    return None if why is None else _disabled(REJECTS, why, limits.max_rejects)


def venue_filters(view: View) -> Breach | None:
    """The venue's grid and minima. A market order is priced at the bid, where it is worth least."""
    policy = view.limits.venue_filters
    if policy is None:
        return missing("venue_filters")
    venue, intent, limit = view.book.instrument, view.intent, view.intent.limit_price
    if venue is None:
        if policy == "if_known":
            return None
        return Breach(None, policy, f"no instrument is known for {intent.symbol}, so the venue's filters are not")
    try:
        on_lot = venue.qty(round(intent.qty / view.book.lot)) == intent.qty
        on_tick = limit is None or venue.price(round(limit / view.book.tick)) == limit
    except (ValueError, OverflowError) as error:  # NaN or infinite
        return Breach(intent.qty, venue.lot, f"the venue's filters cannot be applied: {error}")
    if not on_lot:
        return Breach(intent.qty, venue.lot, f"quantity {intent.qty!r} is off the lot of {venue.lot}")
    if not on_tick:
        return Breach(limit, venue.tick, f"price {limit!r} is off the tick of {venue.tick}")
    price = view.book.bid if limit is None else limit
    if venue.accepts(intent.qty, price):
        return None
    worth = venue.notional(intent.qty, price)
    return Breach(
        [intent.qty, worth],
        [float(venue.min_qty), venue.min_notional],
        f"quantity {intent.qty:g}, worth {worth:g}, is below the venue's minimum of {venue.min_qty} and "
        f"{venue.min_notional:g} of notional",
    )


def kill_switch(view: View) -> Breach | None:
    if view.kill is None:
        return missing("kill_switch_file")
    return Breach(True, False, f"kill switch {view.kill.status()}") if view.kill.tripped() else None


def fencing_epoch(view: View) -> Breach | None:
    """An order of a process that has been replaced: a newer one has shown a higher epoch."""
    known, epoch = view.epoch, view.intent.meta.get("epoch")
    if epoch is None:
        return None if known is None else Breach(None, known, f"intent has no epoch, the current one is {known}")
    if type(epoch) is not int:
        return Breach(str(epoch), known, f"epoch must be a whole number, was {epoch!r}")
    if known is None or epoch >= known:
        return None
    return Breach(epoch, known, f"epoch {epoch} is over, the current one is {known}")


DUPLICATE = "R07"
NEW_ORDER_RULES: dict[str, Rule] = {
    "R01": max_quantity,
    "R02": max_notional,
    "R03": price_collar,
    "R04": reference,
    "R05": order_rate,
    "R06": repeated_execution,
    DUPLICATE: duplicate_content,
    "R08": max_position,
    "R09": gross_notional,
    "R10": max_open_orders,
    "R11": parent_cap,
    "R12": daily_loss,
    "R13": self_match,
    "R14": allowed_symbol,
    "R15": expiry,
    "R16": reject_rate,
    "R17": venue_filters,
    "R18": kill_switch,
    "R20": fencing_epoch,
}
# Taking an order back only ever lowers the risk: nothing but a flood of messages speaks against it.
CANCEL_RULES: dict[str, Rule] = {"R05": cancel_rate}


def _rate(window: Window, limit: int | None, name: str, view: View) -> Breach | None:
    window_s = view.limits.rate.window_s
    if limit is None or window_s is None:
        return missing(f"rate.{name}" if limit is None else "rate.window_s")
    sent = window.count(view.now_ns, int(window_s * NS_PER_S))
    if sent < limit:
        return None
    return Breach(sent + 1, limit, f"message {sent + 1} within {window_s:g} s is above rate.{name} {limit}")


def _disabled(key: str, why: str, limit: object) -> Breach:
    return Breach(key, limit, f"{why}; {key!r} stays disabled until it is re-armed")
