"""Talk on a bus for tests: messages made by hand, time that passes in steps, a venue and a conductor in one hall."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from core import topics
from core.bus import InMemoryBus
from core.clock import ManualClock
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, QuoteEvent, RiskDecision, Side
from core.instrument import Instrument
from execution.conductor import Conductor
from execution.contracts import AlgoType, ExecutionAlgorithm, ExecutionReport
from execution.executors import executor as make_executor
from tests.naive import START_NS
from tests.parents import SECOND
from tests.stage import settled

SYMBOL = "ATOM/USDT"
INSTRUMENT = Instrument(SYMBOL, tick="0.01", lot="1")
Scene = Callable[[], Coroutine[Any, Any, None]]


def play(scene: Scene) -> None:
    """Run a scene; one that hangs fails."""
    asyncio.run(asyncio.wait_for(scene(), timeout=120))


def keywords(clock: ManualClock, **more: Any) -> dict[str, Any]:
    return {"clock": clock, "instrument": INSTRUMENT, "quotes": lambda _symbol: 10.0, **more}


def algorithm(
    kind: AlgoType, quantity: float = 100, seconds: int = 100, side: Side = "buy", **params: Any
) -> ExecutionAlgorithm:
    return ExecutionAlgorithm(kind, SYMBOL, side, quantity, seconds, params)


def fill_of(
    intent: OrderIntent, qty: float | None = None, *, name: str = "f", price: float = 10.0, meta: bool = True
) -> FillEvent:
    return FillEvent(
        f"{intent.intent_id}-{name}",
        intent.intent_id,
        SYMBOL,
        intent.side,
        intent.qty if qty is None else qty,
        price,
        START_NS + 5 * SECOND,
        0.01,
        meta=intent.meta if meta else {},
    )


def closed(
    intent: OrderIntent, filled: float = 0.0, status: Any = "cancelled", reason: str | None = None
) -> OrderClosed:
    return OrderClosed(intent.intent_id, "sim", status, filled, START_NS + 6 * SECOND, reason)


Message = FillEvent | OrderClosed | RiskDecision


async def say(bus: InMemoryBus, message: Message) -> None:
    topic = {FillEvent: topics.FILLS, OrderClosed: topics.CLOSED, RiskDecision: topics.RISK}[type(message)]
    await bus.publish_json(topic, message.to_dict())


WATCHED = (topics.FILLS, topics.CLOSED, topics.RISK, topics.ACCEPTED, topics.INTENT, topics.REPORT)
MARKET = (topics.quotes(SYMBOL), topics.trades(SYMBOL), topics.bars(SYMBOL))


async def quiet(bus: InMemoryBus) -> None:
    await settled(bus, *WATCHED, *MARKET)


async def through(bus: InMemoryBus, clock: ManualClock, until_ns: int) -> None:
    """Time passes, with a stop wherever somebody waits for it."""
    await quiet(bus)
    while (next_ns := clock.next_call_ns) is not None and next_ns <= until_ns:
        clock.set(max(next_ns, clock.now_ns()))
        await quiet(bus)
    clock.set(max(until_ns, clock.now_ns()))
    await quiet(bus)


class Venue:
    """Takes what is published to `strat.intent`: fills and cancels everything at once, or says nothing."""

    def __init__(self, bus: InMemoryBus, clock: ManualClock, *, fills: bool = True, meta: bool = True) -> None:
        self.bus, self.clock, self.fills, self.meta = bus, clock, fills, meta
        self.sent: list[OrderIntent] = []
        self.cancels: list[OrderIntent] = []
        self.reports: list[ExecutionReport] = []
        self.tasks = [asyncio.create_task(self._intents()), asyncio.create_task(self._reported())]

    async def _intents(self) -> None:
        async for message in self.bus.subscribe(topics.INTENT):
            intent = OrderIntent.from_dict(message)
            (self.sent if intent.action == "new" else self.cancels).append(intent)
            if intent.action == "cancel":
                if self.fills:
                    target = next(one for one in self.sent if one.intent_id == intent.target_intent_id)
                    await say(self.bus, closed(target, 0.0))
                continue
            await self.bus.publish_json(topics.ACCEPTED, OrderEvent.of(intent, "sim", self.clock.now_ns()).to_dict())
            if self.fills:
                await say(self.bus, fill_of(intent, meta=self.meta))

    async def _reported(self) -> None:
        async for message in self.bus.subscribe(topics.REPORT):
            self.reports.append(ExecutionReport.from_dict(message))

    @property
    def at(self) -> list[float]:
        return [(intent.ts_local_ns - START_NS) / SECOND for intent in self.sent]

    @property
    def sizes(self) -> list[float]:
        return [intent.qty for intent in self.sent]


class Hall:
    """A conductor with a bus, a clock and a venue."""

    def __init__(self, *, fills: bool = True, meta: bool = True, forever: bool = True) -> None:
        self.bus, self.clock = InMemoryBus(), ManualClock(START_NS)
        self.venue = Venue(self.bus, self.clock, fills=fills, meta=meta)
        self.refusals: list[tuple[str, str]] = []
        self.conductor = Conductor(
            self.bus,
            {SYMBOL: INSTRUMENT},
            clock=self.clock,
            on_refused=lambda topic, reason: self.refusals.append((topic, reason)),
        )
        self.running = asyncio.create_task(self.conductor.run(forever=forever))

    async def start(self, kind: AlgoType, quantity: float = 100, seconds: int = 100, **params: Any) -> str:
        side, start_ns = params.pop("side", "buy"), params.pop("start_ns", self.clock.now_ns())
        arguments = {"instrument": INSTRUMENT, "execution_id": None, **params.pop("arguments", {})}
        execution_id = arguments.pop("execution_id")
        made = make_executor(kind, "tester", **arguments)
        parent = made.start(
            algorithm(kind, quantity, seconds, side, **params), start_ns=start_ns, execution_id=execution_id, price=10.0
        )
        name = self.conductor.start(parent, decision_price=9.9)
        await quiet(self.bus)
        return name

    async def quote(self, bid: float = 9.99, ask: float = 10.01) -> None:
        quote = QuoteEvent(SYMBOL, bid, ask, self.clock.now_ns())
        await self.bus.publish_json(topics.quotes(SYMBOL), quote.to_dict())
        await quiet(self.bus)

    async def at(self, seconds: float) -> None:
        await through(self.bus, self.clock, START_NS + round(seconds * SECOND))

    async def end(self) -> list[ExecutionReport]:
        await self.bus.close()
        left = await self.running
        await asyncio.gather(*self.venue.tasks)
        return left
