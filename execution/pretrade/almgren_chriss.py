"""Almgren and Chriss (2000): how fast to trade when impact makes speed dear and volatility makes waiting risky.

Holdings x_0 = X ... x_N = 0 at times t_j = j * tau, tau = T / N; trades n_j = x_(j-1) - x_j. With linear impact,

    E = gamma X^2 / 2 + epsilon * sum |n_j| + (eta~ / tau) * sum n_j^2,   eta~ = eta - gamma tau / 2
    V = sigma^2 tau * sum_(j >= 1) x_j^2

and the schedule that minimizes E + lambda V is x_j = X sinh(kappa (T - t_j)) / sinh(kappa T), where
(2 / tau^2) (cosh(kappa tau) - 1) = lambda sigma^2 / eta~. Costs are positive for a buy as for a sale: the market is
linear, and a purchase is a sale in a mirror. Source: "Optimal execution of portfolio transactions", J. Risk 3 (2001).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core import checks

Floats = NDArray[np.float64]
_FLAT: Final = 1e-8  # of kappa * horizon: below, the curve is straight to the last digit
_STEEPEST: Final = 700.0  # of kappa * tau: beyond, everything trades in the first period


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A schedule by its risk aversion: expected cost, its standard deviation, and how fast it is.

    half_life: 1 / kappa, the time in which holdings fall to 1 / e; infinite for equal slices.
    """

    risk_aversion: float
    expected_cost: float
    sd: float
    half_life: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlmgrenChriss:
    """An order in a market with linear impact. Money and time in any units, as long as they are the same everywhere.

    quantity      X, of the whole order, above 0
    horizon       T, above 0
    periods       N, in each of which the rate is constant
    volatility    sigma, price units per square root of time (not a fraction)
    half_spread   epsilon, paid on every unit: half the spread and fees, price units
    permanent     gamma, price units per unit traded
    temporary     eta, price units per unit of rate; above gamma * tau / 2
    drift         alpha, expected price move per unit of time, positive where waiting gains
    """

    quantity: float
    horizon: float
    periods: int
    volatility: float
    half_spread: float
    permanent: float
    temporary: float
    drift: float = 0.0

    def __post_init__(self) -> None:
        checks.positive("quantity", self.quantity)
        checks.positive("horizon", self.horizon)
        checks.between("periods", self.periods, 1, 1_000_000)
        for name in ("volatility", "half_spread", "permanent"):
            checks.not_negative(name, getattr(self, name))
        checks.positive("temporary", self.temporary)
        checks.finite("drift", self.drift)
        if not self.effective > 0:
            least = self.permanent * self.period / 2
            raise ValueError(f"temporary must be above permanent * period / 2 = {least:g}, was {self.temporary:g}")

    @property
    def period(self) -> float:
        """tau."""
        return self.horizon / self.periods

    @property
    def effective(self) -> float:
        """eta~ = eta - gamma * tau / 2."""
        return self.temporary - self.permanent * self.period / 2

    def kappa(self, risk_aversion: float) -> float:
        """The urgency kappa per unit of time; for a negative risk aversion that of sin instead of sinh.

        Raises ValueError where a love of risk is so large that no schedule is best: kappa * T at least pi.
        """
        checks.finite("risk_aversion", risk_aversion)
        step = risk_aversion * self.volatility**2 / self.effective * self.period**2 / 4
        if step >= 0:  # cosh(y) - 1 = 2 sinh(y / 2)^2
            return 2 * math.asinh(math.sqrt(step)) / self.period
        kappa = 2 * math.asin(math.sqrt(-step)) / self.period if step > -1 else math.inf
        if kappa * self.horizon >= math.pi:
            raise ValueError(f"risk_aversion must leave kappa * horizon below pi, was {risk_aversion}")
        return kappa

    def risk_aversion(self, half_life: float) -> float:
        """lambda of the schedule whose half-life 1 / kappa is this: eta~ / sigma^2 * (2 / tau^2) (cosh(tau k) - 1)."""
        checks.positive("half_life", half_life)
        checks.positive("volatility", self.volatility)
        tau = self.period
        return self.effective / self.volatility**2 * 4 / tau**2 * math.sinh(min(tau / half_life, _STEEPEST) / 2) ** 2

    def holdings(self, risk_aversion: float) -> Floats:
        """x_0 ... x_N, shape (periods + 1,), of the schedule that minimizes E + lambda V; equal slices for lambda 0.

        With a drift, and lambda above 0, it leans towards holding xbar = alpha / (2 lambda sigma^2) (eq. 26).
        """
        kappa = self.kappa(risk_aversion)
        left: Floats = self.period * np.arange(self.periods, -1.0, -1.0)
        if kappa == 0:
            return self.quantity / self.horizon * left
        if risk_aversion < 0:
            return self.quantity / math.sin(kappa * self.horizon) * np.sin(kappa * left)
        shape = remaining(kappa, left, self.horizon)
        if self.drift == 0:
            return self.quantity * shape
        target = self.drift / (2 * risk_aversion * self.volatility**2)
        return self.quantity * shape + target * (1 - shape - shape[::-1])

    def expected_cost(self, holdings: ArrayLike) -> float:
        """E of any schedule, in money: impact and spread, and what the drift takes or gives."""
        x = self._checked(holdings)
        trades = -np.diff(x)
        fixed = self.permanent * self.quantity**2 / 2 + self.half_spread * float(np.abs(trades).sum())
        return (
            fixed
            + self.effective / self.period * float(trades @ trades)
            - self.drift * self.period * float(x.sum() - x[0])
        )

    def variance(self, holdings: ArrayLike) -> float:
        """V of any schedule, in money squared."""
        x = self._checked(holdings)
        return self.volatility**2 * self.period * float(x[1:] @ x[1:])

    def point(self, risk_aversion: float) -> FrontierPoint:
        """The point of the efficient frontier at this risk aversion."""
        x = self.holdings(risk_aversion)
        kappa = self.kappa(risk_aversion)
        half_life = 1 / kappa if kappa > 0 else math.inf
        return FrontierPoint(risk_aversion, self.expected_cost(x), math.sqrt(self.variance(x)), half_life)

    def frontier(self, steepness: Iterable[float]) -> list[FrontierPoint]:
        """Points by kappa * T: 0 is equal slices, 1 is slightly, 5 strongly front-loaded."""
        return [self.point(self.risk_aversion(self.horizon / k) if k > 0 else 0.0) for k in steepness]

    def at_risk(self, deviations: float) -> FrontierPoint:
        """The schedule with the least E + deviations * sqrt(V): 1.645 for the cost that one order in twenty exceeds.

        At the optimum lambda = deviations / (2 sqrt(V)). Where no schedule is slow enough for that, the steepest.
        """
        checks.positive("deviations", deviations)
        low, high = 0.0, self.risk_aversion(self.period / 40)
        if 2 * high * self.point(high).sd <= deviations:
            return self.point(high)
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if 2 * middle * self.point(middle).sd < deviations else (low, middle)
        return self.point(high)

    def drift_gain(self, risk_aversion: float) -> float:
        """What knowing the drift is worth, in money: alpha xbar T (1 - tau tanh(kT/2) / (T tanh(k tau/2))) (eq. 27).

        Risk aversion above 0.
        """
        checks.positive("risk_aversion", risk_aversion)
        kappa = self.kappa(risk_aversion)
        target = self.drift / (2 * risk_aversion * self.volatility**2)
        shrink = math.tanh(kappa * self.horizon / 2) / math.tanh(kappa * self.period / 2)
        return self.drift * target * self.horizon * (1 - self.period / self.horizon * shrink)

    def _checked(self, holdings: ArrayLike) -> Floats:
        x = np.asarray(holdings, np.float64)
        if x.shape != (self.periods + 1,):
            raise ValueError(f"holdings must have shape ({self.periods + 1},), was {x.shape}")
        return x


