"""`fillwright serve router`: parents at work over a bus, by the trader's engine; gate and venue are other processes.

    strat.parent                              parents: intents with `meta` as `execution.intake` reads it; and what
                                              somebody wishes of one, as `live/wishes.py` reads it
    strat.intent                              children, for risk; before them, what those of a parent may add up to
    risk.decision, orders.*, fills.new        what became of them
    md.*                                      the market
    exec.report                               a parent has ended
    orders.ask                                a child of which nothing has been heard for long
    ctl.epoch                                 which start of the router this is; a newer one has taken over

The engine's own gate lets everything pass: the real one hears the same intents. What is wanted is in the journal before
it is published under its id, and after a restart everything that may not have left is published again, so nothing is
sent twice and nothing is lost. A message is finished once the journal has what it led to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol
from zlib import crc32

from core import codec, epochs, topics
from core.bus import GroupBus, Said
from core.bus_groups import Consumer, Delivery
from core.contracts import (
    Contract,
    FillEvent,
    OHLCVBar,
    OrderClosed,
    OrderEvent,
    OrderIntent,
    QuoteEvent,
    RiskDecision,
    Side,
    TradeEvent,
)
from execution.intake import Intake
from execution.routing.intake import RoutedIntake
from execution.switchboard import MARKET_TOPICS
from live.effects import Deny, Effect, Publish, Submit, Withdraw, unsent
from live.engine import Engine, Log, VenueEvent
from live.orders import Standing
from live.questions import Patience, Questions
from live.recovery import recall, unheard, unsettled
from live.routing import Routing
from live.serve_run import first, who_and_why
from live.serve_time import NS
from live.switch import last_cleared
from live.wanted import PEOPLE
from live.wishes import wish_of
from risk.kill import KillSwitch

GROUP: Final = "router"
MARKET: Final = "md"  # of the tape's journal: a message of the market
SECOND: Final = 1_000_000_000
LOOK_S: Final = 0.05  # at the kill switch
ASK_NS: Final = SECOND // 4  # between two looks at what has been silent
PATIENCE: Final = Patience(answer_ns=10 * SECOND, quiet_ns=60 * SECOND, most_ns=300 * SECOND)
_NEWS: Final[dict[str, type[Contract]]] = {
    topics.ACCEPTED: OrderEvent,
    topics.FILLS: FillEvent,
    topics.CLOSED: OrderClosed,
}


class Clock(Protocol):
    def now_ns(self) -> int: ...
    def seconds_until(self, ts_ns: int) -> float: ...


class GateElsewhere:
    """Lets everything pass, and keeps what the gate of another process has to know of parents."""

    def __init__(self) -> None:
        self.unsaid: dict[str, dict[str, Any]] = {}  # by execution id

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:  # noqa: ARG002 - it is asked over the bus
        return RiskDecision(intent.intent_id, True)

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None:
        self.unsaid[execution_id] = {"execution_id": execution_id, "symbol": symbol, "side": side, "qty": qty}

    def recall(self, intent: OrderIntent, decision: RiskDecision, now_ns: int) -> None: ...
    def on_fill(self, fill: FillEvent) -> None: ...
    def on_closed(self, closed: OrderClosed) -> None: ...
    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None: ...


class RouterService:
    """Works parents of one instrument. `recall` first, then `run` until it is cancelled or the bus ends.

    journal, tape  the engine's journal, and the market as it was heard
    routing        the router whose `before` the intake is, over the same journal
    switch_file    the kill switch's, whose log says who cleared it
    starts         `ctl.epoch`, subscribed to before the epoch was taken: a newer router may begin before this one runs
    on_refused     hears of messages that could not be read (topic, reason)
    """

    def __init__(
        self,
        bus: GroupBus,
        intake: Intake | RoutedIntake,
        journal: Log,
        tape: Log,
        kill: KillSwitch,
        clock: Clock,
        *,
        routing: Routing | None = None,
        settings: Mapping[str, Any] | None = None,
        switch_file: str | None = None,
        patience: Patience = PATIENCE,
        starts: AsyncIterator[dict[str, Any]] | None = None,
        on_refused: Callable[[str, str], None] = lambda _topic, _reason: None,
    ) -> None:
        self._bus = bus
        self._intake = intake
        self._symbol = intake.instrument.symbol
        self._routing = routing
        self._journal = routing or journal
        self._tape = tape
        self._kill = kill
        self._clock = clock
        self._switch_file = switch_file
        self._starts = starts
        self._on_refused = on_refused
        self._gate = GateElsewhere()
        self._questions = Questions(patience)
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._wakes_ns: int | None = None  # what the task that wakes parents waits for
        self._waiting: list[Delivery] = []  # parents that came before the first price
        self._newest: dict[str, dict[str, Any]] = {}  # of each market topic
        self._ask_ns = 0
        self.engine = Engine(
            self._journal, self._gate, kill, {self._symbol: intake.instrument}, intake.work, settings=settings
        )
        self._market: dict[str, type[Contract]] = {name(self._symbol): kind for name, kind in MARKET_TOPICS}

    def recall(self, journal: Iterable[Mapping[str, Any]], tape: Iterable[Mapping[str, Any]]) -> None:
        """Makes the engine again as its journal says; the market as it was heard."""
        heard = deque(tape)

        def in_order() -> Iterator[Mapping[str, Any]]:
            for entry in journal:
                self._remember(heard, int(entry["t"]))
                if self._routing is not None:
                    self._routing.follow(entry)
                yield entry
                self.engine.remembered(int(entry["t"]))

        recall(self.engine, in_order())
        self._remember(heard, None)

    async def run(self) -> None:
        heard = (topics.KILL, *_NEWS, topics.RISK, *self._market, topics.PARENT)
        epoch = self.engine.epoch
        starts = self._starts if self._starts is not None else self._bus.subscribe(topics.EPOCH)
        async with self._bus.consume(GROUP, *heard, consumer=f"{GROUP}#{epoch}") as consumer:
            if epoch:
                await epochs.announce(self._bus, epochs.ROUTER, epoch)
            await self._go_on()
            await first(self._listen(consumer), self._wake(), epochs.until_replaced(starts, epochs.ROUTER, epoch))

    # ---- its two tasks

    async def _listen(self, consumer: Consumer) -> None:
        async for delivery in consumer:
            async with self._turn:
                try:
                    finished = await self._hear(delivery)
                except ValueError as error:
                    self._on_refused(delivery.topic, str(error))
                    await consumer.failed(delivery, str(error))
                    continue
                if finished:
                    if delivery.topic not in self._market:
                        self._journal.sync()
                    await consumer.done(delivery)
                if self._waiting and self._price() > 0:
                    await self._take_waiting(consumer)
                if self.engine.wake_ns != self._wakes_ns:
                    self._changed.set()

    async def _wake(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._turn:
                await self._watch_switch()
                while (wake_ns := self.engine.wake_ns) is not None and wake_ns <= self._now():
                    await self._perform(self.engine.wake(self._now()))
                await self._ask(round(loop.time() * NS))
                self._changed.clear()
                self._wakes_ns = wake_ns = self.engine.wake_ns
            wait_s = LOOK_S if wake_ns is None else min(LOOK_S, self._clock.seconds_until(wake_ns))
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    # ---- what it hears

    async def _hear(self, delivery: Delivery) -> bool:
        """False: it is not finished yet. Raises ValueError for what cannot be read."""
        topic, payload, now_ns = delivery.topic, delivery.payload, self._now()
        if topic in self._market:
            await self._hear_market(topic, payload, now_ns)
        elif topic in _NEWS:
            event: Any = _NEWS[topic].from_dict(payload)
            for news in unheard(self.engine, [event]):
                await self._perform(self.engine.venue(news, now_ns))
        elif topic == topics.RISK:
            decision = RiskDecision.from_dict(payload)
            if not decision.allowed and self._may_be_refused(decision.intent_id):
                await self._perform(self.engine.refused(decision, now_ns))
        elif topic == topics.KILL:
            self._kill.trip(*who_and_why(payload), now_ns)
            await self._watch_switch()
        elif "do" in payload:
            await self._wish(payload, now_ns)
        elif "intent_id" in payload:
            if not self._price() > 0:
                self._waiting.append(delivery)
                return False
            await self._take(OrderIntent.from_dict(payload), now_ns)
        return True

    async def _hear_market(self, topic: str, payload: dict[str, Any], now_ns: int) -> None:
        if self._newest.get(topic) == payload:
            return  # the broker repeats itself for those who have just started
        message = self._market_message(topic, payload)
        self._newest[topic] = payload
        self._tape.append({"k": MARKET, "t": now_ns, "topic": topic, "m": payload})
        await self._perform(self.engine.market(topic, message, now_ns))

    def _may_be_refused(self, intent_id: str) -> bool:
        """A cancel, or an order of which the venue has said nothing: its word is worth more than the gate's."""
        order = self.engine.orders.get(intent_id)
        return order is None or order.standing is Standing.SENT

    async def _take_waiting(self, consumer: Consumer) -> None:
        waiting, self._waiting = self._waiting, []
        for delivery in waiting:
            await self._take(OrderIntent.from_dict(delivery.payload), self._now())
            self._journal.sync()
            await consumer.done(delivery)

    async def _take(self, intent: OrderIntent, now_ns: int) -> None:
        """A parent, started, or refused in writing; one that is known stays as it is."""
        try:
            if intent.symbol != self._symbol:
                raise ValueError(f"symbol {intent.symbol!r} is not traded here: {self._symbol} is")
            request = self._intake.request(intent, now_ns, self._price())
            known = self.engine.reports.get(request.execution_id)
            if known is not None:
                await self._bus.publish_all([Said(topics.REPORT, known.to_dict())])  # who asks again wants to know
                return
            if request.execution_id in self.engine.parents:
                return
            effects = self.engine.start(request, now_ns)
        except ValueError as error:
            report = self._intake.refusal(intent, now_ns, self._price(), str(error))
            effects = self.engine.refuse(report, now_ns)
        await self._perform(effects)

    async def _wish(self, asked: dict[str, Any], now_ns: int) -> None:
        """Raises ValueError for a parent that is not here (yet), and for what cannot be meant."""
        name = str(asked.get("id"))
        if name not in self.engine.parents:
            name = self._intake.name(PEOPLE, name)
        request = self.engine.parents.get(name)
        if request is None:
            raise ValueError(f"order {asked.get('id')!r} is not here")
        if name not in self.engine.reports:
            await self._perform(self.engine.tell(name, wish_of(asked, request, self._intake.instrument), now_ns))

    async def _watch_switch(self) -> None:
        """Does what the switch says, whoever moved it; one that has vanished without a name is tripped again."""
        engine, tripped = self.engine, self._kill.tripped()
        if tripped and engine.latched is None:
            status = self._kill.status()
            await self._perform(engine.kill(status.by or "unknown", status.reason or "no reason given", self._now()))
        elif not tripped and engine.latched is not None:
            cleared = None if self._switch_file is None else last_cleared(self._switch_file)
            if cleared is None:
                self._kill.trip(*engine.latched)
            else:
                engine.cleared(*cleared, self._now())

    async def _ask(self, steady_ns: int) -> None:
        """Of children of which nothing has been heard for long, the venue's books know the fate."""
        if steady_ns < self._ask_ns:
            return
        self._ask_ns = steady_ns + ASK_NS
        self._questions.look(self.engine.orders.live(), steady_ns)
        for name in self._questions.due(steady_ns):
            self._questions.asked(name, steady_ns)
            await self._bus.publish_json(topics.ASK, {"intent_id": name})

    # ---- what it says

    async def _go_on(self) -> None:
        """After a restart: everything that may not have been published, and what the engine had decided."""
        lost = [_report(report.to_dict()) for report in self.engine.reports.values()]
        lost += self._parents()
        for question in unsettled(self.engine):
            if question.order.standing is Standing.SENT:
                lost.append(self._intent(question.order.intent))
            if question.withdrawal is not None:
                lost.append(self._intent(question.withdrawal))
        await self._bus.publish_all(lost)
        await self._perform([*self.engine.unheard(), *self.engine.resume(self._now())])

    async def _perform(self, effects: Iterable[Effect]) -> None:
        """Publishes what the engine wants, and what it wants when it hears of that."""
        while True:
            said = self._parents()  # before their children, in one stream: risk refuses those of unknown parents
            answers: list[VenueEvent | RiskDecision] = []
            for effect in effects:
                match effect:
                    case Publish(topics.REPORT, payload):
                        said.append(_report(payload))
                    case Publish():
                        pass  # it came from the bus
                    case Submit(intent) if self.engine.killed:
                        answers.append(unsent(intent, self._now()))
                    case Submit(intent) | Withdraw(intent):
                        said.append(self._intent(intent))
                    case Deny(decision):
                        answers.append(decision)
            await self._bus.publish_all(said)
            if not answers:
                return
            more: list[Effect] = []
            for answer in answers:
                if isinstance(answer, RiskDecision):
                    more += self.engine.refused(answer, self._now())
                else:
                    more += self.engine.venue(answer, self._now())
            effects = more

    def _parents(self) -> list[Said]:
        """What the children of parents at work may add up to, as far as that is news for risk."""
        parents, self._gate.unsaid = self._gate.unsaid, {}
        epoch = {"epoch": self.engine.epoch} if self.engine.epoch else {}
        return [Said(topics.INTENT, one | epoch) for name, one in parents.items() if name not in self.engine.reports]

    def _intent(self, intent: OrderIntent) -> Said:
        payload = epochs.stamped(intent, epochs.ROUTER, self.engine.epoch)
        return Said(topics.INTENT, payload, f"{topics.INTENT}/{intent.intent_id}")

    # ---- inside

    def _remember(self, heard: deque[Mapping[str, Any]], until_ns: int | None) -> None:
        while heard and (until_ns is None or int(heard[0]["t"]) <= until_ns):
            entry = heard.popleft()
            topic = str(entry["topic"])
            self._newest[topic] = entry["m"]
            self.engine.remember(topic, self._market_message(topic, entry["m"]))

    def _now(self) -> int:
        return max(self._clock.now_ns(), self.engine.now_ns)

    def _price(self) -> float:
        """NaN while nothing is known."""
        return self.engine.board.feeds[self._symbol].mid

    def _market_message(self, topic: str, payload: dict[str, Any]) -> QuoteEvent | TradeEvent | OHLCVBar:
        message: Any = self._market[topic].from_dict(payload)
        return message  # type: ignore[no-any-return]


def _report(payload: dict[str, Any]) -> Said:
    name = f"{topics.REPORT}/{payload['execution_id']}/{crc32(codec.to_json(payload)):08x}"
    return Said(topics.REPORT, payload, name)
