"""What was decided and why, and what came of it: records that are written down and read back exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from core import checks
from core.contracts import Contract, Side
from core.frozen import EMPTY, FrozenDict

DecidedBy = Literal["wish", "rule", "sample", "best", "fallback", "nothing"]
"""wish: the parent names its algorithm. rule: by its name. sample: a draw by the propensities. best: the least expected
cost, without trying. fallback: what was chosen could not be worked. nothing: neither could anything else."""


class Alternative(msgspec.Struct, frozen=True, gc=False):
    """An arm as it stood; a struct, as every decision makes one for each arm. bps: positive is worse; low, high: 95 %.

    orders: outcomes of its own, discounted. forecast_bps: the cost model's. propensity: the probability with which it
    was chosen. left_out: why it could not be.
    """

    arm: str
    forecast_bps: float
    expected_bps: float
    low_bps: float
    high_bps: float
    orders: float
    propensity: float
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class Decision(Contract):
    """One parent's. arm: what works it in the end ("" where nothing can); drawn: what was chosen at first, and
    `propensity` is of that. key: the context that was learnt in. rule, reason: what the rules say, whether they
    decided or not. risk_bps: volatility over the horizon; unfilled_bps: what an unfilled part is charged. attempts:
    what failed, in order, each with its reason.
    """

    execution_id: str
    parent_intent_id: str
    strategy_id: str
    symbol: str
    side: Side
    quantity: float
    notional: float
    ts_ns: int
    duration_seconds: int
    key: str
    arm: str
    drawn: str
    decided_by: DecidedBy
    rule: str
    rule_arm: str
    reason: str
    propensity: float
    risk_bps: float
    unfilled_bps: float
    alternatives: tuple[Alternative, ...] = ()
    attempts: tuple[str, ...] = ()
    venue: str | None = None
    conditions: dict[str, Any] = field(default=EMPTY)

    def __post_init__(self) -> None:
        checks.named("execution_id", self.execution_id)
        if type(self.conditions) is not FrozenDict:
            object.__setattr__(self, "conditions", FrozenDict(self.conditions))

    def of(self, arm: str) -> Alternative | None:
        return next((one for one in self.alternatives if one.arm == arm), None)


@dataclass(frozen=True, slots=True)
class Outcome(Contract):
    """What an execution cost. cost_bps: implementation shortfall, what was not filled at the end price included.

    adjusted_bps: less what the market's time-weighted price did meanwhile, which no algorithm can help, and more by the
    decision's `unfilled_bps` for the part that was not filled. surprise: that less the forecast in units of `risk_bps`,
    clipped; NaN where nothing is learnt, and `unused` says why.
    """

    execution_id: str
    arm: str
    key: str
    ts_ns: int
    cost_bps: float
    adjusted_bps: float
    surprise: float = math.nan
    unused: str | None = None
