"""From a market event to the child at the broker, over Redis, beside a bare stream hop in the same run.

    python benchmarks/live_redis.py [--events N]

A quote is published; the router makes a child of it and writes it down; risk checks it and writes that down; the clock
stops when the broker's group has the order. That is three messages one after the other: quote, intent, order. A bare
hop is XADD on one connection to a waiting XREAD on another, as in benchmarks/bus.py. Rounds of both take turns, one
event is under way at a time; risk and router are processes of their own, Redis is on a unix socket. The parent here
answers each quote with one child, so what is measured is the way and not an algorithm.

fsync: of Redis (appendfsync no or always), and of the two journals (never, or on_sync: fdatasync before each step).
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.bus import bare_streams, middle
from core import topics
from core.bus_redis import RedisStreamBus
from core.clock import WallClock
from core.contracts import OrderIntent, QuoteEvent
from core.instrument import Instrument
from core.journal import Fsync, Journal
from execution.config import ExecutionConfig
from execution.contracts import ExecutionReport
from execution.desk import Worked
from execution.events import Event, Market, Step
from execution.intake import Intake, Request
from live.questions import Patience
from live.serve_router import RouterService
from live.serve_run import until_stopped
from risk.engine import RiskEngine
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

SYMBOL: Final = "ATOM/USDT"
INSTRUMENT: Final = Instrument(SYMBOL, "bench", tick="0.01", lot="1")
LIMITS: Final = RiskLimits(
    symbols=(SYMBOL,),
    limits=SymbolLimits(
        max_order_qty=1e6, max_order_notional=1e9, max_position_qty=1e9, max_open_orders=10**7,
        price_collar_bps=1000.0, max_reference_age_s=3600.0,
    ),
    account=AccountLimits(max_open_notional=1e12, buying_power=1e12, max_open_orders=10**7, max_daily_loss=1e12),
    rate=RateLimits(window_s=1.0, max_orders=10**6, max_cancels=10**6),
    repeats=RepeatLimits(window_s=1.0, max_executions=10**6),
    rejects=RejectLimits(window_s=1.0, last_orders=10**6, max_rejects=10**6 - 1),
    intents=IntentLimits(max_age_s=3600.0, duplicate_window_s=1.0),
    parents="required",
    venue_filters="required",
)  # fmt: skip
ROUNDS: Final = 10
SILENCE: Final = Patience(answer_ns=10**15, quiet_ns=10**15, most_ns=10**15)  # no venue answers here, nobody asks it
WARM_UP: Final = 100


class Answering:
    """A parent that sends one child for each new market it sees."""

    ended = False
    listens = True

    def __init__(self, request: Request, report: ExecutionReport) -> None:
        self._request = request
        self._report = report
        self._sent = 0

    def on(self, event: Event, now_ns: int) -> Step:
        if not isinstance(event, Market):
            return Step((), None)
        self._sent += 1
        name = self._request.execution_id
        meta = {"execution_id": name, "slice_id": f"{name}_{self._sent}", "slice_idx": self._sent}
        price = INSTRUMENT.price(event.bid_ticks)
        child = OrderIntent(f"{name}-{self._sent}", now_ns, "bench", SYMBOL, "buy", "limit", 1.0, price, meta)
        return Step((child,), None)

    def report(self) -> ExecutionReport:
        return self._report


class AnsweringIntake(Intake):
    def work(self, request: Request) -> Worked:
        intent = OrderIntent(request.parent_intent_id, request.start_ns, "bench", SYMBOL, "buy", "market", 1.0)
        report = self.refusal(intent, request.start_ns, request.price, "")
        return Answering(request, replace(report, execution_id=request.execution_id, status="running"))


class Wall(WallClock):
    def seconds_until(self, ts_ns: int) -> float:
        return max(0.0, (ts_ns - self.now_ns()) / 1e9)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=1000)
    arguments.add_argument("--serve", nargs=4, metavar=("NAME", "URL", "FOLDER", "FSYNC"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        asyncio.run(serve(*given.serve))
        return
    from tests.redis_server import PROGRAM, running

    if PROGRAM is None:
        print("redis-server is not installed: nothing is measured between processes")
        return
    print(f"{'from a market event to the child at the broker':56}{'p50 us':>9}{'p99 us':>9}")
    ways: tuple[tuple[str, Fsync], ...] = (("no", "never"), ("no", "on_sync"), ("always", "on_sync"))
    for server_fsync, journal_fsync in ways:
        for server in running("--appendfsync", server_fsync):
            asyncio.run(measure(server.url, server_fsync, journal_fsync, given.events))


async def measure(url: str, server_fsync: str, journal_fsync: Fsync, count: int) -> None:
    """Rounds of the bare hop and of the whole way in turns: what else the machine does hits both."""
    bare: list[float] = []
    ours: list[float] = []
    async with services(url, journal_fsync) as way:
        for _ in range(WARM_UP):
            await way.one()
        for _ in range(ROUNDS):
            hops, _ = await bare_streams(url, count // ROUNDS)
            bare += hops
            ours += [await way.one() for _ in range(count // ROUNDS)]
    row(f"bare XADD + XREAD, redis fsync {server_fsync}", bare)
    row(f"three services, redis fsync {server_fsync}, journals {journal_fsync}", ours)
    print(f"{'':56}{middle(ours) / middle(bare):8.2f}x the bare hop; aim: below 4")


def row(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    print(f"{name:56}{middle(ordered) * 1e6:9.0f}{ordered[len(ordered) * 99 // 100] * 1e6:9.0f}")


class Way:
    """From a quote to the order in the hands of the broker's group."""

    def __init__(self, bus: RedisStreamBus) -> None:
        self._bus = bus
        self._number = 0
        self._arrived = asyncio.Event()

    async def listen(self) -> None:
        async with self._bus.consume("broker", topics.ORDERS, consumer="broker") as consumer:
            async for delivery in consumer:
                self._arrived.set()
                await consumer.done(delivery)

    async def begin(self) -> None:
        """Returns once a quote has made it all the way."""
        parent = OrderIntent("o-1", time.time_ns(), "bench", SYMBOL, "buy", "market", 1e6)
        await self._bus.publish_json(topics.PARENT, parent.to_dict())
        async with asyncio.timeout(20):
            while not self._arrived.is_set():
                quote = QuoteEvent(SYMBOL, 4.99, 5.0, time.time_ns())
                await self._bus.publish_json(topics.quotes(SYMBOL), quote.to_dict())
                await asyncio.sleep(0.2)

    async def one(self) -> float:
        self._number += 1
        self._arrived.clear()
        bid = 5.0 + 0.01 * (self._number % 2)
        begun = time.perf_counter()
        quote = QuoteEvent(SYMBOL, bid, bid + 0.01, time.time_ns())
        publishing = asyncio.ensure_future(self._bus.publish_json(topics.quotes(SYMBOL), quote.to_dict()))
        async with asyncio.timeout(10):
            await self._arrived.wait()
        taken = time.perf_counter() - begun
        await publishing
        await asyncio.sleep(0.001)  # acknowledgements are not part of the next one's way
        return taken


