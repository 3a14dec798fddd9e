"""Few orders and what is known of other markets: a posterior for the coefficient of the square root."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from research.calibration.laws import Law
from research.calibration.orders import Floats, Orders
from research.calibration.regression import LEVEL, Interval

# Published fits of Y lie between 0.4 and 1.5 (Tokyo survey 0.84 of the daily range, Bitcoin 0.9, Paris 0.5).
PRIOR_MEDIAN: Final = 0.8
PRIOR_LOW, PRIOR_HIGH = 0.4, 1.5  # of 90 %
PRIOR_SD: Final = math.log(PRIOR_HIGH / PRIOR_LOW) / (2 * NormalDist().inv_cdf(0.95))  # of log Y
PRIOR_WORDS: Final = f"lognormal, median {PRIOR_MEDIAN:g}, 90 % between {PRIOR_LOW:g} and {PRIOR_HIGH:g}"
SPREAD_MEAN, SPREAD_SD = 1.0, 0.5  # of the share of the half spread that takers pay: all of it, give or take half
_GRID: Final = PRIOR_MEDIAN * np.exp(PRIOR_SD * np.linspace(-7, 7, 2_801))


@dataclass(frozen=True, slots=True)
class Posterior:
    """The coefficient, given prior and orders.

    median, mean, interval (95 %)  of the coefficient
    half_spread                    the share of the half spread paid, at the median
    from_data, data_error          what the orders alone say under the spread's prior: the likelihood's mean and sd
    informed                       0: the answer is the prior; 1: it is the data (1 - variance of log Y, after / before)
    """

    median: float
    mean: float
    interval: Interval
    half_spread: float
    from_data: float
    data_error: float
    informed: float


def posterior(orders: Orders, law: Law, *, scale: float = 1.0, widening: float = 1.0) -> Posterior:
    """Prior times Gaussian likelihood on a grid: deterministic, no sampling.

    scale: of the errors, in units of their expected noise (`Plain.scale`). widening: how many times wider the
    likelihood is than if orders were independent, such as `fit.clustering`; at least 1.
    """
    weight = 1 / (orders.noise * scale**2)
    spread, shape = law.design(orders, law.exponents[0]).T
    # The spread's share is integrated out: one more observation of it, worth its prior.
    within = float(spread @ (weight * spread)) + 1 / SPREAD_SD**2
    pull = float(spread @ (weight * orders.cost)) + SPREAD_MEAN / SPREAD_SD**2
    across = float(spread @ (weight * shape))
    precision = float(shape @ (weight * shape)) - across**2 / within
    centre = (float(shape @ (weight * orders.cost)) - across * pull / within) / precision
    error = max(1.0, widening) / math.sqrt(precision)
    log_prior = -0.5 * (np.log(_GRID / PRIOR_MEDIAN) / PRIOR_SD) ** 2  # evenly spaced in the logarithm: no Jacobian
    log_density = log_prior - 0.5 * ((_GRID - centre) / error) ** 2
    mass = np.exp(log_density - log_density.max())
    mass /= mass.sum()
    median, low, high = (_quantile(mass, share) for share in (0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2))
    logs = np.log(_GRID)
    variance = float(mass @ logs**2 - (mass @ logs) ** 2)
    return Posterior(
        median=median,
        mean=float(mass @ _GRID),
        interval=Interval(low, high),
        half_spread=(pull - across * median) / within,
        from_data=centre,
        data_error=error,
        informed=min(1.0, max(0.0, 1 - variance / PRIOR_SD**2)),
    )


def _quantile(mass: Floats, share: float) -> float:
    return float(np.exp(np.interp(share, np.cumsum(mass) - mass / 2, np.log(_GRID))))
