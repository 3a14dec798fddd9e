"""The page of one execution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from execution.analyze import clock, percent
from execution.contracts import ExecutionReport
from execution.report.charts import Spec, signed
from execution.report.listing import foot, loud
from execution.report.one import MOST_FILLS, base_of, charts_of, currency, limit_price, schedule
from execution.report.page import (
    Column,
    Html,
    chart,
    details,
    document,
    facts,
    link,
    note,
    paragraph,
    section,
    table,
    tag,
    tiles,
)
from execution.report.words import moment, money, plural, with_unit
from execution.tca import FLAGS, PARTS, ExecutionCost

if TYPE_CHECKING:
    from execution.report.run import Run

MOST_FILL_ROWS: Final = 300
DRAWN: Final = ("limit_price", "schedule")  # notes that a chart or a row of their own shows
ABOUT: Final = {
    "price": "Fills are larger where more was filled.",
    "volume": "The filled quantity over all that traded in the same bar, our own fills not counted in it.",
    "cost": "Basis points of the arrival price; fills that waited in the book paid no spread.",
}


def execution_page(run: Run, place: int, paged: dict[str, str]) -> str:
    """The page of the execution at this place in the run. paged: execution id -> page, in the order of reading."""
    report, cost = run.reports[place], run.measured[place]
    around = run.around(report)
    unit = currency(report)
    name = f"{report.side} {_quantity(report.total_quantity)} {base_of(report)}, {report.algo_type}"
    specs = charts_of(report, cost, around)
    body = [
        _pager(report, paged),
        *loud(run),
        _figures(report, cost, unit),
        *(chart(spec, chart_name, about=_about(chart_name, report)) for chart_name, spec in specs.items()),
        *_missing(report, specs, around.why_not),
        section("What it cost", _parts(cost, unit), id="cost"),
        section("What happened", facts(_happened(report, cost, unit)), *_flags(cost), id="happened"),
        section("Fills", _fills(report, unit), id="fills"),
    ]
    where = f"{report.symbol} at {report.venue}" if report.venue else report.symbol
    subtitle = f"{report.execution_id}, {where}, from {moment(report.start_ts_ns)} UTC"
    return document(name, *body, subtitle=subtitle, foot=foot(run), assets="../")


def _pager(report: ExecutionReport, paged: dict[str, str]) -> Html:
    names = list(paged)
    at = names.index(report.execution_id)

    def go(text: str, to: int) -> Html:
        inside = 0 <= to < len(names)
        return link(text, paged[names[to]].rpartition("/")[2]) if inside else tag("span")

    return tag(
        "nav",
        go("← earlier", at - 1),
        link("the report", "../index.html"),
        link("all executions", "../executions.html"),
        go("later →", at + 1),
        class_="pager",
    )


def _figures(report: ExecutionReport, cost: ExecutionCost, unit: str) -> Html:
    filled = f"{_quantity(report.filled_quantity)} of {_quantity(report.total_quantity)} {base_of(report)}"
    arrival, vwap = cost.against["arrival"], cost.against["vwap"]
    fees = cost.parts.bps(cost.notional).fees
    return tiles(
        [
            (
                "Implementation shortfall",
                with_unit(signed(cost.shortfall_bps), "bps"),
                f"{money(cost.shortfall)} {unit}",
            ),
            ("Filled", with_unit(percent(cost.fill_rate), "%"), filled),
            ("Average price", with_unit(_price(cost.avg_fill_price), unit), f"arrival {_price(cost.arrival_price)}"),
            ("Fills against VWAP", with_unit(signed(vwap.bps), "bps"), f"VWAP {_price(vwap.price)}"),
            ("Of market volume", with_unit(percent(cost.participation, 3), "%"), f"in {clock(cost.duration_s)} min"),
            ("Fills against arrival", with_unit(signed(arrival.bps), "bps"), "spread, impact and timing"),
            ("Fees", with_unit(signed(fees), "bps"), f"{money(cost.parts.fees)} {unit}"),
            ("Maker", with_unit(percent(cost.maker_share), "%"), plural(cost.fills, "fill")),
        ]
    )


def _about(name: str, report: ExecutionReport) -> str:
    if name == "done":
        if schedule(report):
            return "The schedule steps when a slice begins; what is done follows when it fills."
        return "Nothing was planned by the clock; the market's volume is what the order could follow."
    if name == "price" and len(report.fills) > MOST_FILLS:
        return f"{len(report.fills):,} fills; neighbours are drawn together."
    return ABOUT[name]


def _missing(report: ExecutionReport, specs: dict[str, Spec], why_not: str) -> list[Html]:
    said = []
    if why_not:
        said.append(f"The market's price and volume are not shown: {why_not}.")
    if not report.fills:
        said.append(
            "Nothing was filled." if not report.filled_quantity else "The report carries no fills, only their sum."
        )
    elif "cost" not in specs:
        said.append("The fills do not say what spread and impact they paid.")
    return [note(text) for text in said]


def _parts(cost: ExecutionCost, unit: str) -> Html:
    columns = [Column("part", number=False), Column("cost", unit), Column("cost", "bps")]
    shares = cost.parts.bps(cost.notional)
    rows = [(name, money(getattr(cost.parts, name)), signed(getattr(shares, name))) for name in PARTS]
    rows.append(("shortfall", money(cost.shortfall), signed(cost.shortfall_bps)))
    return table(columns, rows, label="the parts of the shortfall", bold_last=True)


def _happened(report: ExecutionReport, cost: ExecutionCost, unit: str) -> list[tuple[object, object]]:
    limit = limit_price(report)
    children = f"{report.slices_completed} of {report.slices_total} children filled whole"
    ordered = f"{report.side} {_quantity(report.total_quantity)} {base_of(report)}"
    end = "running" if report.end_ts_ns is None else moment(report.end_ts_ns)
    rows: list[tuple[object, object]] = [
        ("order", f"{ordered}, parent {report.parent_intent_id or 'unknown'}"),
        ("status", f"{report.status}, {children}"),
        ("start and end, UTC", f"{moment(report.start_ts_ns)} to {end}"),
    ]
    if report.unfilled_reason:
        rows.append(("not filled because", report.unfilled_reason))
    prices = {
        "decision price": cost.decision_price,
        "arrival price": cost.arrival_price,
        "limit price": limit,
        "average fill price": cost.avg_fill_price,
        "market VWAP": cost.against["vwap"].price,
        "market VWAP with our volume": cost.against["vwap_own"].price,
        "TWAP of the mid": cost.against["twap"].price,
        "end price": cost.end_price,
    }
    rows += [(name, f"{_price(value)} {unit}") for name, value in prices.items() if math.isfinite(value)]
    if math.isfinite(report.spread_bps):
        rows.append(("spread at arrival", f"{signed(report.spread_bps)} bps"))
    rows += [(f"denied by the risk gate ({number})", denial) for number, denial in enumerate(report.denials[:5], 1)]
    rows += [(name.replace("_", " "), _note(value)) for name, value in report.notes.items() if name not in DRAWN]
    return rows


def _note(value: object) -> object:
    """A remark of the report: numbers with seven digits, what has names with its names."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_note(one)}".replace("_", " ") for name, one in value.items())
    return f"{value:,.7g}" if isinstance(value, float) else value


