"""Coefficients of a law from orders: weighted least squares, a robust twin, and intervals by drawing whole clusters.

Given the exponent a law is linear, so least squares over a free exponent is a search in one dimension (variable
projection: Golub and Pereyra, 1973), and a resample of clusters is a sum of their normal equations: two thousand
resamples cost about as much as one fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core import chance, checks
from research.calibration.laws import Law
from research.calibration.orders import Floats, Orders
from research.calibration.regression import LEVEL, Interval

RESAMPLES: Final = 2_000
FEWEST_CLUSTERS: Final = 5  # with fewer an interval by resampling says nothing
_RIDGE: Final = 1e-12  # of each column's own square: a column of zeros gets the coefficient 0
_BLOCK: Final = 250  # resamples at a time


@dataclass(frozen=True, slots=True)
class Fit:
    """What a law says about orders.

    names, values    the linear coefficients and, where it was free, `exponent`
    standard_errors  by the cluster bootstrap, shape of `values`; NaN for fewer than five clusters
    intervals        95 %, percentiles of the same draws
    robust           the same coefficients under the soft L1 loss: outliers count by their size, not its square
    r2               weighted share of the costs' squares that the law explains; mostly below 1 % for single orders
    scale            root of the mean squared error in units of each order's expected noise; 1: a pure random walk
    """

    law: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    standard_errors: tuple[float, ...]
    intervals: tuple[Interval, ...]
    robust: tuple[float, ...]
    r2: float
    scale: float
    n: int
    clusters: int

    def __getitem__(self, name: str) -> float:
        return self.values[self.names.index(name)]

    def error_of(self, name: str) -> float:
        return self.standard_errors[self.names.index(name)]

    def interval_of(self, name: str) -> Interval:
        return self.intervals[self.names.index(name)]

    def disagreements(self) -> list[str]:
        """Names of the coefficients whose robust twin is more than one standard error away."""
        rows = zip(self.names, self.values, self.robust, self.standard_errors, strict=True)
        return [name for name, plain, robust, error in rows if abs(plain - robust) > error]


@dataclass(frozen=True, slots=True)
class Plain:
    """Point estimates alone: the linear coefficients, the exponent, and their `scale`."""

    coefficients: Floats
    exponent: float
    scale: float

    def predict(self, law: Law, orders: Orders) -> Floats:
        return law.design(orders, self.exponent) @ self.coefficients


def fit(orders: Orders, law: Law, *, resamples: int = RESAMPLES, seed: int = 0) -> Fit:
    """The law's coefficients, by all methods. `resamples=0`: no intervals.

    Raises DataError where the orders cannot tell (see `Orders.check`).
    """
    orders.check()
    found = plain(orders, law)
    draws = resampled(orders, law, resamples, seed) if resamples else np.empty((0, len(law.names) + 1))
    values, robust = _listed(law, found), _listed(law, _robust(orders, law, found))
    used = len(values)
    if len(draws):
        errors = tuple(float(column.std(ddof=1)) for column in draws.T[:used])
        tail = 50 * (1 - LEVEL)
        ends = np.percentile(draws[:, :used], [tail, 100 - tail], axis=0)
        intervals = tuple(Interval(float(low), float(high)) for low, high in ends.T)
    else:
        errors, intervals = (math.nan,) * used, (Interval(math.nan, math.nan),) * used
    total = float(np.sum(orders.cost**2 / orders.noise))
    return Fit(
        law=law.name,
        names=law.names + (("exponent",) if law.free else ()),
        values=values,
        standard_errors=errors,
        intervals=intervals,
        robust=robust,
        r2=1 - found.scale**2 * (len(orders) - len(law.names)) / total,
        scale=found.scale,
        n=len(orders),
        clusters=len(orders.clusters),
    )


def plain(orders: Orders, law: Law) -> Plain:
    """Least squares with weights 1 / noise; a free exponent to about 1e-4."""
    from scipy import optimize  # type: ignore[import-untyped]

    exponent = law.exponents[0]
    if law.free:
        coarse = (*law.exponents[:-1:4], law.exponents[-1])
        best = int(np.argmin([_profile(orders, law, one)[0] for one in coarse]))
        low, high = coarse[max(best - 1, 0)], coarse[min(best + 1, len(coarse) - 1)]
        search = optimize.minimize_scalar(
            lambda one: _profile(orders, law, one)[0], bounds=(low, high), method="bounded", options={"xatol": 1e-4}
        )
        exponent = float(search.x)
    squares, coefficients = _profile(orders, law, exponent)
    freedom = max(1, len(orders) - len(law.names))
    return Plain(coefficients, exponent, math.sqrt(squares / freedom))


def clustering(orders: Orders, law: Law, found: Fit, name: str) -> float:
    """The resampled error of a linear coefficient over the one that independent orders would give it, at least 1.

    1 where nothing was resampled, and where the exponent is free.
    """
    error = found.error_of(name)
    if law.free or math.isnan(error):
        return 1.0
    design = law.design(orders, law.exponents[0]) / np.sqrt(orders.noise)[:, None]
    used = np.abs(design).sum(axis=0) > 0
    inverse = np.linalg.pinv(design[:, used].T @ design[:, used])
    place = int(np.count_nonzero(used[: law.names.index(name)]))
    return max(1.0, error / (found.scale * math.sqrt(float(inverse[place, place]))))


def resampled(orders: Orders, law: Law, resamples: int, seed: int) -> Floats:
    """Coefficients and exponent of resamples of k of k clusters, shape (resamples, p + 1); no rows for few clusters.

    The exponents tried are the law's own, with a parabola through the best three.
    """
    checks.between("resamples", resamples, 1, 100_000)
    numbers, cluster = np.unique(orders.cluster, return_inverse=True)
    p, k = len(law.names), len(numbers)
    if k < FEWEST_CLUSTERS:
        return np.empty((0, p + 1))
    squares, crosses, total = _normal_equations(orders, law, cluster, k)
    draw = chance.generator(seed, "calibration bootstrap", law.name, len(orders))
    out = np.empty((resamples, p + 1))
    for start in range(0, resamples, _BLOCK):
        stop = min(start + _BLOCK, resamples)
        counts = draw.multinomial(k, np.full(k, 1 / k), size=stop - start).astype(float)
        out[start:stop] = _solved(law, counts, squares, crosses, total)
    return out


def _profile(orders: Orders, law: Law, exponent: float) -> tuple[float, Floats]:
    """Weighted sum of squared errors at this exponent, and the coefficients that make it smallest."""
    root = 1 / np.sqrt(orders.noise)
    design = law.design(orders, exponent) * root[:, None]
    target = orders.cost * root
    coefficients = _solve(design.T @ design, design.T @ target)
    errors = target - design @ coefficients
    return float(errors @ errors), coefficients


def _solve(squares: Floats, crosses: Floats) -> Floats:
    """Normal equations, shapes (..., p, p) and (..., p), each column scaled by its own square first."""
    size = np.sqrt(np.einsum("...ii->...i", squares))
    size = np.where(size > 0, size, 1.0)
    scaled = squares / (size[..., :, None] * size[..., None, :]) + _RIDGE * np.eye(squares.shape[-1])
    solved: Floats = np.linalg.solve(scaled, (crosses / size)[..., None])[..., 0] / size
    return solved


def _normal_equations(
    orders: Orders, law: Law, cluster: NDArray[np.intp], k: int
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Per cluster and exponent: X'WX (g, k, p, p) and X'Wy (g, k, p); per cluster y'Wy (k,)."""
    weight, p = 1 / orders.noise, len(law.names)
    squares = np.empty((len(law.exponents), k, p, p))
    crosses = np.empty((len(law.exponents), k, p))
    for g, exponent in enumerate(law.exponents):
        design = law.design(orders, exponent)
        for i in range(p):
            crosses[g, :, i] = np.bincount(cluster, weight * design[:, i] * orders.cost, k)
            for j in range(i + 1):
                squares[g, :, i, j] = squares[g, :, j, i] = np.bincount(
                    cluster, weight * design[:, i] * design[:, j], k
                )
    total: Floats = np.bincount(cluster, weight * orders.cost**2, k).astype(np.float64)
    return squares, crosses, total


