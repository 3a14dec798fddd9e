"""Arithmetic that all algorithms share: slices, the size of the next child, its price. Integers in, integers out."""

from __future__ import annotations

from execution.kernel import kernel
from execution.plan import Curve, Plan, Style, View
from execution.volume import next_volume, volume_room


@kernel
def slices_begun(plan: Plan, curve: Curve, now_ms: int) -> int:
    """How many slices have begun: the first at 0, the last at (N - 1) / N of the horizon; none before the start."""
    return min(plan.slices, intervals_begun(plan, curve, now_ms))


@kernel
def intervals_begun(plan: Plan, curve: Curve, now_ms: int) -> int:
    """Slices begun, counted on past the horizon: an extension has intervals of the same length, each with its cap.

    Where the curve says when slices begin, the present one is the last whose start has come.
    """
    if now_ms < 0:
        return 0
    begun = now_ms * plan.slices // plan.horizon_ms + 1
    if len(curve.starts_ms) > 0:
        while begun <= plan.slices and curve.starts_ms[begun - 1] > now_ms:
            begun -= 1
    return begun


@kernel
def slice_start_ms(plan: Plan, curve: Curve, index: int) -> int:
    """When slice `index` (from 0) begins: ceil(index * horizon / N), the first millisecond at which it has begun."""
    if index < len(curve.starts_ms):
        return curve.starts_ms[index]
    return -(-index * plan.horizon_ms // plan.slices)


@kernel
def slice_room(plan: Plan, curve: Curve, view: View, index: int) -> int:
    """Lots that may still be sent in slice `index`: the catch-up cap, and `cap_ppm` of a slice's volume.

    The volume is that of the slice before or, where the plan aims at it, of the coming one if more is expected of it:
    an expectation that has fallen behind the market must not hold back what is due. Before any volume has been seen
    there is no cap on it. A plan that follows volume may send the venue's minimum in any slice that trades: what is due
    is a share of the volume already, and where slices are small it would never come to an order.
    """
    room = plan.catch_up * plan.nominal - view.sent_in_slice
    if plan.cap_ppm > 0 and (plan.feed_forward > 0 or index > 0):
        traded = view.last
        if plan.feed_forward > 0:
            traded = max(traded, next_volume(plan, curve, view, index))
        most = volume_room(plan, view, traded)
        if plan.ratio_ppm > 0 and traded > 0:
            most = max(most, plan.min_lots - view.sent_in_slice)
        room = min(room, most)
    return room


@kernel
def child_lots(plan: Plan, due: int, room: int, view: View) -> int:
    """Lots to send now, given how many are due and what the slice has room for; 0 for none.

    max(0, min(due - filled - open, room, Q - filled - open)), nothing below the venue's minimum; a rest that the venue
    would not take as an order of its own goes with this child.
    """
    free = plan.quantity - view.filled - view.open_lots
    lots = min(due - view.filled - view.open_lots, free, room)
    if lots < plan.min_lots:
        return 0
    if free - lots < plan.min_lots:
        return free
    return lots


@kernel
def clip_lots(plan: Plan, display: int, shown: int, view: View, draw: float) -> int:
    """Lots to show besides the `shown` ones of a display; 0 while more than `refill_ppm` of it is left.

    A clip is the display less up to `jitter_ppm` of it, by the draw in [0, 1), but never so small that it would be
    refilled at once, nor that the venue would not take it. A rest that the venue would not take as an order of its own
    goes with this clip, or waits for the next one with enough to make it up.
    """
    free = plan.quantity - view.filled - view.open_lots
    low = display * plan.refill_ppm // 1_000_000
    if shown > low:
        return 0
    least = min(display, max(low + 1, plan.min_lots))
    clip = max(least, display - int(display * (plan.jitter_ppm / 1_000_000 * draw)))
    lots = min(clip - shown, free)
    if 0 < free - lots < plan.min_lots:
        if free <= display - shown:
            lots = free
        elif free >= 2 * plan.min_lots:
            lots = free - plan.min_lots
    return lots if lots >= plan.min_lots else 0


@kernel
def cross_start_ms(plan: Plan, curve: Curve, index: int) -> int:
    """When the children of a slice that rest first begin to cross."""
    start = slice_start_ms(plan, curve, index)
    return start + (slice_start_ms(plan, curve, index + 1) - start) * plan.rest_ppm // 1_000_000


@kernel
def blind(plan: Plan, view: View) -> bool:
    """Whether the market data is too old to act on: older than `stale_ms`, or none at all. `stale_ms` 0: never."""
    return plan.stale_ms > 0 and view.now_ms - view.market_ms > plan.stale_ms


@kernel
def rest_ticks(plan: Plan, view: View, level: int) -> int:
    """The price of a resting child, never worse than the parent's limit.

    LIMIT: the mid, rounded to our side of it. PEG and REST_THEN_CROSS: the near touch. FIXED: the limit. Level n of
    several rests n * level_ticks further away.
    """
    if plan.style == Style.FIXED:
        price = plan.limit_ticks
    elif plan.style == Style.LIMIT:
        both = view.bid_ticks + view.ask_ticks
        price = both // 2 if plan.side > 0 else -(-both // 2)
    else:
        price = view.bid_ticks if plan.side > 0 else view.ask_ticks
    price -= plan.side * level * plan.level_ticks
    if plan.limit_ticks > 0:
        price = min(price, plan.limit_ticks) if plan.side > 0 else max(price, plan.limit_ticks)
    return max(1, price)


@kernel
def cross_ticks(plan: Plan, view: View) -> int:
    """The worst price of a child that takes: some spreads beyond the far touch, or the parent's limit; 0: no bound."""
    if plan.cross_spreads == 0:
        return plan.limit_ticks
    reach = plan.cross_spreads * max(1, view.ask_ticks - view.bid_ticks)
    price = view.ask_ticks + reach if plan.side > 0 else max(1, view.bid_ticks - reach)
    if plan.limit_ticks > 0:
        price = min(price, plan.limit_ticks) if plan.side > 0 else max(price, plan.limit_ticks)
    return price


@kernel
def is_behind(plan: Plan, view: View, limit_ticks: int) -> bool:
    """Whether a child that takes up to a limit no longer reaches the far touch, though the parent would pay that."""
    far = view.ask_ticks if plan.side > 0 else view.bid_ticks
    if limit_ticks == 0 or plan.side * (far - limit_ticks) <= 0:
        return False
    return plan.side * (cross_ticks(plan, view) - limit_ticks) > 0


@kernel
def has_strayed(plan: Plan, child_ticks: int, ticks: int) -> bool:
    """Whether the price that a resting child should have is `repeg_ticks` or more from the one it has."""
    return abs(child_ticks - ticks) >= plan.repeg_ticks
