"""What TWAP, VWAP, POV and IS share: slices of time, one child each, in one of three styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from core import ids
from core.contracts import OrderIntent
from execution import rules
from execution.algorithm import Terms
from execution.base import Facts, RuleExecutor, common_plan, default_instrument
from execution.children import child_meta
from execution.contracts import ExecutionAlgorithm
from execution.params import Sliced
from execution.plan import NS_PER_MS, Plan, Style, View

STYLES = {"market": Style.MARKET, "limit": Style.LIMIT, "limit_then_cross": Style.REST_THEN_CROSS}
DEFAULT_SLICES = 10


class SlicedExecutor(RuleExecutor):
    """An executor that cuts its horizon into slices of equal length."""

    def wanted_slices(self, params: Any, terms: Terms) -> int:
        """How many slices the parameters ask for: by the interval where there is one, else the count."""
        if params.interval_seconds is not None:
            interval_ms = max(1, round(params.interval_seconds * 1000))
            wanted = -(-terms.horizon_ms // interval_ms)
        else:
            wanted = params.slice_count or DEFAULT_SLICES
        return max(1, int(wanted))

    def slices_of(self, params: Any, terms: Terms) -> int:
        """The wanted slices, but none shorter than what the market's data can tell apart."""
        return max(1, min(self.wanted_slices(params, terms), terms.horizon_ms // self.least_interval_ms))

    def sliced_plan(self, params: Sliced, terms: Terms, facts: Facts, slices: int, **more: Any) -> Plan:
        """The plan with these slices; `more` overrides or adds fields."""
        settings: dict[str, Any] = {
            **common_plan(params, terms),
            "side": facts.side,
            "slices": slices,
            "nominal": -(-terms.quantity // slices),
            "min_lots": facts.min_lots,
            "style": STYLES[params.style],
            "completion_ms": self.lead_ms(params, terms, slices),
            "rest_ppm": round(params.rest_share * 1_000_000),
            "repeg_ticks": params.repeg_ticks,
            "cross_spreads": params.cross_spreads if params.style == "limit_then_cross" else 0,
            **more,
        }
        return Plan(**settings)

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """One intent per slice, in order of time. Limit prices are indicative: a child is priced when it is released.

        Raises ValueError where a limit order has no price: neither `quotes` nor `params["limit_price"]` gives one.
        """
        machine = self.start(algo, start_ns=self.clock.now_ns())
        parent, plan = machine.parent, replace(machine.plan, reweight=0, cap_ppm=0)
        params = self.params(algo)
        price = self.price_of(algo, params)
        if price is None and plan.style != Style.MARKET:
            raise ValueError(
                f"limit slices of {algo.symbol} need a price: give quotes= to the executor, "
                'or "limit_price" in params, or choose order_type "market"'
            )
        total = machine.report().total_quantity
        self._track(algo, parent, (), total)
        intents = []
        done = 0
        for index in range(plan.slices):
            start_ms = rules.slice_start_ms(plan, machine.curve, index)
            view = View(now_ms=start_ms, filled=done)
            room = rules.slice_room(plan, machine.curve, view, index)
            lots = rules.child_lots(plan, self.due(plan, machine.curve, view), room, view)
            done += lots
            if lots > 0:
                scheduled_ts_ns = parent.start_ns + start_ms * NS_PER_MS
                quantity = self.instrument_of(parent.execution_id).qty(lots)
                intents.append(self.slice_intent(parent.execution_id, index, quantity, scheduled_ts_ns, price))
        self._track(algo, parent, intents, total)
        return intents

    def slice_intent(
        self, execution_id: str, slice_idx: int, quantity: float, scheduled_ts_ns: int, current_price: float | None
    ) -> OrderIntent:
        """The intent of one slice of an execution of this executor; its `meta` is what fill tracking needs."""
        tracker = self.tracker(execution_id)
        parent, params = tracker.parent, self.params(tracker.algo)
        instrument = self.instrument or default_instrument(parent.symbol)
        limit_price = params.limit_price if params.style == "market" else current_price
        if limit_price is not None:
            worst = params.limit_price if params.limit_price is not None else limit_price
            if parent.side == "buy":
                limit_price = instrument.price(instrument.ticks(min(limit_price, worst)))
            else:
                limit_price = instrument.price(instrument.ticks_up(max(limit_price, worst)))
        return OrderIntent(
            ids.child_id(execution_id, slice_idx),
            self.clock.now_ns(),
            self.strategy_id,
            parent.symbol,
            parent.side,
            "market" if limit_price is None else "limit",
            quantity,
            limit_price,
            child_meta(parent, slice_idx, scheduled_ts_ns),
        )


def largest_step(targets: Sequence[int]) -> int:
    """Lots of the largest slice of a curve: what is ordinary at its peak is no catching up."""
    return max(after - before for before, after in pairwise((0, *targets)))


def feasible_slices(terms: Terms, wanted: int, min_lots: int) -> int:
    """As many slices as wanted, or as many as get the venue's minimum each: fewer and larger, never one burst.

    Raises ValueError where not even one slice does.
    """
    refuse_below_minimum(terms, min_lots)
    return max(1, min(wanted, terms.quantity // min_lots, terms.horizon_ms))


def refuse_below_minimum(terms: Terms, min_lots: int) -> None:
    """Raises ValueError where the venue takes no order as small as the whole quantity."""
    if terms.quantity < min_lots:
        raise ValueError(f"the quantity of {terms.quantity} lots is below the venue's minimum of {min_lots} lots")
