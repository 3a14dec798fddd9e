"""What trading at a venue costs: every figure in basis points or as a share, with n, an interval, and shrinkage.

Ten orders do not make a venue good. Each figure is pulled towards the mean of all venues by as much as it is noise
(`execution.costs.shrinkage`), noise being measured between symbol-days; a venue without orders gets what venues have in
common. For the executions of a venue, with arrival price P_0, filled F of S, w the weight by age:

    slippage     sum w s (sum q_i p_i - F P_0)        / sum w F P_0
    fee          sum w fees                           / sum w F P_0
    opportunity  sum w s (S - F) (P_n - P_0)          / sum w S P_0
    markout      sum w s q_i (p_i - m_i(h))           / sum w q_i p_i
    score        the money of slippage, fee and opportunity together / sum w S P_0

`score` is what an order sent there costs, all in, filled or not; the lowest is best. Nothing is standardised and added.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from core import checks
from core.contracts import FillEvent, sign
from execution.contracts import ExecutionReport
from execution.costs.market_record import MarketRecord
from execution.costs.quality import HORIZONS, Horizon, latencies_ms
from execution.costs.shrinkage import Estimate
from execution.costs.statistics import BPS
from execution.costs.venue_figures import Latency, Sums, estimates, latencies, shares

DAY_NS: Final = 86_400_000_000_000
FEW_ORDERS: Final = 10
FEW_DAYS: Final = 3
FLAGS: Final = {
    "no_orders": "no execution there: all figures are what the venues have in common",
    "few_orders": f"fewer than {FEW_ORDERS} executions: the figures are mostly what the venues have in common",
    "few_days": f"fewer than {FEW_DAYS} symbol-days: how much days differ is mostly taken from the other venues",
    "only_venue": "no other venue to compare with: nothing is shrunk",
    "one_day": "no venue has two symbol-days: executions count as independent, and intervals are too narrow",
    "several_venues": "executions over several venues count for slippage and fees, not for fill rate and score",
    "no_latencies": "no order that took says when it was sent: its latency is unknown",
    "latency_fitted": "too few latencies for some quantiles: they are a fitted lognormal's",
}


@dataclass(frozen=True, slots=True)
class VenueScore:
    """A venue's figures. bps: positive is worse. Latencies in milliseconds, of orders that took liquidity.

    executions: all there; fills: theirs. latencies: how many are known. quantiles: p50, p95, p99 of the latency.
    markouts: by horizon, where market data were given. flags: keys of `FLAGS`.
    """

    venue: str
    executions: int
    fills: int
    symbol_days: int
    score_bps: Estimate
    slippage_bps: Estimate
    fee_bps: Estimate
    opportunity_bps: Estimate
    fill_rate: Estimate
    maker_share: Estimate
    markouts_bps: dict[Horizon, Estimate]
    latency_ms: float
    quantiles_ms: dict[str, float]
    latencies: int
    flags: tuple[str, ...]

    def to_dict(self) -> dict[str, float]:
        """One flat row of numbers: the specification's three first, then score, intervals and counts."""
        row = {
            "avg_slippage_bps": self.slippage_bps.value,
            "fill_rate": self.fill_rate.value,
            "avg_latency_ms": self.latency_ms,
            "score_bps": self.score_bps.value,
            "executions": float(self.executions),
            "fills": float(self.fills),
            "symbol_days": float(self.symbol_days),
        }
        estimates = {
            "score_bps": self.score_bps,
            "slippage_bps": self.slippage_bps,
            "fee_bps": self.fee_bps,
            "opportunity_bps": self.opportunity_bps,
            "fill_rate": self.fill_rate,
            "maker_share": self.maker_share,
            **{f"markout_{name}_bps": one for name, one in self.markouts_bps.items()},
        }
        for name, one in estimates.items():
            row |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
            row |= {f"{name}_raw": one.raw, f"{name}_n": float(one.n)}
        return row | {f"latency_{name}_ms": value for name, value in self.quantiles_ms.items()}


@dataclass(slots=True)
class _Venue:
    """What a venue's executions say, figure by figure."""

    executions: int = 0
    fills: int = 0
    days: set[tuple[str, int]] = field(default_factory=set)
    figures: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    latencies: list[Latency] = field(default_factory=list)
    shared: bool = False


def venue_scores(
    reports: Iterable[ExecutionReport],
    symbol: str | None = None,
    since_ns: int | None = None,
    *,
    venues: Iterable[str] = (),
    half_life_days: float | None = None,
    now_ns: int | None = None,
    markets: Mapping[str, MarketRecord] | None = None,
) -> list[VenueScore]:
    """The venues of some executions, the cheapest first; the order of the reports changes nothing.

    symbol, since_ns: only executions in this symbol, started at or after this time. venues: more names to score, such
    as one without any execution. half_life_days: an execution of this age, at `now_ns`, by default the last start,
    counts half. markets: by symbol; without one there are no markouts. A fill belongs to the venue its meta names, else
    to its report's. No executions: every figure of the `venues` named is NaN.
    """
    if half_life_days is not None:
        checks.positive("half_life_days", half_life_days)
    wanted = [
        one
        for one in reports
        if (symbol is None or one.symbol == symbol) and (since_ns is None or one.start_ts_ns >= since_ns)
    ]
    wanted.sort(key=lambda one: (one.start_ts_ns, one.execution_id))
    now = max((one.start_ts_ns for one in wanted), default=0) if now_ns is None else now_ns
    seen: dict[str, _Venue] = {name: _Venue() for name in venues}
    for report in wanted:
        age = max(0.0, (now - report.start_ts_ns) / DAY_NS)
        weight = 1.0 if half_life_days is None else 0.5 ** (age / half_life_days)
        _add(seen, report, weight, (markets or {}).get(report.symbol))
    names = sorted(seen)
    found = _scored(names, [seen[name] for name in names])
    return sorted(found, key=lambda one: (math.isnan(one.score_bps.value), one.score_bps.value, one.venue))


