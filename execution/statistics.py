"""Statistics of execution costs: ratios of sums, intervals that respect clusters, paired tests, sample sizes.

Costs of executions on one symbol and day share that day's market; an interval that takes them for independent is too
narrow. Resampling, tests and their intervals are scipy's, imported when they are needed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core import chance, checks

BPS: Final = 1e4
EXACT_FLIPS: Final = 1 << 13
"""Up to 13 clusters all sign flips are tried; beyond, as many are drawn."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; both ends NaN where the data allow none."""

    low: float
    high: float


UNKNOWN: Final = Interval(math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of means from `clusters` independent clusters, its t statistic, two-sided p-value and interval."""

    mean: float
    clusters: int
    t: float
    p: float
    interval: Interval


def weighted_mean(cost: ArrayLike, notional: ArrayLike) -> float:
    """Notional-weighted mean in basis points, a ratio of sums: 1e4 * sum(cost) / sum(notional). Nothing: NaN."""
    total = float(np.sum(notional))
    return BPS * float(np.sum(cost)) / total if total > 0 else math.nan


def cluster_sums(clusters: Sequence[Hashable], *columns: ArrayLike) -> tuple[Floats, ...]:
    """The sum of each column, shape (n,), over each cluster, shape (k,), in order of first appearance."""
    numbers: dict[Hashable, int] = {}
    index = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.intp)
    sums = np.zeros((len(columns), len(numbers)))
    for total, column in zip(sums, columns, strict=True):
        np.add.at(total, index, np.asarray(column, float))
    return tuple(sums)


def bootstrap_interval(
    cost: ArrayLike,
    notional: ArrayLike,
    clusters: Sequence[Hashable],
    *,
    level: float = 0.95,
    draws: int = 9_999,
    seed: int = 0,
) -> Interval:
    """Cluster-bootstrap interval of the weighted mean, in basis points: BCa, or percentile where BCa fails.

    Whole clusters are drawn with replacement, k of k. Fewer than two clusters: unknown. Efron (1987).
    """
    checks.between("level", level, 0.5, 0.9999)
    costs, notionals = cluster_sums(clusters, cost, notional)
    if len(costs) < 2:
        return UNKNOWN
    mean = costs.sum() / notionals.sum()
    if np.allclose(costs, mean * notionals, rtol=1e-12, atol=1e-15 * float(notionals.max())):
        return Interval(BPS * float(mean), BPS * float(mean))
    from scipy import stats  # type: ignore[import-untyped]

    def ratio(cost: Floats, notional: Floats, axis: int) -> Floats:
        out: Floats = BPS * np.sum(cost, axis=axis) / np.sum(notional, axis=axis)
        return out

    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of degenerate BCa: looked at below
            found = stats.bootstrap(
                (costs, notionals),
                ratio,
                paired=True,
                vectorized=True,
                n_resamples=draws,
                batch=max(1, 2_000_000 // len(costs)),
                confidence_level=level,
                method=method,
                rng=chance.generator(seed, "cluster bootstrap"),
            ).confidence_interval
        if math.isfinite(found.low) and math.isfinite(found.high):
            break
    return Interval(float(found.low), float(found.high))


def sign_flip_p(differences: ArrayLike, clusters: Sequence[Hashable] | None = None, *, seed: int = 0) -> float:
    """Two-sided p-value of the mean difference when every cluster's sign is as likely the other one.

    A cluster flips as a whole; without clusters every difference is its own. Exact up to 13 clusters, beyond by
    8,192 draws, where the p-value is (1 + as extreme) / (1 + draws). Fewer than two clusters: NaN.
    """
    values = np.asarray(differences, float)
    if clusters is not None:
        (values,) = cluster_sums(clusters, values)
    if len(values) < 2:
        return math.nan
    scale = float(np.abs(values).sum()) or 1.0
    from scipy import stats

    found = stats.permutation_test(
        (values,),
        lambda flipped, axis: np.round(np.sum(flipped, axis=axis) / scale, 9),  # ties are ties in spite of rounding
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXACT_FLIPS,
        batch=max(1, 2_000_000 // len(values)),
        rng=chance.generator(seed, "sign flips"),
    )
    return float(found.pvalue)


def cluster_t(
    cost: tuple[ArrayLike, ArrayLike],
    notional: tuple[ArrayLike, ArrayLike],
    clusters: tuple[Sequence[Hashable], Sequence[Hashable]],
    *,
    level: float = 0.95,
) -> Difference:
    """Weighted mean of the first sample less that of the second, in basis points, with a cluster-robust t test.

    The difference is made linear in the clusters' sums (delta method); a cluster that both samples share counts once,
    so its common shock drops out. t has k - 1 degrees of freedom. For pairs of equal notional, each in a cluster of its
    own, this is Student's paired t test. Fewer than two clusters, or no spread: t, p and interval are NaN.
    """
    means = [weighted_mean(c, n) for c, n in zip(cost, notional, strict=True)]
    scores = []
    for sign, mean, c, n in zip((1.0, -1.0), means, cost, notional, strict=True):
        weights = np.asarray(n, float)
        scores.append(sign * (BPS * np.asarray(c, float) - mean * weights) / weights.sum())
    (influence,) = cluster_sums([*clusters[0], *clusters[1]], np.concatenate(scores))
    k = len(influence)
    mean = means[0] - means[1]
    error = math.sqrt(k / (k - 1) * float(influence @ influence)) if k > 1 else math.nan
    if not error > 1e-12 * abs(mean):
        return Difference(mean, k, math.nan, math.nan, UNKNOWN)
    from scipy import stats

    t = mean / error
    reach = error * float(stats.t.ppf(0.5 + level / 2, k - 1))
    p = 2 * float(stats.t.sf(abs(t), k - 1))
    return Difference(mean, k, t, p, Interval(mean - reach, mean + reach))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for being several, in their order: Holm (1979). A NaN stays NaN and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return tuple(adjusted)


def orders_needed(sd: float, difference: float = 1.0, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Orders per algorithm that show a difference of means: 2 * (z_(1-alpha/2) + z_power)^2 * sd^2 / difference^2.

    Two-sided test of two independent samples of independent orders, sd and difference in the same unit; rounded up, at
    least 2. NaN where sd is.
    """
    return _rounded_up(2 * _power_factor(power, alpha) * (sd / difference) ** 2)


def pairs_needed(sd: float, difference: float = 1.0, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Pairs that show a mean difference, with sd that of the differences: (z_(1-alpha/2) + z_power)^2 * sd^2 / d^2.

    With correlation rho within pairs, sd^2 = 2 * (1 - rho) * (sd of single costs)^2. Rounded up, at
    least 2; NaN where sd is.
    """
    return _rounded_up(_power_factor(power, alpha) * (sd / difference) ** 2)


def _power_factor(power: float, alpha: float) -> float:
    checks.between("power", power, 0.01, 0.9999)
    checks.between("alpha", alpha, 1e-9, 0.5)
    return (NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)) ** 2


def _rounded_up(count: float) -> float:
    return float(max(2, math.ceil(count))) if math.isfinite(count) else math.nan
