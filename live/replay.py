"""A recorded market played to an engine: data, venue and time in one order, the one of the backtest.

At each moment: the venue plays up to it, the engine sees what is new of the market, hears of its orders, is woken where
it asked for it; then strategies and requests come. The same tape gives the same children as the backtest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from broker.base import VenueOrder
from core.contracts import (
    FillEvent,
    OHLCVBar,
    OrderClosed,
    OrderEvent,
    OrderIntent,
    QuoteEvent,
    RiskDecision,
    TradeEvent,
)
from live.effects import Deny, Effect, Publish, Submit, Withdraw, unsent
from live.engine import Engine, VenueEvent
from live.recovery import Unsettled, answered, settle, unheard, unsettled

Data = QuoteEvent | TradeEvent | OHLCVBar
Found = tuple[Unsettled, VenueOrder | None]


class Venue(Protocol):
    """A venue that is played by the clock: `broker.paper.PaperVenue`."""

    def submit(self, intent: OrderIntent, now_ns: int) -> Sequence[VenueEvent]: ...
    def cancel(self, intent: OrderIntent, now_ns: int) -> Sequence[VenueEvent]: ...
    def run(self, until_ns: int) -> tuple[int, Sequence[FillEvent | OrderClosed | OrderEvent]]: ...
    def order(self, intent_id: str) -> VenueOrder | None: ...
    def told(self, ts_ns: int) -> Sequence[VenueEvent]: ...
    def restore(self, lines: Iterable[Mapping[str, Any]]) -> None: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What becomes known at `ts_ns`: (topic, message) in order, asked for when the time has come.

    Our own trading moves the simulated prices, so nobody can say before what a quote will be.
    """

    ts_ns: int
    news: Callable[[], Iterable[tuple[str, Data]]]


