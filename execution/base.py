"""Executors: they plan a parent order as `OrderIntent`s for the risk gate, and follow its fills. No broker in sight."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from core import ids, topics
from core.chance import uniform
from core.clock import Clock, WallClock
from core.contracts import FillEvent, OrderIntent, sign
from core.instrument import Instrument
from execution.algorithm import Algorithm, Schedule, Terms
from execution.children import Parent
from execution.contracts import AlgoType, ExecutionAlgorithm, ExecutionReport, Label
from execution.events import Market
from execution.params import Common, read
from execution.parent import ParentOrder
from execution.plan import Completion, Curve, Plan, View
from execution.progress import END_OF_HORIZON
from execution.tracking import Tracker

if TYPE_CHECKING:
    from core.bus import BusProto

BUS_CLOSED: Final = "the bus was closed before the execution had ended"
LATE_NS: Final = 5_000_000_000
COMPLETIONS = {word.name.lower(): word for word in Completion}
QuoteSource = Callable[[str], float | None]
"""The current mid of a symbol, or None where nobody knows it."""


class BaseExecutor(ABC):
    """Plans a parent order and follows it; emits `OrderIntent`s only.

    A subclass needs nothing but `plan_execution`: the simulator and the backtest send its children at their
    `scheduled_ts_ns`. The executors of this package are `RuleExecutor`s, which also react to what happens.
    """

    def __init__(self, strategy_id: str) -> None:
        if not strategy_id:
            raise ValueError("strategy_id must be a name, was empty")
        self.strategy_id = strategy_id
        self._trackers: dict[str, Tracker] = {}

    @abstractmethod
    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """The children that can be known at the start, each with its time in `meta["scheduled_ts_ns"]`.

        They are intents for the risk engine; nobody publishes one before its time.
        """

    def tracker(self, execution_id: str) -> Tracker:
        """What is known of an execution that this executor has planned. Raises ValueError for any other."""
        if execution_id not in self._trackers:
            raise ValueError(f"execution_id {execution_id!r} was not planned by this executor")
        return self._trackers[execution_id]

    def _track(
        self, algo: ExecutionAlgorithm, parent: Parent, planned: Sequence[OrderIntent], total: float | None = None
    ) -> None:
        self._trackers[parent.execution_id] = Tracker(algo, parent, planned, total)

    def track_fills(self, bus: BusProto, execution_id: str) -> AsyncIterator[FillEvent]:
        """The fills of one execution, as they come, each once: `async for fill in executor.track_fills(...)`.

        It listens from the call on, not from the first step of the loop; so it is no `async def`.
        A venue gives back only the client order id, so that decides where the order is known; `meta` does elsewhere.
        """
        return self._fills_of(execution_id, bus.subscribe(topics.FILLS))

    async def _fills_of(self, execution_id: str, messages: AsyncIterator[dict[str, Any]]) -> AsyncIterator[FillEvent]:
        seen: set[str] = set()
        async for message in messages:
            fill = FillEvent.from_dict(message)
            known = self._trackers.get(execution_id)
            ours = (known is not None and known.owns(fill.order_id)) or fill.meta.get("execution_id") == execution_id
            if ours and fill.fill_id not in seen:
                seen.add(fill.fill_id)
                yield fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a schedule may depend on besides parameters and terms.

    `first`: the terms at the start, which an amendment does not change. `price`: near the market then; None: unknown.
    """

    symbol: str
    instrument: Instrument
    side: int
    min_lots: int
    seed: tuple[object, ...]
    first: Terms
    price: float | None


