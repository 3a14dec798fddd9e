"""Calibrations on the screen: coefficients with their intervals, the comparison with a constant, and the doubts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from research.calibration.prior import PRIOR_WORDS
from research.calibration.proxies import TRADERS
from research.times import SECOND_NS, period

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from research.calibration.executions import OrderCalibration
    from research.calibration.fit import Fit
    from research.calibration.market import MarketCalibration
    from research.calibration.proxies import Proxies
    from research.calibration.regression import Interval, Slope
    from research.calibration.score import Scores

STYLE: Final[dict[str, Any]] = {
    "box": None,
    "padding": (0, 2, 0, 0),
    "pad_edge": False,
    "header_style": "bold",
    "title_justify": "left",
    "title_style": "bold",
}


def show_orders(screen: Console, found: OrderCalibration, when: dict[str, str], doubts: Sequence[str]) -> None:
    days = len(found.orders.clusters)
    screen.print(
        f"{len(found.orders):,} executions on {days:,} days, {when['start']} to {when['end']}",
        style="bold",
        markup=False,
    )
    screen.print()
    prior = found.prior
    headline = _table("coefficient of the square root", "value", "95 %")
    headline.add_row("with the prior", number(prior.median), interval(prior.interval))
    headline.add_row("executions alone", number(prior.from_data), f"give or take {number(prior.data_error)}")
    headline.add_row("share of the half spread paid", number(prior.half_spread), "")
    screen.print(headline)
    screen.print(f"prior: {PRIOR_WORDS}; {prior.informed:.0%} of the answer is the data", style="dim", markup=False)
    screen.print()
    laws = _table("least squares", "value", "95 %", "robust", "r2")
    for one in found.fits:
        _add_fit(laws, one)
    screen.print(laws)
    screen.print()
    if found.scores is not None:
        screen.print(scores_table(found.scores))
        screen.print(f"the constant, on all of them: {found.constant:.2f} bps beside the half spread", markup=False)
        screen.print()
    _close(screen, found.use, found.verdict, doubts)


def show_market(screen: Console, found: MarketCalibration) -> None:
    when = period(found.start_ns // SECOND_NS * SECOND_NS, -(-found.end_ns // SECOND_NS) * SECOND_NS)
    screen.print(
        f"{found.symbol}: {found.trades:,} trades, {found.intervals:,} intervals of {found.interval_s} s, {when} (UTC)",
        style="bold",
        markup=False,
    )
    screen.print()
    facts = _table("", "value")
    facts.add_row("quoted spread, bps", number(found.quoted_bps))
    facts.add_row("effective spread, bps", number(found.effective_bps))
    facts.add_row(f"volatility per {found.day_hours:g} h of trading, %", number(100 * found.volatility))
    facts.add_row(f"volume per {found.day_hours:g} h of trading", f"{found.daily_volume:,.0f}")
    if found.curve:
        busiest = max(range(len(found.curve)), key=found.curve.__getitem__)
        facts.add_row("busiest hour, UTC", f"{busiest}:00 with {found.curve[busiest]:.1%} of the day")
    screen.print(facts)
    screen.print()
    slopes = _table("change of the mid on", "slope", "95 %", "t", "r2", "skill")
    skill = found.forecasts.skill
    rows: list[tuple[str, Slope | None, str]] = [
        ("signed volume (Kyle)", found.kyle, "kyle"),
        ("sign of the flow, bps", found.constant, "constant"),
        ("book imbalance", found.imbalance, "imbalance"),
        ("book imbalance / depth", found.by_depth, "imbalance / depth"),
    ]
    for label, one, name in rows:
        if one is not None:
            known = f"{skill[name]:.1%}" if name in skill else "-"
            slopes.add_row(label, number(one.value), interval(one.interval), f"{one.t:.1f}", f"{one.r2:.1%}", known)
    screen.print(slopes)
    screen.print(
        f"1 % of the volume moves the price {found.kyle_bps:.2f} bps; skill: squared error on later intervals, below "
        "that of the sign alone",
        style="dim",
        markup=False,
    )
    screen.print()
    if found.proxies is not None:
        _show_proxies(screen, found.proxies)
    _close(screen, found.use, found.verdict, found.warnings)


def _show_proxies(screen: Console, found: Proxies) -> None:
    table = _table("proxy orders", "value", "95 %")
    for traders, one in zip(TRADERS, found.fits, strict=True):
        ends = interval(one.interval_of("coefficient"))
        table.add_row(f"coefficient, {traders} traders, {one.n:,} runs", number(one["coefficient"]), ends)
    table.add_row("credible, half to whole", number(found.coefficient), interval(found.credible))
    screen.print(table)
    screen.print()
    if found.scores is not None:
        screen.print(scores_table(found.scores))
        screen.print()


def scores_table(scores: Scores) -> Table:
    table = _table(f"{scores.n:,} later orders", "squared error", "pinball, bps", "skill", "95 %")
    for score in (scores.constant, *scores.laws):
        known = "" if score.law == "constant" else f"{score.skill:.2%}"
        low, high = score.interval
        span = "" if low != low else f"{low:.2%} to {high:.2%}"
        table.add_row(score.law, number(score.squared), number(score.pinball), known, span)
    return table


def number(value: float) -> str:
    """Four significant digits; a dash for unknown."""
    if value != value:
        return "-"
    return f"{value:.4g}"


def interval(ends: Interval) -> str:
    return "-" if ends.low != ends.low else f"{number(ends.low)} to {number(ends.high)}"


def _add_fit(table: Table, found: Fit) -> None:
    for i, name in enumerate(found.names):
        table.add_row(
            f"{found.law}, {name}" if i == 0 else f"  {name}",
            number(found.values[i]),
            interval(found.intervals[i]),
            number(found.robust[i]),
            f"{found.r2:.2%}" if i == 0 else "",
        )


def _close(screen: Console, use: str, verdict: str, doubts: Sequence[str]) -> None:
    screen.print(f"use: {use}", style="bold", markup=False)
    screen.print(verdict, markup=False, soft_wrap=True)
    for line in doubts:
        screen.print(f"- {line}", style="dim", markup=False, soft_wrap=True)


def _table(first: str, *others: str) -> Table:
    from rich.table import Table

    table = Table(**STYLE)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table
