"""Parents that only take: their children are market orders and fill at the opens, in the order in which they came.

So all there is of a market is a queue: rows of the log of commands, of which only the first may be filled in part.
Nobody needs a quote, and a fill changes nothing that a parent would do in its slice, except that it may end it: lots
that were open are filled. Deciding is left to the kernels of the general loop (`execution.batch_act`), which are asked
once per wake-up. A parent with anything else about it (data too old to act on, an order that the venue refuses, a price
that is none) is left to the general loop, with nothing written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from execution import rules
from execution.batch_act import (
    CANCELLED,
    CLOSING,
    COMPLETED,
    CROSSING,
    PENDING,
    THIN,
    WORKING,
    close,
    end,
    end_ms,
    is_crossing_time,
    is_thin,
    look,
    lots_due,
    pause,
    work_on,
)
from execution.batch_loop import next_wake
from execution.batch_market import FULL, LEFT, first_close
from execution.batch_memory import displaced, take
from execution.batch_tables import NEVER
from execution.batch_taker_tables import Taker, TakerTables
from execution.kernel import kernel
from execution.machine_code import machine_code
from execution.parent import ParentOrder
from execution.plan import NO_MARKET, Curve, Plan, Style

TakersRun = Callable[[int, TakerTables], int]


def only_takes(plans: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which of these parents send market orders and nothing else."""
    found: NDArray[np.bool_] = (
        (plans["style"] == Style.MARKET)
        & (plans["display"] == 0)
        & (plans["limit_ticks"] == 0)
        & (plans["cross_spreads"] == 0)
    )
    return found


@cache
def compiled_takers() -> TakersRun | None:
    """`play_takers` as machine code; None where there is no numba."""
    return machine_code(play_takers, TakerTables, Plan, ParentOrder)


def play_takers(begin: int, tables: TakerTables) -> int:
    """Plays the parents from `begin` on; gives back the first for which the logs have no room, or their number."""
    commands, fills = 0, 0
    if begin > 0:
        commands, fills = tables.taken[begin - 1].commands, tables.taken[begin - 1].fills
    for number in range(begin, len(tables.plans)):
        brief, taken = tables.briefs[number], tables.taken[number]
        game = Taker(
            tables.plans[number],
            Curve(
                tables.starts[brief.starts_from : brief.starts_to],
                tables.targets[brief.targets_from : brief.targets_to],
                tables.volume[brief.volume_from : brief.volume_to],
            ),
            tables.views[0],
            brief,
            tables.seats[0],
            tables.depths[0],
            tables.memory[0],
            tables.places[0],
            tables.bars,
            tables.sent,
            tables.fills,
        )
        sit_down(game, commands, fills)
        going = True
        while going:
            decide(game)
            going = go_on(game)
        seat = game.seat
        if seat.full == FULL:
            return number
        if seat.full == 0:
            commands, fills = seat.commands, seat.fills
        taken.left = seat.full
        taken.state = seat.state
        taken.children = seat.children
        taken.filled = seat.filled
        taken.paid = seat.paid
        taken.ended_ns = seat.ended_ns
        taken.commands = commands
        taken.fills = fills
    return len(tables.plans)


@kernel
def sit_down(game: Taker, commands: int, fills: int) -> None:
    """A parent comes into a market in which nobody has traded; the logs go on from these rows."""
    seat, view, depth, brief = game.seat, game.sight, game.depth, game.brief
    seat.state = PENDING
    seat.waits = 0
    seat.slice_idx = -1
    seat.slice_ends_ms = NEVER
    seat.tape_before = -1
    seat.filled = 0
    seat.reserved = 0
    seat.children = 0
    seat.ended_ns = NEVER
    seat.first = commands
    seat.commands = commands
    seat.fills = fills
    seat.paid = 0.0
    seat.full = 0
    view.sent_in_slice = 0
    view.tape = 0
    view.last = 0
    view.counted = 0
    view.held = 0
    view.market_ms = NO_MARKET
    depth.traded = 0
    depth.clock = 0
    depth.permanent = 0.0
    seat.bar = brief.seen_bar + 1
    seat.opened = 1 if brief.now_ns > game.bars[seat.bar].open_ns else 0
    see(game, brief.now_ns, brief.seen_bar)


@kernel
def see(game: Taker, now_ns: int, seen_bar: int) -> None:
    """It is so late, and this is the last bar known."""
    seat = game.seat
    seat.now_ns = now_ns
    seat.seen_bar = seen_bar
    seat.market_ns = game.bars[seen_bar].close_ns if seen_bar >= 0 else game.bars[0].open_ns
    seat.tape = game.bars[seen_bar].tape if seen_bar >= 0 else 0


# ---- the parent: `execution.batch_act.act` where all it can do is take


@kernel
def decide(game: Taker) -> None:
    plan, seat, view = game.plan, game.seat, game.sight
    look(game)
    if seat.state == PENDING and view.now_ms >= 0:
        seat.state = WORKING
    if view.now_ms >= end_ms(game):
        close(game, CANCELLED)
    if seat.waits == THIN and (is_crossing_time(game) or not is_thin(game)):
        work_on(game)
    if seat.state == WORKING and is_crossing_time(game):
        seat.state = CROSSING
    lots = 0
    if seat.state == WORKING:
        if is_thin(game):
            pause(game, THIN)
        else:
            lots = lots_due(game)
    elif seat.state == CROSSING:
        left = plan.quantity - view.filled - view.open_lots
        lots = left if left >= plan.min_lots else 0
    elif seat.state == CLOSING:
        call_back(game)
        if seat.full == 0:
            end(game, seat.outcome)
    if lots > 0:
        if rules.blind(plan, view) or is_refused(game, lots):
            seat.full = LEFT
        else:
            send(game, lots)


