"""What the router has learnt: discounted outcomes per context and arm, and the probabilities that follow from them.

An outcome is a surprise: what an execution cost beyond its forecast, in units of volatility times the root of its
horizon, so that orders of all sizes and days say something of the same number. An arm's expected cost is then

    forecast + risk_bps * mean surprise

and without outcomes the forecast alone. In a context (symbol class, side, size bucket) an arm starts, worth
`prior_orders` orders, from

    what all arms have in common there  +  by how much the arm differs from the others elsewhere

both of which are drawn to nothing by as many orders. The first matters: forecasts that are all wrong by the same amount
must not make the one arm that was tried look best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

from execution.routing.bandit import Belief, posterior
from execution.routing.settings import LearningConfig

DAY_NS: Final = 86_400_000_000_000
GIVEN_UP_NS: Final = DAY_NS
"""An order whose outcome has not come so long after its horizon does not count as under way any more."""


class Sums(NamedTuple):
    """How many outcomes, their sum and their sum of squares, each outcome counted 2 ** (its time / half-life).

    excess: the sum of what they were above what was common to their context at the time.
    """

    orders: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    excess: float = 0.0

    def plus(self, value: float, common: float, weight: float) -> Sums:
        return Sums(
            self.orders + weight,
            self.total + weight * value,
            self.squares + weight * value * value,
            self.excess + weight * (value - common),
        )

    def times(self, factor: float) -> Sums:
        return Sums(*(one * factor for one in self))


NOTHING: Final = Sums()
REBASE: Final = 64.0  # half-lives after which the time that weights count from moves on


class Known(NamedTuple):
    """An arm in a context. belief: of its mean surprise; orders: outcomes there; pending: orders under way there."""

    arm: str
    belief: Belief
    orders: float
    pending: int


class Learner:
    """Takes outcomes one by one; the same ones in the same order make the same state to the last bit."""

    def __init__(self, settings: LearningConfig) -> None:
        self.settings = settings
        self._leaves: dict[tuple[str, str], Sums] = {}
        self._arms: dict[str, Sums] = {}
        self._contexts: dict[str, Sums] = {}
        self._outcomes = 0.0  # each with its weight
        self._origin_ns: int | None = None
        self._under_way: dict[str, tuple[str, str, int]] = {}

    def known(self, key: str, arms: Sequence[str], now_ns: int) -> list[Known]:
        """How the arms stand in a context."""
        return [
            Known(arm, Belief(mean, weight, shape, scale), orders, pending)
            for arm, (mean, weight, shape, scale, orders, pending) in zip(
                arms, self.standings(key, arms, now_ns), strict=True
            )
        ]

    def standings(
        self, key: str, arms: Sequence[str], now_ns: int
    ) -> list[tuple[float, float, float, float, float, int]]:
        """The same as plain numbers, for who asks for every order: the belief's four, orders, pending."""
        worth = self.settings.prior_orders
        shape = worth / 2
        scale = shape * self.settings.noise**2
        fresh = 1 / self._weight(now_ns)
        pending = dict.fromkeys(arms, 0)
        for at, arm, until_ns in self._under_way.values():
            if at == key and now_ns < until_ns and arm in pending:
                pending[arm] += 1
        found = []
        common = self._common(key, fresh)
        leaves, everywhere = self._leaves, self._arms
        for arm in arms:
            here, total, squares, excess = leaves.get((key, arm), NOTHING)
            anywhere, _, _, all_excess = everywhere.get(arm, NOTHING)
            others = fresh * (anywhere - here)
            mean = common
            if others > _NONE:
                mean += fresh * (all_excess - excess) / (worth + others)
            orders = fresh * here
            if orders > 0:
                told = posterior(mean, worth, shape, scale, orders, fresh * total, fresh * squares)
                found.append((*told, orders, pending[arm]))
            else:
                found.append((mean, worth, shape, scale, orders, pending[arm]))
        return found

    def experience(self, now_ns: int) -> float:
        """All outcomes of all arms, discounted."""
        return self._outcomes / self._weight(now_ns)

    def begun(self, execution_id: str, key: str, arm: str, until_ns: int) -> None:
        """An order is under way; its outcome will come."""
        self._under_way[execution_id] = (key, arm, until_ns + GIVEN_UP_NS)

    def ended(self, execution_id: str) -> None:
        self._under_way.pop(execution_id, None)

    def add(self, key: str, arm: str, surprise: float, ts_ns: int) -> None:
        """An outcome."""
        if self._origin_ns is None:
            self._origin_ns = ts_ns
        weight = self._weight(ts_ns)
        if weight > 2.0**REBASE:
            self._leaves = {at: sums.times(1 / weight) for at, sums in self._leaves.items()}
            self._arms = {at: sums.times(1 / weight) for at, sums in self._arms.items()}
            self._contexts = {at: sums.times(1 / weight) for at, sums in self._contexts.items()}
            self._outcomes /= weight
            self._origin_ns, weight = ts_ns, 1.0
            self._give_up(ts_ns)
        common = self._common(key, 1 / weight)
        self._outcomes += weight
        self._leaves[key, arm] = self._leaves.get((key, arm), NOTHING).plus(surprise, common, weight)
        self._arms[arm] = self._arms.get(arm, NOTHING).plus(surprise, common, weight)
        self._contexts[key] = self._contexts.get(key, NOTHING).plus(surprise, common, weight)

    def reset(self) -> None:
        """Forgets all outcomes; orders that are under way stay so."""
        self._leaves.clear()
        self._arms.clear()
        self._contexts.clear()
        self._outcomes = 0.0
        self._origin_ns = None

    def contexts(self) -> list[tuple[str, str]]:
        """(key, arm) that have outcomes, sorted."""
        return sorted(self._leaves)

    def _common(self, key: str, fresh: float) -> float:
        """The mean surprise of all arms in a context, drawn to nothing."""
        sums = self._contexts.get(key)
        return 0.0 if sums is None else fresh * sums.total / (self.settings.prior_orders + fresh * sums.orders)

    def _weight(self, ts_ns: int) -> float:
        """What an outcome of that time counts; one from before the first, as much as that."""
        if self._origin_ns is None:
            return 1.0
        return float(2.0 ** max(0.0, (ts_ns - self._origin_ns) / (self.settings.half_life_days * DAY_NS)))

    def _give_up(self, now_ns: int) -> None:
        self._under_way = {name: one for name, one in self._under_way.items() if now_ns < one[2]}


NO_ARMS: Final[frozenset[str]] = frozenset()
_expected = attrgetter("expected")
_NONE: Final = 1e-9  # of an order: what subtraction leaves of nothing


class Standing(Protocol):
    """An arm before the choice: expected cost and its error in bps, and its outcomes."""

    @property
    def arm(self) -> str: ...
    @property
    def expected(self) -> float: ...
    @property
    def error(self) -> float: ...
    @property
    def orders(self) -> float: ...


def killed(standings: Sequence[Standing], sigmas: float, least_orders: float) -> frozenset[str]:
    """Arms with enough outcomes that are dearer than the best of them by so many standard errors of the difference."""
    seen = [one for one in standings if one.orders >= least_orders]
    if len(seen) < 2:
        return NO_ARMS
    best = min(seen, key=_expected)
    close = best.expected + sigmas * best.error
    if max(seen, key=_expected).expected <= close:
        return NO_ARMS
    return frozenset(
        one.arm
        for one in seen
        if one.arm != best.arm and one.expected - best.expected > sigmas * math.hypot(one.error, best.error)
    )