class Replay:
    """Plays `tape` to the engine. `decide(moment)` is asked after every moment's news: strategies put parents in.

    `remind` is told instead, after a restart, of moments at which they were asked before. `look` says what has become
    known of the market between two moments, right before somebody acts there. `publish` hears what the engine says to
    the bus.
    """

    def __init__(
        self,
        engine: Engine,
        venue: Venue,
        tape: Iterable[Moment],
        *,
        decide: Callable[[Moment], Sequence[Effect]] = lambda _moment: (),
        remind: Callable[[Moment], None] = lambda _moment: None,
        look: Callable[[int], Iterable[tuple[str, Data]]] = lambda _now_ns: (),
        publish: Callable[[Publish], None] = lambda _said: None,
    ) -> None:
        self._engine = engine
        self._venue = venue
        self._tape = iter(tape)
        self._decide = decide
        self._remind = remind
        self._look = look
        self._publish = publish
        self._next = next(self._tape, None)
        self.now_ns = engine.now_ns

    @property
    def over(self) -> bool:
        """Whether the tape has ended; parents may still wait."""
        return self._next is None

    @property
    def next_ns(self) -> int | None:
        """When something happens next, venue apart; None: nothing more."""
        moments = [self._engine.wake_ns, None if self._next is None else self._next.ts_ns]
        known = [max(ns, self.now_ns) for ns in moments if ns is not None]
        return min(known, default=None)

    def step(self, until_ns: int | None = None) -> bool:
        """Plays to the next moment, at most to `until_ns`; False where there is none up to then."""
        at_ns = self.next_ns
        if at_ns is None or (until_ns is not None and at_ns > until_ns):
            if until_ns is not None:
                self._idle(until_ns)
            return False
        heard_ns, events = self._venue.run(at_ns)
        while heard_ns < at_ns and events:
            self._hear(events, heard_ns)
            at_ns = min(at_ns, max(self.next_ns or at_ns, heard_ns))
            heard_ns, events = self._venue.run(at_ns)
        self._play(at_ns, events)
        return True

    def recover(self, written: Iterable[Mapping[str, Any]]) -> None:
        """Goes on where the engine's journal ends. `written`: the venue's own lines.

        Everything at that last moment is done again; what was done then is known by its ids and changes nothing.
        """
        now_ns = self.now_ns
        self._catch_up(deque(line for line in written if int(line["t"]) <= now_ns))
        ask = self._venue.order
        found = [(question, ask(question.intent_id)) for question in unsettled(self._engine)]
        heard_ns, events = self._venue.run(now_ns)
        while heard_ns < now_ns:
            heard_ns, more = self._venue.run(now_ns)
            events = [*events, *more]
        self._play(now_ns, events, found)

    def _again(self, found: Sequence[Found], now_ns: int) -> list[Effect]:
        """Requests that never arrived."""
        effects: list[Effect] = []
        for question, answer in found:
            if answer is None:
                effects += settle(self._engine, question, None, now_ns, resend=True)
            elif answer.is_open and question.withdrawal is not None:
                effects.append(Withdraw(question.withdrawal))
        return effects

    def _play(self, at_ns: int, events: Sequence[VenueEvent], found: Sequence[Found] | None = None) -> None:
        """One moment: news, what became of our orders, wake-ups, and then strategies.

        `found`: it is the moment at which a journal ends. Parents have their requests carried out, those that never
        arrived first, and then hear what the venue has said since: answers, then news, in the order in which it did.
        """
        self.now_ns = at_ns
        moment = self._next if self._next is not None and self._next.ts_ns <= at_ns else None
        if moment is not None:
            self._next = next(self._tape, None)
        else:
            self._see(at_ns)
        news = () if moment is None else moment.news()
        if found is None:
            for topic, message in news:
                self.perform(self._engine.market(topic, message, at_ns))
        else:
            decided = self._engine.resume(at_ns, news)
            self.perform([*self._again(found, at_ns), *decided])
            there = [(question._replace(withdrawal=None), answer) for question, answer in found if answer is not None]
            for question, answer in there:
                self.perform(answered(self._engine, question, answer, at_ns))
            self._hear(unheard(self._engine, self._venue.told(at_ns)), at_ns)
            for question, answer in there:
                self.perform(settle(self._engine, question, answer, at_ns))
            events = unheard(self._engine, events)
        self._hear(events, at_ns)
        while (wake_ns := self._engine.wake_ns) is not None and wake_ns <= at_ns:
            self.perform(self._engine.show(None, at_ns))
            self.perform(self._engine.wake(at_ns))
        if moment is not None:
            self.perform(self._decide(moment))

    def _see(self, now_ns: int) -> None:
        """The newest market, for whoever acts now; nobody is shown it for its own sake."""
        for topic, message in self._look(now_ns):
            self._engine.remember(topic, message)

    def perform(self, effects: Iterable[Effect]) -> None:
        """Carries out what the engine wants, and what it wants when it hears of that."""
        answers: deque[VenueEvent | RiskDecision] = deque()
        while True:
            for effect in effects:
                match effect:
                    case Publish():
                        self._publish(effect)
                    case Submit(intent) if self._engine.killed:
                        answers.append(unsent(intent, self.now_ns))
                    case Submit(intent):
                        answers.extend(self._venue.submit(intent, self.now_ns))
                    case Withdraw(intent):
                        answers.extend(self._venue.cancel(intent, self.now_ns))
                    case Deny(decision):
                        answers.append(decision)
            if not answers:
                return
            answer = answers.popleft()
            hear = self._engine.refused if isinstance(answer, RiskDecision) else self._engine.venue
            effects = hear(answer, self.now_ns)  # type: ignore[arg-type]

    def _catch_up(self, lines: deque[Mapping[str, Any]]) -> None:
        """Market and venue as they were; parents have been made again from the journal and hear nothing of it."""
        while self._next is not None and self._next.ts_ns < self.now_ns:
            before = []
            while lines and int(lines[0]["t"]) < self._next.ts_ns:
                before.append(lines.popleft())
            self._venue.restore(before)
            while self._venue.run(self._next.ts_ns)[0] < self._next.ts_ns:
                pass  # its news were heard then
            for topic, message in self._next.news():
                self._engine.remember(topic, message)
            self._remind(self._next)
            self._next = next(self._tape, None)
        self._venue.restore(lines)

    def _idle(self, until_ns: int) -> None:
        """The venue alone, up to a moment at which nothing else happens."""
        heard_ns, events = self._venue.run(until_ns)
        while events:
            self._hear(events, heard_ns)
            heard_ns, events = self._venue.run(until_ns)
        self.now_ns = max(self.now_ns, until_ns)

    def _hear(self, events: Sequence[VenueEvent], now_ns: int) -> None:
        if events and now_ns > self.now_ns:
            self._see(now_ns)
        self.now_ns = max(self.now_ns, now_ns)
        for event in events:
            self.perform(self._engine.show(event, self.now_ns))
            self.perform(self._engine.venue(event, self.now_ns))
