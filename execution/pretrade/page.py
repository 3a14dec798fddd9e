"""A plan as one HTML page that opens offline: what to do and why, what it may cost, how it would trade."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from execution.analyze import bps, money, percent
from execution.pretrade.forecast import quantile
from execution.pretrade.orders import preview_words
from execution.pretrade.report import HOPELESS, forecasts_of, length_words, shown, style_words, time_words, warnings
from execution.report import charts
from execution.report.page import (
    Column,
    Html,
    chart,
    details,
    document,
    facts,
    join,
    note,
    paragraph,
    section,
    table,
    tag,
    tiles,
    write_assets,
)
from research.store import atomic

if TYPE_CHECKING:
    from pathlib import Path

    from execution.pretrade.forecast import CostForecast
    from execution.pretrade.report import Plan

OF_NOTIONAL: Final = "bps of the notional"
COLOUR_OF: Final = {
    "IS": charts.VERMILLION,
    "TWAP": charts.BLUE,
    "VWAP": charts.GREEN,
    "POV": charts.PURPLE,
    "Iceberg": charts.ORANGE,
}
DASH_OF: Final = {"IS": "solid", "TWAP": "dash", "VWAP": "dashdot", "POV": "dot"}
SYNTHETIC: Final = "SYNTHETIC data: these numbers say nothing of a real market."


def write_page(plan: Plan, path: Path) -> None:
    """The page at `path`, and plotly beside it; nothing where writing fails. The folder must be there."""
    text = page(plan)
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")
    write_assets(path.parent, inline=True)


def page(plan: Plan) -> str:
    """The page. The same plan gives the same bytes."""
    market = plan.known.market
    title = f"{plan.side.capitalize()} {plan.quantity:,.12g} {plan.symbol}: the plan"
    subtitle = (
        f"{_notional(plan)} at {market.price:,.10g}, {plan.quantity / market.daily_volume:.2%} of a day's volume, "
        f"urgency {plan.urgency}"
    )
    nav = {"Recommendation": "#choice", "All choices": "#choices", "Cost": "#cost"}
    nav |= {"Frontier": "#frontier"} if plan.frontier else {}
    nav |= {"Trajectories": "#trajectories", "What is known": "#known"}
    return document(
        title,
        note(SYNTHETIC, loud=True) if plan.known.synthetic else "",
        _choice(plan),
        _choices(plan),
        _cost(plan),
        _frontier(plan),
        _trajectories(plan),
        _known(plan),
        subtitle=subtitle,
        nav=nav,
        foot=f"Data: {plan.known.data}. Made by fillwright plan; a forecast, not advice.",
        inline=True,
    )


# ---- sections


def _choice(plan: Plan) -> Html:
    first = plan.choices[0]
    best = first.forecast
    currency = _currency(plan)
    headline = [
        ("expected cost", join((bps(best.mean_bps), tag("small", " bps"))), f"{money(best.cost)} {currency}"),
        (
            "one in twenty costs more than",
            join((bps(best.p95_bps), tag("small", " bps"))),
            f"{money(_in_money(plan, best.p95_bps))} {currency}",
        ),
        ("time", time_words(best), "POV ends when it is done" if best.algo == "POV" else "from start to end"),
        ("of the volume", f"{best.participation:.1%}", "ours, while we trade"),
        ("chance to be done", f"{percent(best.completion, 0)} %", "that volume suffices"),
    ]
    return section(
        f"{best.algo} over {length_words(best.duration_s)}",
        paragraph(_sentence(first.reason), class_="lead"),
        *(note(_sentence(line)) for line in warnings(plan)),
        tiles(headline),
        paragraph(
            f"Of the expected {bps(best.mean_bps)} bps the spread is {bps(best.spread_bps)}, fees {bps(best.fees_bps)} "
            f"and impact {bps(best.impact_bps)}. It {style_words(best)}. One standard deviation is {bps(best.sd_bps)}."
        ),
        paragraph("See its children before you send it:"),
        _command(preview_words(plan.orders[0], *plan.places)),
        details("The same as an order, for ExecutionAlgorithm", tag("pre", tag("code", _order_text(plan)))),
        id="choice",
    )


def _choices(plan: Plan) -> Html:
    currency = _currency(plan)
    columns = [
        Column("", number=True), Column("algorithm", number=False), Column("time", number=False),
        Column("mean", "bps"), Column("mean", currency), Column("impact", "bps"), Column("p5", "bps"),
        Column("p95", "bps"), Column("of volume", "%"), Column("done", "% chance"),
        Column("against the first", "bps", number=False),
    ]  # fmt: skip
    rows = []
    listed = shown(plan)
    for number, choice in enumerate(listed, 1):
        one = choice.forecast
        rows.append(
            [
                number, one.algo, time_words(one), bps(one.mean_bps), money(one.cost), bps(one.impact_bps),
                f"{one.p5_bps:,.0f}", f"{one.p95_bps:,.0f}", percent(one.participation), percent(one.completion, 0),
                "recommended" if choice.rank == 1 else choice.reason,
            ]
        )  # fmt: skip
    commands = [_command(preview_words(order, *plan.places)) for order in _orders_of(plan)]
    return section(
        "All choices",
        paragraph(
            "Positive is worse; the mean is also the median. The first follows from rules; the others in order of "
            "mean + k sd + what it takes to trade what volume did not allow."
        ),
        table(columns, rows, label="Forecasts by algorithm and time"),
        details("The commands that show the children of each, in this order", *commands),
        id="choices",
    )


def _cost(plan: Plan) -> Html:
    ones = [choice.forecast for choice in plan.choices if choice.forecast.duration_s == plan.duration_s]
    return section(
        "What it may cost",
        chart(
            distribution(ones),
            "distribution",
            about="Thin line: nine orders in ten. Thick line: half of them. Point: the mean, which is also the median. "
            "Student's t with 5 degrees of freedom about the mean; risk is the price moving while we wait, and not "
            "knowing the impact.",
        ),
        chart(
            by_duration(plan, plan.choices[0].forecast.algo),
            "by-duration",
            about="More time lets the price move further; under the square-root law it hardly makes impact smaller.",
        )
        if len({choice.forecast.duration_s for choice in plan.choices}) > 1
        else "",
        id="cost",
    )


def _frontier(plan: Plan) -> Html:
    if not plan.frontier:
        return Html("")
    return section(
        "Fast and dear, or slow and risky",
        chart(
            frontier(plan),
            "efficient-frontier",
            about="Almgren and Chriss, made linear about this order, all of it taking: no schedule is both cheaper and "
            "less risky than one on the line. Low, medium and high: where IS stands at each urgency. It is the "
            "cautious view of speed; the table above is the simulated market's.",
        ),
        id="frontier",
    )


def _trajectories(plan: Plan) -> Html:
    return section(
        "How it would trade",
        chart(
            trajectories(plan),
            "trajectory",
            about="As forecast. VWAP and POV follow the volume that comes, here the expected one; an iceberg has no "
            "schedule and is not drawn.",
        ),
        id="trajectories",
    )


def _known(plan: Plan) -> Html:
    market, sources = plan.known.market, plan.known.sources
    values = {
        "price": f"{market.price:,.10g}",
        "volatility": f"{market.volatility:.2%} a day",
        "daily volume": f"{market.daily_volume:,.0f}",
        "spread": f"{bps(market.spread_bps)} bps",
        "fees": f"maker {bps(market.maker_fee_bps)}, taker {bps(market.taker_fee_bps)} bps",
        "volume by time of day": "",
    }
    rows: list[tuple[object, object]] = [("data", plan.known.data)]
    rows += [
        (name, join((value, tag("small", f" {sources[name]}")) if value else (sources[name],)))
        for name, value in values.items()
    ]
    assumed = tag("ul", *(tag("li", line) for line in plan.assumptions))
    return section("What is known, and what is assumed", facts(rows), assumed, id="known")


# ---- charts


def distribution(ones: list[CostForecast]) -> charts.Spec:
    """Quantiles of the cost of each forecast, the cheapest mean at the top."""
    ones = sorted(ones, key=lambda one: one.mean_bps)
    names = [f"{one.algo}, {time_words(one)}" for one in ones]
    data: list[dict[str, Any]] = []
    for name, one in zip(names, ones, strict=True):
        colour = COLOUR_OF[one.algo]
        said = {level: quantile(one.mean_bps, one.sd_bps, level) for level in (0.05, 0.25, 0.75, 0.95)}
        text = "<br>".join(f"p{level * 100:.0f} {bps(value)} bps" for level, value in said.items())
        hover = {"hovertemplate": f"{one.algo}<br>mean {bps(one.mean_bps)} bps<br>{text}<extra></extra>"}
        data += [
            charts.line([said[0.05], said[0.95]], [0, 0], name, colour, width=2, showlegend=False, **hover),
            charts.line([said[0.25], said[0.75]], [0, 0], name, colour, width=9, showlegend=False, **hover),
            charts.points([one.mean_bps], [0], name, charts.INK, size=12, symbol="diamond", showlegend=False, **hover),
        ]
        for trace in data[-3:]:
            trace["y"] = [name] * len(trace["x"])
    x = charts.axis("cost", OF_NOTIONAL, zeroline=True)
    y = charts.axis("", type="category", autorange="reversed", showgrid=False)
    return {"data": data, "layout": charts.layout(
        f"Cost by algorithm over {length_words(ones[0].duration_s)}", x, y, height=110 + 44 * len(ones)
    )}  # fmt: skip


def by_duration(plan: Plan, algo: str) -> charts.Spec:
    """Mean and one-in-twenty cost of one algorithm by its time."""
    ones = sorted(
        (one for one in forecasts_of(plan, algo) if one.completion >= HOPELESS), key=lambda one: one.duration_s
    )
    names = [length_words(one.duration_s) for one in ones]
    data = [
        charts.line(names, [getattr(one, field) for one in ones], said, colour, dash=dash, mode="lines+markers")
        for field, said, colour, dash in (
            ("p95_bps", "one in twenty costs more", charts.VERMILLION, "dash"),
            ("mean_bps", "mean", charts.BLUE, "solid"),
            ("p5_bps", "one in twenty costs less", charts.GREEN, "dot"),
        )
    ]
    x = charts.axis("time to trade in", type="category")
    y = charts.axis("cost", OF_NOTIONAL, zeroline=True)
    return {"data": data, "layout": charts.layout(f"{algo} by time", x, y)}


def frontier(plan: Plan) -> charts.Spec:
    """Expected cost against risk, with the three urgencies of IS."""
    notional = plan.quantity * plan.known.market.price

    def place(points: list[Any]) -> tuple[list[float], list[float]]:
        return [1e4 * p.sd / notional for p in points], [1e4 * p.expected_cost / notional for p in points]

    x, y = place(plan.frontier)
    said = [
        "equal slices" if math.isinf(p.half_life) else f"half-life {length_words(max(1, round(p.half_life * 86_400)))}"
        for p in plan.frontier
    ]
    hover = "%{text}<br>cost %{y:.1f} bps, sd %{x:.1f} bps<extra></extra>"
    line = charts.line(x, y, "efficient frontier", charts.BLUE, mode="lines+markers", text=said, hovertemplate=hover)
    urgent, costs = place(list(plan.urgencies.values()))
    marks = charts.points(
        urgent, costs, "IS at low, medium and high urgency", charts.VERMILLION, size=13, symbol="diamond",
        mode="markers+text", text=list(plan.urgencies), textposition=["bottom left", "top center", "top right"],
        hovertemplate=hover, cliponaxis=False,
    )  # fmt: skip
    across = charts.axis("risk, one standard deviation", "bps")
    up = charts.axis("expected cost", "bps", rangemode="tozero")
    title = f"Efficient frontier over {length_words(plan.duration_s)}"
    return {"data": [line, marks], "layout": charts.layout(title, across, up, height=380)}


def trajectories(plan: Plan) -> charts.Spec:
    """What is left by time, of each algorithm that has a schedule."""
    forecasts = {c.forecast.algo: c.forecast for c in plan.choices if c.forecast.duration_s == plan.duration_s}
    unit, seconds = ("hours", 3600) if plan.duration_s >= 7200 else ("minutes", 60)
    data = []
    for algo, shares in plan.schedules.items():
        step = forecasts[algo].expected_s / len(shares) / seconds  # type: ignore[index]
        left = [100.0]
        for share in shares:
            left.append(max(0.0, left[-1] - 100 * share))
        times = [round(step * k, 6) for k in range(len(left))]
        hover = f"{algo}: %{{y:.1f}} % left after %{{x:.2f}} {unit}<extra></extra>"
        data.append(charts.line(times, left, algo, COLOUR_OF[algo], dash=DASH_OF[algo], width=2.5, hovertemplate=hover))
    x = charts.axis("time since the start", unit, rangemode="tozero")
    y = charts.axis("left to trade", "% of the quantity", range=[0, 103])
    return {"data": data, "layout": charts.layout("What is left of the order", x, y, height=380)}


# ---- words


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _command(words: str) -> Html:
    """A command on several lines, as a shell takes it."""
    return tag(
        "pre", tag("code", words.replace(" --quantity", " \\\n    --quantity").replace(" --param", " \\\n    --param"))
    )


def _currency(plan: Plan) -> str:
    return plan.symbol.partition("/")[2] or "quote currency"


def _notional(plan: Plan) -> str:
    return f"{plan.quantity * plan.known.market.price:,.0f} {_currency(plan)}"


def _in_money(plan: Plan, points: float) -> float:
    return points / 1e4 * plan.quantity * plan.known.market.price


def _orders_of(plan: Plan) -> list[Any]:
    listed = {choice.rank for choice in shown(plan)}
    return [order for choice, order in zip(plan.choices, plan.orders, strict=True) if choice.rank in listed]


def _order_text(plan: Plan) -> str:
    import msgspec

    from core.codec import to_json

    return msgspec.json.format(to_json(plan.orders[0]), indent=2).decode()
