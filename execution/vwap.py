"""VWAP: slices weighted by when the market usually trades, followed as its volume comes in."""

from __future__ import annotations

from typing import Any

from core.contracts import OrderIntent
from execution import volume
from execution.algorithm import Schedule, Terms
from execution.base import Facts
from execution.contracts import ExecutionAlgorithm
from execution.historical import HistoricalExecutor
from execution.kernel import kernel
from execution.params import VwapParams
from execution.plan import Curve, Plan, View
from execution.profile import VolumeHistory
from execution.rules import slices_begun
from execution.sliced import feasible_slices, largest_step
from execution.whole_lots import cumulative_lots
from research.data_reader import DataReader

DEFAULT_INTERVAL_MS = 300_000


@kernel
def due(plan: Plan, curve: Curve, view: View) -> int:
    """Lots due by the end of the present slice, k of them begun.

    Planned: targets[k]. Followed: Q * (V_seen + V_next) / (V_seen + V_next + V_rest), never further than `stray_ppm` of
    Q from the plan, and no more once `settle_ppm` of the expected volume has traded. Without an expectation: planned.
    """
    begun = slices_begun(plan, curve, view.now_ms)
    if begun == 0:
        return 0
    if begun >= plan.slices:
        return plan.quantity
    planned = curve.targets[begun - 1]
    if plan.reweight == 0 or len(curve.volume) == 0 or begun == 1:
        return planned
    scale = volume.level(plan, curve, view, begun - 1)
    seen = float(view.counted)
    coming = volume.next_volume(plan, curve, view, begun - 1)
    rest = (curve.volume[plan.slices - 1] - curve.volume[begun - 1]) * scale
    total = seen + coming + rest
    if total <= 0 or seen * 1_000_000 > plan.settle_ppm * total:
        return planned
    stray = plan.quantity * plan.stray_ppm // 1_000_000
    return min(max(int(plan.quantity * ((seen + coming) / total)), planned - stray), planned + stray)


class VWAPExecutor(HistoricalExecutor):
    """Weights slices by the volume curve of past days. `data_reader` None: there is no history, the curve is uniform.

    More keyword arguments: `history` (volumes by symbol, instead of reading them), those of `RuleExecutor`, and the
    parameters of `execution.params.VwapParams` as defaults.
    """

    algo_type = "VWAP"
    params_type = VwapParams
    due = staticmethod(due)

    def __init__(
        self,
        strategy_id: str,
        data_reader: DataReader | None,
        lookback_days: int = 7,
        *,
        history: VolumeHistory | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(strategy_id, data_reader, history, lookback_days=lookback_days, **keywords)

    def wanted_slices(self, params: Any, terms: Terms) -> int:
        if params.slice_count is None and params.interval_seconds is None:
            return max(2, min(288, terms.horizon_ms // DEFAULT_INTERVAL_MS))
        return super().wanted_slices(params, terms)

    def schedule(self, params: VwapParams, terms: Terms, facts: Facts) -> Schedule:
        slices = feasible_slices(terms, self.slices_of(params, terms), facts.min_lots)
        profile = self.past_profile(facts.symbol, terms, slices, params.lookback_days, params.min_volume_threshold)
        curve = Curve(
            targets=cumulative_lots(profile.weights, terms.quantity), volume=profile.expected(facts.instrument)
        )
        plan = self.sliced_plan(
            params,
            terms,
            facts,
            slices,
            nominal=largest_step(curve.targets),
            reweight=int(params.reweight),
            stray_ppm=round(params.max_stray * 1_000_000),
            settle_ppm=round(params.settle_at * 1_000_000),
        )
        return Schedule(plan, curve, {"profile_source": profile.source})

    def _calculate_volume_profile(self, symbol: str, duration_seconds: int) -> list[float]:
        """Expected share of volume of each slice, from now on; they sum to 1. Without history: equal shares."""
        params = self.params(ExecutionAlgorithm("VWAP", symbol, "buy", 1.0, duration_seconds))
        now_ns = self.clock.now_ns()
        terms = Terms(quantity=1, horizon_ms=duration_seconds * 1000, limit_ticks=0, start_ns=now_ns)
        bins = self.slices_of(params, terms)
        profile = self.past_profile(symbol, terms, bins, params.lookback_days, params.min_volume_threshold)
        return [float(weight) for weight in profile.weights]

    def _create_weighted_intent(
        self,
        execution_id: str,
        slice_idx: int,
        weight: float,
        total_quantity: float,
        scheduled_ts_ns: int,
        current_price: float | None,
    ) -> OrderIntent:
        """The intent of one slice: `weight` of the total, rounded down to lots."""
        lots = self.instrument_of(execution_id).lots(weight * total_quantity)
        quantity = self.instrument_of(execution_id).qty(lots)
        return self.slice_intent(execution_id, slice_idx, quantity, scheduled_ts_ns, current_price)