def _solved(law: Law, counts: Floats, squares: Floats, crosses: Floats, total: Floats) -> Floats:
    """Coefficients and exponent, shape (b, p + 1), for rows of how often each cluster was drawn."""
    drawn = np.einsum("bk,gkij->bgij", counts, squares, optimize=True)
    right = np.einsum("bk,gki->bgi", counts, crosses, optimize=True)
    coefficients = _solve(drawn, right)
    rows = np.arange(len(counts))
    if not law.free:
        return np.column_stack((coefficients[:, 0], np.full(len(counts), law.exponents[0])))
    errors = (counts @ total)[:, None] - np.einsum("bgi,bgi->bg", right, coefficients)
    best = np.clip(np.argmin(errors, axis=1), 1, len(law.exponents) - 2)
    before, here, after = (errors[rows, best + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=bend > 0).clip(-1, 1)
    step = law.exponents[1] - law.exponents[0]
    neighbour = coefficients[rows, best + np.where(shift < 0, -1, 1)]
    between = coefficients[rows, best] + np.abs(shift)[:, None] * (neighbour - coefficients[rows, best])
    return np.column_stack((between, np.array(law.exponents)[best] + shift * step))


def _robust(orders: Orders, law: Law, start: Plain) -> Plain:
    """Soft L1 in units of the errors' own spread (1.4826 * their median size, so that outliers do not set it)."""
    from scipy import optimize

    root = 1 / np.sqrt(orders.noise)
    target = orders.cost * root
    errors = target - start.predict(law, orders) * root
    spread = 1.4826 * float(np.median(np.abs(errors))) or 1.0
    used = np.array([bool(column.any()) for column in law.design(orders, start.exponent).T])
    size = np.where(start.coefficients != 0, np.abs(start.coefficients), 1.0)[used]

    def unpacked(point: Floats) -> tuple[Floats, float]:
        coefficients = np.zeros(len(law.names))
        coefficients[used] = point[: used.sum()] * size
        return coefficients, float(point[-1]) if law.free else start.exponent

    def residuals(point: Floats) -> Floats:
        coefficients, exponent = unpacked(point)
        return (target - law.design(orders, exponent) @ coefficients * root) / spread

    begin = np.concatenate((start.coefficients[used] / size, [start.exponent] if law.free else []))
    low, high = np.full(len(begin), -np.inf), np.full(len(begin), np.inf)
    if law.free:
        low[-1], high[-1] = law.exponents[0], law.exponents[-1]
        begin[-1] = np.clip(begin[-1], low[-1] + 1e-6, high[-1] - 1e-6)
    found = optimize.least_squares(residuals, begin, loss="soft_l1", bounds=(low, high), max_nfev=200)
    return Plain(*unpacked(found.x), spread)


def _listed(law: Law, found: Plain) -> tuple[float, ...]:
    values = tuple(float(value) for value in found.coefficients)
    return (*values, found.exponent) if law.free else values
