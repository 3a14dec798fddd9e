"""`routing.learning` of `config/execution.yaml`: how the router learns, and within which bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from core import checks
from core.frozen import EMPTY
from execution.contracts import ALGO_TYPES
from execution.params import STEEPNESS

ROUTERS: Final = ("rules", "learn")


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningConfig:
    """arms             what may be chosen: algorithms, or algorithm:urgency (TWAP:high, IS:low)
    explore_below    notional in quote currency below which it tries; at or above it nothing is tried
    min_orders       outcomes before which the rules decide; for orders that nothing is tried with, outcomes of an arm
                     in their own context before it replaces the rule's
    switch_sigmas    for those orders, by how many standard errors of the difference it must be cheaper, too
    prior_orders     orders that the cost forecast is worth
    unfilled_risk    what an unfilled part costs beyond spread and fee, in volatilities over the horizon
    noise            sd of a cost about its mean before that is known, in units of volatility times root horizon
    exploration      width of the draws in standard errors: 1 is Thompson's rule, less tries less
    min_propensity   least probability of an arm that is tried at all
    half_life_days   after which an outcome counts half
    kill_sigmas      an arm that is so many standard errors dearer than the best is not tried until that fades
    clip             an outcome counts at most so many of those units above or below its forecast
    classes          symbol: class, for symbols that learn from each other; left out, a symbol is its own class
    """

    arms: tuple[str, ...] = ("TWAP", "VWAP", "POV", "IS")
    explore_below: float = 5000.0
    min_orders: int = 30
    prior_orders: float = 20.0
    unfilled_risk: float = 0.1
    noise: float = 0.25
    exploration: float = 0.5
    min_propensity: float = 0.02
    half_life_days: float = 45.0
    switch_sigmas: float = 2.0
    kill_sigmas: float = 3.0
    clip: float = 4.0
    classes: dict[str, str] = field(default=EMPTY)

    def __post_init__(self) -> None:
        if len(self.arms) < 2 or len(set(self.arms)) < len(self.arms):
            raise ValueError(f"arms must be at least two different ones, were {', '.join(self.arms) or 'none'}")
        for arm in self.arms:
            check_arm("arms", arm)
        checks.not_negative("explore_below", self.explore_below)
        checks.not_negative("unfilled_risk", self.unfilled_risk)
        checks.not_negative("min_orders", self.min_orders)
        checks.not_negative("switch_sigmas", self.switch_sigmas)
        for name in ("prior_orders", "noise", "exploration", "half_life_days", "kill_sigmas", "clip"):
            checks.positive(name, getattr(self, name))
        checks.between("min_propensity", self.min_propensity, 0, 1 / len(self.arms))


def check_arm(field: str, arm: str, *words: str) -> None:
    """Raises ValueError where it is neither an algorithm, nor algorithm:urgency, nor one of the words."""
    algo, colon, urgency = arm.partition(":")
    checks.one_of(field, algo, (*words, *ALGO_TYPES))
    if colon and (algo in words or algo == "Iceberg"):
        raise ValueError(f"{field}: {algo} has no urgency, was {arm}")
    if colon:
        checks.one_of(f"urgency of {arm}", urgency, STEEPNESS)


DEFAULT_LEARNING: Final = LearningConfig()
