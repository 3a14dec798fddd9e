"""The children of an executor that only plans, under the router's own ids.

Two executors may well give their children the same ids; the router's are unique, and they tell whose a fill is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core import ids
from core.contracts import OrderIntent
from execution.children import Parent
from execution.desk import Worked
from execution.intake import Request
from execution.scheduled import ScheduledParent


def planned_parent(request: Request, planned: Sequence[OrderIntent]) -> Worked:
    """A plan at work from the request's start on. Raises ValueError for an empty plan and for more than the parent."""
    algo, name = request.algo, request.execution_id
    if not planned:
        raise ValueError(f"planned no children for {algo.total_quantity} {algo.symbol}")
    times = [int(intent.meta.get("scheduled_ts_ns", intent.ts_local_ns)) for intent in planned]
    shift_ns = request.start_ns - min(times)
    children = [
        replace(
            intent,
            intent_id=ids.child_id(name, number),
            strategy_id=request.strategy_id,
            meta={
                **intent.meta,
                "execution_id": name,
                "slice_id": f"{name}_{number}",
                "slice_idx": number,
                "algo_type": algo.algo_type,
                "scheduled_ts_ns": at + shift_ns,
                "parent_intent_id": request.parent_intent_id,
                **({} if request.venue is None else {"venue": request.venue}),
            },
        )
        for number, (intent, at) in enumerate(zip(planned, times, strict=True))
    ]
    parent = Parent(
        execution_id=name,
        strategy_id=request.strategy_id,
        parent_intent_id=request.parent_intent_id,
        algo_type=algo.algo_type,
        symbol=algo.symbol,
        side=algo.side,
        total_quantity=algo.total_quantity,
        start_ns=request.start_ns,
        venue=request.venue,
    )
    return ScheduledParent(algo, parent, children)
