"""Which algorithm, and why: rules that can be read, in the order in which they are asked, then a ranked list.

The first rule that holds names the algorithm. Then come those that are likely to be done in time (90 %), then the
others, each in order of a score in basis points,

    mean + k * sd + (1 - completion) * (spread + volatility over the duration),   k = 0.25, 0.5, 1 by urgency

what it should cost, a price on risk, and what it takes to buy what volume did not allow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from execution.params import Urgency
from execution.pretrade.forecast import DAY_S, CostForecast, Market, Planned

SMALL: Final = 0.001  # of daily volume
REGULAR: Final = 0.5  # R^2 of the volume curve
LIKELY: Final = 0.9
RISK_PRICE: Final[dict[Urgency, float]] = {"low": 0.25, "medium": 0.5, "high": 1.0}
COMFORT: Final[dict[Urgency, float]] = {"low": 0.01, "medium": 0.05, "high": 1.0}
"""Participation that an order without a duration should stay below, by urgency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the rules look at.

    size           quantity / daily volume
    half_spread_bps, impact_bps  of an even schedule
    regularity     R^2 of the volume curve, NaN where unknown
    binding        whether the volume expected allows less than the quantity, at the most that we trade
    partial        whether the order may end unfinished
    at_a_level     whether the user names a price to rest at
    alpha_half_life_s  the time in which half of the reason to trade is gone; None: no such reason
    """

    size: float
    half_spread_bps: float
    impact_bps: float
    urgency: Urgency
    duration_s: int
    regularity: float = math.nan
    binding: bool = False
    partial: bool = False
    at_a_level: bool = False
    alpha_half_life_s: float | None = None

    @property
    def fading(self) -> bool:
        return self.alpha_half_life_s is not None and self.alpha_half_life_s < self.duration_s

    @property
    def regular(self) -> bool:
        return self.regularity > REGULAR  # False for NaN


@dataclass(frozen=True, slots=True)
class Rule:
    """`reason` is text with the situation's fields in braces."""

    algo: Planned
    holds: Callable[[Situation], bool]
    reason: str


RULES: Final[tuple[Rule, ...]] = (
    Rule("IS", lambda s: s.fading, "half of the alpha is gone before the duration ends: trade early"),
    Rule("IS", lambda s: s.urgency == "high", "urgent: the risk of waiting weighs more than impact"),
    Rule("Iceberg", lambda s: s.at_a_level, "rests at the price that was named, and shows a part of its size"),
    Rule(
        "TWAP",
        lambda s: s.size < SMALL and s.half_spread_bps >= s.impact_bps,
        "{size:.3%} of daily volume: the spread ({half_spread_bps:.1f} bps) costs more than impact "
        "({impact_bps:.1f} bps): rest first, then cross",
    ),
    Rule(
        "POV",
        lambda s: s.partial and s.binding,
        "the volume may not be enough, and the order may end unfinished: keep to a part of it",
    ),
    Rule("VWAP", lambda s: s.regular, "the day's volume can be foreseen (R^2 {regularity:.2f}): trade where it is"),
    Rule("TWAP", lambda s: not math.isnan(s.regularity), "the day's volume cannot be foreseen (R^2 {regularity:.2f})"),
    Rule("TWAP", lambda s: math.isnan(s.regularity), "nothing is known of how volume spreads over the day"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A forecast with its place in the list."""

    rank: int
    forecast: CostForecast
    score_bps: float
    reason: str


def first_rule(situation: Situation) -> tuple[Planned, str]:
    """The algorithm that the first rule that holds names, and its reason."""
    rule = next(rule for rule in RULES if rule.holds(situation))
    facts = {name: getattr(situation, name) for name in Situation.__slots__}
    return rule.algo, rule.reason.format(**facts)


def comfortable(forecasts: Sequence[CostForecast], urgency: Urgency) -> int:
    """The shortest duration at which volume should do and we stay a small part of it; else the longest, in seconds."""
    for one in sorted(forecasts, key=lambda one: one.duration_s):
        if one.participation <= COMFORT[urgency] and one.completion >= LIKELY:
            return one.duration_s
    return max(one.duration_s for one in forecasts)


def why_so_long(forecast: CostForecast, urgency: Urgency) -> str:
    """The reason for the duration that `comfortable` found."""
    if forecast.participation <= COMFORT[urgency] and forecast.completion >= LIKELY:
        if COMFORT[urgency] >= 1:
            return "the shortest time in which volume should do"
        return f"the shortest time in which volume should do and we stay below {COMFORT[urgency]:.0%} of it"
    return "the longest time, because the order is large for the market"


def score(forecast: CostForecast, market: Market, urgency: Urgency) -> float:
    """See the module, in basis points."""
    missed = market.spread_bps + 1e4 * market.volatility * math.sqrt(forecast.duration_s / DAY_S)
    return forecast.mean_bps + RISK_PRICE[urgency] * forecast.sd_bps + (1 - forecast.completion) * missed


def ranked(
    forecasts: Sequence[CostForecast], market: Market, urgency: Urgency, algo: Planned, duration_s: int, reason: str
) -> list[Choice]:
    """All forecasts: first the algorithm and duration that the rules chose, then as the module says."""

    def place(scored: tuple[float, CostForecast]) -> tuple[bool, bool, float]:
        points, one = scored
        return (one.algo, one.duration_s) != (algo, duration_s), one.completion < LIKELY, points

    listed = sorted(((score(one, market, urgency), one) for one in forecasts), key=place)
    first = listed[0][1]
    return [
        Choice(rank, one, points, reason if one is first else _difference(one, first))
        for rank, (points, one) in enumerate(listed, 1)
    ]


def _difference(one: CostForecast, first: CostForecast) -> str:
    """What sets a forecast apart from the first, in basis points."""
    if one.completion < min(LIKELY, first.completion):
        return "volume may lack"
    mean, sd = (round(getattr(one, name) - getattr(first, name), 1) + 0.0 for name in ("mean_bps", "sd_bps"))
    return f"{mean:+.1f}, sd {sd:+.1f}"
