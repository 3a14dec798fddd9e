"""`fillwright compare`, `python -m execution.compare`: execution algorithms side by side, with what chance explains."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median, stdev
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import click

from core.console import console, print_json, run
from core.errors import DataError
from execution.analyze import DEFAULT_REPORTS, TABLE_STYLE, bps, percent, read_costs

if TYPE_CHECKING:
    from rich.table import Table

    from execution.statistics import Interval
    from execution.tca import ExecutionCost

Yardstick = Literal["arrival", "vwap", "twap", "shortfall"]
YARDSTICKS: Final = ("arrival", "vwap", "twap", "shortfall")
DAY_NS: Final = 86_400_000_000_000
FEW_CLUSTERS: Final = 10
SIGNIFICANT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Order:
    """An execution as the comparison sees it: money and notional against the benchmark, and the day it shares."""

    cost: float
    notional: float
    cluster: Hashable
    parent: tuple[Hashable, ...] | None
    fill_rate: float

    @property
    def bps(self) -> float:
        return 1e4 * self.cost / self.notional


@dataclass(frozen=True, slots=True)
class Row:
    """One algorithm: notional-weighted mean, its 95 % interval, and the spread of single orders, in basis points.

    left_out: executions without a known cost against the benchmark, such as those that filled nothing.
    orders_for_1bp: orders per algorithm that would show a difference of 1 bp.
    """

    label: str
    orders: int
    left_out: int
    clusters: int
    mean: float
    interval: Interval
    median: float
    sd: float
    fill_rate: float
    orders_for_1bp: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """`first` less `second` in basis points; paired where both worked the same parents. p_holm is p adjusted.

    Paired: at least half of the smaller side has a partner, and only pairs count. p is the sign-flip test's for pairs,
    else the t test's. n, n_second: pairs, or the orders of each. for_1bp: pairs, or orders of each, to see
    1 bp.
    """

    first: str
    second: str
    paired: bool
    n: int
    n_second: int
    mean: float
    interval: Interval
    p_t: float
    p_sign_flip: float
    p_holm: float
    for_1bp: float

    @property
    def p(self) -> float:
        return self.p_sign_flip if self.paired else self.p_t

    @property
    def cheaper(self) -> str:
        return self.first if self.mean < 0 else self.second


@click.command("compare")
@click.option(
    "--reports", "files", multiple=True, default=(DEFAULT_REPORTS,), show_default=True, metavar="FILE...",
    type=click.Path(path_type=Path), help="Execution reports, NDJSON; several files may follow.",
)  # fmt: skip
@click.argument("more", nargs=-1, metavar="", type=click.Path(path_type=Path))
@click.option(
    "--benchmark", type=click.Choice(YARDSTICKS), default="arrival", show_default=True,
    help="What the fills are measured against; shortfall also counts fees and what was not filled.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap and the permutations.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of tables.")
def command(files: tuple[Path, ...], more: tuple[Path, ...], benchmark: str, seed: int, as_json: bool) -> None:
    """Execution algorithms side by side, in basis points against a benchmark.

    \b
    Means are weighted by notional; 95 % intervals resample whole symbol-days, because orders of one day share its
    market. Where the same parents ran under several algorithms they are compared in pairs, which needs far fewer
    orders. Positive is worse. docs/tca.md explains every number.

    \b
      fillwright compare --reports var/backtest/executions.ndjson --benchmark vwap
      fillwright compare --reports twap.ndjson pov.ndjson --benchmark shortfall
    """
    from execution.reports import provenance, shared_settings

    yardstick = cast("Yardstick", benchmark)
    costs: dict[Path, list[ExecutionCost]] = {}
    settings: list[dict[str, Any]] = []
    for path in (*files, *more):
        if path in costs:
            raise DataError(f"{path} is named twice: every file counts once")
        costs[path], ran_under = read_costs(path)
        settings += [one for one in ran_under if one not in settings]
    groups = labelled(costs)
    rows = [summarize(label, group, yardstick, seed=seed) for label, group in groups.items()]
    contrasts = contrast(groups, yardstick, seed=seed)
    verdict = judge(rows, contrasts, yardstick)
    notes = remarks(rows, contrasts, yardstick)
    if as_json:
        print_json(
            {
                "benchmark": benchmark,
                "algorithms": rows,
                "contrasts": contrasts,
                "verdict": verdict,
                "remarks": notes,
                "settings": shared_settings(settings),
            }
        )
        return
    screen = console()
    screen.print(_rows_table(rows, yardstick))
    screen.print()
    if contrasts:
        screen.print(_contrasts_table(contrasts))
        screen.print()
    screen.print(verdict, style="bold", markup=False)
    screen.print()
    for line in [*notes, *provenance(settings)]:
        screen.print(line, style="dim", markup=False)


def labelled(costs: dict[Path, list[ExecutionCost]]) -> dict[str, list[ExecutionCost]]:
    """The executions by algorithm; by venue too where there are several, by file where files share algorithms."""
    by_venue = len({cost.venue for group in costs.values() for cost in group}) > 1

    def algorithm(cost: ExecutionCost) -> str:
        return f"{cost.algo_type} at {cost.venue or 'an unknown venue'}" if by_venue else cost.algo_type

    in_files = Counter(name for group in costs.values() for name in {algorithm(cost) for cost in group})
    by_file = max(in_files.values()) > 1
    files = _short_names(list(costs))
    groups: dict[str, list[ExecutionCost]] = defaultdict(list)
    for path, group in costs.items():
        for cost in group:
            groups[algorithm(cost) + (f" ({files[path]})" if by_file else "")].append(cost)
    return dict(sorted(groups.items()))


def summarize(label: str, costs: Sequence[ExecutionCost], yardstick: Yardstick, *, seed: int = 0) -> Row:
    """One algorithm's row; no execution with a known cost: everything but the counts is NaN."""
    from execution.statistics import UNKNOWN, bootstrap_interval, orders_needed, weighted_mean

    orders = [order for order in (_order(cost, yardstick) for cost in costs) if order is not None]
    money, notional = [order.cost for order in orders], [order.notional for order in orders]
    clusters = [order.cluster for order in orders]
    single = [order.bps for order in orders]
    sd = stdev(single) if len(single) > 1 else math.nan
    traded, wanted = (math.fsum(getattr(cost, name) for cost in costs) for name in ("traded", "notional"))
    return Row(
        label=label,
        orders=len(orders),
        left_out=len(costs) - len(orders),
        clusters=len(set(clusters)),
        mean=weighted_mean(money, notional),
        interval=bootstrap_interval(money, notional, clusters, seed=seed) if orders else UNKNOWN,
        median=median(single) if single else math.nan,
        sd=sd,
        fill_rate=traded / wanted if wanted > 0 else math.nan,
        orders_for_1bp=orders_needed(sd),
    )


