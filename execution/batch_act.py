"""What a parent of the loop does: `execution.parent` where nobody pauses, amends or refuses it.

The rules are the very functions that the other drivers call; what is said twice is when they are asked. Plain functions
over tables: compiled or not, they do the same, and tests compare them with the machine, command by command.
"""

from __future__ import annotations

from typing import Final

from execution import iceberg, pov, rules, shortfall, twap, volume, vwap
from execution.batch_market import FULL, LEFT, price_of, submit, withdraw
from execution.batch_tables import NONE, Game, Order, Player
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
NOTHING, STRAYED, CROSSED, ALL = range(4)  # what a parent takes back


@kernel
def is_playing(game: Game) -> bool:
    return game.seat.state < COMPLETED and game.floor.full == 0  # type: ignore[no-any-return]


@kernel
def due_of(game: Player) -> int:
    """Lots due by the parent's rule, which depends on slices and on volume as a slice begins, and on nothing else."""
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
    """What to take back and what to send is said in one place each: every call more is a copy more of the code."""
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
    if seat.state == WORKING and is_thin(game):
        pause(game, THIN)
    what = what_goes(game)
    resting = 0 if what == NOTHING else pull(game, what)
    left = 0
    if seat.state == CLOSING:
        if seat.reserved == 0:
            end(game, seat.outcome)
        return
    if seat.state == CROSSING:
        left = plan.quantity - game.sight.filled - game.sight.open_lots
        if left < plan.min_lots:
            return
    elif seat.state != WORKING:
        return
    if resting == 0:
        offer(game, left, what == CROSSED or plan.style == Style.MARKET)


@kernel
def what_goes(game: Game) -> int:
    """Which of its orders the parent takes back before it sends more."""
    plan, state = game.plan, game.seat.state
    if state == CLOSING:
        return ALL
    if state == CROSSING:
        return CROSSED
    if state != WORKING or (plan.style != Style.PEG and plan.style != Style.REST_THEN_CROSS):
        return NOTHING
    if plan.display == 0 and plan.style == Style.REST_THEN_CROSS and is_crossing_in_slice(game):
        return CROSSED
    return STRAYED


@kernel
def look(game: Player) -> None:
    """Brings the view up to date; a new slice begins with nothing sent."""
    seat, view, start_ns = game.seat, game.sight, game.brief.start_ns
    view.now_ms = (seat.now_ns - start_ns) // NS_PER_MS
    view.filled = seat.filled
    view.open_lots = seat.reserved
    view.market_ms = (seat.market_ns - start_ns) // NS_PER_MS
    if view.now_ms >= seat.slice_ends_ms:
        begin_slice(game)


@kernel
def begin_slice(game: Player) -> None:
    """A slice begins, or the first one is waited for: what holds for all of it is found out once."""
    plan, curve, seat, view = game.plan, game.curve, game.seat, game.sight
    begun = rules.intervals_begun(plan, curve, view.now_ms) - 1
    seat.slice_ends_ms = rules.slice_start_ms(plan, curve, begun + 1)
    if begun == seat.slice_idx:
        return
    seat.slice_idx = begun
    if seat.tape_before < 0:
        seat.tape_before = seat.tape
    own = view.filled if plan.own_in_tape > 0 else 0
    volume.begin_slice(plan, view, max(0, begun), max(0, seat.tape - seat.tape_before - own))
    seat.due = due_of(game)
    if plan.style == Style.REST_THEN_CROSS:
        seat.cross_ms = rules.cross_start_ms(plan, curve, min(begun, plan.slices - 1))


@kernel
def lots_due(game: Player) -> int:
    room = rules.slice_room(game.plan, game.curve, game.sight, game.seat.slice_idx)
    return rules.child_lots(game.plan, game.seat.due, room, game.sight)


@kernel
def offer(game: Game, left: int, marketable: bool) -> None:
    """Sends what is left, or where 0 is said what is due: of a display, what each of its price levels has room for."""
    plan, seat = game.plan, game.seat
    clips = left == 0 and plan.display > 0
    before = 0
    for level in range(plan.levels if clips else 1):
        lots = left
        if clips:
            lots = clip_due(game, level, game.curve.targets[level] - before)
            before = game.curve.targets[level]
        elif lots == 0:
            lots = lots_due(game)
        if lots > 0 and seat.waits == 0 and game.floor.full == 0:
            send(game, lots, marketable and not clips, level)


@kernel
def clip_due(game: Game, level: int, display: int) -> int:
    """What to show on a level besides what is not known to be gone."""
    shown = 0
    row = game.seat.live_first
    while row != NONE:
        order = game.orders[row]
        if order.level == level:
            shown += reserved(order)
        row = order.live_after
    return rules.clip_lots(game.plan, display, shown, game.sight, draw_of(game, game.seat.children))


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
def pull(game: Game, what: int) -> int:
    """Asks for orders back, and counts those that rested: while there are any, the parent does not take.

    STRAYED: those from which the touch has moved away. CROSSED: what rests, or was left behind. Lots are free once that
    is certain, so what a pull frees comes with the answer.
    """
    plan, view = game.plan, game.sight
    resting = 0
    row = game.seat.live_first
    while row != NONE:
        order = game.orders[row]
        goes = what == ALL
        if what == STRAYED and order.marketable == 0:
            goes = rules.has_strayed(plan, order.limit_ticks, rules.rest_ticks(plan, view, order.level))
        elif what == CROSSED:
            resting += 1 - order.marketable
            goes = order.marketable == 0 or rules.is_behind(plan, view, order.limit_ticks)
        if goes:
            cancel(game, row)
        row = order.live_after
    return resting


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
def pause(game: Player, reason: int) -> None:
    game.seat.waits = reason
    game.seat.state = PAUSED
    if reason == THIN:
        game.seat.thin += 1
    else:
        game.seat.no_data += 1


@kernel
def work_on(game: Player) -> None:
    game.seat.waits = 0
    game.seat.state = WORKING


@kernel
def close(game: Player, outcome: int) -> None:
    game.seat.outcome = outcome
    game.seat.waits = 0
    game.seat.state = CLOSING


@kernel
def end(game: Player, outcome: int) -> None:
    game.seat.state = outcome
    game.seat.waits = 0
    game.seat.ended_ns = game.seat.now_ns


@kernel
def is_crossing_time(game: Player) -> bool:
    plan = game.plan
    begun: bool = game.sight.now_ms >= plan.horizon_ms - plan.completion_ms
    return plan.completion == Completion.COMPLETE and begun


@kernel
def is_crossing_in_slice(game: Player) -> bool:
    return game.sight.now_ms >= game.seat.cross_ms  # type: ignore[no-any-return]


@kernel
def is_thin(game: Player) -> bool:
    return volume.is_thin(game.plan, game.sight, game.seat.slice_idx)


@kernel
def end_ms(game: Player) -> int:
    """The last moment at which anything of the parent may be in the market: `Plan.end_ms`."""
    plan = game.plan
    return plan.horizon_ms + (plan.extend_ms if plan.completion == Completion.EXTEND else 0)  # type: ignore[no-any-return]


@kernel
def at_ms(game: Player, ms: int) -> int:
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
