"""The rules that decide before anything has been learnt, in the order in which they are asked. Each has a name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from execution.routing.situation import Situation

if TYPE_CHECKING:
    from execution.config import RoutingConfig

Holds = Callable[[Situation, "RoutingConfig"], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """`arms`: what it wants, the first that there is; `reason`: text with fields of situation, market and settings."""

    name: str
    holds: Holds
    arms: tuple[str, ...]
    reason: str


def _large(s: Situation, c: RoutingConfig) -> bool:
    return s.notional > c.large_order_threshold  # False where no price is known


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "urgent",
        lambda s, c: s.duration_s < c.urgency_threshold,
        ("IS:high", "IS", "TWAP:high", "TWAP"),
        "{s.duration_s} s is less than {c.urgency_threshold:g} s: waiting costs more than impact",
    ),
    Rule(
        "participation",
        lambda s, c: s.participation > c.max_participation,
        ("POV",),
        "{s.participation:.1%} of the volume expected is more than {c.max_participation:.0%}: keep to a share of it",
    ),
    Rule(
        "large",
        lambda s, c: _large(s, c) and not s.market.regularity < c.least_regularity,
        ("VWAP",),
        "{s.notional:,.0f} is more than {c.large_order_threshold:,.0f}: trade where the volume is",
    ),
    Rule(
        "large_unforeseen",
        lambda s, c: _large(s, c),
        ("TWAP",),
        "{s.notional:,.0f} is more than {c.large_order_threshold:,.0f}, but the day's volume cannot be foreseen "
        "(R^2 {s.market.regularity:.2f})",
    ),
    Rule(
        "wide_spread",
        lambda s, c: s.market.spread_bps >= c.wide_spread_bps,
        ("TWAP:medium", "TWAP"),
        "the spread of {s.market.spread_bps:.1f} bps is wide: rest first, then cross",
    ),
)
DEFAULT: Final = "default"
ARMS: Final = tuple(dict.fromkeys(arm for rule in RULES for arm in rule.arms))


def first_rule(situation: Situation, settings: RoutingConfig, known: Collection[str]) -> tuple[str, str, str]:
    """Name, arm and reason of the first rule that holds and whose arm there is; else the default.

    `known`: algorithms that can be worked. An arm with an urgency needs its algorithm alone.
    """
    for rule in RULES:
        if rule.holds(situation, settings):
            arm = next((arm for arm in rule.arms if algo_of(arm) in known), None)
            if arm is not None:
                return rule.name, arm, rule.reason.format(s=situation, c=settings)
    return DEFAULT, settings.default_algo, "no other rule holds"


def algo_of(arm: str) -> str:
    """TWAP of TWAP:high."""
    return arm.partition(":")[0]


def urgency_of(arm: str) -> str | None:
    return arm.partition(":")[2] or None
