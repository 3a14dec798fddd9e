"""How our own trading moves a market of bars: a slippage model, the market's conditions, and its memory."""

from __future__ import annotations

from core.bars import Bars
from execution.conditions import DAY_NS, Conditions, PastConditions
from execution.impact import ImpactMemory
from execution.slippage import PowerLawSlippageModel, SlippageModel


class Pressure:
    """Displacement of a symbol's price by our trading, bar by bar.

    A power-law model has a memory, scaled by the volatility and the daily volume of the seven days before the bar's
    day. Where nothing is known of either (the first bars of a history), and for any other model, the model's own
    formula holds as it stands, against the volume of the bar and without a memory.

    `history`: conditions of a longer history, in which bar 0 here is bar `offset` there.
    """

    def __init__(
        self,
        bars: Bars,
        model: SlippageModel | None,
        permanent_share: float,
        history: PastConditions | None = None,
        offset: int = 0,
    ) -> None:
        self._bars = bars
        self._model = model
        self._history = history if history is not None else PastConditions(bars)
        self._offset = offset
        self._memory = None
        if isinstance(model, PowerLawSlippageModel):
            self._memory = ImpactMemory(model.exponent, permanent_share)
        self._clock: int | None = None  # the bar before which the memory stands; None: we have never traded
        self._known: dict[int, Conditions | None] = {}

    def displacement(self, k: int) -> float:
        """Where our past trading holds the price as bar k opens, as a fraction of price."""
        if self._memory is None or self._clock is None:
            return 0.0
        if k > self._clock:
            conditions = self.conditions(k - 1)
            if conditions is not None:
                self._memory.rest(self._history.volume_between(self._clock, k, self._offset) / conditions.daily_volume)
            self._clock = k
        return self._memory.displacement()

    def charge(self, k: int, quantity: float) -> float:
        """Average displacement while we trade this signed quantity in bar k, as a fraction of price."""
        if quantity == 0 or self._model is None:
            return self.displacement(k)
        volume = float(self._bars.volume[k])
        conditions = self.conditions(k)
        if self._memory is None or conditions is None:
            price = float(self._bars.open[k])
            slippage = self._model.calculate_slippage(abs(quantity), volume, 0.0, price) / price
            return self.displacement(k) + (slippage if quantity > 0 else -slippage)
        self.displacement(k)
        return self._memory.charge(quantity / volume, volume / conditions.daily_volume, self._scale(conditions))

    def traded(self, k: int, quantity: float) -> None:
        """We have traded this signed quantity in bar k."""
        conditions = self.conditions(k)
        if self._memory is None or conditions is None:
            return
        self.displacement(k)
        volume = float(self._bars.volume[k])
        self._memory.trade(quantity / volume, volume / conditions.daily_volume, self._scale(conditions))
        self._clock = k + 1

    def conditions(self, k: int) -> Conditions | None:
        """Volatility and daily volume as known when bar k's day began, or on the first day when bar k opened."""
        day = int(self._bars.ts_open_ns[k]) // DAY_NS
        if day not in self._known:
            at_midnight = self._history.before(self._history.first_bar_of(day))
            if at_midnight is None:
                return self._history.before(k + self._offset)
            self._known[day] = at_midnight
        return self._known[day]

    def _scale(self, conditions: Conditions) -> float:
        assert isinstance(self._model, PowerLawSlippageModel)
        return self._model.impact_coefficient * conditions.volatility
