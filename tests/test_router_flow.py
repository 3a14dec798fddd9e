"""The router in front of the whole flow: 200 parents over bus, risk engine and a faulty paper venue."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.base import BrokerUnavailableError
from broker.faults import Faults, FaultyVenue
from broker.paper import PaperVenue
from core import codec, topics
from core.bus import InMemoryBus
from core.chance import generator
from core.clock import ManualClock
from core.contracts import Contract, FillEvent, OrderClosed, OrderEvent, OrderIntent, QuoteEvent
from execution.base import BaseExecutor
from execution.config import ExecutionConfig, RoutingConfig
from execution.contracts import AlgoType, ExecutionReport
from execution.events import OrderUnknown
from execution.executors import executor
from execution.performance import ExecutionPerformanceTracker
from execution.router import SmartOrderRouter
from execution.routing.ledger import Memory
from execution.routing.settings import LearningConfig
from execution.routing.situation import MarketNow
from execution.timed import TimedBars
from live.orders import OrderStore, Standing
from live.questions import Patience, Questions
from live.recovery import from_fills
from risk.engine import RiskEngine
from risk.gate import RiskGate
from risk.kill import KillSwitch
from tests.markets import INSTRUMENT, SYMBOL, flat, market_of
from tests.naive import MINUTE_NS, START_NS
from tests.risks import loose
from tests.stage import settled

ALGORITHMS: tuple[AlgoType, ...] = ("TWAP", "VWAP", "POV", "IS")
FAULTS = Faults(
    rejected=0.05, cut_fill=0.3, told_full=0.3, late_news=0.2, repeated_news=0.3, late_request=0.1, delay_ns=20 * 10**9
)
LOSSES = replace(
    FAULTS, lost_request=0.05, lost_answer=0.05, silence=0.05, lost_news=0.1, forgotten=0.1,
    unavailable=0.1, outage=0.005, outage_ns=90 * 10**9,
)  # fmt: skip
PATIENCE = Patience(answer_ns=10 * 10**9, quiet_ns=120 * 10**9, most_ns=120 * 10**9, arrival_ns=30 * 10**9)
WATCHED = (
    topics.INTENT, topics.RISK, topics.ORDERS, topics.FILLS, topics.CLOSED, topics.ACCEPTED, topics.REPORT,
    topics.PARENT, topics.quotes(SYMBOL),
)  # fmt: skip
TOPIC: dict[type[Contract], str] = {FillEvent: topics.FILLS, OrderClosed: topics.CLOSED, OrderEvent: topics.ACCEPTED}


class Flow:
    """Router, risk engine and venue on one bus, played minute by minute."""

    def __init__(self, folder: Path, faults: Faults, minutes: int) -> None:
        self.bus, self.clock = InMemoryBus(capacity=100_000), ManualClock(START_NS)
        self.kill = KillSwitch(folder / "kill")
        market = market_of(flat(minutes, reach=0.05, volume=50_000.0), half=0.01)
        self.paper = PaperVenue("sim", TimedBars(market))
        self.venue = FaultyVenue(self.paper, INSTRUMENT, faults, "router flow")
        self.sent, self.questions = OrderStore(), Questions(PATIENCE)
        self.reports: dict[str, ExecutionReport] = {}
        self.denied = 0
        self.ledger = Memory()
        told: dict[str, Any] = {"instrument": INSTRUMENT, "clock": self.clock, "least_interval_ms": 60_000}
        made: dict[str, BaseExecutor] = {
            kind: executor(kind, "flow", quotes=lambda _symbol: 100.0, stale_seconds=0.0, **told) for kind in ALGORITHMS
        }
        learning = LearningConfig(min_orders=20, explore_below=1e9)
        self.router = SmartOrderRouter(
            self.bus, made, ExecutionPerformanceTracker(None), mode="learn",
            config=ExecutionConfig(routing=RoutingConfig(learning=learning)), instruments={SYMBOL: INSTRUMENT},
            markets=lambda _s, _n, price: MarketNow(price=price, spread_bps=2, volatility=0.04, daily_volume=7.2e7),
            clock=self.clock, ledger=self.ledger,
        )  # fmt: skip
        gate = RiskGate(loose(limits={"max_reference_age_s": 1e6}), kill=self.kill, instruments={SYMBOL: INSTRUMENT})
        self.risk = RiskEngine(self.bus, gate, [SYMBOL], clock=self.clock)
        self.tasks = [asyncio.create_task(one) for one in (self.risk.run(), self._orders(), self._hear())]

    async def _orders(self) -> None:
        async for message in self.bus.subscribe(topics.ORDERS):
            intent = OrderIntent.from_dict(message)
            (self.sent.sent if intent.action == "new" else self.sent.withdrawn)(intent)
            act = self.venue.submit if intent.action == "new" else self.venue.cancel
            await self._say(act(intent, self.clock.now_ns()))

    async def _hear(self) -> None:
        async for topic, message in self.bus.subscribe_many(topics.REPORT, topics.RISK):
            if topic == topics.REPORT:
                report = ExecutionReport.from_dict(message)
                self.reports[report.execution_id] = report
            else:
                self.denied += not message["allowed"]

    async def _say(self, told: Any) -> None:
        for one in told:
            match one:
                case OrderUnknown():
                    self.sent.unknown(one.intent_id)
                case FillEvent():
                    self.sent.fill(one)
                case OrderClosed():
                    self.sent.closed(one)
                case OrderEvent():
                    self.sent.accepted(one.intent_id)
            if not isinstance(one, OrderUnknown):  # of which nobody knows is silence, until the venue is asked
                await self.bus.publish_json(TOPIC[type(one)], one.to_dict())

    async def _ask(self) -> None:
        """Of orders of which nothing has been heard for long, the venue knows the fate."""
        now_ns = self.clock.now_ns()
        self.questions.look(self.sent.live(), now_ns)
        for name in self.questions.due(now_ns):
            self.questions.asked(name, now_ns)
            with suppress(BrokerUnavailableError):
                await self._say(self._answer(name, now_ns))

    def _answer(self, name: str, now_ns: int) -> list[Any]:
        order, found = self.sent.get(name), self.venue.order(name)
        assert order is not None
        if found is None:
            if not self.questions.believes_absence(name, now_ns):
                return []
            found = from_fills(order, self.venue.fills_since(0))
            if found is None:
                return [OrderClosed(name, "sim", "cancelled", order.filled, now_ns, "the venue has never had it")]
        news: list[Any] = [fill for fill in found.fills if fill.fill_id not in order.fill_ids]
        if found.is_open and order.standing is not Standing.OPEN:
            news.insert(0, OrderEvent.of(order.intent, "sim", now_ns))
        if found.is_open and order.withdrawal is not None:
            news += self.venue.cancel(order.withdrawal, now_ns)
        if found.status != "open":
            news.append(OrderClosed(name, "sim", found.status, found.cumulative_qty, now_ns, found.reason))
        return news

    async def quiet(self) -> None:
        await settled(self.bus, *WATCHED)

    async def minute(self, number: int) -> None:
        """The market goes on to the end of this minute, with a stop wherever somebody has to act."""
        until_ns = START_NS + (number + 1) * MINUTE_NS
        quote = QuoteEvent(SYMBOL, 99.99, 100.01, self.clock.now_ns())
        await self.bus.publish_json(topics.quotes(SYMBOL), quote.to_dict())
        await self.quiet()
        while True:
            due_ns = self.clock.next_call_ns
            stop_ns = until_ns if due_ns is None else min(until_ns, max(due_ns, self.clock.now_ns()))
            heard_ns, news = self.venue.run(stop_ns)
            self.clock.set(max(heard_ns, self.clock.now_ns()))
            await self._say(news)
            await self.quiet()
            if not news and heard_ns >= until_ns:
                await self._ask()
                await self.quiet()
                return

    async def close(self) -> None:
        await self.router.aclose()
        await self.bus.close()
        await asyncio.gather(*self.tasks)


def parents(count: int) -> list[tuple[int, OrderIntent]]:
    """(minute, parent): mixed sizes, sides and horizons; some name an algorithm."""
    chance = generator("router flow")
    found = []
    for number in range(count):
        side: Any = "buy" if chance.random() < 0.5 else "sell"
        meta: dict[str, Any] = {"duration_seconds": int(chance.choice([120, 300, 600, 1200]))}
        if chance.random() < 0.2:
            meta["algo_type"] = str(chance.choice(ALGORITHMS))
        qty = float(chance.integers(5, 400))
        found.append(
            (number // 4, OrderIntent(f"p-{number}", START_NS, "flow", SYMBOL, side, "market", qty, meta=meta))
        )
    return found


def play(
    folder: Path, faults: Faults, count: int, *, kill_at: int | None = None
) -> tuple[Flow, dict[str, OrderIntent]]:
    minutes = count // 4 + 45

    async def scene() -> tuple[Flow, dict[str, OrderIntent]]:
        flow = Flow(folder, faults, minutes + 5)
        await flow.quiet()
        async with flow.router:
            named = {}
            todo = parents(count)
            for minute in range(minutes):
                if minute == kill_at:
                    flow.kill.trip("tester", "test", flow.clock.now_ns())
                while todo and todo[0][0] <= minute:
                    intent = todo.pop(0)[1]
                    named[await flow.router.route_order(intent)] = intent
                await flow.minute(minute)
        await flow.close()
        return flow, named

    return asyncio.run(asyncio.wait_for(scene(), timeout=120))


def filled_at(flow: Flow) -> dict[str, float]:
    """What the venue's own books say that each execution traded."""
    found: dict[str, float] = defaultdict(float)
    for fill in flow.paper.fills_since(0):
        found[fill.order_id.rpartition("-")[0]] += fill.qty
    return found


