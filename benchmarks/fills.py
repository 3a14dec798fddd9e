"""The event-driven market: events per second with orders of ours in it, against one pass over the same columns.

    python benchmarks/fills.py [--trades N] [--repeat N]

trades   trades alone, 20 resting children that live 10 s each and are replenished. Children cost Python; how much that
         is per trade depends on how many trades a second has, so there are three densities
book     the depth and trades of Binance BTCUSDT futures of 2024-08-08, several times over, with 20 resting children
far      20 orders that nothing reaches: what resting orders cost the loop itself
pass     one compiled pass that reads every column once and adds up: what the memory alone takes

Rounds are interleaved; the median of processor seconds counts. Against hftbacktest: `python -m benchmarks.peers`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from core.chance import generator
from core.contracts import FillEvent, OrderIntent
from core.instrument import Instrument
from execution.config import FillConfig
from execution.kernel import kernel
from execution.machine_code import compiled_function
from execution.ticks.feed import TickFeed
from execution.ticks.market import TickMarket
from execution.ticks.rows import NO_BOOK, TRADE, Rows

START_NS = 1_700_000_000_000_000_000
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real"
LIFE_NS = 10_000_000_000
CHILDREN = 20
FAR_TICKS = 30_000
ROUNDS = 5


@kernel
def one_pass(rows: Rows) -> float:
    """Reads every column once."""
    total = 0.0
    for row in range(len(rows.ts_ns)):
        total += rows.quantity[row] * rows.side[row] + rows.kind[row] + (rows.price_ticks[row] ^ rows.ts_ns[row])
    return total


def main() -> None:
    arguments = argparse.ArgumentParser(description="Time the event-driven market.")
    arguments.add_argument("--trades", type=int, default=5_000_000)
    arguments.add_argument("--repeat", type=int, default=10, help="how often the recorded book is played")
    chosen = arguments.parse_args()
    for per_second in (50, 1000, 10_000):
        feed, instrument = random_trades(chosen.trades, per_second)
        report(f"trades, {per_second} a second", feed, instrument)
    if not REAL.is_dir():
        print("the recorded book is not here: ../shared/data/real")
        return
    feed, instrument = recorded_book(chosen.repeat)
    report("book and trades", feed, instrument)


def report(title: str, feed: TickFeed, instrument: Instrument) -> None:
    """Seconds of each, in interleaved rounds."""
    reading = compiled_function(one_pass) or one_pass
    counted: dict[str, int] = {}

    def idle() -> float:
        market = fresh(feed, instrument)
        return timed(lambda: market.run(feed.end_ns))

    def standing() -> float:
        market = fresh(feed, instrument)
        low = market.view(market.now_ns).bid_ticks - FAR_TICKS
        for number in range(CHILDREN):
            price = instrument.price(low - number)
            order = OrderIntent(
                f"o{number}", market.now_ns, "bench", feed.symbol, "buy", "limit", instrument.qty(1), price
            )
            market.submit(order, market.now_ns)
        return timed(lambda: market.run(feed.end_ns))

    def resting() -> float:
        market = fresh(feed, instrument)
        children = Children(market)
        seconds = timed(lambda: children.work(feed.end_ns))
        counted.update(children=children.sent, fills=children.fills)
        return seconds

    def passing() -> float:
        return timed(lambda: reading(feed.rows))

    told: dict[str, Callable[[], float]] = {"pass": passing, "nobody": idle, f"{CHILDREN} far away": standing}
    told |= {f"{CHILDREN} replenished": resting}
    for one in told.values():
        one()  # compiled, and in memory
    seconds: dict[str, list[float]] = {name: [] for name in told}
    for _ in range(ROUNDS):
        for name, one in told.items():
            seconds[name].append(one())
    base = median(seconds["pass"])
    print(f"\n{title}: {len(feed):,} events, {counted['children']:,} children, {counted['fills']:,} fills")
    print(f"{'':18}{'M events/s':>12}{'ns/event':>10}{'passes':>9}")
    for name, all_of_it in seconds.items():
        took = median(all_of_it)
        print(f"{name:18}{len(feed) / took / 1e6:12.1f}{took / len(feed) * 1e9:10.2f}{took / base:9.1f}")


def timed(what: Callable[[], Any]) -> float:
    begun = time.process_time()
    what()
    return time.process_time() - begun


def fresh(feed: TickFeed, instrument: Instrument) -> TickMarket:
    market = TickMarket(feed, instrument, half_spread=instrument.price(1) / 2, fills=FillConfig())
    market.run(feed.start_ns)
    return market


class Children:
    """Keeps 20 resting orders in a market, 1 to 20 ticks from the mid; each one that ends is followed by another."""

    def __init__(self, market: TickMarket) -> None:
        self.market = market
        self.sent = self.fills = 0
        self._left: dict[str, float] = {}
        self._lot = market.instrument.qty(1)

    def work(self, until_ns: int) -> None:
        market = self.market
        now = market.now_ns
        for _ in range(CHILDREN):
            self._send(now)
        while now < until_ns:
            now, events = market.run(until_ns)
            for event in events:
                if isinstance(event, FillEvent):
                    self.fills += 1
                    self._left[event.order_id] -= event.qty
                    if self._left[event.order_id] > self._lot / 2:
                        continue
                    del self._left[event.order_id]
                else:
                    del self._left[event.intent_id]
                self._send(now)

    def _send(self, now: int) -> None:
        market, number = self.market, self.sent
        sign = 1 if number % 2 else -1
        seen = market.view(now)
        ticks = (seen.bid_ticks if sign > 0 else seen.ask_ticks) - sign * (1 + number % CHILDREN)
        name, qty = f"o{number}", market.instrument.qty(100)
        market.submit(
            OrderIntent(
                name, now, "bench", market.instrument.symbol, "buy" if sign > 0 else "sell", "limit", qty,
                market.instrument.price(ticks), expires_ts_ns=now + LIFE_NS,
            ),
            now,
        )  # fmt: skip
        self._left[name] = qty
        self.sent += 1


def random_trades(count: int, per_second: int) -> tuple[TickFeed, Instrument]:
    """Prices on a random walk that moves a tick in twenty trades."""
    draw = generator(1, "fills")
    steps = draw.choice(np.array([-1, 0, 1]), count, p=[0.025, 0.95, 0.025])
    rows = Rows(
        np.full(count, TRADE, np.int8),
        START_NS + np.cumsum(draw.exponential(1e9 / per_second, count)).astype(np.int64),
        1_000_000 + np.cumsum(steps),
        draw.integers(1, 100, count).astype(np.float64),
        draw.choice(np.array([-1, 1], np.int8), count),
    )
    feed = TickFeed("X/Y", "trades", rows)
    assert feed.shows == NO_BOOK
    return feed, Instrument("X/Y", tick="0.01", lot="1")


def recorded_book(repeat: int) -> tuple[TickFeed, Instrument]:
    """Binance BTCUSDT futures on the exchange's clock, one recording after the other."""
    instrument = Instrument("BTC/USDT", "binance_usdm", tick="0.1", lot="0.001")
    clock = (pl.coalesce(pl.col("trade_time_ms"), pl.col("event_time_ms")) * 1_000_000).alias("ts_ns")

    def table(what: str) -> pl.DataFrame:
        path = REAL / f"binance_btc_3markets_20240808_{what}.parquet"
        return pl.read_parquet(path).filter(pl.col("market") == "binance_usdm").with_columns(clock)

    side = pl.when(pl.col("is_buyer_maker")).then(pl.lit("sell")).otherwise(pl.lit("buy")).alias("side")
    depth = table("depth").with_columns(pl.col("side").replace_strict({"b": "bid", "a": "ask"}))
    feed = TickFeed.of(instrument, trades=table("trades").with_columns(side), depth=depth)
    length = feed.end_ns - feed.start_ns + 1_000_000
    columns = {name: np.tile(column, repeat) for name, column in feed.rows._asdict().items()}
    columns["ts_ns"] = columns["ts_ns"] + np.repeat(np.arange(repeat) * length, len(feed))
    return TickFeed(feed.symbol, feed.content, Rows(**columns)), instrument


if __name__ == "__main__":
    main()
