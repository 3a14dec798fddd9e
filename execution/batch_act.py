"""What a parent of the loop does: `execution.parent` where nobody pauses, amends or refuses it.

The rules are the very functions that the other drivers call; what is said twice is when they are asked. Plain functions
over tables: compiled or not, they do the same, and tests compare them with the machine, command by command.
"""

from __future__ import annotations

from typing import Final

from execution import iceberg, pov, rules, shortfall, twap, volume, vwap
from execution.batch_market import FULL, LEFT, price_of, submit, withdraw
from execution.batch_tables import NONE, Game, Order
from execution.kernel import kernel
from execution.parent import MOST_DOUBLINGS
from execution.plan import NO_MARKET, NS_PER_MS, Completion, Style
from execution.states import State

RULES: Final = (twap.due, vwap.due, pov.due, iceberg.due, shortfall.due)  # a parent's `rule` is a place in here

STATES: Final = (
    State.PENDING,
    State.WORKING,
    State.PAUSED,
    State.CROSSING,
    State.CLOSING,
    State.COMPLETED,
    State.CANCELLED,
    State.FAILED,
)
PENDING, WORKING, PAUSED, CROSSING, CLOSING, COMPLETED, CANCELLED, FAILED = range(len(STATES))
NO_DATA, THIN = 1, 2  # what a paused parent waits for


@kernel
def is_playing(game: Game) -> bool:
    return game.seat.state < COMPLETED and game.floor.full == 0  # type: ignore[no-any-return]


@kernel
def due_of(game: Game) -> int:
    """Lots due by now, by the parent's rule."""
    rule, plan, curve, view = game.brief.rule, game.plan, game.curve, game.sight
    if rule == 0:
        return twap.due(plan, curve, view)
    if rule == 1:
        return vwap.due(plan, curve, view)
    if rule == 2:
        return pov.due(plan, curve, view)
    if rule == 4:
        return shortfall.due(plan, curve, view)
    return iceberg.due(plan, curve, view)


@kernel
def act(game: Game) -> None:
    plan, seat = game.plan, game.seat
    look(game)
    if seat.filled >= plan.quantity and seat.reserved == 0:
        end(game, COMPLETED)
        return
    if seat.state == PENDING and game.sight.now_ms >= 0:
        seat.state = WORKING
    if seat.state != CLOSING and game.sight.now_ms >= end_ms(game):
        close(game, CANCELLED)
    if seat.waits == THIN and (is_crossing_time(game) or not is_thin(game)):
        work_on(game)
    if seat.state == WORKING and is_crossing_time(game):
        seat.state = CROSSING
    if seat.state == WORKING:
        work(game)
    elif seat.state == CROSSING:
        left = plan.quantity - game.sight.filled - game.sight.open_lots
        cross(game, left if left >= plan.min_lots else 0)
    elif seat.state == CLOSING:
        pull(game)
        if seat.reserved == 0:
            end(game, seat.outcome)


@kernel
def look(game: Game) -> None:
    """Brings the view up to date; a new slice begins with nothing sent."""
    plan, seat, view, start_ns = game.plan, game.seat, game.sight, game.brief.start_ns
    view.now_ms = (seat.now_ns - start_ns) // NS_PER_MS
    view.filled = seat.filled
    view.open_lots = seat.reserved
    view.market_ms = (seat.market_ns - start_ns) // NS_PER_MS
    begun = rules.intervals_begun(plan, game.curve, view.now_ms) - 1
    if begun != seat.slice_idx:
        seat.slice_idx = begun
        if seat.tape_before < 0:
            seat.tape_before = seat.tape
        own = view.filled if plan.own_in_tape > 0 else 0
        volume.begin_slice(plan, view, max(0, begun), max(0, seat.tape - seat.tape_before - own))


@kernel
def work(game: Game) -> None:
    plan = game.plan
    if is_thin(game):
        pause(game, THIN)
    elif plan.display > 0:
        show_clips(game)
    elif plan.style == Style.REST_THEN_CROSS and is_crossing_in_slice(game):
        cross(game, lots_due(game))
    else:
        follow(game)
        lots = lots_due(game)
        if lots > 0:
            send(game, lots, plan.style == Style.MARKET, 0)


