"""What a parent of the loop hears, and when it wants to be woken next; `execution.batch_act` has what it does then.

It hears what `execution.parent` does where answers are there at once: the market, its fills, the venue's last word on
an order that it has taken back or that was refused. `execution.batch_desk` says which comes when.
"""

from __future__ import annotations

from execution import rules
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
from execution.batch_tables import NEVER, NONE, Game
from execution.kernel import kernel
from execution.plan import Completion, Style


@kernel
def listens(game: Game) -> bool:
    """Whether it wants every market update, and not only the newest one before each wake-up."""
    style = game.plan.style
    wants: bool = game.seat.waits == NO_DATA or style == Style.PEG or style == Style.REST_THEN_CROSS
    return wants


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
    look_at(game, seen_bar)
    view.bid_ticks, view.ask_ticks = game.floor.bid, game.floor.ask
    seat.market_ns = game.bars[seen_bar].close_ns if seen_bar >= 0 else game.bars[0].open_ns
    if seen_bar >= 0:
        seat.tape = max(seat.tape, game.bars[seen_bar].tape)
    if seat.waits == NO_DATA:
        work_on(game)
    settle_all(game, now_ns)


@kernel
def hear_fill(game: Game, now_ns: int, seen_bar: int) -> None:
    """The next fill that nobody has heard of yet, which is of this parent: booked by the account, and heard by it."""
    seat, floor, place, side = game.seat, game.floor, game.place, game.plan.side
    fill = game.fills[floor.heard]
    order = game.orders[fill.row]
    floor.heard += 1
    fill.commands = floor.commands
    seat.last_fill = fill.bar
    floor.lots += side * fill.lots
    floor.to_trade -= side * fill.lots
    money = fill.lots * place.lot_above / place.lot_below * fill.price * place.multiplier
    fee_bps = place.maker_fee_bps if fill.maker > 0 else place.taker_fee_bps
    floor.cash += -side * money - money * fee_bps / 1e4
    show(game, seen_bar, now_ns)
    seat.now_ns = max(seat.now_ns, now_ns)
    before = reserved(order)
    order.filled += fill.lots
    seat.filled += fill.lots
    seat.refusals = 0
    free(game, fill.row, before)
    settle_all(game, now_ns)


@kernel
def settle_all(game: Game, now_ns: int) -> None:
    """What follows from an event: the parent acts, and hears the venue's answers, until there are none."""
    seat = game.seat
    seat.now_ns = max(seat.now_ns, now_ns)
    if is_playing(game):
        act(game)
    while seat.answer_first != NONE:
        row = seat.answer_first
        seat.answer_first = game.orders[row].answer_after
        hear_closed(game, row)
        if is_playing(game):
            act(game)
    if is_playing(game):
        next_ns = next_wake(game)
        if next_ns != NEVER:
            seat.wants_ns = next_ns
    elif seat.state >= COMPLETED and seat.end_bar < -1:
        leave(game, seat.seen_bar)


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
