"""What an execution cost, and why: Perold's implementation shortfall, taken apart as Wagner does.

With side s (+1 buy, -1 sell), ordered quantity S, filled quantity F, fills q_i at p_i, decision, arrival and end price
P_d, P_0, P_n, and half spread h_i and impact g_i paid per unit of fill i:

    delay        s * S * (P_0 - P_d)
    spread       sum q_i * h_i
    impact       sum q_i * g_i
    timing       s * sum q_i * (p_i - P_0) - spread - impact     the residual: what the market did meanwhile
    opportunity  s * (S - F) * (P_n - P_0)                       the quantity that was not filled
    fees

and their sum is the shortfall s * sum q_i * (p_i - P_d) + s * (S - F) * (P_n - P_d) + fees. Positive is worse, for
buys and for sells. Perold (1988); Wagner and Edwards (1993).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from statistics import median
from typing import Final, Literal

from core.contracts import FillEvent, Side, sign
from execution.contracts import ExecutionReport

BPS: Final = 1e4
Benchmark = Literal["arrival", "vwap", "vwap_own", "twap"]
BENCHMARKS: Final[tuple[Benchmark, ...]] = ("arrival", "vwap", "vwap_own", "twap")

FLAGS: Final = {
    "running": "the execution has not ended: these are its costs so far",
    "nothing_filled": "nothing was filled: the price move is opportunity cost, and slippages of fills are unknown",
    "overfilled": "more was filled than ordered: the excess counts as a negative opportunity cost",
    "no_decision_price": "the decision price is unknown: so are delay and shortfall, and basis points are of arrival",
    "no_arrival_price": "the arrival price is unknown: so are delay, timing, opportunity and arrival slippage",
    "no_end_price": "the end price is unknown: so are the opportunity cost of the unfilled quantity and the shortfall",
    "no_fill_price": "a quantity was filled at an unknown price: so are all costs of trading",
    "no_fills": "the report carries no fills: spread and impact are unknown and stand inside timing",
    "fills_disagree": "the fills do not add up to the filled quantity: the report's average price is used",
    "no_spread": "some fills do not say what spread they paid: it is unknown and stands inside timing",
    "no_impact": "some fills do not say what impact they had: it is unknown and stands inside timing",
    "no_fees": "the fees are unknown, and so is the shortfall",
    "fees_disagree": "the fees of the fills do not add up to the report's total: the total is used",
    "no_vwap": "the interval VWAP is unknown",
    "no_vwap_own": "the interval VWAP with our own volume is unknown",
    "no_twap": "the interval TWAP is unknown",
    "no_market_volume": "the market's volume is unknown or zero, and so is the participation",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a shortfall, in quote currency or in basis points; NaN where a part is unknown."""

    delay: float
    spread: float
    impact: float
    timing: float
    opportunity: float
    fees: float

    def __iter__(self) -> Iterator[float]:
        return (getattr(self, name) for name in PARTS)

    @property
    def total(self) -> float:
        """Sum of the parts, which is the shortfall. Unknown spread or impact is inside timing; NaN if others are."""
        spread, impact = (0.0 if math.isnan(part) else part for part in (self.spread, self.impact))
        return math.fsum((self.delay, spread, impact, self.timing, self.opportunity, self.fees))

    def bps(self, notional: float) -> Parts:
        """The parts in basis points of a notional."""
        return Parts(*(_ratio(part, notional) for part in self))


PARTS: Final = tuple(field.name for field in fields(Parts))


@dataclass(frozen=True, slots=True)
class Slippage:
    """What the filled quantity cost against a benchmark price: `cost` in money, on `notional` = F * benchmark."""

    price: float
    cost: float
    notional: float

    @property
    def bps(self) -> float:
        """1e4 * s * (average price - benchmark) / benchmark; NaN without fills or benchmark."""
        return _ratio(self.cost, self.notional)


@dataclass(frozen=True, slots=True)
class ExecutionCost:
    """One execution, measured. Money is in quote currency, prices that nobody knows are NaN, flags are in `FLAGS`.

    notional: S * P_d, the paper trade; every `*_bps` of the shortfall and its parts is of this. traded: F * P_d.
    duration_s: from the start to the end, or to the last fill while it runs. maker_share: of the filled quantity.
    participation: filled quantity / market volume over the same time, our own not included.
    """

    execution_id: str
    parent_intent_id: str
    strategy_id: str
    symbol: str
    venue: str
    algo_type: str
    side: Side
    status: str
    start_ts_ns: int
    end_ts_ns: int | None
    duration_s: float
    total_quantity: float
    filled_quantity: float
    fills: int
    avg_fill_price: float
    decision_price: float
    arrival_price: float
    end_price: float
    market_volume: float
    notional: float
    traded: float
    parts: Parts
    shortfall: float
    against: dict[Benchmark, Slippage]
    maker_share: float
    unfilled_reason: str | None
    denials: tuple[str, ...]
    flags: tuple[str, ...]

    @property
    def fill_rate(self) -> float:
        return self.filled_quantity / self.total_quantity

    @property
    def participation(self) -> float:
        return self.filled_quantity / self.market_volume if self.market_volume > 0 else math.nan

    @property
    def delay_filled(self) -> float:
        """The delay of the quantity that was filled: s * F * (P_0 - P_d); the rest of it is `delay_unfilled`."""
        return self.parts.delay * self.fill_rate

    @property
    def delay_unfilled(self) -> float:
        """The delay of what was not filled, s * (S - F) * (P_0 - P_d): some books count it as opportunity."""
        return self.parts.delay - self.delay_filled

    @property
    def market_notional(self) -> float:
        """The market's volume at the price of the paper trade."""
        return self.market_volume * self.notional / self.total_quantity

    @property
    def shortfall_bps(self) -> float:
        return _ratio(self.shortfall, self.notional)

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        from execution.report.notebook import cost_html

        return cost_html(self)

    @property
    def measured(self) -> bool:
        """Whether shortfall and parts are all known, apart from spread and impact, which timing can hold."""
        return math.isfinite(self.shortfall) and math.isfinite(self.parts.total)


