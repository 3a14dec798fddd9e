"""Algorithms against each other: means, intervals, paired tests, and how many orders a difference would take.

Costs of one symbol and day share its market, so a symbol-day is one draw of chance, however many orders it holds:
intervals, tests and sample sizes count symbol-days. The statistics themselves are in `execution.costs.statistics`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median, stdev
from typing import Final, Literal

from execution.costs.statistics import (
    BPS,
    UNKNOWN,
    Interval,
    cluster_mean,
    cluster_t,
    detectable,
    holm,
    mean_interval,
    orders_needed,
    pairs_needed,
    sign_flip_p,
    weighted_mean,
    winsorised_mean,
)
from execution.tca import ExecutionCost

Yardstick = Literal["arrival", "vwap", "twap", "shortfall"]
DAY_NS: Final = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """An execution as the comparison sees it: money and notional against the benchmark, and the day it shares."""

    cost: float
    notional: float
    cluster: Hashable
    parent: tuple[Hashable, ...] | None

    @property
    def bps(self) -> float:
        return BPS * self.cost / self.notional


@dataclass(frozen=True, slots=True)
class Row:
    """One algorithm: notional-weighted mean, its 95 % interval, and the spread of single orders, in basis points.

    left_out: executions without a known cost against the benchmark, such as those that filled nothing.
    clusters: symbol-days. interval: see `execution.costs.statistics.mean_interval`; unknown from a single symbol-day.
    winsorised: the mean with the dearest and cheapest 1 % moved to the 1 % quantiles, a cross-check.
    design_effect: so many orders tell as much as one independent one, because orders of a day share its market.
    orders_for_1bp: orders per algorithm that would show a difference of 1 bp, the design effect included where it is
    above 1.
    """

    label: str
    orders: int
    left_out: int
    clusters: int
    mean: float
    interval: Interval
    median: float
    sd: float
    winsorised: float
    fill_rate: float
    design_effect: float
    orders_for_1bp: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """`first` less `second` in basis points; paired where both worked the same parents. p_holm is p adjusted.

    Paired: at least half of the smaller side has a partner, and only pairs count. p is the sign-flip test's for pairs,
    else the t test's. n, n_second: pairs, or the orders of each; clusters: symbol-days of all of them. for_1bp: pairs,
    or orders of each, to see 1 bp. detectable: the difference that these orders show four times out of five.
    """

    first: str
    second: str
    paired: bool
    n: int
    n_second: int
    clusters: int
    mean: float
    interval: Interval
    p_t: float
    p_sign_flip: float
    p_holm: float
    design_effect: float
    detectable: float
    for_1bp: float

    @property
    def p(self) -> float:
        return self.p_sign_flip if self.paired else self.p_t

    @property
    def cheaper(self) -> str:
        return self.first if self.mean < 0 else self.second


def summarize(label: str, costs: Sequence[ExecutionCost], yardstick: Yardstick, *, seed: int = 0) -> Row:
    """One algorithm's row; no execution with a known cost: everything but the counts is NaN."""
    orders = orders_of(costs, yardstick)
    money, notional = [order.cost for order in orders], [order.notional for order in orders]
    clusters = [order.cluster for order in orders]
    single = [order.bps for order in orders]
    sd = _sd(single)
    effect = cluster_mean(money, notional, clusters).design_effect if orders else math.nan
    traded, wanted = (math.fsum(getattr(cost, name) for cost in costs) for name in ("traded", "notional"))
    return Row(
        label=label,
        orders=len(orders),
        left_out=len(costs) - len(orders),
        clusters=len(set(clusters)),
        mean=weighted_mean(money, notional),
        interval=mean_interval(money, notional, clusters, seed=seed) if orders else UNKNOWN,
        median=median(single) if single else math.nan,
        sd=sd,
        winsorised=winsorised_mean(money, notional),
        fill_rate=traded / wanted if wanted > 0 else math.nan,
        design_effect=effect,
        orders_for_1bp=orders_needed(sd, effect=_at_least_1(effect)),
    )


def contrast(groups: Mapping[str, Sequence[ExecutionCost]], yardstick: Yardstick, *, seed: int = 0) -> list[Contrast]:
    """Every two algorithms against each other, with Holm's correction over all of them."""
    return contrast_orders({label: orders_of(costs, yardstick) for label, costs in groups.items()}, seed=seed)


