"""Fillwright's backtest on the peers' bars: TWAP parents of 30 market children, a minute apart, through the risk gate.

Everything that `fillwright backtest` does between its files is on: settings of `config/execution.yaml`, the gate with
the limits of `config/risk.yaml` scaled to the account, spread, impact with its memory, fees, the cap on volume, the
account at every bar. Reports and fills as objects are made when they are read, which is timed by itself.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from backtest.engine import BacktestEngine
from core.bars import Bars
from core.contracts import OHLCVBar, OrderIntent
from core.instrument import Instrument
from execution.config import ExecutionConfig, TwapConfig
from execution.config import load as load_execution
from execution.run_files import RunResult
from execution.slippage import SquareRootSlippageModel
from execution.spread import Spread
from execution.venue import Venue, venue
from risk.gate import RiskGate
from risk.limits import RiskLimits, load_limits
from strategies.base import Account, Signals, SignalStrategy, Strategy

ROOT = Path(__file__).resolve().parents[2]
SYMBOL = "BTC/USDT"
CAPITAL, EXAMPLE_CAPITAL = 1e9, 1e4  # of the account, and of the one that config/risk.yaml was written for
QUANTITY, SLICES, SECONDS = 3.0, 30, 1800
SPREAD_BPS = 1.0
FEES: dict[str, Any] = {"maker_fee_bps": 2.0, "taker_fee_bps": 4.0}
SELL, BUY = -1, 1


@dataclass(frozen=True)
class Starts:
    """At which bars, or from which times in nanoseconds on, parents begin: they buy and sell in turn."""

    at: tuple[int, ...]


class InTurn(SignalStrategy[Starts]):
    """A parent at each of its bars; which bars these are is known beforehand."""

    strategy_id = "in_turn"
    params_type = Starts

    def signal(self, bar: OHLCVBar) -> int:
        raise NotImplementedError("its bars are numbered: there is nothing to say of a bar alone")

    def signals(self, bars: Bars) -> Signals:
        told = np.zeros(len(bars), np.int8)
        told[list(self.params.at)] = np.where(np.arange(len(self.params.at)) % 2, SELL, BUY)
        return told

    def on_signal(self, signal: int, account: Account) -> Sequence[OrderIntent]:
        return (self.parent(account, "buy" if signal == BUY else "sell", QUANTITY),)


class HeardInTurn(Strategy[Starts]):
    """The same, asked after every bar by its Python handler."""

    strategy_id = "heard_in_turn"
    params_type = Starts

    def __init__(self, symbol: str, params: Starts, *, seed: int = 0) -> None:
        super().__init__(symbol, params, seed=seed)
        self.heard = 0
        self._starts = frozenset(params.at)

    def on_bar(self, bar: OHLCVBar, account: Account) -> Sequence[OrderIntent]:  # noqa: ARG002
        self.heard += 1
        if self.heard - 1 not in self._starts:
            return ()
        return (self.parent(account, "sell" if self._parents % 2 else "buy", QUANTITY),)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Fillwright's side of the TWAP study on bars.")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--parents", type=int, default=0)
    arguments.add_argument("--handler", action="store_true", help="ask a Python handler after every bar")
    arguments.add_argument("--bare", action="store_true", help="no spread and no impact, to compare prices")
    arguments.add_argument("--children", type=Path, help="write the children and their fills to this file")
    chosen = arguments.parse_args()
    starts: tuple[int, ...] = ()
    if chosen.parents:
        starts = tuple(np.load(chosen.folder / f"parents_{chosen.parents}.npz")["bar"].tolist())
    begun = time.perf_counter()
    place = market(np.load(chosen.folder / "bars.npz"), bare=chosen.bare)
    build_s = time.perf_counter() - begun
    kind: type[Strategy[Starts]] = HeardInTurn if chosen.handler else InTurn
    first, _ = timed(engine(place, kind(SYMBOL, Starts(starts))).run)  # loads what is compiled
    strategy = kind(SYMBOL, Starts(starts))
    times, result = timed(engine(place, strategy).run)
    begun = time.process_time()
    found = len(list(result.reports)), len(list(result.fills))  # a report a parent, with its fills: made when read
    read_s = time.process_time() - begun if any(found) else 0.0
    if chosen.children:
        np.savez(chosen.children, **children(result))
    told = {
        **times,
        "first_s": first["run_s"],
        "build_s": build_s,
        "read_cpu_s": read_s,
        "events": len(place.bars),
        "heard": strategy.heard if isinstance(strategy, HeardInTurn) else 0,
        "children": len({fill.order_id for fill in result.fills}),
        "mean_price": float(np.mean([fill.price for fill in result.fills])) if result.fills else None,
    }
    print(json.dumps(told))


def market(columns: Any, *, bare: bool = False) -> Venue:
    """The simulated market on the peers' bars. `bare`: its takers pay the next open and a fee, and nothing else."""
    names = ("open", "high", "low", "close", "volume")
    bars = Bars(SYMBOL, columns["open_ns"], columns["close_ns"], *(columns[name] for name in names))
    spread_bps = 0.0 if bare else SPREAD_BPS
    instrument = Instrument(SYMBOL, "binance", tick="0.01", lot="0.000001", spread_bps=spread_bps, **FEES)
    spread = Spread(bars.open * (spread_bps / 2e4), f"instrument, {spread_bps:g} bps")
    model = None if bare else SquareRootSlippageModel(0.5)
    return venue(bars, instrument, model, spread=spread, fills=load_execution(ROOT / "config" / "execution.yaml").fills)


