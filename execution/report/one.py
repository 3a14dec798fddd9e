"""The charts of one execution: price with fills, schedule against done, share of the market's volume, cost of fills."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.bars import Bars
from core.contracts import FillEvent
from execution.contracts import ExecutionReport
from execution.costs.quality import schedule as planned
from execution.report.charts import (
    BLUE,
    FLAT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    VERMILLION,
    Spec,
    axis,
    bars,
    layout,
    level,
    line,
    milliseconds,
    points,
    time_axis,
)
from execution.report.frames import told
from execution.report.markets import Around
from execution.tca import ExecutionCost

MOST_BARS: Final = 720
MOST_FILLS: Final = 600
MINUTE_NS: Final = 60 * 10**9
BAND: Final = "rgba(127,127,127,0.22)"


@dataclass(frozen=True, slots=True)
class Mark:
    """Fills as they are drawn: one, or neighbours put together where there are too many."""

    ts_ns: int
    price: float
    qty: float
    maker: bool
    half_spread: float
    impact: float
    count: int


def charts_of(report: ExecutionReport, cost: ExecutionCost, around: Around) -> dict[str, Spec]:
    """The charts by name, in reading order: price, done, volume, cost. What has nothing to show is not among them."""
    start_ns, end_ns = span(report)
    room = max(3 * MINUTE_NS, (end_ns - start_ns) // 4)
    market = around.window(start_ns - room, end_ns + room)
    x = time_axis(range=milliseconds((start_ns - room, end_ns + room)))
    marks = drawn_fills(report)
    made = {
        "price": price(report, cost, market, marks, x),
        "done": done(report, around, x),
        "volume": volume(report, cost, around, x),
        "cost": cost_of_fills(cost, marks, x),
    }
    return {name: spec for name, spec in made.items() if spec is not None}


def span(report: ExecutionReport) -> tuple[int, int]:
    """From the start to the end or the last fill, at least a minute."""
    ends = [fill.ts_fill_ns for fill in report.fills]
    if report.end_ts_ns is not None:
        ends.append(report.end_ts_ns)
    return report.start_ts_ns, max([report.start_ts_ns + MINUTE_NS, *ends])


def price(report: ExecutionReport, cost: ExecutionCost, market: Bars | None, marks: Sequence[Mark], x: Spec) -> Spec:
    """The market's close and range, the fills, and the prices they are held against."""
    data: list[Spec] = []
    if market is not None:
        market = thinned(market)
        over = milliseconds([*market.ts_open_ns, market.ts_close_ns[-1]])
        edge = {"color": BAND, "width": 0.5, "shape": "hv"}
        low = line(over, [*market.low, market.low[-1]], "low", INK, hoverinfo="skip", showlegend=False)
        high = line(over, [*market.high, market.high[-1]], "high to low", INK, hoverinfo="skip")
        high |= {"line": edge, "fill": "tonexty", "fillcolor": BAND}
        at = milliseconds(market.ts_close_ns)
        close = line(at, market.close, "close", INK, width=1.5, hovertemplate="close %{y}<extra></extra>")
        data += [low | {"line": edge}, high, close]
    levels = {
        "arrival": (cost.arrival_price, "dash", ORANGE),
        "average fill": (cost.avg_fill_price, "solid", GREEN),
        "VWAP": (cost.against["vwap"].price, "dot", PURPLE),
        "limit": (limit_price(report), "longdash", VERMILLION),
    }
    at = milliseconds(span(report))
    for name, (value, dash, colour) in levels.items():
        if math.isfinite(value):
            data.append(line(at, (value, value), name, colour, dash=dash, width=1.8))
    largest = max((mark.qty for mark in marks), default=1.0)
    for maker, name, colour, symbol in (
        (False, "taker fill", VERMILLION, "circle"),
        (True, "maker fill", BLUE, "diamond"),
    ):
        drawn = [mark for mark in marks if mark.maker == maker]
        if drawn:
            sizes = [round(6 + 8 * math.sqrt(mark.qty / largest), 1) for mark in drawn]
            hover = f"{name}: %{{customdata}} at %{{y}}<extra></extra>"
            said = [f"{mark.qty:,.8g}" for mark in drawn]
            at = milliseconds(mark.ts_ns for mark in drawn)
            paid = [mark.price for mark in drawn]
            data.append(points(at, paid, name, colour, symbol=symbol, size=sizes, customdata=said, hovertemplate=hover))
    y = axis("price", currency(report), tickformat=",")
    return {"data": data, "layout": layout("Price, fills and benchmarks", x, y, height=380)}


