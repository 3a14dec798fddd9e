"""One execution with all that can be known of it: its costs, its fills against the market, and how prompt it was.

`execution.tca.measure` needs the report alone. Here the market beside it comes in, where there is a record of one; what
is not known stays NaN, with a flag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Literal

from core.contracts import sign
from execution.contracts import ExecutionReport
from execution.costs.attribution import AS_CHARGED, IMPACT_METHOD, UNKNOWN, ImpactMethod, attributed
from execution.costs.completion import BENCHMARK_NOTES, completed
from execution.costs.market_record import MarketRecord
from execution.costs.quality import FLAGS as QUALITY_FLAGS
from execution.costs.quality import HORIZONS, NOTHING, Quality, latencies_ms, quality, schedule_deviation
from execution.tca import BPS, ExecutionCost, Slippage, measure
from execution.twin import NOTE as TWIN_NOTE

Price = Literal["decision", "open", "close", "previous_close", "pwp"]
PRICES: Final[tuple[Price, ...]] = ("decision", "open", "close", "previous_close", "pwp")
PWP_RATE: Final = 0.2
SURPRISING: Final = 3.0

FLAGS: Final = {
    **QUALITY_FLAGS,
    "no_market_record": "no market data beside the report: markouts, realised spreads, PWP and day prices are unknown",
    "decision_at_arrival": "nobody says when it was decided: arrival stands for it, and delay is zero by assumption",
    "stale_prices": "arrival or end price is the last one before a gap in the market",
    "prorated": "the interval cuts a bar: its volume is shared out by time",
    "no_latency": "no order that took says when it went out",
    "no_schedule": "the fills do not say when they were scheduled",
    "surprising": f"the cost is more than {SURPRISING:g} standard deviations from its forecast: look at it",
}


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an execution was expected to cost, in basis points of its paper notional, and the sd of that."""

    mean_bps: float
    sd_bps: float

    @classmethod
    def of(cls, mean_bps: float, volatility: float, days: float) -> Forecast:
        """With the sd of an even schedule through a random walk: sigma * sqrt(T / 3), sigma of a day, T in days."""
        return cls(mean_bps, BPS * volatility * math.sqrt(days / 3))

    def z(self, cost_bps: float) -> float:
        """(realised - predicted) / sd; NaN without an sd."""
        return (cost_bps - self.mean_bps) / self.sd_bps if self.sd_bps > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Measurement:
    """See `measured`. `flags` holds those of the cost too; `latencies_ms` one number per order that took.

    twin_impact: money, the true impact by a twin run where a simulation noted it, `execution.twin`; else NaN.
    """

    cost: ExecutionCost
    quality: Quality
    against: dict[Price, Slippage]
    impact_method: str
    twin_impact: float
    market_source: str | None
    schedule_deviation: float
    forecast: Forecast | None
    flags: tuple[str, ...]
    latencies_ms: tuple[float, ...] = field(repr=False, default=())

    @property
    def latency_ms(self) -> float:
        """The median from order to first fill, of orders that took."""
        return median(self.latencies_ms) if self.latencies_ms else math.nan

    @property
    def forecast_z(self) -> float:
        return self.forecast.z(self.cost.shortfall_bps) if self.forecast is not None else math.nan

    def row(self) -> dict[str, Any]:
        """Flat columns beside those of `execution.analyze.row`; see docs/tca.md."""
        found = self.quality
        horizons = {
            **{f"realised_spread_{name}_bps": found.realised[name].bps for name in HORIZONS},
            **{f"price_impact_{name}_bps": found.impact[name].bps for name in HORIZONS},
            **{f"markout_{name}_bps": found.markout["all"][name].bps for name in HORIZONS},
            **{f"maker_markout_{name}_bps": found.markout["maker"][name].bps for name in HORIZONS},
            **{f"taker_markout_{name}_bps": found.markout["taker"][name].bps for name in HORIZONS},
            **{f"reversion_{name}_bps": found.reversion[name].bps for name in HORIZONS},
        }
        return {
            "delay_filled": self.cost.delay_filled,
            "delay_unfilled": self.cost.delay_unfilled,
            "impact_method": self.impact_method,
            "twin_impact_bps": Slippage(math.nan, self.twin_impact, self.cost.notional).bps,
            **{f"{name}_slippage_bps": self.against[name].bps for name in PRICES},
            "quoted_spread_bps": found.quoted.bps,
            "effective_spread_bps": found.effective.bps,
            "effective_over_quoted": found.effective_over_quoted,
            **horizons,
            "latency_p50_ms": self.latency_ms,
            "schedule_deviation": self.schedule_deviation,
            "forecast_bps": math.nan if self.forecast is None else self.forecast.mean_bps,
            "forecast_z": self.forecast_z,
            "market_source": self.market_source,
        }


