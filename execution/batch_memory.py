"""The batch driver's memory of impact: `execution.impact` over the table of nodes.

It is summed node by node here and by numpy there, so prices agree to 1e-9 and not to the last bit.
"""

from __future__ import annotations

import math

from execution.batch_tables import Game
from execution.impact import INSTANT, RATES, WEIGHTS, permanent_shift, transient_force
from execution.kernel import kernel
from execution.slippage import power_law


@kernel
def displacement(game: Game, k: int) -> float:
    """Where past trading holds the price as bar k opens, as a fraction of price."""
    depth = game.depth
    if depth.traded > 0 and k != depth.asked:
        depth.asked = k
        depth.shift = faded(game, max(0.0, game.bars[k].volume_days - game.bars[depth.clock].volume_days))
    return depth.shift  # type: ignore[no-any-return]


@kernel
def faded(game: Game, after: float) -> float:
    """The displacement after so many volume-days of rest; what each node keeps of itself is noted for `settle`."""
    total = 0.0
    for at in range(len(game.memory)):
        node = game.memory[at]
        node.kept = 1.0 - lost(RATES[at] * after)
        total += WEIGHTS[at] * node.state * node.kept
    return game.depth.permanent + total  # type: ignore[no-any-return]


@kernel
def lost(x: float) -> float:
    """1 - exp(-x) for x from 0, to 16 digits; most nodes decay so little, or so fast, that it costs no exponential."""
    if x < 1e-5:
        return x * (1 - x * (0.5 - x / 6))
    if x > 40:
        return 1.0
    return -math.expm1(-x)


@kernel
def charge(game: Game, k: int, quantity: float) -> float:
    """Average displacement while trading this signed quantity in bar k, as a fraction of price."""
    shift = displacement(game, k)
    place, depth, bar = game.place, game.depth, game.bars[k]
    if quantity == 0 or place.impact == 0:
        return shift
    if math.isnan(bar.volatility):
        return shift + math.copysign(power_law(place.bare, place.exponent, abs(quantity), bar.volume), quantity)
    days = bar.volume / bar.daily_volume
    settle(game, k)
    load(game, k, days)
    part, scale, share = quantity / bar.volume, place.coefficient * bar.volatility, place.permanent_share
    permanent = permanent_shift(part, days, place.exponent, share, scale)
    own = transient_force(part, place.exponent, share, scale) * depth.own
    return depth.permanent + permanent / 2 + (depth.carried + own) / days  # type: ignore[no-any-return]


@kernel
def load(game: Game, k: int, days: float) -> None:
    """Two sums over the memory at the open of bar k: what it carries through the bar, what a unit of force adds."""
    depth = game.depth
    if depth.loaded == k:
        return
    depth.loaded = k
    carried, own = 0.0, INSTANT * days
    for at in range(len(game.memory)):
        node = game.memory[at]
        node.decayed = lost(RATES[at] * days) / RATES[at]
        carried += WEIGHTS[at] * node.state * node.decayed
        own += WEIGHTS[at] * ((days - node.decayed) / RATES[at])
    depth.carried = carried
    depth.own = own


@kernel
def remember(game: Game, k: int, quantity: float) -> None:
    """The parent has traded this signed quantity in bar k."""
    place, depth, bar = game.place, game.depth, game.bars[k]
    if place.impact == 0 or math.isnan(bar.volatility):
        return
    part, days = quantity / bar.volume, bar.volume / bar.daily_volume
    settle(game, k)
    load(game, k, days)
    scale, share = place.coefficient * bar.volatility, place.permanent_share
    force = transient_force(part, place.exponent, share, scale)
    total = 0.0
    for at in range(len(game.memory)):
        node = game.memory[at]
        node.state = node.state * (1.0 - RATES[at] * node.decayed) + force * node.decayed
        total += WEIGHTS[at] * node.state
    depth.permanent += permanent_shift(part, days, place.exponent, share, scale)
    depth.traded = 1
    depth.clock = k + 1
    depth.asked = k + 1
    depth.shift = depth.permanent + total


@kernel
def settle(game: Game, k: int) -> None:
    """Brings the memory to the open of bar k, in which the parent trades or tries to."""
    depth = game.depth
    if depth.traded > 0 and k > depth.clock:
        displacement(game, k)  # notes what each node keeps
        for at in range(len(game.memory)):
            game.memory[at].state *= game.memory[at].kept
        depth.clock = k
