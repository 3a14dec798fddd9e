"""A recorded market played to an engine: data, venue and time in one order, the one of the backtest.

At each moment: the venue plays up to it, the engine sees what is new of the market, hears of its orders, is woken where
it asked for it; then strategies and requests come. The same tape gives the same children as the backtest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Protocol

from core.contracts import FillEvent, OrderClosed, OrderEvent
from live.dealings import Data, Dealings, Found, Venue
from live.effects import Effect, Publish
from live.engine import Engine, VenueEvent
from live.questions import Patience
from live.recovery import unheard

FORGETS_NOTHING: Final = Patience(arrival_ns=0)  # a venue in this process: no request to it is on its way


class PlayedVenue(Venue, Protocol):
    """A venue that is played by the clock: `broker.paper.PaperVenue`."""

    def run(self, until_ns: int) -> tuple[int, Sequence[FillEvent | OrderClosed | OrderEvent]]: ...
    def told(self, ts_ns: int) -> Sequence[VenueEvent]: ...
    def restore(self, lines: Iterable[Mapping[str, Any]]) -> None: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What becomes known at `ts_ns`: (topic, message) in order, asked for when the time has come.

    Our own trading moves the simulated prices, so nobody can say before what a quote will be. `slept_ns`: from then on
    the trader was not there; whatever was due since is done at `ts_ns`.
    """

    ts_ns: int
    news: Callable[[], Iterable[tuple[str, Data]]]
    slept_ns: int | None = None


