"""The report of a parent order at work, or of what came of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from core.contracts import FillEvent
from core.instrument import Instrument
from execution.contracts import ExecutionReport, Status, average_price
from execution.plan import NS_PER_MS
from execution.states import ENDED, State

if TYPE_CHECKING:
    from execution.parent import ParentOrder

END_OF_HORIZON: Final = "end of horizon"
MOST_SLICES: Final = 500  # whose schedule a report carries


@dataclass(slots=True)
class Record:
    """What a report needs and no decision reads: fills, the gate's refusals, pauses, why and when it ended."""

    fills: list[FillEvent] = field(default_factory=list)
    denials: list[str] = field(default_factory=list)
    pauses: Counter[str] = field(default_factory=Counter)
    reason: str | None = None
    ended_ns: int | None = None


class Standing(NamedTuple):
    """How far a parent has come, whoever has worked it: what its report needs besides plan and parent."""

    state: State
    quantity: int  # lots
    filled: int
    children: int
    completed: int  # children that filled whole
    record: Record
    has_seen_market: bool


def progress(order: ParentOrder) -> ExecutionReport:
    """Progress so far. Market prices and benchmarks are the driver's to add."""
    children = order.children
    completed = sum(1 for child in children if child.filled >= child.lots)
    standing = Standing(
        order.state,
        order.quantity,
        children.filled,
        len(children),
        completed,
        order.record,
        order.has_seen_market,
    )
    return report_of(order, standing)


def report_of(order: ParentOrder, standing: Standing, **facts: Any) -> ExecutionReport:
    """The report of a parent that stands there; `facts`: what a driver knows of the market, fields of the report."""
    parent, record, instrument = order.parent, standing.record, order.instrument
    total = _total_quantity(order, standing)
    filled = instrument.qty(standing.filled)
    ended = standing.state in ENDED
    status: Status = standing.state.value if ended else "running"  # type: ignore[assignment]
    return ExecutionReport(
        execution_id=parent.execution_id,
        symbol=parent.symbol,
        total_quantity=total,
        filled_quantity=filled,
        remaining_quantity=_remaining(instrument, standing, total),
        avg_fill_price=average_price(record.fills),
        total_fees=math.fsum(fill.fee for fill in record.fills),
        slices_completed=standing.completed,
        slices_total=max(order.plan.slices, standing.children),
        status=status,
        start_ts_ns=parent.start_ns,
        end_ts_ns=record.ended_ns,
        side=parent.side,
        algo_type=parent.algo_type,
        strategy_id=parent.strategy_id,
        parent_intent_id=parent.parent_intent_id,
        venue=parent.venue or instrument.venue,
        unfilled_reason=_unfilled_reason(order, standing) if ended and filled < total else None,
        denials=tuple(record.denials),
        fills=tuple(record.fills),
        notes={
            **_limit(order),
            **_schedule(order),
            **order.notes,
            **{f"paused, {why}": count for why, count in sorted(record.pauses.items())},
        },
        **facts,
    )


def _schedule(order: ParentOrder) -> dict[str, list[list[float]]]:
    """[ms since the start, quantity due from then on] for each slice, where there are several and not too many."""
    if not 1 < order.plan.slices <= MOST_SLICES:
        return {}
    start_ns, qty = order.parent.start_ns, order.instrument.qty
    steps = [[(at_ns - start_ns) / NS_PER_MS, qty(lots)] for at_ns, lots in order.planned()]
    return {"schedule": steps} if steps else {}


def _limit(order: ParentOrder) -> dict[str, float]:
    """The parent's worst price, where it has one."""
    ticks = order.plan.limit_ticks
    return {"limit_price": order.instrument.price(ticks)} if ticks else {}


def _total_quantity(order: ParentOrder, standing: Standing) -> float:
    """As it was asked for, or as it was amended."""
    wanted = order.parent.total_quantity
    same = order.instrument.lots(wanted) == standing.quantity
    return wanted if same else order.instrument.qty(standing.quantity)


def _remaining(instrument: Instrument, standing: Standing, total: float) -> float:
    """What is not filled, without the residue of a float subtraction where the total is on the grid."""
    if total == instrument.qty(standing.quantity):
        return instrument.qty(max(0, standing.quantity - standing.filled))
    return max(0.0, total - instrument.qty(standing.filled))


def _unfilled_reason(order: ParentOrder, standing: Standing) -> str | None:
    if standing.state is State.COMPLETED:
        return f"the rest is less than one lot of {order.instrument.lot}"
    if standing.record.reason != END_OF_HORIZON:
        return standing.record.reason
    if not standing.has_seen_market:
        return f"{END_OF_HORIZON}; no market data came"
    return ended_with(standing.quantity - standing.filled, order.plan.min_lots, order.instrument)


def ended_with(rest: int, min_lots: int, instrument: Instrument) -> str:
    """Why a parent that saw its end come still had these lots to do."""
    if 0 < rest < min_lots:
        return f"{END_OF_HORIZON}; the rest of {instrument.qty(rest)} is below the venue's minimum"
    return END_OF_HORIZON
