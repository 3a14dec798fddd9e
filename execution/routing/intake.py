"""The intake with the router in front: whoever takes parents through `request` and `work` has them routed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.contracts import OrderIntent
from core.frozen import EMPTY
from core.ids import execution_id
from core.instrument import Instrument
from execution.config import ExecutionConfig
from execution.contracts import ExecutionReport
from execution.desk import Worked
from execution.intake import Intake, Request
from execution.routing.attempts import RefusedError, first_that_works, with_arm
from execution.routing.chooser import Asked, Chooser
from execution.routing.decision import Decision
from execution.routing.markets import Markets
from execution.routing.situation import Situation


class RoutedIntake:
    """Takes parents in as `execution.intake.Intake` does; the chooser says how each is worked.

    `heard` takes the report of every parent that has ended. A parent that has been routed keeps its algorithm, however
    often it is asked for. `begin`: what is done with a decision, at first `chooser.begin`.
    """

    def __init__(
        self,
        intake: Intake,
        chooser: Chooser,
        markets: Markets,
        *,
        begin: Callable[[Decision], None] | None = None,
    ) -> None:
        self._intake = intake
        self.chooser = chooser
        self._markets = markets
        self._begin = begin or chooser.begin
        self._made: tuple[str, Worked] | None = None

    def request(
        self, intent: OrderIntent, now_ns: int, price: float, *, decision_price: float | None = None
    ) -> Request:
        """The parent with the first algorithm that can work it. Raises ValueError with all reasons where none can."""
        name = execution_id(self._intake.seed, intent.strategy_id, intent.intent_id)
        known = self.chooser.decisions.get(name)
        if known is not None:
            return self._again(known, intent, now_ns, price, decision_price)
        decision = self._decide(intent, name, now_ns, price)

        def make(arm: str) -> tuple[Request, Worked]:
            told = with_arm(intent, arm, duration_s=decision.duration_seconds)
            request = self._intake.request(told, now_ns, price, decision_price=decision_price)
            return request, self._intake.work(request)

        try:
            decision, (request, worked) = first_that_works(decision, self.chooser.in_order(decision), make)
        except RefusedError as refused:
            self._begin(refused.decision)
            raise
        self._begin(decision)
        self._made = (request.execution_id, worked)
        return request

    def work(self, request: Request) -> Worked:
        """The parent, ready to be driven; the one that was made when it was asked for, or the same again."""
        made, self._made = self._made, None
        return made[1] if made is not None and made[0] == request.execution_id else self._intake.work(request)

    @property
    def instrument(self) -> Instrument:
        return self._intake.instrument

    @property
    def config(self) -> ExecutionConfig | None:
        return self._intake.config

    def name(self, strategy_id: str, intent_id: str) -> str:
        """The execution id of a parent."""
        return self._intake.name(strategy_id, intent_id)

    def refusal(
        self, intent: OrderIntent, now_ns: int, price: float, reason: str, settings: Mapping[str, Any] = EMPTY
    ) -> ExecutionReport:
        """The report of a parent that cannot be worked at all."""
        return self._intake.refusal(intent, now_ns, price, reason, settings)

    def heard(self, report: ExecutionReport) -> None:
        self.chooser.observe(report)

    def _again(
        self, known: Decision, intent: OrderIntent, now_ns: int, price: float, decision_price: float | None
    ) -> Request:
        if not known.arm:
            raise RefusedError(known)
        told = with_arm(intent, known.arm, duration_s=duration_of(intent, self.chooser.settings))
        return self._intake.request(told, now_ns, price, decision_price=decision_price)

    def _decide(self, intent: OrderIntent, name: str, now_ns: int, price: float) -> Decision:
        lots = self._intake.instrument.lots(intent.qty)
        if lots == 0:
            raise ValueError(f"quantity {intent.qty} is less than one lot of {self._intake.instrument.lot}")
        situation = Situation(
            symbol=intent.symbol,
            side=intent.side,
            quantity=self._intake.instrument.qty(lots),
            duration_s=duration_of(intent, self.chooser.settings),
            market=self._markets(intent.symbol, now_ns, price),
            limited=intent.limit_price is not None,
        )
        return self.chooser.decide(Asked.by(intent, name), situation, now_ns)


def duration_of(intent: OrderIntent, settings: ExecutionConfig, urgency_seconds: int | None = None) -> int:
    """How long it may take: as it says, but not longer than its urgency; else the urgency; else as configured."""
    told, urgent = intent.meta.get("duration_seconds"), intent.meta.get("urgency_seconds", urgency_seconds)
    if urgency_seconds is not None:
        urgent = urgency_seconds
    if told is None:
        return int(settings.routing.duration_seconds if urgent is None else urgent)
    return int(told) if urgent is None else min(int(told), int(urgent))