class Replay:
    """Plays `tape` to the engine. `decide(moment)` is asked after every moment's news: strategies put parents in.

    `remind` is told instead, after a restart, of moments at which they were asked before. `look` says what has become
    known of the market between two moments, right before somebody acts there. `publish` hears what the engine says to
    the bus. A tape that has no more moments may have some later.
    """

    def __init__(
        self,
        engine: Engine,
        venue: PlayedVenue,
        tape: Iterable[Moment],
        *,
        decide: Callable[[Moment], Sequence[Effect]] = lambda _moment: (),
        remind: Callable[[Moment], None] = lambda _moment: None,
        look: Callable[[int], Iterable[tuple[str, Data]]] = lambda _now_ns: (),
        publish: Callable[[Publish], None] = lambda _said: None,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._engine = engine
        self._venue = venue
        self._tape = iter(tape)
        self._decide = decide
        self._remind = remind
        self._look = look
        self._peeked: Moment | None = None
        self.now_ns = engine.now_ns
        self.dealings = Dealings(
            engine,
            venue,
            now=lambda: self.now_ns,
            patience=FORGETS_NOTHING,
            resends=True,
            publish=publish,
            together=together,
        )

    @property
    def next_ns(self) -> int | None:
        """When something happens next, venue apart; None: nothing more for now."""
        moment, wake_ns = self._next, self._engine.wake_ns
        if moment is None:
            return None if wake_ns is None else max(wake_ns, self.now_ns)
        if wake_ns is None or (moment.slept_ns is not None and wake_ns > moment.slept_ns):
            return max(moment.ts_ns, self.now_ns)
        return max(min(wake_ns, moment.ts_ns), self.now_ns)

    @property
    def _next(self) -> Moment | None:
        """The next moment of the tape."""
        if self._peeked is None:
            self._peeked = next(self._tape, None)
        return self._peeked

    def _taken(self) -> Moment:
        moment, self._peeked = self._next, None
        assert moment is not None
        return moment

    def step(self, until_ns: int | None = None) -> bool:
        """Plays to the next moment, at most to `until_ns`; False where there is none up to then."""
        at_ns = self.next_ns
        if at_ns is None or (until_ns is not None and at_ns > until_ns):
            if until_ns is not None:
                self._idle(until_ns)
            return False
        heard_ns, events = self._venue.run(at_ns)
        slept = self._next is not None and self._next.slept_ns is not None and self._next.ts_ns <= at_ns
        while slept and heard_ns < at_ns:  # nobody was there to hear it
            heard_ns, more = self._venue.run(at_ns)
            events = [*events, *more]
        while heard_ns < at_ns and events:
            self._hear(events, heard_ns)
            at_ns = min(at_ns, max(self.next_ns or at_ns, heard_ns))
            heard_ns, events = self._venue.run(at_ns)
        self._play(at_ns, events)
        return True

    def recover(self, written: Iterable[Mapping[str, Any]], acted_ns: Iterable[int] = ()) -> None:
        """Goes on where the engine's journal ends. `written`: the venue's own lines.

        `acted_ns`: when parents heard anything, in order; whoever acts between two moments looks at the market first,
        and benchmarks follow from what was seen.

        Everything at that last moment is done again; what was done then is known by its ids and changes nothing.
        """
        now_ns = self.now_ns
        self._catch_up(deque(line for line in written if int(line["t"]) <= now_ns), deque(acted_ns))
        found = self.dealings.unsettled(0)  # no time has passed for anybody yet
        heard_ns, events = self._venue.run(now_ns)
        while heard_ns < now_ns:
            heard_ns, more = self._venue.run(now_ns)
            events = [*events, *more]
        self._play(now_ns, events, found)

    def _play(self, at_ns: int, events: Sequence[VenueEvent], found: Sequence[Found] | None = None) -> None:
        """One moment: news, what became of our orders, wake-ups, and then strategies.

        `found`: it is the moment at which a journal ends. Parents have their requests carried out, those that never
        arrived first, and then hear what the venue has said since: answers, then news, in the order in which it did.
        """
        self.now_ns = at_ns
        moment = self._taken() if self._next is not None and self._next.ts_ns <= at_ns else None
        if moment is None:
            self._see(at_ns)
        news = () if moment is None else moment.news()
        if found is None:
            for topic, message in news:
                self.perform(self._engine.market(topic, message, at_ns))
        else:
            self.dealings.go_on(found, news, self._venue.told(at_ns))
            events = unheard(self._engine, events)
        self._hear(events, at_ns)
        if found is not None:
            self.dealings.reconcile()
        self.dealings.wake()
        if moment is not None:
            self.perform(self._decide(moment))

    def _see(self, now_ns: int) -> None:
        """The newest market, for whoever acts now; nobody is shown it for its own sake."""
        for topic, message in self._look(now_ns):
            self._engine.remember(topic, message)

    def perform(self, effects: Iterable[Effect]) -> None:
        """Carries out what the engine wants, now."""
        self.dealings.perform(effects)

    def _catch_up(self, lines: deque[Mapping[str, Any]], acted_ns: deque[int]) -> None:
        """Market and venue as they were; parents have been made again from the journal and hear nothing of it."""

        def come_to(ts_ns: int) -> None:
            """The venue as it was when this moment was looked at."""
            before: list[Mapping[str, Any]] = []
            while lines and int(lines[0]["t"]) < ts_ns:
                before.append(lines.popleft())
            self._venue.restore([*before, {"t": ts_ns, "until": ts_ns, "batches": 0, "intent": None}])

        def look_until(ts_ns: int) -> None:
            while acted_ns and acted_ns[0] < ts_ns:
                at_ns = acted_ns.popleft()
                come_to(at_ns)
                for topic, message in self._look(at_ns):
                    self._engine.remember(topic, message)
                self._engine.remembered(at_ns)
            while acted_ns and acted_ns[0] == ts_ns:
                acted_ns.popleft()

        while self._next is not None and self._next.ts_ns < self.now_ns:
            moment = self._taken()
            look_until(moment.ts_ns)
            come_to(moment.ts_ns)
            for topic, message in moment.news():
                self._engine.remember(topic, message)
            self._engine.remembered(moment.ts_ns)
            self._remind(moment)
        look_until(self.now_ns)
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
        self.dealings.hear(events)
