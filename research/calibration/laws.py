"""Laws of impact as regressions: the cost of an order is linear in its coefficients, given the exponent.

    cost = half_spread * h  +  coefficient * z(size, days; exponent)  [+ gamma * ...]  +  noise of variance ~ days / 3

`coefficient` of the square root is the literature's Y, stated for the peak of the impact; what an order pays on average
is less, and z holds that factor, so that the number can stand in `execution.yaml` as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from research.calibration.orders import Floats, Orders

REFERENCE_SIZE: Final = 0.01  # of daily volume: here permanent and transient impact stand in the stated proportion
LEAST_DAYS: Final = 1e-4  # of volume: an order of no duration would trade at an infinite rate
LawName = Literal["square_root", "power", "almgren", "peak"]


@dataclass(frozen=True, slots=True)
class Law:
    """`names` of the linear coefficients, in the order of `columns`; the first is that of the half spread.

    exponents: those to try where it is free, ascending and evenly spaced; one where it is fixed.
    """

    name: LawName
    names: tuple[str, ...]
    exponents: tuple[float, ...]
    columns: Callable[[Orders, float], tuple[Floats, ...]]

    @property
    def free(self) -> bool:
        return len(self.exponents) > 1

    def design(self, orders: Orders, exponent: float) -> Floats:
        """Shape (n, p). The half spread's column is zero where no order crossed one: its coefficient is 0 then."""
        return np.column_stack((orders.spread, *self.columns(orders, exponent)))


def square_root(permanent_share: float = 1 / 3) -> Law:
    """What the simulated market charges a steady order (`docs/simulation.md`), with the coefficient Y:

        z = (1 - phi) * 2/3 * sqrt(x)  +  phi / 2 * x / sqrt(x0),   x0 = 1 % of daily volume

    The transient part pays 2/3 of its peak on average, the permanent one, linear, half. phi = 0: the pure law.
    """
    return _mixed("square_root", permanent_share, (0.5,))


def power(permanent_share: float = 1 / 3) -> Law:
    """The same with the exponent free, a check of the square root:

    z = (1 - phi) * x ** exponent / (1 + exponent)  +  phi / 2 * x * x0 ** (exponent - 1)
    """
    return _mixed("power", permanent_share, _evenly(0.05, 1.25))


def _mixed(name: LawName, permanent_share: float, exponents: tuple[float, ...]) -> Law:
    def columns(orders: Orders, exponent: float) -> tuple[Floats, ...]:
        transient = (1 - permanent_share) * orders.size**exponent / (1 + exponent)
        return (transient + permanent_share / 2 * orders.size * REFERENCE_SIZE ** (exponent - 1),)

    return Law(name, ("half_spread", "coefficient"), exponents, columns)


def almgren() -> Law:
    """gamma * x / 2 * (Theta / V) ** (1/4)  +  eta * (x / days) ** beta, beta free (Almgren et al., 2005)."""

    def columns(orders: Orders, exponent: float) -> tuple[Floats, ...]:
        rate = orders.size / np.maximum(orders.days, LEAST_DAYS)
        return orders.size / 2 * orders.turnover**0.25, rate**exponent

    return Law("almgren", ("half_spread", "gamma", "eta"), _evenly(0.1, 1.0), columns)


def peak() -> Law:
    """z = sqrt(x): the price move from the first to the last trade, not the cost of what traded in between."""

    def columns(orders: Orders, _exponent: float) -> tuple[Floats, ...]:
        return (np.sqrt(orders.size),)

    return Law("peak", ("half_spread", "coefficient"), (0.5,), columns)


def _evenly(low: float, high: float, step: float = 0.025) -> tuple[float, ...]:
    grid: NDArray[np.float64] = np.arange(low, high + step / 2, step)
    return tuple(float(value) for value in grid)
