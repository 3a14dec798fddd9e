"""The first page of a report: what the executions cost, why, where, how sure, and how all of that was made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from execution.analyze import clock, percent, worst_of
from execution.report.after import after
from execution.report.charts import Spec, histogram, intervals, signed, waterfall
from execution.report.groups import Group, of, sized_by_notional
from execution.report.listing import executions_table, foot, loud
from execution.report.made import made
from execution.report.page import (
    Column,
    Html,
    chart,
    details,
    document,
    join,
    link,
    note,
    paragraph,
    section,
    table,
    tag,
    tiles,
)
from execution.report.words import glossary, money, period, plural, with_unit
from execution.tca import PARTS

if TYPE_CHECKING:
    from execution.report.run import Run

WORST: Final = 10
BINS: Final = 40
MOST_OPEN: Final = 6  # longer tables are folded
TITLES: Final = {
    "algorithm": "By algorithm",
    "venue": "By venue",
    "hour": "By hour of the start, UTC",
    "size": "By size, ordered quantity in % of daily volume",
    "volatility": "By volatility, % a day",
}


def overview(run: Run, paged: Mapping[str, str], files: Sequence[str]) -> str:
    """The page. paged: execution id -> its page; files: names of the data files beside it."""
    everything = of("all", "all", run.measured)
    nav = {
        "Cost": "#cost",
        "Where": "#where",
        "Distribution": "#distribution",
        "After the fills": "#after",
        "Worst": "#worst",
        "Data and model": "#made",
        "Words": "#words",
        "All executions": "executions.html",
    }
    body = [
        *loud(run),
        headline(run, everything),
        section("What it cost", *_cost(run), id="cost"),
        section("Where it cost", *_where(run, everything), id="where"),
        section("How costs spread", *_distribution(run), id="distribution"),
        section("After the fills", *after(run), id="after"),
        section(f"The {WORST} that cost the most", _worst(run, paged), id="worst"),
        section("How these numbers were made", *made(run, files), id="made"),
        section("Words", glossary(), id="words"),
    ]
    return document(title(run), *body, subtitle=_subtitle(run), nav=nav, foot=foot(run))


def title(run: Run) -> str:
    strategies = sorted({report.strategy_id for report in run.reports} - {""})
    return f"Execution report: {', '.join(strategies)}" if strategies else "Execution report"


def headline(run: Run, everything: Group) -> Html:
    """The first screen: the figures that a reader came for."""
    total, unit, span = run.total, run.currency, everything.interval
    against, parts = total.against, total.parts_bps
    sure = f"95 % interval {_span(everything)}" if math.isfinite(span.low) else "too few days for an interval"
    unknown = f"{total.measured:,} with a known shortfall" if total.measured < total.executions else ""
    done = sum(cost.fill_rate >= 1 - 1e-9 for cost in run.measured)
    fills = sum(cost.fills for cost in run.measured)
    lasted = f"median duration {clock(total.duration_s)} min"
    figures = [
        ("Implementation shortfall", with_unit(signed(total.shortfall_bps), "bps"), sure),
        ("The same in money", with_unit(money(total.shortfall), unit), f"of {money(total.notional)} {unit} ordered"),
        ("Executions", f"{total.executions:,}", unknown or plural(fills, "fill")),
        ("Filled", with_unit(percent(total.fill_rate), "%"), f"{done:,} of {total.executions:,} to the end"),
        ("Fills against arrival", with_unit(signed(against["arrival"].bps), "bps"), "spread, impact and timing"),
        ("Fills against VWAP", with_unit(signed(against["vwap"].bps), "bps"), "of the same time"),
        ("Fees", with_unit(signed(parts.fees), "bps"), f"{money(total.parts.fees)} {unit}; bps of the order"),
        ("Of market volume", with_unit(percent(total.participation, 3), "%"), lasted),
    ]
    return join((paragraph(_sentence(run), class_="lead"), tiles(figures)))


def waterfall_of(run: Run) -> Spec:
    parts = {name: getattr(run.total.parts_bps, name) for name in PARTS}
    return waterfall(
        parts,
        ("shortfall", run.total.shortfall_bps),
        title="From decision to fill: the parts of the shortfall",
        what="cost",
        unit="bps of paper notional",
    )


def intervals_of(run: Run, by: str, groups: Sequence[Group]) -> Spec:
    title = TITLES[by]
    if by == "size" and sized_by_notional(run):
        title = f"By size, ordered notional in {run.currency or 'quote currency'}"
    return intervals(
        [group.name for group in groups],
        [group.shortfall_bps for group in groups],
        [group.interval.low for group in groups],
        [group.interval.high for group in groups],
        [group.known for group in groups],
        title=title,
        by="hour of the start, UTC" if by == "hour" else "",
        what="shortfall",
        unit="bps",
        overall=run.total.shortfall_bps,
        upright_names=by == "hour",
    )


def distribution_of(run: Run) -> Spec:
    """Executions by their shortfall; the outermost hundredths share the outermost bars."""
    known = np.array([cost.shortfall_bps for cost in run.measured if math.isfinite(cost.shortfall_bps)])
    marks = {"mean": run.total.shortfall_bps}
    if len(known):
        marks["median"] = float(np.median(known))
        low, high = (float(edge) for edge in np.quantile(known, [0.01, 0.99]))
    else:
        low, high = 0.0, 0.0
    width = _nice((high - low) / BINS)
    first, last = math.floor(low / width), math.ceil(high / width)
    edges = [round(k * width, 10) for k in range(first, max(last, first + 1) + 1)]
    inside = np.clip(known, edges[0], np.nextafter(edges[-1], edges[0]))
    counts = np.histogram(inside, edges)[0]
    return histogram(
        edges, [int(one) for one in counts], marks, title="Executions by their shortfall", what="shortfall", unit="bps"
    )


def _sentence(run: Run) -> str:
    total, unit = run.total, run.currency
    if not total.measured:
        return f"{plural(total.executions, 'parent order')}, none with a known shortfall: the remarks below say why."
    largest = max(
        ((value, name) for name, value in zip(PARTS, total.parts_bps, strict=True) if value > 0), default=None
    )
    mostly = f", most of it {_called(largest[1])} ({signed(largest[0])} bps)" if largest else ""
    verb = "cost" if total.shortfall >= 0 else "gained"
    return (
        f"{plural(total.executions, 'parent order')} worth {money(total.notional)} {unit} on paper {verb} "
        f"{money(abs(total.shortfall))} {unit} against the prices at which they were decided: "
        f"{signed(total.shortfall_bps)} bps{mostly}."
    )


def _called(part: str) -> str:
    return {"opportunity": "what was not filled", "delay": "the wait before the start"}.get(part, part)


def _subtitle(run: Run) -> str:
    symbols = sorted({report.symbol for report in run.reports})
    venues = sorted({report.venue for report in run.reports} - {""})
    named = ", ".join(symbols[:6]) + (f" and {len(symbols) - 6} more" if len(symbols) > 6 else "")
    where = f" at {', '.join(venues)}" if venues else ""
    return f"{named}{where}, {period(run)}"


def _cost(run: Run) -> list[Html]:
    total, unit = run.total, run.currency or "money"
    rows: list[Sequence[object]] = [
        (name, money(getattr(total.parts, name)), signed(getattr(total.parts_bps, name)), glossed)
        for name, glossed in _PARTS_SAID.items()
    ]
    rows.append(("shortfall", money(total.shortfall), signed(total.shortfall_bps), "their sum, exactly"))
    columns = [
        Column("part", number=False),
        Column("cost", unit),
        Column("cost", "bps"),
        Column("what it is", number=False, wrap=True),
    ]
    about = "Positive is worse, for buys and for sells. Basis points are of the ordered quantity at the decision price."
    return [
        chart(waterfall_of(run), "waterfall", about=about),
        table(columns, rows, label="the parts of the shortfall", bold_last=True),
    ]


_PARTS_SAID: Final = {
    "delay": "the market's move from decision to start",
    "spread": "half spreads that the fills paid",
    "impact": "how far our own orders moved the price",
    "timing": "what the market did during the execution",
    "opportunity": "what it did to the quantity not filled",
    "fees": "the venue's fees",
}


def _where(run: Run, everything: Group) -> list[Html]:
    about = (
        "Means weighted by notional, with 95 % intervals over symbol-days, for executions of one day share its market. "
        "An interval that covers the line of all executions is no evidence of a difference; where many groups are "
        "looked at, one in twenty misses it by chance. A hollow point has too few days for an interval."
    )
    body: list[Html] = [paragraph(about)]
    for by, groups in run.breakdowns.items():
        if by in ("size", "volatility") and all(group.name == "unknown" for group in groups):
            body += [tag("h3", TITLES[by]), note(f"The {by} is not known: {_why_not(run)}.")]
            continue
        if len(groups) > 1:
            body.append(chart(intervals_of(run, by, groups), f"by-{by}"))
        else:
            body.append(tag("h3", TITLES[by]))
        whole = [*groups, everything] if len(groups) > 1 else groups
        listed = _groups_table(by, whole, bold_last=len(groups) > 1)
        body.append(details("the numbers", listed) if len(groups) > MOST_OPEN else listed)
    return body


def _groups_table(by: str, groups: Sequence[Group], *, bold_last: bool) -> Html:
    columns = [
        Column(by, number=False),
        Column("shortfall", "bps"),
        Column("95 % interval", "bps"),
        Column("executions"),
        Column("days"),
        Column("filled", "%"),
        Column("median", "bps"),
        *(Column(name, "bps") for name in PARTS),
    ]
    rows = [
        (
            group.name,
            signed(group.shortfall_bps),
            _span(group),
            f"{group.executions:,}",
            f"{group.days:,}",
            percent(group.fill_rate),
            signed(group.median_bps),
            *(signed(part) for part in group.parts_bps),
        )
        for group in groups
    ]
    return table(columns, rows, label=f"cost by {by}", bold_last=bold_last)


def _span(group: Group) -> str:
    span = group.interval
    return f"{signed(span.low)} to {signed(span.high)}" if math.isfinite(span.low) else "–"


def _distribution(run: Run) -> list[Html]:
    known = np.array([cost.shortfall_bps for cost in run.measured if math.isfinite(cost.shortfall_bps)])
    if not len(known):
        return [note("No execution has a known shortfall.")]
    about = "Each bar counts executions; the outermost bars hold everything beyond. The mean is weighted by notional."
    points = (5, 25, 50, 75, 95)
    columns = [Column("", number=False), *(Column(f"{point} %", "bps") for point in points), Column("dearest", "bps")]
    below = [signed(float(one)) for one in np.percentile(known, points)]
    rows = [("so many cost at most", *below, signed(float(known.max())))]
    return [
        chart(distribution_of(run), "spread-of-costs", about=about),
        table(columns, rows, label="quantiles of the shortfall"),
    ]


def _worst(run: Run, paged: Mapping[str, str]) -> Html:
    dear = worst_of(run.measured, WORST)
    return join((executions_table(dear, paged, run.currency), paragraph(link("All executions", "executions.html"))))


def _why_not(run: Run) -> str:
    reasons = sorted({around.why_not for around in run.markets.values() if around.why_not})
    return "; ".join(reasons) or "the store has too few bars before the executions"


def _nice(width: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... at or above; 1 where there is no width."""
    if not width > 0 or not math.isfinite(width):
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9))
