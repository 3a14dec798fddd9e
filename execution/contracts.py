"""What an execution is asked to do, what it is cut into, what came of it: frozen, validated, exact as dictionaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from core import checks
from core.contracts import SIDES, Contract, FillEvent, Side
from core.frozen import EMPTY, FrozenDict

AlgoType = Literal["TWAP", "VWAP", "Iceberg", "POV", "IS"]
Label = Literal[
    "TWAP", "VWAP", "Iceberg", "POV", "IS", "MARKET"
]  # of a report: also the whole parent as one market order
ALGO_TYPES: Final[tuple[AlgoType, ...]] = ("TWAP", "VWAP", "Iceberg", "POV", "IS")
Status = Literal["running", "completed", "cancelled", "failed"]

MAX_DURATION_SECONDS: Final = 24 * 3600  # with 10**11 lots every product of the rules stays inside int64


@dataclass(frozen=True, slots=True)
class ExecutionAlgorithm(Contract):
    """A parent order and how to work it. `params` are the algorithm's own: see docs/algorithms.md."""

    algo_type: AlgoType
    symbol: str
    side: Side
    total_quantity: float
    duration_seconds: int
    params: dict[str, Any] = field(default=EMPTY)

    def __post_init__(self) -> None:
        checks.one_of("algo_type", self.algo_type, ALGO_TYPES)
        checks.named("symbol", self.symbol)
        checks.one_of("side", self.side, SIDES)
        checks.positive("total_quantity", self.total_quantity)
        checks.positive("duration_seconds", self.duration_seconds)
        checks.between("duration_seconds", self.duration_seconds, 1, MAX_DURATION_SECONDS)
        if type(self.params) is not FrozenDict:
            object.__setattr__(self, "params", FrozenDict(self.params))


@dataclass(frozen=True, slots=True)
class ExecutionSlice(Contract):
    """One child of a parent, for display and tracking. `client_order_id` is the child's `OrderIntent.intent_id`."""

    execution_id: str
    slice_id: str
    symbol: str
    side: Side
    quantity: float
    limit_price: float | None
    scheduled_ts_ns: int
    status: Literal["pending", "submitted", "filled", "cancelled"]
    client_order_id: str

    def __post_init__(self) -> None:
        checks.one_of("side", self.side, SIDES)
        checks.positive("quantity", self.quantity)
        checks.one_of("status", self.status, ("pending", "submitted", "filled", "cancelled"))
        if self.limit_price is not None:
            checks.positive("limit_price", self.limit_price)


@dataclass(frozen=True, slots=True)
class ExecutionReport(Contract):
    """Where an execution stands, and when it has ended, what it did. Unknown prices are NaN, null in JSON.

    The fields of the specification come first. `arrival_price` is the mid when the parent became live, `decision_price`
    the mid that its strategy saw, `end_price` the mid when it ended. `benchmark_vwap` is the market's volume-weighted
    price over the bars from arrival to the last fill without our own trades, `benchmark_vwap_own` with them,
    `benchmark_twap` the time-weighted mid over the same bars. `denials` are the risk gate's refusals, in order.
    `settings` says how the numbers were made: fill model, impact, spread source, data. `notes` says what is special
    about this one: where its volume profile came from, how often it paused and why.
    """

    execution_id: str
    symbol: str
    total_quantity: float
    filled_quantity: float
    remaining_quantity: float
    avg_fill_price: float
    total_fees: float
    slices_completed: int
    slices_total: int
    status: Status
    start_ts_ns: int
    end_ts_ns: int | None
    side: Side = "buy"
    algo_type: str = "TWAP"  # a Label of ours, or what others call theirs
    strategy_id: str = ""
    parent_intent_id: str = ""
    venue: str = ""
    decision_price: float = math.nan
    arrival_price: float = math.nan
    end_price: float = math.nan
    benchmark_vwap: float = math.nan
    benchmark_vwap_own: float = math.nan
    benchmark_twap: float = math.nan
    spread_bps: float = math.nan
    market_volume: float = math.nan
    unfilled_reason: str | None = None
    denials: tuple[str, ...] = ()
    fills: tuple[FillEvent, ...] = ()
    settings: dict[str, Any] = field(default=EMPTY)
    notes: dict[str, Any] = field(default=EMPTY)

    def __post_init__(self) -> None:
        checks.positive("total_quantity", self.total_quantity)
        checks.not_negative("filled_quantity", self.filled_quantity)
        checks.not_negative("remaining_quantity", self.remaining_quantity)
        checks.one_of("status", self.status, ("running", "completed", "cancelled", "failed"))
        checks.one_of("side", self.side, SIDES)
        checks.named("algo_type", self.algo_type)
        for name in _NAMES:  # one NaN object, so that reports without a price still compare equal
            value = getattr(self, name)
            if isinstance(value, float) and value != value:
                object.__setattr__(self, name, math.nan)
        for name in ("settings", "notes"):
            if type(getattr(self, name)) is not FrozenDict:
                object.__setattr__(self, name, FrozenDict(getattr(self, name)))
        object.__setattr__(self, "denials", tuple(self.denials))
        object.__setattr__(self, "fills", tuple(self.fills))

    def __reduce__(self) -> tuple[type[ExecutionReport], tuple[Any, ...]]:  # through the constructor: one NaN
        return ExecutionReport, tuple(getattr(self, f.name) for f in fields(self))

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        from execution.report.notebook import report_html

        return report_html(self)

    @property
    def done(self) -> bool:
        """Ended, one way or another; not the same as filled."""
        return self.status != "running"

    @property
    def fill_rate(self) -> float:
        """Filled share of the total quantity, 0 to 1."""
        return self.filled_quantity / self.total_quantity


_NAMES: Final = tuple(f.name for f in fields(ExecutionReport))


def average_price(fills: Sequence[FillEvent]) -> float:
    """Quantity-weighted price of fills; NaN where there are none."""
    quantity = math.fsum([fill.qty for fill in fills])
    return math.fsum([fill.qty * fill.price for fill in fills]) / quantity if quantity else math.nan
