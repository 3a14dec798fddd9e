"""TWAP: equal slices at equal intervals, or nearly so, where that should not be seen."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from core.chance import generator
from core.contracts import OrderIntent
from execution import rules
from execution.algorithm import Schedule, Terms
from execution.base import Facts
from execution.kernel import kernel
from execution.params import OrderStyle, TwapParams
from execution.plan import Curve, Plan, View
from execution.sliced import SlicedExecutor, feasible_slices, largest_step
from execution.whole_lots import cumulative_floor

MOST_ALIKE: Final = 64  # schedules that are kept


@kernel
def due(plan: Plan, curve: Curve, view: View) -> int:
    """Lots due by now: floor(Q * k / N), k = slices begun; all of Q in the last slice. Randomised: targets[k]."""
    begun = rules.slices_begun(plan, curve, view.now_ms)
    if begun > 0 and len(curve.targets) > 0:
        return curve.targets[begun - 1]
    return plan.quantity * begun // plan.slices


class TWAPExecutor(SlicedExecutor):
    """Splits a parent into `slice_count` equal children at equal intervals: limit orders at the mid, market orders, or
    orders that rest first and then cross.

    More keyword arguments: see `RuleExecutor`; parameters: see `execution.params.TwapParams`.
    """

    algo_type = "TWAP"
    params_type = TwapParams
    due = staticmethod(due)

    def __init__(
        self, strategy_id: str, slice_count: int = 10, order_type: OrderStyle = "limit", **keywords: Any
    ) -> None:
        super().__init__(strategy_id, slice_count=slice_count, order_type=order_type, **keywords)
        self._alike: tuple[TwapParams | None, dict[Hashable, Schedule]] = (None, {})

    def schedule(self, params: TwapParams, terms: Terms, facts: Facts) -> Schedule:
        """Without draws it is the same wherever the terms are but for their time: made once, for these parameters."""
        if params.randomize_time or params.randomize_size:
            return self._schedule(params, terms, facts)
        if self._alike[0] is not params:
            self._alike = params, {}
        known = self._alike[1]
        key = terms.quantity, terms.horizon_ms, terms.limit_ticks, facts.side, facts.min_lots
        if key not in known:
            if len(known) == MOST_ALIKE:
                known.clear()
            known[key] = self._schedule(params, terms, facts)
        return known[key]

    def _schedule(self, params: TwapParams, terms: Terms, facts: Facts) -> Schedule:
        slices = feasible_slices(terms, self.slices_of(params, terms), facts.min_lots)
        plan = self.sliced_plan(params, terms, facts, slices)
        curve = randomised(params, plan, facts)
        if curve.targets:
            plan = replace(plan, nominal=largest_step(curve.targets))
        return Schedule(plan, curve)

    def _create_slice_intent(
        self,
        execution_id: str,
        slice_idx: int,
        quantity: float,
        scheduled_ts_ns: int,
        current_price: float | None,
    ) -> OrderIntent:
        """The intent of one slice of an execution that this executor has planned."""
        return self.slice_intent(execution_id, slice_idx, quantity, scheduled_ts_ns, current_price)


class MarketOrderExecutor(TWAPExecutor):
    """The whole parent as one market order at once: what a backtest without an execution config does."""

    label = "MARKET"

    def __init__(self, strategy_id: str, **keywords: Any) -> None:
        super().__init__(strategy_id, 1, "market", **keywords)


def randomised(params: TwapParams, plan: Plan, facts: Facts) -> Curve:
    """Shifted starts and varied sizes, from the seed and the execution's id; an empty curve where neither is wanted.

    Start k: boundary + U(0, a) * interval, the first at 0; order is kept. Size: weights 1 + U(-b, b), rounded on the
    running sum, so that no slice is off by more than a lot and the sum is exact.
    """
    if params.randomize_time == 0 and params.randomize_size == 0:
        return Curve()
    draws = generator(*facts.seed, "twap")
    shifts = params.randomize_time * draws.random(plan.slices)
    sizes = 1 + params.randomize_size * (2 * draws.random(plan.slices) - 1)
    shifts[0] = 0.0
    starts = (np.arange(plan.slices) + shifts) * (plan.horizon_ms / plan.slices)
    boundaries = (rules.slice_start_ms(plan, Curve(), index) for index in range(plan.slices))
    return Curve(
        starts_ms=tuple(max(int(start), edge) for start, edge in zip(starts, boundaries, strict=True)),
        targets=cumulative_floor(sizes, plan.quantity),
    )
