"""Arithmetic that all algorithms share: slices, the size of the next child, its price. Integers in, integers out."""

from __future__ import annotations

from execution.kernel import kernel
from execution.plan import Plan, View


@kernel
def slices_begun(plan: Plan, now_ms: int) -> int:
    """How many slices have begun: the first at 0, the last at (N - 1) / N of the horizon; none before the start."""
    if now_ms < 0:
        return 0
    return min(plan.slices, now_ms * plan.slices // plan.horizon_ms + 1)


@kernel
def slice_start_ms(plan: Plan, index: int) -> int:
    """When slice `index` (from 0) begins: ceil(index * horizon / N), the first millisecond at which it has begun."""
    return -(-index * plan.horizon_ms // plan.slices)


@kernel
def child_lots(plan: Plan, due: int, view: View) -> int:
    """Lots to send now, given how many are due; 0 for none.

    max(0, min(due - filled - open, catch_up * nominal - sent in this slice, Q - filled - open)), nothing below the
    venue's minimum; a rest that the venue would not take as an order of its own goes with this child.
    """
    free = plan.quantity - view.filled - view.open_lots
    lots = min(due - view.filled - view.open_lots, free, plan.catch_up * plan.nominal - view.sent_in_slice)
    if lots < plan.min_lots:
        return 0
    if free - lots < plan.min_lots:
        return free
    return lots


@kernel
def blind(plan: Plan, view: View) -> bool:
    """Whether the market data is too old to act on: older than `stale_ms`, or none at all. `stale_ms` 0: never."""
    return plan.stale_ms > 0 and view.now_ms - view.market_ms > plan.stale_ms


@kernel
def rest_ticks(plan: Plan, view: View) -> int:
    """The price of a resting child: the mid, rounded to our side of it, never worse than the parent's limit."""
    both = view.bid_ticks + view.ask_ticks
    if plan.side > 0:
        mid = both // 2
        return min(mid, plan.limit_ticks) if plan.limit_ticks else mid
    mid = -(-both // 2)
    return max(mid, plan.limit_ticks) if plan.limit_ticks else mid
