"""What came after the fills, and what that makes of the venues: markouts, reversion, venue scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from execution.analyze import percent
from execution.costs.market_record import MarketRecord
from execution.costs.quality import FLAGS, HORIZONS, Makers, Quality, pooled_quality, quality
from execution.costs.venue_score import FLAGS as VENUE_FLAGS
from execution.costs.venue_score import venue_scores
from execution.report.charts import signed
from execution.report.page import Column, Html, note, paragraph, table, tag

if TYPE_CHECKING:
    from execution.costs.shrinkage import Estimate
    from execution.costs.venue_score import VenueScore
    from execution.report.run import Run

WHO: Final[dict[Makers, str]] = {"all": "all fills", "maker": "maker fills", "taker": "taker fills"}


def after(run: Run) -> list[Html]:
    """The section's body: markouts by maker and taker where the market is known, then the venues."""
    records = {
        symbol: MarketRecord.of(symbol, bars=around.bars)
        for (symbol, _), around in run.markets.items()
        if around.bars is not None
    }
    each = [quality(report, records[report.symbol]) for report in run.reports if report.symbol in records]
    body = _markouts(pooled_quality(each)) if any(report.fills for report in run.reports) and each else []
    if not body:
        reasons = "; ".join(sorted({around.why_not for around in run.markets.values()} - {""})) or "nothing was filled"
        body = [note(f"What the price did after the fills is not known: {reasons}.")]
    return [*body, *_venues(venue_scores(run.reports, markets=records))]


def _markouts(found: Quality) -> list[Html]:
    known = [name for name in HORIZONS if math.isfinite(found.markout["all"][name].bps)]
    if not known:
        return []
    columns = [Column("markout after", number=False), *(Column(name, "bps") for name in known)]
    rows = [(said, *(signed(found.markout[who][name].bps) for name in known)) for who, said in WHO.items()]
    rows.append(("reversion after the end", *(signed(found.reversion[name].bps) for name in known)))
    about = (
        "A markout is the fill price against the market's price a while later: positive, the trade looks worse "
        "by then. Reversion is how far the price came back after the execution ended."
    )
    listed = [tag("li", FLAGS[flag]) for flag in found.flags]
    remarks = [tag("ul", *listed)] if listed else []
    return [paragraph(about), table(columns, rows, label="markouts"), *remarks]


def _venues(scores: list[VenueScore]) -> list[Html]:
    horizons = [
        name for name in HORIZONS if any(_known(one.markouts_bps[name]) for one in scores if name in one.markouts_bps)
    ]
    timed = any(math.isfinite(one.quantiles_ms.get("p50", math.nan)) for one in scores)
    columns = [
        Column("venue", number=False),
        Column("executions"),
        Column("all-in cost", "bps"),
        Column("95 % interval", "bps"),
        Column("slippage", "bps"),
        Column("fee", "bps"),
        Column("unfilled", "bps"),
        Column("filled", "%"),
        Column("maker", "%"),
        *(Column(f"markout {name}", "bps") for name in horizons),
        *([Column("latency", "ms, median")] if timed else []),
    ]
    rows = [
        (
            one.venue or "unknown",
            f"{one.executions:,}",
            signed(one.score_bps.value),
            f"{signed(one.score_bps.low)} to {signed(one.score_bps.high)}" if _known(one.score_bps) else "–",
            signed(one.slippage_bps.value),
            signed(one.fee_bps.value),
            signed(one.opportunity_bps.value),
            percent(one.fill_rate.value),
            percent(one.maker_share.value),
            *(signed(one.markouts_bps[name].value) for name in horizons),
            *([signed(one.quantiles_ms.get("p50", math.nan))] if timed else []),
        )
        for one in scores
    ]
    about = (
        "All-in cost is slippage against arrival, fees and unfilled quantity of an order sent there. Slippage and fee "
        "are of what was filled, the others of what was ordered. Figures are pulled towards the mean of all venues by "
        "as much as they are noise, and the intervals are of the pulled figures."
    )
    flags = sorted({flag for one in scores for flag in one.flags} & set(VENUE_FLAGS))
    said = [tag("ul", *(tag("li", VENUE_FLAGS[flag]) for flag in flags))] if flags else []
    return [tag("h3", "Venues"), paragraph(about), table(columns, rows, label="scores of the venues"), *said]


def _known(estimate: Estimate) -> bool:
    return math.isfinite(estimate.low)