def done(report: ExecutionReport, around: Around, x: Spec) -> Spec:
    """The share that was done, against what the schedule asked for or how the market's volume came."""
    start_ns, end_ns = span(report)
    data: list[Spec] = []
    if due := schedule(report):
        shares = [100 * share for _, share in due]
        data.append(line(milliseconds(when for when, _ in due), shares, "schedule", ORANGE, step=True, dash="dash"))
    market = around.window(start_ns, end_ns - 1)
    if market is not None and (total := float(market.volume.sum())) > 0:
        market = thinned(market)
        ends = milliseconds(np.append(market.ts_open_ns[:1], market.ts_close_ns))
        came = [0.0, *(100 * np.cumsum(market.volume) / total)]
        data.append(line(ends, came, "market volume, of its total", INK, width=1.5, dash="dot"))
    fills = sorted(report.fills, key=lambda fill: fill.ts_fill_ns)
    times = [start_ns, *(fill.ts_fill_ns for fill in fills)]
    filled = 100 * np.cumsum([0.0, *(fill.qty for fill in fills)]) / report.total_quantity
    keep = np.unique(np.linspace(0, len(times) - 1, min(len(times), MOST_FILLS)).astype(int))
    at = milliseconds([*(times[k] for k in keep), end_ns])
    data.append(line(at, [*filled[keep], filled[-1]], "done", BLUE, step=True, width=2.5))
    y = axis("of the order", "%", range=[-3, 105])
    return {"data": data, "layout": layout("Schedule against done", x, y)}