def contrast_orders(groups: Mapping[str, Sequence[Order]], *, seed: int = 0) -> list[Contrast]:
    """`contrast` of orders that are measured already."""
    found = [
        _contrast(first, second, groups[first], groups[second], seed)
        for first, second in combinations(groups, 2)
        if groups[first] and groups[second]
    ]
    adjusted = holm([one.p for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


def orders_of(costs: Iterable[ExecutionCost], yardstick: Yardstick) -> list[Order]:
    """The executions that have a known cost against the benchmark."""
    orders = []
    for cost in costs:
        if yardstick == "shortfall":
            money, notional = cost.shortfall, cost.notional
        else:
            money, notional = cost.against[yardstick].cost, cost.against[yardstick].notional
        if not (math.isfinite(money) and math.isfinite(notional) and notional > 0):
            continue
        parent = (cost.strategy_id, cost.parent_intent_id, cost.symbol, cost.side, cost.total_quantity)
        cluster = (cost.symbol, cost.start_ts_ns // DAY_NS)
        orders.append(Order(money, notional, cluster, parent if cost.parent_intent_id else None))
    return orders


def _contrast(first: str, second: str, ours: Sequence[Order], theirs: Sequence[Order], seed: int) -> Contrast:
    pairs = _pairs(ours, theirs)
    if len(pairs) < max(2, min(len(ours), len(theirs)) / 2):  # a few chance pairs do not stand for all the others
        return _of_samples(first, second, ours, theirs)
    return _of_pairs(first, second, pairs, seed)


def _of_samples(first: str, second: str, ours: Sequence[Order], theirs: Sequence[Order]) -> Contrast:
    found = cluster_t(
        ([order.cost for order in ours], [order.cost for order in theirs]),
        ([order.notional for order in ours], [order.notional for order in theirs]),
        ([order.cluster for order in ours], [order.cluster for order in theirs]),
    )
    sd = math.hypot(*(_sd([order.bps for order in orders]) for orders in (ours, theirs))) / math.sqrt(2)
    return Contrast(
        first=first,
        second=second,
        paired=False,
        n=len(ours),
        n_second=len(theirs),
        clusters=found.clusters,
        mean=found.mean,
        interval=found.interval,
        p_t=found.p,
        p_sign_flip=math.nan,
        p_holm=math.nan,
        design_effect=found.design_effect,
        detectable=detectable(found.error),
        for_1bp=orders_needed(sd, effect=_at_least_1(found.design_effect)),
    )


def _of_pairs(first: str, second: str, pairs: list[tuple[Order, Order]], seed: int) -> Contrast:
    """Both orders of a pair weigh as much as their mean notional: unequal filling does not shift the difference."""
    weights = [(one.notional + other.notional) / 2 for one, other in pairs]
    single = [one.bps - other.bps for one, other in pairs]
    days = [one.cluster for one, _ in pairs]
    money = [weight * value / BPS for weight, value in zip(weights, single, strict=True)]
    found = cluster_mean(money, weights, days)
    return Contrast(
        first=first,
        second=second,
        paired=True,
        n=len(pairs),
        n_second=len(pairs),
        clusters=found.clusters,
        mean=found.mean,
        interval=found.interval,
        p_t=found.p,
        p_sign_flip=sign_flip_p(money, days, seed=seed),
        p_holm=math.nan,
        design_effect=found.design_effect,
        detectable=detectable(found.error),
        for_1bp=pairs_needed(_sd(single), effect=_at_least_1(found.design_effect)),
    )


def _pairs(ours: Sequence[Order], theirs: Sequence[Order]) -> list[tuple[Order, Order]]:
    """Orders of the same parent, quantity and side; a parent that one algorithm worked twice has no single partner."""
    one, other = _by_parent(ours), _by_parent(theirs)
    return [(order, other[parent]) for parent, order in one.items() if parent in other]


def _by_parent(orders: Sequence[Order]) -> dict[Hashable, Order]:
    counts = Counter(order.parent for order in orders)
    return {order.parent: order for order in orders if order.parent is not None and counts[order.parent] == 1}


def _sd(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else math.nan


def _at_least_1(effect: float) -> float:
    """Clusters seldom make orders worth more than independent ones: below 1, or unknown, an estimate counts as 1."""
    return max(1.0, effect) if math.isfinite(effect) else 1.0
