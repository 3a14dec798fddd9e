"""The rules about what an order adds to: position, open orders, its parent, the account."""

from __future__ import annotations

from risk.book import EPSILON
from risk.view import Breach, View, missing


def max_position(view: View) -> Breach | None:
    """|position + what is open on the same side + this order|; what is open on the other side may never fill."""
    book, qty = view.book, view.intent.qty
    limit = book.limits.max_position_qty
    if limit is None:
        return missing("max_position_qty")
    worst = book.position + book.buys.qty + qty if view.intent.side == "buy" else book.sells.qty + qty - book.position
    if worst <= limit * (1 + EPSILON):
        return None
    direction = "long" if view.intent.side == "buy" else "short"
    return Breach(worst, limit, f"position could become {worst:g} {direction}, above max_position_qty {limit:g}")


def gross_notional(view: View) -> Breach | None:
    """What is open, buys and sells added, and what may come to be held, long and short added, each has a limit.

    An order that only takes the position of its symbol towards 0 needs no buying power.
    """
    limits, account, book, intent = view.limits.account, view.account, view.book, view.intent
    most_open, power = limits.max_open_notional, limits.buying_power
    if most_open is None or power is None:
        return missing("account.max_open_notional" if most_open is None else "account.buying_power")
    if view.price is None:
        return Breach(None, most_open, "open notional cannot be known without a reference price")
    if account.unpriced:
        names = ", ".join(sorted(account.unpriced))
        return Breach(names, power, f"what is held and open in {names} has never had a price")
    worth = intent.qty * view.price * book.multiplier
    total = account.open_worth + worth
    if not total <= most_open * (1 + EPSILON):
        return Breach(total, most_open, f"open notional {total:g} is above account.max_open_notional {most_open:g}")
    if intent.side == "buy":
        could_be = max(book.value + book.buys_worth + worth, book.exposure)
    else:
        could_be = max(book.sells_worth + worth - book.value, book.exposure)
    gross = account.exposure - book.exposure + could_be
    if gross <= power * (1 + EPSILON) or could_be <= book.exposure:
        return None
    return Breach(gross, power, f"gross notional could become {gross:g}, above account.buying_power {power:g}")


def max_open_orders(view: View) -> Breach | None:
    """Open or of unknown fate, in this symbol and in all."""
    here, everywhere = view.book.limits.max_open_orders, view.limits.account.max_open_orders
    if here is None or everywhere is None:
        return missing("max_open_orders" if here is None else "account.max_open_orders")
    count = view.book.open_orders + 1
    if count > here:
        return Breach(count, here, f"open order {count} in {view.book.symbol} is above max_open_orders {here}")
    count = view.account.open_orders + 1
    if count > everywhere:
        return Breach(count, everywhere, f"open order {count} is above account.max_open_orders {everywhere}")
    return None


def parent_cap(view: View) -> Breach | None:
    """children filled + open + unknown + this one <= parent, whatever the executor believes."""
    policy, intent = view.limits.parents, view.intent
    if policy is None:
        return missing("parents")
    name = intent.meta.get("execution_id")
    parent = view.parents.get(name)
    if parent is None:
        if policy == "if_known":
            return None
        text = "the order names no execution" if name is None else f"no parent {name} is known"
        return Breach(name, policy, f"{text}, and parents are required")
    if (parent.symbol, parent.side) != (intent.symbol, intent.side):
        text = f"parent {name} is a {parent.side} of {parent.symbol}, its child a {intent.side} of {intent.symbol}"
        return Breach([intent.symbol, intent.side], [parent.symbol, parent.side], text)
    total = parent.filled + parent.reserved + intent.qty
    if total <= parent.qty * (1 + EPSILON):
        return None
    return Breach(total, parent.qty, f"children of {name} could fill {total:g}, above its quantity {parent.qty:g}")


def daily_loss(view: View) -> Breach | None:
    """Realised and unrealised since midnight UTC. What only takes the position towards 0 may still go."""
    limit = view.limits.account.max_daily_loss
    if limit is None:
        return missing("account.max_daily_loss")
    loss = -view.account.profit
    if loss <= limit or reduces(view):
        return None
    return Breach(loss, limit, f"the day's loss of {loss:g} is above account.max_daily_loss {limit:g}")


def self_match(view: View) -> Breach | None:
    """Trading with ourselves moves nothing but fees, and a regulator."""
    intent = view.intent
    price = intent.limit_price
    if intent.side == "buy":
        resting = view.book.sells.best
        free = resting is None or (price is not None and price < resting)
    else:
        resting = view.book.buys.best
        free = resting is None or (price is not None and price > resting)
    if free:
        return None
    at = "at any price" if price is None else f"at {price:g}"
    other = "sell" if intent.side == "buy" else "buy"
    return Breach(price, resting, f"a {intent.side} {at} would trade with our own {other} at {resting:g}")


def reduces(view: View) -> bool:
    """Whether the position stays on its side, or gets to 0, even if everything of this side fills, and this order."""
    book, qty = view.book, view.intent.qty
    slack = EPSILON * qty
    if view.intent.side == "buy":
        return book.position + book.buys.qty + qty <= slack
    return book.position - book.sells.qty - qty >= -slack
