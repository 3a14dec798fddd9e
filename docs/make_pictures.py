"""Draws docs/pictures/*.svg: each algorithm at work for four hours of the sample market.

    python docs/make_pictures.py

Needs matplotlib, which nothing else does. The same code and version of matplotlib draw the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.bars import Bars
from core.contracts import Side
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm, ExecutionReport
from execution.desk import Desk
from execution.events import Event, Step
from execution.executors import executor
from execution.params import STEEPNESS
from execution.parent import ParentOrder
from execution.profile import VolumeHistory
from execution.shortfall import trajectory
from execution.slippage import SquareRootSlippageModel
from execution.spread import bar_spread
from execution.venue import venue

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from core.instrument import Instrument

FOLDER = Path(__file__).resolve().parent / "pictures"
DAY_NS, HOUR_NS, MINUTE_NS = 86_400 * 10**9, 3600 * 10**9, 60 * 10**9
START_NS: Final = 1_741_870_800 * 10**9  # 2025-03-13 13:00 UTC, a Thursday
HOURS: Final = 4
QUANTITY: Final = 50_000.0
# Readable on white and on black, and told apart by all kinds of eyes (Okabe and Ito).
INK, PLAN, DONE, VOLUME, LINE = "#7f7f7f", "#E69F00", "#2E8FC9", "#9a9a9a", "#009E73"


@dataclass
class Watched:
    """A parent that remembers how it stood after every event."""

    parent: ParentOrder
    moments: list[tuple[int, int, int]] = field(default_factory=list)  # when, filled, open

    @property
    def ended(self) -> bool:
        return self.parent.ended

    @property
    def listens(self) -> bool:
        return self.parent.listens

    def on(self, event: Event, now_ns: int) -> Step:
        step = self.parent.on(event, now_ns)
        self.moments.append((now_ns, self.parent.children.filled, self.parent.children.reserved))
        return step

    def report(self) -> ExecutionReport:
        return self.parent.report()


@dataclass(frozen=True, slots=True)
class Played:
    """A parent's four hours. Times are in hours from the start, `filled` and `shown` in percent of the quantity."""

    algo: str
    bars: Bars
    instrument: Instrument
    watched: Watched

    @property
    def times(self) -> Any:
        return (np.array([moment[0] for moment in self.watched.moments]) - START_NS) / HOUR_NS

    def percent(self, which: int) -> Any:
        return 100 * np.array([moment[which] for moment in self.watched.moments]) / self.watched.parent.quantity


def play(
    stored: Bars, instrument: Instrument, algo: AlgoType, quantity: float = QUANTITY, side: Side = "buy", **params: Any
) -> Played:
    """One parent through the sync driver, with spread, impact and at most a fifth of each bar."""
    a, b = np.searchsorted(stored.ts_open_ns, (START_NS - MINUTE_NS, START_NS + HOURS * HOUR_NS))
    bars = stored[int(a) : int(b)]
    before = stored[int(a) - 7 * 1440 : int(a)]
    place = venue(
        bars, instrument, SquareRootSlippageModel(0.5), spread=bar_spread(bars, instrument, None, 3.0),
        fills=FillConfig(max_participation=0.2), before=before,
    )  # fmt: skip
    market = place.market()
    order = ExecutionAlgorithm(algo, stored.symbol, side, quantity, HOURS * 3600, params)
    maker = executor(algo, "pictures", volumes=VolumeHistory(stored[: int(a) + 1]), instrument=instrument)
    watched = Watched(maker.start(order, start_ns=START_NS, price=market.mid(0), execution_id="x-picture"))
    desk = Desk(market, place.tape, None, {})
    desk.start(watched, START_NS, 0)
    k = desk.next_bar(0)
    while k is not None:
        desk.play(k)
        k = desk.next_bar(k)
    return Played(algo, bars[1:], instrument, watched)


