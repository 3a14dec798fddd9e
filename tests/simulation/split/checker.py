"""What must hold between three processes after every event, judged by the venue's books and by their journals.

I1  a parent's fills and open orders never exceed what was ever asked for
I2  what risk reserves is what may still trade by its own journal, and never less than what is open at the venue; what a
    parent reserves is what may still trade of its children
I3  position = fills, in risk and in the router; the venue's own once everything has been heard
I4  a wire id reaches the venue at most once
I5  nothing is submitted while the kill switch is on
I6  journals have no gaps, whatever crash or power cut
I7  a process made again from its journal is in the state of the one at work
I8  what was told of the venue is still true after every restart
I9  nothing is submitted that risk has not allowed, durably, word for word
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from core import codec, topics
from core.bus import encoded
from core.contracts import FillEvent, OrderIntent, sign
from core.epochs import without_epochs
from core.ids import execution_id
from core.journal_read import survey
from live import entries
from live.engine import Engine
from live.serve_books import Books
from live.serve_router import RouterService
from live.wanted import PEOPLE
from risk import engine as risk_engine
from risk.gate import RiskGate
from tests.markets import INSTRUMENT, SYMBOL
from tests.simulation.checker import ViolationError, require
from tests.simulation.process import Nowhere
from tests.simulation.split.ledger import Ledger, close
from tests.simulation.split.process import FOLDER, Process, Session

if TYPE_CHECKING:
    from tests.simulation.split.world import World


class Checker:
    """Sees everything. What it finds while a process writes, it keeps in `violation`: processes handle errors."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked: defaultdict[str, int] = defaultdict(int)  # lots, the most that was ever asked for
        self._allowed: dict[str, OrderIntent] = {}  # by risk, safe on its disk
        self._unsafe: dict[str, OrderIntent] = {}
        self._ledgers: dict[str, Ledger] = {}  # of risk
        self._wrote: set[str] = set()
        self.taken: Counter[str] = Counter()  # orders that reached the venue
        self.violation: ViolationError | None = None
        self.checks = 0

    @property
    def books(self) -> Books:
        books: Books = self._world.alive["broker"].part("books")
        return books

    @property
    def engine(self) -> Engine:
        engine: Engine = self._world.alive["router"].part("service").engine
        return engine

    @property
    def gate(self) -> RiskGate:
        gate: RiskGate = self._world.alive["risk"].part("gate")
        return gate

    def asked_for(self, wanted_id: str, quantity: float) -> None:
        name = execution_id(7, PEOPLE, wanted_id)
        self._asked[name] = max(self._asked[name], INSTRUMENT.lots(quantity))

    # ---- at what processes write

    def wrote(self, process: Process, written: Mapping[str, Any]) -> None:
        self._wrote.add(process.name)
        if process.name == "router":
            return
        entry = codec.from_json(codec.to_json(written))
        try:
            if process.name == "broker" and entry["k"] == entries.VENUE and entry["intent"] is not None:
                self._sends(OrderIntent.from_dict(entry["intent"]))
        except ViolationError as error:
            self.violation = self.violation or error
        if process.name == "risk":
            if entry["k"] == risk_engine.ORDER and entry["ok"]:
                self._unsafe[entry["i"]["intent_id"]] = OrderIntent.from_dict(entry["i"])
            if process is self._world.alive.get("risk"):
                self._ledgers["risk"].add(entry)

    def synced(self, process: Process) -> None:
        if process.name == "risk":
            self._allowed |= self._unsafe
            self._unsafe.clear()

    def _sends(self, intent: OrderIntent) -> None:
        if intent.action == "cancel":
            return
        name = intent.intent_id
        self.taken[name] += 1
        require(self.taken[name] == 1, "I4", f"{name} reaches the venue twice")
        require(not self._world.switch.exists(), "I5", f"{name} is submitted while the kill switch is on")
        require(name in self._allowed, "I9", f"{name} is submitted, and risk has not allowed it")
        allowed = without_epochs(self._allowed[name])
        require(without_epochs(intent) == allowed, "I9", f"{name} is submitted as {intent}, risk has allowed {allowed}")

    # ---- at births

    def born(self, process: Process) -> None:
        self._verify(process, "journal")
        found_entries = process.found
        if process.name == "risk":
            passed = (entry["i"] for entry in found_entries if entry["k"] == risk_engine.ORDER and entry["ok"])
            self._unsafe = {one["intent_id"]: OrderIntent.from_dict(one) for one in passed}
            self._ledgers["risk"] = Ledger(found_entries)
        if process.name == "broker":
            self.taken = Counter(
                entry["intent"]["intent_id"]
                for entry in found_entries
                if entry["k"] == entries.VENUE and entry["intent"] is not None and entry["intent"]["action"] == "new"
            )
            self._is_still_true(self._restored(found_entries))

    def _verify(self, process: Process, journal: str) -> None:
        found = survey(FOLDER / process.name / journal, disk=process.disk)
        require(not found.bad, "I6", "; ".join(map(str, found.bad)))

    def _restored(self, found: list[dict[str, Any]]) -> Books:
        session = Session(self._world.scenario, self._world.switch)
        books = Books(INSTRUMENT.venue or "paper", session.tape, Nowhere(), _NeverTripped())
        books.restore(found)
        return books

    def _is_still_true(self, books: Books) -> None:
        fills = {fill.fill_id: fill for fill in books.fills()}
        for entry in self._world.server.streams[topics.FILLS]:
            told = FillEvent.from_dict(codec.from_json(entry.data))
            require(fills.get(told.fill_id) == told, "I8", f"fill {told.fill_id} was told, and has not happened")

    # ---- after each event

    def look(self) -> None:
        if not self._wrote:
            return
        wrote, self._wrote = self._wrote, set()
        self.checks += 1
        for kind, check in (("broker", self._truth), ("risk", self._risk), ("router", self._router)):
            if kind in wrote and self._is_at_work(kind):
                check()

    def _is_at_work(self, kind: str) -> bool:
        process = self._world.alive.get(kind)
        return process is not None and not process.unwritten and process.part(_PARTS[kind]) is not None

    def _truth(self) -> None:
        exposure: defaultdict[str, int] = defaultdict(int)
        for fill in self.books.fills():
            exposure[_owner(fill.order_id)] += INSTRUMENT.lots(fill.qty)
        for order in self.books.open_orders:
            exposure[_owner(order.intent_id)] += INSTRUMENT.lots(order.qty - order.cumulative_qty)
        for name, lots in exposure.items():
            require(lots <= self._asked[name], "I1", f"{name} may trade {lots} lots of {self._asked[name]}")

    def _risk(self) -> None:
        ledger, gate = self._ledgers["risk"], self.gate
        reserved = gate.reserved(SYMBOL)
        require(
            close(reserved[0], ledger.reserved("buy")) and close(reserved[1], ledger.reserved("sell")),
            "I2",
            f"the gate reserves {reserved}, its journal {ledger.reserved('buy'), ledger.reserved('sell')}",
        )
        position = gate.position(SYMBOL)
        require(close(position, ledger.position), "I3", f"the gate holds {position}, its journal {ledger.position}")
        if self._is_at_work("broker"):
            for order in self.books.open_orders:
                may_trade, left = ledger.may_trade(order.intent_id), order.qty - order.cumulative_qty
                require(
                    may_trade is None or may_trade >= left - 1e-9,
                    "I2",
                    f"{order.intent_id} may trade {left} more, and risk reserves {may_trade}",
                )

    def _router(self) -> None:
        engine, machines = self.engine, self._world.alive["router"].session.machines
        wanted = [(order.intent, order.may_trade) for order in engine.orders.live()]
        wanted += [(intent, intent.qty) for intent in engine.pending if intent.action == "new"]
        for name, machine in machines.items():
            if name not in engine.parents or (machine.ended and not machine.children.reserved):
                continue
            lots = sum(INSTRUMENT.lots(qty) for intent, qty in wanted if intent.meta["execution_id"] == name)
            held = machine.children.reserved
            require(held == lots, "I2", f"{name} holds {held} lots, the store {lots}")
            seen = sum(fill.qty for fill in machine.record.fills)
            require(seen == INSTRUMENT.qty(machine.children.filled), "I3", f"{name} counts {machine.children.filled}")

    # ---- replays

    def replayed(self) -> None:
        """Each process beside one that is made from its journals now."""
        alive = self._world.alive
        if self._is_at_work("broker"):
            again = self._restored(alive["broker"].found)
            differs = [name for name, one in _books_state(self.books).items() if one != _books_state(again)[name]]
            require(not differs, "I7", f"the broker's journal makes other {', '.join(differs)}")
        if self._is_at_work("risk"):
            gate = RiskGate(alive["risk"].session.files.limits, instruments={SYMBOL: INSTRUMENT})
            engine = risk_engine.RiskEngine(alive["risk"].bus, gate, ())
            engine.recall(alive["risk"].found)
            ours, theirs = _gate_state(self.gate), _gate_state(gate)
            require(ours == theirs, "I7", f"risk is {ours}, its journal makes {theirs}")
        if self._is_at_work("router"):
            self._same_router(alive["router"])

    def _same_router(self, process: Process) -> None:
        session = Session(self._world.scenario, self._world.switch)
        log = Nowhere()
        again = RouterService(process.bus, session.intake(), log, log, process.kill, process.part("clock"))
        again.recall(process.found, process.entries(process.part("tape")))
        ours = _router_state(self.engine, process.session)
        theirs = _router_state(again.engine, session)
        differs = [f"{name}: {ours[name]} is {theirs.get(name)}" for name in ours if ours[name] != theirs.get(name)]
        require(not differs, "I7", f"the router's journal makes another one: {'; '.join(differs)}")

    # ---- the end

    def restless(self) -> list[str]:
        """Why it is not over, in words."""
        world = self._world
        found = [f"there is no {kind}" for kind in _PARTS if not self._is_at_work(kind)]
        if found:
            return found
        found += [f"{process.name} does not know that it was replaced" for process in world.held]
        found += [f"{name} has no report" for name in self._asked if name not in self.engine.reports]
        said = {entry.data for entry in world.server.streams[topics.REPORT]}
        reports = self.engine.reports.items()
        found += [f"nobody was told of {name}" for name, one in reports if encoded("", one.to_dict()) not in said]
        found += [f"{order.intent.intent_id} may trade, for the router" for order in self.engine.orders.live()]
        found += [f"{order.intent_id} is open at the venue" for order in self.books.open_orders]
        found += [f"{name} may trade, for risk" for name in self._ledgers["risk"].live]
        found += [
            f"{entry.message_id} waits on {entry.topic}"
            for entry in world.server.waiting
            if entry.topic != topics.CLOCK
        ]
        return found

    def quiet(self) -> None:
        """Faults have stopped, and everything that could be heard has been heard."""
        self.replayed()
        world = self._world
        for process in world.alive.values():
            self._verify(process, "journal")
        self._verify(world.alive["router"], "tape")
        filled: defaultdict[str, int] = defaultdict(int)
        for fill in self.books.fills():
            filled[_owner(fill.order_id)] += INSTRUMENT.lots(fill.qty)
        require(filled.keys() <= self._asked.keys(), "I9", f"nobody has asked for {filled.keys() - self._asked.keys()}")
        for name in self._asked:
            report = self.engine.reports[name]
            lots = INSTRUMENT.lots(report.filled_quantity)
            require(lots == filled[name], "I3", f"{name} was reported with {lots} lots of {filled[name]}")
        position = sum(sign(fill.side) * fill.qty for fill in self.books.fills())
        require(
            close(self.gate.position(SYMBOL), position), "I3", f"risk holds {self.gate.position(SYMBOL)} of {position}"
        )
        require(self.gate.reserved(SYMBOL) == (0.0, 0.0), "I2", f"risk still reserves {self.gate.reserved(SYMBOL)}")
        lost = [letter for letter in world.server.dead if letter.topic != topics.PARENT or "do" not in letter.payload]
        require(not lost, "end", f"dead letters: {lost}")


