"""The batch driver's loop: `execution.parent` and `execution.desk` for many parents, each alone in its own market.

The rules, and the arithmetic of what fills, are the very functions that the other drivers call. What is said twice is
the order of things: which event comes when (the desk), and what a parent does then (the machine) where nobody pauses,
amends or refuses it and answers are there at once. Plain functions over tables: compiled or not, they do the same, and
tests compare them with the machine, command by command.
"""

from __future__ import annotations

from typing import Final

from execution import iceberg, pov, rules, shortfall, twap, volume, vwap
from execution.batch_market import (
    FULL,
    LEFT,
    close_bar,
    first_close,
    open_bar,
    price_of,
    quote,
    submit,
    withdraw,
)
from execution.batch_tables import NEVER, Game, Order, Tables
from execution.kernel import kernel
from execution.parent import MOST_DOUBLINGS
from execution.plan import NO_MARKET, NS_PER_MS, Completion, Curve, Style
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
def play_from(first: int, tables: Tables) -> int:
    """Plays the parents from `first` on; gives back the first for which the logs have no room, or their number."""
    commands, fills = 0, 0
    if first > 0:
        commands, fills = tables.seats[first - 1].commands, tables.seats[first - 1].fills
    for number in range(first, len(tables.plans)):
        brief, seat = tables.briefs[number], tables.seats[number]
        for node in range(len(tables.memory)):
            tables.memory[node].state = 0.0
        seat.number = number
        seat.commands = commands
        seat.fills = fills
        play(
            Game(
                tables.plans[number],
                Curve(
                    tables.starts[brief.starts_from : brief.starts_to],
                    tables.targets[brief.targets_from : brief.targets_to],
                    tables.volume[brief.volume_from : brief.volume_to],
                ),
                tables.views[number],
                brief,
                seat,
                tables.depths[number],
                tables.memory,
                tables.places[0],
                tables.bars,
                tables.draws[brief.draws_from : brief.draws_to],
                tables.orders,
                tables.fills,
                tables.slots,
            )
        )
        if seat.full == FULL:
            return number
        if seat.full == LEFT:
            seat.commands = commands
            seat.fills = fills
        commands, fills = seat.commands, seat.fills
    return len(tables.plans)


# ---- the desk: what happens in a bar, in which order


@kernel
def play(game: Game) -> None:
    """One parent from its start to its end, or to that of the bars."""
    brief, bars = game.brief, game.bars
    wake(game, brief.now_ns, brief.seen_bar)
    k = next_bar(game, brief.seen_bar)
    while k < len(bars) - 1 and is_playing(game):
        opens, closes = bars[k].open_ns, bars[k].close_ns
        wake_until(game, opens, k - 1)
        open_bar(game, k)
        hear_fills(game, opens, k - 1)
        wake_until(game, closes - 1, k - 1)
        close_bar(game, k)
        hear_fills(game, closes, k)
        if is_playing(game) and listens(game):
            show(game, k, closes)
        wake_until(game, closes, k)
        k = next_bar(game, k)


@kernel
def is_playing(game: Game) -> bool:
    return game.seat.state < COMPLETED and game.seat.full == 0  # type: ignore[no-any-return]


@kernel
def listens(game: Game) -> bool:
    """Whether it wants every market update, and not only the newest one before each wake-up."""
    style = game.plan.style
    wants: bool = game.seat.waits == NO_DATA or style == Style.PEG or style == Style.REST_THEN_CROSS
    return wants


@kernel
def next_bar(game: Game, after: int) -> int:
    """The first bar behind `after` in which something can happen; the number of bars where none comes."""
    if game.seat.working > 0 or listens(game):
        return after + 1
    if game.seat.wake_ns == NEVER:
        return len(game.bars) - 1
    return max(after + 1, first_close(game, game.seat.wake_ns))


@kernel
def wake_until(game: Game, until_ns: int, seen_bar: int) -> None:
    seat = game.seat
    while NEVER < seat.wake_ns <= until_ns and is_playing(game):
        now_ns = seat.wake_ns
        seat.wake_ns = NEVER
        wake(game, now_ns, seen_bar)


@kernel
def wake(game: Game, now_ns: int, seen_bar: int) -> None:
    show(game, seen_bar, now_ns)
    settle_all(game, now_ns)


