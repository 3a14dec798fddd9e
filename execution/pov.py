"""POV: a share of the market's volume, as it trades."""

from __future__ import annotations

from typing import Any

from core import topics
from core.bus import BusProto
from core.contracts import OrderIntent, TradeEvent
from execution import volume
from execution.adapters import until
from execution.base import Facts, ratio_ppm
from execution.contracts import ExecutionAlgorithm
from execution.kernel import kernel
from execution.params import PovParams
from execution.parent import Schedule, Terms
from execution.plan import NS_PER_MS, Completion, Curve, Plan, View
from execution.profile import VolumeHistory, volume_profile
from execution.rules import slices_begun
from execution.sliced import SlicedExecutor, refuse_below_minimum
from execution.vwap import past_volumes
from research.data_reader import DataReader


@kernel
def due(plan: Plan, curve: Curve, view: View) -> int:
    """Lots due by now: r / (1 - r) * others' volume, of what has traded and, fed forward, of the slice that begins.

    In a hurry also what must be done now because the slices behind this one, at the cap, could not take it.
    """
    begun = slices_begun(plan, curve, view.now_ms)
    if begun == 0:
        return 0
    over = begun - 1
    others = view.counted
    coming = volume.next_volume(plan, curve, view, over)
    if plan.feed_forward > 0:
        others += coming
    lots = others * plan.ratio_ppm // 1_000_000
    if plan.hurry > 0 and over > 0:
        later = (plan.slices - begun) * coming
        lots = max(lots, plan.quantity - later * plan.cap_ppm // 1_000_000)
    return min(plan.quantity, lots)


class POVExecutor(SlicedExecutor):
    """Takes `target_pov` of the market's volume, slice by slice, and pauses while a slice trades too little.

    More keyword arguments: `history` (volumes, instead of reading them), those of `RuleExecutor`, and the parameters of
    `execution.params.PovParams` as defaults.
    """

    algo_type = "POV"
    params_type = PovParams
    due = staticmethod(due)

    def __init__(
        self,
        strategy_id: str,
        data_reader: DataReader | None,
        target_pov: float = 0.2,
        min_volume_threshold: float = 1000.0,
        *,
        history: VolumeHistory | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(strategy_id, target_pov=target_pov, min_volume_threshold=min_volume_threshold, **keywords)
        self.data_reader = data_reader
        self._history = history

    def schedule(self, params: PovParams, terms: Terms, facts: Facts) -> Schedule:
        refuse_below_minimum(terms, facts.min_lots)
        slices = self.slices_of(params, terms)
        plan = self.sliced_plan(
            params,
            terms,
            facts,
            slices,
            nominal=terms.quantity,
            ratio_ppm=ratio_ppm(params.rate, of_total=params.of_total),
            cap_ppm=ratio_ppm(params.most, of_total=params.of_total),
            own_in_tape=int(params.own_in_tape),
            min_volume=facts.instrument.lots(params.min_volume_threshold),
            feed_forward=int(params.feed_forward),
            hurry=int(params.pov_completion == "complete"),
            spike=params.spike,
            spike_slices=params.spike_slices,
            completion=Completion.COMPLETE if params.pov_completion == "sweep" else Completion.CANCEL,
        )
        history = past_volumes(self._history, self.data_reader, facts.symbol, terms.start_ns, params.lookback_days)
        profile = volume_profile(
            history, terms.start_ns, terms.horizon_ms * NS_PER_MS, plan.slices, params.lookback_days
        )
        return Schedule(plan, Curve(volume=profile.expected(facts.instrument)), {"profile_source": profile.source})

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """The first child, which is all that can be known at the start; empty where no volume is expected at once."""
        return self.first_children(algo)

    async def _monitor_volume(self, bus: BusProto, symbol: str) -> float:
        """Base quantity that trades on `md.trades.{symbol}` in one measurement period, `interval_seconds` from now."""
        params = self.params(ExecutionAlgorithm("POV", symbol, "buy", 1.0, 60))
        period_ns = round((params.interval_seconds or 60.0) * 1e9)
        deadline_ns = self.clock.now_ns() + period_ns
        total = 0.0
        async for message in until(bus.subscribe(topics.trades(symbol)), self.clock, deadline_ns):
            total += TradeEvent.from_dict(message).qty
        return total

    def _calculate_slice_size(self, market_volume: float, remaining_quantity: float, time_remaining_ns: int) -> float:
        """Quantity to send after a period in which others traded `market_volume`; 0 below the volume threshold.

        The target's share of it, or what the time that is left requires, whichever is more; never more than
        `max_participation` of the volume, nor than what remains.
        """
        params = self.params(ExecutionAlgorithm(self.algo_type, "-", "buy", 1.0, 60))
        if market_volume <= 0 or market_volume < params.min_volume_threshold:
            return 0.0
        share = ratio_ppm(params.rate, of_total=params.of_total) / 1e6
        cap = ratio_ppm(params.most, of_total=params.of_total) / 1e6 * market_volume
        periods = max(1.0, time_remaining_ns / ((params.interval_seconds or 60.0) * 1e9))
        return min(remaining_quantity, cap, max(share * market_volume, remaining_quantity / periods))
