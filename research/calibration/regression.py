"""A line through the origin, with standard errors that allow for neighbours in time that move together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core import checks
from core.errors import DataError

Floats = NDArray[np.float64]
LEVEL = 0.95


class Interval(NamedTuple):
    """Both ends NaN where the data allow none."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Slope:
    """y = value * x + e, no intercept.

    se     Newey-West (Bartlett weights, `lags` neighbours, times n / (n - 1))
    ols_se the same as if the errors were independent and of one size
    r2     1 - sum(e**2) / sum(y**2): without an intercept the reference is zero, not the mean
    """

    value: float
    se: float
    ols_se: float
    lags: int
    r2: float
    n: int

    @property
    def t(self) -> float:
        return self.value / self.se if self.se > 0 else math.nan

    @property
    def ols_t(self) -> float:
        return self.value / self.ols_se if self.ols_se > 0 else math.nan

    @property
    def interval(self) -> Interval:
        """95 %, from Student's t with n - 1 degrees of freedom."""
        from scipy import special  # type: ignore[import-untyped]

        reach = float(special.stdtrit(self.n - 1, 0.5 + LEVEL / 2)) * self.se
        return Interval(self.value - reach, self.value + reach)


def slope(y: ArrayLike, x: ArrayLike, *, lags: int | None = None) -> Slope:
    """The least-squares slope of y on x, both shape (n,), in order of time.

    lags: how many neighbours may be correlated; None: floor(4 * (n / 100) ** (2 / 9)), the usual rule (Newey and West,
    "Automatic lag selection in covariance matrix estimation", 1994).

    Raises DataError for fewer than three rows, and where x does not vary from zero; ValueError for NaN.
    """
    ys, xs = np.asarray(y, float), np.asarray(x, float)
    n = len(xs)
    if ys.shape != xs.shape or ys.ndim != 1:
        raise ValueError(f"y and x must be columns of one length, were of shapes {ys.shape} and {xs.shape}")
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise ValueError("y and x must be finite")
    if n < 3:
        raise DataError(f"a slope takes at least 3 observations, there are {n}")
    square = float(xs @ xs)
    if not square > 0:
        raise DataError("a slope takes something that varies: the explaining column is zero everywhere")
    if lags is None:
        lags = int(4 * (n / 100) ** (2 / 9))
    checks.between("lags", lags, 0, n - 1)
    value = float(xs @ ys) / square
    errors = ys - value * xs
    variance = _long_run_variance(xs * errors, lags) * n / (n - 1)
    total = float(ys @ ys)
    return Slope(
        value=value,
        se=math.sqrt(variance) / square,
        ols_se=math.sqrt(float(errors @ errors) / (n - 1) / square),
        lags=lags,
        r2=1 - float(errors @ errors) / total if total > 0 else math.nan,
        n=n,
    )


def _long_run_variance(scores: Floats, lags: int) -> float:
    """sum over s, t of w(|s - t|) u_s u_t with w(l) = 1 - l / (lags + 1): never negative (Newey and West, 1987)."""
    total = float(scores @ scores)
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(scores[lag:] @ scores[:-lag])
    return max(0.0, total)
