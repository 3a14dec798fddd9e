"""TWAP: equal slices at equal intervals."""

from __future__ import annotations

from typing import Any, Literal

from core import ids
from core.bus import BusProto
from core.contracts import OrderIntent
from execution import rules
from execution.adapters import until
from execution.base import RuleExecutor, common_plan, default_instrument, feasible_slices
from execution.children import child_meta
from execution.contracts import ExecutionAlgorithm, ExecutionReport
from execution.kernel import kernel
from execution.params import TwapParams
from execution.parent import END_OF_HORIZON, Terms
from execution.plan import NS_PER_MS, Plan, Style, View


@kernel
def due(plan: Plan, view: View) -> int:
    """Lots due by now: floor(Q * k / N), k = slices begun; all of Q in the last slice."""
    return plan.quantity * rules.slices_begun(plan, view.now_ms) // plan.slices


class TWAPExecutor(RuleExecutor):
    """Splits a parent into `slice_count` equal children at equal intervals; children are limit orders at the mid, or
    market orders.

    More keyword arguments: see `RuleExecutor`; parameters: see `execution.params.TwapParams`.
    """

    algo_type = "TWAP"
    params_type = TwapParams
    due = staticmethod(due)

    def __init__(
        self, strategy_id: str, slice_count: int = 10, order_type: Literal["limit", "market"] = "limit", **keywords: Any
    ) -> None:
        super().__init__(strategy_id, slice_count=slice_count, order_type=order_type, **keywords)

    def plan(self, params: TwapParams, terms: Terms, *, side: int, min_lots: int) -> Plan:
        wanted = params.slice_count
        if params.interval_seconds is not None:
            wanted = max(1, -(-terms.horizon_ms // round(params.interval_seconds * 1000)))
        slices = feasible_slices(terms, wanted, min_lots)
        lead_ms = terms.horizon_ms // (2 * slices)
        if params.completion_seconds is not None:
            lead_ms = min(terms.horizon_ms, round(params.completion_seconds * 1000))
        return Plan(
            side=side,
            slices=slices,
            nominal=-(-terms.quantity // slices),
            min_lots=min_lots,
            style=Style.MARKET if params.order_type == "market" else Style.LIMIT,
            completion_ms=lead_ms,
            **common_plan(params, terms),
        )

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """One intent per slice, in order of time. Limit prices are indicative: a child is priced when it is released.

        Raises ValueError where a limit order has no price: neither `quotes` nor `params["limit_price"]` gives one.
        """
        self._expect(algo)
        params = self.params(algo)
        instrument = self.instrument or default_instrument(algo.symbol)
        price = self._price(algo, params)
        if price is None and params.order_type == "limit":
            raise ValueError(
                f"limit slices of {algo.symbol} need a price: give quotes= to the executor, "
                'or "limit_price" in params, or choose order_type "market"'
            )
        terms = self._terms(algo, params, instrument)
        min_lots = instrument.min_lots(price) if price is not None else 1
        plan = self.plan(params, terms, side=1 if algo.side == "buy" else -1, min_lots=min_lots)
        parent = self._parent(algo, params, self.clock.now_ns(), None, "", None)
        self._track(algo, parent, ())
        intents = []
        done = 0
        for index in range(plan.slices):
            start_ms = rules.slice_start_ms(plan, index)
            lots = due(plan, View(now_ms=start_ms)) - done
            done += lots
            intents.append(
                self._create_slice_intent(
                    parent.execution_id,
                    index,
                    instrument.qty(lots),
                    parent.start_ns + start_ms * NS_PER_MS,
                    price,
                )
            )
        self._track(algo, parent, intents)
        return intents

    def _create_slice_intent(
        self,
        execution_id: str,
        slice_idx: int,
        quantity: float,
        scheduled_ts_ns: int,
        current_price: float | None,
    ) -> OrderIntent:
        """The intent of one slice of an execution of this executor; its `meta` is what fill tracking needs."""
        parent = self.tracker(execution_id).parent
        params = self.params(self.tracker(execution_id).algo)
        instrument = self.instrument or default_instrument(parent.symbol)
        limit_price = params.limit_price if params.order_type == "market" else current_price
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

    async def _monitor_fills(self, bus: BusProto, execution_id: str) -> ExecutionReport:
        """Follows the fills of a planned execution until all is filled or its time is over.

        Then `tracker(execution_id).cancels(now)` has the cancels for what is still open.
        """
        tracker = self.tracker(execution_id)
        async for fill in until(self.track_fills(bus, execution_id), self.clock, tracker.end_ns):
            tracker.on_fill(fill)
            if tracker.complete:
                return tracker.report(end_ns=fill.ts_fill_ns, status="completed")
        return tracker.report(end_ns=tracker.end_ns, status="cancelled", reason=END_OF_HORIZON)


class MarketOrderExecutor(TWAPExecutor):
    """The whole parent as one market order at once: what a backtest without an execution config does."""

    label = "MARKET"

    def __init__(self, strategy_id: str, **keywords: Any) -> None:
        super().__init__(strategy_id, 1, "market", **keywords)
