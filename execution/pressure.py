"""How our own trading moves a market of bars: a slippage model, the market's conditions, and its memory."""

from __future__ import annotations

import math

from core.bars import Bars
from core.columns import plain
from execution.conditions import Conditions
from execution.impact import ImpactMemory, StandingImpact
from execution.slippage import AlmgrenSlippageModel, ImpactRequest, MarketContext, PowerLawSlippageModel, SlippageModel


class Pressure:
    """Displacement of a symbol's price by our trading, bar by bar.

    Power-law and Almgren models have a memory, scaled by volatility and daily volume as known before the bar's day.
    Where nothing is known of either (the first bars of a history), and for any other model, the model's own formula
    holds as it stands, against the volume of the bar and without a memory: an unknown volatility counts as 1.
    """

    def __init__(self, bars: Bars, model: SlippageModel | None, permanent_share: float, conditions: Conditions) -> None:
        self._model = model
        self._memory, self._coefficient = memory_of(model, permanent_share)
        self._open, self._volume = plain(bars.open), plain(bars.volume)
        self._volatility, self._daily_volume = plain(conditions.volatility), plain(conditions.daily_volume)
        self._volume_days = plain(conditions.volume_days)
        self._traded = False
        self._clock = 0  # the bar before which the memory stands
        self._asked, self._shift = 0, 0.0  # the last bar that was asked about, and the displacement there

    def displacement(self, k: int) -> float:
        """Where our past trading holds the price as bar k opens, as a fraction of price.

        Asking changes nothing: a result must not depend on which idle bars somebody looked at.
        """
        if self._traded and k != self._asked and self._memory is not None:
            self._asked, self._shift = k, self._memory.displacement(self._rest(k))
        return self._shift

    def charge(self, k: int, quantity: float) -> float:
        """Average displacement while we trade this signed quantity in bar k, as a fraction of price."""
        shift = self.displacement(k)
        if quantity == 0 or self._model is None:
            return shift
        volume = self._volume[k]
        if self._memory is None or math.isnan(self._volatility[k]):
            return shift + math.copysign(_bare(self._model, abs(quantity), volume, self._open[k]), quantity)
        self._settle(k)
        return self._memory.charge(quantity / volume, self._days_of(k), self._coefficient * self._volatility[k])

    def carried(self, k: int) -> float:
        """What of `charge` is due to our trading before bar k: the average displacement in it if we trade no more."""
        if self._memory is None or not self._traded or math.isnan(self._volatility[k]) or not self._volume[k]:
            return self.displacement(k)
        self._settle(k)
        return self._memory.charge(0.0, self._days_of(k), 0.0)

    def traded(self, k: int, quantity: float) -> None:
        """We have traded this signed quantity in bar k."""
        if self._memory is None or math.isnan(self._volatility[k]):
            return
        self._settle(k)
        scale = self._coefficient * self._volatility[k]
        self._memory.trade(quantity / self._volume[k], self._days_of(k), scale)
        self._traded = True
        self._clock = self._asked = k + 1
        self._shift = self._memory.displacement()

    def _settle(self, k: int) -> None:
        """Brings the memory to the open of bar k, in which we trade or try to."""
        if self._traded and k > self._clock and self._memory is not None:
            self._memory.rest(self._rest(k))
            self._clock = k

    def _rest(self, k: int) -> float:
        return max(0.0, self._volume_days[k] - self._volume_days[self._clock])

    def _days_of(self, k: int) -> float:
        """The bar's volume in volume-days."""
        return self._volume[k] / self._daily_volume[k]


def memory_of(
    model: SlippageModel | None, permanent_share: float
) -> tuple[ImpactMemory | StandingImpact | None, float]:
    """A fresh memory for the model, and what volatility is multiplied with for its `scale`; (None, 0) without one."""
    if isinstance(model, PowerLawSlippageModel):
        return ImpactMemory(model.exponent, permanent_share), model.impact_coefficient
    if isinstance(model, AlmgrenSlippageModel):
        return StandingImpact(model.eta, model.beta, model.standing()), 1.0
    return None, 0.0


def _bare(model: SlippageModel, quantity: float, volume: float, price: float) -> float:
    """What the model alone says, as a fraction of price, with the bar's volume for the day's."""
    if isinstance(model, AlmgrenSlippageModel):
        context = MarketContext(volatility=1.0, daily_volume=volume)
        request = ImpactRequest(
            order_size=quantity, market_volume=volume, bid_ask_spread=0.0, reference_price=price, context=context
        )
        return model.estimate(request).total / price
    return model.calculate_slippage(quantity, volume, 0.0, price) / price