def serial_correlation_gain(correlation: float, *, volatility: float, period: float, temporary: float) -> float:
    """Money per unit of time that leaning against autocorrelated returns earns: rho^2 sigma^2 tau / (4 eta (1-rho)^2).

    correlation of neighbouring periods' returns, between -1 and 1. Trading u = tau / (2 eta) * rho / (1 - rho) * r
    more or less after the return r, without permanent impact. The paper's table 2 has this number; its eq. 28 is the
    limit for a small rho.
    """
    if not -1 < correlation < 1:
        raise ValueError(f"correlation must be between -1 and 1, was {correlation}")
    checks.not_negative("volatility", volatility)
    checks.positive("period", period)
    checks.positive("temporary", temporary)
    return (correlation * volatility / (1 - correlation)) ** 2 * period / (4 * temporary)


def remaining(kappa: float, left: Floats, horizon: float) -> Floats:
    """The part that is held with so much time left: sinh(kappa * left) / sinh(kappa * horizon), without overflow.

    `kappa` 0: left / horizon, equal slices. `left` from `horizon` down to 0, in units of 1 / kappa, of any shape.
    """
    if kappa * horizon < _FLAT:
        return left / horizon
    ratio: Floats = np.exp(-kappa * (horizon - left)) * np.expm1(-2 * kappa * left) / math.expm1(-2 * kappa * horizon)
    return ratio
