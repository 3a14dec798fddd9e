"""The batch driver's memory of impact: `execution.impact` over columns of nodes.

It is summed node by node here and by numpy there, so prices agree to 1e-9 and not to the last bit; therefore the
compiler may sum in any order, and takes several nodes at once. How much each node forgets over a stretch of volume is
the same for every parent that rests, or trades, over the same bars: the last such factors stay at hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from execution.batch_tables import Depth, Moved, Place
from execution.impact import INSTANT, RATES, WEIGHTS, transient_force
from execution.kernel import kernel, summing
from execution.slippage import power_law

NODES: Final = len(RATES)
OWN: Final = WEIGHTS / RATES  # what a node adds to a charge for what it has not forgotten
AT_HAND: Final = 4096  # stretches whose factors are kept, by their last bar
APART: Final = 389  # rows from those of a stretch to those of one that is a bar longer
PERIODS: Final = 1 / RATES


@dataclass(slots=True)
class Memory:
    """What a market remembers of our trading, shape (nodes,), and factors that hold for whoever trades in it.

    state, now  where each node stands before bar `depth.clock`, and as `depth.asked` opens
    rests       row k modulo their number: what is kept of each node from the open of bar `rest_from` to that of
                `rest_to`
    trades      likewise: the integral of each node's decay over bar `trade_bar`; own: what a unit of force adds there
    """

    state: Any
    now: Any
    rests: Any
    rest_from: Any
    rest_to: Any
    trades: Any
    trade_bar: Any
    own: Any


def fresh_memory() -> NDArray[np.void]:
    """The memory of a market in which nobody has traded yet, as one record: a game hands it on as one address."""
    memory = np.zeros(1, _record())
    for name in ("rest_from", "rest_to", "trade_bar"):
        memory[name] = -1
    return memory


@cache
def _record() -> np.dtype[np.void]:
    """One object, as of `execution.batch_tables.dtype_of`."""
    nodes, rows, table = (np.float64, NODES), (np.int64, AT_HAND), (np.float64, (AT_HAND, NODES))
    kinds = (nodes, nodes, table, rows, rows, table, rows, (np.float64, AT_HAND))
    names = (f.name for f in fields(Memory))
    return np.dtype([(name, *kind) for name, kind in zip(names, kinds, strict=True)], align=True)


def plain_memory() -> list[Memory]:
    """The same as lists, with few rows."""
    nothing, few = fresh_memory()[0], max(16, NODES)
    return [Memory(*(nothing[f.name][:few].tolist() for f in fields(Memory)))]


@kernel
def forget(memory: Memory) -> None:
    """Another market: nobody has traded in it yet."""
    for at in range(NODES):
        memory.state[at] = 0.0


@kernel
def displacement(depth: Depth, memory: Memory, bars: Any, k: int) -> float:
    """Where past trading holds the price as bar k opens, as a fraction of price.

    It stays a function of its own, so it takes what it reads, and not a game of fifty words.
    """
    if depth.traded > 0 and k != depth.asked:
        if depth.clock < depth.asked == k - 1:
            total = rested(memory, memory.now, rest_row(memory, bars, k - 1, k))
        else:
            total = rested(memory, memory.state, rest_row(memory, bars, depth.clock, k))
        depth.asked = k
        depth.shift = depth.permanent + total
    return depth.shift


@summing
def rested(memory: Memory, before: Any, row: int) -> float:
    """The displacement after a rest, node by node into `now`."""
    kept = memory.rests[row]
    total = 0.0
    for at in range(NODES):
        total += WEIGHTS[at] * (before[at] * kept[at])
    for at in range(NODES):  # apart from the sum: together neither of them takes several nodes at once
        memory.now[at] = before[at] * kept[at]
    return total


@kernel
def rest_row(memory: Memory, bars: Any, first: int, k: int) -> int:
    """Where the factors stand for a rest from the open of bar `first` to that of bar k."""
    row = (k + APART * (k - first)) % len(memory.own)
    if memory.rest_from[row] != first or memory.rest_to[row] != k:
        memory.rest_from[row] = first
        memory.rest_to[row] = k
        keep(memory.rests[row], max(0.0, bars[k].volume_days - bars[first].volume_days))
    return row


@summing
def keep(kept: Any, volume_days: float) -> None:
    for at in range(NODES):
        kept[at] = 1.0 - lost(RATES[at] * volume_days)


@summing
def lost(x: float) -> float:
    """1 - exp(-x) for x from 0, to 15 digits: f(x) = f(x / 2) (2 - f(x / 2)), from the series at x / 64.

    Without a call and without a branch, so that several nodes go through it at once.
    """
    t = min(x, 40.0) / 64
    small = 1 / 40320 - t * (1 / 362880 - t * (1 / 3628800 - t * (1 / 39916800 - t / 479001600)))
    f = t * (1 - t * (1 / 2 - t * (1 / 6 - t * (1 / 24 - t * (1 / 120 - t * (1 / 720 - t * (1 / 5040 - t * small)))))))
    f = f * (2 - f)
    f = f * (2 - f)
    f = f * (2 - f)
    f = f * (2 - f)
    f = f * (2 - f)
    return f * (2 - f)


@kernel
def displaced(game: Moved, k: int) -> float:
    """`displacement` for whoever asks seldom: nothing is kept of it."""
    depth, memory = game.depth, game.memory
    if depth.traded == 0:
        return 0.0
    return depth.permanent + weighted(memory, rest_row(memory, game.bars, depth.clock, k))  # type: ignore[no-any-return]


@summing
def weighted(memory: Memory, row: int) -> float:
    """The displacement after a rest."""
    kept = memory.rests[row]
    total = 0.0
    for at in range(NODES):
        total += WEIGHTS[at] * (memory.state[at] * kept[at])
    return total


@kernel
def charge(game: Moved, k: int, quantity: float) -> float:
    """Average displacement while trading this signed quantity in bar k, as a fraction of price."""
    shift = displacement(game.depth, game.memory, game.bars, k)
    place, depth, bar = game.place, game.depth, game.bars[k]
    if quantity == 0 or place.impact == 0:
        return shift
    if math.isnan(bar.volatility):
        return shift + math.copysign(power_law(place.bare, place.exponent, abs(quantity), bar.volume), quantity)
    days = bar.volume / bar.daily_volume
    row = load(game, k, days)
    part, scale = quantity / bar.volume, place.coefficient * bar.volatility
    permanent = place.lasting * scale * part * days
    own = force_of(place, part, scale) * game.memory.own[row]
    return depth.permanent + permanent / 2 + (depth.carried + own) / days  # type: ignore[no-any-return]


@kernel
def force_of(place: Place, part: float, scale: float) -> float:
    """`transient_force` at this venue; a root is taken as such, a power costs five times as much."""
    if place.exponent == 0.5:
        return transient_force(math.copysign(math.sqrt(abs(part)), part), 1.0, place.permanent_share, scale)
    return transient_force(part, place.exponent, place.permanent_share, scale)


@kernel
def take(game: Moved, k: int, quantity: float) -> float:
    """`charge`, and `remember` what was charged for, in one pass: for a parent that trades at the open of a bar only.

    It does without the displacement at other moments: `displaced` answers for them.
    """
    place, depth, bar, memory = game.place, game.depth, game.bars[k], game.memory
    if place.impact == 0:
        return 0.0
    if math.isnan(bar.volatility):
        shift = displaced(game, k)
        return shift + math.copysign(power_law(place.bare, place.exponent, abs(quantity), bar.volume), quantity)
    days = bar.volume / bar.daily_volume
    row = trade_row(game, k, days)
    part, scale = quantity / bar.volume, place.coefficient * bar.volatility
    force, lasting = force_of(place, part, scale), place.lasting * scale * part * days
    if depth.traded == 0:
        begun(memory, row, force)
        before = 0.0
    elif k > depth.clock:
        before = rested_and_traded(memory, rest_row(memory, game.bars, depth.clock, k), row, force)
    else:
        before = carried(memory, row)
        traded(memory, row, force)
    average = depth.permanent + lasting / 2 + (before + force * memory.own[row]) / days
    depth.permanent += lasting
    depth.traded = 1
    depth.clock = k + 1
    return average  # type: ignore[no-any-return]


@summing
def begun(memory: Memory, row: int, force: float) -> None:
    """The first trade of all."""
    decayed = memory.trades[row]
    for at in range(NODES):
        memory.state[at] = force * decayed[at]


@summing
def rested_and_traded(memory: Memory, rest: int, row: int, force: float) -> float:
    """A rest, and a stretch of trading behind it; gives back what `carried` does between them."""
    kept, decayed = memory.rests[rest], memory.trades[row]
    total = 0.0
    for at in range(NODES):
        now = memory.state[at] * kept[at]
        total += WEIGHTS[at] * now * decayed[at]
        memory.state[at] = now * (1.0 - RATES[at] * decayed[at]) + force * decayed[at]
    return total


@kernel
def trade_row(game: Moved, k: int, days: float) -> int:
    """Where the factors stand for trading in bar k."""
    memory = game.memory
    row = k % len(memory.own)
    if memory.trade_bar[row] != k:
        memory.trade_bar[row] = k
        memory.own[row] = INSTANT * days + answer(memory.trades[row], days)
    return row


@kernel
def load(game: Moved, k: int, days: float) -> int:
    """The memory at the open of bar k, and what it carries through the bar; gives back the row of the bar's factors."""
    depth, memory = game.depth, game.memory
    row = trade_row(game, k, days)
    settle(game, k)
    if depth.loaded != k:
        depth.loaded = k
        depth.carried = carried(memory, row) if depth.traded > 0 else 0.0
    return row