class RuleExecutor(BaseExecutor):
    """An executor whose algorithm is a rule over integers: how many lots are due by now?

    Keyword arguments: `instrument` (grids, minima and fees; a fine grid where absent), `quotes` (the current mid),
    `clock`, `seed` (of ids and draws), `least_interval_ms` (no slice is shorter: the length of a bar where the market
    is known in bars), and any parameter of the algorithm as a default for all parents.
    """

    algo_type: ClassVar[AlgoType]
    label: ClassVar[Label | None] = None  # what reports call it, where that is not the algorithm's name
    params_type: ClassVar[type[Common]]

    def __init__(
        self,
        strategy_id: str,
        *,
        instrument: Instrument | None = None,
        quotes: QuoteSource | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        least_interval_ms: int = 1,
        **defaults: Any,
    ) -> None:
        super().__init__(strategy_id)
        self.instrument = instrument
        self.quotes = quotes
        self.clock: Clock = clock if clock is not None else WallClock()
        self.seed = seed
        self.least_interval_ms = least_interval_ms
        self.defaults = defaults
        self._planned = 0
        self._machines: dict[str, ParentOrder] = {}
        self._read: tuple[str, Any] = ("", None)  # the parameters last read, as text, and what they said
        self.params(ExecutionAlgorithm(self.algo_type, "-", "buy", 1.0, 60))  # refuses wrong defaults here and now

    @staticmethod
    @abstractmethod
    def due(plan: Plan, curve: Curve, view: View) -> int:
        """The rule: lots due by now."""

    @abstractmethod
    def schedule(self, params: Any, terms: Terms, facts: Facts) -> Schedule:
        """The plan under these terms. Raises ValueError where they cannot be met."""

    def params(self, algo: ExecutionAlgorithm) -> Any:
        """The parent's parameters, a `params_type`: this executor's defaults, overridden by `algo.params`.

        Raises ValueError naming the parameter, with the valid names where it is unknown.
        """
        text = repr(algo.params)
        if self._read[0] != text:
            self._read = text, read(self.params_type, self.algo_type, self.defaults, algo.params)
        return self._read[1]

    def start(
        self,
        algo: ExecutionAlgorithm,
        *,
        start_ns: int,
        execution_id: str | None = None,
        parent_intent_id: str = "",
        venue: str | None = None,
        price: float | None = None,
    ) -> ParentOrder:
        """A parent order ready to be driven. `price` (near the market) tells how many lots the venue's minimum is."""
        if algo.algo_type != self.algo_type:
            raise ValueError(f"algo_type must be {self.algo_type} for {type(self).__name__}, was {algo.algo_type}")
        params = self.params(algo)
        instrument = self.instrument or default_instrument(algo.symbol)
        price = price if price is not None else self.price_of(algo, params)
        parent = self._parent(algo, params, start_ns, execution_id, parent_intent_id, venue)
        first = _terms(algo, params, instrument, parent.start_ns, price)
        facts = Facts(
            symbol=algo.symbol,
            instrument=instrument,
            side=sign(algo.side),
            min_lots=1 if price is None else instrument.min_lots(price),
            seed=(self.seed, parent.execution_id),
            first=first,
            price=price,
        )
        algorithm = Algorithm(
            due=self.due,
            schedule=lambda terms: self.schedule(params, terms, facts),
            draw=lambda number: uniform(*facts.seed, "clip", number),
            retries=params.retries,
            retry_ms=round(params.retry_seconds * 1000),
            pull_on_pause=params.pull_on_pause,
        )
        return ParentOrder(parent, instrument, algorithm, first)

    def lead_ms(self, params: Common, terms: Terms, slices: int) -> int:
        """How long before the end `complete` begins to cross: as told, else half of one of so many slices."""
        if params.completion_seconds is not None:
            return min(terms.horizon_ms, round(params.completion_seconds * 1000))
        return min(terms.horizon_ms, max(terms.horizon_ms // (2 * slices), self.least_interval_ms))

    def price_of(self, algo: ExecutionAlgorithm, params: Common) -> float | None:
        """The current mid, else the parent's limit, else None."""
        quoted = self.quotes(algo.symbol) if self.quotes is not None else None
        return quoted if quoted is not None else params.limit_price

    def first_children(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """What the machine sends at its start; the machine stays with this executor, by its execution id.

        Raises ValueError where a resting child has no price: neither `quotes` nor `params["limit_price"]` gives one.
        """
        now_ns = self.clock.now_ns()
        machine = self.start(algo, start_ns=now_ns)
        price = self.price_of(algo, self.params(algo))
        if price is None:
            raise _no_price(algo)
        instrument = self.instrument or default_instrument(algo.symbol)
        starts_ns = max(now_ns, machine.parent.start_ns)
        first = machine.on(Market(starts_ns, instrument.ticks(price), instrument.ticks_up(price)), starts_ns)
        intents = list(first.commands)
        self._machines[machine.parent.execution_id] = machine
        self._track(algo, machine.parent, intents, machine.report().total_quantity)
        return intents

    def machine(self, execution_id: str) -> ParentOrder:
        """The machine behind `first_children`. Raises ValueError for an execution that has none here."""
        if execution_id not in self._machines:
            raise ValueError(f"execution_id {execution_id!r} was not started by this executor")
        return self._machines[execution_id]

    def instrument_of(self, execution_id: str) -> Instrument:
        return self.instrument or default_instrument(self.tracker(execution_id).parent.symbol)

    async def _monitor_fills(self, bus: BusProto, execution_id: str) -> ExecutionReport:
        """Follows a planned execution until all is filled, nothing more can fill, or its time is over.

        The report says which: `completed`; `failed` where the gate or the venue refused all that is missing;
        `cancelled` with `unfilled_reason` otherwise (end of horizon, what the venue said); `running` where the bus was
        closed first. Fills of which a close has spoken are waited for, after the end of the horizon too, for at most
        `LATE_NS`. Afterwards `tracker(execution_id).cancels(now)` has the cancels for what is still open.

        It listens from when it is awaited; as a task, from the task's first step.
        """
        from execution.adapters import Listener, Signal, timer_of  # it needs asyncio, which no simulation does

        tracker = self.tracker(execution_id)
        machine = self._machines.get(execution_id)
        timer = timer_of(self.clock)
        until_ns = tracker.end_ns
        async with Listener(bus, (topics.FILLS, topics.CLOSED, topics.RISK), timer) as listener:
            while not (tracker.complete or (tracker.over and (machine is None or machine.ended))):
                heard = await listener.next(until_ns)
                if heard is Signal.END:
                    return tracker.report(end_ns=None, status="running", reason=BUS_CLOSED)
                if isinstance(heard, Signal):
                    if until_ns > tracker.end_ns or tracker.missing == 0:
                        break
                    until_ns = tracker.end_ns + LATE_NS
                else:
                    tracker.hear(*heard)
        status, reason = tracker.ending(END_OF_HORIZON)
        ended_ns = max(fill.ts_fill_ns for fill in tracker.fills) if tracker.complete else timer.now_ns()
        return tracker.report(end_ns=min(ended_ns, tracker.end_ns), status=status, reason=reason)

    def _parent(
        self,
        algo: ExecutionAlgorithm,
        params: Common,
        start_ns: int,
        execution_id: str | None,
        parent_intent_id: str,
        venue: str | None,
    ) -> Parent:
        self._planned += 1
        named = parent_intent_id or f"{self.algo_type}-{self._planned}"
        return Parent(
            execution_id=execution_id or ids.execution_id(self.seed, self.strategy_id, named),
            strategy_id=self.strategy_id,
            parent_intent_id=named,
            algo_type=self.label or self.algo_type,
            symbol=algo.symbol,
            side=algo.side,
            total_quantity=algo.total_quantity,
            start_ns=start_ns if params.start_ts_ns is None else params.start_ts_ns,
            venue=venue,
        )


def default_instrument(symbol: str) -> Instrument:
    """The grid of a symbol about which nobody has said anything: 0.0001 for lots, 0.00000001 for prices."""
    return Instrument(symbol, tick="0.00000001", lot="0.0001")


def common_plan(params: Common, terms: Terms) -> dict[str, Any]:
    """The fields of a plan that follow from terms and policies, the same for every algorithm."""
    return {
        "quantity": terms.quantity,
        "horizon_ms": terms.horizon_ms,
        "limit_ticks": terms.limit_ticks,
        "catch_up": params.catch_up,
        "completion": COMPLETIONS[params.completion],
        "extend_ms": round(params.extend_seconds * 1000),
        "stale_ms": round(params.stale_seconds * 1000),
        "cap_ppm": 0 if params.max_participation is None else ratio_ppm(params.max_participation),
    }


def ratio_ppm(rate: float, *, of_total: bool = True) -> int:
    """Own per others' lots, in millionths: r / (1 - r) for a share r of all volume, r for one of others' volume.

    Rounded up, so that a share that comes out in whole lots is reached: a ninth of 450 lots is 50, not 49.
    """
    return math.ceil((rate / (1 - rate) if of_total else rate) * 1_000_000 - 1e-6)


def _terms(
    algo: ExecutionAlgorithm, params: Common, instrument: Instrument, start_ns: int, price: float | None
) -> Terms:
    wanted = algo.total_quantity
    if params.quantity_currency == "quote":
        if price is None:
            raise _no_price(algo)
        wanted = algo.total_quantity / (price * instrument.multiplier)
    quantity = instrument.lots(wanted)
    if quantity == 0:
        raise ValueError(
            f"total_quantity {wanted} is less than one lot of {instrument.lot} {algo.symbol}: "
            f"the least is {instrument.qty(1)}"
        )
    limit = 0
    if params.limit_price is not None:
        to_ticks = instrument.ticks if algo.side == "buy" else instrument.ticks_up
        limit = to_ticks(params.limit_price)
    return Terms(quantity=quantity, horizon_ms=algo.duration_seconds * 1000, limit_ticks=limit, start_ns=start_ns)


def _no_price(algo: ExecutionAlgorithm) -> ValueError:
    return ValueError(
        f"{algo.algo_type} of {algo.symbol} needs a price: give quotes= to the executor, or limit_price in params"
    )
