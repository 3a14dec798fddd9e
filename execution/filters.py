"""A venue's filters: what it rejects before an order is in the market."""

from __future__ import annotations

from core.contracts import OrderIntent
from core.instrument import Instrument


def refusal(venue: Instrument, intent: OrderIntent, near: float) -> str | None:
    """What the venue's filters say against an order that would trade near this price; None: it is taken."""
    return refusal_of(venue, intent, near, *whole_steps(venue, intent))


def whole_steps(venue: Instrument, intent: OrderIntent) -> tuple[int, int | None]:
    """Quantity in lots and limit in ticks, both rounded down."""
    limit = intent.limit_price
    return venue.lots(intent.qty), None if limit is None else venue.ticks(limit)


def refusal_of(venue: Instrument, intent: OrderIntent, near: float, lots: int, limit_ticks: int | None) -> str | None:
    """As `refusal`, for whoever knows the order's `whole_steps` already."""
    limit = intent.limit_price
    if venue.qty(lots) != intent.qty:
        return f"quantity {intent.qty} is off the lot of {venue.lot}"
    if limit_ticks is not None and venue.price(limit_ticks) != limit:
        return f"price {limit} is off the tick of {venue.tick}"
    return None if venue.accepts(intent.qty, near) else below_minimum(venue, intent.qty, near)


def below_minimum(venue: Instrument, qty: float, near: float) -> str:
    """What the venue says to an order that is too small at this price."""
    return (
        f"quantity {qty}, worth {venue.notional(qty, near):.2f}, is below the minimum of "
        f"{venue.min_qty} and {venue.min_notional:g} of notional"
    )