@kernel
def lots_due(game: Game) -> int:
    room = rules.slice_room(game.plan, game.curve, game.sight, game.seat.slice_idx)
    return rules.child_lots(game.plan, due_of(game), room, game.sight)


@kernel
def show_clips(game: Game) -> None:
    """Shows clips on each price level, as far as what was shown there is known to be gone."""
    plan, seat = game.plan, game.seat
    follow(game)
    before = 0
    for level in range(plan.levels):
        display = game.curve.targets[level] - before
        before = game.curve.targets[level]
        shown = 0
        row = seat.live_first
        while row != NONE:
            order = game.orders[row]
            if order.level == level:
                shown += reserved(order)
            row = order.live_after
        lots = rules.clip_lots(plan, display, shown, game.sight, draw_of(game, seat.children))
        if lots > 0 and seat.state == WORKING and game.floor.full == 0:
            send(game, lots, False, level)


@kernel
def draw_of(game: Game, number: int) -> float:
    """The number in [0, 1) that belongs to a child; without jitter nobody asks."""
    if game.plan.jitter_ppm == 0:
        return 0.0
    if number >= len(game.draws):
        game.floor.full = LEFT
        return 0.0
    return game.draws[number]  # type: ignore[no-any-return]


@kernel
def follow(game: Game) -> None:
    """Pulls resting children from which the touch has moved away; their lots come back once that is certain."""
    plan, seat = game.plan, game.seat
    if plan.style != Style.PEG and plan.style != Style.REST_THEN_CROSS:
        return
    row = seat.live_first
    while row != NONE:
        order = game.orders[row]
        if order.marketable == 0:
            ticks = rules.rest_ticks(plan, game.sight, order.level)
            if rules.has_strayed(plan, order.limit_ticks, ticks):
                cancel(game, row)
        row = order.live_after


@kernel
def cross(game: Game, lots: int) -> None:
    """Pulls what rests or was left behind, and takes once nothing rests; what a pull frees comes with the answer."""
    resting = 0
    row = game.seat.live_first
    while row != NONE:
        order = game.orders[row]
        if order.marketable == 0:
            resting += 1
            cancel(game, row)
        elif rules.is_behind(game.plan, game.sight, order.limit_ticks):
            cancel(game, row)
        row = order.live_after
    if lots > 0 and resting == 0:
        send(game, lots, True, 0)


@kernel
def pull(game: Game) -> None:
    row = game.seat.live_first
    while row != NONE:
        cancel(game, row)
        row = game.orders[row].live_after


@kernel
def send(game: Game, lots: int, marketable: bool, level: int) -> None:
    """A new child into the market."""
    plan, seat, view = game.plan, game.seat, game.sight
    if seat.now_ns < seat.not_before_ns:
        return
    if rules.blind(plan, view) or (not marketable and view.market_ms == NO_MARKET):
        pause(game, NO_DATA)
        return
    row = next_row(game)
    if row == NONE:
        return
    order = game.orders[row]
    order.number = seat.children
    order.cancel = 0
    order.slice_idx = seat.children if plan.display > 0 else min(seat.slice_idx, plan.slices - 1)
    order.lots = lots
    order.limit_ticks = rules.cross_ticks(plan, view) if marketable else rules.rest_ticks(plan, view, level)
    order.marketable = 1 if marketable else 0
    order.scheduled_ns = seat.now_ns
    if plan.display == 0:
        order.scheduled_ns = at_ms(game, rules.slice_start_ms(plan, game.curve, seat.slice_idx))
    order.target = NONE
    order.closed_at = NONE
    order.level = level
    order.filled = 0
    order.total = -1
    order.cancels = 0
    order.ask_again_ns = 0
    order.price = price_of(game, order.limit_ticks)
    order.left = 0
    order.taken = 0
    order.rested = 0
    order.fills = 0
    seat.children += 1
    seat.reserved += lots
    view.sent_in_slice += lots
    view.open_lots += lots
    order.live_before = seat.live_last
    order.live_after = NONE
    if seat.live_last == NONE:
        seat.live_first = row
    else:
        game.orders[seat.live_last].live_after = row
    seat.live_last = row
    if not submit(game, row, seat.now_ns):
        answered(game, row)