@kernel
def is_refused(game: Taker, lots: int) -> bool:
    """Whether the order is below the venue's minima, against the price before the bar that it meets."""
    place, seat = game.place, game.seat
    if place.min_qty <= 0 and place.min_notional <= 0:
        return False
    qty = lots * place.lot_above / place.lot_below
    if qty < place.min_qty:
        return True
    if place.min_notional <= 0:
        return False
    k = seat.bar + seat.opened
    undisturbed = game.bars[k - 1].close if k > 0 else game.bars[0].open
    near = undisturbed * (1 + displaced(game, k))
    return qty * near * place.multiplier < place.min_notional  # type: ignore[no-any-return]


@kernel
def send(game: Taker, lots: int) -> None:
    """A market order more in the queue."""
    seat, view = game.seat, game.sight
    row = seat.commands
    if row >= len(game.sent.lots):
        seat.full = FULL
        return
    write(game, row, seat.children, 0, min(seat.slice_idx, game.plan.slices - 1), lots)
    if seat.reserved == 0:
        seat.first = row
        seat.left = lots
    seat.commands = row + 1
    seat.children += 1
    seat.reserved += lots
    view.sent_in_slice += lots


@kernel
def write(game: Taker, row: int, number: int, cancel: int, slice_idx: int, lots: int) -> None:
    seat, sent = game.seat, game.sent
    sent.number[row] = number
    sent.cancel[row] = cancel
    sent.ts_ns[row] = seat.now_ns
    sent.seen_bar[row] = seat.seen_bar
    sent.slice_idx[row] = slice_idx
    sent.lots[row] = lots


@kernel
def call_back(game: Taker) -> None:
    """Takes back whatever still works; the venue answers at once.

    Who waits for no answer asks for the second order again when the first has come: not covered here.
    """
    seat, sent = game.seat, game.sent
    row = seat.first
    if game.brief.retry_ms == 0 and row + 1 < seat.commands and seat.reserved > 0:
        seat.full = LEFT
        return
    while seat.reserved > 0:
        asking = seat.commands
        if asking >= len(sent.lots):
            seat.full = FULL
            return
        lots = seat.left if row == seat.first else sent.lots[row]
        write(game, asking, sent.number[row], 1, sent.slice_idx[row], lots)
        seat.commands += 1
        seat.reserved -= lots
        row += 1


# ---- the market


@kernel
def go_on(game: Taker) -> bool:
    """Plays bars up to the parent's next wake-up; False where the parent, or the data, end before."""
    seat, bars = game.seat, game.bars
    count = len(bars) - 1
    if seat.state >= COMPLETED or seat.full > 0:
        return False
    wake_ns = next_wake(game)
    while seat.reserved > 0 and seat.bar < count:
        ends_ns = bars[seat.bar].close_ns if seat.opened > 0 else bars[seat.bar].open_ns
        if wake_ns != NEVER and wake_ns <= ends_ns:
            break
        if seat.opened > 0:
            seat.bar += 1
            seat.opened = 0
        else:
            seat.opened = 1
            trade(game, seat.bar)
            if seat.state >= COMPLETED or seat.full > 0:
                return False
    if wake_ns == NEVER or seat.bar >= count:
        return False
    if wake_ns > bars[seat.bar].close_ns:
        k = bar_of(game, wake_ns)
        if k >= count:
            return False
        seat.stride = k - seat.bar
        seat.bar = k
        seat.opened = 0
    if wake_ns > bars[seat.bar].open_ns:
        seat.opened = 1
    see(game, wake_ns, seat.bar if wake_ns == bars[seat.bar].close_ns else seat.bar - 1)
    return True


@kernel
def bar_of(game: Taker, ts_ns: int) -> int:
    """The first bar behind the present one that closes at this time or later: most often as far as the last one was."""
    seat, bars = game.seat, game.bars
    k = seat.bar + seat.stride
    if k < len(bars) - 1 and bars[k - 1].close_ns < ts_ns <= bars[k].close_ns:
        return k  # type: ignore[no-any-return]
    return first_close(bars, seat.bar, ts_ns)


@kernel
def trade(game: Taker, k: int) -> None:
    """The open of bar k: the queue takes what the bar's budget has, all at one price."""
    seat, place, bar = game.seat, game.place, game.bars[k]
    total = min(seat.reserved, bar.budget)
    if total <= 0:
        return
    side = game.plan.side
    price = bar.open * (1 + take(game, k, side * total * place.lot)) + side * bar.half
    if price <= 0 or seat.full > 0:
        seat.full = LEFT
        return
    at, left, sent, fills = seat.fills, total, game.sent, game.fills
    while left > 0:
        if at >= len(fills.lots):
            seat.full = FULL
            return
        lots = min(seat.left, left)
        fills.child[at] = sent.number[seat.first]
        fills.ts_ns[at] = bar.open_ns
        fills.bar[at] = k
        fills.lots[at] = lots
        fills.price[at] = price
        seat.paid += price * lots
        at += 1
        left -= lots
        seat.left -= lots
        if seat.left == 0:
            seat.first += 1
            if seat.first < seat.commands:
                seat.left = sent.lots[seat.first]
    seat.fills = at
    seat.filled += total
    seat.reserved -= total
    if seat.filled >= game.plan.quantity and seat.reserved == 0:
        seat.now_ns = max(seat.now_ns, bar.open_ns)
        end(game, COMPLETED)
