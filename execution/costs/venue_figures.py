"""The figures of venues from sums over their executions: ratios with their noise, shares, latencies; all shrunk."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final

import numpy as np

from execution.costs.shrinkage import Estimate, Noise, moderated, prior_of, shrunk, shrunk_shares
from execution.costs.statistics import cluster_sums

NEEDED: Final = {"p50": 10, "p95": 100, "p99": 500}
"""Latencies from which on a quantile is read off them; with fewer, a lognormal is fitted."""
FEW_LATENCIES: Final = 10
"""With fewer the mean is the fitted lognormal's, too."""


@dataclass(slots=True)
class Sums:
    """One figure of one venue, an entry per execution that knows it: money, notional, symbol-day."""

    cost: list[float] = field(default_factory=list)
    notional: list[float] = field(default_factory=list)
    cluster: list[tuple[str, int]] = field(default_factory=list)

    def add(self, cost: float, notional: float, cluster: tuple[str, int]) -> None:
        if math.isfinite(cost) and math.isfinite(notional) and notional > 0:
            self.cost.append(cost)
            self.notional.append(notional)
            self.cluster.append(cluster)


@dataclass(frozen=True, slots=True)
class Latency:
    """One order's latency, its weight, and the symbol-day of its execution."""

    ms: float
    weight: float
    cluster: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Latencies:
    """A venue's mean latency and its p50, p95 and p99, in milliseconds; fitted: whether a quantile is a lognormal's."""

    mean: float
    quantiles: dict[str, float]
    fitted: bool


def estimates(sums: Sequence[Sums], scale: float, *, by_day: bool) -> list[Estimate]:
    noises = [noise_of(one, scale, by_day=by_day) for one in sums]
    known = moderated([one for one in noises if one is not None])
    prior = prior_of([one.mean for one in known], [one.error for one in known])
    rest = iter(known)
    return [
        shrunk(
            None if noise is None else next(rest), prior, n=len(one.cost), clusters=len(set(one.cluster))
        )
        for one, noise in zip(sums, noises, strict=True)
    ]  # fmt: skip


def noise_of(one: Sums, scale: float, *, by_day: bool) -> Noise | None:
    """The mean, the variance of one cluster of average weight, and the effective number of clusters."""
    if not one.cost:
        return None
    clusters: Sequence[Hashable] = one.cluster if by_day else range(len(one.cost))
    cost, notional = cluster_sums(clusters, one.cost, one.notional)
    total = float(notional.sum())
    mean = float(cost.sum()) / total
    scores = (cost - mean * notional) / total
    k, effective = len(cost), total**2 / float((notional**2).sum())
    variance = k / (k - 1) * float(scores @ scores) * effective if k > 1 else math.nan
    return Noise(scale * mean, scale**2 * variance, effective)


def shares(sums: Sequence[Sums]) -> list[Estimate]:
    """Shares under a Beta prior, each worth as many trials as its symbol-days' variance allows: m (1 - m) / error^2.

    Where symbol-days do not differ, or there is one alone, a trial is an execution.
    """
    rates = [math.fsum(one.cost) / math.fsum(one.notional) if one.cost else math.nan for one in sums]
    whole = math.fsum(total for one in sums for total in one.notional)
    mean = math.fsum(part for one in sums for part in one.cost) / whole if whole else math.nan
    noises = [noise_of(one, 1.0, by_day=True) for one in sums]
    known = iter(moderated([noise for noise in noises if noise is not None]))
    trials = []
    for one, noise in zip(sums, noises, strict=True):
        error = next(known).error if noise is not None else math.nan
        executions = math.fsum(one.notional) ** 2 / math.fsum(w * w for w in one.notional) if one.notional else 0.0
        trials.append(mean * (1 - mean) / error**2 if error > 0 and 0 < mean < 1 else executions)
    found, _ = shrunk_shares(rates, trials)
    return [
        Estimate(rate, value, low, high, own, len(one.cost), len(set(one.cluster)))
        for one, rate, (value, low, high, own) in zip(sums, rates, found, strict=True)
    ]


def latencies(waits: Sequence[Sequence[Latency]]) -> list[Latencies]:
    """Mean and quantiles of each venue. A lognormal is fitted to 1 + ms, as 0 is possible; its centre is shrunk."""
    logs = []
    for of_venue in waits:
        one = Sums()
        for wait in of_venue:
            one.add(wait.weight * math.log1p(wait.ms), wait.weight, wait.cluster)
        logs.append(one)
    centres = estimates(logs, 1.0, by_day=any(len(set(one.cluster)) > 1 for one in logs))
    spread = _spread(logs)
    return [_of_venue(of_venue, centre.value, spread) for of_venue, centre in zip(waits, centres, strict=True)]


def _of_venue(waits: Sequence[Latency], centre: float, spread: float) -> Latencies:
    ms, weights = np.array([wait.ms for wait in waits]), np.array([wait.weight for wait in waits])
    quantiles: dict[str, float] = {}
    fitted = False
    for name, needed in NEEDED.items():
        share = int(name[1:]) / 100
        if len(waits) >= needed:
            quantiles[name] = float(np.quantile(ms, share, weights=weights, method="inverted_cdf"))
        elif math.isfinite(centre):
            quantiles[name] = max(0.0, math.expm1(centre + NormalDist().inv_cdf(share) * spread))
            fitted = True
        else:
            quantiles[name] = math.nan
    if len(waits) >= FEW_LATENCIES:
        return Latencies(float((weights * ms).sum() / weights.sum()), quantiles, fitted)
    return Latencies(math.expm1(centre + spread**2 / 2), quantiles, fitted)


def _spread(logs: Sequence[Sums]) -> float:
    """Standard deviation of log(1 + ms) within venues, pooled; 0 where no venue has two."""
    squares, degrees = 0.0, 0
    for one in logs:
        if len(one.cost) > 1:
            values = np.array(one.cost) / np.array(one.notional)
            squares += float(((values - values.mean()) ** 2).sum())
            degrees += len(values) - 1
    return math.sqrt(squares / degrees) if degrees else 0.0