@kernel
def show(game: Game, seen_bar: int, now_ns: int) -> None:
    """The newest market, to a parent that has not seen it."""
    seat, view = game.seat, game.sight
    if seat.seen_bar == seen_bar or not is_playing(game):
        return
    seat.seen_bar = seen_bar
    view.bid_ticks, view.ask_ticks = quote(game, seen_bar)
    seat.market_ns = game.bars[seen_bar].close_ns if seen_bar >= 0 else game.bars[0].open_ns
    if seen_bar >= 0:
        seat.tape = max(seat.tape, game.bars[seen_bar].tape)
    if seat.waits == NO_DATA:
        work_on(game)
    settle_all(game, now_ns)


@kernel
def hear_fills(game: Game, now_ns: int, seen_bar: int) -> None:
    """What has just filled, one by one: the parent may act in between."""
    seat = game.seat
    for at in range(seat.heard):
        row = game.slots[at].heard
        show(game, seen_bar, now_ns)
        seat.now_ns = max(seat.now_ns, now_ns)
        order = game.orders[row]
        before = reserved(order)
        order.filled += order.fresh
        seat.filled += order.fresh
        seat.refusals = 0
        free(game, row, before)
        settle_all(game, now_ns)
    seat.heard = 0


@kernel
def settle_all(game: Game, now_ns: int) -> None:
    """What follows from an event: the parent acts, and hears the venue's answers, until there are none."""
    seat = game.seat
    seat.now_ns = max(seat.now_ns, now_ns)
    if is_playing(game):
        act(game)
    while seat.answered < seat.answers:
        row = game.slots[seat.answered].answers
        seat.answered += 1
        hear_closed(game, row)
        if is_playing(game):
            act(game)
    seat.answers = 0
    seat.answered = 0
    if is_playing(game):
        next_ns = next_wake(game)
        if next_ns != NEVER:
            seat.wake_ns = next_ns


@kernel
def hear_closed(game: Game, row: int) -> None:
    """The venue's last word: a cancelled order with its total, or a refusal."""
    plan, seat, view, order = game.plan, game.seat, game.sight, game.orders[row]
    before = reserved(order)
    order.total = order.taken
    free(game, row, before)
    if order.slice_idx == min(seat.slice_idx, plan.slices - 1):
        view.sent_in_slice = max(0, view.sent_in_slice - max(0, order.lots - order.total))
    if order.cancels == 0 and seat.state != CLOSING and seat.now_ns < at_ms(game, end_ms(game)):
        seat.refusals += 1
        if seat.refusals > game.brief.retries:
            seat.refused_lots = order.lots
            seat.refused_near = order.near
            close(game, FAILED)
        else:
            seat.not_before_ns = seat.now_ns + wait_ns(game, seat.refusals - 1)


@kernel
def wait_ns(game: Game, attempts: int) -> int:
    """How long to wait after so many attempts before the last."""
    return (game.brief.retry_ms << min(attempts, MOST_DOUBLINGS)) * NS_PER_MS  # type: ignore[no-any-return]


@kernel
def reserved(order: Order) -> int:
    """Lots that may still turn out filled."""
    most = order.lots if order.total < 0 else order.total
    return max(0, most - order.filled)


@kernel
def free(game: Game, row: int, before: int) -> None:
    """Takes what is not reserved any more out of the books."""
    seat = game.seat
    now = reserved(game.orders[row])
    seat.reserved += now - before
    if now == 0:
        kept = 0
        for at in range(seat.live):
            if game.slots[at].live != row:
                game.slots[kept].live = game.slots[at].live
                kept += 1
        seat.live = kept


# ---- the machine: what a parent does


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
        for at in range(seat.live):
            order = game.orders[game.slots[at].live]
            if order.level == level:
                shown += reserved(order)
        lots = rules.clip_lots(plan, display, shown, game.sight, draw_of(game, seat.children))
        if lots > 0 and seat.state == WORKING and seat.full == 0:
            send(game, lots, False, level)


@kernel
def draw_of(game: Game, number: int) -> float:
    """The number in [0, 1) that belongs to a child; without jitter nobody asks."""
    if game.plan.jitter_ppm == 0:
        return 0.0
    if number >= len(game.draws):
        game.seat.full = LEFT
        return 0.0
    return game.draws[number]  # type: ignore[no-any-return]


@kernel
def follow(game: Game) -> None:
    """Pulls resting children from which the touch has moved away; their lots come back once that is certain."""
    plan, seat = game.plan, game.seat
    if plan.style != Style.PEG and plan.style != Style.REST_THEN_CROSS:
        return
    for at in range(seat.live):
        row = game.slots[at].live
        order = game.orders[row]
        if order.marketable == 0:
            ticks = rules.rest_ticks(plan, game.sight, order.level)
            if rules.has_strayed(plan, order.limit_ticks, ticks):
                cancel(game, row)