async def serve(name: str, url: str, folder: str, fsync: Fsync) -> None:
    """Risk or router, in this process."""
    clock, kill = Wall(), KillSwitch(Path(folder) / "kill")
    async with await RedisStreamBus.connect(url) as bus:
        with Journal(Path(folder) / name, fsync=fsync) as journal, Journal(Path(folder) / f"{name}-tape") as tape:
            if name == "risk":
                gate = RiskGate(LIMITS, kill=kill, instruments={SYMBOL: INSTRUMENT})
                await until_stopped(RiskEngine(bus, gate, [SYMBOL], clock=clock, journal=journal).run())
            else:
                intake = AnsweringIntake(instrument=INSTRUMENT, config=ExecutionConfig())
                router = RouterService(bus, intake, journal, tape, kill, clock, patience=SILENCE)
                await until_stopped(router.run())


@asynccontextmanager
async def services(url: str, fsync: Fsync) -> AsyncIterator[Way]:
    """Risk and router in processes of their own; the broker's group is read here."""
    with tempfile.TemporaryDirectory() as folder:
        others = [
            subprocess.Popen([sys.executable, __file__, "--serve", name, url, folder, fsync])
            for name in ("risk", "router")
        ]
        try:
            async with await RedisStreamBus.connect(url) as bus:
                way = Way(bus)
                listening = asyncio.create_task(way.listen())
                await way.begin()
                yield way
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        finally:
            for other in others:
                other.terminate()
                other.wait()


if __name__ == "__main__":
    main()
