"""How a plan is shown: a table and a chart for people, plain data for machines."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from execution.pretrade.orders import preview_words
from execution.pretrade.recommend import LIKELY

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from execution.contracts import ExecutionAlgorithm
    from execution.params import Urgency
    from execution.pretrade.almgren_chriss import FrontierPoint
    from execution.pretrade.forecast import CostForecast
    from execution.pretrade.known import Known
    from execution.pretrade.recommend import Choice

HOPELESS: Final = 0.01  # a row whose volume will not suffice is left out of the table
NOTABLE_BPS: Final = 0.1
_CHART: Final = (56, 11)
_ROOMY: Final = 100  # columns that the comparison needs room in
_MARKS: Final = {"low": "L", "medium": "M", "high": "H"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was found out: everything that is shown.

    duration_s    of the choice and of the frontier
    orders        the parent order of each choice, in the same order
    schedules     what each algorithm that has a schedule trades over `duration_s`: the share in each equal part of its
                  `expected_s`
    peak, most    our part of the volume in the busiest part of the first choice's schedule, and the most that is traded
    places        words that a command needs to find the same market: where the data is, or the price
    """

    symbol: str
    side: str
    quantity: float
    urgency: Urgency
    known: Known
    choices: list[Choice]
    duration_s: int
    frontier: list[FrontierPoint]
    urgencies: dict[str, FrontierPoint]
    assumptions: list[str]
    orders: list[ExecutionAlgorithm]
    schedules: dict[str, list[float]]
    peak: float
    most: float
    places: tuple[str, ...] = ()


def show(plan: Plan, screen: Console) -> None:
    """Title, market, table, choice, chart, assumptions."""
    from execution.analyze import bps

    market, first = plan.known.market, plan.choices[0]
    currency = plan.symbol.partition("/")[2]
    notional = plan.quantity * market.price
    title = (
        f"{plan.side} {plan.quantity:,g} {plan.symbol} at {market.price:,g}: {notional:,.0f} {currency}, "
        f"{plan.quantity / market.daily_volume:.2%} of a day's volume, urgency {plan.urgency}"
    )
    screen.print(title, style="bold", markup=False)
    screen.print(_market_table(plan.known))
    screen.print()
    screen.print(_table(plan, currency, screen.width))
    screen.print()
    best = first.forecast
    words = f"{best.algo} over {length_words(best.duration_s)}: {first.reason}"
    parts = f"of its {bps(best.mean_bps)} bps the spread is {bps(best.spread_bps)}, fees {bps(best.fees_bps)}"
    screen.print(words, style="bold", markup=False, soft_wrap=True)
    screen.print(f"{parts}, impact {bps(best.impact_bps)}; {style_words(best)}", markup=False, soft_wrap=True)
    screen.print(f"its children: {preview_words(plan.orders[0], *plan.places)}", markup=False, soft_wrap=True)
    for line in warnings(plan):
        screen.print(line, style="yellow", markup=False, soft_wrap=True)
    screen.print()
    lines = _chart(plan, ascii_only=not _unicode(screen.encoding))
    for line in lines:
        screen.print(line, markup=False, no_wrap=True, crop=True)
    for line in plan.assumptions:
        screen.print(line, style="dim", markup=False)


def _market_table(known: Known) -> Table:
    from rich.table import Table

    from execution.analyze import TABLE_STYLE, bps

    market = known.market
    shown = {
        "price": f"{market.price:,g}",
        "volatility": f"{market.volatility:.2%} a day",
        "daily volume": f"{market.daily_volume:,.0f}",
        "spread": f"{bps(market.spread_bps)} bps",
        "fees": f"{bps(market.maker_fee_bps)} / {bps(market.taker_fee_bps)} bps",
        "volume by time of day": "",
    }
    table = Table(show_header=False, **TABLE_STYLE)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for name, value in shown.items():
        table.add_row(name, value, known.sources[name])
    return table


def _table(plan: Plan, currency: str, width: int) -> Table:
    from rich.table import Table

    from execution.analyze import TABLE_STYLE, bps, money, percent

    title = "bps of the notional, positive is worse; the mean is also p50"
    table = Table(title=title, **TABLE_STYLE)
    table.add_column("", justify="right", no_wrap=True)
    for name in ("algo", "time"):
        table.add_column(name, no_wrap=True)
    for name in ("mean", currency or "money", "impact", "p5", "p95", "vol %", "done %"):
        table.add_column(name, justify="right", no_wrap=True)
    compared = width >= _ROOMY
    if compared:
        table.add_column("against the first", no_wrap=True)
    for number, choice in enumerate(shown(plan), 1):
        one = choice.forecast
        cells = [
            str(number),
            one.algo,
            time_words(one),
            bps(one.mean_bps),
            money(one.cost),
            bps(one.impact_bps),
            f"{one.p5_bps:,.0f}",
            f"{one.p95_bps:,.0f}",
            percent(one.participation),
            percent(one.completion, 0),
        ]
        if compared:
            cells.append("" if choice.rank == 1 else choice.reason)
        table.add_row(*cells, style="bold" if choice.rank == 1 else "")
    return table


def shown(plan: Plan) -> list[Choice]:
    """The choice, and those that may be done in time; a POV that is done early stands for those with more time."""
    done_s = min((one.duration_s for one in forecasts_of(plan, "POV") if one.completion >= LIKELY), default=math.inf)
    return [
        choice
        for choice in plan.choices
        if choice.rank == 1
        or (
            choice.forecast.completion >= HOPELESS
            and (choice.forecast.algo != "POV" or choice.forecast.duration_s <= done_s)
        )
    ]


