"""The report of a parent order at work, or of what came of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.contracts import FillEvent
from core.instrument import Instrument
from execution.contracts import ExecutionReport, Status, average_price
from execution.plan import NS_PER_MS
from execution.states import State

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


def progress(order: ParentOrder) -> ExecutionReport:
    """Progress so far. Market prices and benchmarks are the driver's to add."""
    parent, record, instrument = order.parent, order.record, order.instrument
    total = _total_quantity(order)
    filled = instrument.qty(order.children.filled)
    status: Status = order.state.value if order.ended else "running"  # type: ignore[assignment]
    return ExecutionReport(
        execution_id=parent.execution_id,
        symbol=parent.symbol,
        total_quantity=total,
        filled_quantity=filled,
        remaining_quantity=_remaining(order, total),
        avg_fill_price=average_price(record.fills),
        total_fees=math.fsum(fill.fee for fill in record.fills),
        slices_completed=sum(1 for child in order.children if child.filled >= child.lots),
        slices_total=max(order.plan.slices, len(order.children)),
        status=status,
        start_ts_ns=parent.start_ns,
        end_ts_ns=record.ended_ns,
        side=parent.side,
        algo_type=parent.algo_type,
        strategy_id=parent.strategy_id,
        parent_intent_id=parent.parent_intent_id,
        venue=parent.venue or instrument.venue,
        unfilled_reason=_unfilled_reason(order) if order.ended and filled < total else None,
        denials=tuple(record.denials),
        fills=tuple(record.fills),
        notes={
            **_limit(order),
            **_schedule(order),
            **order.notes,
            **{f"paused, {why}": count for why, count in sorted(record.pauses.items())},
        },
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


def _total_quantity(order: ParentOrder) -> float:
    """As it was asked for, or as it was amended."""
    wanted = order.parent.total_quantity
    return wanted if order.instrument.lots(wanted) == order.quantity else order.instrument.qty(order.quantity)


def _remaining(order: ParentOrder, total: float) -> float:
    """What is not filled, without the residue of a float subtraction where the total is on the grid."""
    if total == order.instrument.qty(order.quantity):
        return order.instrument.qty(max(0, order.quantity - order.children.filled))
    return max(0.0, total - order.instrument.qty(order.children.filled))


def _unfilled_reason(order: ParentOrder) -> str | None:
    if order.state is State.COMPLETED:
        return f"the rest is less than one lot of {order.instrument.lot}"
    if order.record.reason != END_OF_HORIZON:
        return order.record.reason
    if not order.has_seen_market:
        return f"{END_OF_HORIZON}; no market data came"
    return ended_with(order.quantity - order.children.filled, order.plan.min_lots, order.instrument)


def ended_with(rest: int, min_lots: int, instrument: Instrument) -> str:
    """Why a parent that saw its end come still had these lots to do."""
    if 0 < rest < min_lots:
        return f"{END_OF_HORIZON}; the rest of {instrument.qty(rest)} is below the venue's minimum"
    return END_OF_HORIZON
