"""One run of the split trader: three processes, their bus and their disks on one virtual clock, from one seed."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core import topics
from core.bus_redis_link import BusError
from core.chance import Dice
from core.disk_simulated import Crashed
from core.epochs import ReplacedError
from core.journal import JournalError
from risk.engine import UnwrittenError
from risk.kill import KillSwitch
from tests.simulation.checker import ViolationError, require
from tests.simulation.seams import MortalDisk, Mortality
from tests.simulation.split.bus import OUTAGE_NS
from tests.simulation.split.checker import Checker
from tests.simulation.split.process import Process
from tests.simulation.split.scenario import BEGINS_NS, KINDS, Act, End, HoldUp, Scenario
from tests.simulation.split.server import Server, Weather

SECOND: Final = 1_000_000_000
MOST_STEPS: Final = 400_000
LOOK_NS: Final = SECOND // 4  # between two looks at whether it is over
LONGEST_TAPE_NS: Final = 3 * 3600 * SECOND  # no parent is longer
PATIENCE_NS: Final = 900 * SECOND  # of whoever asks after lost orders
ENDINGS: Final = (Crashed, BusError, JournalError, UnwrittenError)  # after which a process is started again
NEVER_NS: Final = 1 << 62
_SERVICE: Final = {"risk": "engine", "router": "service"}  # there once a process has its epoch, or is about to
AGAIN_NS: Final = 300_000_000  # a supervisor starts what has ended by itself


@dataclass(slots=True)
class Told:
    """How a run went."""

    seed: int
    steps: int = 0
    lives: int = 0
    checks: int = 0
    children: int = 0
    fills: int = 0
    replaced: int = 0
    killed: bool = False
    ended: Counter[str] = field(default_factory=Counter)  # lives, by how
    states: list[str] = field(default_factory=list)


class World:
    """`run()` plays it to its end, or raises ViolationError. `folder`: where the kill switch's file is."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.now_ns = BEGINS_NS
        self.switch = folder / "kill"
        self.server = Server(self, Dice("bus", scenario.seed), scenario.weather)
        self.checker = Checker(self)
        self.told = Told(scenario.seed)
        self.alive: dict[str, Process] = {}
        self.held: list[Process] = []  # replaced, and not aware of it
        self.calm = False
        self._turn = Dice("turn", scenario.seed)
        self._disks = {kind: self._disk(kind) for kind in KINDS}
        self._ends = {kind: list(scenario.ends[kind]) for kind in KINDS}
        self._queue: list[tuple[int, int, Callable[[], object]]] = []
        self._queued = 0
        self._over = False

    def run(self) -> Told:
        try:
            return self._run()
        finally:
            for process in (*self.alive.values(), *self.held):
                process.bury()

    def _run(self) -> Told:
        scenario = self.scenario
        for kind in KINDS:
            self.at(BEGINS_NS + self._turn(scenario.born_within_ns), lambda kind=kind: self._birth(kind))  # type: ignore[misc]
        for ns, wanted in scenario.parents:
            self.checker.asked_for(wanted.id, wanted.quantity)
            for _ in range(1 + (self._turn(5) == 0)):
                self.at(ns, lambda wanted=wanted: self.server.post(topics.PARENT, wanted.intent(0).to_dict()))  # type: ignore[misc]
        for act in scenario.acts:
            self.at(act.at_ns, lambda act=act: self._act(act))  # type: ignore[misc]
        for hold_up in scenario.hold_ups:
            self.at(hold_up.at_ns, lambda hold_up=hold_up: self._hold_up(hold_up))  # type: ignore[misc]
        for begins_ns, ends_ns in scenario.weather.outages:
            if ends_ns - begins_ns > OUTAGE_NS:
                self.at(begins_ns + OUTAGE_NS, self._cut)
        self.at(
            max(scenario.calm_ns, *(ends_ns for _, ends_ns in (*scenario.weather.outages, (0, 0)))), self._calm_down
        )
        for ns in scenario.replays:
            self.at(ns, self.checker.replayed)
        latest_ns = scenario.calm_ns + round(LONGEST_TAPE_NS / scenario.speed) + PATIENCE_NS
        while not self._over:
            self.told.steps += 1
            if self.told.steps > MOST_STEPS or self.now_ns > latest_ns:
                raise ViolationError(f"end: it does not come to rest: {'; '.join(self.checker.restless())}")
            self._step()
        self.checker.quiet()
        return self._counted()

    # ---- time

    def at(self, ns: int, what: Callable[[], object]) -> None:
        self._queued += 1
        heapq.heappush(self._queue, (max(ns, self.now_ns), self._queued, what))

    def _step(self) -> None:
        """Whoever is next; among several, anyone."""
        moments = [(process.next_ns, process) for process in (*self.alive.values(), *self.held)]
        first_ns = min([self._queue[0][0], *(ns for ns, _ in moments if ns is not None)])
        self.now_ns = max(self.now_ns, first_ns)
        ready = [process for ns, process in moments if ns is not None and ns <= self.now_ns]
        if self._queue[0][0] <= self.now_ns and self._turn(len(ready) + 1) == 0:
            heapq.heappop(self._queue)[2]()
        elif ready:
            self._live(ready[self._turn(len(ready))])

    # ---- life and death

    def _birth(self, kind: str) -> None:
        if kind in self.alive:
            return
        disk, mortality = self._disks[kind]
        end = None if self.calm or not self._ends[kind] else self._ends[kind].pop(0)
        self.told.lives += 1
        try:
            process = Process(self, kind, disk, mortality, end)
        except (Crashed, JournalError) as error:
            broken = disk.capacity is not None or bool(disk.errors)
            require(broken or isinstance(error, Crashed), "I6", f"{kind}: {error}")
            self._bring_back(kind, end)
            return
        self.checker.born(process)
        self.alive[kind] = process
        if end is not None and end.after_ns is not None:
            self.at(self.now_ns + end.after_ns, lambda: self._end(process))

    def _live(self, process: Process) -> None:
        process.loop.step()
        if process.killed:
            process.bury()
        if process.main.done():
            self._has_ended(process)
        if self.checker.violation is not None:
            raise self.checker.violation
        self.checker.look()

    def _end(self, process: Process) -> None:
        """Killed from outside, or told to stop."""
        if self.alive.get(process.name) is not process or self.calm:
            return
        assert process.end is not None
        if process.end.in_order:
            process.main.cancel()
        else:
            process.bury()
            self._has_ended(process)

    def _has_ended(self, process: Process) -> None:
        error = process.error
        self.told.ended[type(error).__name__] += 1
        process.bus.kill()
        if process in self.held:
            require(isinstance(error, (ReplacedError, *ENDINGS)), "end", f"{process.name}: {error!r}")
            self.held.remove(process)
            return
        if error is None or not isinstance(error, ENDINGS):
            raise ViolationError(f"end: the {process.name} fell over: {type(error).__name__}: {error}") from error
        del self.alive[process.name]
        self._bring_back(process.name, process.end)

    def _bring_back(self, kind: str, end: End | None) -> None:
        disk, mortality = self._disks[kind]
        mortality.born(None)
        disk.restart(power_cut=end is not None and end.power_cut)
        disk.capacity = None  # somebody has made room
        disk.errors = {}
        self.at(self.now_ns + (AGAIN_NS if end is None else end.down_ns), lambda: self._birth(kind))

    def _hold_up(self, hold_up: HoldUp) -> None:
        """It does nothing for a while; where another takes over, it goes on once that one has all that it had."""
        process = self.alive.get(hold_up.kind)
        if process is None or self.calm:
            return
        process.held_until_ns = self.now_ns + hold_up.for_ns
        if hold_up.replaced and process.part(_SERVICE[hold_up.kind]) is not None:
            process.held_until_ns = NEVER_NS
            process.mortality.born(None)
            mortality = Mortality()
            self._disks[hold_up.kind] = process.disk.copied(mortality), mortality
            self.told.replaced += 1
            self.held.append(process)
            del self.alive[hold_up.kind]
            self._birth(hold_up.kind)
            self._wake_after_claim(process, hold_up.for_ns)

    def _wake_after_claim(self, process: Process, for_ns: int) -> None:
        """Before that, both would work on: whoever copies the journal of a process must not let it go on."""
        heir = self.alive.get(process.name)
        if heir is not None and self.server.is_read_by(heir.bus):
            self.at(self.now_ns + for_ns, lambda: setattr(process, "held_until_ns", 0))
        else:
            self.at(self.now_ns + LOOK_NS, lambda: self._wake_after_claim(process, for_ns))

    def _cut(self) -> None:
        for process in (*self.alive.values(), *self.held):
            process.bus.cut()

    # ---- what people do

    def _act(self, act: Act) -> None:
        match act.what:
            case "wish":
                if act.payload.get("quantity") is not None:
                    self.checker.asked_for(act.payload["id"], act.payload["quantity"])
                self.server.post(topics.PARENT, act.payload)
            case "kill":
                self.server.post(topics.KILL, act.payload)
            case "trip":
                KillSwitch(self.switch).trip("operator", "simulated", 1)
            case "clear" if KillSwitch(self.switch).tripped():
                KillSwitch(self.switch).clear("operator", "simulated", 1)
            case "rearm" if "risk" in self.alive and (gate := self.alive["risk"].part("gate")) is not None:
                for key in gate.disabled:
                    self.server.post(topics.REARM, {**act.payload, "key": key})

    def _calm_down(self) -> None:
        """No more faults; what is down comes up."""
        self.calm = True
        self.server.weather = Weather(self.scenario.weather.hop_ns)
        for kind in KINDS:
            disk, mortality = self._disks[kind]
            mortality.dies_at, disk.capacity, disk.errors = None, None, {}
            self._birth(kind)
        for process in self.alive.values():
            process.held_until_ns = 0
        self.at(self.now_ns + LOOK_NS, self._look)

    def _look(self) -> None:
        self._over = not self.checker.restless()
        self.at(self.now_ns + LOOK_NS, self._look)

    def _disk(self, kind: str) -> tuple[MortalDisk, Mortality]:
        mortality = Mortality()
        disk = MortalDisk(Dice("disk", kind, self.scenario.seed), mortality)
        disk.capacity = self.scenario.full_at.get(kind)
        disk.errors = {self.scenario.fails_at[kind]: 5} if kind in self.scenario.fails_at else {}
        return disk, mortality

    def _counted(self) -> Told:
        told, checker = self.told, self.checker
        told.checks = checker.checks
        told.children = len(checker.taken)
        told.fills = len(checker.books.fills())
        told.killed = KillSwitch(self.switch).tripped()
        told.states = [str(report.status) for report in checker.engine.reports.values()]
        return told
