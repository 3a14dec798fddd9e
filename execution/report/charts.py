"""Charts as plotly takes them: a theme that reads in light, in dark, on paper and for all kinds of eyes.

A builder returns a `Spec`, the dictionary that plotly's JavaScript draws: a page needs no plotly to be written, and
pages come in milliseconds. `figure(spec)` makes the plotly figure of it for notebooks. Colours are Okabe and Ito's,
two of them shifted so that they stand out on white and on black alike. Every axis has a unit or counts something.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import plotly.graph_objects as go  # type: ignore[import-untyped]

Spec = dict[str, Any]

INK: Final = "#7f7f7f"
GRID: Final = "rgba(127,127,127,0.25)"
CLEAR: Final = "rgba(0,0,0,0)"
BLUE: Final = "#2E8FC9"
VERMILLION: Final = "#D55E00"
GREEN: Final = "#009E73"
ORANGE: Final = "#E69F00"
PURPLE: Final = "#CC79A7"
COLOURS: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, INK)
FLAT: Final = {"l": 48, "r": 16, "t": 12, "b": 44}  # margins of a chart with nothing above it
LABELLED: Final = {"l": 48, "r": 16, "t": 44, "b": 44}  # and of one with labels above it
COST, GAIN, SUM = VERMILLION, BLUE, INK
FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'


def axis(what: str, unit: str = "", **more: Any) -> Spec:
    """An axis that says what it measures and in what; without a unit it counts or names things."""
    return {
        "title": {"text": f"{what}, {unit}" if unit else what, "standoff": 8, "font": {"size": 12}},
        "gridcolor": GRID,
        "zerolinecolor": INK,
        "linecolor": GRID,
        "automargin": True,
        **more,
    }


def time_axis(**more: Any) -> Spec:
    """For numbers that are milliseconds since 1970, UTC."""
    return axis("time", "UTC", type="date", **more)


def layout(title: str, x: Spec, y: Spec, *, height: int = 320, **more: Any) -> Spec:
    """What all charts share; `more` adds to it or replaces parts of it."""
    return {
        "title": {"text": title},
        "height": height,
        "xaxis": x,
        "yaxis": y,
        "margin": {"l": 48, "r": 16, "t": 36, "b": 44},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": FONT, "size": 13, "color": INK},
        "colorway": list(COLOURS),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "hovermode": "closest",
        "separators": ".,",
        "template": {},
        **more,
    }


def figure(spec: Spec) -> go.Figure:
    """The plotly figure of a spec, for notebooks and for whoever wants to change it. Raises ValueError for a spec that
    plotly does not take."""
    import plotly.graph_objects as go

    title = spec["layout"]["title"]["text"]
    top = {**spec["layout"]["margin"], "t": 72}
    return go.Figure({"data": spec["data"], "layout": {**spec["layout"], "margin": top, "title": {"text": title}}})


def line(x: Sequence[Any], y: Iterable[float], name: str, colour: str, **more: Any) -> Spec:
    """A line through points; NaN interrupts it. `step=True` holds each value until the next."""
    shape = {"shape": "hv"} if more.pop("step", False) else {}
    style = {"color": colour, "width": more.pop("width", 2), "dash": more.pop("dash", "solid"), **shape}
    return {"type": "scatter", "mode": "lines", "x": list(x), "y": numbers(y), "name": name, "line": style, **more}


def points(
    x: Sequence[Any],
    y: Iterable[float],
    name: str,
    colour: str,
    *,
    symbol: str = "circle",
    size: Any = 9,
    **more: Any,
) -> Spec:
    """Markers."""
    marker = {"color": colour, "symbol": symbol, "size": size, "opacity": 1, "line": {"width": 1, "color": CLEAR}}
    return {"type": "scatter", "mode": "markers", "x": list(x), "y": numbers(y), "name": name, "marker": marker, **more}


def bars(x: Sequence[Any], y: Iterable[float], name: str, colour: str, **more: Any) -> Spec:
    return {"type": "bar", "x": list(x), "y": numbers(y), "name": name, "marker": {"color": colour}, **more}


def level(value: float, text: str, *, dash: str = "dot", colour: str = INK, below: bool = False) -> tuple[Spec, Spec]:
    """A horizontal line through the whole chart and its label: a shape and an annotation."""
    shape = {
        "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value,
        "line": {"color": colour, "width": 1.5, "dash": dash},
    }  # fmt: skip
    label = {
        "xref": "paper", "x": 1, "xanchor": "right", "y": value, "yanchor": "top" if below else "bottom",
        "text": text, "showarrow": False, "font": {"size": 11}, "yshift": -1 if below else 1,
    }  # fmt: skip
    return shape, label


def upright(value: float, text: str, *, dash: str = "dot", colour: str = INK, row: int = 0) -> tuple[Spec, Spec]:
    """A vertical line through the whole chart and its label above it, `row` lines up."""
    shape = {
        "type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": value, "x1": value,
        "line": {"color": colour, "width": 1.5, "dash": dash},
    }  # fmt: skip
    label = {
        "yref": "paper", "y": 1, "yanchor": "bottom", "yshift": 15 * row, "x": value, "xanchor": "left", "xshift": -2,
        "text": text, "showarrow": False, "font": {"size": 11},
    }  # fmt: skip
    return shape, label


def waterfall(parts: Mapping[str, float], total: tuple[str, float], *, title: str, what: str, unit: str) -> Spec:
    """Parts that add up to a total, from top to bottom; what is not known says so. Labels stand right of the bars."""
    names = [*parts, total[0]]
    values = [*parts.values(), total[1]]
    known = [0.0 if math.isnan(value) else value for value in values]
    said = ["unknown" if math.isnan(value) else signed(value) for value in values]
    trace = {
        "type": "waterfall",
        "orientation": "h",
        "y": names,
        "x": numbers(known),
        "measure": ["relative"] * len(parts) + ["total"],
        "customdata": said,
        "textposition": "none",
        "increasing": {"marker": {"color": COST}},
        "decreasing": {"marker": {"color": GAIN}},
        "totals": {"marker": {"color": SUM}},
        "connector": {"line": {"color": INK, "width": 1, "dash": "dot"}},
        "hovertemplate": "%{y}: %{customdata} " + unit + "<extra></extra>",
    }
    reached = [0.0, *accumulate(known[:-1])]
    ends = [max(pair) for pair in pairwise(reached)] + [max(0.0, known[-1])]
    labels = [
        {"x": end, "y": name, "text": text, "xanchor": "left", "xshift": 4, "showarrow": False}
        for end, name, text in zip(ends, names, said, strict=True)
    ]
    low, high = min([*reached, known[-1]]), max([*reached, known[-1]])
    room = (high - low) or 1.0
    x = axis(what, unit, range=[low - (0.03 * room if low < 0 else 0.0), high + 0.2 * room], zeroline=True)
    y = axis("", autorange="reversed", showgrid=False, ticks="")
    more: Spec = {"showlegend": False, "annotations": labels, "margin": FLAT}
    return {"data": [trace], "layout": layout(title, x, y, height=50 + 38 * len(names), **more)}


def intervals(
    names: Sequence[str],
    means: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    counts: Sequence[int],
    *,
    title: str,
    by: str,
    what: str,
    unit: str,
    overall: float = math.nan,
    upright_names: bool = False,
) -> Spec:
    """A mean and its interval for every group, and a line where all of them together lie.

    Groups stand one below the other; `upright_names`: side by side, for groups that have an order, such as hours. A
    mean without an interval is a hollow point.
    """
    known = [not (math.isnan(low) or math.isnan(high)) for low, high in zip(lows, highs, strict=True)]
    up = [high - mean if ok else 0.0 for ok, mean, high in zip(known, means, highs, strict=True)]
    down = [mean - low if ok else 0.0 for ok, mean, low in zip(known, means, lows, strict=True)]
    label = [
        f"{plain(name)}: {signed(mean)} {unit}"
        + (f", 95 % {signed(low)} to {signed(high)}" if ok else ", too few days for an interval")
        + f", {count:,} executions"
        for name, mean, low, high, ok, count in zip(names, means, lows, highs, known, counts, strict=True)
    ]
    error = {
        "type": "data",
        "symmetric": False,
        "array": numbers(up),
        "arrayminus": numbers(down),
        "color": BLUE,
        "thickness": 2,
        "width": 4,
    }
    values, places = ("y", "x") if upright_names else ("x", "y")
    trace = {
        "type": "scatter",
        "mode": "markers",
        "name": what,
        places: [plain(name) for name in names],
        values: numbers(means),
        f"error_{values}": error,
        "marker": {"size": 10, "color": BLUE, "symbol": ["circle" if ok else "circle-open" for ok in known]},
        "text": label,
        "hovertemplate": "%{text}<extra></extra>",
    }
    measure, place = axis(what, unit, zeroline=True), axis(by, type="category", showgrid=False)
    more: Spec = {"showlegend": False, "margin": FLAT}
    if math.isfinite(overall):
        shape, text = (level if upright_names else upright)(overall, f"all {signed(overall)}")
        if upright_names:  # above the chart: beside the line it would cover the last group
            text |= {"yref": "paper", "y": 1, "yshift": 0, "text": f"dotted: all {signed(overall)}"}
        more |= {"shapes": [shape], "annotations": [text], "margin": LABELLED}
    if upright_names:
        return {"data": [trace], "layout": layout(title, place, measure, height=300, **more)}
    place |= {"autorange": "reversed"}
    return {"data": [trace], "layout": layout(title, measure, place, height=110 + 34 * len(names), **more)}


def histogram(
    edges: Sequence[float], counts: Sequence[int], marks: Mapping[str, float], *, title: str, what: str, unit: str
) -> Spec:
    """Counts between edges, costs and gains apart by colour, with named upright lines."""
    bins = list(pairwise(edges))
    middles = [(low + high) / 2 for low, high in bins]
    colours = [COST if middle > 0 else GAIN for middle in middles]
    trace = {
        "type": "bar",
        "x": middles,
        "y": list(counts),
        "width": [high - low for low, high in bins],
        "marker": {"color": colours, "line": {"width": 0.5, "color": CLEAR}},
        "customdata": [[f"{low:,.4g}", f"{high:,.4g}"] for low, high in bins],
        "hovertemplate": "%{customdata[0]} to %{customdata[1]} " + unit + ": %{y} executions<extra></extra>",
    }
    drawn = [
        upright(value, f"{name} {signed(value)}", row=row)
        for row, (name, value) in enumerate(marks.items())
        if math.isfinite(value)
    ]
    more: Spec = {
        "shapes": [shape for shape, _ in drawn],
        "annotations": [text for _, text in drawn],
        "margin": LABELLED,
    }
    x, y = axis(what, unit, zeroline=True), axis("executions")
    return {"data": [trace], "layout": layout(title, x, y, showlegend=False, bargap=0, **more)}


def numbers(values: Iterable[float]) -> list[float | None]:
    """Values for JSON, seven digits of each; None where one is not finite."""
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values]


def plain(text: str) -> str:
    """A text from outside as plotly shows it: its own markup (<b>, <a>, ...) is not for names."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def milliseconds(ts_ns: Iterable[int]) -> list[int]:
    """Times as plotly takes them."""
    return [int(ts) // 1_000_000 for ts in ts_ns]


def signed(value: float) -> str:
    """Two decimals with a true minus, a dash for unknown."""
    return "–" if math.isnan(value) else f"{round(value, 2) + 0.0:,.2f}".replace("-", "−")