def measure(report: ExecutionReport) -> ExecutionCost:
    """The costs of one execution, from the report's own fields and fills.

    `fill.meta["half_spread"]` and `fill.meta["impact"]` are price units that this fill paid, positive when they cost.
    A maker who says nothing paid neither. Unknown inputs make the numbers that need them NaN, and are flagged; nothing
    raises. No fills: the price move of the whole quantity is opportunity cost.
    """
    flags: list[str] = []
    if not report.done:
        flags.append("running")
    s, ordered, filled = sign(report.side), report.total_quantity, report.filled_quantity
    decision = _price(report.decision_price, "no_decision_price", flags)
    arrival = _price(report.arrival_price, "no_arrival_price", flags)
    end = _price(report.end_price, "no_end_price" if ordered != filled else None, flags)
    if filled > ordered * (1 + 1e-9):
        flags.append("overfilled")
    if not filled:
        flags.append("nothing_filled")

    bought = _Bought(report, flags)
    spread, impact = _paid(report, "half_spread", flags), _paid(report, "impact", flags)
    fees = _fees(report, flags)
    unfilled = ordered - filled
    known = math.fsum(part for part in (spread, impact) if not math.isnan(part))
    parts = Parts(
        delay=s * ordered * (arrival - decision),
        spread=spread,
        impact=impact,
        timing=s * bought.above(arrival) - known if filled else 0.0,
        opportunity=s * unfilled * (end - arrival) if unfilled else 0.0,
        fees=fees,
    )
    missed = s * unfilled * (end - decision) if unfilled else 0.0
    base = arrival if math.isnan(decision) else decision
    prices = (arrival, report.benchmark_vwap, report.benchmark_vwap_own, report.benchmark_twap)
    against: dict[Benchmark, Slippage] = {}
    for name, price in zip(BENCHMARKS, prices, strict=True):
        price = _price(price, f"no_{name}" if filled and name != "arrival" else None, flags)
        against[name] = Slippage(price, s * bought.above(price), filled * price if filled else math.nan)
    volume = report.market_volume if report.market_volume > 0 else math.nan
    if math.isnan(volume):
        flags.append("no_market_volume")
    return ExecutionCost(
        execution_id=report.execution_id,
        parent_intent_id=report.parent_intent_id,
        strategy_id=report.strategy_id,
        symbol=report.symbol,
        venue=report.venue,
        algo_type=report.algo_type,
        side=report.side,
        status=report.status,
        start_ts_ns=report.start_ts_ns,
        end_ts_ns=report.end_ts_ns,
        duration_s=_seconds(report),
        total_quantity=ordered,
        filled_quantity=filled,
        fills=len(report.fills),
        avg_fill_price=bought.average,
        decision_price=decision,
        arrival_price=arrival,
        end_price=end,
        market_volume=volume,
        notional=ordered * base,
        traded=filled * base,
        parts=parts,
        shortfall=s * bought.above(decision) + missed + fees if filled else missed + fees,
        against=against,
        maker_share=_maker_share(report.fills),
        unfilled_reason=report.unfilled_reason,
        denials=report.denials,
        flags=tuple(word for word in FLAGS if word in flags),
    )


class _Bought:
    """The filled quantity and its money, as an excess over a nearby price, so that small differences stay exact."""

    def __init__(self, report: ExecutionReport, flags: list[str]) -> None:
        self.quantity = report.filled_quantity
        self._near = self._excess = math.nan
        fills = report.fills
        if fills and math.isclose(math.fsum(fill.qty for fill in fills), self.quantity, rel_tol=1e-9):
            self._near = fills[0].price
            self._excess = math.fsum(fill.qty * (fill.price - self._near) for fill in fills)
        elif self.quantity:
            if fills:
                flags.append("fills_disagree")
            self._near = _price(report.avg_fill_price, "no_fill_price", flags)
            self._excess = self._near * 0
        elif fills:
            flags.append("fills_disagree")

    @property
    def average(self) -> float:
        """NaN where nothing was filled."""
        return self._near + self._excess / self.quantity if self.quantity else math.nan

    def above(self, price: float) -> float:
        """sum q_i * (p_i - price); NaN where nothing was filled."""
        return self._excess + self.quantity * (self._near - price)