def planned(played: Played, steps: int = 480) -> tuple[Any, Any]:
    """The schedule before anything was known: hours and percent due."""
    parent = played.watched.parent
    hours = np.linspace(0, HOURS, steps, endpoint=False)
    targets = parent.curve.targets
    slices = np.minimum((hours / HOURS * parent.plan.slices).astype(int), parent.plan.slices - 1)
    due = np.array([targets[k] if targets else parent.quantity * (k + 1) // parent.plan.slices for k in slices])
    return hours, 100 * due / parent.quantity


def twap(played: Played, above: Axes, below: Axes) -> None:
    _schedule(above, played, "due by the clock")
    _volumes(below, played, played.watched.parent.plan.slices)


def vwap(played: Played, above: Axes, below: Axes) -> None:
    _schedule(above, played, "planned from past days")
    volume = np.cumsum(played.bars.volume)
    hours = (played.bars.ts_close_ns - START_NS) / HOUR_NS
    above.plot(hours, 100 * volume / volume[-1], color=LINE, lw=1.4, ls=":", label="market's volume, known afterwards")
    _volumes(below, played, played.watched.parent.plan.slices, shares=True)


def pov(played: Played, above: Axes, below: Axes) -> None:
    parent = played.watched.parent
    hours = (played.bars.ts_close_ns - START_NS) / HOUR_NS
    others = np.cumsum(played.bars.volume) / played.instrument.qty(1)
    target = np.minimum(100.0, 100 * others * parent.plan.ratio_ppm / 1e6 / parent.quantity)
    above.plot(hours, target, color=PLAN, lw=2.2, ls="--", label="10 % of all volume so far")
    _done(above, played)
    _volumes(below, played, 48)


def iceberg(played: Played, above: Axes, below: Axes) -> None:
    _done(above, played)
    times, shown = played.times, played.percent(2)
    below.step(times, shown, where="post", color=DONE, lw=1.3, label="shown")
    below.axhline(10, color=PLAN, lw=1.6, ls="--", label="display: never more than this")
    below.set_ylabel("shown, % of quantity")
    below.set_ylim(0, 12.5)


def shortfall(played: Played, above: Axes, below: Axes) -> None:
    parent = played.watched.parent
    for urgency, style in (("low", (0, (1, 1))), ("high", (0, (1, 3)))):
        targets = trajectory(parent.quantity, parent.plan.slices, STEEPNESS[urgency])  # type: ignore[index]
        hours = np.arange(parent.plan.slices) / parent.plan.slices * HOURS
        due = 100 * np.array(targets) / parent.quantity
        above.step(hours, due, where="post", color=INK, lw=1.1, ls=style, label=f"at {urgency} urgency")
    _schedule(above, played, "due along the trajectory, medium urgency")
    _volumes(below, played, parent.plan.slices, shares=True)


def _schedule(axes: Axes, played: Played, label: str) -> None:
    hours, due = planned(played)
    axes.step(hours, due, where="post", color=PLAN, lw=2.2, ls="--", label=label)
    _done(axes, played)


def _done(axes: Axes, played: Played) -> None:
    times = np.append(played.times, HOURS)
    filled = np.append(played.percent(1), played.percent(1)[-1])
    axes.step(times, filled, where="post", color=DONE, lw=1.8, label="filled")
    axes.set_ylabel("% of quantity")
    axes.set_ylim(0, 105)


def _volumes(axes: Axes, played: Played, slices: int, *, shares: bool = False) -> None:
    """The market's volume per slice and what we filled in it: quantities, or parts of the four hours' sums."""
    edges = np.linspace(0, HOURS, slices + 1)
    width = HOURS / slices
    opens = (played.bars.ts_open_ns - START_NS) / HOUR_NS
    market, _ = np.histogram(opens, edges, weights=played.bars.volume)
    filled = np.diff(played.percent(1), prepend=0.0) / 100 * QUANTITY
    own, _ = np.histogram(np.maximum(played.times - 1e-6, 0), edges, weights=filled)
    if shares:
        market, own = 100 * market / market.sum(), 100 * own / own.sum()
        axes.set_ylabel("% of its 4 hours")
    else:
        market, own = market / 1000, own / 1000
        axes.set_ylabel("thousand ATOM")
    axes.bar(edges[:-1], market, width * 0.92, align="edge", color=VOLUME, alpha=0.45, label="market's volume")
    if shares:
        axes.stairs(own, edges, color=DONE, lw=1.5, label="our fills")
    else:
        axes.bar(edges[:-1], own, width * 0.92, align="edge", color=DONE, label="our fills")


DRAWN: Final = {
    "twap": (twap, "TWAP", {"order_type": "limit_then_cross", "slice_count": 12}, "TWAP: 12 equal slices in 4 hours"),
    "vwap": (vwap, "VWAP", {"order_type": "market"}, "VWAP: slices of 5 minutes, re-weighted as volume comes in"),
    "iceberg": (iceberg, "Iceberg", {"clip_jitter": 0.2}, "Iceberg: a tenth is shown, pegged to the bid"),
    "is": (shortfall, "IS", {}, "IS: early against the risk of waiting, late against the cost of speed"),
    "pov": (pov, "POV", {"target_pov": 0.1}, "POV: a tenth of all volume, until the quantity is done"),
}


def draw(stored: Bars, instrument: Instrument) -> Iterator[tuple[str, Any]]:
    """Name and figure of each picture."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.hashsalt": "fillwright", "font.size": 9.5, "text.color": INK, "axes.edgecolor": INK,
        "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
        "axes.spines.right": False, "grid.color": INK,
        "grid.alpha": 0.25, "grid.linewidth": 0.6, "legend.frameon": False, "legend.labelcolor": INK,
        "font.family": "DejaVu Sans",
    }  # fmt: skip
    for name, (paint, algo, params, title) in DRAWN.items():
        played = play(stored, instrument, algo, **params)  # type: ignore[arg-type]
        with mpl.rc_context(style):
            figure = Figure(figsize=(8.2, 4.6), layout="constrained")
            above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
            paint(played, above, below)
            above.set_title(title, loc="left", fontsize=11, color=INK)
            for axes in (above, below):
                axes.grid(axis="y")
                axes.set_axisbelow(True)
                corner = "lower right" if axes is above and name == "is" else "upper left"
                axes.legend(loc=corner, fontsize=8.5, ncols=2 if axes is below else 1)
            below.margins(y=0.35)
            below.set_xlim(0, HOURS)
            below.set_xticks(range(HOURS + 1), [f"{13 + hour}:00" for hour in range(HOURS + 1)])
            below.set_xlabel("2025-03-13, UTC; synthetic sample market")
            yield name, figure


def main() -> None:
    from research.data_reader import DataReader
    from research.sample import ensure_sample

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        ensure_sample(Path(scratch, "data"))
        reader = DataReader(Path(scratch, "data"))
        stored, instrument = reader.bars("ATOM/USDT", "1m"), reader.instrument("ATOM/USDT")
        for name, figure in draw(stored, instrument):
            figure.savefig(FOLDER / f"{name}.svg", transparent=True, metadata={"Date": None})
            print(f"wrote pictures/{name}.svg")


if __name__ == "__main__":
    main()
