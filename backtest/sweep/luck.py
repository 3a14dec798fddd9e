"""How far ahead the best of several settings is, and how far ahead it would be if none were better than another.

The more settings are tried, the better the best of them looks. Take the costs of every symbol-day, less what all
settings paid on it, and flip the signs of whole symbol-days: that is a world in which no setting is better than
another, with the same days, the same noise and the same likeness of settings to each other. How far the best is ahead
in such worlds is what chance alone gives. The comparison of White (2000), A reality check for data snooping, and of
Westfall and Young (1993), in the sign flips that `execution.costs.statistics.sign_flip_p` has for two.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core import chance
from execution.costs.comparison import Order
from execution.costs.statistics import BPS, EXACT_CLUSTERS, FLIPS, weighted_mean

EULER: Final = 0.5772156649015329
_CHUNK: Final = 1024


@dataclass(frozen=True, slots=True)
class Luck:
    """In basis points. lead: of the best over the mean of all settings. by_chance: what it is on average where no
    setting is better than another. p_lead: how often chance leads as far. p_pairs: for each setting, how often chance
    sets some two as clearly apart as this one is from the best; adjusted thereby for all pairs that there are.

    Fewer than two settings or symbol-days: NaN.
    """

    lead: float
    by_chance: float
    p_lead: float
    p_pairs: tuple[float, ...]

    @property
    def deflated(self) -> float:
        """The lead less what chance alone gives: nearer to what to expect of data that nobody has looked at."""
        return self.lead - self.by_chance


def luck(groups: Sequence[Sequence[Order]], *, seed: int = 0) -> Luck:
    """Settings against each other, each with its orders; lower costs are better.

    A setting's mean is weighted by notional, m_j = 1e4 * sum(cost) / sum(notional); a symbol-day d adds
    x_dj = sum over its orders of (1e4 * cost - m * notional) / (notional of the setting), with m the mean of all m_j,
    less the mean of x_dj over the settings. How clearly two are apart is |sum of y_d| / sqrt(sum of y_d^2) over their
    differences y_d = x_di - x_dj, so that noisy pairs do not hide quiet ones. Exact over all flips up to 13
    symbol-days, 8,192 draws beyond; the work grows with the square of the settings.
    """
    if len(groups) < 2 or len({one.cluster for group in groups for one in group}) < 2:
        return Luck(math.nan, math.nan, math.nan, (math.nan,) * len(groups))
    table = _deviations(groups)
    means = table.sum(axis=0)
    best = int(means.argmin())
    lead = -float(means[best])
    spread = _spreads(table)
    clear = (means - means[best]) * spread[best]
    exact = table.shape[0] <= EXACT_CLUSTERS
    leads, clearest = _flipped(table, spread, exact=exact, seed=seed)
    worlds, itself = len(leads), 0 if exact else 1
    as_far = lead - 1e-9 * float(np.abs(table).sum(axis=0).max())  # ties are ties despite rounding
    clearest.sort()
    clearer = worlds - np.searchsorted(clearest, clear - 1e-9, side="left")
    return Luck(
        lead,
        float(leads.mean()),
        (itself + int((leads >= as_far).sum())) / (itself + worlds),
        tuple(((itself + clearer) / (itself + worlds)).tolist()),
    )


def _deviations(groups: Sequence[Sequence[Order]]) -> NDArray[np.float64]:
    """x_dj, shape (symbol-days, settings)."""
    means = [weighted_mean([one.cost for one in group], [one.notional for one in group]) for group in groups]
    middle = math.fsum(means) / len(means)
    rows: dict[Hashable, int] = {}
    for group in groups:
        for one in group:
            rows.setdefault(one.cluster, len(rows))
    table = np.zeros((len(rows), len(groups)))
    for column, group in enumerate(groups):
        where = [rows[one.cluster] for one in group]
        notional = np.array([one.notional for one in group])
        score = (BPS * np.array([one.cost for one in group]) - middle * notional) / notional.sum()
        np.add.at(table[:, column], where, score)
    table -= table.mean(axis=1, keepdims=True)
    return table


def _spreads(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / sqrt(sum of y_d^2) of every two settings, shape (settings, settings); 0 where they never differ."""
    products = table.T @ table
    squares = np.diag(products)[:, None] + np.diag(products)[None, :] - 2 * products
    differ = squares > 1e-12 * max(float(np.diag(products).max()), 1e-300)
    out: NDArray[np.float64] = np.where(differ, 1 / np.sqrt(np.where(differ, squares, 1.0)), 0.0)
    return out


def _flipped(
    table: NDArray[np.float64], spread: NDArray[np.float64], *, exact: bool, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In every world of flipped signs: the lead of the best, and how clearly the clearest two are apart."""
    days = len(table)
    worlds = 1 << days if exact else FLIPS
    draw = chance.generator(seed, "sweep sign flips")
    leads, clearest = np.empty(worlds), np.zeros(worlds)
    for start in range(0, worlds, _CHUNK):
        stop = min(start + _CHUNK, worlds)
        if exact:
            bits = np.arange(start, stop)[:, None] >> np.arange(days) & 1
        else:
            bits = draw.integers(0, 2, (stop - start, days), dtype=np.int8)
        means = (2.0 * bits - 1.0) @ table
        leads[start:stop] = -means.min(axis=1)
        here = clearest[start:stop]
        for one in range(1, means.shape[1]):
            apart = np.abs(means[:, :one] - means[:, one : one + 1]) * spread[one, :one]
            np.maximum(here, apart.max(axis=1), out=here)
    return leads, clearest


def deflated_sharpe(returns: ArrayLike, tried: Sequence[float]) -> float:
    """The probability that the true Sharpe ratio of the best is above what the best of equal, worthless ones shows.

    returns: the best's, shape (T,). tried: the Sharpe ratios of all settings, per period like the returns.
        SR_0 = sd(tried) * ((1 - g) * z(1 - 1/N) + g * z(1 - 1/(N e))),  g Euler's constant, z the normal quantile
        P = Phi((SR - SR_0) * sqrt(T - 1) / sqrt(1 - skew * SR + (kurtosis - 1) / 4 * SR^2))
    Bailey and Lopez de Prado (2014), The deflated Sharpe ratio. Settings that are alike count as different, which makes
    it lower. NaN: fewer than two settings, three returns, no variance.
    """
    values = np.asarray(returns, float)
    if len(tried) < 2 or len(values) < 3:
        return math.nan
    deviation = float(values.std(ddof=1))
    if not deviation > 1e-12 * float(np.abs(values).max()) or not np.isfinite(tried).all():
        return math.nan
    ratio = float(values.mean()) / deviation
    scaled = (values - values.mean()) / values.std()
    return deflated_from(
        ratio,
        len(values),
        float((scaled**3).mean()),
        float((scaled**4).mean()),
        float(np.var(tried, ddof=1)),
        len(tried),
    )


def deflated_from(ratio: float, count: int, skew: float, kurtosis: float, variance: float, tried: int) -> float:
    """`deflated_sharpe` from its moments; NaN where they cannot be those of returns."""
    normal = NormalDist()
    luckiest = (1 - EULER) * normal.inv_cdf(1 - 1 / tried) + EULER * normal.inv_cdf(1 - 1 / (tried * math.e))
    spread = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2
    if not spread > 0:
        return math.nan
    return normal.cdf((ratio - math.sqrt(variance) * luckiest) * math.sqrt(count - 1) / math.sqrt(spread))
