"""Slippage models: what an order of some size costs against a volume, in price units per unit of quantity.

They are pure and know no side: the caller adds the amount to a buy's price and takes it from a sell's.
`execution.impact` gives the same models a memory for use in a simulated market.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from core import checks


class SlippageModel(ABC):
    @abstractmethod
    def calculate_slippage(
        self, order_size: float, market_volume: float, bid_ask_spread: float, reference_price: float
    ) -> float:
        """Expected slippage of an order that takes, in price units, never negative.

        Args:
            order_size: order quantity
            market_volume: market volume over the time in which the order trades, in the same units
            bid_ask_spread: current spread between bid and ask, in price units; half of it is paid
            reference_price: price before the order, in quote currency
        """


class PowerLawSlippageModel(SlippageModel):
    """coefficient * (order_size / volume) ** exponent * reference_price + spread / 2.

    `volatility` (of returns, over the same time as the volume) multiplies the coefficient where it is known: the
    coefficient then is the literature's Y, about 0.5 to 1. Without it the coefficient stands alone.
    """

    def __init__(self, impact_coefficient: float, exponent: float, *, volatility: float | None = None) -> None:
        checks.not_negative("impact_coefficient", impact_coefficient)
        if not 0 < exponent <= 1:
            raise ValueError(f"exponent must be above 0 and at most 1, was {exponent}")
        if volatility is not None:
            checks.not_negative("volatility", volatility)
        self.impact_coefficient = impact_coefficient
        self.exponent = exponent
        self.volatility = volatility

    def calculate_slippage(
        self, order_size: float, market_volume: float, bid_ask_spread: float, reference_price: float
    ) -> float:
        """See the class. An order of size 0 costs 0.

        Raises ValueError for NaN, infinite or negative arguments, and for an order against no volume at all: its cost
        is unknown, not zero.
        """
        checks.not_negative("order_size", order_size)
        checks.not_negative("market_volume", market_volume)
        checks.not_negative("bid_ask_spread", bid_ask_spread)
        checks.positive("reference_price", reference_price)
        if order_size == 0:
            return 0.0
        if market_volume == 0:
            raise ValueError(f"market_volume must be above 0 for an order of {order_size}, was 0")
        scale = self.impact_coefficient * (1.0 if self.volatility is None else self.volatility)
        impact: float = scale * (order_size / market_volume) ** self.exponent * reference_price
        return impact + bid_ask_spread / 2


class LinearSlippageModel(PowerLawSlippageModel):
    """impact_coefficient * (order_size / volume) * reference_price + spread / 2."""

    def __init__(self, impact_coefficient: float = 0.001, *, volatility: float | None = None) -> None:
        super().__init__(impact_coefficient, 1.0, volatility=volatility)


class SquareRootSlippageModel(PowerLawSlippageModel):
    """impact_coefficient * sqrt(order_size / volume) * reference_price + spread / 2.

    Without a volatility the default of 0.5 prices 1 % of volume at 5 % of price; with a daily volatility of 4 % and
    daily volume at 0.2 %.
    """

    def __init__(self, impact_coefficient: float = 0.5, *, volatility: float | None = None) -> None:
        super().__init__(impact_coefficient, 0.5, volatility=volatility)
