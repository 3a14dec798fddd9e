"""The loop's market: `execution.market` and `execution.pressure` for all parents of one market.

What fills, and at what price, are the functions of `execution.fills` and the formulas of `execution.impact`. Orders
stand in two lists, buys and sells, the best limit first; where both trade, whoever gives more over the bar's price
comes first, and then whoever came first.

No order expires here: without latency a parent has taken back all of its orders when their time is over.
"""

from __future__ import annotations

from typing import Any, Final

from execution.batch_memory import charge, displacement, remember
from execution.batch_tables import NONE, Order, Traded
from execution.fills import is_within, maker_price, maker_share, quoted_ticks, takes, volume_budget
from execution.kernel import kernel

FULL: Final = 1  # a table has no row left
LEFT: Final = 2  # to the machine: more than the loop has tables for


@kernel
def price_of(game: Traded, ticks: int) -> float:
    return ticks * game.place.tick_above / game.place.tick_below  # type: ignore[no-any-return]


@kernel
def mid(game: Traded, k: int) -> float:
    undisturbed = game.bars[k].close if k >= 0 else game.bars[0].open
    return undisturbed * (1 + displacement(game.depth, game.memory, game.bars, k + 1))  # type: ignore[no-any-return]


@kernel
def look_at(game: Traded, k: int) -> None:
    """Bid and ask in ticks at the close of bar k, the last one known; for k = -1 at the first open."""
    floor = game.floor
    if floor.quoted != k:
        floor.quoted = k
        floor.bid, floor.ask = quoted_ticks(mid(game, k), game.bars[max(k, 0)].half, game.place.tick)


# ---- orders come and go


@kernel
def submit(game: Traded, row: int, now_ns: int) -> bool:
    """Takes an order into the market; False where the venue's minima reject it."""
    place, order = game.place, game.orders[row]
    order.first_bar = first_open(game, now_ns)
    order.near = order.price if order.limit_ticks > 0 else mid(game, order.first_bar - 1)
    qty = order.lots * place.lot_above / place.lot_below
    if qty < place.min_qty or qty * order.near * place.multiplier < place.min_notional:
        return False
    order.left = order.lots
    before, after = game.floor.last_buy if order.side > 0 else game.floor.last_sell, NONE
    while before != NONE and is_better(order, game.orders[before]):
        after = before
        before = game.orders[before].book_before
    join(game, order.side, before, row)
    join(game, order.side, row, after)
    game.floor.working += 1
    return True


@kernel
def is_better(one: Order, two: Order) -> bool:
    """Of one side: market orders, then the limits that give most; equal ones stay in order of arrival."""
    if one.limit_ticks == 0 or two.limit_ticks == 0:
        return one.limit_ticks == 0 and two.limit_ticks > 0
    return one.side * (one.limit_ticks - two.limit_ticks) > 0


@kernel
def join(game: Traded, side: int, before: int, after: int) -> None:
    """Two orders of a side are neighbours from now on, the better one first; NONE: the other is at the end."""
    floor = game.floor
    if before != NONE:
        game.orders[before].book_after = after
    elif side > 0:
        floor.best_buy = after
    else:
        floor.best_sell = after
    if after != NONE:
        game.orders[after].book_before = before
    elif side > 0:
        floor.last_buy = before
    else:
        floor.last_sell = before


@kernel
def part(game: Traded, row: int) -> None:
    """Takes an order out of its list."""
    order = game.orders[row]
    join(game, order.side, order.book_before, order.book_after)
    game.floor.working -= 1


@kernel
def withdraw(game: Traded, row: int) -> bool:
    """Takes an order out of the market; False where it is not there any more."""
    order = game.orders[row]
    if order.left == 0:
        return False
    order.left = 0
    part(game, row)
    return True


@kernel
def ahead(game: Traded, buy: int, sell: int, price: float) -> int:
    """Of the next buy and the next sell the one that gives more over this price; NONE: there is no such order."""
    if sell == NONE:
        return buy
    if buy == NONE:
        return sell
    one, two = game.orders[buy], game.orders[sell]
    if one.limit_ticks == 0 and two.limit_ticks == 0:
        return min(buy, sell)
    if one.limit_ticks == 0:
        return buy
    if two.limit_ticks == 0:
        return sell
    gives, other = one.price - price, price - two.price
    if gives == other:
        return min(buy, sell)  # rows of the log: in order of arrival
    return buy if gives > other else sell


# ---- a bar


@kernel
def open_bar(game: Traded, k: int) -> None:
    """The open of bar k: takers trade, all of a side at one price."""
    depth, floor, bar, place = game.depth, game.floor, game.bars[k], game.place
    depth.net = 0
    depth.left = bar.budget
    first = floor.fills
    base = bar.open * (1 + displacement(game.depth, game.memory, game.bars, k))
    buy, sell = floor.best_buy, floor.best_sell
    while buy != NONE or sell != NONE:
        row = ahead(game, buy, sell, base)
        order = game.orders[row]
        if order.side > 0:
            buy = order.book_after
        else:
            sell = order.book_after
        if order.first_bar > k or order.rested > 0:
            continue
        lots = min(order.left, depth.left)
        if order.limit_ticks > 0:
            if not takes(order.side, order.price, base, bar.half):
                continue
            lots = within_limit(game, k, order.side, order.price, lots)
        if lots > 0:
            trade(game, row, k, lots, bar.open_ns, 0)
    if floor.fills > first:
        average = bar.open * (1 + charge(game, k, depth.net * place.lot))
        for at in range(first, floor.fills):
            fill = game.fills[at]
            fill.price = average + game.orders[fill.row].side * bar.half
            settle_trade(game, at)


