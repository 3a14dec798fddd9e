"""One life of the trading process: an engine on its journal, what it asks, what it sweeps, until it dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from broker.base import BrokerUnavailableError
from core.contracts import FillEvent, OHLCVBar, QuoteEvent, RiskDecision
from core.journal import Journal
from core.journal_read import read
from execution.desk import Worked
from execution.executors import executor
from execution.intake import Request
from execution.parent import ParentOrder
from execution.profile import VolumeHistory
from live import entries
from live.effects import Deny, Effect, Publish, Submit, Withdraw, unsent
from live.engine import Engine, VenueEvent, Wish
from live.questions import Questions
from live.recovery import Unsettled, from_fills, recall, settle
from live.sweep import Sweep
from risk.gate import RiskGate
from risk.kill import KillSwitch
from tests.markets import INSTRUMENT, SYMBOL
from tests.parents import past_bars
from tests.simulation.seams import SimulatedSwitch

if TYPE_CHECKING:
    from tests.simulation.world import World

MOST_ANSWERS: Final = 1000
FOLDER: Final = Path("/var/live/journal")
VOLUMES: Final = VolumeHistory(past_bars(400 + 200 * np.sin(np.linspace(0, 6 * np.pi, 3 * 1440))))


class _Nowhere:
    def append(self, entry: dict[str, Any]) -> None: ...
    def sync(self) -> None: ...


class _Written:
    """The journal, and a list of what was written since somebody last looked."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.new: list[dict[str, Any]] = []

    def append(self, entry: dict[str, Any]) -> None:
        self.journal.append(entry)
        self.new.append(entry)

    def sync(self) -> None:
        self.journal.sync()


class Trader:
    """An engine with a gate of its own, its parents, and the ledger of its fills."""

    def __init__(self, world: World, log: Any) -> None:
        self.switch = SimulatedSwitch(world.kill, world.mortality)
        kill = cast(KillSwitch, self.switch)
        self.gate = RiskGate(world.scenario.limits, kill=kill, instruments={SYMBOL: INSTRUMENT})
        self.ledger: dict[str, FillEvent] = {}
        self.booked_twice: list[str] = []
        self.machines: dict[str, ParentOrder] = {}
        self.engine = Engine(log, self.gate, self.switch, {SYMBOL: INSTRUMENT}, self._make, on_fill=self._book)

    def _book(self, fill: FillEvent) -> None:
        if fill.fill_id in self.ledger:
            self.booked_twice.append(fill.fill_id)
        self.ledger[fill.fill_id] = fill

    def _make(self, request: Request) -> Worked:
        made = executor(request.algo.algo_type, request.strategy_id, volumes=VOLUMES, instrument=INSTRUMENT, seed=7)
        machine = made.start(
            request.algo,
            start_ns=request.start_ns,
            price=request.price,
            execution_id=request.execution_id,
            parent_intent_id=request.parent_intent_id,
        )
        self.machines[request.execution_id] = machine
        return machine


def shadow(world: World, entries: Iterable[dict[str, Any]]) -> Trader:
    """What can be made from the journal so far; `recall` goes on with it line by line."""
    trader = Trader(world, _Nowhere())
    recall(trader.engine, entries)
    return trader


