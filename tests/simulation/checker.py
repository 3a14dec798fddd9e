"""What must hold after every event, judged by what is true at the venue and not by what anybody believes.

I1  a parent's fills, open orders and requests under way never exceed its quantity
I2  what is reserved, by gate and parents, is what may still trade: open and unknown orders
I3  position = sum of fills, in gate, ledger and parents; the venue's own once everything has been heard
I4  a wire id reaches the venue at most once
I5  nothing is submitted while killed, and killed stays killed
I6  the journal's numbers have no gaps, whatever crash or power cut
I7  an engine made from the journal is in the state of the one at work
I8  every fill that is booked is one that happened, as it happened: cash is conserved
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core import topics
from core.contracts import FillEvent, OrderIntent, sign
from core.journal_read import Survey, survey
from live.effects import Publish
from live.recovery import recall
from tests.markets import INSTRUMENT, SYMBOL
from tests.simulation.process import FOLDER, Process, Trader, shadow
from tests.simulation.truth import cash_of

if TYPE_CHECKING:
    from tests.simulation.world import World


class ViolationError(AssertionError):
    """An invariant does not hold."""


def require(holds: bool, invariant: str, what: str) -> None:
    if not holds:
        raise ViolationError(f"{invariant}: {what}")


class Checker:
    """Sees the world as it is; the process is what it judges."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._quantity: dict[str, int] = {}  # the most that was ever asked for, in lots
        self._shadow: Trader | None = None
        self._numbered = 0
        self._synced = 0
        self._killed = False
        self.checks = 0

    # ---- at what the process does

    def asked_for(self, execution_id: str, lots: int) -> None:
        """A parent's quantity, or an amended one."""
        self._quantity[execution_id] = max(lots, self._quantity.get(execution_id, 0))

    def sends(self, intent: OrderIntent) -> None:
        world, process = self._world, self._world.process
        assert process is not None
        require(not world.kill.on, "I5", f"{intent.intent_id} is submitted while the kill switch is on")
        require(process.engine.latched is None, "I5", f"{intent.intent_id} is submitted after the latch")
        require(intent.intent_id not in world.sent, "I4", f"{intent.intent_id} is sent twice")
        name = str(intent.meta["execution_id"])
        exposure = self._exposure(name) + INSTRUMENT.lots(intent.qty)
        quantity = process.trader.machines[name].quantity
        require(exposure <= quantity, "I1", f"{intent.intent_id} brings {name} to {exposure} lots of {quantity}")

    def said(self, message: Publish) -> None:
        """On the bus; in its own time others hear of it, late and twice."""
        if message.topic == topics.FILLS:
            self._is_true(FillEvent.from_dict(message.payload))

    # ---- after each event

    def alive(self, process: Process) -> None:
        self.checks += 1
        self._truth()
        self._reservations(process.trader)
        self._position(process.trader)
        self._follow(process)

    def died(self, lost: bool) -> None:
        """Of what was written and not synced a power cut may have taken some."""
        if lost:
            self._shadow = None

    def born(self, process: Process) -> None:
        """What was found on the disk, and what was made of it."""
        found: Survey = survey(FOLDER, disk=self._world.disk)
        require(not found.bad, "I6", "; ".join(map(str, found.bad)))
        count = len(process.found)
        require(found.last in (None, count), "I6", f"{count} entries, the last is number {found.last}")
        if self._shadow is not None and self._numbered <= count:
            self._catch_up(process.found[self._numbered :])
        else:
            self._shadow = shadow(self._world, process.found)
        self._numbered = count
        self._same(process.trader)
        if self._world.latched:
            require(process.engine.latched is not None, "I5", "after a restart it has forgotten that it was killed")

    # ---- at the end of a run

    def quiet(self, process: Process) -> None:
        """Faults have stopped and everything that could be heard has been heard."""
        world, truth, trader = self._world, self._world.truth, process.trader
        require(not truth.left, "end", f"still open at the venue: {', '.join(truth.left)}")
        require(not truth.open_orders(), "end", "the venue shows open orders")
        require(not list(process.engine.orders.live()), "end", "orders that may still trade are in the store")
        for name, machine in trader.machines.items():
            if name not in process.engine.parents:
                continue  # refused
            require(machine.ended, "end", f"{name} is {machine.state}")
            require(machine.children.filled == truth.filled[name], "I3", f"{name} has missed fills")
            report = process.engine.reports.get(name)
            require(report is not None, "end", f"{name} was not reported")
            assert report is not None
            lots = INSTRUMENT.lots(report.filled_quantity)
            require(lots == truth.filled[name], "I3", f"{name} was reported with {lots} lots of {truth.filled[name]}")
        require(trader.gate.position(SYMBOL) == truth.position, "I3", "gate and venue hold different positions")
        ours, theirs = cash_of(trader.ledger.values()), truth.cash
        require(
            abs(ours - theirs) <= 1e-6 * max(1.0, abs(theirs)), "I8", f"cash {ours} in the ledger, {theirs} in truth"
        )
        if world.latched:
            require(trader.switch.tripped(), "I5", "it is not killed any more")

    # ---- inside

    def _exposure(self, name: str) -> int:
        """Lots of a parent that have traded or may still trade, in truth."""
        world = self._world
        under_way = sum(
            INSTRUMENT.lots(intent.qty)
            for intent in world.venue.under_way
            if intent.action == "new" and intent.meta["execution_id"] == name
        )
        return world.truth.filled[name] + world.truth.open_lots(name) + under_way

    def _truth(self) -> None:
        truth = self._world.truth
        for name, most in self._quantity.items():
            exposure = self._exposure(name)
            require(exposure <= most, "I1", f"{name} may trade {exposure} lots of {most}")
        if len(truth.arrivals) != truth.arrivals.total():
            twice = [name for name, count in truth.arrivals.items() if count > 1]
            require(not twice, "I4", f"reached the venue twice: {', '.join(twice)}")

    def _reservations(self, trader: Trader) -> None:
        live = list(trader.engine.orders.live())
        buys = sum(order.may_trade for order in live if order.intent.side == "buy")
        sells = sum(order.may_trade for order in live if order.intent.side == "sell")
        reserved = trader.gate.reserved(SYMBOL)
        require(
            _close(reserved[0], buys) and _close(reserved[1], sells), "I2", f"gate {reserved}, store {buys}, {sells}"
        )
        for name, machine in trader.machines.items():
            if machine.ended and not machine.children.reserved:
                continue
            lots = sum(INSTRUMENT.lots(order.may_trade) for order in live if order.intent.meta["execution_id"] == name)
            held = machine.children.reserved
            require(held == lots, "I2", f"{name} holds {held} lots, the store {lots}")

    def _position(self, trader: Trader) -> None:
        require(not trader.booked_twice, "I3", f"booked twice: {', '.join(trader.booked_twice)}")
        ledger = sum(sign(fill.side) * fill.qty for fill in trader.ledger.values())
        require(
            _close(trader.gate.position(SYMBOL), ledger), "I3", f"gate {trader.gate.position(SYMBOL)}, fills {ledger}"
        )
        for name, machine in trader.machines.items():
            seen = sum(fill.qty for fill in machine.record.fills)
            require(seen == INSTRUMENT.qty(machine.children.filled), "I3", f"{name} counts {machine.children.filled}")

    def _follow(self, process: Process) -> None:
        new, process.log.new = process.log.new, []
        self._numbered += len(new)
        require(process.log.journal.last == self._numbered, "I6", f"number {process.log.journal.last} is not next")
        for entry in new:
            if entry["k"] == "heard" and entry["e"][0] == "FillEvent":
                self._is_true(FillEvent.from_dict(entry["e"][1]))
        self._catch_up(new)
        self._same(process.trader)

    def _catch_up(self, new: Sequence[dict[str, Any]]) -> None:
        assert self._shadow is not None
        if new:
            recall(self._shadow.engine, new)

    def _same(self, trader: Trader) -> None:
        assert self._shadow is not None
        ours, theirs = state_of(trader), state_of(self._shadow)
        if ours != theirs:
            differs = [
                f"{name}: {ours[name]} is {theirs.get(name)} in the replay"
                for name in ours
                if ours[name] != theirs.get(name)
            ]
            raise ViolationError(f"I7: {'; '.join(differs)}")

    def _is_true(self, fill: FillEvent) -> None:
        """Or a part of a true one, where the venue cut it."""
        cut = fill.fill_id.endswith(("-a", "-b"))
        true = self._world.truth.fills.get(fill.fill_id[:-2] if cut else fill.fill_id)
        require(true is not None, "I8", f"fill {fill.fill_id} never happened")
        assert true is not None
        same = (fill.order_id, fill.side, fill.price, fill.ts_fill_ns) == (
            true.order_id,
            true.side,
            true.price,
            true.ts_fill_ns,
        )
        whole = fill.qty < true.qty if cut else (fill.qty, fill.fee) == (true.qty, true.fee)
        require(same and whole, "I8", f"fill {fill.fill_id} happened otherwise")


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))


def state_of(trader: Trader) -> dict[str, Any]:
    """All that decides what an engine does next, but for the market, which is not its own."""
    engine = trader.engine
    state: dict[str, Any] = {
        "orders": [
            (
                order.intent.intent_id,
                order.standing,
                order.filled,
                order.total,
                order.withdrawal and order.withdrawal.intent_id,
            )
            for order in engine.orders.live()
        ],
        "gate": (*trader.gate.reserved(SYMBOL), trader.gate.position(SYMBOL), trader.gate.disabled),
        "ledger": len(trader.ledger),
        "wake": engine.wake_ns,
        "latched": engine.latched,
        "denied": list(engine.denied),
        "pending": list(engine.pending),
        "reports": len(engine.reports),
        "epoch": engine.epoch,
    }
    for name, machine in trader.machines.items():
        if name in engine.parents:
            children = machine.children
            state[name] = (
                machine.state,
                children.filled,
                children.reserved,
                len(children),
                machine.quantity,
                machine.plan,
                machine.view,
                children.live(),
            )
    return state
