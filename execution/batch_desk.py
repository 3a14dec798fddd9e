"""The loop's desk: `execution.desk` for the parents of one market, or of many markets with one parent each.

What happens in a bar, in which order. The rules, and what fills, are the very functions of the other drivers; see
`execution.batch_act` for the parents and `execution.batch_market` for the market.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from execution.batch_loop import hear_fill, leave, listens, show, wake
from execution.batch_market import LEFT, close_bar, first_close, mid, open_bar
from execution.batch_memory import forget
from execution.batch_seats import leave_seat, take_seat, wake_at, wake_no_more
from execution.batch_tables import NEVER, NONE, Game, Tables
from execution.kernel import kernel
from execution.machine_code import machine_code
from execution.parent import ParentOrder
from execution.plan import Curve, Plan

SHORT: Final = 3  # of rows: play stops before a bar, and goes on with larger tables
ROOM: Final = 64  # rows that a bar may need, and as many again for every parent
EVERY, BEGIN, PLAY, FINISH = range(4)  # what `run` is asked to do
BEGINS, WAKES, HEARS, SEES, LEAVES, OPENS, CLOSES = range(7)  # what may happen to a parent, and to the market


Run = Callable[[int, int, int, int, Tables], int]


@cache
def compiled() -> Run | None:
    """The loop as machine code; None where there is no numba."""
    return machine_code(run, Tables, Plan, ParentOrder)


def run(what: int, number: int, now_ns: int, bar: int, tables: Tables) -> int:
    """The one way in, so that all is compiled once.

    EVERY: the parents from `number` on, each in its own market; gives back the first for which the logs have no room.
    BEGIN: the parent of this number, at `now_ns`, when `bar` is the last one known. PLAY: the bars behind `number` up
    to `bar`. FINISH: all leave, with `bar` the last. These give back the next bar in which something can happen.
    """
    if what == EVERY:
        return play_from(number, tables)
    if what == PLAY:
        return play_on(number, bar, tables)
    if what == FINISH:
        finish(bar, tables)
    else:
        begin(tables, number, now_ns, bar)
    return next_bar(tables, bar)


@kernel
def play_from(first: int, tables: Tables) -> int:
    """Plays the parents from `first` on, each alone in a market of its own.

    Gives back the first for which the logs have no room, or the number of parents.
    """
    floor = tables.floors[0]
    commands, fills = 0, 0
    if first > 0:
        commands, fills = tables.seats[first - 1].commands, tables.seats[first - 1].fills
    for number in range(first, len(tables.plans)):
        seat, brief = tables.seats[number], tables.briefs[number]
        clear(tables, commands, fills)
        begin(tables, number, brief.now_ns, brief.seen_bar)
        k = next_bar(tables, brief.seen_bar)
        while k < len(tables.bars) - 1 and floor.full == 0:
            play_bar(tables, k)
            k = next_bar(tables, k)
        seat.full = floor.full
        if floor.full == LEFT:
            floor.commands, floor.fills = commands, fills
        elif floor.full > 0:
            return number
        commands, fills = floor.commands, floor.fills
        seat.commands, seat.fills = commands, fills
    return len(tables.plans)


@kernel
def clear(tables: Tables, commands: int, fills: int) -> None:
    """A market that nobody has been in; the logs go on from these rows."""
    floor, depth = tables.floors[0], tables.depths[0]
    floor.full = 0
    floor.commands = commands
    floor.fills = fills
    floor.heard = fills
    floor.bar = 0
    floor.seated = 0
    floor.first = NONE
    floor.last = NONE
    floor.listening = 0
    floor.waking = 0
    floor.working = 0
    floor.quoted = -2
    floor.best_buy = NONE
    floor.last_buy = NONE
    floor.best_sell = NONE
    floor.last_sell = NONE
    forget(tables.memory[0])
    depth.left = 0
    depth.net = 0
    depth.traded = 0
    depth.clock = 0
    depth.asked = 0
    depth.shift = 0.0
    depth.permanent = 0.0
    depth.loaded = -1
    depth.carried = 0.0


@kernel
def play_on(after: int, until: int, tables: Tables) -> int:
    """Plays the bars behind `after`, up to `until` with it, in which something can happen; gives back the next such.

    Stops before a bar for which the logs may have no room: `floors[0].full` is SHORT then.
    """
    floor = tables.floors[0]
    k = next_bar(tables, after)
    while k <= until and floor.full == 0:
        room = ROOM * (1 + floor.seated)
        if floor.commands + room > len(tables.orders) or floor.fills + room > len(tables.fills):
            floor.full = SHORT
            return k
        play_bar(tables, k)
        k = next_bar(tables, k)
    return k


@kernel
def begin(tables: Tables, number: int, now_ns: int, seen_bar: int) -> None:
    """Puts a parent to work at `now_ns`, when bar `seen_bar` is the last one known (-1: none)."""
    tables.seats[number].number = number
    tables.seats[number].begin_bar = seen_bar + 1
    tables.floors[0].bar = max(tables.floors[0].bar, seen_bar + 1)
    at_seat(BEGINS, tables, number, now_ns, seen_bar)


@kernel
def next_bar(tables: Tables, after: int) -> int:
    """The first bar behind `after` in which something can happen; the number of bars where none comes."""
    floor = tables.floors[0]
    if floor.seated > 0:
        if floor.working > 0 or floor.listening > 0:
            return after + 1
        if floor.waking > 0:
            return first_close(tables.bars, after, tables.wakes[0].ts_ns)
    return len(tables.bars) - 1


@kernel
def play_bar(tables: Tables, k: int) -> None:
    """Everything that happens in bar k, in order of time."""
    floor, opens, closes = tables.floors[0], tables.bars[k].open_ns, tables.bars[k].close_ns
    floor.bar = k
    wake_until(tables, opens, k - 1)
    trading = floor.working > 0  # what comes later than the open waits for the next
    if trading:
        at_seat(OPENS, tables, 0, opens, k)
        hear_fills(tables, opens, k - 1)
    wake_until(tables, closes - 1, k - 1)
    if trading:
        at_seat(CLOSES, tables, 0, closes, k)
        hear_fills(tables, closes, k)
    if floor.listening > 0:
        tell_listeners(tables, closes, k)
    wake_until(tables, closes, k)


@kernel
def wake_until(tables: Tables, until_ns: int, seen_bar: int) -> None:
    floor = tables.floors[0]
    while floor.waking > 0 and tables.wakes[0].ts_ns <= until_ns and floor.full == 0:
        at_seat(WAKES, tables, tables.wakes[0].number, tables.wakes[0].ts_ns, seen_bar)


@kernel
def hear_fills(tables: Tables, now_ns: int, seen_bar: int) -> None:
    """What has just filled, one by one: parents act in between."""
    floor = tables.floors[0]
    while floor.heard < floor.fills and floor.full == 0:
        at_seat(HEARS, tables, tables.fills[floor.heard].parent, now_ns, seen_bar)


@kernel
def tell_listeners(tables: Tables, now_ns: int, seen_bar: int) -> None:
    """The new market, to every seat that wants each."""
    number = tables.floors[0].first
    while number != NONE:
        after = tables.seats[number].after
        if tables.seats[number].listening > 0:
            at_seat(SEES, tables, number, now_ns, seen_bar)
        number = after


@kernel
def finish(last_bar: int, tables: Tables) -> None:
    """The data are over: those at work leave as they stand."""
    while tables.floors[0].first != NONE:
        at_seat(LEAVES, tables, tables.floors[0].first, NEVER, last_bar)


@kernel
def at_seat(what: int, tables: Tables, number: int, now_ns: int, seen_bar: int) -> None:
    """Has something happen to the parent of this seat, or to the market, for which any seat will do.

    The one place where a `Game` is made: compiled functions cannot give one back.
    """
    brief = tables.briefs[number]
    game = Game(
        tables.plans[number],
        Curve(
            tables.starts[brief.starts_from : brief.starts_to],
            tables.targets[brief.targets_from : brief.targets_to],
            tables.volume[brief.volume_from : brief.volume_to],
        ),
        tables.views[number],
        brief,
        tables.seats[number],
        tables.floors[0],
        tables.depths[0],
        tables.memory[0],
        tables.places[0],
        tables.bars,
        tables.draws[brief.draws_from : brief.draws_to],
        tables.orders,
        tables.fills,
    )
    if what == BEGINS:
        take_seat(tables, number)
    elif what == WAKES:
        wake_no_more(tables, number)
    happen(what, game, now_ns, seen_bar)
    if what >= OPENS:
        return
    seat = tables.seats[number]
    if seat.end_bar >= -1:
        if seat.seated > 0:
            leave_seat(tables, number)
        return
    if seat.wants_ns != NEVER:
        wake_at(tables, number, seat.wants_ns)
        seat.wants_ns = NEVER
    tables.floors[0].listening += seat.wants_all - seat.listening
    seat.listening = seat.wants_all


@kernel
def happen(what: int, game: Game, now_ns: int, seen_bar: int) -> None:
    """What happens, as far as it concerns no other seat."""
    if what == OPENS:
        open_bar(game, seen_bar)
        return
    if what == CLOSES:
        close_bar(game, seen_bar)
        return
    if what == BEGINS:
        game.seat.arrival = mid(game, seen_bar)
        wake(game, now_ns, seen_bar)
    elif what == WAKES:
        wake(game, now_ns, seen_bar)
    elif what == HEARS:
        hear_fill(game, now_ns, seen_bar)
    elif what == SEES:
        show(game, seen_bar, now_ns)
    else:
        leave(game, seen_bar)
    game.seat.wants_all = 1 if listens(game) else 0
