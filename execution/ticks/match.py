"""What of ours fills when the market moves: one loop over rows, compiled or plain.

Own orders stand in the columns of `Orders`; `rank` lists those of each side by priority: market orders, then the best
limit, equal ones as they came. A taker crosses what is displayed, or takes part in prints where nothing is displayed; a
maker fills at its own limit: by prints at its price once the queue ahead is gone, by prints beyond it, and by opposite
prices that reach it. What a print or a level holds is shared by all our orders, once.
"""

from __future__ import annotations

import math

from execution.kernel import kernel
from execution.ticks.book import (
    ASK,
    BID,
    NO_ASK,
    NO_BID,
    TAKEN,
    Book,
    level_at,
    next_level,
    room_at,
    set_best,
    set_level,
)
from execution.ticks.orders import Fills, Orders, Rules, record
from execution.ticks.prints import trade
from execution.ticks.queue import front_after_change
from execution.ticks.rows import BEST_ASK, BEST_BID, BID_LEVEL, TRADE, Rows


@kernel
def advance(
    row: int,
    last: int,
    until_ns: int,
    response_ns: int,
    half: float,
    whole: int,
    rows: Rows,
    book: Book,
    orders: Orders,
    rules: Rules,
    fills: Fills,
) -> int:
    """Plays rows [row, last) up to and including `until_ns`, or to when we hear of the first fill, whichever is first.

    half: the spread where no book is shown, halved, in ticks. whole: 1 to play on behind fills of a part of an order,
    up to when we hear of the first that leaves nothing of its order.

    Returns the row to go on with; sooner where the columns of `fills` might not hold what comes next.
    """
    has_book = len(book.cells) > 0
    capacity = len(orders.limit)
    full = len(fills.slot) - 2 * capacity
    bid, ask = reach(orders, BID), reach(orders, ASK)
    heard = fills.size[0]
    while row < last:
        ts_ns = rows.ts_ns[row]
        if ts_ns > until_ns:
            break
        kind = rows.kind[row]
        ticks = rows.price_ticks[row]
        quantity = rows.quantity[row]
        if kind == TRADE:
            aggressor = rows.side[row]
            book.tape[0] += quantity
            book.last[0] = ticks
            book.last[1] = aggressor
            if has_book or ticks <= bid or ticks >= ask:
                trade(ticks, quantity, aggressor, ts_ns, half, book, orders, rules, fills)
        elif kind in (BEST_BID, BEST_ASK):
            best_changed(kind - BEST_BID, ticks, quantity, ts_ns, book, orders, rules, fills)
        else:
            level_changed(kind - BID_LEVEL, ticks, quantity, ts_ns, book, orders, rules, fills)
        row += 1
        if fills.size[0] > heard:
            bid, ask = reach(orders, BID), reach(orders, ASK)
            for at in range(heard, fills.size[0]):
                if whole == 0 or fills.left[at] == 0:
                    until_ns = min(until_ns, fills.ts_ns[at] + response_ns)
            heard = fills.size[0]
            if heard > full:
                break
    return row


@kernel
def reach(orders: Orders, side: int) -> int:
    """The worst price for us at which a trade concerns our orders of a side; any, while one of them takes."""
    if orders.counts[side] == 0:
        return NO_BID if side == BID else NO_ASK
    capacity = len(orders.limit)
    for j in range(orders.counts[side]):
        if orders.taker[orders.rank[side * capacity + j]] == 1:
            return NO_ASK if side == BID else NO_BID
    return int(orders.limit[orders.rank[side * capacity]])


@kernel
def mid_of(book: Book, ticks: int) -> float:
    """The middle of the best prices in ticks; this price where a side is empty or the two cross."""
    bid, ask = book.best[BID], book.best[ASK]
    if bid == NO_BID or ask == NO_ASK or bid > ask:
        return float(ticks)
    middle: float = (bid + ask) / 2
    return middle


@kernel
def half_of(book: Book) -> float:
    """Half the spread in ticks; 0 where a side is empty or the two cross."""
    bid, ask = book.best[BID], book.best[ASK]
    if bid == NO_BID or ask == NO_ASK or bid > ask:
        return 0.0
    half: float = (ask - bid) / 2
    return half


