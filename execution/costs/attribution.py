"""What of a fill's price was our own impact: by a method that the report then names.

Every method answers one question per fill: how far had our own trading moved the price at which it traded, g_i in price
units, positive when it cost? `attributed` writes the answers into the fills' `meta["impact"]` and the method into
`notes["impact_method"]`; `execution.tca.measure` does the sums, and timing stays the residual, whatever the method.

    as charged      what the fill model of a simulation says it charged: nothing to do
    model           the square-root law along the filled quantity
    participation   the propagator of `execution.impact`, driven by fills and market volume between them
    twin run        price with our orders less price without them, from a simulation played twice: the truth
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from core import checks
from core.contracts import FillEvent, sign
from execution.contracts import ExecutionReport
from execution.impact import ImpactMemory
from execution.twin import Place, shifts_of

IMPACT_METHOD: Final = "impact_method"
AS_CHARGED: Final = "as charged"
UNKNOWN: Final = "unknown"


class ImpactMethod(Protocol):
    """A way to say what of each fill's price was our own impact."""

    @property
    def name(self) -> str:
        """The method and its inputs, for the report."""

    def per_unit(self, report: ExecutionReport) -> list[float]:
        """g_i of each fill, in price units, positive when it cost; NaN where the method cannot say."""


def attributed(report: ExecutionReport, method: ImpactMethod) -> ExecutionReport:
    """The report with impact by this method. Without fills it is unchanged but for the method's name."""
    told = method.per_unit(report)
    fills = tuple(
        replace(fill, meta={**fill.meta, "impact": impact}) for fill, impact in zip(report.fills, told, strict=True)
    )
    return replace(report, fills=fills, notes={**report.notes, IMPACT_METHOD: method.name})


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareRootModel:
    """The square-root law Y * sigma * sqrt(Q / V) * P_0, as a path along the filled quantity.

    The price stands at k * sqrt(C / V) after C is filled, with k = Y * sigma * P_0, so a fill from C_(i-1) to C_i pays
    k * (2/3) * (C_i^1.5 - C_(i-1)^1.5) / sqrt(V) in all, and the whole order two thirds of the peak. Maker fills pay as
    takers do: the price at which they rest has been moved by those before.

    coefficient: Y, about 0.5 to 1. volatility, volume: of a day, sigma as a fraction; or both of any other time.
    """

    coefficient: float
    volatility: float
    volume: float

    def __post_init__(self) -> None:
        checks.not_negative("coefficient", self.coefficient)
        checks.not_negative("volatility", self.volatility)
        checks.positive("volume", self.volume)

    @property
    def name(self) -> str:
        return f"model: square root, Y {self.coefficient:g}, volatility {self.volatility:g}, volume {self.volume:g}"

    def peak(self, report: ExecutionReport) -> float:
        """Where the price stands after the last fill, in price units."""
        share = math.fsum(fill.qty for fill in report.fills) / self.volume
        return self.coefficient * self.volatility * math.sqrt(share) * report.arrival_price

    def per_unit(self, report: ExecutionReport) -> list[float]:
        scale = self.coefficient * self.volatility * report.arrival_price
        out = []
        before = 0.0
        for fill in report.fills:
            after = before + fill.qty
            out.append(scale * mean_root(before / self.volume, after / self.volume))
            before = after
        return out


