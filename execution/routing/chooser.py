"""The choice itself, without I/O: a situation goes in, a decision comes out; an execution's report, an outcome.

What decides, in this order: the parent's own wish; a rule, while fewer than `min_orders` outcomes are known; for orders
of `explore_below` and more the rule still, unless an arm is clearly cheaper; a draw by Thompson sampling otherwise.
Until there are enough outcomes small orders try every arm with `min_propensity`, the rule's with the rest. Nothing
changes until `begin`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import msgspec

from core.chance import uniform
from core.contracts import OrderIntent, sign
from core.errors import DataError
from execution.config import ExecutionConfig
from execution.contracts import ExecutionReport
from execution.progress import END_OF_HORIZON
from execution.routing.bandit import floored, pick, quantile, thompson
from execution.routing.decision import Alternative, DecidedBy, Decision, Outcome
from execution.routing.learner import NO_ARMS, Learner, killed
from execution.routing.ledger import DECIDED, NOWHERE, RESET, TURNED_OUT, Ledger
from execution.routing.priors import Priors
from execution.routing.rules import algo_of, first_rule
from execution.routing.situation import Situation
from execution.tca import ExecutionCost, measure

_BPS: Final = 1e4
_arm = attrgetter("arm")
_expected = attrgetter("expected")


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose decision it is: ids, the arm that the parent itself names, the venue that it names."""

    execution_id: str
    parent_intent_id: str
    strategy_id: str
    wish: str | None = None
    venue: str | None = None

    @classmethod
    def by(cls, intent: OrderIntent, execution_id: str) -> Asked:
        meta = intent.meta
        return cls(execution_id, intent.intent_id, intent.strategy_id, meta.get("algo_type"), meta.get("venue"))


class View(msgspec.Struct, frozen=True, gc=False):
    """An arm as it stands, a `Standing` with its forecast; all in bps but orders."""

    arm: str
    expected: float
    error: float
    orders: float
    forecast: float
    half_width: float


