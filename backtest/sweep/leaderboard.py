"""Settings in order of what they cost or earned, with intervals, and what chance makes of so many of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Final, Literal

from backtest.sweep.figures import unpacked
from backtest.sweep.luck import Luck, deflated_sharpe, luck
from backtest.sweep.plan import Plan
from execution.costs.comparison import Contrast, Order, contrast_orders
from execution.costs.statistics import UNKNOWN, Interval, mean_interval, weighted_mean

By = Literal["shortfall", "arrival", "vwap", "twap", "return"]
SIGNIFICANT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """A setting. mean and interval: basis points of notional, or of equity a day; `behind` the best, positive is worse.

    fill_rate: the mean of its tasks'. p: how often chance alone sets some two of all settings as clearly apart as this
    one is from the best. clusters: symbol-days, or days of returns. paired: over the same parents, or the same days.
    """

    rank: int
    setting: int
    label: str
    tasks: int
    n: int
    clusters: int
    mean: float
    interval: Interval
    fill_rate: float
    behind: float
    behind_interval: Interval
    paired: bool
    p: float


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """`tried`: settings that were tried; those not in `places` failed under a condition, or have nothing to measure."""

    by: By
    tried: int
    places: tuple[Place, ...]
    lead: float
    lead_by_chance: float
    lead_deflated: float
    p_lead: float
    deflated_sharpe: float
    verdict: str
    remarks: tuple[str, ...]


def rank(
    plan: Plan, results: Mapping[int, Mapping[str, Any]], by: By, *, shown: int | None = None, seed: int = 0
) -> Leaderboard:
    """Results by the place of their task in the plan. `shown`: so many places are compared with the best one by one.

    A setting that failed anywhere is not ranked: it would be compared over other conditions than the rest.
    """
    groups: dict[int, list[Order]] = defaultdict(list)
    filled: dict[int, list[float]] = defaultdict(list)
    for place, result in results.items():
        task = plan.tasks[place]
        symbol = plan.conditions[task.condition].symbol
        groups[task.setting] += unpacked(result["orders"][by], symbol, task.condition, days_alone=by == "return")
        rate = result["figures"]["fill_rate"]
        filled[task.setting].append(math.nan if rate is None else rate)
    whole = [one for one in sorted(groups) if len(filled[one]) == len(plan.conditions) and groups[one]]
    ordered = sorted(whole, key=lambda one: (_mean(groups[one]), one))
    chance = luck([groups[one] for one in ordered], seed=seed)
    places = tuple(
        _place(position, one, plan, groups, fmean(filled[one]), ordered, by, chance, seed)
        for position, one in enumerate(ordered[:shown])
    )
    tried = len(plan.settings)
    deflated = _deflated([groups[one] for one in ordered]) if by == "return" else math.nan
    return Leaderboard(
        by=by,
        tried=tried,
        places=places,
        lead=chance.lead,
        lead_by_chance=chance.by_chance,
        lead_deflated=chance.deflated,
        p_lead=chance.p_lead,
        deflated_sharpe=deflated,
        verdict=judge(places[0].label if places else None, chance, by),
        remarks=tuple(_remarks(plan, places, len(ordered), tried, deflated, by)),
    )


def judge(best: str | None, chance: Luck, by: By) -> str:
    """What the numbers allow to say about the best of all settings, in words that do not say more."""
    if best is None:
        return "No setting has a result under every condition: there is nothing to rank."
    others = len(chance.p_pairs) - 1
    if not others:
        return f"Only {best} can be ranked: there is nothing to compare it with."
    if math.isnan(chance.p_lead):
        return f"{best} is first, and one symbol-day shows nothing of what another would."
    lead = (
        f"It leads the mean of all by {chance.lead:,.2f} bps; where none is better than another, the best of "
        f"{others + 1} leads by {chance.by_chance:,.2f} bps on average, and as far as this one in "
        f"{100 * chance.p_lead:,.1f} % of the cases."
    )
    as_good = sum(not p < SIGNIFICANT for p in chance.p_pairs[1:])  # the first is the best itself
    if as_good == others and not chance.p_lead < SIGNIFICANT:
        return f"Nothing separates these settings: {best} is first by no more than chance explains. {lead}"
    left = (
        f"{as_good} of the {others} others may be as good: chance may explain the difference"
        if as_good
        else f"chance hardly explains its distance to any other (p below {SIGNIFICANT:g}, adjusted for all pairs)"
    )
    return f"{best} {'earned most' if by == 'return' else 'cost least'}; {left}. {lead}"


def _place(
    position: int,
    one: int,
    plan: Plan,
    groups: Mapping[int, Sequence[Order]],
    fill_rate: float,
    ordered: Sequence[int],
    by: By,
    chance: Luck,
    seed: int,
) -> Place:
    orders, best = groups[one], groups[ordered[0]]
    mean = _mean(orders)
    clusters = [order.cluster for order in orders]
    interval = mean_interval(
        [order.cost for order in orders], [order.notional for order in orders], clusters, seed=seed
    )
    found: list[Contrast] = contrast_orders({"this": orders, "best": best}, seed=seed) if position else []
    gains = by == "return"
    return Place(
        rank=position + 1,
        setting=one,
        label=plan.settings[one].label,
        tasks=len(plan.conditions),
        n=len(orders),
        clusters=len(set(clusters)),
        mean=-mean if gains else mean,
        interval=Interval(-interval.high, -interval.low) if gains else interval,
        fill_rate=fill_rate,
        behind=found[0].mean if found else 0.0,
        behind_interval=found[0].interval if found else UNKNOWN,
        paired=found[0].paired if found else False,
        p=chance.p_pairs[position] if found else math.nan,
    )


def _mean(orders: Sequence[Order]) -> float:
    return weighted_mean([order.cost for order in orders], [order.notional for order in orders])


def _deflated(groups: Sequence[Sequence[Order]]) -> float:
    """The deflated Sharpe ratio of the first, over its days."""
    series = []
    for group in groups:
        days: dict[Any, list[float]] = defaultdict(list)
        for order in group:
            days[order.cluster].append(-order.cost)
        series.append([fmean(days[day]) for day in sorted(days)])
    ratios = [fmean(one) / stdev(one) if len(one) > 1 and stdev(one) > 0 else 0.0 for one in series]
    return deflated_sharpe(series[0], ratios) if series else math.nan


def _remarks(plan: Plan, places: Sequence[Place], ranked: int, tried: int, deflated: float, by: By) -> list[str]:
    """What a reader must know before using the table."""
    lines = [
        f"{tried} settings were tried on the same data: the first one's figure is too good by what made it the first. "
        "Try it on data that no sweep has seen."
    ]
    if not math.isnan(deflated):
        lines.append(
            f"deflated Sharpe ratio of the first: {100 * deflated:,.1f} % that it is above the best of {ranked} "
            "without any worth; 95 % is a usual bar"
        )
    if ranked < tried:
        lines.append(
            f"{tried - ranked} settings are not ranked: they failed under a condition, or have nothing to measure"
        )
    if len(places) < ranked:
        lines.append(f"{ranked - len(places)} more settings are ranked behind these (--top)")
    if any(not one.paired for one in places[1:]):
        lines.append("settings that traded different parents: their orders differ, and that is in the difference")
    if by not in ("return", "shortfall"):
        lines.append("this benchmark looks at fills only: the cost of what was not filled is in --by shortfall")
    if any(1 < one.clusters < 6 for one in places):
        lines.append("with fewer than 6 symbol-days no p can be below 0.05")
    if plan.synthetic:
        lines.append("SYNTHETIC market data: these figures say how the model works, not what a market pays or charges")
    return lines