@kernel
def cross(game: Game, lots: int) -> None:
    """Pulls what rests or was left behind, and takes once nothing rests; what a pull frees comes with the answer."""
    resting = 0
    for at in range(game.seat.live):
        row = game.slots[at].live
        if game.orders[row].marketable == 0:
            resting += 1
            cancel(game, row)
        elif rules.is_behind(game.plan, game.sight, game.orders[row].limit_ticks):
            cancel(game, row)
    if lots > 0 and resting == 0:
        send(game, lots, True, 0)


@kernel
def pull(game: Game) -> None:
    for at in range(game.seat.live):
        cancel(game, game.slots[at].live)


@kernel
def send(game: Game, lots: int, marketable: bool, level: int) -> None:
    """A new child into the market."""
    plan, seat, view = game.plan, game.seat, game.sight
    if seat.now_ns < seat.not_before_ns:
        return
    if rules.blind(plan, view) or (not marketable and view.market_ms == NO_MARKET):
        pause(game, NO_DATA)
        return
    if seat.commands >= len(game.orders):
        seat.full = FULL
        return
    row = seat.commands
    order = game.orders[row]
    order.parent = seat.number
    order.number = seat.children
    order.cancel = 0
    order.ts_ns = seat.now_ns
    order.slice_idx = seat.children if plan.display > 0 else min(seat.slice_idx, plan.slices - 1)
    order.lots = lots
    order.limit_ticks = rules.cross_ticks(plan, view) if marketable else rules.rest_ticks(plan, view, level)
    order.marketable = 1 if marketable else 0
    order.level = level
    order.filled = 0
    order.total = -1
    order.cancels = 0
    order.ask_again_ns = 0
    order.price = price_of(game, order.limit_ticks)
    order.left = 0
    order.taken = 0
    order.rested = 0
    order.fresh = 0
    seat.commands += 1
    seat.children += 1
    seat.reserved += lots
    view.sent_in_slice += lots
    view.open_lots += lots
    game.slots[seat.live].live = row
    seat.live += 1
    if not submit(game, row, seat.now_ns):
        game.slots[seat.answers].answers = row
        seat.answers += 1


@kernel
def cancel(game: Game, row: int) -> None:
    """A request to take a child back; the venue answers at once where it still has it."""
    seat, order = game.seat, game.orders[row]
    if order.total >= 0 or seat.now_ns < order.ask_again_ns:
        return
    if seat.commands >= len(game.orders):
        seat.full = FULL
        return
    order.ask_again_ns = seat.now_ns + wait_ns(game, order.cancels)
    order.cancels += 1
    asked = game.orders[seat.commands]
    seat.commands += 1
    asked.parent = seat.number
    asked.number = order.number
    asked.cancel = 1
    asked.ts_ns = seat.now_ns
    asked.slice_idx = order.slice_idx
    asked.lots = reserved(order)
    asked.limit_ticks = order.limit_ticks
    asked.marketable = order.marketable
    if withdraw(game, row):
        game.slots[seat.answers].answers = row
        seat.answers += 1


@kernel
def pause(game: Game, reason: int) -> None:
    game.seat.waits = reason
    game.seat.state = PAUSED


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
def next_wake(game: Game) -> int:
    """The earliest moment at which time alone would change something; NEVER where none does."""
    plan, curve, seat = game.plan, game.curve, game.seat
    best = sooner(NEVER, at_ms(game, end_ms(game)), seat.now_ns)
    if seat.state == PENDING or seat.state == WORKING or seat.waits == THIN:
        best = sooner(best, at_ms(game, rules.slice_start_ms(plan, curve, seat.slice_idx + 1)), seat.now_ns)
        if plan.style == Style.REST_THEN_CROSS and 0 <= seat.slice_idx < plan.slices:
            best = sooner(best, at_ms(game, rules.cross_start_ms(plan, curve, seat.slice_idx)), seat.now_ns)
        if plan.completion == Completion.COMPLETE:
            best = sooner(best, at_ms(game, plan.horizon_ms - plan.completion_ms), seat.now_ns)
    if seat.state != PENDING:
        best = sooner(best, seat.not_before_ns, seat.now_ns)
    return best


@kernel
def sooner(best: int, moment: int, now_ns: int) -> int:
    """Of two moments the first that is still to come."""
    if moment > now_ns and (best == NEVER or moment < best):
        return moment
    return best