def _flags(cost: ExecutionCost) -> list[Html]:
    return [tag("ul", *(tag("li", FLAGS.get(flag, flag)) for flag in cost.flags))] if cost.flags else []


def _fills(report: ExecutionReport, unit: str) -> Html:
    if not report.fills:
        return paragraph("None.")
    columns = [
        Column("time, UTC", number=False),
        Column("quantity", base_of(report)),
        Column("price", unit),
        Column("fee", unit),
        Column("maker or taker", number=False),
        Column("slice"),
    ]
    fills = sorted(report.fills, key=lambda fill: (fill.ts_fill_ns, fill.fill_id))
    rows = [
        (
            moment(fill.ts_fill_ns),
            _quantity(fill.qty),
            _price(fill.price),
            f"{fill.fee:,.4f}".replace("-", "−"),
            fill.liquidity,
            fill.meta.get("slice_idx", "–"),
        )
        for fill in fills[:MOST_FILL_ROWS]
    ]
    listed = table(columns, rows, label="fills")
    if len(fills) > MOST_FILL_ROWS:
        listed = Html(
            listed + paragraph(f"The first {MOST_FILL_ROWS} of {len(fills):,}; all of them are in fills.csv.")
        )
    return details(plural(len(fills), "fill"), listed, open_=len(fills) <= 30)


def _quantity(value: float) -> str:
    return f"{value:,.10g}"


def _price(value: float) -> str:
    """Seven digits, trailing zeros dropped."""
    return f"{value:,.7g}" if math.isfinite(value) else "–"
