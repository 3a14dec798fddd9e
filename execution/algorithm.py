"""How a parent is worked: terms in, a schedule out, and a rule that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from execution.plan import Curve, Plan, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is left to do and how long there is; an amendment makes new ones."""

    quantity: int
    horizon_ms: int
    limit_ticks: int
    start_ns: int


class Schedule(NamedTuple):
    """A plan, its curve where it has one, and what a report should say of where they come from."""

    plan: Plan
    curve: Curve = Curve()
    notes: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """How a parent is worked: the rule, and the schedule that it follows under given terms.

    `schedule` raises ValueError where the terms cannot be met: fewer lots than the venue's minimum, say.
    `draw`: a number in [0, 1) for each child, from the seed.
    """

    due: Callable[[Plan, Curve, View], int]
    schedule: Callable[[Terms], Schedule]
    draw: Callable[[int], float] = lambda _number: 0.0
    retries: int = 3
    retry_ms: int = 1000
    pull_on_pause: bool = True
