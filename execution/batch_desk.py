"""The loop's desk: `execution.desk` for the parents of one market, or of many markets with one parent each.

What happens in a bar, in which order. The rules, and what fills, are the very functions of the other drivers; see
`execution.batch_act` for the parents and `execution.batch_market` for the market.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from execution.batch_loop import BEGINS, HEARS, LEAVES, SEES, WAKES, happen
from execution.batch_market import LEFT, close_bar, first_close, open_bar
from execution.batch_memory import forget
from execution.batch_seats import leave_seat, take_seat, wake_at, wake_no_more
from execution.batch_tables import NEVER, NONE, Game, Market, Tables
from execution.kernel import kernel
from execution.machine_code import MachineCode, machine_code
from execution.parent import ParentOrder
from execution.plan import Curve, Plan

SHORT: Final = 3  # of rows: play stops before a bar, and goes on with larger tables
ROOM: Final = 64  # rows that a bar may need, and as many again for every parent
EVERY, BEGIN, PLAY, FINISH = range(4)  # what `run` is asked to do
BEGINNING, BETWEEN, BEFORE, OPENED, WITHIN, CLOSED, TOLD, AFTER, FINISHING = range(9)  # stages of a bar, and around it
NOTHING: Final = -1  # happens


Run = Callable[[int, int, int, int, Tables], int]


@cache
def compiled() -> MachineCode | None:
    """The loop as machine code; None where there is no numba."""
    return machine_code(run, Tables, Plan, ParentOrder)


def run(what: int, number: int, now_ns: int, bar: int, tables: Tables) -> int:
    """The one way in, so that all is compiled once.

    EVERY: the parents from `number` on, each in its own market; gives back the first for which the logs have no room.
    BEGIN: the parent of this number, at `now_ns`, when `bar` is the last one known. PLAY: the bars behind `number` up
    to `bar`. FINISH: all leave, with `bar` the last. These give back the next bar in which something can happen.
    """
    every, floor, commands, fills = what == EVERY, tables.floors[0], 0, 0
    if every and number > 0:
        commands, fills = tables.seats[number - 1].commands, tables.seats[number - 1].fills
    for at in range(number, len(tables.plans) if every else number + 1):
        if every:
            clear(tables, commands, fills)
            now_ns, bar = tables.briefs[at].now_ns, tables.briefs[at].seen_bar
        k = play(tables, what, at, now_ns, bar)
        if not every:
            return k
        seat = tables.seats[at]
        seat.full = floor.full
        if floor.full == LEFT:
            floor.commands, floor.fills = commands, fills
        elif floor.full > 0:
            return at
        commands, fills = floor.commands, floor.fills
        seat.commands, seat.fills = commands, fills
    return len(tables.plans)


@kernel
def count_of(tables: Tables) -> int:
    """The number of bars."""
    return len(tables.bars) - 1


@kernel
def play(tables: Tables, task: int, number: int, now_ns: int, bar: int) -> int:
    """What `run` is asked to do, stage by stage; gives back the next bar in which something can happen.

    Most stages have nothing in them. What happens to a parent happens in one place: compiled code has no room for more.
    Play stops before a bar for which the logs may have no room, and `floors[0].full` is SHORT then.
    """
    k, until, stage = bar, -1, BEGINNING
    if task == PLAY:
        k, until, stage = number, bar, BETWEEN
    elif task == FINISH:
        stage = FINISHING
    elif task == EVERY:
        until = count_of(tables)
    floor = tables.floors[0]
    market = Market(
        floor, tables.depths[0], tables.memory[0], tables.places[0], tables.bars, tables.orders, tables.fills
    )
    trading, opens, closes, cursor = False, 0, 0, NONE
    while True:
        what, seen = NOTHING, k if stage >= CLOSED else k - 1
        if stage == BEGINNING:
            tables.seats[number].number = number
            tables.seats[number].begin_bar = k + 1
            floor.bar = max(floor.bar, k + 1)
            what, seen, stage = BEGINS, k, BETWEEN
        elif stage == FINISHING:
            if floor.first != NONE:
                what, seen, number, now_ns = LEAVES, k, floor.first, NEVER
            else:
                stage = BETWEEN
        if stage == BETWEEN and what == NOTHING:
            k = next_bar(tables, k)
            if k > until or k >= count_of(tables) or floor.full > 0:
                return k
            if task == PLAY and is_short(tables):
                floor.full = SHORT
                return k
            floor.bar = k
            opens, closes, seen = tables.bars[k].open_ns, tables.bars[k].close_ns, k - 1
            stage = BEFORE
        if stage == BEFORE:
            if is_waking(tables, opens):
                what, number, now_ns = WAKES, tables.wakes[0].number, tables.wakes[0].ts_ns
            else:
                trading = floor.working > 0  # what comes later than the open waits for the next
                if trading:
                    open_bar(market, k)
                stage = OPENED
        if stage == OPENED:
            if is_unheard(tables):
                what, number, now_ns = HEARS, tables.fills[floor.heard].parent, opens
            else:
                stage = WITHIN
        if stage == WITHIN:
            if is_waking(tables, closes - 1):
                what, number, now_ns = WAKES, tables.wakes[0].number, tables.wakes[0].ts_ns
            else:
                if trading and floor.full == 0:
                    close_bar(market, k)
                stage = CLOSED
        if stage == CLOSED:
            seen = k
            if is_unheard(tables):
                what, number, now_ns = HEARS, tables.fills[floor.heard].parent, closes
            else:
                cursor = floor.first if floor.listening > 0 else NONE
                stage = TOLD
        if stage == TOLD:
            while cursor != NONE and what == NOTHING:
                number, now_ns = cursor, closes
                cursor = tables.seats[number].after
                if tables.seats[number].listening > 0:
                    what = SEES
            if what == NOTHING:
                stage = AFTER
        if stage == AFTER:
            if is_waking(tables, closes):
                what, number, now_ns = WAKES, tables.wakes[0].number, tables.wakes[0].ts_ns
            else:
                stage = BETWEEN
        if what != NOTHING:
            at_seat(what, tables, number, now_ns, seen)


@kernel
def is_short(tables: Tables) -> bool:
    """Whether the logs may have no room for a bar."""
    floor = tables.floors[0]
    room = ROOM * (1 + floor.seated)
    short: bool = floor.commands + room > len(tables.orders) or floor.fills + room > len(tables.fills)
    return short


@kernel
def is_waking(tables: Tables, until_ns: int) -> bool:
    """Whether somebody wants to be woken by then."""
    floor = tables.floors[0]
    waking: bool = floor.waking > 0 and tables.wakes[0].ts_ns <= until_ns and floor.full == 0
    return waking


@kernel
def is_unheard(tables: Tables) -> bool:
    """Whether something has filled that its parent has not heard of; they hear one by one, and act in between."""
    floor = tables.floors[0]
    unheard: bool = floor.heard < floor.fills and floor.full == 0
    return unheard


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
def at_seat(what: int, tables: Tables, number: int, now_ns: int, seen_bar: int) -> None:
    """Has something happen to the parent of this seat.

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
    happen(game, what, now_ns, seen_bar)
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