class _NeverTripped:
    def tripped(self) -> bool:
        return False


_PARTS: Final = {"broker": "books", "risk": "engine", "router": "service"}  # what each has once it is at work


def _owner(intent_id: str) -> str:
    return intent_id.rpartition("-")[0]


def _books_state(books: Books) -> dict[str, Any]:
    return {"orders": books.open_orders, "fills": books.fills(), "news": books.unsaid()}


def _gate_state(gate: RiskGate) -> Any:
    return gate.reserved(SYMBOL), gate.position(SYMBOL), gate.remembered, gate.epoch


def _router_state(engine: Engine, session: Session) -> dict[str, Any]:
    state: dict[str, Any] = {
        "orders": [
            (one.intent.intent_id, one.standing, one.filled, one.total, one.withdrawal and one.withdrawal.intent_id)
            for one in engine.orders.live()
        ],
        "wake": engine.wake_ns,
        "latched": engine.latched,
        "denied": list(engine.denied),
        "pending": list(engine.pending),
        "reports": engine.reports,
        "epoch": engine.epoch,
    }
    for name, machine in session.machines.items():
        if name in engine.parents:
            children = machine.children
            state[name] = (
                machine.state, children.filled, children.reserved, len(children), machine.quantity, machine.plan,
                machine.view, children.live(),
            )  # fmt: skip
    return state