@summing
def answer(decayed: Any, days: float) -> float:
    """The integral of each node's decay over a stretch; gives back what a unit of force adds to them in it."""
    own = 0.0
    for at in range(NODES):
        decayed[at] = lost(RATES[at] * days) * PERIODS[at]
        own += OWN[at] * (days - decayed[at])
    return own


@summing
def carried(memory: Memory, row: int) -> float:
    """What earlier trading adds to the displacement over the bar, times its volume-days."""
    decayed = memory.trades[row]
    total = 0.0
    for at in range(NODES):
        total += WEIGHTS[at] * memory.state[at] * decayed[at]
    return total


@kernel
def remember(game: Moved, k: int, quantity: float) -> None:
    """The parent has traded this signed quantity in bar k."""
    place, depth, bar = game.place, game.depth, game.bars[k]
    if place.impact == 0 or math.isnan(bar.volatility):
        return
    part, days = quantity / bar.volume, bar.volume / bar.daily_volume
    row = load(game, k, days)
    scale = place.coefficient * bar.volatility
    force = force_of(place, part, scale)
    depth.permanent += place.lasting * scale * part * days
    depth.traded = 1
    depth.clock = k + 1
    depth.asked = k + 1
    depth.shift = depth.permanent + traded(game.memory, row, force)


@summing
def traded(memory: Memory, row: int, force: float) -> float:
    """The displacement as a stretch of trading ends, node by node into `state`."""
    decayed = memory.trades[row]
    total = 0.0
    for at in range(NODES):
        memory.state[at] = memory.state[at] * (1.0 - RATES[at] * decayed[at]) + force * decayed[at]
        total += WEIGHTS[at] * memory.state[at]
    return total


@kernel
def settle(game: Moved, k: int) -> None:
    """Brings the memory to the open of bar k, in which the parent trades or tries to."""
    depth, memory = game.depth, game.memory
    if depth.traded > 0 and k > depth.clock:
        displacement(game.depth, game.memory, game.bars, k)
        for at in range(NODES):
            memory.state[at] = memory.now[at]
        depth.clock = k