@dataclass(frozen=True, slots=True)
class Pooled:
    """Many executions as if they were one: sums of money over sums of notional, never a mean of basis points.

    measured: executions whose shortfall and parts are known; `notional`, `parts` and `shortfall` are theirs alone.
    fill_rate: traded / paper notional of all. slippage: money and notional against each benchmark, where known.
    duration_s: the median. NaN where no execution knows the number.
    """

    executions: int
    measured: int
    notional: float
    parts: Parts
    shortfall: float
    fill_rate: float
    traded: float
    maker_share: float
    participation: float
    against: dict[Benchmark, Slippage]
    duration_s: float

    def _repr_html_(self) -> str:
        """A small table, for notebooks."""
        from execution.report.notebook import pooled_html

        return pooled_html(self)

    @property
    def parts_bps(self) -> Parts:
        return self.parts.bps(self.notional)

    @property
    def shortfall_bps(self) -> float:
        return _ratio(self.shortfall, self.notional)


def pooled(costs: Iterable[ExecutionCost]) -> Pooled:
    """One answer for many executions; no executions: counts of zero, everything else NaN.

    A spread or impact that some executions do not know is inside timing for these, and missing from the sum: the flags
    `no_spread`, `no_impact` and `no_fills` say so.
    """
    every = list(costs)
    whole = [cost for cost in every if cost.measured]
    sized = [cost for cost in every if math.isfinite(cost.notional)]
    made = [cost for cost in every if math.isfinite(cost.maker_share)]
    shared = [cost for cost in every if math.isfinite(cost.participation)]
    against: dict[Benchmark, Slippage] = {}
    for name in BENCHMARKS:
        known = [one for one in (cost.against[name] for cost in every) if math.isfinite(one.bps)]
        against[name] = Slippage(math.nan, _sum(one.cost for one in known), _sum(one.notional for one in known))
    return Pooled(
        executions=len(every),
        measured=len(whole),
        notional=_sum(cost.notional for cost in whole),
        parts=Parts(*(_sum(getattr(cost.parts, name) for cost in whole) for name in PARTS)),
        shortfall=_sum(cost.shortfall for cost in whole),
        fill_rate=_over(_sum(cost.traded for cost in sized), _sum(cost.notional for cost in sized)),
        traded=_sum(cost.traded for cost in sized),
        maker_share=_over(_sum(cost.maker_share * cost.traded for cost in made), _sum(cost.traded for cost in made)),
        participation=_over(_sum(cost.traded for cost in shared), _sum(cost.market_notional for cost in shared)),
        against=against,
        duration_s=median([cost.duration_s for cost in every if math.isfinite(cost.duration_s)] or [math.nan]),
    )


def _price(price: float, flag: str | None, flags: list[str]) -> float:
    """The price, or NaN and a flag where it cannot be one."""
    if math.isfinite(price) and price > 0:
        return price
    if flag is not None:
        flags.append(flag)
    return math.nan


def _paid(report: ExecutionReport, name: str, flags: list[str]) -> float:
    """sum q_i * meta[name]; NaN where a taker does not say, or the fills are not all there."""
    if not report.filled_quantity:
        return 0.0
    if not report.fills:
        flags.append("no_fills")
        return math.nan
    paid = math.fsum(fill.qty * _told(fill, name) for fill in report.fills)
    if math.isnan(paid):
        flags.append("no_spread" if name == "half_spread" else "no_impact")
    return math.nan if "fills_disagree" in flags else paid


def _told(fill: FillEvent, name: str) -> float:
    value = fill.meta.get(name)
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    return 0.0 if value is None and fill.liquidity == "maker" else math.nan


def _fees(report: ExecutionReport, flags: list[str]) -> float:
    total = report.total_fees
    if not math.isfinite(total):
        flags.append("no_fees")
        return math.nan
    of_fills = math.fsum(fill.fee for fill in report.fills)
    if report.fills and not math.isclose(total, of_fills, rel_tol=1e-9, abs_tol=1e-9):
        flags.append("fees_disagree")
    return total


def _maker_share(fills: tuple[FillEvent, ...]) -> float:
    total = math.fsum(fill.qty for fill in fills)
    return math.fsum(fill.qty for fill in fills if fill.liquidity == "maker") / total if total else math.nan


def _seconds(report: ExecutionReport) -> float:
    """From the start to the end, or to the last fill where there is no end yet; NaN where there is neither."""
    end = report.end_ts_ns
    if end is None:
        end = max((fill.ts_fill_ns for fill in report.fills), default=None)
    return math.nan if end is None else (end - report.start_ts_ns) / 1e9


def _sum(values: Iterable[float]) -> float:
    """Sum of the known values; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) if known else math.nan


def _over(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _ratio(cost: float, notional: float) -> float:
    """Basis points; NaN where the notional is zero or unknown."""
    return BPS * cost / notional if notional > 0 else math.nan
