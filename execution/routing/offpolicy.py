"""What a fixed choice would have cost, from a router's own log: the propensities say how likely it was.

    SNIPS = sum w c / sum w,   w = 1{arm chosen} / propensity                          Swaminathan and Joachims (2015)
    DR    = mean of  q + w (c - q)                                                        Dudik, Langford and Li (2011)

c: adjusted cost, q: the arm's expected cost as it was logged with the decision, before the outcome. Only decisions
count in which the arm had a chance; large orders, which are not tried with, and killed arms have none, so the value
is that of the orders in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from execution.routing.decision import Decision, Outcome

Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Value:
    """bps: low to high is 95 %. n: decisions in which the arm had a chance; chosen: those in which it was.

    Nothing to judge by: NaN.
    """

    arm: str
    n: int
    chosen: int
    snips: float
    snips_low: float
    snips_high: float
    dr: float
    dr_low: float
    dr_high: float


def value(arm: str, decisions: Iterable[Decision], outcomes: Mapping[str, Outcome]) -> Value:
    """The mean cost of working every order with this arm."""
    weights, costs, guesses = [], [], []
    for decision in decisions:
        outcome, alternative = outcomes.get(decision.execution_id), decision.of(arm)
        if outcome is None or outcome.unused is not None or decision.decided_by not in ("rule", "sample"):
            continue
        if alternative is None or not 0 < alternative.propensity < 1:
            continue
        chosen = decision.drawn == arm
        weights.append(1 / decision.propensity if chosen else 0.0)
        costs.append(outcome.adjusted_bps if chosen else 0.0)
        guesses.append(alternative.expected_bps)
    n, chosen_n, total = len(weights), sum(weight > 0 for weight in weights), math.fsum(weights)
    if chosen_n < 2:
        nothing = (math.nan,) * 6
        return Value(arm, n, chosen_n, *nothing)
    snips = math.fsum(w * c for w, c in zip(weights, costs, strict=True)) / total
    error = math.sqrt(math.fsum((w * (c - snips)) ** 2 for w, c in zip(weights, costs, strict=True))) / total
    scores = [q + w * (c - q) for w, c, q in zip(weights, costs, guesses, strict=True)]
    dr = math.fsum(scores) / n
    spread = math.sqrt(math.fsum((score - dr) ** 2 for score in scores) / (n * (n - 1)))
    return Value(arm, n, chosen_n, snips, snips - Z * error, snips + Z * error, dr, dr - Z * spread, dr + Z * spread)
