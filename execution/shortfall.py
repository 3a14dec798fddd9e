"""IS, implementation shortfall: early enough not to run the risk of waiting, late enough not to pay for speed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from execution.algorithm import Schedule, Terms
from execution.base import Facts
from execution.historical import HistoricalExecutor
from execution.kernel import kernel
from execution.params import IsParams
from execution.plan import NS_PER_MS, Curve, Plan, View
from execution.pretrade.almgren_chriss import AlmgrenChriss, remaining
from execution.pretrade.forecast import Forecaster, Impact, Market
from execution.pretrade.volume_outlook import VolumeOutlook
from execution.profile import VolumeHistory
from execution.rules import slices_begun
from execution.sliced import feasible_slices, largest_step
from execution.slippage import SquareRootSlippageModel
from research.data_reader import DataReader

Floats = NDArray[np.float64]
UNKNOWN = "nothing is known of volatility and volume"
FLAT = 1e-6  # half-lives in the horizon; with fewer, slices are equal
PART: dict[str, str] = {"low": "all of", "medium": "half of", "high": "a quarter of"}


@kernel
def due(plan: Plan, curve: Curve, view: View) -> int:
    """Lots due by the end of the present slice, k of them begun: Q - x_k, the integers of `trajectory`."""
    begun = slices_begun(plan, curve, view.now_ms)
    if begun == 0:
        return 0
    return curve.targets[begun - 1]


class ISExecutor(HistoricalExecutor):
    """Trades along the trajectory of Almgren and Chriss (2000): the larger the risk aversion, the earlier.

    How steep it is follows from a half-life, from a risk aversion and what is known before the start of volatility and
    volume, or from the urgency. An amendment does not change it: what is left goes on along the same curve.

    More keyword arguments: `history` (volumes and prices, instead of reading them), those of `RuleExecutor`, and the
    parameters of `execution.params.IsParams` as defaults.
    """

    algo_type = "IS"
    params_type = IsParams
    due = staticmethod(due)

    def __init__(
        self,
        strategy_id: str,
        data_reader: DataReader | None = None,
        *,
        history: VolumeHistory | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(strategy_id, data_reader, history, **keywords)

    def schedule(self, params: IsParams, terms: Terms, facts: Facts) -> Schedule:
        slices = feasible_slices(terms, self.slices_of(params, terms), facts.min_lots)
        profile = self.past_profile(facts.symbol, terms, slices, params.lookback_days)
        kappa, why = self.kappa(params, facts)
        notes = {"trajectory": why}
        shares = None
        if params.volume_time:
            shares, notes["profile_source"] = profile.weights, profile.source
        targets = trajectory(terms.quantity, slices, kappa * terms.horizon_ms, shares)
        curve = Curve(targets=targets, volume=profile.expected(facts.instrument))
        plan = self.sliced_plan(params, terms, facts, slices, nominal=largest_step(targets))
        return Schedule(plan, curve, notes)

    def kappa(self, params: IsParams, facts: Facts) -> tuple[float, str]:
        """How steep the trajectory is, per millisecond, and in words where that is from. The same for all terms."""
        first = facts.first
        if params.half_life_seconds is not None:
            return 0.001 / params.half_life_seconds, f"half-life {params.half_life_seconds:,g} s, as told"
        usual = params.steepness / first.horizon_ms
        default = f"half-life {0.001 / usual:,.0f} s, {PART[params.urgency or 'medium']} the horizon"
        if params.risk_aversion is None:
            return usual, default
        trader = self._trader(params, facts) if params.risk_aversion > 0 else None
        kappa = 0.0 if trader is None else trader.kappa(params.risk_aversion) / 86_400_000
        if trader is None and params.risk_aversion > 0:
            return usual, f"{default}: risk_aversion was not used, {UNKNOWN}"
        if trader is None or kappa * first.horizon_ms < FLAT:
            return 0.0, f"equal slices: risk aversion {params.risk_aversion:g}"
        return kappa, (
            f"half-life {0.001 / kappa:,.0f} s, by risk aversion {params.risk_aversion:g} at a volatility of "
            f"{trader.volatility / (facts.price or math.nan):.2%} a day"
        )

    def _trader(self, params: IsParams, facts: Facts) -> AlmgrenChriss | None:
        """The order in a market as it was known before the start; None where too little was."""
        first, instrument = facts.first, facts.instrument
        try:
            history = self.history_before(facts.symbol, first.start_ns, params.lookback_days)
        except DataError:
            history = None
        if history is None or facts.price is None:
            return None
        volatility, daily_volume = history.conditions(first.start_ns)
        if not volatility > 0 or not daily_volume > 0:
            return None
        market = Market(
            price=facts.price,
            volatility=volatility,
            outlook=VolumeOutlook(daily_volume, history, first.start_ns, bar_s=history.bar_ns / 1e9),
            spread_bps=0.0,
        )
        forecaster = Forecaster(
            quantity=instrument.qty(first.quantity),
            market=market,
            impact=Impact(model=SquareRootSlippageModel(params.impact_coefficient)),
        )
        slices = feasible_slices(first, self.slices_of(params, first), facts.min_lots)
        return forecaster.trader(first.horizon_ms * NS_PER_MS / 1e9, slices)


def trajectory(quantity: int, slices: int, steepness: float, shares: Floats | None = None) -> tuple[int, ...]:
    """Lots due by the end of each slice: floor(Q - x_k), x_k = Q sinh(kappa (T - t_k)) / sinh(kappa T); the last is Q.

    steepness: kappa * T, at least 0; 0 is floor(Q k / N), equal slices. shares: of each slice in the clock by which t
    runs, shape (slices,), summing to 1; None: equal ones. Rounded on the running sum, so that no slice is more than a
    lot off, and never behind equal shares.
    """
    clock = None if shares is None else shares[np.newaxis]
    row: list[int] = trajectories(np.array([quantity]), slices, steepness, clock)[0].tolist()
    return tuple(row)


def trajectories(
    quantities: NDArray[np.int64], slices: int, steepness: float, shares: Floats | None = None
) -> NDArray[np.int64]:
    """`trajectory` of each quantity, shape (n, slices). shares: of the slices of each, of the same shape."""
    even = np.arange(1, slices + 1)
    over = (even / slices)[np.newaxis] if shares is None else np.cumsum(shares, axis=1)
    left = np.clip(1 - over / over[:, -1:], 0.0, 1.0)
    whole = quantities[:, np.newaxis]
    done = whole * (1 - remaining(steepness, left, 1.0))
    done += 1e-9
    lots = np.floor(done, out=done).astype(np.int64)
    if shares is None:  # exact where the curve is all but straight
        np.maximum(lots, whole * even // slices, out=lots)
    lots[:, -1] = quantities
    rows: NDArray[np.int64] = np.maximum.accumulate(np.minimum(lots, whole, out=lots), axis=1, out=lots)
    return rows
