"""Iceberg: shows a little of a resting order, and more once that has been filled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from core import ids, topics
from core.bus import BusProto
from core.contracts import FillEvent, OrderIntent
from execution.adapters import until
from execution.base import Facts, RuleExecutor, common_plan
from execution.children import child_meta
from execution.contracts import ExecutionAlgorithm
from execution.events import Wake
from execution.kernel import kernel
from execution.params import IcebergParams
from execution.parent import Schedule, Terms
from execution.plan import Curve, Plan, Style, View
from execution.profile import cumulative_lots
from execution.sliced import refuse_below_minimum


@kernel
def due(plan: Plan, curve: Curve, view: View) -> int:  # noqa: ARG001 - all rules take the same
    """All of it, from the start on: what is shown at a time is bounded by the display, not by a schedule."""
    return plan.quantity if view.now_ms >= 0 else 0


class IcebergExecutor(RuleExecutor):
    """Shows `visible_ratio` of the quantity and replenishes when `replenish_threshold` of that is filled.

    More keyword arguments: see `RuleExecutor`; parameters: see `execution.params.IcebergParams`.
    """

    algo_type = "Iceberg"
    params_type = IcebergParams
    due = staticmethod(due)

    def __init__(
        self, strategy_id: str, visible_ratio: float = 0.1, replenish_threshold: float = 0.5, **keywords: Any
    ) -> None:
        super().__init__(strategy_id, visible_ratio=visible_ratio, replenish_threshold=replenish_threshold, **keywords)

    def schedule(self, params: IcebergParams, terms: Terms, facts: Facts) -> Schedule:
        refuse_below_minimum(terms, facts.min_lots)
        if params.display_quantity is not None:
            display = facts.instrument.lots(params.display_quantity)
        else:
            display = int(terms.quantity * params.visible_ratio)
        display = min(terms.quantity, max(display, facts.min_lots * len(params.levels)))
        fixed = params.price == "fixed" or (params.price is None and params.limit_price is not None)
        plan = Plan(
            side=facts.side,
            nominal=terms.quantity,
            min_lots=facts.min_lots,
            style=Style.FIXED if fixed else Style.PEG,
            display=display,
            refill_ppm=round((1 - params.replenish_threshold) * 1_000_000),
            levels=len(params.levels),
            level_ticks=params.level_ticks,
            jitter_ppm=round(params.clip_jitter * 1_000_000),
            repeg_ticks=params.repeg_ticks,
            **common_plan(params, terms),
        )
        return Schedule(plan, Curve(targets=cumulative_lots(np.array(params.levels), display)), {})

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """The visible part: one intent per price level."""
        return self.first_children(algo)

    def _create_visible_intent(
        self, execution_id: str, visible_qty: float, limit_price: float, scheduled_ts_ns: int
    ) -> OrderIntent:
        """The intent of a clip of an execution of this executor, numbered behind those that it has sent."""
        machine = self.machine(execution_id)
        number = len(machine.children)
        return OrderIntent(
            ids.child_id(execution_id, number),
            self.clock.now_ns(),
            self.strategy_id,
            machine.parent.symbol,
            machine.parent.side,
            "limit",
            visible_qty,
            limit_price,
            child_meta(machine.parent, number, scheduled_ts_ns),
        )

    async def _monitor_and_replenish(
        self, bus: BusProto, execution_id: str, algo: ExecutionAlgorithm
    ) -> AsyncIterator[OrderIntent]:
        """The clips that follow the fills of an execution that `plan_execution` has begun; ends with the parent."""
        machine = self.machine(execution_id)
        end_ns = machine.parent.start_ns + algo.duration_seconds * 1_000_000_000
        messages = bus.subscribe(topics.FILLS)
        async for message in until(messages, self.clock, end_ns):
            fill = FillEvent.from_dict(message)
            for intent in machine.on(fill, max(self.clock.now_ns(), fill.ts_fill_ns)).commands:
                yield intent
            if machine.ended:
                return
        for intent in machine.on(Wake(), max(end_ns, self.clock.now_ns())).commands:
            yield intent