def volume(report: ExecutionReport, cost: ExecutionCost, around: Around, x: Spec) -> Spec | None:
    """Our part of the market's volume, bar by bar. None without bars or fills."""
    start_ns, end_ns = span(report)
    market = around.window(start_ns, end_ns)
    if market is None or not report.fills:
        return None
    market = thinned(market)
    at = np.searchsorted(market.ts_open_ns, [fill.ts_fill_ns for fill in report.fills], side="right") - 1
    ours = np.zeros(len(market))
    np.add.at(ours, np.maximum(at, 0), [fill.qty for fill in report.fills])
    share = np.divide(100 * ours, market.volume, out=np.full(len(market), np.nan), where=market.volume > 0)
    middle = milliseconds((market.ts_open_ns + market.ts_close_ns) // 2)
    said = [f"{mine:,.6g} of {all_:,.6g}" for mine, all_ in zip(ours, market.volume, strict=True)]
    hover = "%{y:.2f} %: %{customdata}<extra></extra>"
    data = [bars(middle, share, "our fills", BLUE, customdata=said, hovertemplate=hover)]
    whole = 100 * cost.participation
    more: Spec = {"showlegend": False, "margin": FLAT}
    if math.isfinite(whole):
        shape, text = level(whole, f"all of it: {whole:.2f} %")
        more |= {"shapes": [shape], "annotations": [text]}
    y = axis("of market volume", "%", rangemode="tozero")
    return {"data": data, "layout": layout("Share of the market's volume", x, y, bargap=0.15, **more)}


def cost_of_fills(cost: ExecutionCost, marks: Sequence[Mark], x: Spec) -> Spec | None:
    """Half spread and impact that each fill paid. None where no fill says."""
    base = cost.arrival_price
    told_of = [mark for mark in marks if math.isfinite(mark.impact) or math.isfinite(mark.half_spread)]
    if not told_of or not base > 0:
        return None
    at = milliseconds(mark.ts_ns for mark in told_of)
    data = [
        bars(at, [1e4 * mark.half_spread / base for mark in told_of], "half spread", ORANGE, opacity=0.9),
        bars(at, [1e4 * mark.impact / base for mark in told_of], "impact", VERMILLION, opacity=0.9),
    ]
    for trace, name in zip(data, ("half spread", "impact"), strict=True):
        trace["hovertemplate"] = f"{name} %{{y:.2f}} bps<extra></extra>"
    y = axis("paid", "bps of arrival", rangemode="tozero")
    return {"data": data, "layout": layout("Spread and impact that the fills paid", x, y, barmode="stack", bargap=0.3)}


def schedule(report: ExecutionReport) -> list[tuple[int, float]]:
    """What should have been done by when, as shares of the order; empty where volume or a display decided that."""
    steps = [(when, due / report.total_quantity) for when, due in planned(report)]
    if not steps:
        return []
    _, end_ns = span(report)
    return [*steps, (max(end_ns, steps[-1][0]), steps[-1][1])]


def drawn_fills(report: ExecutionReport) -> list[Mark]:
    """The fills in order of time; more than `MOST_FILLS` are put together, neighbours of one kind, by quantity."""
    fills = sorted(report.fills, key=lambda fill: (fill.ts_fill_ns, fill.fill_id))
    together = -(-len(fills) // MOST_FILLS)
    return [_mark(group) for group in _neighbours(fills, max(1, together))]


def thinned(market: Bars) -> Bars:
    """At most `MOST_BARS` bars: neighbours put together."""
    together = -(-len(market) // MOST_BARS)
    if together <= 1:
        return market
    starts = np.arange(0, len(market), together)
    ends = np.append(starts[1:], len(market)) - 1

    def reduced(how: np.ufunc, column: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(how.reduceat(column, starts))

    return Bars(
        market.symbol,
        market.ts_open_ns[starts],
        market.ts_close_ns[ends],
        market.open[starts],
        reduced(np.maximum, market.high),
        reduced(np.minimum, market.low),
        market.close[ends],
        reduced(np.add, market.volume),
    )


def limit_price(report: ExecutionReport) -> float:
    """The parent's worst price, where the report tells; else NaN."""
    return told(report.notes.get("limit_price"))


def currency(report: ExecutionReport) -> str:
    """The unit of prices."""
    return report.symbol.partition("/")[2] or "quote currency"


def base_of(report: ExecutionReport) -> str:
    """The unit of quantities."""
    base, slash, _ = report.symbol.partition("/")
    return base if slash else "units"


def _neighbours(fills: Sequence[FillEvent], together: int) -> Iterator[list[FillEvent]]:
    group: list[FillEvent] = []
    for fill in fills:
        if group and (len(group) == together or fill.liquidity != group[0].liquidity):
            yield group
            group = []
        group.append(fill)
    if group:
        yield group


def _mark(fills: Sequence[FillEvent]) -> Mark:
    total = math.fsum(fill.qty for fill in fills)

    def mean(values: Iterator[float]) -> float:
        return math.fsum(fill.qty * value for fill, value in zip(fills, values, strict=True)) / total

    maker = fills[0].liquidity == "maker"
    untold = 0.0 if maker else math.nan
    return Mark(
        ts_ns=fills[-1].ts_fill_ns,
        price=mean(fill.price for fill in fills),
        qty=total,
        maker=maker,
        half_spread=mean(told(fill.meta.get("half_spread", untold)) for fill in fills),
        impact=mean(told(fill.meta.get("impact", untold)) for fill in fills),
        count=len(fills),
    )
