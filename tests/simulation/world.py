"""One run: everything that happens, on one virtual clock, in one order, from one seed."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from broker.faults import Faults, FaultyVenue
from broker.paper import PaperVenue
from core import topics
from core.chance import Dice
from core.contracts import QuoteEvent
from core.disk_simulated import Crashed
from core.errors import FillwrightError
from core.journal import JournalError
from execution.events import Amend
from execution.intake import Request
from execution.timed import TimedBars
from tests.markets import IMPACT, INSTRUMENT, SYMBOL, known, market_of
from tests.simulation.checker import Checker, ViolationError, require
from tests.simulation.process import Process
from tests.simulation.scenario import Death, Operator, Scenario
from tests.simulation.seams import KillStore, MortalDisk, Mortality
from tests.simulation.truth import Truth

SECOND: Final = 1_000_000_000
MOST_STEPS: Final = 20_000
ENOUGH_NS: Final = 3 * 3600 * SECOND  # after the market's end: no parent is longer


@dataclass(slots=True)
class Told:
    """How a run went."""

    seed: int
    steps: int = 0
    lives: int = 0
    checks: int = 0
    children: int = 0
    fills: int = 0
    faults: int = 0
    killed: bool = False
    states: list[str] = field(default_factory=list)


class World:
    """`run()` plays it to its end, or raises ViolationError."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.now_ns = int(scenario.bars.ts_open_ns[0])
        self.skew_ns = 0  # what the trader's clock shows beside the true time
        self.mortality = Mortality()
        self.disk = MortalDisk(Dice("disk", scenario.seed), self.mortality)
        self.disk.capacity = scenario.full_at
        if scenario.sync_fails_at is not None:
            self.disk.errors = {scenario.sync_fails_at: 5}
        self.kill = KillStore(fails=scenario.kill_store_fails)
        self.latched = False  # a kill that was acted upon, and not cleared since
        market = market_of(
            scenario.bars,
            slippage=IMPACT if scenario.impact else None,
            half=scenario.half,
            fills=scenario.fills,
            conditions=known(scenario.bars),
        )
        self.market = market
        self.truth = Truth(PaperVenue("sim", TimedBars(market)))
        self.venue = FaultyVenue(self.truth, INSTRUMENT, scenario.faults, scenario.seed)
        self.checker = Checker(self)
        self.process: Process | None = None
        self.told = Told(scenario.seed)
        self.sent: list[str] = []  # by the trader, new orders only
        self._bus = Dice("bus", scenario.seed)
        self._deaths = list(scenario.deaths)
        self._death: Death | None = None
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._queued = 0
        self._undelivered = {request.execution_id: request for request in scenario.requests}
        self._calm = False
        self._clearing = False

    @property
    def local_ns(self) -> int:
        """What the trader's clock shows."""
        return self.now_ns + self.skew_ns

    def run(self) -> Told:
        scenario, bars = self.scenario, self.scenario.bars
        self._at(self.now_ns, self._birth)
        self._at(self.now_ns, lambda: self._closed(-1))
        for k, ns in enumerate(bars.ts_close_ns.tolist()):
            self._at(ns, lambda k=k: self._closed(k))  # type: ignore[misc]
        for request in scenario.requests:
            self._at(request.start_ns, lambda request=request: self._post(lambda: self._start(request)))  # type: ignore[misc]
        for one in scenario.operators:
            self._at(one.ts_ns, lambda one=one: self._operate(one))  # type: ignore[misc]
        for ns, skew_ns in scenario.jumps:
            self._at(ns, lambda skew_ns=skew_ns: self._jump(skew_ns))  # type: ignore[misc]
        ends_ns = int(bars.ts_close_ns[-1])
        self._at(ends_ns + 1, self._calm_down)
        while not (self._calm and self._is_quiet()):
            self._step(ends_ns + ENOUGH_NS)
        assert self.process is not None
        self.checker.quiet(self.process)
        return self._counted(self.process)

    # ---- time

    def _step(self, latest_ns: int) -> None:
        """To the next moment at which something happens: at the venue, in the queue, or in the process."""
        self.told.steps += 1
        require(self.told.steps < MOST_STEPS, "end", "it does not come to rest")
        at_ns = self._queue[0][0] if self._queue else None
        acts_ns = None if self.process is None else self.process.next_ns
        if acts_ns is not None:
            acts_ns = max(acts_ns, self.now_ns)
            at_ns = acts_ns if at_ns is None else min(at_ns, acts_ns)
        at_ns = at_ns if at_ns is not None else latest_ns
        require(at_ns < latest_ns or self._calm, "end", "it does not come to rest")
        heard_ns, events = self.venue.run(at_ns)
        self.now_ns = max(self.now_ns, heard_ns)
        if events:
            self._live(lambda process: process.venue(events))
        elif self._queue and self._queue[0][0] <= self.now_ns:
            heapq.heappop(self._queue)[2]()
        elif acts_ns is not None and acts_ns <= self.now_ns:
            self._live(Process.tick)
        else:
            require(self.now_ns < latest_ns, "end", "it does not come to rest")

    def _at(self, ns: int, what: Callable[[], None]) -> None:
        self._queued += 1
        heapq.heappush(self._queue, (max(ns, self.now_ns), self._queued, what))

    def _post(self, what: Callable[[], None]) -> None:
        """Over the bus: once or twice, at once or late."""
        bus = self.scenario.bus
        for _ in range(2 if self._bus(100) < bus.repeats else 1):
            late = not self._calm and self._bus(100) < bus.late
            self._at(self.now_ns + (self._bus(max(1, bus.delay_ns)) if late else 0), what)

    # ---- life and death

    def _live(self, act: Callable[[Process], None]) -> None:
        """The process does something, and may die of it; nothing happens where there is none."""
        process = self.process
        if process is None:
            return
        try:
            act(process)
        except (Crashed, JournalError):
            self._die()
            return
        except ViolationError:
            raise
        except (
            ArithmeticError,
            AssertionError,
            FillwrightError,
            LookupError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise ViolationError(f"end: the trader fell over: {type(error).__name__}: {error}") from error
        self._note_latch(process)
        self.checker.alive(process)

    def _note_latch(self, process: Process) -> None:
        self.latched = process.engine.latched is not None

    def _die(self) -> None:
        death = self._death or Death(0, power_cut=False, down_ns=SECOND)
        process, self.process = self.process, None
        if process is not None:
            self.latched = process.engine.latched is not None and not self._clearing
        self.mortality.born(None)
        self.disk.restart(power_cut=death.power_cut)
        self.disk.capacity = None  # somebody has made room
        self.disk.errors = {}
        self.checker.died(death.power_cut)
        self._at(self.now_ns + death.down_ns, self._birth)

    def _birth(self) -> None:
        if self.process is not None:
            return
        self._death = None if self._calm or not self._deaths else self._deaths.pop(0)
        self.mortality.born(None if self._death is None else self._death.place)
        self.told.lives += 1
        try:
            process = Process(self)
        except Crashed:
            self._die()
            return
        except JournalError as error:
            if self.disk.capacity is None and not self.disk.errors:
                require(False, "I6", str(error))
            self._die()
            return
        except FillwrightError as error:
            raise ViolationError(f"I7: its own journal is refused: {error}") from error
        self.checker.born(process)
        self.process = process
        self._live(Process.begin)

    def _jump(self, skew_ns: int) -> None:
        self.skew_ns = skew_ns
        self._live(Process.tick)

    def _calm_down(self) -> None:
        """No more faults; what was asked for and not heard is asked for again."""
        self._calm = True
        self.venue.faults = Faults(arrival_ns=self.scenario.faults.arrival_ns)
        self.mortality.dies_at = None
        self.disk.capacity = None
        self.disk.errors = {}
        self.kill.fails = False
        self._birth()
        for request in list(self._undelivered.values()):
            self._post(lambda request=request: self._start(request))  # type: ignore[misc]

    def _is_quiet(self) -> bool:
        process = self.process
        return (
            process is not None
            and not self._queue
            and self.venue.next_ns is None
            and not process.engine.working
            and not any(True for _ in process.engine.orders.live())
            and not process.dealings.sweeping
        )

    # ---- what comes to the process

    def _closed(self, k: int) -> None:
        """A bar closes (-1: the market opens); its news go over the bus."""
        seen, price = self.market.quote(k), self.market.instrument.price
        quote = QuoteEvent(SYMBOL, price(seen.bid_ticks), price(seen.ask_ticks), seen.ts_ns)
        if k >= 0:
            bar = self.scenario.bars.bar(k)
            self._post(lambda: self._live(lambda process: process.market(topics.bars(SYMBOL), bar)))

        def show() -> None:
            self._live(lambda process: process.market(topics.quotes(SYMBOL), quote))

        if k < 0:
            show()
        self._post(show)

    def _start(self, request: Request) -> None:
        def take(process: Process) -> None:
            self.checker.asked_for(request.execution_id, INSTRUMENT.lots(request.algo.total_quantity))
            try:
                process.start(request)
            except FillwrightError:
                raise
            except ValueError:
                pass  # its algorithm refuses it, or everything is killed
            self._undelivered.pop(request.execution_id, None)

        self._live(take)

    def _operate(self, one: Operator) -> None:
        if one.what == "trip":
            self.kill.on = True
            self._at(self.now_ns + SECOND, lambda: self._live(Process.watch))
        elif one.what == "kill":
            self._live(lambda process: process.kill("operator"))
        elif one.what == "clear":
            self._clearing = True  # it may die of it, and then either is right
            self._live(Process.clear)
            self._clearing = False
        else:
            self._post(lambda: self._wish(one))

    def _wish(self, one: Operator) -> None:
        assert one.wish is not None
        wish = one.wish

        def tell(process: Process) -> None:
            if one.execution_id in process.engine.parents:
                if isinstance(wish, Amend) and wish.quantity is not None:
                    self.checker.asked_for(one.execution_id, wish.quantity)
                process.tell(one.execution_id, wish)

        self._live(tell)

    def _counted(self, process: Process) -> Told:
        told = self.told
        told.checks = self.checker.checks
        told.children = len(self.truth.arrivals)
        told.fills = len(self.truth.fills)
        told.faults = len(self.venue.log)
        told.killed = self.latched
        told.states = [str(machine.state) for machine in process.trader.machines.values()]
        return replace(told)