class Process:
    """From the journal on. Every method may raise `Crashed` or `JournalError`, after which it is dead."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = _Written(Journal(FOLDER, disk=world.disk, segment_bytes=world.scenario.segment_bytes))
        self.found = [entry.data for entry in read(FOLDER, disk=world.disk)]
        self.trader = Trader(world, self.log)
        self.engine = self.trader.engine
        recall(self.engine, self.found)
        self.questions = Questions(world.scenario.patience)
        self.sweep: Sweep | None = None

    def begin(self) -> None:
        self.engine.epoch += 1
        entry = {"k": entries.START, "t": self.world.local_ns, "epoch": self.engine.epoch}
        self.log.append(entry)
        self.questions.look(self.engine.orders.live(), self.world.now_ns)
        self.questions.at_once(self.world.now_ns)
        self.perform(self.engine.resume(self.world.local_ns))
        if self.engine.latched is not None:
            self.sweep = Sweep(self.world.now_ns)
        self.ask()
        self.wake()

    # ---- what comes in

    def market(self, topic: str, message: QuoteEvent | OHLCVBar) -> None:
        self.perform(self.engine.market(topic, message, self.world.local_ns))

    def venue(self, events: Iterable[VenueEvent]) -> None:
        for event in events:
            self.perform(self.engine.venue(event, self.world.local_ns))

    def start(self, request: Request) -> None:
        """Raises ValueError where it is refused."""
        self.perform(self.engine.start(request, self.world.local_ns))

    def tell(self, execution_id: str, wish: Wish) -> None:
        self.perform(self.engine.tell(execution_id, wish, self.world.local_ns))

    def kill(self, by: str) -> None:
        effects = self.engine.kill(by, "simulated", self.world.local_ns)
        self.sweep = Sweep(self.world.now_ns)
        self.perform(effects)

    def clear(self) -> None:
        if self.engine.killed:
            self.engine.clear("operator", "simulated", self.world.local_ns)
            self.sweep = None

    # ---- what time brings

    @property
    def next_ns(self) -> int | None:
        """When `tick` has something to do, in true time."""
        wake_ns = self.engine.wake_ns
        moments = [
            None if wake_ns is None else wake_ns - self.world.skew_ns,
            self.questions.look(self.engine.orders.live(), self.world.now_ns),
            None if self.sweep is None else self.sweep.next_ns,
        ]
        return min((ns for ns in moments if ns is not None), default=None)

    def tick(self) -> None:
        self.watch()
        self.wake()
        self.ask()
        if self.sweep is not None and self.sweep.next_ns is not None and self.sweep.next_ns <= self.world.now_ns:
            try:
                shown = self.world.venue.open_orders()
            except BrokerUnavailableError:
                shown = None
            self.perform(self.sweep.round(self.engine, shown, self.world.now_ns, self.world.local_ns))

    def watch(self) -> None:
        """Somebody else may have tripped the switch."""
        if self.engine.killed and self.engine.latched is None:
            self.kill("somebody else")

    def wake(self) -> None:
        while (wake_ns := self.engine.wake_ns) is not None and wake_ns <= self.world.local_ns:
            self.perform(self.engine.wake(self.world.local_ns))

    def ask(self) -> None:
        now_ns = self.world.now_ns
        self.questions.look(self.engine.orders.live(), now_ns)
        for name in self.questions.due(now_ns):
            order = self.engine.orders.get(name)
            assert order is not None
            try:
                found = self.world.venue.order(name)
                absent = found is None and self.questions.believes_absence(name, now_ns)
                if absent:
                    found = from_fills(order, self.world.venue.fills_since(0))
            except BrokerUnavailableError:
                self.questions.asked(name, now_ns)
                continue
            self.questions.asked(name, now_ns)
            if found is not None or absent:
                question = Unsettled(order, order.withdrawal)
                self.perform(settle(self.engine, question, found, self.world.local_ns))

    def perform(self, effects: Iterable[Effect]) -> None:
        """Carries out what the engine wants, and what it wants when it hears of that; it may die at each of them."""
        world = self.world
        answers: deque[VenueEvent | RiskDecision] = deque()
        for _ in range(MOST_ANSWERS):
            for effect in effects:
                world.mortality.here()
                match effect:
                    case Publish():
                        world.checker.said(effect)
                    case Submit(intent) if self.engine.killed:
                        answers.append(unsent(intent, world.local_ns))
                    case Submit(intent):
                        world.checker.sends(intent)
                        world.sent.append(intent.intent_id)
                        self.questions.sent(intent.intent_id)
                        answers.extend(world.venue.submit(intent, world.now_ns))
                        world.mortality.here()
                    case Withdraw(intent):
                        answers.extend(world.venue.cancel(intent, world.now_ns))
                        world.mortality.here()
                    case Deny(decision):
                        answers.append(decision)
            if not answers:
                return
            answer = answers.popleft()
            if isinstance(answer, RiskDecision):
                effects = self.engine.refused(answer, world.local_ns)
            else:
                effects = self.engine.venue(answer, world.local_ns)
        raise AssertionError("one event has no end of consequences")
