"""What is known of a cost after some orders, and with which probability each choice is taken.

A cost has a mean mu and noise of variance s^2, both unknown: (mu, s^2) is normal-inverse-gamma, so mu is Student's t,

    mu | s^2 ~ N(m, s^2 / k),  s^2 ~ InvGamma(a, b)        mu ~ m + sqrt(b / (a k)) t with 2a degrees of freedom

and n costs with mean x and sum of squared deviations d move it to k' = k + n, m' = (k m + n x) / k', a' = a + n / 2,
b' = b + d / 2 + k n (x - m)^2 / (2 k'). Murphy (2007). Thompson (1933): a choice is taken as often as it is best in
draws from what is known of all of them; here normal ones of the same width, as Student's tails are thin by then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.chance import generator

DRAWS: Final = 128
LEVEL: Final = 0.95


def normal_posterior(
    prior_mean: float, prior_variance: float, noise_variance: float, n: float, mean: float
) -> tuple[float, float]:
    """Mean and sd of mu where the noise is known: precisions add, 1 / v + n / s^2."""
    precision = 1 / prior_variance + n / noise_variance
    return (prior_mean / prior_variance + n * mean / noise_variance) / precision, 1 / math.sqrt(precision)


class Belief(NamedTuple):
    """Normal-inverse-gamma: the module has the formulas. `weight` k: orders that the mean is worth."""

    mean: float
    weight: float
    shape: float
    scale: float

    @classmethod
    def prior(cls, mean: float, orders: float, noise: float) -> Belief:
        """As sure as after so many orders with noise of this sd."""
        return cls(mean, orders, orders / 2, orders / 2 * noise**2)

    def after(self, n: float, total: float, squares: float) -> Belief:
        """What is known after n more costs (discounted ones count in part), by their sum and their sum of squares."""
        return Belief(*posterior(*self, n, total, squares)) if n > 0 else self

    @property
    def width(self) -> float:
        """Scale of the Student's t of mu."""
        return math.sqrt(self.scale / (self.shape * self.weight))

    def error(self, extra: float = 0.0) -> float:
        """The same with `extra` orders more that have not been heard of yet."""
        return math.sqrt(self.scale / (self.shape * (self.weight + extra)))

    def half_width(self) -> float:
        """95 % of mu is its mean less and plus this."""
        return quantile(self.shape) * math.sqrt(self.scale / (self.shape * self.weight))

    def interval(self) -> tuple[float, float]:
        """95 % of mu."""
        half = self.half_width()
        return self.mean - half, self.mean + half


def posterior(
    mean: float, weight: float, shape: float, scale: float, n: float, total: float, squares: float
) -> tuple[float, float, float, float]:
    """The numbers of the belief of these four numbers after n > 0 more costs, by their sum and their sum of squares."""
    after, x = weight + n, total / n
    within, moved = squares - n * x * x, x - mean
    spread = (within if within > 0 else 0.0) + weight * n * moved * moved / after
    return (weight * mean + total) / after, after, shape + n / 2, scale + spread / 2


def quantile(shape: float) -> float:
    """97.5 % point of Student's t with twice as many degrees of freedom, rounded; kept."""
    degrees = round(2 * shape)
    found = _T.get(degrees)
    if found is None:
        from scipy import special  # type: ignore[import-untyped]

        found = _T[degrees] = float(special.stdtrit(degrees, 0.5 + LEVEL / 2))
    return found


def thompson(means: Sequence[float], widths: Sequence[float]) -> list[float]:
    """How often each choice has the least cost in DRAWS draws, normal with these means and sds.

    The draws are the same ones for every decision, so the probabilities follow from what is known alone. They are
    stratified, one from each DRAWS-th part of the normal (McKay, Beckman and Conover, 1979): half as many as
    independent ones are as exact. Where a mean is NaN nothing tells them apart: all alike.
    """
    n = len(means)
    if math.isnan(sum(means)):
        return [1 / n] * n
    draws = _normals(n) * np.array(widths)
    draws += np.array(means)
    return [count / DRAWS for count in np.bincount(draws.argmin(1), minlength=n).tolist()]


@cache
def _normals(n: int) -> NDArray[np.float64]:
    """Standard normals, shape (DRAWS, n): in every column the middles of the parts in an order of its own."""
    middles = np.array([NormalDist().inv_cdf((part + 0.5) / DRAWS) for part in range(DRAWS)])
    chance = generator("thompson", n)
    return np.ascontiguousarray(np.array([chance.permutation(middles) for _ in range(n)]).T)


def floored(probabilities: Sequence[float], least: float) -> list[float]:
    """No probability below `least`; what that takes comes from the others in proportion to what they have above it."""
    n = len(probabilities)
    least = min(least, 1 / n)
    spare = [p - least if p > least else 0.0 for p in probabilities]
    total = math.fsum(spare)
    if total <= 0:
        return [1 / n] * n
    scale = (1 - n * least) / total
    return [least + scale * one for one in spare]


def pick(probabilities: Sequence[float], draw: float) -> int:
    """The choice that a number in [0, 1) falls on."""
    upto = 0.0
    last = 0
    for index, probability in enumerate(probabilities):
        if probability > 0:
            last = index
            upto += probability
            if draw < upto:
                return index
    return last


_T: dict[int, float] = {}
