"""The async driver on stage: a real bus, the simulated market behind it, and time that passes when the play says so."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core import topics
from core.bus import InMemoryBus
from core.chance import generator
from core.clock import ManualClock
from core.contracts import Contract, FillEvent, OrderClosed, OrderEvent, OrderIntent, QuoteEvent, RiskDecision
from execution.conductor import Conductor
from execution.contracts import ExecutionReport
from execution.desk import Worked
from execution.events import Event, Step
from execution.market import BarMarket

Refuses = Callable[[OrderIntent], bool]


class StageClock(ManualClock):
    """A manual clock whose sleepers wake when they are let go: a moment's events may come before its wake-ups."""

    def __init__(self, start_ns: int = 0) -> None:
        super().__init__(start_ns)
        self._sleepers: list[tuple[int, asyncio.Event]] = []

    async def sleep_until(self, ts_ns: int) -> None:
        sleeper = (ts_ns, asyncio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    @property
    def next_sleeper_ns(self) -> int | None:
        return min((ts_ns for ts_ns, _ in self._sleepers), default=None)

    def let_go(self) -> None:
        for ts_ns, waking in self._sleepers:
            if ts_ns <= self.now_ns():
                waking.set()


async def settled(bus: InMemoryBus, *watched: str, rounds: int = 8) -> None:
    """Waits until nothing is in front of anybody, and nobody has anything to say to that."""
    quiet = 0
    while quiet < rounds:
        await asyncio.sleep(0)
        quiet = 0 if any(map(sum, map(bus.backlog, watched))) else quiet + 1


Trace = tuple[object, ...]


def trace(intent: OrderIntent) -> Trace:
    """All that a decision is."""
    return (
        intent.ts_local_ns,
        intent.intent_id,
        intent.action,
        intent.type,
        intent.qty,
        intent.limit_price,
        intent.meta["slice_idx"],
        intent.meta["scheduled_ts_ns"],
        intent.target_intent_id,
        intent.expires_ts_ns,
    )


@dataclass
class Told:
    """A parent with requests that come to it at their times, the same under every driver: (when in ns, request)."""

    parent: Worked
    requests: Sequence[tuple[int, Event]] = ()
    done: int = 0

    @property
    def ended(self) -> bool:
        return self.parent.ended

    @property
    def listens(self) -> bool:
        return self.parent.listens

    def report(self) -> ExecutionReport:
        return self.parent.report()

    def on(self, event: Event, now_ns: int) -> Step:
        commands: list[OrderIntent] = []
        while self.done < len(self.requests) and self.requests[self.done][0] <= now_ns:
            commands += self.parent.on(self.requests[self.done][1], now_ns).commands
            self.done += 1
        step = self.parent.on(event, now_ns)
        moments = [step.wake_ns, *(at for at, _ in self.requests[self.done : self.done + 1])]
        wake_ns = None if self.ended else min((at for at in moments if at is not None and at > now_ns), default=None)
        return Step((*commands, *step.commands), wake_ns)


@dataclass
class Stage:
    """Plays parents over a bus against a market, in the order of things that the sync desk has."""

    market: BarMarket
    refuses: Refuses = lambda _intent: False
    commands: list[Trace] = field(default_factory=list)
    fills: list[FillEvent] = field(default_factory=list)
    reports: list[ExecutionReport] = field(default_factory=list)
    unfinished: list[ExecutionReport] = field(default_factory=list)

    def play(self, parents: Sequence[Worked], starts: Sequence[int]) -> None:
        """`starts`: the bar at whose close each parent begins (-1: before the first)."""
        asyncio.run(asyncio.wait_for(self._play(parents, starts), timeout=120))

    async def _play(self, parents: Sequence[Worked], starts: Sequence[int]) -> None:
        bars, market = self.market.bars, self.market
        self.bus = InMemoryBus()
        self.clock = StageClock(int(bars.ts_open_ns[0]))
        conductor = Conductor(self.bus, {bars.symbol: market.instrument}, clock=self.clock)
        watched = (topics.INTENT, topics.FILLS, topics.CLOSED, topics.RISK, topics.ACCEPTED, topics.REPORT)
        self.watched = (*watched, topics.quotes(bars.symbol), topics.bars(bars.symbol))
        tasks = [asyncio.create_task(self._venue()), asyncio.create_task(self._reports())]
        await asyncio.sleep(0)
        running = asyncio.create_task(conductor.run(forever=True))

        async def begin(k: int) -> None:
            for parent, start in zip(parents, starts, strict=True):
                if start == k:
                    conductor.start(parent)
                    await self._settled()

        await self._say(topics.quotes(bars.symbol), self._quote(-1))
        await begin(-1)
        for k in range(len(bars)):
            opens, closes = int(bars.ts_open_ns[k]), int(bars.ts_close_ns[k])
            await self._wake_until(opens)
            self.clock.set(opens)
            await self._tell(market.open(k))
            await self._wake_until(closes - 1)
            self.clock.set(closes)
            events = market.close(k)
            await self._say(topics.bars(bars.symbol), bars.bar(k))
            await self._say(topics.quotes(bars.symbol), self._quote(k))
            await self._tell(events)
            await self._wake_until(closes)
            await begin(k)
        await self._after(conductor)
        await self.bus.close()
        self.unfinished = await running
        await asyncio.gather(*tasks)

    async def _after(self, conductor: Conductor) -> None:
        """The data are over; here, so is the play."""

    async def _wake_until(self, until_ns: int) -> None:
        while (first_ns := self.clock.next_sleeper_ns) is not None and first_ns <= until_ns:
            self.clock.set(max(first_ns, self.clock.now_ns()))
            self.clock.let_go()
            await self._settled()

    async def _tell(self, events: Sequence[FillEvent | OrderClosed]) -> None:
        for event in events:
            if isinstance(event, FillEvent):
                self.fills.append(event)
            await self._say(topics.FILLS if isinstance(event, FillEvent) else topics.CLOSED, event)

    async def _say(self, topic: str, message: Contract) -> None:
        await self._deliver(topic, message)
        await self._settled()

    async def _deliver(self, topic: str, message: Contract) -> None:
        await self.bus.publish_json(topic, message.to_dict())

    async def _settled(self) -> None:
        await settled(self.bus, *self.watched)

    async def _venue(self) -> None:
        """The gate and the venue behind it: every intent is decided on, then taken into the market."""
        async for message in self.bus.subscribe(topics.INTENT):
            intent, now_ns = OrderIntent.from_dict(message), self.clock.now_ns()
            self.commands.append(trace(intent))
            allowed = not self.refuses(intent)
            await self._deliver(topics.RISK, RiskDecision(intent.intent_id, allowed, None if allowed else "not today"))
            if not allowed:
                continue
            if intent.action == "cancel":
                answer = self.market.cancel(intent, now_ns)
            else:
                answer = self.market.submit(intent, now_ns)
                if answer is None:
                    await self._deliver(topics.ACCEPTED, OrderEvent.of(intent, "sim", now_ns))
            if answer is not None:
                await self._deliver(topics.CLOSED, answer)

    async def _reports(self) -> None:
        async for message in self.bus.subscribe(topics.REPORT):
            self.reports.append(ExecutionReport.from_dict(message))

    def _quote(self, k: int) -> QuoteEvent:
        quote, price = self.market.quote(k), self.market.instrument.price
        return QuoteEvent(self.market.bars.symbol, price(quote.bid_ticks), price(quote.ask_ticks), quote.ts_ns)


@dataclass
class Storm(Stage):
    """The same stage with a bus that delays what comes back by up to `delay_s`, shuffles and repeats it.

    It plays on after the data are over, until every parent has ended and every message has come.
    """

    seed: int = 0
    delay_s: float = 90.0
    parcels: list[tuple[int, int, str, Contract]] = field(default_factory=list)
    posted: int = 0

    async def _deliver(self, topic: str, message: Contract) -> None:
        draws = generator("storm", self.seed, self.posted)
        for _ in range(int(draws.integers(1, 4))):
            delay_ns = int(draws.choice((0.0, 1.0)) * draws.random() * self.delay_s * 1e9)
            heapq.heappush(self.parcels, (self.clock.now_ns() + delay_ns, self.posted, topic, message))
            self.posted += 1

    async def _wake_until(self, until_ns: int) -> None:
        while True:
            sleeper_ns = self.clock.next_sleeper_ns
            parcel_ns = self.parcels[0][0] if self.parcels else None
            first_ns = min((ns for ns in (sleeper_ns, parcel_ns) if ns is not None), default=None)
            if first_ns is None or first_ns > until_ns:
                return
            self.clock.set(max(first_ns, self.clock.now_ns()))
            if first_ns == parcel_ns:
                _, _, topic, message = heapq.heappop(self.parcels)
                await self.bus.publish_json(topic, message.to_dict())
            else:
                self.clock.let_go()
            await self._settled()

    async def _after(self, conductor: Conductor) -> None:
        for _ in range(10_000):
            if not (conductor.working or self.parcels):
                return
            await self._wake_until(self.clock.now_ns() + 60_000_000_000)
            self.clock.advance(60_000_000_000)
        raise AssertionError("a parent never ended")
