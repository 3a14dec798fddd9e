"""The batch driver's market: `execution.market` and `execution.pressure` for one parent that is alone in it.

What fills, and at what price, are the functions of `execution.fills` and the formulas of `execution.impact`.

No order expires here: without latency a parent has taken back all of its orders when their time is over.
"""

from __future__ import annotations

from typing import Final

from execution.batch_memory import charge, displacement, remember
from execution.batch_tables import Game
from execution.fills import is_within, maker_price, maker_share, quoted_ticks, takes, volume_budget
from execution.kernel import kernel

FULL: Final = 1  # a table has no row left
LEFT: Final = 2  # to the machine: more than the loop has tables for


@kernel
def price_of(game: Game, ticks: int) -> float:
    return ticks * game.place.tick_above / game.place.tick_below  # type: ignore[no-any-return]


@kernel
def quote(game: Game, k: int) -> tuple[int, int]:
    """Bid and ask in ticks at the close of bar k, the last one known; for k = -1 at the first open."""
    return quoted_ticks(mid(game, k), game.bars[max(k, 0)].half, game.place.tick)


@kernel
def mid(game: Game, k: int) -> float:
    undisturbed = game.bars[k].close if k >= 0 else game.bars[0].open
    return undisturbed * (1 + displacement(game, k + 1))  # type: ignore[no-any-return]


@kernel
def submit(game: Game, row: int, now_ns: int) -> bool:
    """Takes an order into the market; False where the venue's minima reject it."""
    place, seat, order = game.place, game.seat, game.orders[row]
    order.first_bar = first_open(game, now_ns)
    order.near = order.price if order.limit_ticks > 0 else mid(game, order.first_bar - 1)
    qty = order.lots * place.lot_above / place.lot_below
    if qty < place.min_qty or qty * order.near * place.multiplier < place.min_notional:
        return False
    order.left = order.lots
    at = seat.working
    while at > 0 and is_better(game, row, game.slots[at - 1].book):
        game.slots[at].book = game.slots[at - 1].book
        at -= 1
    game.slots[at].book = row
    seat.working += 1
    return True


@kernel
def is_better(game: Game, row: int, other: int) -> bool:
    """Market orders, then the limits that give most; equal ones stay in order of arrival."""
    one, two = game.orders[row].limit_ticks, game.orders[other].limit_ticks
    if one == 0 or two == 0:
        return one == 0 and two > 0  # type: ignore[no-any-return]
    return game.plan.side * (one - two) > 0  # type: ignore[no-any-return]


@kernel
def withdraw(game: Game, row: int) -> bool:
    """Takes an order out of the market; False where it is not there any more."""
    if game.orders[row].left == 0:
        return False
    game.orders[row].left = 0
    clear_book(game)
    return True


@kernel
def open_bar(game: Game, k: int) -> None:
    """The open of bar k: takers trade, all at one price."""
    depth, seat, bar, side = game.depth, game.seat, game.bars[k], game.plan.side
    depth.net = 0
    depth.left = volume_budget(bar.volume, game.place.max_participation, game.place.lot)
    seat.heard = 0
    if seat.working == 0:
        return
    base = bar.open * (1 + displacement(game, k))
    for at in range(seat.working):
        row = game.slots[at].book
        order = game.orders[row]
        if order.first_bar > k or order.rested > 0:
            continue
        lots = min(order.left, depth.left)
        if order.limit_ticks > 0:
            if not takes(side, order.price, base, bar.half):
                continue
            lots = within_limit(game, k, order.price, lots)
        if lots > 0:
            trade(game, row, lots)
    if seat.heard > 0:
        price = take_price(game, k, depth.net)
        for at in range(seat.heard):
            record(game, game.slots[at].heard, k, bar.open_ns, price, 0)
        clear_book(game)