def engine(place: Venue, strategy: Strategy[Any], execution: ExecutionConfig | None = None) -> BacktestEngine:
    """The backtest, its parents worked in 30 market children unless `execution` says otherwise."""
    gate = RiskGate(limits(), instruments={SYMBOL: place.instrument})
    return BacktestEngine(place, strategy, execution=execution or worked(SLICES), gate=gate, capital=CAPITAL)


def worked(slices: int) -> ExecutionConfig:
    """The settings of `config/execution.yaml`, with market children and so many of them."""
    settings = load_execution(ROOT / "config" / "execution.yaml")
    twap = TwapConfig(default_slices=slices, order_type="market")
    routing = replace(settings.routing, duration_seconds=60 * slices)
    return replace(settings, algorithms=(twap,), routing=routing)


def limits() -> RiskLimits:
    """Those of `config/risk.yaml`, quantities and money scaled from its example's account to this one."""
    given = load_limits(ROOT / "config" / "risk.yaml")
    scaled = ("max_order_qty", "max_order_notional", "max_position_qty", "max_open_notional", "buying_power")
    more: dict[str, Any] = {}
    for part in ("limits", "account"):
        one = getattr(given, part)
        names = {each.name for each in fields(one)} & {*scaled, "max_daily_loss"}
        more[part] = replace(one, **{name: getattr(one, name) * CAPITAL / EXAMPLE_CAPITAL for name in names})
    return replace(given, symbols=(SYMBOL,), **more)


def timed(run: Callable[[], RunResult]) -> tuple[dict[str, float], RunResult]:
    """Seconds of a run, and those of the processor: less where others were at work."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    result = run()
    return {"run_s": time.perf_counter() - begun, "run_cpu_s": time.process_time() - begun_cpu}, result


def children(result: RunResult) -> dict[str, Any]:
    """Time, quantity and price of every fill."""
    told = [(fill.ts_fill_ns, fill.qty, fill.price) for fill in result.fills]
    ts_ns, qty, price = zip(*told, strict=True) if told else ((), (), ())
    return {"ts_ns": np.array(ts_ns, np.int64), "qty": np.array(qty), "price": np.array(price)}


if __name__ == "__main__":
    main()
