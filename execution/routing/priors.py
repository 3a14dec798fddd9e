"""What an arm should cost by the calibrated model, fast enough to ask for every order.

Forecasts are made on a grid, sizes and durations by half octaves, volatilities by octaves, and kept; impact between
the points goes with the volatility and the root of the size, spread and fees are added as they are.
mean + (1 - completion) * `Situation.unfilled_bps`, in the way of the recommendation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from execution.routing.rules import algo_of, urgency_of
from execution.routing.situation import DAY_S, Situation

if TYPE_CHECKING:
    from execution.config import ExecutionConfig
    from execution.params import Urgency

_SIZE: Final = 2  # points per octave
_VOLATILITY: Final = 1
_DURATION: Final = 2
_NO_IMPACT: Final = -10_000
URGENCY_OF_STYLE: Final[dict[str, Urgency]] = {"limit": "low", "limit_then_cross": "medium", "market": "high"}
LEAST_SIZE: Final = 1e-7  # of daily volume: below, impact is nothing


class _Cell(NamedTuple):
    impact_bps: float
    passive: float
    completion: float


class Priors:
    """Forecast costs of arms under these settings."""

    def __init__(self, settings: ExecutionConfig) -> None:
        self._settings = settings
        self._scales = settings.slippage.model != "fixed_bps"
        self._cells: dict[tuple[str | int, ...], _Cell] = {}
        self._rows: dict[tuple[tuple[str, ...] | int, ...], list[_Cell]] = {}

    def __call__(self, arms: tuple[str, ...], situation: Situation, unfilled_bps: float) -> list[float]:
        """bps of notional, one for each arm; without volatility or volume, spread and fees alone; without a spread,
        none of that. unfilled_bps: what `Situation.unfilled_bps` is under these settings."""
        market = situation.market
        spread = market.spread_bps
        if spread != spread:  # NaN
            spread = 0.0
        size, volatility = situation.size, market.volatility
        ratio = 1.0
        point = (_NO_IMPACT, 0, 0)
        if size > LEAST_SIZE and volatility > 0:  # neither is NaN
            octaves, rises, times = math.log2(size), math.log2(volatility), math.log2(situation.duration_s)
            point = (round(_SIZE * octaves), round(_VOLATILITY * rises), round(_DURATION * times))
            if self._scales:
                ratio = 2.0 ** (rises - point[1] / _VOLATILITY + (octaves - point[0] / _SIZE) / 2)
        taking, making = spread / 2 + market.taker_fee_bps, market.maker_fee_bps
        cells = self._rows.get((arms, *point))
        if cells is None:
            cells = self._rows[arms, *point] = [self._cell(arm, *point) for arm in arms]
        return [
            (1 - passive) * taking + passive * making + ratio * impact + (1 - completion) * unfilled_bps
            for impact, passive, completion in cells
        ]

    def _cell(self, arm: str, *point: int) -> _Cell:
        found = self._cells.get((arm, *point))
        if found is None:
            found = self._cells[arm, *point] = self._made(arm, *point)
        return found

    def _made(self, arm: str, size: int, volatility: int, duration: int) -> _Cell:
        from execution.pretrade.forecast import Forecaster, Impact, Market
        from execution.pretrade.volume_outlook import VolumeOutlook
        from execution.slippage import slippage_model

        settings = self._settings
        nothing = size == _NO_IMPACT
        quantity = LEAST_SIZE if nothing else 2.0 ** (size / _SIZE)
        model = None if nothing else slippage_model(settings.slippage)
        most = settings.fills.max_participation
        rates = [one.target_pov for one in settings.algorithms if one.type == "POV"]
        forecaster = Forecaster(
            quantity=quantity,
            market=Market(
                price=1.0,
                volatility=0.01 if nothing else 2.0 ** (volatility / _VOLATILITY),
                outlook=VolumeOutlook(1.0),
                spread_bps=0.0,
            ),
            impact=Impact(model=model, permanent_share=settings.slippage.permanent_share),
            urgency=self._urgency(arm),
            max_participation=most,
            pov_rate=min([most, *rates]),
        )
        seconds = 1800 if nothing else min(DAY_S, max(1, round(2.0 ** (duration / _DURATION))))
        made = forecaster.forecast(algo_of(arm), seconds)  # type: ignore[arg-type]
        return _Cell(made.impact_bps, made.passive_share, 1.0 if nothing else made.completion)

    def _urgency(self, arm: str) -> Urgency:
        """The arm's own, else that of the order style that is configured."""
        told = urgency_of(arm)
        if told is not None:
            return told  # type: ignore[return-value]
        for one in self._settings.algorithms:
            if one.type == algo_of(arm):
                return URGENCY_OF_STYLE[getattr(one, "order_type", "limit_then_cross")]
        return "medium"