@kernel
def close_bar(game: Traded, k: int) -> None:
    """The rest of bar k: resting orders trade, and what we did moves the price."""
    depth, floor, bar, place = game.depth, game.floor, game.bars[k], game.place
    shift = 1 + displacement(game.depth, game.memory, game.bars, k)
    open_price, high, low = bar.open * shift, bar.high * shift, bar.low * shift
    to_buy, to_sell = depth.left, depth.left  # what traded beyond a limit is there once for all
    buy, sell = floor.best_buy, floor.best_sell
    while buy != NONE or sell != NONE:
        row = ahead(game, buy, sell, open_price)
        order = game.orders[row]
        side = order.side
        if side > 0:
            buy = order.book_after
        else:
            sell = order.book_after
        if order.first_bar > k or order.limit_ticks == 0:
            continue
        if order.rested == 0 and takes(side, order.price, open_price, bar.half):
            continue  # a taker: what it did not get at the open waits for the next one
        share = maker_share(side, order.price, high, low, place.tick, place.touch > 0)
        room = min(
            to_buy if side > 0 else to_sell, volume_budget(bar.volume * share, place.max_participation, place.lot)
        )
        lots = min(order.left, depth.left, room)
        if lots > 0:
            room -= lots
            trade(game, row, k, lots, bar.close_ns, 1)
            if floor.full == 0:
                at = floor.fills - 1
                game.fills[at].price = maker_price(side, order.price, open_price, order.rested > 0)
                settle_trade(game, at)
        if side > 0:
            to_buy = room
        else:
            to_sell = room
        order.rested = 1
    if depth.net != 0:
        remember(game, k, depth.net * place.lot)


@kernel
def trade(game: Traded, row: int, k: int, lots: int, ts_ns: int, maker: int) -> None:
    """Lots change hands, at a price that is still to be told; the parent has not heard of it yet."""
    depth, floor, order = game.depth, game.floor, game.orders[row]
    if floor.fills >= len(game.fills):
        floor.full = FULL
        return
    depth.left -= lots
    depth.net += order.side * lots
    order.left -= lots
    order.taken += lots
    order.fills += 1
    fill = game.fills[floor.fills]
    floor.fills += 1
    fill.parent = order.parent
    fill.child = order.number
    fill.ts_ns = ts_ns
    fill.bar = k
    fill.lots = lots
    fill.maker = maker
    fill.row = row
    fill.number = order.fills


@kernel
def settle_trade(game: Traded, at: int) -> None:
    """A trade has its price; an order that is filled leaves the market."""
    fill = game.fills[at]
    if fill.price <= 0:  # nobody trades there: the machine says what is wrong
        game.floor.full = LEFT
    if game.orders[fill.row].left == 0:
        part(game, fill.row)


@kernel
def within_limit(game: Traded, k: int, side: int, limit: float, lots: int) -> int:
    """The most lots whose price is not beyond the limit, given who takes before."""
    net = game.depth.net
    if is_within(side, limit, take_price(game, k, side, net + side * lots)):
        return lots
    low, high = 0, lots
    while high - low > 1:
        middle = (low + high) // 2
        if is_within(side, limit, take_price(game, k, side, net + side * middle)):
            low = middle
        else:
            high = middle
    return low


@kernel
def take_price(game: Traded, k: int, side: int, net: int) -> float:
    """open * (1 + average displacement while we trade) + side * half the spread."""
    bar = game.bars[k]
    return bar.open * (1 + charge(game, k, net * game.place.lot)) + side * bar.half  # type: ignore[no-any-return]


# ---- finding bars by time, a few steps from the present one


@kernel
def first_open(game: Traded, ts_ns: int) -> int:
    """The first bar that opens at this time or later, the present one at the earliest; their number: none does."""
    k, count = game.floor.bar, len(game.bars) - 1
    while k < count and game.bars[k].open_ns < ts_ns:
        k += 1
    return k  # type: ignore[no-any-return]


@kernel
def first_close(bars: Any, after: int, ts_ns: int) -> int:
    """The first bar behind `after` that closes at this time or later; the number of bars where none does."""
    low, step, count = after + 1, 1, len(bars) - 1
    while low + step <= count and bars[low + step - 1].close_ns < ts_ns:
        low += step
        step *= 2
    high = min(low + step - 1, count)
    while low < high:
        middle = (low + high) // 2
        if bars[middle].close_ns < ts_ns:
            low = middle + 1
        else:
            high = middle
    return low
