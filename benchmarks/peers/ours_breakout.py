"""Fillwright on the breakout: long above the highs of 240 bars, out below the lows of 120, executed in the market.

`--slices 0`: each parent is one market order, as the peers trade; else it is worked in so many children, a minute
apart. Either way through the risk gate, with spread, impact, fees and the cap on volume; the peers have a fee.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.engine import BacktestEngine
from benchmarks.peers.ours_bars import CAPITAL, SYMBOL, limits, market, timed, worked
from core.bars import Bars
from core.contracts import OHLCVBar, OrderIntent
from execution.venue import Venue
from risk.gate import RiskGate
from strategies.base import Account, Signals, SignalStrategy

LONG, OUT = 1, -1
QUANTITY = 1.0


@dataclass(frozen=True)
class Channel:
    """`above`: bars whose highest high is broken upwards; `below`: bars whose lowest low is broken downwards."""

    above: int = 240
    below: int = 120


class Breakout(SignalStrategy[Channel]):
    """Holds a fixed quantity after a break upwards, nothing after one downwards."""

    strategy_id = "breakout"
    params_type = Channel

    def signal(self, bar: OHLCVBar) -> int:
        raise NotImplementedError("told for all bars at once")

    def signals(self, bars: Bars) -> Signals:
        """The changes alone: a break in the direction that is held already is no news."""
        broken = np.zeros(len(bars), np.int8)
        broken[bars.close > before(bars.high, self.params.above, np.maximum)] = LONG
        broken[bars.close < before(bars.low, self.params.below, np.minimum)] = OUT
        told = np.flatnonzero(broken)
        said = broken[told]
        news = np.concatenate((said[:1] == LONG, said[1:] != said[:-1])) if len(said) else np.zeros(0, np.bool_)
        broken[told[~news]] = 0
        return broken

    def on_signal(self, signal: int, account: Account) -> Sequence[OrderIntent]:
        held = account.position_qty + account.working_qty
        if (signal == LONG) == (held > 0):
            return ()
        return (self.parent(account, "buy" if signal == LONG else "sell", QUANTITY if signal == LONG else held),)


def before(prices: NDArray[np.float64], window: int, extreme: np.ufunc) -> NDArray[np.float64]:
    """The extreme of the `window` prices before each one; NaN for the first ones.

    From the extremes of 1, 2, 4, ... prices: a pass for each.
    """
    found, width = prices, 1
    while width < window:
        step = min(width, window - width)
        found = extreme(found[:-step], found[step:])
        width += step
    return np.concatenate((np.full(window, np.nan), found[:-1]))


def main() -> None:
    arguments = argparse.ArgumentParser(description="Fillwright's side of the breakout.")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--slices", type=int, default=0)
    arguments.add_argument("--bare", action="store_true", help="no spread and no impact, to compare the result")
    arguments.add_argument("--once", action="store_true", help="the first result only")
    chosen = arguments.parse_args()
    begun = time.perf_counter()
    place = market(np.load(chosen.folder / "bars.npz"), bare=chosen.bare)
    build_s = time.perf_counter() - begun
    first, result = timed(engine(place, chosen.slices).run)
    told: dict[str, Any] = {"build_s": build_s, "first_s": first["run_s"]}
    if not chosen.once:
        told |= timed(engine(place, chosen.slices).run)[0]
    position = result.position
    told |= {
        "events": len(place.bars),
        "trades": int(((position[1:] == 0) & (position[:-1] != 0)).sum()),
        "children": len({fill.order_id for fill in result.fills}),
        "end": float(result.equity[-1]),
    }
    print(json.dumps(told))


def engine(place: Venue, slices: int) -> BacktestEngine:
    gate = RiskGate(limits(), instruments={SYMBOL: place.instrument})
    how = worked(slices) if slices else None
    return BacktestEngine(place, Breakout(SYMBOL, Channel()), execution=how, gate=gate, capital=CAPITAL)


if __name__ == "__main__":
    main()
