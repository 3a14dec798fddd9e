"""What of ours fills in a public trade."""

from __future__ import annotations

from execution.kernel import kernel
from execution.ticks.book import ASK, BID, NO_ASK, ROOM, TRADED, Book, follow, level_at
from execution.ticks.orders import Fills, Orders, Rules, record


@kernel
def trade(
    ticks: int,
    quantity: float,
    aggressor: int,
    ts_ns: int,
    half: float,
    book: Book,
    orders: Orders,
    rules: Rules,
    fills: Fills,
) -> None:
    """A public trade: where no book is shown takers take part, then makers that it reaches share what it has left.

    half: the spread there, halved, in ticks.
    """
    has_book = len(book.cells) > 0
    passive = passive_side(book, ticks, aggressor)
    if has_book:
        take_from(book, passive, ticks, quantity)
        if passive >= 0:
            if orders.counts[passive] > 0:
                share(passive, ticks, quantity, True, ts_ns, orders, fills)
            return
    if orders.counts[BID] + orders.counts[ASK] == 0:
        return
    first = passive if passive >= 0 else older(orders)
    left = quantity
    if not has_book:
        left = join(ticks, quantity, aggressor, first, ts_ns, half, orders, rules, fills)
    for turn in range(2):
        side = first if turn == 0 else 1 - first
        left = share(side, ticks, left, passive < 0 or passive == side, ts_ns, orders, fills)


@kernel
def passive_side(book: Book, ticks: int, aggressor: int) -> int:
    """The side that a trade took from; -1: unknown."""
    if aggressor != 0:
        return ASK if aggressor > 0 else BID
    if ticks >= book.best[ASK] and ticks > book.best[BID]:
        return ASK
    if ticks <= book.best[BID] and ticks < book.best[ASK]:
        return BID
    return -1


@kernel
def take_from(book: Book, passive: int, ticks: int, quantity: float) -> None:
    """Counts a trade at the level that it met, where that is shown."""
    follow(book, ticks)
    if passive >= 0:
        at = level_at(book, passive, ticks)
        if at >= 0:
            book.cells[at, TRADED] += quantity


@kernel
def older(orders: Orders) -> int:
    """The side whose best order of ours has been there longer."""
    return BID if born_of_best(orders, BID) < born_of_best(orders, ASK) else ASK


@kernel
def born_of_best(orders: Orders, side: int) -> int:
    capacity = len(orders.limit)
    for j in range(orders.counts[side]):
        slot = orders.rank[side * capacity + j]
        if orders.left[slot] > 0:
            return int(orders.born[slot])
    return NO_ASK


@kernel
def share(side: int, ticks: int, quantity: float, at_price: bool, ts_ns: int, orders: Orders, fills: Fills) -> float:
    """Makers of a side get what a trade holds for them: beyond its price at once, at it (`at_price`) behind the queue.

    Returns what is left. A maker is given broken lots too, and fills whole ones as they add up.
    """
    sign = 1 - 2 * side
    capacity = len(orders.limit)
    left = quantity
    for j in range(orders.counts[side]):
        slot = orders.rank[side * capacity + j]
        beyond = sign * orders.limit[slot] - sign * ticks
        if beyond < 0 or (beyond == 0 and not at_price):
            break
        if orders.taker[slot] == 1 or orders.left[slot] == 0:
            continue
        front = orders.front[slot]
        if beyond > 0:
            front = min(front, 0.0)
        else:
            orders.traded[slot] += quantity
        given = max(-front, 0.0)  # before this trade
        front -= left
        if front < 0:
            due = min(-front, float(orders.left[slot]))
            lots = int(due + ROOM)
            left = max(left - (due - given), 0.0)
            front = min(lots - due, 0.0)
            if lots > 0:
                record(slot, lots, int(orders.limit[slot]), 0, ts_ns, float(ticks), 0.0, orders, fills)
        orders.front[slot] = front
    return left


@kernel
def join(
    ticks: int,
    quantity: float,
    aggressor: int,
    first: int,
    ts_ns: int,
    half: float,
    orders: Orders,
    rules: Rules,
    fills: Fills,
) -> float:
    """Takers take their part of a trade, at its price put on their own side of the spread. Returns what is left.

    All of them together take at most `participation` of it; what is below a lot is kept for the next one. One whose
    limit the market has left behind rests from now on.
    """
    capacity = len(orders.limit)
    mid = ticks - aggressor * half
    takers = 0
    room = 0
    for turn in range(2):
        side = first if turn == 0 else 1 - first
        sign = 1 - 2 * side
        for j in range(orders.counts[side]):
            slot = orders.rank[side * capacity + j]
            if orders.taker[slot] == 0 or orders.left[slot] == 0:
                continue
            if sign * (orders.limit[slot] - (mid + sign * half)) < -ROOM:
                orders.taker[slot] = 0
                orders.front[slot] = rules.queue_ahead
                continue
            if takers == 0:
                orders.credit[0] += rules.participation * quantity
                room = int(orders.credit[0] + ROOM)
                orders.credit[0] = max(orders.credit[0] - room, 0.0)
            takers += 1
            lots = min(room, orders.left[slot])
            if lots > 0:
                room -= lots
                quantity -= lots
                record(slot, lots, ticks, 1, ts_ns, mid, half, orders, fills)
    return max(quantity, 0.0)
