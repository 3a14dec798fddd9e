"""Executors: they plan a parent order as `OrderIntent`s for the risk gate, and follow its fills. No broker in sight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, ClassVar

from core import ids, topics
from core.bus import BusProto
from core.clock import Clock, WallClock
from core.contracts import FillEvent, OrderIntent, sign
from core.instrument import Instrument
from execution.children import Parent
from execution.contracts import AlgoType, ExecutionAlgorithm, Label
from execution.params import Common, read
from execution.parent import Algorithm, ParentOrder, Terms
from execution.plan import Completion, Plan, View
from execution.tracking import Tracker

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

    def _track(self, algo: ExecutionAlgorithm, parent: Parent, planned: Sequence[OrderIntent]) -> None:
        self._trackers[parent.execution_id] = Tracker(algo, parent, planned)

    async def track_fills(self, bus: BusProto, execution_id: str) -> AsyncIterator[FillEvent]:
        """The fills of one execution, as they come.

        A venue gives back only the client order id, so that decides where the order is known; `meta` does elsewhere.
        """
        known = self._trackers.get(execution_id)
        async for message in bus.subscribe(topics.FILLS):
            fill = FillEvent.from_dict(message)
            if (known is not None and known.owns(fill.order_id)) or fill.meta.get("execution_id") == execution_id:
                yield fill


class RuleExecutor(BaseExecutor):
    """An executor whose algorithm is a rule over integers: how many lots are due by now?

    Keyword arguments: `instrument` (grids, minima and fees; a fine grid where absent), `quotes` (the current mid),
    `clock`, `seed` (of ids and draws), and any parameter of the algorithm as a default for all parents.
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
        **defaults: Any,
    ) -> None:
        super().__init__(strategy_id)
        self.instrument = instrument
        self.quotes = quotes
        self.clock: Clock = clock if clock is not None else WallClock()
        self.seed = seed
        self.defaults = defaults
        self._planned = 0
        self.params(ExecutionAlgorithm(self.algo_type, "-", "buy", 1.0, 60))  # refuses wrong defaults here and now

    @staticmethod
    @abstractmethod
    def due(plan: Plan, view: View) -> int:
        """The rule: lots due by now."""

    def params(self, algo: ExecutionAlgorithm) -> Any:
        """The parent's parameters, a `params_type`: this executor's defaults, overridden by `algo.params`.

        Raises ValueError naming the parameter, with the valid names where it is unknown.
        """
        return read(self.params_type, self.algo_type, self.defaults, algo.params)

    @abstractmethod
    def plan(self, params: Any, terms: Terms, *, side: int, min_lots: int) -> Plan:
        """The plan under these terms. Raises ValueError where they cannot be met."""

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
        self._expect(algo)
        params = self.params(algo)
        instrument = self.instrument or default_instrument(algo.symbol)
        parent = self._parent(algo, params, start_ns, execution_id, parent_intent_id, venue)
        price = price if price is not None else self._price(algo, params)
        min_lots = instrument.min_lots(price) if price is not None else 1
        side = sign(algo.side)
        algorithm = Algorithm(
            due=self.due,
            plan=lambda terms: self.plan(params, terms, side=side, min_lots=min_lots),
            retries=params.retries,
            retry_ms=round(params.retry_seconds * 1000),
            pull_on_pause=params.pull_on_pause,
        )
        return ParentOrder(parent, instrument, algorithm, self._terms(algo, params, instrument))

    def _expect(self, algo: ExecutionAlgorithm) -> None:
        if algo.algo_type != self.algo_type:
            raise ValueError(f"algo_type must be {self.algo_type} for {type(self).__name__}, was {algo.algo_type}")

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

    def _terms(self, algo: ExecutionAlgorithm, params: Common, instrument: Instrument) -> Terms:
        quantity = instrument.lots(algo.total_quantity)
        if quantity == 0:
            raise ValueError(
                f"total_quantity {algo.total_quantity} is less than one lot of {instrument.lot} {algo.symbol}: "
                f"the least is {instrument.qty(1)}"
            )
        limit = 0
        if params.limit_price is not None:
            to_ticks = instrument.ticks if algo.side == "buy" else instrument.ticks_up
            limit = to_ticks(params.limit_price)
        return Terms(quantity=quantity, horizon_ms=algo.duration_seconds * 1000, limit_ticks=limit)

    def _price(self, algo: ExecutionAlgorithm, params: Common) -> float | None:
        quoted = self.quotes(algo.symbol) if self.quotes is not None else None
        return quoted if quoted is not None else params.limit_price


def default_instrument(symbol: str) -> Instrument:
    """The grid of a symbol about which nobody has said anything: 0.0001 for lots, 0.00000001 for prices."""
    return Instrument(symbol, tick="0.00000001", lot="0.0001")


def feasible_slices(terms: Terms, wanted: int, min_lots: int) -> int:
    """As many slices as wanted, or as many as get the venue's minimum each: fewer and larger, never one burst.

    Raises ValueError where not even one slice does.
    """
    if terms.quantity < min_lots:
        raise ValueError(f"the quantity of {terms.quantity} lots is below the venue's minimum of {min_lots} lots")
    return max(1, min(wanted, terms.quantity // min_lots, terms.horizon_ms))


def common_plan(params: Common, terms: Terms) -> dict[str, Any]:
    """The fields of a plan that follow from the policies, the same for every algorithm."""
    return {
        "quantity": terms.quantity,
        "horizon_ms": terms.horizon_ms,
        "limit_ticks": terms.limit_ticks,
        "catch_up": params.catch_up,
        "completion": COMPLETIONS[params.completion],
        "extend_ms": round(params.extend_seconds * 1000),
        "stale_ms": round(params.stale_seconds * 1000),
    }