class Chooser:
    """mode: `rules`, `learn`, or an algorithm (arm) for every parent that does not name its own.

    algorithms: those that can be worked at all. ledger: where decisions and outcomes are written down.
    """

    def __init__(
        self,
        settings: ExecutionConfig,
        mode: str,
        *,
        algorithms: Collection[str],
        seed: int = 0,
        ledger: Ledger = NOWHERE,
    ) -> None:
        if not algorithms:
            raise ValueError("algorithms must name at least one that can be worked, were none")
        self.settings = settings
        self.mode = mode
        self.algorithms = tuple(algorithms)
        self.learner = Learner(settings.routing.learning)
        self.decisions: dict[str, Decision] = {}
        self.outcomes: dict[str, Outcome] = {}
        self._seed = seed
        self._ledger = ledger
        self._prior = Priors(settings)
        self._all_able: dict[tuple[str, ...], bool] = {}

    # ---- before

    def decide(self, asked: Asked, situation: Situation, now_ns: int) -> Decision:
        """The decision, with all alternatives; the same inputs and the same past give the same one."""
        routing = self.settings.routing
        name, rule_arm, reason = first_rule(situation, routing, self.algorithms)
        key = self._key(situation)
        wish = asked.wish if asked.wish is not None else None if self.mode in ("rules", "learn") else self.mode
        arms = routing.learning.arms if wish is None else (wish,)
        if rule_arm not in arms:
            arms = (*arms, rule_arm)
        risk_bps, unfilled_bps = situation.risk_bps, situation.unfilled_bps(routing.learning.unfilled_risk)
        forecasts = self._prior(arms, situation, unfilled_bps)
        views = self._views(arms, key, risk_bps, forecasts, now_ns)
        decided: DecidedBy = "wish" if wish is not None else "rule"
        drawn, probabilities, out = wish or rule_arm, {wish or rule_arm: 1.0}, NO_ARMS
        able = views if self._are_able(arms) else [one for one in views if self._is_able(one.arm)]
        if wish is None and self.mode == "learn" and able:
            decided, drawn, probabilities, out = self._learnt(asked.execution_id, able, rule_arm, situation, now_ns)
        all_in = not out and able is views
        alternatives = tuple(
            [
                Alternative(
                    one.arm, one.forecast, one.expected, one.expected - one.half_width, one.expected + one.half_width,
                    one.orders, probabilities.get(one.arm, 0.0), None if all_in else self._why_out(one.arm, out),
                )
                for one in views
            ]
        )  # fmt: skip
        return Decision(
            execution_id=asked.execution_id,
            parent_intent_id=asked.parent_intent_id,
            strategy_id=asked.strategy_id,
            symbol=situation.symbol,
            side=situation.side,
            quantity=situation.quantity,
            notional=situation.notional,
            ts_ns=now_ns,
            duration_seconds=situation.duration_s,
            key=key,
            arm=drawn,
            drawn=drawn,
            decided_by=decided,
            rule=name,
            rule_arm=rule_arm,
            reason=reason,
            propensity=probabilities[drawn],
            risk_bps=risk_bps,
            unfilled_bps=unfilled_bps,
            alternatives=alternatives,
            venue=asked.venue,
            conditions=situation.known(),
        )

    def in_order(self, decision: Decision) -> list[str]:
        """The arms to try: what was drawn, then the others by what they should cost."""
        others = [one for one in decision.alternatives if one.arm != decision.drawn]
        others.sort(key=lambda one: (one.left_out is not None, one.expected_bps, one.arm))
        order = [decision.drawn, *(one.arm for one in others)]
        rest = [name for name in self.algorithms if name not in map(algo_of, order)]
        return [*order, *rest]

    # ---- after

    def begin(self, decision: Decision) -> None:
        """The parent is at work by this decision, or nobody can work it: written down, and under way."""
        self._ledger.append({"k": DECIDED, "t": decision.ts_ns, "decision": decision})
        self.began(decision)

    def observe(self, report: ExecutionReport) -> Outcome | None:
        """What came of it, once per execution; None for one that runs, is unknown or has been counted."""
        decision = self.decisions.get(report.execution_id)
        if decision is None or not report.done or report.execution_id in self.outcomes:
            return None
        outcome = self.outcome_of(decision, report)
        self._ledger.append({"k": TURNED_OUT, "t": outcome.ts_ns, "outcome": outcome})
        self.turned_out(outcome)
        return outcome

    def outcome_of(self, decision: Decision, report: ExecutionReport) -> Outcome:
        cost = measure(report)
        ended = report.end_ts_ns if report.end_ts_ns is not None else report.start_ts_ns
        total = cost.shortfall_bps
        adjusted = total - _market_bps(cost, report) + (1 - report.fill_rate) * decision.unfilled_bps
        alternative = decision.of(decision.arm)
        why = _unused(decision, report, adjusted)
        surprise = math.nan
        if why is None and alternative is not None:
            clip = self.settings.routing.learning.clip
            surprise = max(-clip, min(clip, (adjusted - alternative.forecast_bps) / decision.risk_bps))
        return Outcome(
            decision.execution_id,
            decision.arm,
            decision.key,
            max(ended, decision.ts_ns),
            total,
            adjusted,
            surprise,
            why,
        )

    def reset(self, now_ns: int, reason: str) -> None:
        """Forgets what was learnt; the record stays."""
        self._ledger.append({"k": RESET, "t": now_ns, "reason": reason})
        self.learner.reset()

    def restore(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """The state that these entries of a ledger made. Raises DataError for an entry that cannot be read."""
        for number, entry in enumerate(entries, 1):
            try:
                match entry.get("k"):
                    case "route":
                        self.began(Decision.from_dict(entry["decision"]))
                    case "route-outcome":
                        self.turned_out(Outcome.from_dict(entry["outcome"]))
                    case "route-reset":
                        self.learner.reset()
            except (KeyError, ValueError) as error:
                raise DataError(f"entry {number} of the router's ledger cannot be read: {error}") from error

    def began(self, decision: Decision) -> None:
        """`begin` for a decision that is written down elsewhere."""
        self.decisions[decision.execution_id] = decision
        if decision.arm:
            until_ns = decision.ts_ns + decision.duration_seconds * 1_000_000_000
            self.learner.begun(decision.execution_id, decision.key, decision.arm, until_ns)

    def turned_out(self, outcome: Outcome) -> None:
        """An outcome that is written down elsewhere."""
        self.outcomes[outcome.execution_id] = outcome
        self.learner.ended(outcome.execution_id)
        if outcome.unused is None:
            self.learner.add(outcome.key, outcome.arm, outcome.surprise, outcome.ts_ns)

    # ---- inside a decision

    def _views(
        self, arms: tuple[str, ...], key: str, risk: float, forecasts: Sequence[float], now_ns: int
    ) -> list[View]:
        views = []
        standings = self.learner.standings(key, arms, now_ns)
        for arm, forecast, (mean, weight, shape, scale, orders, pending) in zip(
            arms, forecasts, standings, strict=True
        ):
            variance = scale / shape
            width = math.sqrt(variance / weight)
            error = math.sqrt(variance / (weight + pending)) if pending else width
            half = risk * quantile(shape) * width
            views.append(View(arm, forecast + risk * mean, risk * error, orders, forecast, half))
        return views

    def _are_able(self, arms: tuple[str, ...]) -> bool:
        found = self._all_able.get(arms)
        if found is None:
            found = self._all_able[arms] = all(map(self._is_able, arms))
        return found

    def _is_able(self, arm: str) -> bool:
        return algo_of(arm) in self.algorithms

    def _why_out(self, arm: str, out: Collection[str]) -> str | None:
        if not self._is_able(arm):
            return f"no executor for {algo_of(arm)}"
        return "killed: dearer than the best by more than its noise" if arm in out else None

    def _learnt(
        self, execution_id: str, views: Sequence[View], rule_arm: str, situation: Situation, now_ns: int
    ) -> tuple[DecidedBy, str, dict[str, float], frozenset[str]]:
        """Who decides, the arm, the probabilities of all arms, and those that are not tried any more."""
        settings = self.settings.routing.learning
        tries = situation.notional < settings.explore_below  # False where no price is known
        arms = [one.arm for one in views]
        if self.learner.experience(now_ns) < settings.min_orders:
            if not tries or settings.min_propensity == 0 or rule_arm not in arms:
                return "rule", rule_arm, {rule_arm: 1.0}, NO_ARMS
            probabilities = floored([float(arm == rule_arm) for arm in arms], settings.min_propensity)
            drawn = arms[pick(probabilities, uniform(self._seed, "route", execution_id))]
            by: DecidedBy = "rule" if drawn == rule_arm else "sample"
            return by, drawn, dict(zip(arms, probabilities, strict=True)), NO_ARMS
        out = killed(views, settings.kill_sigmas, settings.min_orders)
        left = [one for one in views if one.arm not in out] if out else views
        if not tries:
            best = _best(left, rule_arm, settings.min_orders, settings.switch_sigmas)
            return "best", best.arm, {best.arm: 1.0}, out
        wide = settings.exploration
        shares = thompson([one.expected for one in left], [wide * one.error for one in left])
        probabilities = floored(shares, settings.min_propensity)
        drawn = left[pick(probabilities, uniform(self._seed, "route", execution_id))].arm
        return "sample", drawn, dict(zip(arms if left is views else map(_arm, left), probabilities, strict=True)), out

    def _key(self, situation: Situation) -> str:
        routing = self.settings.routing
        group = routing.learning.classes.get(situation.symbol, situation.symbol)
        return f"{group} {situation.side} {situation.bucket(routing.large_order_threshold)}"


def _best(views: Sequence[View], rule_arm: str, least_orders: float, sigmas: float) -> View:
    """The cheapest of those with enough outcomes in this very context, if it is cheaper than the rule's arm by so many
    standard errors of the difference; else the rule's. Where the rule's is left out, the cheapest of all."""
    ruled = next((one for one in views if one.arm == rule_arm), None)
    if ruled is None:
        return min(views, key=_expected)
    best = min((one for one in views if one is ruled or one.orders >= least_orders), key=_expected)
    return best if ruled.expected - best.expected > sigmas * math.hypot(ruled.error, best.error) else ruled


def _market_bps(cost: ExecutionCost, report: ExecutionReport) -> float:
    """What the market's time-weighted price did after arrival, as a cost; 0 where nobody knows it."""
    twap, arrival = report.benchmark_twap, cost.arrival_price
    if not (twap > 0 and arrival > 0):
        return 0.0
    return _BPS * sign(report.side) * (twap / arrival - 1)


def _unused(decision: Decision, report: ExecutionReport, adjusted: float) -> str | None:
    """Why nothing is learnt from it; None where something is."""
    if not math.isfinite(adjusted):
        return "its cost is not known"
    if decision.of(decision.arm) is None:
        return "nothing was forecast for it"
    if report.status == "failed" or report.denials:
        return "the gate or the venue refused it"
    if report.status == "cancelled" and report.unfilled_reason != END_OF_HORIZON:
        return f"it was ended early: {report.unfilled_reason}"
    return None
