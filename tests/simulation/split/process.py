"""One life of one of the three processes: the job that `fillwright serve` runs, on a loop of its own, until it ends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from core.disk_simulated import Crashed
from core.instrument import Instrument
from core.journal import Journal
from core.journal_read import read
from execution.config import ExecutionConfig
from execution.desk import Worked
from execution.intake import Intake, Request
from execution.parent import ParentOrder
from live import serve
from live.tape import BarTape
from risk.kill import KillStatus, KillSwitch
from tests.markets import IMPACT, INSTRUMENT, known, market_of
from tests.simulation.process import VOLUMES
from tests.simulation.seams import MortalDisk, Mortality
from tests.simulation.split.bus import Client
from tests.simulation.split.loop import VirtualLoop
from tests.simulation.split.scenario import End, Scenario

if TYPE_CHECKING:
    from tests.simulation.split.world import World

Job = Callable[[Any], Coroutine[Any, Any, None]]
JOBS: Final[dict[str, Job]] = {"broker": serve._broker, "risk": serve._risk, "router": serve._router}
FOLDER: Final = Path("/var/live")
BURIED_WITHIN: Final = 1_000  # steps


class Watched(Journal):
    """A journal that tells the checker what is written, and what is safe."""

    def __init__(self, process: Process, folder: Path) -> None:
        self._process = process
        super().__init__(folder, disk=process.disk, segment_bytes=process.world.scenario.segment_bytes)

    def append(self, entry: Mapping[str, Any]) -> int:
        self._process.unwritten = True
        number = super().append(entry)
        self._process.unwritten = False
        self._process.world.checker.wrote(self._process, entry)
        return number

    def sync(self) -> None:
        super().sync()
        self._process.world.checker.synced(self._process)


class MortalSwitch(KillSwitch):
    """A process may die before and after it has tripped the switch."""

    def __init__(self, path: Path, mortality: Mortality) -> None:
        super().__init__(path)
        self._mortality = mortality

    def trip(self, by: str, reason: str, ts_ns: int) -> KillStatus:
        self._mortality.here()
        status = super().trip(by, reason, ts_ns)
        self._mortality.here()
        return status


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedIntake(Intake):
    """Keeps the parents that it makes, by their ids."""

    made: dict[str, ParentOrder]

    def work(self, request: Request) -> Worked:
        machine = super(WatchedIntake, self).work(request)
        assert isinstance(machine, ParentOrder)
        self.made[request.execution_id] = machine
        return machine


class Session:
    """`live.session.Session` of a simulated market, fresh for each life."""

    def __init__(self, scenario: Scenario, switch: Path) -> None:
        settings = SimpleNamespace(seed=7)
        limits = replace(scenario.limits, kill_switch_file=str(switch))
        self.files = SimpleNamespace(limits=limits, execution=ExecutionConfig(), settings=settings)
        self.settings = settings
        self.instrument: Instrument = INSTRUMENT
        self.market = SimpleNamespace(venue=SimpleNamespace(settings={}))
        self.identity = {"seed": scenario.seed}
        self.machines: dict[str, ParentOrder] = {}
        bars = scenario.bars
        market = market_of(
            bars,
            slippage=IMPACT if scenario.impact else None,
            half=scenario.half,
            fills=scenario.fills,
            conditions=known(bars),
        )
        self.tape = BarTape(market)

    def intake(self) -> Intake:
        return WatchedIntake(
            instrument=INSTRUMENT, config=self.files.execution, volumes=VOLUMES, seed=7, made=self.machines
        )


class Process:
    """`live.serve._Process` on a simulated disk and bus. It may die of its first breath: `Crashed`, `JournalError`."""

    def __init__(self, world: World, name: str, disk: MortalDisk, mortality: Mortality, end: End | None) -> None:
        self.world = world
        self.name = name
        self.disk = disk
        self.end = end
        self.mortality = mortality
        self.folder = FOLDER / name
        self.speed = world.scenario.speed
        self.kill = MortalSwitch(world.switch, mortality)
        self.held_until_ns = 0
        self.unwritten = False  # its journal has refused an entry: what it knows is not worth a look
        self.said: list[str] = []
        mortality.born(None if end is None else end.place)
        self.journal = Watched(self, self.folder / "journal")
        self.session = Session(world.scenario, world.switch)
        self.loop = VirtualLoop(lambda: world.now_ns)
        self.bus = Client(world.server, self.loop)
        self.main = self.loop.create_task(JOBS[name](self))

    def say(self, line: str) -> None:
        self.said.append(line)

    def open(self, folder: Path) -> Journal:
        return Watched(self, folder)

    def entries(self, journal: Journal) -> list[dict[str, Any]]:
        return [entry.data for entry in read(journal.folder, disk=self.disk)]

    @property
    def found(self) -> list[dict[str, Any]]:
        return self.entries(self.journal)

    def part(self, name: str) -> Any:
        """A variable of the job's; None while there is none."""
        return None if self.main.done() else inspect.getcoroutinelocals(self.main.get_coro()).get(name)  # type: ignore[arg-type]

    @property
    def next_ns(self) -> int | None:
        """When it does something next."""
        ns = self.loop.next_ns
        return None if ns is None else max(ns, self.held_until_ns)

    @property
    def killed(self) -> bool:
        """In the middle of something."""
        return self.mortality.dies_at is not None and self.mortality.passed >= self.mortality.dies_at

    @property
    def error(self) -> BaseException | None:
        """What it has ended with; Crashed where it was killed or cancelled."""
        assert self.main.done()
        return Crashed() if self.main.cancelled() else self.main.exception()

    def bury(self) -> None:
        """Nothing that it still does, does anything."""
        self.bus.kill()
        self.main.cancel()
        for _ in range(BURIED_WITHIN):
            if self.main.done():
                break
            self.loop.step()
        assert self.main.done(), f"{self.name} does not end"
        _ = self.error