def mean_root(low: float, high: float) -> float:
    """Average of sqrt(x) over [low, high]: (2/3) (high^1.5 - low^1.5) / (high - low), exact for short stretches too."""
    a, b = math.sqrt(low), math.sqrt(high)
    return 2 / 3 * (a * a + a * b + b * b) / (a + b) if a + b > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipationModel:
    """The propagator: every clip is traded at a rate through market volume, pushes the price, and the push wears off.

    A clip is the fills of one moment; it is traded through the market's volume from then to the next clip, the last
    one for as long as the one before or to the end of the execution, whichever is sooner; or every one for `over_ns`,
    the length of a bar where fills are known by their bars (takers' from its open, makers' at its close). Where that
    is less than its own quantity it trades alone. Takers pay what their clip pushes, on average; makers what they met.

    volume_between(start_ns, end_ns): the market's volume between two times, such as that of a `MarketRecord`.
    """

    coefficient: float
    volatility: float
    daily_volume: float
    volume_between: Callable[[int, int], float]
    exponent: float = 0.5
    permanent_share: float = 1 / 3
    over_ns: int | None = None

    def __post_init__(self) -> None:
        checks.not_negative("coefficient", self.coefficient)
        checks.not_negative("volatility", self.volatility)
        checks.positive("daily_volume", self.daily_volume)
        if self.over_ns is not None:
            checks.positive("over_ns", self.over_ns)

    @property
    def name(self) -> str:
        return (
            f"participation: propagator, exponent {self.exponent:g}, Y {self.coefficient:g}, volatility "
            f"{self.volatility:g}, daily volume {self.daily_volume:g}, {self.permanent_share:.0%} permanent"
        )

    def per_unit(self, report: ExecutionReport) -> list[float]:
        memory = ImpactMemory(self.exponent, self.permanent_share)
        scale, s = self.coefficient * self.volatility, sign(report.side)
        out = [math.nan] * len(report.fills)
        now_ns = report.start_ts_ns
        for (begin_ns, end_ns), clip in sorted(self._clips(report).items()):
            idle = self.volume_between(now_ns, begin_ns) if begin_ns > now_ns else 0.0
            begin_ns, now_ns = max(begin_ns, now_ns), max(end_ns, now_ns)
            taken, rested = (math.fsum(report.fills[k].qty for k in part) for part in clip)
            volume = max(self.volume_between(begin_ns, now_ns), taken + rested)
            days = volume / self.daily_volume
            if not all(map(math.isfinite, (volume, idle, report.arrival_price))):
                return [math.nan] * len(report.fills)
            memory.rest(idle / self.daily_volume)
            for part, moved in zip(
                clip, (memory.charge(s * taken / volume, days, scale), memory.displacement()), strict=True
            ):
                for k in part:
                    out[k] = s * moved * report.arrival_price
            memory.trade(s * (taken + rested) / volume, days, scale)
        return out

    def _clips(self, report: ExecutionReport) -> dict[tuple[int, int], _Clip]:
        """The fills, by the time through which they traded."""
        times = sorted({fill.ts_fill_ns for fill in report.fills})
        clips: dict[tuple[int, int], _Clip] = {}
        if not times:
            return clips
        last = 2 * times[-1] - times[-2] if len(times) > 1 else report.end_ts_ns
        if last is not None and report.end_ts_ns is not None:
            last = min(last, report.end_ts_ns)
        until = dict(zip(times, [*times[1:], max(times[-1], last or 0)], strict=True))
        for k, fill in enumerate(report.fills):
            rested, ts = fill.liquidity == "maker", fill.ts_fill_ns
            span = (ts, until[ts])
            if self.over_ns is not None:  # a resting order is known to be filled when its bar is over
                span = (ts - self.over_ns, ts) if rested else (ts, ts + self.over_ns)
            clip = clips.setdefault(span, _Clip([], []))
            (clip.rested if rested else clip.taken).append(k)
        return clips


class _Clip(NamedTuple):
    """Fills that traded at one time, by their places in the report: takers and makers. One push."""

    taken: list[int]
    rested: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinRun:
    """The truth of a simulation: `moved(fill)`, the price it traded around less the same price without our orders."""

    moved: Callable[[FillEvent], float]
    seed: int | None = None

    @property
    def name(self) -> str:
        return "twin run" if self.seed is None else f"twin run, seed {self.seed}"

    def per_unit(self, report: ExecutionReport) -> list[float]:
        s = sign(report.side)
        return [s * self.moved(fill) for fill in report.fills]


def twin_run(reports: Iterable[ExecutionReport], place: Place) -> TwinRun:
    """The truth about the fills of one run, all of its reports together: see `execution.twin`.

    A taker's price less the twin's mid and the half spread; for a maker how far we had moved the market before.
    """
    fills = sorted((fill for report in reports for fill in report.fills), key=lambda fill: fill.ts_fill_ns)
    shifts = shifts_of(fills, place)
    mids = dict(zip((fill.fill_id for fill in fills), place.mids_without_us(fills), strict=True))

    def moved(fill: FillEvent) -> float:
        mid = mids[fill.fill_id]
        if fill.liquidity == "maker":
            return mid * shifts[place.bar_of(fill)][0]
        return fill.price - mid - sign(fill.side) * float(fill.meta.get("half_spread", 0.0))

    return TwinRun(moved=moved)


@dataclass(frozen=True, slots=True)
class MarketAdjusted:
    """Timing taken apart by an index: what the market as a whole did, and the rest. Money; positive is worse."""

    beta: float
    market: float
    timing: float


def market_adjusted(
    report: ExecutionReport, timing: float, index_returns: Sequence[float], beta: float
) -> MarketAdjusted:
    """sum q_i * s * beta * (M_i / M_0 - 1) * P_0 out of the timing cost of `measure`; the two add up to it exactly.

    index_returns: M_i / M_0 - 1, the index from arrival to each fill (BTC for other coins, a sector fund for a share).
    Raises ValueError where there is not one return per fill.
    """
    if len(index_returns) != len(report.fills):
        raise ValueError(f"index_returns must hold one per fill, {len(report.fills)}, was {len(index_returns)}")
    s = sign(report.side)
    moved = math.fsum(fill.qty * moved for fill, moved in zip(report.fills, index_returns, strict=True))
    market = s * beta * moved * report.arrival_price
    return MarketAdjusted(beta, market, timing - market)
