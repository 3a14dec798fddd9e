"""Would it have helped: laws fitted on the past, scored on what came next, against a constant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from core import chance
from research.calibration.fit import plain
from research.calibration.laws import Law
from research.calibration.orders import BPS, Floats, Ints, Orders
from research.calibration.prior import posterior
from research.calibration.regression import LEVEL, Interval

FOLDS: Final = 5
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
FEWEST_TRAINING: Final = 5
Forecast = tuple[Floats, float]
"""Expected costs of the orders ahead, and the scale of their errors in units of the expected noise."""
Forecaster = Callable[[Orders, Orders], Forecast]


@dataclass(frozen=True, slots=True)
class Score:
    """One law against the constant, over the same orders, each forecast from earlier ones alone.

    squared   mean squared error in units of each order's expected noise, so that quiet orders count as they should
    pinball   mean pinball loss in basis points over the quantiles 5, 25, 50, 75 and 95 %
    skill     1 - squared / squared of the constant: above 0 the law is better
    interval  of the skill, 95 %, by drawing whole clusters
    """

    law: str
    squared: float
    pinball: float
    skill: float
    interval: Interval

    @property
    def beats(self) -> bool:
        """Smaller squared errors than the constant's; `interval` tells whether chance alone could do that."""
        return self.skill > 0


@dataclass(frozen=True, slots=True)
class Scores:
    """`constant` is the baseline: the half spread, and so many basis points. n orders were forecast, in `folds`."""

    constant: Score
    laws: tuple[Score, ...]
    n: int
    folds: int

    def of(self, law: str) -> Score:
        return next(score for score in self.laws if score.law == law)


def out_of_sample(
    orders: Orders, laws: Sequence[Law], *, with_prior: frozenset[str] = frozenset(), seed: int = 0
) -> Scores | None:
    """Cuts the clusters, in order of time, into five blocks; each but the first is forecast from those before it.

    Laws in `with_prior` forecast with the median of their posterior. None where there are fewer than two clusters, or
    too few orders before the first forecast.
    """
    blocks = np.array_split(orders.clusters, min(FOLDS, len(orders.clusters)))
    tested, constant = [], list[tuple[Floats, Floats]]()
    ahead: list[list[tuple[Floats, Floats]]] = [[] for _ in laws]
    forecasters = [_prior_forecaster(law) if law.name in with_prior else _forecaster(law) for law in laws]
    for block in blocks[1:]:
        before = orders[orders.cluster < block[0]]
        now = orders[(orders.cluster >= block[0]) & (orders.cluster <= block[-1])]
        if len(before) < FEWEST_TRAINING:
            continue
        tested.append(now)
        constant.append(_losses(now, _constant(before, now)))
        for losses, forecast in zip(ahead, forecasters, strict=True):
            losses.append(_losses(now, forecast(before, now)))
    if not tested:
        return None
    clusters = np.concatenate([now.cluster for now in tested])
    base = _joined(constant)
    scores = [_score(law.name, _joined(losses), base, clusters, seed) for law, losses in zip(laws, ahead, strict=True)]
    return Scores(_score("constant", base, base, clusters, seed), tuple(scores), len(clusters), len(tested))


def constant_bps(orders: Orders) -> float:
    """The constant beside the half spread: the weighted mean of cost minus half spread, in basis points."""
    weight = 1 / (orders.volatility**2 * orders.noise)
    return float(np.average(orders.cost_bps - orders.spread_bps, weights=weight))


def _constant(before: Orders, now: Orders) -> Forecast:
    level = constant_bps(before)

    def expected(orders: Orders) -> Floats:
        return orders.spread + level / (BPS * orders.volatility)

    errors = (before.cost - expected(before)) / np.sqrt(before.noise)
    return expected(now), math.sqrt(float(errors @ errors) / max(1, len(before) - 1))


def _forecaster(law: Law) -> Forecaster:
    def forecast(before: Orders, now: Orders) -> Forecast:
        found = plain(before, law)
        return found.predict(law, now), found.scale

    return forecast


def _prior_forecaster(law: Law) -> Forecaster:
    def forecast(before: Orders, now: Orders) -> Forecast:
        scale = plain(before, law).scale
        found = posterior(before, law, scale=scale)
        return law.design(now, law.exponents[0]) @ np.array([found.half_spread, found.median]), scale

    return forecast


def _losses(now: Orders, forecast: Forecast) -> tuple[Floats, Floats]:
    """Squared errors in units of noise, and pinball losses in basis points, of each order."""
    expected, scale = forecast
    errors = now.cost - expected
    wide = scale * np.sqrt(now.noise)
    pinball = np.zeros(len(now))
    for share in QUANTILES:
        miss = errors - NormalDist().inv_cdf(share) * wide
        pinball += np.maximum(share * miss, (share - 1) * miss)
    return errors**2 / now.noise, BPS * now.volatility * pinball / len(QUANTILES)


def _joined(losses: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    squared, pinball = zip(*losses, strict=True)
    return np.concatenate(squared), np.concatenate(pinball)


def _score(
    law: str, own: tuple[Floats, Floats], base: tuple[Floats, Floats], clusters: Ints, seed: int
) -> Score:  # fmt: skip
    numbers, cluster = np.unique(clusters, return_inverse=True)
    k = len(numbers)
    ours, theirs = (np.bincount(cluster, losses, k) for losses in (own[0], base[0]))
    interval = Interval(math.nan, math.nan)
    if k >= FOLDS and law != "constant":
        draw = chance.generator(seed, "calibration score", k)  # the same draws for every law
        counts = draw.multinomial(k, np.full(k, 1 / k), size=2_000).astype(float)
        tail = 50 * (1 - LEVEL)
        low, high = np.percentile(1 - (counts @ ours) / (counts @ theirs), [tail, 100 - tail])
        interval = Interval(float(low), float(high))
    skill = 1 - float(ours.sum() / theirs.sum()) if law != "constant" else 0.0
    return Score(law, float(own[0].mean()), float(own[1].mean()), skill, interval)