def contrast(groups: dict[str, list[ExecutionCost]], yardstick: Yardstick, *, seed: int = 0) -> list[Contrast]:
    """Every two algorithms against each other, with Holm's correction over all of them."""
    from dataclasses import replace

    from execution.statistics import holm

    orders = {
        label: [order for order in (_order(cost, yardstick) for cost in costs) if order is not None]
        for label, costs in groups.items()
    }
    found = [
        _contrast(first, second, orders[first], orders[second], seed)
        for first, second in combinations(groups, 2)
        if orders[first] and orders[second]
    ]
    adjusted = holm([one.p for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


def judge(rows: Sequence[Row], contrasts: Sequence[Contrast], yardstick: Yardstick) -> str:
    """What the numbers allow to say about which algorithm was cheapest, in words that do not say more.

    Who fills less only where it is cheap wins against every benchmark of fills; the verdict then says so.
    """
    known = sorted((row for row in rows if row.orders), key=lambda row: row.mean)
    if not known:
        return "No execution has a known cost against this benchmark."
    if len(known) == 1:
        return (
            f"Only {known[0].label} can be measured here: there is nothing to compare it with. "
            "Run the same parents under another algorithm and give both files."
        )
    best = known[0]

    def others(of: Sequence[Contrast]) -> str:
        return ", ".join(one.second if one.first == best.label else one.first for one in of)

    full = max(row.fill_rate for row in known)
    selective = yardstick != "shortfall" and best.fill_rate < full - 0.01
    caveat = (
        f" It filled {percent(best.fill_rate)} % where another filled {percent(full)} %, and fills alone do not show "
        "the cost of the rest: --benchmark shortfall does."
        if selective
        else ""
    )
    its = [one for one in contrasts if best.label in (one.first, one.second)]
    open_ones = [one for one in its if not (one.p_holm < SIGNIFICANT and one.cheaper == best.label)]
    if not open_ones:
        where = " in its fills" if selective else ""
        p = max(one.p_holm for one in its)
        return (
            f"{best.label} was the cheapest{where}, {bps(best.mean)} bps; chance hardly explains the difference to "
            f"{others(its)} (adjusted p {_p(p)}).{caveat}"
        )
    needs = max((one.for_1bp for one in open_ones), default=math.nan)
    unit = "pairs" if all(one.paired for one in open_ones) else "orders per algorithm"
    need = f" To see a difference of 1 bp takes about {_count(needs)} {unit}." if math.isfinite(needs) else ""
    return (
        f"{best.label} has the lowest mean, {bps(best.mean)} bps, but these executions do not show that it is cheaper "
        f"than {others(open_ones)}: chance may explain the difference.{need}{caveat}"
    )


def remarks(rows: Sequence[Row], contrasts: Sequence[Contrast], yardstick: Yardstick) -> list[str]:
    """What a reader must know before using the table."""
    lines = ["1 bp needs: orders per algorithm, or pairs, to see 1 bp (two-sided 5 %, power 80 %, independent orders)"]
    left_out = sum(row.left_out for row in rows)
    if left_out:
        lines.append(f"{left_out} executions have no known cost against {yardstick} and are left out (nothing filled?)")
    rates = [row.fill_rate for row in rows if math.isfinite(row.fill_rate)]
    if yardstick != "shortfall" and rates and (min(rates) < 0.99 or max(rates) - min(rates) > 0.01):
        lines.append("this benchmark looks at fills only: the cost of what was not filled is in --benchmark shortfall")
    if any(0 < row.clusters < FEW_CLUSTERS for row in rows):
        lines.append(f"intervals from fewer than {FEW_CLUSTERS} symbol-days are too narrow: treat them as hints")
    if any(not one.paired for one in contrasts):
        lines.append(
            "algorithms that worked different parents: their orders may differ in size, hour and market, and that is "
            "in the difference; run the same parents under each for a fair one"
        )
    if any(one.paired and one.p_t == one.p_t for one in contrasts):
        lines.append(
            "t p: cluster-robust paired t test; flip p: sign flips of whole symbol-days; Holm p: that, corrected"
        )
    return lines


def _order(cost: ExecutionCost, yardstick: Yardstick) -> Order | None:
    """None where the execution has no known cost against the benchmark."""
    if yardstick == "shortfall":
        money, notional = cost.shortfall, cost.notional
    else:
        money, notional = cost.against[yardstick].cost, cost.against[yardstick].notional
    if not (math.isfinite(money) and math.isfinite(notional) and notional > 0):
        return None
    parent = (cost.strategy_id, cost.parent_intent_id, cost.symbol, cost.side, cost.total_quantity)
    cluster = (cost.symbol, cost.start_ts_ns // DAY_NS)
    return Order(money, notional, cluster, parent if cost.parent_intent_id else None, cost.fill_rate)


def _contrast(first: str, second: str, ours: list[Order], theirs: list[Order], seed: int) -> Contrast:
    pairs = _pairs(ours, theirs)
    if len(pairs) < max(2, min(len(ours), len(theirs)) / 2):  # a few chance pairs do not stand for all the others
        return _of_samples(first, second, ours, theirs)
    return _of_pairs(first, second, pairs, seed)


def _of_samples(first: str, second: str, ours: list[Order], theirs: list[Order]) -> Contrast:
    from execution.statistics import cluster_t, orders_needed

    found = cluster_t(
        ([order.cost for order in ours], [order.cost for order in theirs]),
        ([order.notional for order in ours], [order.notional for order in theirs]),
        ([order.cluster for order in ours], [order.cluster for order in theirs]),
    )
    sds = [stdev(order.bps for order in orders) if len(orders) > 1 else math.nan for orders in (ours, theirs)]
    return Contrast(
        first=first,
        second=second,
        paired=False,
        n=len(ours),
        n_second=len(theirs),
        mean=found.mean,
        interval=found.interval,
        p_t=found.p,
        p_sign_flip=math.nan,
        p_holm=math.nan,
        for_1bp=orders_needed(math.sqrt((sds[0] ** 2 + sds[1] ** 2) / 2)),
    )


def _of_pairs(first: str, second: str, pairs: list[tuple[Order, Order]], seed: int) -> Contrast:
    """Both orders of a pair weigh as much as their mean notional: unequal filling does not shift the difference."""
    from execution.statistics import cluster_t, pairs_needed, sign_flip_p

    weights = [(one.notional + other.notional) / 2 for one, other in pairs]
    single = [one.bps - other.bps for one, other in pairs]
    days = [one.cluster for one, _ in pairs]
    ours, theirs = (
        [weight * order.bps / 1e4 for weight, order in zip(weights, orders, strict=True)]
        for orders in zip(*pairs, strict=True)
    )
    found = cluster_t((ours, theirs), (weights, weights), (days, days))
    weighted = [weight * value for weight, value in zip(weights, single, strict=True)]
    return Contrast(
        first=first,
        second=second,
        paired=True,
        n=len(pairs),
        n_second=len(pairs),
        mean=found.mean,
        interval=found.interval,
        p_t=found.p,
        p_sign_flip=sign_flip_p(weighted, days, seed=seed),
        p_holm=math.nan,
        for_1bp=pairs_needed(stdev(single)),
    )


def _pairs(ours: list[Order], theirs: list[Order]) -> list[tuple[Order, Order]]:
    """Orders of the same parent, quantity and side; a parent that one algorithm worked twice has no single partner."""
    one, other = _by_parent(ours), _by_parent(theirs)
    return [(order, other[parent]) for parent, order in one.items() if parent in other]


def _by_parent(orders: list[Order]) -> dict[Hashable, Order]:
    counts = Counter(order.parent for order in orders)
    return {order.parent: order for order in orders if order.parent is not None and counts[order.parent] == 1}


def _short_names(paths: list[Path]) -> dict[Path, str]:
    """The shortest ends of the paths that tell them apart, without the suffix."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = {path: str(Path(*path.parts[-depth:]).with_suffix("")) for path in paths}
        if len(set(names.values())) == len(paths):
            return names
    return {path: str(path) for path in paths}


def _rows_table(rows: Sequence[Row], yardstick: Yardstick) -> Table:
    from rich.table import Table

    what = "implementation shortfall" if yardstick == "shortfall" else f"fills against {yardstick}"
    table = Table(title=f"{what}, in basis points; positive is worse", **TABLE_STYLE)
    table.add_column("algorithm", overflow="fold", min_width=9)
    for name in ("orders", "days", "mean", "95 % interval", "median", "sd", "filled %", "1 bp needs"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.label,
            f"{row.orders:,}",
            f"{row.clusters:,}",
            bps(row.mean),
            _span(row.interval),
            bps(row.median),
            bps(row.sd),
            percent(row.fill_rate),
            _count(row.orders_for_1bp),
        )
    return table


def _contrasts_table(contrasts: Sequence[Contrast]) -> Table:
    from rich.table import Table

    table = Table(title="differences, first less second, in basis points", **TABLE_STYLE)
    table.add_column("", overflow="fold", min_width=11)
    for name in ("n", "bps", "95 % interval", "t p", "flip p", "Holm p", "1 bp needs"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in contrasts:
        table.add_row(
            f"{one.first} - {one.second}",
            f"{one.n:,} pairs" if one.paired else f"{one.n:,} / {one.n_second:,}",
            bps(one.mean),
            _span(one.interval),
            _p(one.p_t),
            _p(one.p_sign_flip),
            _p(one.p_holm),
            _count(one.for_1bp),
        )
    return table


def _span(interval: Interval) -> str:
    return f"{bps(interval.low)} to {bps(interval.high)}" if math.isfinite(interval.low) else "-"


def _p(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "-"


if __name__ == "__main__":
    run(command)