@kernel
def next_row(game: Game) -> int:
    """The log's next row, with what every command says; NONE where it is full."""
    seat, view, floor = game.seat, game.sight, game.floor
    if floor.commands >= len(game.orders):
        floor.full = FULL
        return NONE
    row: int = floor.commands
    floor.commands += 1
    order = game.orders[row]
    order.parent = seat.number
    order.side = game.plan.side
    order.ts_ns = seat.now_ns
    order.seen_bar = seat.seen_bar
    order.bid = view.bid_ticks
    order.ask = view.ask_ticks
    return row


@kernel
def cancel(game: Game, row: int) -> None:
    """A request to take a child back; the venue answers at once where it still has it."""
    seat, order = game.seat, game.orders[row]
    if order.total >= 0 or seat.now_ns < order.ask_again_ns:
        return
    asking = next_row(game)
    if asking == NONE:
        return
    order.ask_again_ns = seat.now_ns + wait_ns(game, order.cancels)
    order.cancels += 1
    asked = game.orders[asking]
    asked.number = order.number
    asked.cancel = 1
    asked.cancels = order.cancels
    asked.target = row
    asked.closed_at = NONE
    asked.slice_idx = order.slice_idx
    asked.lots = reserved(order)
    asked.limit_ticks = order.limit_ticks
    asked.marketable = order.marketable
    asked.scheduled_ns = seat.now_ns
    if withdraw(game, row):
        answered(game, row)


@kernel
def pause(game: Game, reason: int) -> None:
    game.seat.waits = reason
    game.seat.state = PAUSED
    if reason == THIN:
        game.seat.thin += 1
    else:
        game.seat.no_data += 1


@kernel
def work_on(game: Game) -> None:
    game.seat.waits = 0
    game.seat.state = WORKING


@kernel
def close(game: Game, outcome: int) -> None:
    game.seat.outcome = outcome
    game.seat.waits = 0
    game.seat.state = CLOSING


@kernel
def end(game: Game, outcome: int) -> None:
    game.seat.state = outcome
    game.seat.waits = 0
    game.seat.ended_ns = game.seat.now_ns


@kernel
def is_crossing_time(game: Game) -> bool:
    plan = game.plan
    begun: bool = game.sight.now_ms >= plan.horizon_ms - plan.completion_ms
    return plan.completion == Completion.COMPLETE and begun


@kernel
def is_crossing_in_slice(game: Game) -> bool:
    index = min(game.seat.slice_idx, game.plan.slices - 1)
    return game.sight.now_ms >= rules.cross_start_ms(game.plan, game.curve, index)  # type: ignore[no-any-return]


@kernel
def is_thin(game: Game) -> bool:
    return volume.is_thin(game.plan, game.sight, game.seat.slice_idx)


@kernel
def end_ms(game: Game) -> int:
    """The last moment at which anything of the parent may be in the market: `Plan.end_ms`."""
    plan = game.plan
    return plan.horizon_ms + (plan.extend_ms if plan.completion == Completion.EXTEND else 0)  # type: ignore[no-any-return]


@kernel
def at_ms(game: Game, ms: int) -> int:
    return game.brief.start_ns + ms * NS_PER_MS  # type: ignore[no-any-return]


@kernel
def answered(game: Game, row: int) -> None:
    """The venue has closed an order at once; the parent hears of it when it has done what it is doing."""
    seat, order = game.seat, game.orders[row]
    order.closed_at = game.floor.commands - 1
    order.answer_after = NONE
    if seat.answer_first == NONE:
        seat.answer_first = row
    else:
        game.orders[seat.answer_last].answer_after = row
    seat.answer_last = row


@kernel
def reserved(order: Order) -> int:
    """Lots that may still turn out filled."""
    most = order.lots if order.total < 0 else order.total
    return max(0, most - order.filled)


@kernel
def wait_ns(game: Game, attempts: int) -> int:
    """How long to wait after so many attempts before the last."""
    return (game.brief.retry_ms << min(attempts, MOST_DOUBLINGS)) * NS_PER_MS  # type: ignore[no-any-return]
