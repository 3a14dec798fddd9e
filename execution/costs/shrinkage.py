"""Empirical Bayes: many noisy means, each pulled towards what all of them have in common by as much as it is noise.

Each venue has a true mean theta_v, drawn from a normal with mean mu and variance tau^2 over the venues, and we see
x_v = theta_v + error with variance e_v^2. Then the best guess is w x_v + (1 - w) mu with w = tau^2 / (tau^2 + e_v^2).
tau^2 by the moments of DerSimonian and Laird (1986), mu weighted by 1 / (tau^2 + e_v^2); Efron and Morris (1975).
Shares are Beta distributed instead, with the moments of the same prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL: Final = 0.95
PRIOR_CLUSTERS: Final = 4.0
"""What all venues say of the spread of a cluster counts as much as so many clusters of the venue's own."""
MOST_PRIOR: Final = 1e4
"""Trials that a Beta prior is worth where the venues do not differ at all."""

EXACT: Final = 1e-20
"""Relative variance of a mean without noise."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number of one venue. NaN where nothing is known.

    raw: from its own orders alone. value: pulled towards the mean of all venues. low, high: 95 % interval of value.
    own: weight of its own orders in `value`, 0 to 1. n: its orders that know the number. clusters: their symbol-days.
    """

    raw: float
    value: float
    low: float
    high: float
    own: float
    n: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Prior:
    """What the venues have in common: mean and its error, and how far true means lie apart (a standard deviation).

    venues: how many it was learnt from.
    """

    mean: float
    sd: float
    error: float
    venues: int = 1


@dataclass(frozen=True, slots=True)
class Noise:
    """A venue's own mean and how sure it is: variance of one cluster, and how many (effective) clusters there are."""

    mean: float
    variance: float
    clusters: float

    @property
    def error(self) -> float:
        return math.sqrt(self.variance / self.clusters) if self.clusters > 0 else math.nan


def moderated(each: Sequence[Noise]) -> list[Noise]:
    """The same with variances that few clusters cannot know: drawn to their mean over the venues.

    v = (4 v_all + (k - 1) v_own) / (4 + k - 1). A venue with one cluster has v_all. Smyth (2004).
    """
    known = [one for one in each if one.clusters > 1 and math.isfinite(one.variance)]
    degrees = math.fsum(one.clusters - 1 for one in known)
    pooled = math.fsum((one.clusters - 1) * one.variance for one in known) / degrees if degrees else math.nan
    out = []
    for one in each:
        own = one.clusters - 1 if math.isfinite(one.variance) and one.clusters > 1 else 0.0
        variance = (PRIOR_CLUSTERS * pooled + own * (one.variance if own else 0.0)) / (PRIOR_CLUSTERS + own)
        out.append(Noise(one.mean, variance, one.clusters))
    return out


def prior_of(means: ArrayLike, errors: ArrayLike) -> Prior:
    """The prior from the venues' means and standard errors; one venue: its own mean, sd 0; none: NaN."""
    x, variance = np.asarray(means, float), np.asarray(errors, float) ** 2
    if not len(x):
        return Prior(math.nan, math.nan, math.nan, 0)
    if not np.isfinite(variance).all():  # single orders: nothing tells noise from difference
        return Prior(float(x.mean()), 0.0, math.nan, len(x))
    scale = max(float(np.abs(x).max()), math.sqrt(float(variance.max())))
    if not scale:
        return Prior(0.0, 0.0, 0.0, len(x))
    x, variance = x / scale, np.maximum(variance / scale**2, EXACT)
    tau2 = 0.0
    if len(x) > 1:
        weights = 1 / variance
        centre = float((weights * x).sum() / weights.sum())
        excess = float((weights * (x - centre) ** 2).sum()) - (len(x) - 1)
        tau2 = max(0.0, excess / float(weights.sum() - (weights**2).sum() / weights.sum()))
    weights = 1 / (variance + tau2)
    mean = float((weights * x).sum() / weights.sum())
    return Prior(scale * mean, scale * math.sqrt(tau2), scale / math.sqrt(float(weights.sum())), len(x))


def shrunk(noise: Noise | None, prior: Prior, *, n: int = 0, clusters: int = 0) -> Estimate:
    """A venue's estimate under a prior; without orders (`None`) it is the prior, with the prior's whole width.

    The interval has Student's width for the few clusters, and the term of Morris (1983) for not knowing tau: without
    the two it would cover the truth less than nine times out of ten.
    """
    from scipy import stats  # type: ignore[import-untyped]

    if math.isnan(prior.mean):
        return Estimate(math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0)
    unsure = 2 / max(1, prior.venues - 3)
    if noise is None or math.isnan(noise.error):
        width = float(stats.t.ppf(0.5 + LEVEL / 2, max(1, prior.venues - 1))) * math.hypot(prior.sd, prior.error)
        raw = math.nan if noise is None else noise.mean
        return Estimate(raw, prior.mean, prior.mean - width, prior.mean + width, 0.0, n, clusters)
    error2 = noise.error**2
    total = prior.sd**2 + error2
    own = prior.sd**2 / total if total > 0 else 1.0
    if prior.venues < 2:
        own = 1.0  # nothing to be drawn to
    value = own * noise.mean + (1 - own) * prior.mean
    variance = own * error2 + (1 - own) ** 2 * (prior.error**2 + unsure * (noise.mean - prior.mean) ** 2)
    width = float(stats.t.ppf(0.5 + LEVEL / 2, PRIOR_CLUSTERS + max(0.0, noise.clusters - 1))) * math.sqrt(variance)
    return Estimate(noise.mean, value, value - width, value + width, own, n, clusters)


def shrunk_shares(
    rates: Sequence[float], trials: Sequence[float]
) -> tuple[list[tuple[float, float, float, float]], float]:
    """Shares under a Beta prior: for each venue (value, low, high, own weight), and the prior's mean.

    rates: observed share, NaN where there are no trials; trials: (effective) number of independent ones. A venue
    without trials gets the prior. No trials at all: NaN.
    """
    from scipy import stats

    known = [(rate, count) for rate, count in zip(rates, trials, strict=True) if count > 0]
    total = math.fsum(count for _, count in known)
    if not total:
        return [(math.nan,) * 4 for _ in rates], math.nan
    crude = math.fsum(rate * count for rate, count in known) / total
    inside = min(max(crude, 0.5 / (total + 1)), 1 - 0.5 / (total + 1))  # all or nothing seen is not certainty
    spread = inside * (1 - inside)
    prior = prior_of([rate for rate, _ in known], [math.sqrt(spread / count) for _, count in known])
    mean = min(max(prior.mean, 0.5 / (total + 1)), 1 - 0.5 / (total + 1))
    worth = mean * (1 - mean) / prior.sd**2 - 1 if prior.sd > 0 else MOST_PRIOR
    worth = min(max(worth, 1.0), MOST_PRIOR)
    if len(known) == 1:
        worth = 1.0  # nothing to learn a prior from
    out = []
    for rate, count in zip(rates, trials, strict=True):
        count = count if count > 0 else 0.0
        a = worth * mean + count * (rate if count else 0.0)
        b = worth * (1 - mean) + count * (1 - rate if count else 0.0)
        low, high = stats.beta.ppf(((1 - LEVEL) / 2, (1 + LEVEL) / 2), a, b)
        out.append((a / (a + b), float(low), float(high), count / (worth + count)))
    return out, mean