# ---- quotes and levels


@kernel
def level_changed(
    side: int, ticks: int, quantity: float, ts_ns: int, book: Book, orders: Orders, rules: Rules, fills: Fills
) -> None:
    at = set_level(book, side, ticks, quantity)
    if at >= 0:
        if orders.counts[side] > 0:
            queue_changed(side, ticks, quantity, orders, rules)
        if quantity > 0 and orders.counts[1 - side] > 0:
            take_level(side, at, ticks, ts_ns, book, orders, fills)


@kernel
def best_changed(
    side: int, ticks: int, quantity: float, ts_ns: int, book: Book, orders: Orders, rules: Rules, fills: Fills
) -> None:
    """As `level_changed`, where only the best is shown: what would be better than it displays nothing."""
    at = set_best(book, side, ticks, quantity)
    if orders.counts[side] > 0:
        best = book.best[side]
        sign = 1 - 2 * side
        capacity = len(orders.limit)
        for j in range(orders.counts[side]):
            slot = orders.rank[side * capacity + j]
            better = sign * orders.limit[slot] - sign * best if orders.taker[slot] == 0 else 0
            if better > 0 and orders.front[slot] > 0:
                orders.front[slot] = 0.0
                orders.shown[slot] = orders.traded[slot] = 0.0
            elif better < 0:
                break
        queue_changed(side, ticks, quantity, orders, rules)
    if quantity > 0 and orders.counts[1 - side] > 0:
        take_level(side, at, ticks, ts_ns, book, orders, fills)


@kernel
def queue_changed(side: int, ticks: int, quantity: float, orders: Orders, rules: Rules) -> None:
    """Our orders at a level hear what it displays from now on."""
    sign = 1 - 2 * side
    capacity = len(orders.limit)
    for j in range(orders.counts[side]):
        slot = orders.rank[side * capacity + j]
        limit = orders.limit[slot]
        if sign * limit < sign * ticks:
            break
        if limit == ticks:
            if math.isinf(orders.front[slot]):  # its level is shown for the first time: all of that was there before us
                orders.front[slot] = quantity
            else:
                orders.front[slot] = front_after_change(
                    rules.model,
                    rules.exponent,
                    orders.front[slot],
                    orders.shown[slot],
                    quantity,
                    orders.traded[slot],
                )
            orders.shown[slot] = quantity
            orders.traded[slot] = 0.0


@kernel
def take_level(side: int, at: int, ticks: int, ts_ns: int, book: Book, orders: Orders, fills: Fills) -> None:
    """Our orders that this level of the other side reaches, the best first, take what is there."""
    other = 1 - side
    sign = 1 - 2 * other
    capacity = len(orders.limit)
    room = room_at(book, at)
    for j in range(orders.counts[other]):
        slot = orders.rank[other * capacity + j]
        if room == 0 or sign * orders.limit[slot] < sign * ticks:
            break
        lots = min(room, orders.left[slot])
        if lots > 0:
            book.cells[at, TAKEN] += lots
            room -= lots
            record(slot, lots, ticks, orders.taker[slot], ts_ns, mid_of(book, ticks), half_of(book), orders, fills)


@kernel
def walk(slot: int, side: int, ts_ns: int, book: Book, orders: Orders, fills: Fills) -> int:
    """An order crosses the displayed levels up to its limit. Returns 1 where `fills` could not hold it all."""
    other = 1 - side
    sign = 1 - 2 * side
    ticks = book.best[other]
    mid, half = mid_of(book, ticks), half_of(book)
    while orders.left[slot] > 0 and NO_BID < ticks < NO_ASK and sign * orders.limit[slot] >= sign * ticks:
        if fills.size[0] == len(fills.slot):
            return 1
        at = level_at(book, other, ticks)
        lots = min(room_at(book, at), orders.left[slot])
        if lots > 0:
            book.cells[at, TAKEN] += lots
            record(slot, lots, ticks, orders.taker[slot], ts_ns, mid, half, orders, fills)
        ticks = next_level(book, other, ticks)
    return 0
