"""Slippage models: what an order of some size costs against a volume, in price units per unit of quantity.

They are pure and know no side: the caller adds the amount to a buy's price and takes it from a sell's.
`execution.impact` gives the same models a memory for use in a simulated market.

The four arguments of the specification are the whole of `calculate_slippage`; `estimate` takes the same as an
`ImpactRequest`, with what else may be known, and answers with the parts. Both agree:
`model.calculate_slippage(...) == model.estimate(ImpactRequest(...)).total`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core import checks
from execution.kernel import kernel

if TYPE_CHECKING:
    from execution.config import SlippageConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketContext:
    """What may be known of a market beside the four arguments; None: unknown. Checked where it is made.

    volatility     of returns per square root of a day, as a fraction: 0.02 is 2 %
    daily_volume   base quantity per day
    duration_days  time in which the order trades, in days of average volume ("volume time")
    outstanding    units of the asset that exist, such as shares outstanding
    """

    volatility: float | None = None
    daily_volume: float | None = None
    duration_days: float | None = None
    outstanding: float | None = None

    def __post_init__(self) -> None:
        if self.volatility is not None:
            checks.not_negative("volatility", self.volatility)
        for name in ("daily_volume", "duration_days", "outstanding"):
            value = getattr(self, name)
            if value is not None:
                checks.positive(name, value)


NOTHING_KNOWN: Final = MarketContext()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactRequest:
    """An order to be priced. Arguments as in `SlippageModel.calculate_slippage`; `crosses_spread` False for a maker.

    Raises ValueError, naming the argument, for NaN, infinite or negative ones, and for an order against no volume at
    all: its cost is unknown, not zero.
    """

    order_size: float
    market_volume: float
    bid_ask_spread: float
    reference_price: float
    crosses_spread: bool = True
    context: MarketContext = NOTHING_KNOWN

    def __post_init__(self) -> None:
        checks.not_negative("order_size", self.order_size)
        checks.not_negative("market_volume", self.market_volume)
        checks.not_negative("bid_ask_spread", self.bid_ask_spread)
        checks.positive("reference_price", self.reference_price)
        if self.order_size > 0 and self.market_volume == 0:
            raise ValueError(f"market_volume must be above 0 for an order of {self.order_size}, was 0")

    @property
    def duration_days(self) -> float | None:
        """As the context has it, else the volume in which the order trades as a part of the daily volume."""
        context = self.context
        if context.duration_days is None and context.daily_volume is not None and self.market_volume > 0:
            return self.market_volume / context.daily_volume
        return context.duration_days


@dataclass(frozen=True, slots=True)
class ImpactEstimate:
    """Expected cost in price units per unit of quantity, never negative, and its parts.

    spread     half the spread, 0 for a maker
    temporary  the part of the impact that ends with the trading, or soon after
    permanent  the part that the order pays of the price move that stays (half of the move, where it is linear)
    total      spread + temporary + permanent
    sd         standard deviation of the cost, from the market's own moves while a steady order trades:
               volatility * sqrt(duration_days / 3) * price; NaN where either is unknown
    """

    spread: float
    temporary: float
    permanent: float
    total: float
    sd: float


class SlippageModel(ABC):
    """A model of your own needs `calculate_slippage` alone."""

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

    def estimate(self, request: ImpactRequest) -> ImpactEstimate:
        """The same in parts. Here: what `calculate_slippage` says beyond half the spread counts as temporary."""
        if request.order_size == 0:
            return _NO_ORDER
        slippage = self.calculate_slippage(
            request.order_size, request.market_volume, request.bid_ask_spread, request.reference_price
        )
        half = min(request.bid_ask_spread / 2, slippage)
        spread = half if request.crosses_spread else 0.0
        return ImpactEstimate(spread, slippage - half, 0.0, slippage - half + spread, _sd(request))


class ImpactModel(SlippageModel):
    """A model that knows its parts: `impact` gives the two of the impact, the rest is common.

    Size 0 costs 0, whatever the volume. Size above the volume: the formula goes on, without a cap and without a
    promise that anybody would fill it. Zero volume, NaN and negative arguments: ValueError, see `ImpactRequest`.
    """

    def calculate_slippage(
        self,
        order_size: float,
        market_volume: float,
        bid_ask_spread: float,
        reference_price: float,
        *,
        context: MarketContext | None = None,
    ) -> float:
        """See `SlippageModel`; `context` is what else is known."""
        request = ImpactRequest(
            order_size=order_size,
            market_volume=market_volume,
            bid_ask_spread=bid_ask_spread,
            reference_price=reference_price,
            context=context or NOTHING_KNOWN,
        )
        return self.estimate(request).total

    def estimate(self, request: ImpactRequest) -> ImpactEstimate:
        """Spread, temporary and permanent part of the expected cost, and its standard deviation."""
        if request.order_size == 0:
            return _NO_ORDER
        paid, standing = self.impact(request)
        impact, permanent = paid * request.reference_price, standing * request.reference_price
        spread = request.bid_ask_spread / 2 if request.crosses_spread else 0.0
        return ImpactEstimate(spread, impact - permanent, permanent, impact + spread, _sd(request))

    @abstractmethod
    def impact(self, request: ImpactRequest) -> tuple[float, float]:
        """All the impact that the order pays and the permanent part of it, as fractions of price; size above 0."""


class PowerLawSlippageModel(ImpactModel):
    """coefficient * (order_size / volume) ** exponent * reference_price + spread / 2.

    `volatility` (of returns, over the same time as the volume) multiplies the coefficient where it is known, here or
    from the request's context (then daily, and so must the volume be): the coefficient then is the literature's Y,
    about 0.5 to 1. Without it the coefficient stands alone. `permanent_share` splits the impact; the total is the same.
    """

    def __init__(
        self,
        impact_coefficient: float,
        exponent: float,
        *,
        volatility: float | None = None,
        permanent_share: float = 1 / 3,
    ) -> None:
        checks.not_negative("impact_coefficient", impact_coefficient)
        if not 0 < exponent <= 1:
            raise ValueError(f"exponent must be above 0 and at most 1, was {exponent}")
        if volatility is not None:
            checks.not_negative("volatility", volatility)
        checks.between("permanent_share", permanent_share, 0, 1)
        self.impact_coefficient = impact_coefficient
        self.exponent = exponent
        self.volatility = volatility
        self.permanent_share = permanent_share

    def impact(self, request: ImpactRequest) -> tuple[float, float]:
        volatility = request.context.volatility if self.volatility is None else self.volatility
        scale = self.impact_coefficient * (1.0 if volatility is None else volatility)
        paid = power_law(scale, self.exponent, request.order_size, request.market_volume)
        return paid, self.permanent_share * paid


@kernel
def power_law(scale: float, exponent: float, order_size: float, market_volume: float) -> float:
    """scale * (order_size / volume) ** exponent, as a fraction of price."""
    part: float = scale * (order_size / market_volume) ** exponent
    return part


class LinearSlippageModel(PowerLawSlippageModel):
    """impact_coefficient * (order_size / volume) * reference_price + spread / 2."""

    def __init__(
        self, impact_coefficient: float = 0.001, *, volatility: float | None = None, permanent_share: float = 1 / 3
    ) -> None:
        super().__init__(impact_coefficient, 1.0, volatility=volatility, permanent_share=permanent_share)


class SquareRootSlippageModel(PowerLawSlippageModel):
    """impact_coefficient * sqrt(order_size / volume) * reference_price + spread / 2.

    Without a volatility the default of 0.5 prices 1 % of volume at 5 % of price; with a daily volatility of 4 % and
    daily volume at 0.2 %.
    """

    def __init__(
        self, impact_coefficient: float = 0.5, *, volatility: float | None = None, permanent_share: float = 1 / 3
    ) -> None:
        super().__init__(impact_coefficient, 0.5, volatility=volatility, permanent_share=permanent_share)


class AlmgrenSlippageModel(ImpactModel):
    """eta * sigma * (Q / (V T)) ** beta  +  gamma / 2 * sigma * (Q / V) * (Theta / V) ** delta, of price; + spread / 2.

    Q the order, V the daily volume, T its duration in volume-days, sigma the daily volatility, Theta what is
    outstanding. The first part is temporary, the second half of the permanent move I. Coefficients as fitted to some
    30,000 orders in US stocks (Almgren, Thum, Hauptmann, Li: "Direct estimation of equity market impact", Risk 2005).

    Needs a context with volatility and daily volume: ValueError without. T: the context's duration, else market_volume
    as a part of the daily volume. Theta / V: from the context, else `turnover_days`, which lies between the paper's two
    examples (87 and 263); it enters with the fourth root.
    """

    def __init__(
        self,
        eta: float = 0.142,
        gamma: float = 0.314,
        beta: float = 0.6,
        *,
        delta: float = 0.25,
        turnover_days: float = 150.0,
    ) -> None:
        checks.not_negative("eta", eta)
        checks.not_negative("gamma", gamma)
        if not 0 < beta <= 1:
            raise ValueError(f"beta must be above 0 and at most 1, was {beta}")
        checks.between("delta", delta, 0, 1)
        checks.positive("turnover_days", turnover_days)
        self.eta = eta
        self.gamma = gamma
        self.beta = beta
        self.delta = delta
        self.turnover_days = turnover_days

    def standing(self, turnover_days: float | None = None) -> float:
        """The permanent move of one day's volume in units of volatility: gamma * (Theta / V) ** delta."""
        turnover = self.turnover_days if turnover_days is None else turnover_days
        return float(self.gamma * turnover**self.delta)

    def impact(self, request: ImpactRequest) -> tuple[float, float]:
        context, days = request.context, request.duration_days
        if context.volatility is None or context.daily_volume is None or days is None:
            missing = "volatility" if context.volatility is None else "daily_volume"
            raise ValueError(f"context.{missing} must be known for the Almgren model, was None")
        turnover = None if context.outstanding is None else context.outstanding / context.daily_volume
        part = request.order_size / context.daily_volume
        temporary = self.eta * context.volatility * (part / days) ** self.beta
        permanent = self.standing(turnover) * context.volatility * part / 2
        return temporary + permanent, permanent


