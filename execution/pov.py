"""POV: a share of the market's volume, as it trades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core import checks, topics
from core.contracts import OHLCVBar, OrderIntent, TradeEvent
from execution import volume
from execution.algorithm import Schedule, Terms
from execution.base import Facts, ratio_ppm
from execution.contracts import ExecutionAlgorithm
from execution.historical import HistoricalExecutor
from execution.kernel import kernel
from execution.params import PovParams
from execution.plan import MAX_TAPE_LOTS, Completion, Curve, Plan, View
from execution.profile import VolumeHistory
from execution.rules import slices_begun
from execution.sliced import refuse_below_minimum
from research.data_reader import DataReader

if TYPE_CHECKING:
    from core.bus import BusProto

DEFAULT_PERIOD_SECONDS: Final = 60.0


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
        others = min(others + coming, MAX_TAPE_LOTS)
    lots = others * plan.ratio_ppm // 1_000_000
    if plan.hurry > 0 and over > 0:
        enough = plan.quantity * 1_000_000 // max(1, plan.cap_ppm) + 1  # beyond it all the rest can be done later
        later = min((plan.slices - begun) * coming, enough)
        lots = max(lots, plan.quantity - later * plan.cap_ppm // 1_000_000)
    return min(plan.quantity, lots)


class POVExecutor(HistoricalExecutor):
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
        keywords.update(target_pov=target_pov, min_volume_threshold=min_volume_threshold)
        super().__init__(strategy_id, data_reader, history, **keywords)

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
        profile = self.past_profile(facts.symbol, terms, plan.slices, params.lookback_days)
        return Schedule(plan, Curve(volume=profile.expected(facts.instrument)), {"profile_source": profile.source})

    async def plan_execution(self, algo: ExecutionAlgorithm) -> list[OrderIntent]:
        """The first child, which is all that can be known at the start; empty where no volume is expected at once."""
        return self.first_children(algo)

    async def _monitor_volume(self, bus: BusProto, symbol: str) -> float:
        """Base quantity that trades in one measurement period, `interval_seconds` from now by the executor's clock.

        From `md.trades.{symbol}`, each trade once by its id; where no trade comes, from the bars of
        `md.bars.{symbol}` that close in the period. It listens while it is awaited, and to a closed bus no longer.
        """
        from execution.adapters import Listener, Signal, timer_of

        timer = timer_of(self.clock)
        until_ns = timer.now_ns() + self._period_ns()
        traded = barred = 0.0
        seen: set[str | int | None] = set()
        async with Listener(bus, (topics.trades(symbol), topics.bars(symbol)), timer) as listener:
            while not isinstance(heard := await listener.next(until_ns), Signal):
                topic, message = heard
                if topic == topics.trades(symbol):
                    trade = TradeEvent.from_dict(message)
                    if trade.trade_id not in seen:
                        traded += trade.qty
                    if trade.trade_id is not None:
                        seen.add(trade.trade_id)
                else:
                    bar = OHLCVBar.from_dict(message)
                    if bar.ts_close_ns not in seen:
                        barred += bar.volume
                    seen.add(bar.ts_close_ns)
        return traded if traded > 0 else barred

    def _calculate_slice_size(self, market_volume: float, remaining_quantity: float, time_remaining_ns: int) -> float:
        """Quantity to send after a period in which others traded `market_volume`; 0 below the volume threshold.

        The target's share of it, or what the time that is left requires, whichever is more; never more than
        `max_participation` of the volume, nor than what remains. In whole lots where the executor has an instrument.

        Raises ValueError for a volume or a quantity that is not a number of at least 0.
        """
        checks.not_negative("market_volume", market_volume)
        checks.not_negative("remaining_quantity", remaining_quantity)
        params = self._own_params()
        if market_volume == 0 or market_volume < params.min_volume_threshold:
            return 0.0
        share = ratio_ppm(params.rate, of_total=params.of_total) / 1e6
        cap = ratio_ppm(params.most, of_total=params.of_total) / 1e6
        periods = max(1.0, time_remaining_ns / self._period_ns())
        wanted = max(share * market_volume, remaining_quantity / periods)
        size = min(remaining_quantity, cap * market_volume, wanted)
        return size if self.instrument is None else self.instrument.qty(self.instrument.lots(size))

    def _period_ns(self) -> int:
        return round((self._own_params().interval_seconds or DEFAULT_PERIOD_SECONDS) * 1e9)

    def _own_params(self) -> PovParams:
        """The executor's parameters, without a parent that overrides them."""
        params: PovParams = self.params(ExecutionAlgorithm(self.algo_type, "-", "buy", 1.0, 60))
        return params
