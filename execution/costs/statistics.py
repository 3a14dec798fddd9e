"""Statistics of execution costs: ratios of sums, intervals that respect clusters, paired tests, sample sizes.

Costs of executions on one symbol and day share that day's market; an interval that takes them for independent is too
narrow. Resampling, tests and their intervals are scipy's, imported when they are needed.

Few clusters: a bootstrap of 5 or 10 symbol-days covers the truth 83 or 85 times in a hundred where it says 95, because
so few days hardly show how much days differ; Student's t over the clusters' sums, with one degree of freedom less than
clusters, covers it about 94 times at any number from 2 on. So it takes over below `FEW_CLUSTERS`.
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
EXACT_CLUSTERS: Final = 13
"""Up to so many clusters all sign flips are tried; beyond, as many are drawn as thirteen have."""
FLIPS: Final = 1 << EXACT_CLUSTERS
FEW_CLUSTERS: Final = 40
"""With fewer, intervals of a mean are Student's over the clusters, not the bootstrap's."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; both ends NaN where the data allow none."""

    low: float
    high: float


UNKNOWN: Final = Interval(math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of means from `clusters` independent clusters, its t statistic, two-sided p-value and interval.

    error: its standard error. design_effect: the variance, over what it were if all orders were independent.
    """

    mean: float
    clusters: int
    t: float
    p: float
    interval: Interval
    error: float = math.nan
    design_effect: float = math.nan


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
    if len(values) <= EXACT_CLUSTERS:
        from scipy import stats

        found = stats.permutation_test(
            (values,),
            lambda flipped, axis: np.round(np.sum(flipped, axis=axis) / scale, 9),  # ties are ties despite rounding
            permutation_type="samples",
            vectorized=True,
            n_resamples=FLIPS,
        )
        return float(found.pvalue)
    rng = chance.generator(seed, "sign flips")
    as_far = round(abs(float(values.sum())) / scale, 9)
    extreme, left = 0, FLIPS
    while left:
        draws = min(left, max(1, 4_000_000 // len(values)))
        signs = rng.integers(0, 2, (draws, len(values)), dtype=np.int8)
        sums = 2 * (signs @ values) - values.sum()
        extreme += int((np.round(np.abs(sums) / scale, 9) >= as_far).sum())
        left -= draws
    return (1 + extreme) / (1 + FLIPS)


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
    scores = [sign * _scores(c, n, mean) for sign, mean, c, n in zip((1.0, -1.0), means, cost, notional, strict=True)]
    return _student(means[0] - means[1], np.concatenate(scores), [*clusters[0], *clusters[1]], level)


def cluster_mean(
    cost: ArrayLike, notional: ArrayLike, clusters: Sequence[Hashable], *, level: float = 0.95
) -> Difference:
    """The weighted mean, less 0, in basis points, with its cluster-robust t test and interval; see `cluster_t`."""
    mean = weighted_mean(cost, notional)
    return _student(mean, _scores(cost, notional, mean), clusters, level)


def mean_interval(
    cost: ArrayLike, notional: ArrayLike, clusters: Sequence[Hashable], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """The interval to print for a weighted mean, in basis points: the bootstrap's, or with few clusters Student's."""
    if len(set(clusters)) >= FEW_CLUSTERS:
        return bootstrap_interval(cost, notional, clusters, level=level, seed=seed)
    return cluster_mean(cost, notional, clusters, level=level).interval


def winsorised_mean(cost: ArrayLike, notional: ArrayLike, share: float = 0.01) -> float:
    """The weighted mean with single costs beyond the `share` and 1 - `share` quantiles moved there: a cross-check.

    Never a headline: the costs that it moves were paid. No orders: NaN.
    """
    notionals = np.asarray(notional, float)
    if not len(notionals):
        return math.nan
    single = np.asarray(cost, float) / notionals
    low, high = np.quantile(single, (share, 1 - share))
    return weighted_mean(np.clip(single, low, high) * notionals, notionals)


def _scores(cost: ArrayLike, notional: ArrayLike, mean: float) -> Floats:
    """What each order adds to the weighted mean's deviation, in basis points."""
    weights = np.asarray(notional, float)
    scores: Floats = (BPS * np.asarray(cost, float) - mean * weights) / weights.sum()
    return scores


def _student(mean: float, scores: Floats, clusters: Sequence[Hashable], level: float) -> Difference:
    (influence,) = cluster_sums(clusters, scores)
    k, n = len(influence), len(scores)
    error = math.sqrt(k / (k - 1) * float(influence @ influence)) if k > 1 else math.nan
    if not error > 1e-12 * abs(mean):
        return Difference(mean, k, math.nan, math.nan, UNKNOWN)
    from scipy import stats

    t = mean / error
    reach = error * float(stats.t.ppf(0.5 + level / 2, k - 1))
    p = 2 * float(stats.t.sf(abs(t), k - 1))
    alone = n / (n - 1) * float(scores @ scores)
    return Difference(mean, k, t, p, Interval(mean - reach, mean + reach), error, error**2 / alone)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for being several, in their order: Holm (1979). A NaN stays NaN and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return tuple(adjusted)


def orders_needed(
    sd: float, difference: float = 1.0, *, effect: float = 1.0, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Orders per algorithm that show a difference of means: 2 * (z_(1-alpha/2) + z_power)^2 * sd^2 / difference^2.

    Two-sided test of two independent samples, sd and difference in the same unit, times the design effect of their
    clusters: 1 for independent orders. Rounded up, at least 2. NaN where sd is.
    """
    return _rounded_up(2 * _power_factor(power, alpha) * (sd / difference) ** 2 * effect)


def pairs_needed(
    sd: float, difference: float = 1.0, *, effect: float = 1.0, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Pairs that show a mean difference, with sd that of the differences: (z_(1-alpha/2) + z_power)^2 * sd^2 / d^2.

    With correlation rho within pairs, sd^2 = 2 * (1 - rho) * (sd of single costs)^2. Times the design effect. Rounded
    up, at least 2; NaN where sd is.
    """
    return _rounded_up(_power_factor(power, alpha) * (sd / difference) ** 2 * effect)


def detectable(error: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """The difference that a test with this standard error finds with this power: (z_(1-alpha/2) + z_power) * error."""
    return math.sqrt(_power_factor(power, alpha)) * error


def design_effect(size: float, correlation: float) -> float:
    """How many orders of a cluster are worth one independent order: 1 + (size - 1) * correlation. Kish (1965)."""
    return 1 + (size - 1) * correlation


def arrival_noise(volatility: float, duration: float) -> float:
    """Standard deviation of a TWAP's slippage against arrival from the random walk alone: volatility * sqrt(T / 3).

    The unit of the answer is that of `volatility`, which is per square root of the unit of `duration`.
    """
    return volatility * math.sqrt(duration / 3)


def _power_factor(power: float, alpha: float) -> float:
    checks.between("power", power, 0.01, 0.9999)
    checks.between("alpha", alpha, 1e-9, 0.5)
    return (NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)) ** 2


def _rounded_up(count: float) -> float:
    return float(max(2, math.ceil(count))) if math.isfinite(count) else math.nan