class FixedBpsSlippageModel(ImpactModel):
    """bps / 10,000 * reference_price + spread / 2, whatever the size: the baseline that a better model must beat."""

    def __init__(self, bps: float = 5.0) -> None:
        checks.not_negative("bps", bps)
        self.bps = bps

    def impact(self, request: ImpactRequest) -> tuple[float, float]:  # noqa: ARG002 - it asks for nothing
        return self.bps / 1e4, 0.0


def slippage_model(settings: SlippageConfig) -> SlippageModel | None:
    """The model that the settings name; None for `none`."""
    coefficient, share = settings.impact_coefficient, settings.permanent_share
    match settings.model:
        case "square_root":
            return SquareRootSlippageModel(coefficient, permanent_share=share)
        case "linear":
            return LinearSlippageModel(coefficient, permanent_share=share)
        case "power":
            return PowerLawSlippageModel(coefficient, settings.exponent, permanent_share=share)
        case "almgren":
            return AlmgrenSlippageModel(
                settings.eta, settings.gamma, settings.beta, turnover_days=settings.turnover_days
            )
        case "fixed_bps":
            return FixedBpsSlippageModel(settings.fixed_bps)
        case "none":
            return None


def _sd(request: ImpactRequest) -> float:
    volatility, days = request.context.volatility, request.duration_days
    if volatility is None or days is None:
        return math.nan
    return volatility * math.sqrt(days / 3) * request.reference_price


_NO_ORDER: Final = ImpactEstimate(0.0, 0.0, 0.0, 0.0, 0.0)
