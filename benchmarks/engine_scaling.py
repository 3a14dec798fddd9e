"""How the backtest engine's time grows: with bars, with parents, with children, and with a strategy asked at every bar.

    python benchmarks/engine_scaling.py [--repeats N]

The study: one-minute bars of the sample market, TWAP parents of 30 market children a minute apart, none overlapping
another, with account, risk gate, impact and reports. The machine's desk plays the same run in the same round; all is
processor time, so that a busy machine does not show, the median of the rounds. One numpy pass is the sum of the five
columns of the bars.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.engine import BacktestEngine
from core.bars import Bars
from core.contracts import OHLCVBar, OrderIntent
from core.instrument import Instrument
from execution.config import ExecutionConfig, TwapConfig
from execution.slippage import SquareRootSlippageModel
from execution.spread import bar_spread
from execution.venue import Venue, venue
from research.sample import SampleMarket, generate
from risk.gate import RiskGate
from risk.kill import KillSwitch
from risk.limits import (
    AccountLimits,
    IntentLimits,
    RateLimits,
    RejectLimits,
    RepeatLimits,
    RiskLimits,
    SymbolLimits,
)
from strategies.base import Account, Signals, SignalStrategy, Strategy

SYMBOL = "ATOM/USDT"
BARS, FEW, MANY, CHILDREN = 390_000, 20, 1_000, 30
WIDE = 1e12
LIMITS = RiskLimits(
    symbols=(SYMBOL,),
    limits=SymbolLimits(
        max_order_qty=WIDE,
        max_order_notional=WIDE,
        max_position_qty=WIDE,
        max_open_orders=50,
        price_collar_bps=500,
        max_reference_age_s=120,
    ),
    account=AccountLimits(max_open_notional=WIDE, buying_power=WIDE, max_open_orders=100, max_daily_loss=WIDE),
    rate=RateLimits(window_s=10, max_orders=50, max_cancels=100),
    repeats=RepeatLimits(window_s=60, max_executions=30),
    rejects=RejectLimits(window_s=300, last_orders=20, max_rejects=9),
    intents=IntentLimits(max_age_s=60, duplicate_window_s=60),
    parents="required",
    venue_filters="required",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """A parent every so many bars, `count` in all, the sides in turn."""

    count: int
    every: int

    def wanted(self, strategy: Strategy[Any], k: int, account: Account) -> Sequence[OrderIntent]:
        number, rest = divmod(k, self.every)
        if rest or number >= self.count:
            return ()
        side = "sell" if number % 2 else "buy"
        return [strategy.parent(account, side, 300.0, duration_seconds=60 * CHILDREN)]  # type: ignore[arg-type]


class InRhythm(SignalStrategy[Rhythm]):
    """Known beforehand: asked only where it wants something."""

    strategy_id = "rhythm"
    params_type = Rhythm
    asked = 0

    def signal(self, bar: OHLCVBar) -> int:
        raise NotImplementedError("its signals are known beforehand")

    def signals(self, bars: Bars) -> Signals:
        found = np.zeros(len(bars), np.int8)
        found[: self.params.count * self.params.every : self.params.every] = 1
        return found

    def on_signal(self, signal: int, account: Account) -> Sequence[OrderIntent]:
        number, self.asked = self.asked, self.asked + signal
        return self.params.wanted(self, number * self.params.every, account)


class BarByBar(Strategy[Rhythm]):
    """The same, asked at every bar."""

    strategy_id = "rhythm"
    params_type = Rhythm
    bar = -1

    def on_bar(self, bar: OHLCVBar, account: Account) -> Sequence[OrderIntent]:  # noqa: ARG002 - it counts
        self.bar += 1
        return self.params.wanted(self, self.bar, account)


def main() -> None:
    arguments = argparse.ArgumentParser(description="How the engine's time grows.")
    arguments.add_argument("--repeats", type=int, default=5)
    repeats = max(1, arguments.parse_args().repeats)
    long, short = market(BARS), market(BARS // 10)
    print(f"{'':44}{'bars':>10}{'parents':>9}{'engine ms':>11}{'us/child':>10}{'passes':>8}{'desk ms':>10}{'ratio':>7}")
    few = row("few parents, a tenth of the bars", short, InRhythm, FEW, repeats)
    same = row("few parents", long, InRhythm, FEW, repeats)
    tenfold = row("ten times the parents", long, InRhythm, 10 * FEW, repeats)
    row("many parents", long, InRhythm, MANY, repeats)
    nobody = row("nobody, asked at every bar", long, BarByBar, 0, repeats)
    row("few parents, asked at every bar", long, BarByBar, FEW, repeats)
    row("many parents, asked at every bar", long, BarByBar, MANY, repeats)
    print(f"10x the bars: {same / few:.1f}x the time; 10x the parents: {tenfold / same:.1f}x")
    print(f"a strategy in Python: {1e6 * nobody / BARS:.2f} us a bar")


def market(count: int) -> Venue:
    sample = SampleMarket()
    frame = generate(sample, "2025-01-01", "2025-10-01")[0]
    bars = Bars.from_frame(SYMBOL, frame)[:count]
    instrument = Instrument(SYMBOL, tick=sample.tick, lot=sample.lot, taker_fee_bps=10.0, spread_bps=sample.spread_bps)
    spread = bar_spread(bars, instrument, None, sample.spread_bps)
    return venue(bars, instrument, SquareRootSlippageModel(0.5), spread=spread)


def row(name: str, place: Venue, kind: Callable[..., Strategy[Any]], count: int, repeats: int) -> float:
    """Prints a line of the table; gives back the engine's seconds."""
    every = max(1, len(place.bars) // max(1, count))
    engine_s, desk_s, pass_s = [], [], []
    columns = [getattr(place.bars, part) for part in ("open", "high", "low", "close", "volume")]
    for _ in range(repeats + 1):  # the first one warms up
        fast, slow = engine(place, kind, count, every), engine(place, kind, count, every)
        engine_s.append(seconds(fast.run))
        desk_s.append(seconds(slow._by_desk))
        pass_s.append(seconds(lambda: [column.sum() for column in columns]))
    took, desk = statistics.median(engine_s[1:]), statistics.median(desk_s[1:])
    each = f"{1e6 * took / (count * CHILDREN):.1f}" if count else ""
    print(
        f"{name:44}{len(place.bars):10,}{count:9,}{1e3 * took:11.1f}{each:>10}{took / min(pass_s):8.0f}"
        f"{1e3 * desk:10.1f}{desk / took:7.1f}"
    )
    return took


def engine(place: Venue, kind: Callable[..., Strategy[Any]], count: int, every: int) -> BacktestEngine:
    twap = TwapConfig(default_slices=CHILDREN, order_type="market")
    gate = RiskGate(LIMITS, kill=KillSwitch("/no/such/folder/kill"), instruments={SYMBOL: place.instrument})
    strategy = kind(SYMBOL, Rhythm(count=count, every=every))
    return BacktestEngine(
        place, strategy, execution=ExecutionConfig(algorithms=(twap,)), gate=gate, capital=1_000_000.0
    )


def seconds(work: Callable[[], Any]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    main()