@kernel
def close_bar(game: Game, k: int) -> None:
    """The rest of bar k: resting orders trade, and what the parent did moves the price."""
    depth, seat, bar, place, side = game.depth, game.seat, game.bars[k], game.place, game.plan.side
    seat.heard = 0
    if seat.working > 0:
        shift = 1 + displacement(game, k)
        open_price = bar.open * shift
        room = depth.left  # what traded beyond a limit is there once for all
        for at in range(seat.working):
            row = game.slots[at].book
            order = game.orders[row]
            if order.first_bar > k or order.limit_ticks == 0:
                continue
            if order.rested == 0 and takes(side, order.price, open_price, bar.half):
                continue  # a taker: what it did not get at the open waits for the next one
            share = maker_share(side, order.price, bar.high * shift, bar.low * shift, place.tick, place.touch > 0)
            room = min(room, volume_budget(bar.volume * share, place.max_participation, place.lot))
            lots = min(order.left, depth.left, room)
            if lots > 0:
                room -= lots
                trade(game, row, lots)
                record(game, row, k, bar.close_ns, maker_price(side, order.price, open_price, order.rested > 0), 1)
            order.rested = 1
        clear_book(game)
    if depth.net != 0:
        remember(game, k, depth.net * place.lot)


@kernel
def trade(game: Game, row: int, lots: int) -> None:
    """Lots change hands; the parent has not heard of it yet."""
    depth, seat, order = game.depth, game.seat, game.orders[row]
    depth.left -= lots
    depth.net += game.plan.side * lots
    order.left -= lots
    order.taken += lots
    order.fresh = lots
    game.slots[seat.heard].heard = row
    seat.heard += 1


@kernel
def record(game: Game, row: int, k: int, ts_ns: int, price: float, maker: int) -> None:
    seat, order = game.seat, game.orders[row]
    if seat.fills >= len(game.fills):
        seat.full = FULL
        return
    if price <= 0:  # nobody trades there: the machine says what is wrong
        seat.full = LEFT
        return
    fill = game.fills[seat.fills]
    seat.fills += 1
    fill.parent = seat.number
    fill.child = order.number
    fill.ts_ns = ts_ns
    fill.bar = k
    fill.lots = order.fresh
    fill.price = price
    fill.maker = maker


@kernel
def clear_book(game: Game) -> None:
    """Takes out what is filled."""
    kept = 0
    for at in range(game.seat.working):
        row = game.slots[at].book
        if game.orders[row].left > 0:
            game.slots[kept].book = row
            kept += 1
    game.seat.working = kept


@kernel
def within_limit(game: Game, k: int, limit: float, lots: int) -> int:
    """The most lots whose price is not beyond the limit, given who takes before."""
    side, net = game.plan.side, game.depth.net
    if is_within(side, limit, take_price(game, k, net + side * lots)):
        return lots
    low, high = 0, lots
    while high - low > 1:
        middle = (low + high) // 2
        if is_within(side, limit, take_price(game, k, net + side * middle)):
            low = middle
        else:
            high = middle
    return low


@kernel
def take_price(game: Game, k: int, net: int) -> float:
    """open * (1 + average displacement while we trade) + side * half the spread."""
    bar = game.bars[k]
    return bar.open * (1 + charge(game, k, net * game.place.lot)) + game.plan.side * bar.half  # type: ignore[no-any-return]


# ---- finding bars by time


@kernel
def first_open(game: Game, ts_ns: int) -> int:
    """The first bar that opens at this time or later; the number of bars where none does."""
    low, high = 0, len(game.bars) - 1
    while low < high:
        middle = (low + high) // 2
        if game.bars[middle].open_ns < ts_ns:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def first_close(game: Game, ts_ns: int) -> int:
    """The first bar that closes at this time or later; the number of bars where none does."""
    low, high = 0, len(game.bars) - 1
    while low < high:
        middle = (low + high) // 2
        if game.bars[middle].close_ns < ts_ns:
            low = middle + 1
        else:
            high = middle
    return low