def dominating(plan: Plan) -> CostForecast | None:
    """The forecast over the same duration, filled in the same way, that is cheapest, less risky and likely to be done.

    None where there is none. What is assumed of passive fills is no reason to prefer one to another.
    """
    best = plan.choices[0].forecast
    found = [
        choice.forecast
        for choice in plan.choices[1:]
        if choice.forecast.duration_s == best.duration_s
        and choice.forecast.passive_share == best.passive_share
        and choice.forecast.completion >= min(LIKELY, best.completion)
        and best.mean_bps - choice.forecast.mean_bps > NOTABLE_BPS
        and best.sd_bps - choice.forecast.sd_bps > NOTABLE_BPS
    ]
    return min(found, key=lambda one: one.mean_bps, default=None)


def forecasts_of(plan: Plan, algo: str) -> list[CostForecast]:
    return [choice.forecast for choice in plan.choices if choice.forecast.algo == algo]


def warnings(plan: Plan) -> list[str]:
    """What a reader must not miss."""
    lines = []
    best = plan.choices[0].forecast
    if best.completion < LIKELY:
        days = plan.quantity / plan.known.market.daily_volume / plan.most
        how_long = "take longer" if days < 1 else f"at most {plan.most:.0%} of it, that is {days:,.1f} days of trading"
        lines.append(f"volume suffices with a chance of {best.completion:.0%} only: {how_long}")
    if plan.peak > plan.most and best.algo != "Iceberg":
        lines.append(
            f"its busiest part would be {plan.peak:.0%} of the volume then, and at most {plan.most:.0%} is traded: "
            "there it falls behind and catches up later"
        )
    better = dominating(plan)
    if better is not None:
        mean, sd = best.mean_bps - better.mean_bps, best.sd_bps - better.sd_bps
        cautious = "; the frontier takes a more cautious view of speed" if better.algo == "IS" else ""
        lines.append(
            f"by this model {better.algo} over {length_words(better.duration_s)} costs {mean:.1f} bps less "
            f"with {sd:.1f} less sd{cautious}"
        )
    hidden = sum(choice.forecast.completion < HOPELESS for choice in plan.choices[1:])
    if hidden:
        lines.append(f"{hidden} left out, because the volume in their time will not suffice; --json has them")
    return lines


def _chart(plan: Plan, *, ascii_only: bool) -> list[str]:
    """The frontier in basis points, with a letter for each urgency; one line where there is none."""
    from execution.pretrade.chart import Dot, curve

    if not plan.frontier:
        return ["no frontier: by this model of impact fast costs no more than slow", ""]
    notional = plan.quantity * plan.known.market.price
    marked = [(point, _MARKS[name]) for name, point in plan.urgencies.items()]
    dots = sorted(
        Dot(1e4 * point.sd / notional, 1e4 * point.expected_cost / notional, mark)
        for point, mark in [*((point, "") for point in plan.frontier), *marked]
    )
    width, height = _CHART
    head = f"efficient frontier of {length_words(plan.duration_s)}, all of it taking: expected cost, bps"
    lines = curve(
        dots, width=width, height=height, x_title="standard deviation, bps", y_title=head, ascii_only=ascii_only
    )
    return [*lines, "L, M, H: front-loaded as IS is at low, medium and high urgency; right end: equal slices", ""]


def document(plan: Plan) -> dict[str, Any]:
    """The same for machines."""
    market = plan.known.market
    return {
        "order": {
            "symbol": plan.symbol,
            "side": plan.side,
            "quantity": plan.quantity,
            "urgency": plan.urgency,
            "notional": plan.quantity * market.price,
        },
        "market": {
            "price": market.price,
            "volatility": market.volatility,
            "daily_volume": market.daily_volume,
            "spread_bps": market.spread_bps,
            "maker_fee_bps": market.maker_fee_bps,
            "taker_fee_bps": market.taker_fee_bps,
            "synthetic": plan.known.synthetic,
            "data": plan.known.data,
            "sources": plan.known.sources,
        },
        "recommended": _row(plan.choices[0], plan.orders[0]),
        "forecasts": [_row(choice, order) for choice, order in zip(plan.choices, plan.orders, strict=True)],
        "frontier": {
            "duration_s": plan.duration_s,
            "points": [asdict(point) for point in plan.frontier],
            "urgencies": {name: asdict(point) for name, point in plan.urgencies.items()},
        },
        "assumptions": plan.assumptions,
    }


def _row(choice: Choice, order: ExecutionAlgorithm) -> dict[str, Any]:
    """A forecast; `order` is the `ExecutionAlgorithm` that does what it says."""
    return {
        "rank": choice.rank,
        **asdict(choice.forecast),
        "score_bps": choice.score_bps,
        "reason": choice.reason,
        "order": order.to_dict(),
    }


def style_words(one: CostForecast) -> str:
    how = {"limit": "rests", "limit_then_cross": "rests, then crosses", "market": "takes"}[one.style]
    return how if one.passive_share == 0 else f"{how}, {one.passive_share:.0%} without crossing"


def time_words(one: CostForecast) -> str:
    """The duration, and what POV takes of it."""
    given = length_words(one.duration_s)
    return given if one.expected_s > 0.95 * one.duration_s else f"{length_words(round(one.expected_s))} of {given}"


def length_words(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length}{unit}"
    if seconds < 60:
        return f"{seconds}s"
    return f"{round(seconds / 60)}m" if seconds < 7200 else f"{seconds / 3600:.1f}h"


def _unicode(encoding: str) -> bool:
    return encoding.lower().replace("-", "").startswith("utf")
