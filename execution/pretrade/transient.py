"""Impact that wears off: what a series of trades pays when each still feels the ones before it.

Trades q_0 ... q_n at given times displace the price by G(t_n - t_k) q_k each; a trade pays what the earlier ones left
and half of its own: cost = sum_n q_n (sum_(k<n) G(t_n - t_k) q_k + G(0) q_n / 2) = q' M q / 2 with M = G(|t_i - t_j|).
A kernel that falls and is convex makes M positive definite: no series that begins and ends flat earns money.

Exponential G is the order book of Obizhaeva and Wang ("Optimal trading strategy and supply/demand dynamics", J.
Financial Markets 2013), a power of the lag is the propagator of Bouchaud et al. (2004).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core import checks

Floats = NDArray[np.float64]
Kernel = Callable[[Floats], Floats]


def exponential_kernel(resilience: float, scale: float = 1.0) -> Kernel:
    """G(l) = scale * exp(-resilience * l)."""
    checks.not_negative("resilience", resilience)
    return lambda lag: scale * np.exp(-resilience * lag)


def power_kernel(exponent: float, lag_scale: float = 1.0, scale: float = 1.0) -> Kernel:
    """G(l) = scale / (lag_scale + l) ** exponent."""
    checks.positive("exponent", exponent)
    checks.positive("lag_scale", lag_scale)
    return lambda lag: scale / (lag_scale + lag) ** exponent


def trading_cost(trades: ArrayLike, times: ArrayLike, kernel: Kernel) -> float:
    """What the trades pay beyond the price before the first, in money; signed trades and times of shape (n,)."""
    q = np.asarray(trades, np.float64)
    return float(q @ _responses(times, kernel) @ q) / 2


def displacement(trades: ArrayLike, times: ArrayLike, kernel: Kernel, at: float) -> float:
    """How far the trades up to and including time `at` hold the price there."""
    q, t = np.asarray(trades, np.float64), np.asarray(times, np.float64)
    done = t <= at
    return float(q[done] @ kernel(at - t[done]))


def cheapest_trades(quantity: float, times: ArrayLike, kernel: Kernel) -> Floats:
    """The trades at these times that sum to the quantity and cost least, shape (n,): M^-1 1 scaled."""
    responses = _responses(times, kernel)
    shape = np.linalg.solve(responses, np.ones(len(responses)))
    trades: Floats = quantity / shape.sum() * shape
    return trades


def block_book_cost(resilience_time: float) -> float:
    """Least cost of Obizhaeva and Wang, in units of kappa X^2: 1 / (rho T + 2).

    resilience_time: rho T, at least 0. A block of X / (rho T + 2) at either end, a steady rate between.
    """
    checks.not_negative("resilience_time", resilience_time)
    return 1 / (resilience_time + 2)


def steady_book_cost(resilience_time: float) -> float:
    """What a steady rate costs in the same market: (rho T - 1 + exp(-rho T)) / (rho T)^2; 1/2 at rho T = 0."""
    checks.not_negative("resilience_time", resilience_time)
    x = resilience_time
    if x < 1e-3:
        return 0.5 - x / 6 + x * x / 24  # the difference below would lose all its digits
    return (x + math.expm1(-x)) / x**2


def _responses(times: ArrayLike, kernel: Kernel) -> Floats:
    t = np.asarray(times, np.float64)
    return kernel(np.abs(t[:, None] - t[None, :]))
