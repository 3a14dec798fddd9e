"""A backtest on ticks, and a book's replay from its best prices alone, against the bare loop and one numpy pass.

    python benchmarks/ticks.py [--ticks N] [--rounds N]

handler   trades of a random walk, 20 TWAP parents of 30 children, gate, fees, impact and account on; a Python handler
          hears every trade. Beside it the handler in a bare Python loop, and one numpy pass over the columns; and 10
          times the parents, for what a child costs
book      the depth and trades of Binance BTCUSDT futures of 2024-08-08, several times over; each second a buy limit of
          one lot at the best bid, for two seconds. The whole book, and its best prices prepared; rows are the book's

Rounds are interleaved; the median of processor seconds counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from backtest.tick_engine import TickBacktestEngine
from benchmarks.fills import recorded_book
from core.chance import generator
from core.contracts import FillEvent, OrderIntent, Side
from core.instrument import Instrument
from execution.config import DEFAULT_FILLS, ExecutionConfig, TwapConfig
from execution.slippage import SquareRootSlippageModel
from execution.ticks.feed import TickFeed
from execution.ticks.market import TickMarket
from execution.ticks.prepared import best_of
from execution.ticks.rows import TRADE, Rows
from execution.ticks.venue import TickVenue, tick_venue
from risk.gate import RiskGate
from risk.kill import KillSwitch
from risk.limits import load_limits
from strategies.base import Account, TickStrategy

ROOT = Path(__file__).resolve().parents[1]
SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, tick="0.001", lot="0.01", maker_fee_bps=1.0, taker_fee_bps=5.0)
START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
HOURS, MINUTES, SLICES, QUANTITY = 12, 30, 30, 3.0
EXECUTION = ExecutionConfig(algorithms=(TwapConfig(default_slices=SLICES, order_type="market"),))


@dataclass(frozen=True, slots=True)
class Every:
    """Trades between two parents; 0: none."""

    trades: int = 0


class Turns(TickStrategy[Every]):
    """Counts trades; every so many it starts a parent, in turn to buy and to sell."""

    strategy_id = "turns"
    params_type = Every

    def __init__(self, symbol: str, params: Every, *, seed: int = 0) -> None:
        super().__init__(symbol, params, seed=seed)
        self.heard = 0
        self._next = params.trades // 2 if params.trades else -1

    def on_trade(
        self,
        ts_ns: int,  # noqa: ARG002
        price: float,  # noqa: ARG002
        qty: float,  # noqa: ARG002
        side: Side | None,  # noqa: ARG002
        account: Callable[[], Account],
    ) -> Sequence[OrderIntent]:
        self.heard += 1
        if self.heard != self._next:
            return ()
        self._next += self.params.trades
        wanted: Side = "sell" if self._parents % 2 else "buy"
        return (self.parent(account(), wanted, QUANTITY, duration_seconds=60 * MINUTES),)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time the backtest on ticks.")
    arguments.add_argument("--ticks", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--repeat", type=int, default=10, help="how often the recorded book is played")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        handler(chosen.ticks, chosen.rounds, KillSwitch(Path(folder) / "kill"))
    try:
        feed, instrument = recorded_book(chosen.repeat)
    except FileNotFoundError:
        print("the recorded book is not here: ../shared/data/real")
        return
    book(feed, instrument, chosen.rounds)


def handler(ticks: int, rounds: int, kill: KillSwitch) -> None:
    place = tick_venue(walk(ticks), INSTRUMENT, SquareRootSlippageModel(0.5))
    rows = place.feed.rows
    columns = [column.tolist() for column in (rows.ts_ns, rows.price_ticks, rows.quantity, rows.side)]
    done: dict[int, tuple[int, int]] = {}

    def bare() -> None:
        strategy = Turns(SYMBOL, Every())
        for ts_ns, price, qty, side in zip(*columns, strict=True):
            strategy.on_trade(ts_ns, price, qty, side, nobody)

    def engine(parents: int) -> Callable[[], None]:
        def run() -> None:
            done[parents] = play(place, parents, ticks, kill)

        return run

    def one_pass() -> None:
        for column in rows:
            column.sum()

    told = {"numpy pass": one_pass, "bare loop": bare}
    told |= {f"{parents} parents": engine(parents) for parents in (0, 20, 200)}
    took = interleaved(told, rounds)
    print(f"{ticks:,} trades in {HOURS} h, a Python handler for each")
    table(took, ticks, "bare loop")
    for parents in (20, 200):
        children, fills = done[parents]
        each = (took[f"{parents} parents"] - took["0 parents"]) / children
        print(f"{parents} parents: {children:,} children, {fills:,} fills, {1e6 * each:.0f} us a child")


def play(place: TickVenue, parents: int, ticks: int, kill: KillSwitch) -> tuple[int, int]:
    """Children and fills of a run through a fresh gate, with the limits of the example."""
    gate = RiskGate(load_limits(ROOT / "config" / "risk.yaml"), kill=kill, instruments={SYMBOL: INSTRUMENT})
    strategy = Turns(SYMBOL, Every(ticks // parents if parents else 0))
    result = TickBacktestEngine(place, strategy, execution=EXECUTION, gate=gate, capital=10_000.0).run()
    return len({fill.order_id for fill in result.fills}), len(result.fills)


def nobody() -> Account:
    raise AssertionError("the bare loop has no account")


def walk(ticks: int) -> TickFeed:
    """Trades whose price moves a tick in twenty of them."""
    draw = generator(1, "ticks")
    steps = draw.choice(np.array([-1, 0, 1]), ticks, p=[0.025, 0.95, 0.025])
    rows = Rows(
        np.full(ticks, TRADE, np.int8),
        START_NS + np.cumsum(draw.exponential(HOURS * 3600e9 / ticks, ticks)).astype(np.int64),
        6500 + np.cumsum(steps),
        draw.integers(100, 10_000, ticks).astype(np.float64),
        draw.choice(np.array([-1, 1], np.int8), ticks),
    )
    return TickFeed(SYMBOL, "trades", rows)


def book(feed: TickFeed, instrument: Instrument, rounds: int) -> None:
    best_of(feed.until(feed.start_ns + SECOND_NS))  # compiled
    begun = time.process_time()
    prepared = best_of(feed)
    seconds = time.process_time() - begun
    found: dict[str, list[tuple[Any, ...]]] = {}

    def replay(name: str, played: TickFeed) -> Callable[[], None]:
        def run() -> None:
            found[name] = at_the_touch(played, instrument)

        return run

    def one_pass() -> None:
        for column in feed.rows:
            column.sum()

    took = interleaved(
        {"numpy pass": one_pass, "whole book": replay("whole", feed), "prepared": replay("prepared", prepared)}, rounds
    )
    print(
        f"\n{len(feed):,} rows of a book and its trades; {len(prepared):,} of its best prices, made in {seconds:.2f} s"
    )
    table(took, len(feed), "whole book")
    whole, best = found["whole"], found["prepared"]
    print(f"{len(whole)} fills in the whole book, {len(best)} at its best prices, {len({*whole} & {*best})} the same")


def at_the_touch(feed: TickFeed, instrument: Instrument) -> list[tuple[Any, ...]]:
    """The fills of one lot at the best bid every second, each order for two seconds."""
    market = TickMarket(feed, instrument, fills=DEFAULT_FILLS)
    fills: list[tuple[Any, ...]] = []

    def listen(until_ns: int) -> None:
        events: list[Any] = [None]
        while events:
            _, events = market.run(until_ns)
            fills.extend(
                (one.order_id, one.qty, one.price, one.ts_fill_ns) for one in events if isinstance(one, FillEvent)
            )

    for number, now_ns in enumerate(range(feed.start_ns + SECOND_NS, feed.end_ns, SECOND_NS)):
        listen(now_ns)
        price = instrument.price(market.view(now_ns).bid_ticks)
        order = OrderIntent(f"o{number}", now_ns, "bench", feed.symbol, "buy", "limit", instrument.qty(1), price)
        market.submit(replace(order, expires_ts_ns=now_ns + 2 * SECOND_NS), now_ns)
    listen(feed.end_ns)
    return fills


def interleaved(told: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median of the processor seconds of each."""
    for one in told.values():
        one()  # compiled, and in memory
    seconds: dict[str, list[float]] = {name: [] for name in told}
    for _ in range(rounds):
        for name, one in told.items():
            begun = time.process_time()
            one()
            seconds[name].append(time.process_time() - begun)
    return {name: median(all_of_it) for name, all_of_it in seconds.items()}


def table(took: dict[str, float], rows: int, base: str) -> None:
    print(f"{'':14}{'ms':>9}{'M rows/s':>11}{'x ' + base:>15}")
    for name, seconds in took.items():
        print(f"{name:14}{1e3 * seconds:9.1f}{rows / seconds / 1e6:11.1f}{seconds / took[base]:15.2f}")


if __name__ == "__main__":
    main()