@pytest.mark.parametrize("faults", [FAULTS, LOSSES], ids=["late and repeated", "lost"])
def test_two_hundred_parents_end_with_exact_quantities_whatever_the_venue_does(tmp_path: Path, faults: Faults) -> None:
    # pitfalls 20, 28
    flow, named = play(tmp_path, faults, 200)
    struck = {one.fault for one in flow.venue.log}
    assert struck == {name for name, often in codec.to_dict(faults).items() if not name.endswith("_ns") and often}
    assert len(named) == 200
    assert set(flow.reports) == set(named)
    traded = filled_at(flow)
    for name, intent in named.items():
        report = flow.reports[name]
        assert report.status in ("completed", "cancelled", "failed"), report
        assert report.filled_quantity == traded.get(name, 0.0)
        assert report.filled_quantity + report.remaining_quantity == report.total_quantity == intent.qty
    done = sum(report.status == "completed" for report in flow.reports.values())
    assert done >= 50  # resting orders of the others were not all met in time
    kinds = {report.algo_type for report in flow.reports.values()}
    assert kinds == set(ALGORITHMS)
    assert len(flow.router.chooser.decisions) == 200


def test_after_a_kill_nothing_more_trades_and_every_parent_still_ends(tmp_path: Path) -> None:
    flow, named = play(tmp_path, Faults(), 40, kill_at=5)
    assert flow.denied > 0
    assert set(flow.reports) == set(named)
    traded = filled_at(flow)
    late = [name for name, intent in named.items() if int(intent.intent_id[2:]) >= 20]
    assert all(traded.get(name, 0.0) == 0 for name in late)
    for name in named:
        assert flow.reports[name].filled_quantity == traded.get(name, 0.0)
        assert flow.reports[name].done
