"""One life of the trading process: an engine on its journal, what it asks, what it sweeps, until it dies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from broker.base import VenueOrder
from broker.faults import Told
from core import codec
from core.contracts import FillEvent, OHLCVBar, OrderIntent, QuoteEvent
from core.journal import Journal
from core.journal_read import read
from execution.desk import Worked
from execution.executors import executor
from execution.intake import Request
from execution.parent import ParentOrder
from execution.profile import VolumeHistory
from live import entries
from live.dealings import Dealings
from live.effects import Publish
from live.engine import Engine, VenueEvent, Wish
from live.recovery import recall
from risk.gate import RiskGate
from risk.kill import KillSwitch
from tests.markets import INSTRUMENT, SYMBOL
from tests.parents import past_bars
from tests.simulation.seams import SimulatedSwitch

if TYPE_CHECKING:
    from tests.simulation.world import World

FOLDER: Final = Path("/var/live/journal")
VOLUMES: Final = VolumeHistory(past_bars(400 + 200 * np.sin(np.linspace(0, 6 * np.pi, 3 * 1440))))


class Nowhere:
    def append(self, entry: dict[str, Any]) -> None: ...
    def sync(self) -> None: ...


class _Written:
    """The journal, and a list of what was written since somebody last looked."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.new: list[dict[str, Any]] = []

    def append(self, entry: dict[str, Any]) -> None:
        self.journal.append(entry)
        self.new.append(codec.from_json(codec.to_json(entry)))

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
    trader = Trader(world, Nowhere())
    recall(trader.engine, entries)
    return trader


class _Reached:
    """The venue as the process reaches it: it may die before each request, and right after it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def submit(self, intent: OrderIntent, now_ns: int) -> Sequence[Told]:
        world = self._world
        world.mortality.here()
        world.checker.sends(intent)
        world.sent.append(intent.intent_id)
        told = world.venue.submit(intent, world.now_ns)
        world.mortality.here()
        return told

    def cancel(self, intent: OrderIntent, now_ns: int) -> Sequence[Told]:
        self._world.mortality.here()
        told = self._world.venue.cancel(intent, self._world.now_ns)
        self._world.mortality.here()
        return told

    def order(self, intent_id: str) -> VenueOrder | None:
        return self._world.venue.order(intent_id)

    def open_orders(self) -> Sequence[VenueOrder]:
        return self._world.venue.open_orders()

    def fills_since(self, ts_ns: int) -> Sequence[FillEvent]:
        return self._world.venue.fills_since(ts_ns)


class Process:
    """From the journal on. Every method may raise `Crashed` or `JournalError`, after which it is dead."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = _Written(Journal(FOLDER, disk=world.disk, segment_bytes=world.scenario.segment_bytes))
        self.found = [entry.data for entry in read(FOLDER, disk=world.disk)]
        self.trader = Trader(world, self.log)
        self.engine = self.trader.engine
        recall(self.engine, self.found)
        self.dealings = Dealings(
            self.engine,
            _Reached(world),
            now=lambda: world.local_ns,
            patience=world.scenario.patience,
            publish=self._publish,
        )

    def begin(self) -> None:
        self.engine.epoch += 1
        self.log.append({"k": entries.START, "t": self.world.local_ns, "epoch": self.engine.epoch})
        self.dealings.go_on(self.dealings.unsettled(self.world.now_ns))
        self.dealings.reconcile()
        self.dealings.sweep(self.world.now_ns)
        self.dealings.wake()

    # ---- what comes in

    def market(self, topic: str, message: QuoteEvent | OHLCVBar) -> None:
        self.dealings.perform(self.engine.market(topic, message, self.world.local_ns))

    def venue(self, events: Iterable[VenueEvent]) -> None:
        self.dealings.hear(events)

    def start(self, request: Request) -> None:
        """Raises ValueError where it is refused."""
        self.dealings.perform(self.engine.start(request, self.world.local_ns))

    def tell(self, execution_id: str, wish: Wish) -> None:
        self.dealings.perform(self.engine.tell(execution_id, wish, self.world.local_ns))

    def kill(self, by: str) -> None:
        self.dealings.perform(self.engine.kill(by, "simulated", self.world.local_ns))
        self.dealings.sweep(self.world.now_ns)

    def clear(self) -> None:
        if self.engine.killed:
            self.engine.clear("operator", "simulated", self.world.local_ns)

    # ---- what time brings

    @property
    def next_ns(self) -> int | None:
        """When `tick` has something to do, in true time."""
        wake_ns = self.engine.wake_ns
        moments = (
            None if wake_ns is None else wake_ns - self.world.skew_ns,
            self.dealings.next_ns(self.world.now_ns),
        )
        return min((ns for ns in moments if ns is not None), default=None)

    def tick(self) -> None:
        self.watch()
        self.dealings.wake()
        self.dealings.ask(self.world.now_ns)
        self.dealings.sweep(self.world.now_ns)

    def watch(self) -> None:
        """Somebody else may have tripped the switch."""
        if self.engine.killed and self.engine.latched is None:
            self.kill("somebody else")

    def _publish(self, said: Publish) -> None:
        self.world.mortality.here()
        self.world.checker.said(said)
