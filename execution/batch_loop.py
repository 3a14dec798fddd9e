"""What a parent of the loop hears, and when it wants to be woken next; `execution.batch_act` has what it does then.

It hears what `execution.parent` does where answers are there at once: the market, its fills, the venue's last word on
an order that it has taken back or that was refused. `execution.batch_desk` says which comes when.
"""

from __future__ import annotations

from execution.batch_act import (
    CLOSING,
    COMPLETED,
    FAILED,
    NO_DATA,
    PENDING,
    THIN,
    WORKING,
    act,
    at_ms,
    close,
    end_ms,
    is_playing,
    reserved,
    wait_ns,
    work_on,
)
from execution.batch_market import look_at, mid
from execution.batch_tables import NEVER, NONE, Game, Player
from execution.kernel import kernel
from execution.plan import Completion, Style

BEGINS, WAKES, HEARS, SEES, LEAVES = range(5)  # what may happen to a parent


@kernel
def listens(game: Game) -> bool:
    """Whether it wants every market update, and not only the newest one before each wake-up."""
    style = game.plan.style
    wants: bool = game.seat.waits == NO_DATA or style == Style.PEG or style == Style.REST_THEN_CROSS
    return wants


@kernel
def happen(game: Game, what: int, now_ns: int, seen_bar: int) -> None:
    """What happens to a parent: first the newest market, if it has not seen it, and then what it is about.

    It acts on both, one after the other, in one place.
    """
    seat = game.seat
    if what == LEAVES:
        leave(game, seen_bar)
        return
    if what == BEGINS:
        seat.arrival = mid(game, seen_bar)
    elif what == HEARS:
        trade(game)
    is_news = seat.seen_bar != seen_bar and is_playing(game)
    if is_news:
        see(game, seen_bar)
    for about in range(0 if is_news else 1, 1 if what == SEES else 2):
        seat.now_ns = max(seat.now_ns, now_ns)
        if about == 1 and what == HEARS:
            hear_fill(game)
        settle(game)
    if is_playing(game):
        next_ns = next_wake(game)
        if next_ns != NEVER:
            seat.wants_ns = next_ns
    elif seat.state >= COMPLETED and seat.end_bar < -1:
        leave(game, seat.seen_bar)
    seat.wants_all = 1 if listens(game) else 0


@kernel
def see(game: Game, seen_bar: int) -> None:
    """The newest market."""
    seat, view = game.seat, game.sight
    seat.seen_bar = seen_bar
    look_at(game, seen_bar)
    view.bid_ticks, view.ask_ticks = game.floor.bid, game.floor.ask
    seat.market_ns = game.bars[seen_bar].close_ns if seen_bar >= 0 else game.bars[0].open_ns
    if seen_bar >= 0:
        seat.tape = max(seat.tape, game.bars[seen_bar].tape)
    if seat.waits == NO_DATA:
        work_on(game)


@kernel
def trade(game: Game) -> None:
    """The next fill that nobody has heard of yet, which is of this parent: booked by the account."""
    floor, place, side = game.floor, game.place, game.plan.side
    fill = game.fills[floor.heard]
    fill.commands = floor.commands
    game.seat.last_fill = fill.bar
    floor.lots += side * fill.lots
    floor.to_trade -= side * fill.lots
    money = fill.lots * place.lot_above / place.lot_below * fill.price * place.multiplier
    fee_bps = place.maker_fee_bps if fill.maker > 0 else place.taker_fee_bps
    floor.cash += -side * money - money * fee_bps / 1e4


@kernel
def hear_fill(game: Game) -> None:
    """The same fill, heard by the parent."""
    seat, fill = game.seat, game.fills[game.floor.heard]
    order = game.orders[fill.row]
    game.floor.heard += 1
    before = reserved(order)
    order.filled += fill.lots
    seat.filled += fill.lots
    seat.refusals = 0
    free(game, fill.row, before)


@kernel
def settle(game: Game) -> None:
    """What follows from an event: the parent acts, and hears the venue's answers, until there are none."""
    seat, going = game.seat, True
    while going:
        if is_playing(game):
            act(game)
        row = seat.answer_first
        going = row != NONE
        if going:
            seat.answer_first = game.orders[row].answer_after
            hear_closed(game, row)


@kernel
def leave(game: Game, seen_bar: int) -> None:
    """The parent has ended, or the data are over: nobody waits any more for what it has not done."""
    seat = game.seat
    seat.end_bar = seen_bar
    seat.end_mid = mid(game, seen_bar)
    game.floor.to_trade -= game.plan.side * (game.plan.quantity - seat.filled)


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
def free(game: Game, row: int, before: int) -> None:
    """Takes what is not reserved any more out of the books."""
    seat = game.seat
    now = reserved(game.orders[row])
    seat.reserved += now - before
    if now == 0:
        before_it, after_it = game.orders[row].live_before, game.orders[row].live_after
        if before_it == NONE:
            seat.live_first = after_it
        else:
            game.orders[before_it].live_after = after_it
        if after_it == NONE:
            seat.live_last = before_it
        else:
            game.orders[after_it].live_before = before_it


@kernel
def next_wake(game: Player) -> int:
    """The earliest moment at which time alone would change something; NEVER where none does."""
    plan, seat = game.plan, game.seat
    best = sooner(NEVER, at_ms(game, end_ms(game)), seat.now_ns)
    if seat.state == PENDING or seat.state == WORKING or seat.waits == THIN:
        best = sooner(best, at_ms(game, seat.slice_ends_ms), seat.now_ns)
        if plan.style == Style.REST_THEN_CROSS and 0 <= seat.slice_idx < plan.slices:
            best = sooner(best, at_ms(game, seat.cross_ms), seat.now_ns)
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
