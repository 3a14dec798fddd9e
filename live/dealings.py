"""What an engine does at its venue: requests carried out, questions asked, answers settled, a kill swept.

The replayed trader and the simulation do it through here alike. What may have reached the venue without an answer is
asked for; what the venue has and the journal does not know is heard, and what is open there against it is withdrawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from broker.base import BrokerUnavailableError, VenueOrder
from core.contracts import FillEvent, OHLCVBar, OrderIntent, QuoteEvent, RiskDecision, TradeEvent
from live.effects import Deny, Effect, Publish, Submit, Withdraw, unsent
from live.engine import Engine, VenueEvent
from live.questions import Patience, Questions
from live.recovery import Unsettled, answered, from_fills, settle, unheard, unsettled
from live.sweep import Residue, Sweep, foreign_cancel

Data = QuoteEvent | TradeEvent | OHLCVBar
Answer = VenueEvent | RiskDecision
Found = tuple[Unsettled, VenueOrder | None]


class Venue(Protocol):
    """What a venue can be asked. A question may raise BrokerUnavailableError."""

    def submit(self, intent: OrderIntent, now_ns: int) -> Sequence[VenueEvent]: ...
    def cancel(self, intent: OrderIntent, now_ns: int) -> Sequence[VenueEvent]: ...
    def order(self, intent_id: str) -> VenueOrder | None: ...
    def open_orders(self) -> Sequence[VenueOrder]: ...
    def fills_since(self, ts_ns: int) -> Sequence[FillEvent]: ...


class Dealings:
    """Of one engine at one venue.

    now       the engine's time; questions and sweeps are told the time of a clock that never jumps, `steady_ns`
    patience  how long to wait for what
    resends   whether an order of which this venue definitely knows nothing is sent again after a restart
    publish   hears what the engine says to the bus
    together  a block for the requests of a turn, of whose answers nobody hears before it is over: a venue in this
              process writes the lines of all of them at once
    """

    def __init__(
        self,
        engine: Engine,
        venue: Venue,
        *,
        now: Callable[[], int],
        patience: Patience | None = None,
        resends: bool = False,
        publish: Callable[[Publish], None] = lambda _said: None,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.engine = engine
        self.questions = Questions(patience)
        self._venue = venue
        self._now = now
        self._resends = resends
        self._publish = publish
        self._together = together
        self._sweep: Sweep | None = None
        self._foreign = 0

    # ---- requests and news

    def perform(self, effects: Iterable[Effect], first: Iterable[Answer] = ()) -> None:
        """Carries out what the engine wants, and what it wants when it hears of that. `first`: answers given before."""
        engine = self.engine
        answers: deque[Answer] = deque(first)
        while True:
            with self._together():
                for effect in effects:
                    match effect:
                        case Publish():
                            self._publish(effect)
                        case Submit(intent) if engine.killed:
                            answers.append(unsent(intent, self._now()))
                        case Submit(intent):
                            self.questions.sent(intent.intent_id)
                            answers.extend(self._venue.submit(intent, self._now()))
                        case Withdraw(intent):
                            answers.extend(self._venue.cancel(intent, self._now()))
                        case Deny(decision):
                            answers.append(decision)
            if not answers:
                return
            answer = answers.popleft()
            if isinstance(answer, RiskDecision):
                effects = engine.refused(answer, self._now())
            else:
                effects = engine.venue(answer, self._now())

    def hear(self, events: Iterable[VenueEvent]) -> None:
        """The venue's news, each after the newest market."""
        for event in events:
            self.perform(self.engine.show(event, self._now()))
            self.perform(self.engine.venue(event, self._now()))

    def wake(self) -> None:
        """Everybody whose time has come."""
        while (wake_ns := self.engine.wake_ns) is not None and wake_ns <= self._now():
            self.perform(self.engine.show(None, self._now()))
            self.perform(self.engine.wake(self._now()))

    # ---- after a restart

    def unsettled(self, steady_ns: int) -> list[Found]:
        """What the venue says of each order that may still trade; where it says nothing it is asked again later."""
        self.questions.look(self.engine.orders.live(), steady_ns)
        self.questions.at_once(steady_ns)
        due = set(self.questions.due(steady_ns))
        return self._found((one for one in unsettled(self.engine) if one.intent_id in due), steady_ns)

    def go_on(
        self, found: Sequence[Found], news: Iterable[tuple[str, Data]] = (), told: Iterable[VenueEvent] = ()
    ) -> None:
        """From where the journal ends: requests that never arrived, what was decided, what was answered meanwhile.

        Refusals of the gate and answers of the venue that nobody heard come in the order of what they answer.
        `news`: of the market, of this very moment; `told`: the venue's news of it, as far as it can say.
        """
        engine, now_ns = self.engine, self._now()
        there = [(question, answer) for question, answer in found if answer is not None]
        given: list[tuple[str, Answer]] = [*engine.denied.items()]
        for question, shown in there:
            given += answered(question, shown, now_ns)
        given.sort(key=lambda one: engine.turns.get(one[0], -1))
        decided = engine.resume(now_ns, news)
        again: list[Effect] = []
        for question, answer in found:
            if answer is None:
                again += settle(engine, question, None, now_ns, resend=self._resends)
            elif answer.is_open and question.withdrawal is not None:
                again.append(Withdraw(question.withdrawal))
        self.perform([*again, *decided], first=(answer for _, answer in given))
        self.hear(unheard(engine, list(told)))
        for question, shown in there:
            self.perform(settle(engine, question._replace(withdrawal=None), shown, now_ns))

    def reconcile(self) -> None:
        """Fills that the venue lists and nobody here has heard, and orders open there that are over here, or strange.

        There are none where both journals are whole. Where the venue cannot be asked, nothing is known of it.
        """
        try:
            fills, shown = self._venue.fills_since(0), self._venue.open_orders()
        except BrokerUnavailableError:
            return
        self.hear(unheard(self.engine, fills))
        live = {order.intent.intent_id for order in self.engine.orders.live()}
        for order in shown:
            if order.intent_id not in live:
                self._foreign += 1
                name = f"lost-{self.engine.epoch}-{self._foreign}"
                self.perform([Withdraw(foreign_cancel(name, order, self._now()))])

    # ---- what time brings

    def next_ns(self, steady_ns: int) -> int | None:
        """When `ask` or `sweep` has something to do, in steady time."""
        ask_ns = self.questions.look(self.engine.orders.live(), steady_ns)
        sweep_ns = None if self._sweep is None else self._sweep.next_ns
        return min((ns for ns in (ask_ns, sweep_ns) if ns is not None), default=None)

    def ask(self, steady_ns: int) -> None:
        """About the orders of which something should have been heard."""
        self.questions.look(self.engine.orders.live(), steady_ns)
        for name in self.questions.due(steady_ns):
            order = self.engine.orders.get(name)
            assert order is not None
            for question, answer in self._found([Unsettled(order, order.withdrawal)], steady_ns):
                self.perform(settle(self.engine, question, answer, self._now()))

    def sweep(self, steady_ns: int) -> Residue | None:
        """Withdraws what is open while killed, once a second; what is left in the end."""
        if self.engine.latched is None:
            self._sweep = None
            return None
        if self._sweep is None:
            self._sweep = Sweep(steady_ns)
        if self._sweep.next_ns is not None and steady_ns >= self._sweep.next_ns:
            shown: Sequence[VenueOrder] | None
            try:
                shown = self._venue.open_orders()
            except BrokerUnavailableError:
                shown = None
            self.perform(self._sweep.round(self.engine, shown, steady_ns, self._now()))
        return self._sweep.residue

    @property
    def sweeping(self) -> bool:
        """Whether a kill's rounds go on."""
        return self._sweep is not None and self._sweep.next_ns is not None

    def _found(self, asked: Iterable[Unsettled], steady_ns: int) -> list[Found]:
        """Answers to be believed: an order that is not there may be on its way, or forgotten but for its fills."""
        found: list[Found] = []
        for question in asked:
            name = question.intent_id
            answer, absent = None, False
            try:
                answer = self._venue.order(name)
                absent = answer is None and self.questions.believes_absence(name, steady_ns)
                if absent:
                    answer = from_fills(question.order, self._venue.fills_since(0))
            except BrokerUnavailableError:
                absent = False
            self.questions.asked(name, steady_ns)
            if answer is not None or absent:
                found.append((question, answer))
        return found