def _add(seen: dict[str, _Venue], report: ExecutionReport, weight: float, market: MarketRecord | None) -> None:
    by_venue: dict[str, list[FillEvent]] = defaultdict(list)
    for fill in report.fills:
        by_venue[str(fill.meta.get("venue") or report.venue)].append(fill)
    alone = len(by_venue) < 2
    cluster = (report.symbol, report.start_ts_ns // DAY_NS)
    s, arrival = sign(report.side), report.arrival_price if report.arrival_price > 0 else math.nan
    for name in sorted(by_venue) or [report.venue]:
        fills = by_venue.get(name, [])
        venue = seen.setdefault(name, _Venue())
        venue.executions += 1
        venue.fills += len(fills)
        venue.days.add(cluster)
        figures = venue.figures
        filled = math.fsum(fill.qty for fill in fills)
        slippage = s * math.fsum(fill.qty * (fill.price - arrival) for fill in fills)
        fees = math.fsum(fill.fee for fill in fills)
        if not fills and report.filled_quantity:  # a report without its fills
            filled, fees = report.filled_quantity, report.total_fees
            slippage = s * filled * (report.avg_fill_price - arrival)
        made = math.fsum(fill.qty for fill in fills if fill.liquidity == "maker")
        figures["slippage"].add(weight * slippage, weight * filled * arrival, cluster)
        figures["fee"].add(weight * fees, weight * filled * arrival, cluster)
        if fills:
            figures["maker"].add(weight * made * arrival, weight * filled * arrival, cluster)
        if alone:
            left = report.total_quantity - filled
            missed = s * left * (report.end_price - arrival) if left else 0.0
            paper = weight * report.total_quantity * arrival
            figures["opportunity"].add(weight * missed, paper, cluster)
            figures["filled"].add(weight * min(filled, report.total_quantity) * arrival, paper, cluster)
            figures["score"].add(weight * ((slippage if filled else 0.0) + fees + missed), paper, cluster)
        else:
            venue.shared = True
        venue.latencies += [Latency(ms, weight, cluster) for ms in latencies_ms(fills)]
        if market is not None and fills:
            _add_markouts(figures, fills, s, weight, cluster, market)


def _add_markouts(
    figures: dict[str, Sums],
    fills: Sequence[FillEvent],
    s: int,
    weight: float,
    cluster: tuple[str, int],
    market: MarketRecord,
) -> None:
    at = np.array([fill.ts_fill_ns for fill in fills], np.int64)
    qty, price = (np.array([getattr(fill, name) for fill in fills]) for name in ("qty", "price"))
    for name, horizon in HORIZONS.items():
        money = s * qty * (price - market.later_mid(at, horizon))
        known = np.isfinite(money)
        if known.any():
            total, notional = float(money[known].sum()), float((qty * price)[known].sum())
            figures[f"markout {name}"].add(weight * total, weight * notional, cluster)


def _scored(names: Sequence[str], venues: Sequence[_Venue]) -> list[VenueScore]:
    by_day = any(len(venue.days) > 1 for venue in venues)

    def of(figure: str) -> list[Estimate]:
        return estimates([venue.figures.get(figure, Sums()) for venue in venues], BPS, by_day=by_day)

    columns = {name: of(name) for name in ("score", "slippage", "fee", "opportunity")}
    markouts = {name: of(f"markout {name}") for name in HORIZONS}
    rates = {name: shares([venue.figures.get(name, Sums()) for venue in venues]) for name in ("filled", "maker")}
    waits = latencies([venue.latencies for venue in venues])
    out = []
    for k, (name, venue) in enumerate(zip(names, venues, strict=True)):
        flags = {
            "no_orders": not venue.executions,
            "few_orders": 0 < venue.executions < FEW_ORDERS,
            "few_days": 0 < len(venue.days) < FEW_DAYS,
            "only_venue": bool(venue.executions) and sum(one.executions > 0 for one in venues) == 1,
            "one_day": bool(venue.executions) and not by_day,
            "several_venues": venue.shared,
            "no_latencies": bool(venue.executions) and not venue.latencies,
            "latency_fitted": waits[k].fitted,
        }
        out.append(
            VenueScore(
                venue=name,
                executions=venue.executions,
                fills=venue.fills,
                symbol_days=len(venue.days),
                score_bps=columns["score"][k],
                slippage_bps=columns["slippage"][k],
                fee_bps=columns["fee"][k],
                opportunity_bps=columns["opportunity"][k],
                fill_rate=rates["filled"][k],
                maker_share=rates["maker"][k],
                markouts_bps={
                    horizon: column[k] for horizon, column in markouts.items() if any(one.n for one in column)
                },
                latency_ms=waits[k].mean,
                quantiles_ms=waits[k].quantiles,
                latencies=len(venue.latencies),
                flags=tuple(flag for flag in FLAGS if flags[flag]),
            )
        )
    return out
