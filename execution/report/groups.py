"""Executions side by side with their like: costs by algorithm, venue, hour, size and volatility, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from execution.costs.comparison import summarize
from execution.costs.statistics import Interval
from execution.tca import ExecutionCost, Parts, pooled

if TYPE_CHECKING:
    from execution.report.run import Run

HOUR_NS: Final = 3_600_000_000_000
MOST_BUCKETS: Final = 5
FEWEST_IN_BUCKET: Final = 4
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Group:
    """Executions that share something. Basis points are of paper notional, the mean is weighted by it.

    known: executions whose shortfall is known; all figures but `executions` and `fill_rate` are theirs. days:
    symbol-days, which the interval resamples as wholes. interval: 95 %, both ends NaN where two days are lacking.
    """

    by: str
    name: str
    executions: int
    known: int
    days: int
    notional: float
    shortfall: float
    shortfall_bps: float
    interval: Interval
    median_bps: float
    fill_rate: float
    parts_bps: Parts


def breakdowns(run: Run) -> dict[str, tuple[Group, ...]]:
    """The groups of a run by each of the things that costs depend on."""
    sizes, volatilities, by_notional = _market(run)
    costs = run.measured
    return {
        "algorithm": _groups("algorithm", costs, [cost.algo_type for cost in costs]),
        "venue": _groups("venue", costs, [cost.venue or UNKNOWN for cost in costs]),
        "hour": _groups("hour", costs, [f"{cost.start_ts_ns // HOUR_NS % 24:02d}" for cost in costs]),
        "size": _groups("size", costs, *quantiles(sizes, "" if by_notional else " %")),
        "volatility": _groups("volatility", costs, *quantiles(volatilities, " %")),
    }


def sized_by_notional(run: Run) -> bool:
    """Whether sizes are in money, because the daily volume before most executions is unknown."""
    return _market(run)[2]


def quantiles(values: Sequence[float], unit: str) -> tuple[list[str], list[str]]:
    """For each value the name of its bucket, such as "0.5 to 0.8 %", and all names in order.

    Buckets are fifths, or fewer where there are few values; equal values share one. NaN: "unknown", the last name.
    """
    column = np.asarray(values, float)
    known = column[np.isfinite(column)]
    if not len(known):
        return [UNKNOWN] * len(column), [UNKNOWN]
    count = max(1, min(MOST_BUCKETS, len(known) // FEWEST_IN_BUCKET))
    inner = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)[1:-1]))
    inner = inner[(inner > known.min()) & (inner <= known.max())]
    said = [f"{edge:,.{_digits(inner)}f}" for edge in inner]
    middle = [f"{low} to {high}{unit}" for low, high in pairwise(said)]
    names = [f"below {said[0]}{unit}", *middle, f"{said[-1]}{unit} and more"] if said else ["all alike"]
    place = np.searchsorted(inner, column, side="right")
    labels = [names[k] if math.isfinite(value) else UNKNOWN for k, value in zip(place, column, strict=True)]
    return labels, [*names, UNKNOWN]


def of(by: str, name: str, costs: Sequence[ExecutionCost]) -> Group:
    """One group; the mean and the interval are those of `fillwright compare --benchmark shortfall`."""
    row, pool = summarize(name, costs, "shortfall"), pooled(costs)
    return Group(
        by=by,
        name=name,
        executions=len(costs),
        known=row.orders,
        days=row.clusters,
        notional=pool.notional,
        shortfall=pool.shortfall,
        shortfall_bps=row.mean,
        interval=row.interval,
        median_bps=row.median,
        fill_rate=pool.fill_rate,
        parts_bps=pool.parts_bps,
    )


def _market(run: Run) -> tuple[list[float], list[float], bool]:
    """Sizes in per cent of daily volume (or in money) and daily volatilities in per cent, before each execution."""
    known = [run.around(cost).before(cost.start_ts_ns) for cost in run.measured]
    volatilities = [100 * volatility for volatility, _ in known]
    sizes = [100 * cost.total_quantity / daily for cost, (_, daily) in zip(run.measured, known, strict=True)]
    by_notional = 2 * sum(map(math.isfinite, sizes)) < len(sizes)
    return ([cost.notional for cost in run.measured] if by_notional else sizes), volatilities, by_notional


def _groups(
    by: str, costs: Sequence[ExecutionCost], labels: Sequence[str], order: Sequence[str] | None = None
) -> tuple[Group, ...]:
    members: dict[str, list[ExecutionCost]] = {}
    for label, cost in zip(labels, costs, strict=True):
        members.setdefault(label, []).append(cost)
    return tuple(of(by, name, members[name]) for name in order or sorted(members) if name in members)


def _digits(edges: NDArray[np.float64]) -> int:
    """As many decimals as it takes to tell neighbours apart and to show two digits of the smallest, at most six."""
    for digits in range(7):
        if len({f"{edge:.{digits}f}" for edge in edges}) == len(edges) and abs(edges[0]) * 10**digits >= 10:
            return digits
    return 6
