"""Fillwright's backtest on the peers' trades: a Python handler hears every one, TWAP parents are filled by prints.

On as in the study on bars: the gate, half a spread, impact with its memory, fees, the account, and orders that take at
most a tenth of a print together.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backtest.tick_engine import TickBacktestEngine
from benchmarks.peers.ours_bars import (
    CAPITAL,
    FEES,
    QUANTITY,
    SLICES,
    SPREAD_BPS,
    SYMBOL,
    Starts,
    limits,
    timed,
    worked,
)
from core.contracts import OrderIntent, Side
from core.instrument import Instrument
from execution.config import FillConfig
from execution.run_files import RunResult
from execution.slippage import SquareRootSlippageModel
from execution.ticks.feed import TickFeed
from execution.ticks.rows import TRADE, Rows
from execution.ticks.venue import TickVenue, tick_venue
from risk.gate import RiskGate
from strategies.base import Account, TickStrategy

NEVER_NS = 2**62


class HeardInTurn(TickStrategy[Starts]):
    """Counts trades, and buys and sells in turn from each of its times on."""

    strategy_id = "heard_in_turn"
    params_type = Starts

    def __init__(self, symbol: str, params: Starts, *, seed: int = 0) -> None:
        super().__init__(symbol, params, seed=seed)
        self.heard = 0
        self._left = list(params.at)[::-1]
        self._next_ns = self._left.pop() if self._left else NEVER_NS

    def on_trade(
        self,
        ts_ns: int,
        price: float,  # noqa: ARG002
        qty: float,  # noqa: ARG002
        side: Side | None,  # noqa: ARG002
        account: Callable[[], Account],
    ) -> Sequence[OrderIntent]:
        self.heard += 1
        if ts_ns < self._next_ns:
            return ()
        self._next_ns = self._left.pop() if self._left else NEVER_NS
        return (self.parent(account(), "sell" if self._parents % 2 else "buy", QUANTITY),)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Fillwright's side of the TWAP study on trades.")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--parents", type=int, default=0)
    arguments.add_argument("--bare", action="store_true", help="no spread, no impact, whole prints: to compare prices")
    arguments.add_argument("--children", type=Path, help="write the children and their fills to this file")
    chosen = arguments.parse_args()
    starts: tuple[int, ...] = ()
    if chosen.parents:
        starts = tuple(np.load(chosen.folder / f"parents_{chosen.parents}.npz")["trades_ns"].tolist())
    begun = time.perf_counter()
    place = market(np.load(chosen.folder / "trades.npz"), bare=chosen.bare)
    build_s = time.perf_counter() - begun
    first, _ = timed(engine(place, HeardInTurn(SYMBOL, Starts(starts))).run)  # loads what is compiled
    strategy = HeardInTurn(SYMBOL, Starts(starts))
    times, result = timed(engine(place, strategy).run)
    orders = children(result)
    if chosen.children:
        np.savez(chosen.children, **orders)
    told = {
        **times,
        "first_s": first["run_s"],
        "build_s": build_s,
        "events": len(place.feed),
        "heard": strategy.heard,
        "children": len(orders["qty"]),
        "fills": len(result.fills),
        "mean_price": float(np.mean(orders["price"])) if starts else None,
    }
    print(json.dumps(told))


def market(columns: Any, *, bare: bool = False) -> TickVenue:
    """The market of the peers' trades. `bare`: its takers pay what the prints say and a fee, and nothing else."""
    instrument = Instrument(SYMBOL, "binance", tick="0.01", lot="0.0001", spread_bps=SPREAD_BPS, **FEES)
    rows = Rows(
        np.full(len(columns["ts_ns"]), TRADE, np.int8),
        columns["ts_ns"],
        np.rint(columns["price"] * 100).astype(np.int64),
        np.rint(columns["qty"] * 10_000),
        columns["side"],
    )
    feed = TickFeed(SYMBOL, "trades", rows)
    if bare:
        free = replace(instrument, spread_bps=0.0)
        return tick_venue(feed, free, None, fills=FillConfig(max_participation=1.0))
    return tick_venue(feed, instrument, SquareRootSlippageModel(0.5), fills=worked(SLICES).fills)


def engine(place: TickVenue, strategy: TickStrategy[Any]) -> TickBacktestEngine:
    gate = RiskGate(limits(), instruments={SYMBOL: place.instrument})
    return TickBacktestEngine(place, strategy, execution=worked(SLICES), gate=gate, capital=CAPITAL)


def children(result: RunResult) -> dict[str, Any]:
    """Time of the first fill, quantity and mean price of every child, in order of time."""
    found: dict[str, list[Any]] = {}
    for fill in result.fills:
        one = found.setdefault(fill.order_id, [fill.ts_fill_ns, 0.0, 0.0])
        one[1] += fill.qty
        one[2] += fill.qty * fill.price
    rows = sorted((ts_ns, qty, money / qty) for ts_ns, qty, money in found.values())
    ts_ns, qty, price = zip(*rows, strict=True) if rows else ((), (), ())
    return {"ts_ns": np.array(ts_ns, np.int64), "qty": np.array(qty), "price": np.array(price)}


if __name__ == "__main__":
    main()
