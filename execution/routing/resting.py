"""How much to rest and how much to take, and where to rest it, when fills are uncertain: Cont and Kukanov (2017).

Of S units M are taken at once and L_k rest at venue k behind a queue Q_k; xi_k leaves the queue's front, so
fill_k = min((xi_k - Q_k)+, L_k), A = M + sum fill_k, and with half spread h, take fee f, rebate r_k

    cost = (h + f) M - sum (h + r_k) fill_k + theta (M + sum L_k) + lambda_u (S - A)+ + lambda_o (A - S)+

in money per unit over the mid. One venue without the last two penalties has the closed form of `one_venue`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import checks

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """h, f, r, lambda_u of the module, in money per unit."""

    half_spread: float
    take_fee: float
    rebate: float
    shortfall: float

    def __post_init__(self) -> None:
        checks.not_negative("half_spread", self.half_spread)
        checks.not_negative("shortfall", self.shortfall)


@dataclass(frozen=True, slots=True)
class Resting:
    """How much rests, how much is taken, and what that should cost in money. low, high: lambda_u at which nothing
    rests from `high` on, and everything up to `low`."""

    rest: float
    take: float
    cost: float
    low: float
    high: float


def one_venue(quantity: float, queue: float, outflow: Any, prices: Prices) -> Resting:
    """The best split at one venue. `outflow`: a frozen distribution of scipy.stats of what leaves the queue's front.

    L* = F^-1((2h + f + r) / (lambda_u + h + r)) - Q, between 0 and the quantity.
    """
    checks.positive("quantity", quantity)
    h, f, r = prices.half_spread, prices.take_fee, prices.rebate
    gain = 2 * h + f + r
    low, high = (gain / float(outflow.cdf(queue + extra)) - (h + r) for extra in (quantity, 0.0))
    if prices.shortfall <= low:
        rest = quantity
    elif prices.shortfall >= high:
        rest = 0.0
    else:
        rest = min(quantity, max(0.0, float(outflow.ppf(gain / (prices.shortfall + h + r))) - queue))
    filled = _expected_fill(queue, rest, outflow)
    take = quantity - rest
    cost = (h + f) * take - (h + r) * filled + prices.shortfall * (rest - filled)
    return Resting(rest, take, cost, low, high)


def _expected_fill(queue: float, rest: float, outflow: Any) -> float:
    """E min((xi - Q)+, L): the integral of 1 - F from Q to Q + L."""
    if rest <= 0:
        return 0.0
    if hasattr(outflow.dist, "pmf"):  # steps: 1 - F stands between whole numbers
        edges = np.unique(np.concatenate(([queue, queue + rest], np.arange(np.ceil(queue), queue + rest))))
        return float((np.diff(edges) * outflow.sf(edges[:-1])).sum())
    from scipy import integrate  # type: ignore[import-untyped]

    return float(integrate.quad(outflow.sf, queue, queue + rest, epsabs=1e-10, epsrel=1e-12, limit=200)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Venues:
    """Several venues. capacities: (xi_k - Q_k)+ in scenarios, shape (n_scenarios, n_venues), all equally likely.

    rebates: r_k. theta: the cost of having an order anywhere. over: lambda_o.
    """

    capacities: Floats
    rebates: tuple[float, ...]
    half_spread: float
    take_fee: float
    shortfall: float
    over: float = 0.0
    theta: float = 0.0

    def cost(self, quantity: float, take: float, rests: Sequence[float]) -> float:
        """The expected cost of a split, in money."""
        fills = np.minimum(self.capacities, np.asarray(rests, float))
        gains = (fills * (self.half_spread + np.asarray(self.rebates))).sum(axis=1)
        got = take + fills.sum(axis=1)
        missed, over = np.maximum(quantity - got, 0.0), np.maximum(got - quantity, 0.0)
        fixed = (self.half_spread + self.take_fee) * take + self.theta * (take + float(np.sum(rests)))
        return fixed + float((self.shortfall * missed + self.over * over - gains).mean())


def several_venues(quantity: float, venues: Venues, *, step: float) -> tuple[float, tuple[float, ...], float]:
    """What to take, what to rest at each venue, and its cost: multiples of `step`, none above the quantity.

    The cost need not be convex (with lambda_o above h + r_k), so several starts go downhill, one number and then two at
    a time; together they may rest more than the quantity.
    """
    checks.positive("quantity", quantity)
    checks.positive("step", step)
    most, count = round(quantity / step), len(venues.rebates)

    def cost(point: tuple[int, ...]) -> float:
        return venues.cost(quantity, point[0] * step, [one * step for one in point[1:]])

    starts = [
        (most, *[0] * count),
        (0, *[most // count] * count),
        (0, *[most] * count),
        (most // 2, *[most // 2] * count),
    ]
    starts += [(0, *(most * (k == one) for k in range(count))) for one in range(count)]
    found = [_downhill(start, most, cost) for start in starts]
    value, best = min(found)
    return best[0] * step, tuple(one * step for one in best[1:]), value


def _downhill(
    start: tuple[int, ...], most: int, cost: Callable[[tuple[int, ...]], float]
) -> tuple[float, tuple[int, ...]]:
    """The lowest point in reach: moves of one number or two, of shrinking size."""
    point, value = start, cost(start)
    stride = max(1, most // 2)
    while True:
        better = min(((cost(one), one) for one in _moves(point, stride, most)), default=(value, point))
        if better[0] < value - 1e-12:
            value, point = better
        elif stride > 1:
            stride //= 2
        else:
            return value, point


def _moves(point: tuple[int, ...], stride: int, most: int) -> list[tuple[int, ...]]:
    found = []
    steps = (-stride, 0, stride)
    for first in range(len(point)):
        for second in range(first, len(point)):
            for one in steps:
                for two in steps:
                    moved = list(point)
                    moved[first] += one
                    if second != first:
                        moved[second] += two
                    if tuple(moved) != point and all(0 <= number <= most for number in moved):
                        found.append(tuple(moved))
    return found
