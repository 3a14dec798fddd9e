"""Almgren (2003): the best schedule without a deadline, where temporary impact is a power of the rate.

Trading at the rate v moves the price by eta * v ** k while it lasts. Minimizing E + lambda V over all time gives

    x(t) = X (1 + (1 - k) / (1 + k) * t / T*) ** (-(1 + k) / (1 - k))
    T* = (k eta X^(k-1) / (lambda sigma^2))^(1/(k+1))
    E = (k + 1) / (3 k + 1) * eta X^(k+1) / T*^k
    V = (k + 1) / (3 k + 1) * T* sigma^2 X^2

For k = 1 the schedule is exponential; for k > 1 it ends in finite time. Source: "Optimal execution with nonlinear
impact functions and trading-enhanced risk", Applied Mathematical Finance 10 (2003).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core import checks


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLawLiquidation:
    """quantity      X, above 0
    volatility    sigma, price units per square root of time, above 0
    temporary     eta, price units per (unit of rate) ** exponent, above 0
    exponent      k, above 0
    risk_aversion lambda, per unit of money, above 0
    """

    quantity: float
    volatility: float
    temporary: float
    exponent: float
    risk_aversion: float

    def __post_init__(self) -> None:
        for name in ("quantity", "volatility", "temporary", "exponent", "risk_aversion"):
            checks.positive(name, getattr(self, name))

    @property
    def time_scale(self) -> float:
        """T*, the time in which the order would be done at its first rate."""
        k = self.exponent
        risk = self.risk_aversion * self.volatility**2
        return float((k * self.temporary * self.quantity ** (k - 1) / risk) ** (1 / (k + 1)))

    @property
    def expected_cost(self) -> float:
        """E, in money, of the temporary impact alone."""
        k = self.exponent
        return float((k + 1) / (3 * k + 1) * self.temporary * self.quantity ** (k + 1) / self.time_scale**k)

    @property
    def variance(self) -> float:
        """V, in money squared."""
        k = self.exponent
        return float((k + 1) / (3 * k + 1) * self.time_scale * (self.volatility * self.quantity) ** 2)

    @property
    def end(self) -> float:
        """When the last unit is traded: infinite for an exponent of at most 1."""
        k = self.exponent
        return (k + 1) / (k - 1) * self.time_scale if k > 1 else math.inf

    def holdings(self, times: ArrayLike) -> NDArray[np.float64]:
        """x(t) at times of at least 0, of their shape."""
        t = np.asarray(times, np.float64) / self.time_scale
        k = self.exponent
        if k == 1:
            return self.quantity * np.exp(-t)
        base = np.maximum(0.0, 1 + (1 - k) / (1 + k) * t)
        left: NDArray[np.float64] = self.quantity * base ** ((1 + k) / (k - 1))
        return left
