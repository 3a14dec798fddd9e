"""What executions cost, how algorithms compare, what a venue is worth: the front door to the analysis of costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from core import checks
from core.errors import DataError, nearest
from execution.contracts import ExecutionReport
from execution.costs.attribution import ImpactMethod, ParticipationModel
from execution.costs.completion import completed, conditions_before, read_market
from execution.costs.market_record import MarketRecord
from execution.costs.measurement import Forecast, Measurement, measured
from execution.costs.quality import HORIZONS, pooled_quality
from execution.tca import PARTS, Slippage, pooled

if TYPE_CHECKING:
    import pandas as pd

    from research.data_reader import DataReader

DAY_NS: Final = 86_400_000_000_000
Against = Literal["arrival", "vwap", "twap", "vwap_own", "decision", "open", "close", "previous_close", "pwp"]
AGAINST: Final = get_args(Against)
KEPT_MARKETS: Final = 4


class ExecutionPerformanceTracker:
    """Measures executions; the specification's interface. Positive is worse, for buys and for sells.

    data_reader: where market data come from, for what the reports do not know themselves; None: from nowhere.
    reports: executions that `score_venue_quality` should know; `add` tells of more.
    impact_coefficient: Y of the square-root law. Where takers do not say what impact they had, it is estimated by
    participation, from volatility and volume of the day before; `Measurement.impact_method` names the method.

    Unknown numbers are NaN and flagged in `measurement(report).flags`; nothing about a report raises.
    """

    def __init__(
        self,
        data_reader: DataReader | None,
        *,
        reports: Iterable[ExecutionReport] = (),
        impact_coefficient: float = 0.8,
    ) -> None:
        checks.not_negative("impact_coefficient", impact_coefficient)
        self.data_reader = data_reader
        self.impact_coefficient = impact_coefficient
        self._known: dict[str, ExecutionReport] = {}
        self._markets: dict[tuple[str, str, int, int], MarketRecord | None] = {}
        self.add(*reports)

    def add(self, *reports: ExecutionReport) -> None:
        """Remembers executions for the scores of venues; a later report of the same execution takes its place."""
        self._known.update({report.execution_id: report for report in reports})

    @property
    def reports(self) -> tuple[ExecutionReport, ...]:
        return tuple(self._known.values())

    def measurement(self, report: ExecutionReport, *, forecast: Forecast | None = None) -> Measurement:
        """All that can be known of an execution."""
        market = self._market(report)
        return measured(report, market, impact=self._impact(report, market), forecast=forecast)

    def calculate_implementation_shortfall(self, report: ExecutionReport, arrival_price: float) -> dict[str, float]:
        """Shortfall and its parts in basis points of the paper notional, ordered quantity at the decision price.

        total_shortfall_bps is the sum of delay_bps, spread_bps, market_impact_bps, timing_cost_bps, opportunity_bps and
        fees_bps, and shortfall is the same in money. A part that is NaN is not known: where that is spread or
        market impact it stands inside timing. arrival_slippage_bps is of the filled quantity alone. `arrival_price`
        stands in for a decision price that nobody knows; then delay is zero by assumption.

        Raises ValueError where arrival_price is no positive number.
        """
        checks.positive("arrival_price", arrival_price)
        known = math.isfinite(report.decision_price) and report.decision_price > 0
        decision = report.decision_price if known else arrival_price
        cost = self.measurement(replace(report, arrival_price=arrival_price, decision_price=decision)).cost
        parts = cost.parts.bps(cost.notional)
        return {
            "total_shortfall_bps": cost.shortfall_bps,
            "market_impact_bps": parts.impact,
            "timing_cost_bps": parts.timing,
            "fees_bps": parts.fees,
            "delay_bps": parts.delay,
            "spread_bps": parts.spread,
            "opportunity_bps": parts.opportunity,
            "arrival_slippage_bps": cost.against["arrival"].bps,
            "shortfall": cost.shortfall,
            "notional": cost.notional,
        }

    def compare_to_benchmark(self, report: ExecutionReport, benchmark: Against) -> float:
        """Average fill price against a benchmark in basis points, positive = worse.

        benchmark: arrival, vwap or twap; also vwap_own (with our own volume), decision, and where market data are there
        open, close, previous_close and pwp (close and pwp are known only after the fact). NaN where it is unknown or
        nothing was filled. Raises ValueError for any other.
        """
        if benchmark not in AGAINST:
            raise ValueError(f"benchmark must be one of {', '.join(AGAINST)}: {nearest(str(benchmark), AGAINST)}")
        found = self.measurement(report)
        known: dict[str, Slippage] = {**found.cost.against, **found.against}  # type: ignore[dict-item]
        return known[benchmark].bps

    def analyze_algorithm_performance(self, reports: list[ExecutionReport]) -> pd.DataFrame:
        """One row per algorithm and venue, in order of their names; no reports: no rows, the same columns.

        Means are ratios of sums (money over notional). `*_low`, `*_high` are ends of the 95 % cluster-bootstrap
        interval, by symbol-days; `*_median` and `*_sd` are of single orders; `orders_for_1bp` per algorithm would show
        a difference of 1 bp. Spreads, markouts and reversion are NaN where there are no market data.
        """
        import pandas as pd

        groups: dict[tuple[str, str], list[Measurement]] = {}
        for report in reports:
            groups.setdefault((report.algo_type, report.venue), []).append(self.measurement(report))
        rows = [_row(algo, venue, group) for (algo, venue), group in sorted(groups.items())]
        return pd.DataFrame(rows, columns=list(_row("", "", [])))

    def score_venue_quality(self, venue: str, symbol: str, lookback_days: int = 30) -> dict[str, float]:
        """What trading a symbol at a venue costs, from the executions that the tracker knows (`reports=`, `add`).

        avg_slippage_bps (against arrival), fill_rate and avg_latency_ms first, then fees, markouts, score, latency
        quantiles, intervals and counts: see `VenueScore` of `execution.costs.venue_score`. All are pulled towards those
        of the other venues by as much as they are noise. lookback_days: back from the last execution in the symbol
        that is known, at whatever venue. A venue without executions has what venues have in common, with executions
        0; where nothing is known at all every figure is NaN.

        Raises ValueError where lookback_days is not positive.
        """
        checks.positive("lookback_days", lookback_days)
        from execution.costs.venue_score import venue_scores

        known = [report for report in self.reports if report.symbol == symbol]
        last_ns = max((report.start_ts_ns for report in known), default=0)
        since_ns = last_ns - lookback_days * DAY_NS
        recent = [report for report in known if report.start_ts_ns >= since_ns]
        markets = self._market_of(symbol, recent)
        if symbol in markets:
            recent = [completed(report, markets[symbol]) for report in recent]
        scores = venue_scores(recent, symbol, venues=[venue], markets=markets)
        return next(score for score in scores if score.venue == venue).to_dict()

    # ---- the market beside a report

    def _market_of(self, symbol: str, reports: Sequence[ExecutionReport]) -> dict[str, MarketRecord]:
        """One record for all of these executions; nothing where the store has none."""
        if self.data_reader is None or not reports:
            return {}
        first = min(report.start_ts_ns for report in reports)
        after = max(max(_ended_ns(report), report.start_ts_ns) for report in reports)
        try:
            return {symbol: read_market(self.data_reader, symbol, first, after, venue=reports[0].venue or None)}
        except DataError:
            return {}

    def _market(self, report: ExecutionReport) -> MarketRecord | None:
        """The record of the report's days, kept for the next report; None where the store has none."""
        if self.data_reader is None:
            return None
        ended = max(_ended_ns(report), report.start_ts_ns)
        first, after = report.start_ts_ns // DAY_NS * DAY_NS, (ended // DAY_NS + 1) * DAY_NS
        key = (report.symbol, report.venue, first, after)
        if key not in self._markets:
            while len(self._markets) >= KEPT_MARKETS:
                del self._markets[next(iter(self._markets))]
            try:
                self._markets[key] = read_market(
                    self.data_reader, report.symbol, first, after, venue=report.venue or None
                )
            except DataError:
                self._markets[key] = None
        return self._markets[key]

    def _impact(self, report: ExecutionReport, market: MarketRecord | None) -> ImpactMethod | None:
        """The participation model where takers do not say their impact, and the day before tells enough."""
        silent = any("impact" not in fill.meta and fill.liquidity == "taker" for fill in report.fills)
        if market is None or not silent:
            return None
        volatility, volume = conditions_before(market, report.start_ts_ns)
        if not (math.isfinite(volatility) and volume > 0):
            return None
        return ParticipationModel(
            coefficient=self.impact_coefficient,
            volatility=volatility,
            daily_volume=volume,
            volume_between=lambda start_ns, end_ns: market.traded(start_ns, end_ns)[0],
        )


