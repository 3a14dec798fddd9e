"""What the router knows of an order and of the market when it decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, Self

from core import checks
from core.contracts import Contract, Side
from core.frozen import FrozenDict

DAY_S: Final = 86_400
UNKNOWN_RISK_BPS: Final = 400.0  # a day's volatility where nobody knows one
BUCKETS: Final = ((1e-4, "tiny"), (1e-3, "small"), (1e-2, "medium"), (math.inf, "large"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketNow(Contract):
    """A market as far as it is known; NaN: unknown.

    price in quote currency, volatility as a fraction per square root of a day, daily_volume in base quantity,
    regularity R^2 of the volume curve, spread and fees in basis points.
    """

    price: float = math.nan
    spread_bps: float = math.nan
    volatility: float = math.nan
    daily_volume: float = math.nan
    regularity: float = math.nan
    maker_fee_bps: float = 0.0
    taker_fee_bps: float = 0.0

    @classmethod
    def of(cls, conditions: Mapping[str, Any]) -> Self:
        """From a dictionary of these names; what it does not have is unknown, what is more is left."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: float(value) for name, value in conditions.items() if name in names and value is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """An order in a market: what rules and forecasts look at. `quantity` in base, `duration_s` what it may take."""

    symbol: str
    side: Side
    quantity: float
    duration_s: int
    market: MarketNow
    limited: bool = False

    def __post_init__(self) -> None:
        checks.positive("quantity", self.quantity)
        checks.positive("duration_s", self.duration_s)

    @property
    def notional(self) -> float:
        """In quote currency; NaN without a price."""
        return self.quantity * self.market.price

    @property
    def size(self) -> float:
        """In daily volumes; NaN where that is unknown."""
        volume = self.market.daily_volume
        return self.quantity / volume if volume > 0 else math.nan

    @property
    def participation(self) -> float:
        """Our part of an even volume over the duration."""
        traded = self.market.daily_volume * self.duration_s / DAY_S
        return self.quantity / (self.quantity + traded) if traded > 0 else math.nan

    @property
    def risk_bps(self) -> float:
        """Volatility over the duration, the unit in which outcomes of different orders compare."""
        a_day = 1e4 * self.market.volatility
        return (a_day if a_day > 0 else UNKNOWN_RISK_BPS) * math.sqrt(self.duration_s / DAY_S)

    def unfilled_bps(self, risk: float) -> float:
        """What a part that is left unfilled costs: the spread and the fee of taking it after all, and `risk` times the
        volatility over the duration, as the price has moved on by then."""
        market = self.market
        spread = 0.0 if math.isnan(market.spread_bps) else market.spread_bps
        return spread + market.taker_fee_bps + risk * self.risk_bps

    def known(self) -> FrozenDict:
        """What is known of the market, by name."""
        return FrozenDict([told for told in zip(_MARKET, _values(self.market), strict=True) if told[1] == told[1]])

    def bucket(self, large_notional: float) -> str:
        """The size's bucket by daily volume, or where that is unknown by what counts as a large order."""
        size = self.size
        if math.isnan(size):
            return "large" if self.notional > large_notional else "small"
        for below, name in BUCKETS:
            if size < below:
                return name
        return BUCKETS[-1][1]


_MARKET: Final = tuple(f.name for f in fields(MarketNow))
_values = attrgetter(*_MARKET)
