"""Where a resting order of ours stands in the queue at its price, when only quantities per price are published.

`front` is the public quantity ahead of us, in lots. A trade at our price takes from it; a fall of the displayed
quantity that no trade explains was cancelled by somebody ahead of us or behind us, and the model says who.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from core import checks
from execution.kernel import kernel

RISK_AVERSE: Final = 0
POWER: Final = 1
LOG: Final = 2
_CODES: Final = {"risk_averse": RISK_AVERSE, "power": POWER, "log": LOG}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueModel:
    """risk_averse   whoever cancels stands behind us, as long as that can be
    power         a cancel comes from behind with probability f(back) / (f(back) + f(front)), f(x) = x^exponent
    log           the same with f(x) = log(1 + x), x in lots

    queue_ahead: lots ahead of an order in a market of trades alone, where nobody says what is displayed; infinite:
    it fills only when the market trades through its price.
    """

    model: Literal["risk_averse", "power", "log"] = "risk_averse"
    exponent: float = 2.0
    queue_ahead: float = math.inf

    def __post_init__(self) -> None:
        checks.one_of("model", self.model, tuple(_CODES))
        checks.positive("exponent", self.exponent)
        if not self.queue_ahead >= 0:
            raise ValueError(f"queue_ahead must be at least 0, was {self.queue_ahead}")

    @property
    def code(self) -> int:
        return _CODES[self.model]


@kernel
def front_after_change(model: int, exponent: float, front: float, before: float, now: float, traded: float) -> float:
    """The quantity ahead of us after the displayed one went from `before` to `now`, of which `traded` was traded.

    With c = before - now - traded cancelled in all: c < 0, or `risk_averse`: min(front, now). Else, with back =
    before - front and p the model's probability of a cancel from behind,
        min(front - (1 - p) c + min(back - p c, 0), now).
    Where nobody is ahead (front <= 0) nothing changes.
    """
    cancelled = before - now - traded
    if front <= 0 or model == RISK_AVERSE or cancelled < 0:
        return min(front, now)
    back = max(before - front, 0.0)
    if model == POWER:
        behind, ahead = back**exponent, front**exponent
    else:
        behind, ahead = math.log1p(back), math.log1p(front)
    p = behind / (behind + ahead)
    after: float = min(front - (1 - p) * cancelled + min(back - p * cancelled, 0.0), now)
    return after
