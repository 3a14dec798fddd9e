"""What an execution will cost, before it is traded: expectation, quantiles and the chance to be done in time.

    mean  = half spread * (1 - passive share) + fees + impact
    sd^2  = sigma^2 * integral of x(t)^2 dt  +  (0.4 * impact)^2,   x the part of the order that is left

The impact is what the simulated market would charge: the slippage model with its memory, driven at the schedule's rates
through the expected volume. For the square-root law at an even rate, without a permanent part, that is
(2/3) Y sigma sqrt(Q / V), and the first term of the variance is sigma^2 T / 3 for any even schedule. The second is what
is not known about Y: its 90 % range in the literature, 0.4 to 1.5 about 0.8, is a log-sd of 0.4. Quantiles are those of
Student's t with 5 degrees of freedom, scaled to the sd.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core import checks
from execution.params import STEEPNESS, STYLE_OF_URGENCY, OrderStyle, Urgency
from execution.pressure import memory_of
from execution.pretrade import student
from execution.pretrade.almgren_chriss import AlmgrenChriss, FrontierPoint
from execution.pretrade.volume_outlook import BINS, VolumeOutlook
from execution.slippage import ImpactRequest, MarketContext, SlippageModel

Planned = Literal["TWAP", "VWAP", "POV", "Iceberg", "IS"]
PLANNED: Final[tuple[Planned, ...]] = get_args(Planned)
DAY_S: Final = 86_400
UNSURE_IMPACT: Final = 0.4
TAIL_DEGREES: Final = 5.0
# Assumptions, not measurements: the part of the quantity that a style fills without crossing the spread.
PASSIVE_OF_STYLE: Final[dict[OrderStyle, float]] = {"limit": 0.8, "limit_then_cross": 0.5, "market": 0.0}
PASSIVE_ICEBERG: Final = 0.9
FRONTIER_STEEPNESS: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """price in quote currency, volatility as a fraction per square root of a day, spread and fees in basis points."""

    price: float
    volatility: float
    outlook: VolumeOutlook
    spread_bps: float
    maker_fee_bps: float = 0.0
    taker_fee_bps: float = 0.0

    def __post_init__(self) -> None:
        checks.positive("price", self.price)
        checks.positive("volatility", self.volatility)
        checks.not_negative("spread_bps", self.spread_bps)
        checks.finite("maker_fee_bps", self.maker_fee_bps)
        checks.finite("taker_fee_bps", self.taker_fee_bps)

    @property
    def daily_volume(self) -> float:
        return self.outlook.daily_volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """The impact model of a forecast: that of `execution.yaml`, None for the spread alone."""

    model: SlippageModel | None
    permanent_share: float = 1 / 3

    def paid(self, shares: Floats, volumes: Floats, quantity: float, market: Market) -> float:
        """Average impact of a schedule as a fraction of price: order shares and market volumes, one each per bin."""
        return self.parts(shares, volumes, quantity, market)[0]

    def parts(self, shares: Floats, volumes: Floats, quantity: float, market: Market) -> tuple[float, float]:
        """The same, and the displacement that stays for good."""
        if self.model is None:
            return 0.0, 0.0
        memory, coefficient = memory_of(self.model, self.permanent_share)
        rates, days = shares * quantity / volumes, volumes / market.daily_volume
        if memory is None:
            return self._bare(shares, volumes, quantity, market), 0.0
        paid = 0.0
        for share, rate, length in zip(shares.tolist(), rates.tolist(), days.tolist(), strict=True):
            paid += share * memory.charge(rate, length, coefficient * market.volatility)
            memory.trade(rate, length, coefficient * market.volatility)
        return paid, memory.displacement(1e15)

    def _bare(self, shares: Floats, volumes: Floats, quantity: float, market: Market) -> float:
        """A model without a memory: each bin against its own volume."""
        assert self.model is not None
        context = MarketContext(volatility=market.volatility, daily_volume=market.daily_volume)
        paid = 0.0
        for share, volume in zip(shares.tolist(), volumes.tolist(), strict=True):
            request = ImpactRequest(
                order_size=share * quantity,
                market_volume=volume,
                bid_ask_spread=0.0,
                reference_price=market.price,
                context=context,
            )
            paid += share * self.model.estimate(request).total / market.price
        return paid


@dataclass(frozen=True, slots=True, kw_only=True)
class CostForecast:
    """One algorithm over one duration, in basis points of the order's notional; `cost` is the mean in money.

    duration_s     what it is given; expected_s: what it takes (POV ends when it is done)
    participation  our part of all volume while we trade, ours included
    completion     the chance that the volume in that time allows the whole quantity
    """

    algo: Planned
    duration_s: int
    expected_s: float
    style: OrderStyle
    participation: float
    passive_share: float
    spread_bps: float
    fees_bps: float
    impact_bps: float
    mean_bps: float
    sd_bps: float
    p5_bps: float
    p50_bps: float
    p95_bps: float
    completion: float
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecaster:
    """What all forecasts of one order share.

    max_participation  most of the market's volume that we trade; pov_rate: what POV aims at
    passive            the part that fills without crossing, in place of what the style is assumed to
    """

    quantity: float
    market: Market
    impact: Impact
    urgency: Urgency = "medium"
    max_participation: float = 0.1
    pov_rate: float = 0.1
    passive: float | None = None

    def __post_init__(self) -> None:
        checks.positive("quantity", self.quantity)
        checks.one_of("urgency", self.urgency, STYLE_OF_URGENCY)
        for name in ("max_participation", "pov_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, was {getattr(self, name)}")
        if self.passive is not None:
            checks.between("passive", self.passive, 0, 1)

    def forecast(self, algo: Planned, duration_s: int) -> CostForecast:
        """The cost of one algorithm over one duration, at most a day."""
        checks.one_of("algo", algo, PLANNED)
        checks.between("duration_s", duration_s, 1, DAY_S)
        expected_s = self._expected_s(algo, duration_s)
        volumes = self.market.outlook.expected(expected_s)
        shares = self.schedule(algo, volumes, expected_s)
        style: OrderStyle = "limit" if algo == "Iceberg" else STYLE_OF_URGENCY[self.urgency]
        passive = self._passive(algo, style)
        market = self.market
        spread = market.spread_bps / 2 * (1 - passive)
        fees = passive * market.maker_fee_bps + (1 - passive) * market.taker_fee_bps
        impact = 1e4 * self.impact.paid(shares, volumes, self.quantity, market)
        mean = spread + fees + impact
        sd = math.hypot(1e4 * market.volatility * math.sqrt(_waiting(shares, expected_s)), UNSURE_IMPACT * impact)
        p5, p50, p95 = (quantile(mean, sd, level) for level in (0.05, 0.5, 0.95))
        return CostForecast(
            algo=algo,
            duration_s=duration_s,
            expected_s=expected_s,
            style=style,
            participation=self.quantity / (self.quantity + float(volumes.sum())),
            passive_share=passive,
            spread_bps=spread,
            fees_bps=fees,
            impact_bps=impact,
            mean_bps=mean,
            sd_bps=sd,
            p5_bps=p5,
            p50_bps=p50,
            p95_bps=p95,
            completion=market.outlook.chance_of(self.quantity, duration_s, self._most(algo)),
            cost=mean / 1e4 * self.quantity * market.price,
        )

    def schedule(self, algo: Planned, volumes: Floats, duration_s: float) -> Floats:
        """The part of the order in each bin, shape (n,), summing to 1; bins of equal length with these volumes."""
        if algo == "IS":
            trader = self.trader(duration_s)
            if trader is None:  # speed costs nothing: all at once
                at_once: Floats = np.zeros(len(volumes))
                at_once[0] = 1.0
                return at_once
            held = trader.holdings(trader.risk_aversion(trader.horizon / STEEPNESS[self.urgency]))
            shares: Floats = -np.diff(held) / self.quantity
            return shares
        if algo == "TWAP":
            return np.full(len(volumes), 1 / len(volumes))
        followed: Floats = volumes / volumes.sum()
        return followed

    def trader(self, duration_s: float, periods: int = BINS) -> AlmgrenChriss | None:
        """Almgren-Chriss made linear about this order: equal slices in even volume cost what a TWAP that takes does.

        Time in days, prices in quote currency. None where trading fast costs nothing, or the same as trading slowly.
        """
        market = self.market
        if memory_of(self.impact.model, self.impact.permanent_share)[0] is None:
            return None
        volumes = np.full(BINS, float(market.outlook.expected(duration_s).sum()) / BINS)
        paid, stays = self.impact.parts(np.full(BINS, 1 / BINS), volumes, self.quantity, market)
        horizon = duration_s / DAY_S
        effective = (paid - stays / 2) * market.price * horizon / self.quantity
        if not effective > 0:
            return None
        permanent = stays * market.price / self.quantity
        return AlmgrenChriss(
            quantity=self.quantity,
            horizon=horizon,
            periods=periods,
            volatility=market.volatility * market.price,
            half_spread=max(0.0, (market.spread_bps / 2 + market.taker_fee_bps) / 1e4 * market.price),
            permanent=permanent,
            temporary=effective + permanent * horizon / periods / 2,
        )

    def frontier(self, duration_s: int) -> list[FrontierPoint]:
        """The efficient frontier over this duration, in money, from equal slices on. Empty without impact."""
        trader = self.trader(duration_s)
        return [] if trader is None else trader.frontier(FRONTIER_STEEPNESS)

    def urgencies(self, duration_s: int) -> dict[str, FrontierPoint]:
        """Where on the frontier IS stands at each urgency."""
        trader = self.trader(duration_s)
        if trader is None:
            return {}
        return dict(zip(STEEPNESS, trader.frontier(STEEPNESS.values()), strict=True))

    def _expected_s(self, algo: Planned, duration_s: int) -> float:
        if algo != "POV":
            return float(duration_s)
        volumes = self.market.outlook.expected(duration_s)
        needed = self.quantity * (1 - self.pov_rate) / self.pov_rate  # of others' volume
        traded = np.concatenate(([0.0], np.cumsum(volumes)))
        return max(1.0, float(np.interp(needed, traded, np.linspace(0, duration_s, len(traded)))))

    def _most(self, algo: Planned) -> float:
        """Most of the volume that the algorithm can have: an iceberg waits for those who come to its side, one half."""
        if algo == "POV":
            return min(self.pov_rate, self.max_participation)
        return self.max_participation / 2 if algo == "Iceberg" else self.max_participation

    def _passive(self, algo: Planned, style: OrderStyle) -> float:
        if self.passive is not None:
            return self.passive
        return PASSIVE_ICEBERG if algo == "Iceberg" else PASSIVE_OF_STYLE[style]


def quantile(mean: float, sd: float, level: float, degrees: float = TAIL_DEGREES) -> float:
    """The quantile of Student's t with this mean and sd; degrees of freedom from 3, whole, or infinite: the normal."""
    if math.isinf(degrees):
        return mean + sd * student.NORMAL.inv_cdf(level)
    return mean + sd * math.sqrt((degrees - 2) / degrees) * student.quantile(int(degrees), level)


def _waiting(shares: Floats, duration_s: float) -> float:
    """Integral of the squared part of the order that is left, in days; linear within bins. Even shares: T / 3."""
    left = 1 - np.concatenate(([0.0], np.cumsum(shares)))
    squares = (left[:-1] ** 2 + left[:-1] * left[1:] + left[1:] ** 2) / 3
    return float(squares.mean()) * duration_s / DAY_S