def measured(
    report: ExecutionReport,
    market: MarketRecord | None = None,
    *,
    impact: ImpactMethod | None = None,
    forecast: Forecast | None = None,
    pwp_rate: float = PWP_RATE,
    day_starts_s: int = 0,
) -> Measurement:
    """Measures an execution, completed from the market record where the report lacks a price.

    impact: a method of `execution.costs.attribution`, instead of what the fills say. forecast: else that of
    `notes["forecast"]`, a mapping with mean_bps and sd_bps. pwp_rate: x of PWP(x), the market's VWAP from arrival until
    F / x has traded, known only after the fact. day_starts_s: when the market's day begins, after midnight UTC.
    """
    flags: list[str] = []
    if market is not None:
        report = completed(report, market)
    if impact is not None:
        report = attributed(report, impact)
    cost = measure(report)
    found = quality(report, market) if market is not None else Quality()
    against = dict.fromkeys(PRICES, NOTHING)
    against["decision"] = _against(cost, cost.decision_price)
    if market is None:
        flags.append("no_market_record")
    else:
        start = report.start_ts_ns
        needed = cost.filled_quantity / pwp_rate
        against |= {
            "open": _against(cost, market.day_open(start, day_starts_s)),
            "close": _against(cost, market.day_close(start, day_starts_s)),
            "previous_close": _against(cost, market.previous_close(start, day_starts_s)),
            "pwp": _against(cost, market.pwp(start, needed)),
        }
    notes = report.notes.get(BENCHMARK_NOTES)
    if isinstance(notes, Mapping):
        flags += _said(notes)
    latencies = tuple(latencies_ms(report.fills))
    deviation = schedule_deviation(report)
    if report.fills and not latencies and cost.maker_share < 1:
        flags.append("no_latency")
    if report.fills and math.isnan(deviation):
        flags.append("no_schedule")
    forecast = forecast if forecast is not None else _forecast(report.notes.get("forecast"))
    if forecast is not None and abs(forecast.z(cost.shortfall_bps)) > SURPRISING:
        flags.append("surprising")
    raised = {*flags, *found.flags}
    return Measurement(
        cost=cost,
        quality=found,
        against=against,
        impact_method=impact_method(report, cost),
        twin_impact=_number(report.notes.get(TWIN_NOTE), "impact"),
        market_source=None if market is None else market.source,
        schedule_deviation=deviation,
        forecast=forecast,
        flags=(*cost.flags, *(flag for flag in FLAGS if flag in raised)),
        latencies_ms=latencies,
    )


def impact_method(report: ExecutionReport, cost: ExecutionCost) -> str:
    """How the impact in these costs came about: the method that the report names, else what the fills were charged."""
    told = report.notes.get(IMPACT_METHOD)
    if isinstance(told, str):
        return told
    return AS_CHARGED if report.fills and not math.isnan(cost.parts.impact) else UNKNOWN


def _against(cost: ExecutionCost, price: float) -> Slippage:
    """The fills against one more price: like `ExecutionCost.against`."""
    if not (math.isfinite(price) and price > 0 and cost.filled_quantity):
        return NOTHING
    excess = cost.filled_quantity * (cost.avg_fill_price - price)
    return Slippage(price, sign(cost.side) * excess, cost.filled_quantity * price)


def _said(notes: Mapping[str, Any]) -> list[str]:
    """Flags out of what `completed` notes."""
    flags = {
        "decision_at_arrival": "decision" in notes,
        "stale_prices": bool(notes.get("from_before_a_gap")),
        "prorated": bool(notes.get("prorated")),
        "across_gap": bool(notes.get("across_gap")),
    }
    return [flag for flag, raised in flags.items() if raised]


def _forecast(told: object) -> Forecast | None:
    mean, sd = _number(told, "mean_bps"), _number(told, "sd_bps")
    return None if math.isnan(mean) or math.isnan(sd) else Forecast(mean, sd)


def _number(told: object, name: str) -> float:
    """A number out of a note; NaN where it is none."""
    value = told.get(name) if isinstance(told, Mapping) else None
    return float(value) if isinstance(value, int | float) else math.nan