def _ended_ns(report: ExecutionReport) -> int:
    fills = max((fill.ts_fill_ns for fill in report.fills), default=report.start_ts_ns)
    return fills if report.end_ts_ns is None else report.end_ts_ns


def _row(algo: str, venue: str, group: Sequence[Measurement]) -> dict[str, Any]:
    from execution.costs.comparison import summarize

    costs = [one.cost for one in group]
    pool, fills = pooled(costs), pooled_quality(one.quality for one in group)
    waits = [wait for one in group for wait in one.latencies_ms]
    strays = [one.schedule_deviation for one in group if math.isfinite(one.schedule_deviation)]
    found: dict[str, Any] = {
        "algo_type": algo,
        "venue": venue,
        "executions": pool.executions,
        "measured": pool.measured,
        "notional": pool.notional,
        "fill_rate": pool.fill_rate,
        "maker_share": pool.maker_share,
        "participation": pool.participation,
        "duration_s": pool.duration_s,
        "shortfall": pool.shortfall,
        **{f"{name}_bps": getattr(pool.parts_bps, name) for name in PARTS},
    }
    for yardstick in ("shortfall", "arrival", "vwap", "twap"):
        row = summarize(algo, costs, yardstick)
        name = "shortfall" if yardstick == "shortfall" else f"{yardstick}_slippage"
        found |= {
            f"{name}_bps": row.mean,
            f"{name}_low_bps": row.interval.low,
            f"{name}_high_bps": row.interval.high,
            f"{name}_median_bps": row.median,
            f"{name}_sd_bps": row.sd,
            f"{name}_orders_for_1bp": row.orders_for_1bp,
        }
    return {
        **found,
        "vwap_own_slippage_bps": pool.against["vwap_own"].bps,
        "effective_spread_bps": fills.effective.bps,
        "effective_over_quoted": fills.effective_over_quoted,
        **{f"markout_{name}_bps": fills.markout["all"][name].bps for name in HORIZONS},
        **{f"maker_markout_{name}_bps": fills.markout["maker"][name].bps for name in HORIZONS},
        **{f"reversion_{name}_bps": fills.reversion[name].bps for name in HORIZONS},
        "latency_p50_ms": median(waits) if waits else math.nan,
        "schedule_deviation": math.fsum(strays) / len(strays) if strays else math.nan,
        "flags": " ".join(sorted({flag for one in group for flag in one.flags})),
    }
