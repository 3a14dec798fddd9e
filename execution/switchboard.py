"""What the async driver decides, without waiting for anything: a message or a moment goes in, commands come out.

Parents hear what concerns them: their own children's fates at once, and the newest market right before anything else,
or as it comes where they listen for it. That is what the sync driver does with bars, so both make the same decisions.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from core import topics
from core.contracts import (
    Contract,
    FillEvent,
    OHLCVBar,
    OrderClosed,
    OrderEvent,
    OrderIntent,
    QuoteEvent,
    RiskDecision,
    TradeEvent,
)
from core.instrument import Instrument
from execution.contracts import ExecutionReport
from execution.desk import Worked
from execution.events import Event, Market, OrderUnknown, Wake
from execution.feed import NO_MARKS, Feed, Marks

Command = OrderIntent | ExecutionReport
Fate = FillEvent | OrderClosed | OrderEvent | OrderUnknown | RiskDecision
OWN_TOPICS: Final[dict[str, type[Contract]]] = {
    topics.FILLS: FillEvent,
    topics.CLOSED: OrderClosed,
    topics.RISK: RiskDecision,
    topics.ACCEPTED: OrderEvent,
}
MARKET_TOPICS: Final[tuple[tuple[Callable[[str], str], type[Contract]], ...]] = (
    (topics.quotes, QuoteEvent),
    (topics.trades, TradeEvent),
    (topics.bars, OHLCVBar),
)
_ENDED_KEPT: Final = 1000  # parents that have ended and may still hear of late fills


@dataclass(slots=True)
class _Seat:
    number: int
    execution_id: str
    parent: Worked
    feed: Feed
    decision_price: float | None
    seen: Market | None = None
    wake_ns: int | None = None
    began: bool = False
    arrival_price: float = math.nan
    end_price: float = math.nan
    first: Marks = NO_MARKS
    last: Marks | None = None  # at the last fill
    first_due_ns: int | None = None  # of before a restart: to be taken once the tape is there again
    last_due_ns: int | None = None
    fills: set[str] = field(default_factory=set)  # their ids: a repeated one is no news
    reported: ExecutionReport | None = None

    @property
    def is_due(self) -> bool:
        return self.first_due_ns is not None or self.last_due_ns is not None

    def take_marks(self, ts_ns: int) -> None:
        """Those that are due, now that the feed has come to this time."""
        if self.first_due_ns is not None and self.first_due_ns <= ts_ns:
            self.first, self.first_due_ns = self.feed.marks(self.first_due_ns), None
        if self.last_due_ns is not None and self.last_due_ns <= ts_ns:
            self.last, self.last_due_ns = self.feed.marks(self.last_due_ns), None


class Switchboard:
    """Parents at work and the market data of their symbols.

    instruments    the symbols that parents may trade
    daily_volumes  base quantity per day; for the symbols that have one, block prints do not count as volume
    own_in_tape    whether market data include our own trades, as live data do; for benchmarks only
    on_refused     hears of messages that could not be read (topic, reason); they change nothing
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        daily_volumes: Mapping[str, float] | None = None,
        own_in_tape: bool = False,
        on_refused: Callable[[str, str], None] = lambda _topic, _reason: None,
    ) -> None:
        volumes = daily_volumes or {}
        self.feeds = {symbol: Feed(one, volumes.get(symbol)) for symbol, one in instruments.items()}
        self.refused = 0
        self._own_in_tape = own_in_tape
        self._on_refused = on_refused
        self._kinds: dict[str, type[Contract]] = dict(OWN_TOPICS)
        self._feeds_by_topic: dict[str, Feed] = {}
        for symbol, feed in self.feeds.items():
            for topic, kind in MARKET_TOPICS:
                self._kinds[topic(symbol)] = kind
                self._feeds_by_topic[topic(symbol)] = feed
        self._seats: dict[str, _Seat] = {}
        self._owners: dict[str, _Seat] = {}
        self._ended: deque[_Seat] = deque()
        self._due: list[_Seat] = []
        self._admitted = 0
        self._now_ns = 0

    @property
    def topics(self) -> tuple[str, ...]:
        """What it wants to hear, its own children's fates first."""
        return tuple(self._kinds)

    def state(self, execution_id: str) -> str:
        """The state of a parent at work, in a word. Raises KeyError for any other."""
        parent = self._seats[execution_id].parent
        return str(getattr(parent, "state", "working"))

    @property
    def working(self) -> bool:
        return bool(self._seats)

    @property
    def wake_ns(self) -> int | None:
        """When to call `wake`; None: not before something is heard."""
        return min((seat.wake_ns for seat in self._seats.values() if seat.wake_ns is not None), default=None)

    def admit(self, parent: Worked, *, children: Iterable[str] = (), decision_price: float | None = None) -> str:
        """Takes a parent on and returns its execution id; it does nothing before `begin`. `children`: already sent.

        Raises ValueError for a symbol without an instrument, or an execution that is at work or has been.
        """
        report = parent.report()
        if report.symbol not in self.feeds:
            known = ", ".join(sorted(self.feeds)) or "none"
            raise ValueError(f"symbol {report.symbol!r} has no instrument here; known: {known}")
        if report.execution_id in self._seats or any(s.execution_id == report.execution_id for s in self._ended):
            raise ValueError(f"execution_id {report.execution_id!r} is at work already, or has been")
        seat = _Seat(self._admitted, report.execution_id, parent, self.feeds[report.symbol], decision_price)
        self._admitted += 1
        self._seats[seat.execution_id] = seat
        self._owners.update(dict.fromkeys(children, seat))
        return seat.execution_id

    def begin(self, execution_id: str, now_ns: int) -> list[Command]:
        """Puts an admitted parent to work; it sends nothing before its own start."""
        seat = self._seats[execution_id]
        seat.began = True
        seat.arrival_price = seat.feed.mid
        seat.first = seat.feed.marks(now_ns)
        return self._deliver(seat, Wake(), now_ns)

    def tell(self, execution_id: str, event: Event, now_ns: int) -> list[Command]:
        """A request to one parent: pause, resume, amend, cancel. To one that has ended it changes nothing."""
        seat = self._seats.get(execution_id)
        return [] if seat is None else self._deliver(seat, event, now_ns)

    def tell_all(self, event: Event, now_ns: int) -> list[Command]:
        return [command for name in list(self._seats) for command in self.tell(name, event, now_ns)]

    def wake(self, now_ns: int) -> list[Command]:
        """The time has come: wakes the parents that wait for it, the longest waiting first."""
        due = [seat for seat in self._seats.values() if seat.wake_ns is not None and seat.wake_ns <= now_ns]
        due.sort(key=lambda seat: (seat.wake_ns, seat.number))
        return [command for seat in due for command in self._deliver(seat, Wake(), now_ns)]

    def hear(self, topic: str, message: dict[str, Any], now_ns: int) -> list[Command]:
        """Takes a message of one of `topics`. Raises KeyError for any other topic."""
        kind = self._kinds[topic]
        try:
            event = kind.from_dict(message)
        except ValueError as error:
            self.refused += 1
            self._on_refused(topic, str(error))
            return []
        if isinstance(event, QuoteEvent | TradeEvent | OHLCVBar):
            return self.take(topic, event, now_ns)
        if not isinstance(event, FillEvent | OrderClosed | OrderEvent | RiskDecision):
            raise AssertionError(f"no such kind of message: {kind.__name__}")
        return self.fate(event, now_ns)

    def take(self, topic: str, event: QuoteEvent | TradeEvent | OHLCVBar, now_ns: int) -> list[Command]:
        """News of the market. Raises KeyError for a topic that is not one of `topics`."""
        feed = self._feeds_by_topic[topic]
        return self._show(feed, now_ns) if feed.on(event) else []

    def fate(self, event: Fate, now_ns: int) -> list[Command]:
        """What became of a child; of others' orders nothing follows."""
        seat = self._owner(event)
        if seat is None or (isinstance(event, RiskDecision) and event.allowed):  # leave to trade changes nothing
            return []
        return self._deliver(seat, event, now_ns)

    def show_owner(self, event: Fate, now_ns: int) -> list[Command]:
        """The newest market to the parent that this is about, before it hears of it."""
        seat = self._owner(event)
        return [] if seat is None or not seat.began else self._deliver(seat, None, now_ns)

    def show_due(self, now_ns: int) -> list[Command]:
        """The newest market to the parent that `wake` would wake first."""
        due = [seat for seat in self._seats.values() if seat.wake_ns is not None and seat.wake_ns <= now_ns]
        first = min(due, key=lambda seat: (seat.wake_ns, seat.number), default=None)
        return [] if first is None else self._deliver(first, None, now_ns)

    def owns(self, event: Fate) -> bool:
        """Whether it is about a child of a parent here."""
        return self._owner(event) is not None

    # ---- a parent that is made again from what it once heard

    def remember(self, topic: str, event: QuoteEvent | TradeEvent | OHLCVBar) -> None:
        """News of before: the feed follows, nobody is shown anything."""
        self._feeds_by_topic[topic].on(event)

    def remembered(self, ts_ns: int) -> None:
        """All news up to this time have been remembered: benchmarks of parents that began, or filled, by then."""
        for seat in self._due:
            seat.take_marks(ts_ns)
        self._due = [seat for seat in self._due if seat.is_due]

    def recall_begin(self, execution_id: str, arrival_price: float, now_ns: int) -> None:
        """It was put to work then, and if it has heard nothing since, it is to be woken.

        Its benchmarks begin there too, where the market of then is remembered: `remembered`.
        """
        seat = self._seats[execution_id]
        seat.began = True
        seat.wake_ns = now_ns
        seat.arrival_price = arrival_price
        seat.first_due_ns = now_ns
        self._due.append(seat)

    def recall(self, execution_id: str, event: Event, now_ns: int) -> tuple[OrderIntent, ...]:
        """What it heard then, and nothing besides: the children that it wanted then. Its report is not given again."""
        self._now_ns = max(self._now_ns, now_ns)
        seat = self._seats.get(execution_id) or next(one for one in self._ended if one.execution_id == execution_id)
        if isinstance(event, Market):
            seat.seen = event
        if isinstance(event, FillEvent) and event.fill_id not in seat.fills:
            seat.fills.add(event.fill_id)
            if not seat.is_due:
                self._due.append(seat)
            seat.last_due_ns = now_ns
        step = seat.parent.on(event, now_ns)
        seat.wake_ns = step.wake_ns
        self._owners.update((intent.intent_id, seat) for intent in step.commands)
        return step.commands

    def recall_report(self, report: ExecutionReport) -> None:
        """It has ended and was reported so."""
        seat = self._seats.pop(report.execution_id, None)
        if seat is not None:
            self._ended.append(seat)
        else:
            seat = next(one for one in self._ended if one.execution_id == report.execution_id)
        seat.arrival_price, seat.end_price = report.arrival_price, report.end_price
        seat.reported = report

    def unreported(self, now_ns: int) -> list[Command]:
        """The reports of parents that have ended and have not been reported."""
        self._now_ns = max(self._now_ns, now_ns)
        ended = [seat for seat in self._seats.values() if seat.parent.ended]
        return [command for seat in ended for command in self._leave(seat)]

    def _owner(self, event: Fate) -> _Seat | None:
        return self._owners.get(event.order_id if isinstance(event, FillEvent) else event.intent_id)

    def unfinished(self) -> list[ExecutionReport]:
        """Reports of the parents that are still at work, as they stand."""
        return [self._report(seat) for seat in self._seats.values()]

    def _show(self, feed: Feed, now_ns: int) -> list[Command]:
        """New prices, to the parents that listen for them or are due to act at this very moment."""
        shown = [
            seat
            for seat in self._seats.values()
            if seat.began
            and seat.feed is feed
            and (seat.parent.listens or (seat.wake_ns is not None and seat.wake_ns <= now_ns))
        ]
        return [command for seat in shown for command in self._deliver(seat, None, now_ns)]

    def _deliver(self, seat: _Seat, event: Event | None, now_ns: int) -> list[Command]:
        """The newest market where the parent has not seen it, then the event; what they make it do."""
        self._now_ns = max(self._now_ns, now_ns)
        commands: list[Command] = []
        news = seat.feed.market
        events: list[Event] = []
        if news is not None and news != seat.seen:
            seat.seen = news
            events.append(news)
        if event is not None:
            events.append(event)
        if isinstance(event, FillEvent) and event.fill_id not in seat.fills:
            seat.fills.add(event.fill_id)
            seat.take_marks(now_ns)
            seat.last = seat.feed.marks(now_ns)
        for one in events:
            step = seat.parent.on(one, now_ns)
            seat.wake_ns = step.wake_ns
            for intent in step.commands:
                self._owners[intent.intent_id] = seat
                commands.append(intent)
        if seat.parent.ended:
            commands += self._leave(seat)
        return commands

    def _leave(self, seat: _Seat) -> list[Command]:
        """The report of a parent that has ended; again where the venue has more to say after all."""
        if seat.execution_id in self._seats:
            del self._seats[seat.execution_id]
            seat.end_price = seat.feed.mid
            self._ended.append(seat)
            if len(self._ended) > _ENDED_KEPT:
                self._forget(self._ended.popleft())
        report = self._report(seat)
        if report == seat.reported:
            return []
        seat.reported = report
        return [report]

    def _forget(self, gone: _Seat) -> None:
        self._owners = {name: seat for name, seat in self._owners.items() if seat is not gone}

    def _report(self, seat: _Seat) -> ExecutionReport:
        """The parent's own, with what the market did between its start and its last fill."""
        report = seat.parent.report()
        seat.take_marks(self._now_ns)
        last = seat.last if seat.last is not None else seat.feed.marks(self._now_ns)
        seconds = last.seconds - seat.first.seconds
        volume, money = last.volume - seat.first.volume, last.money - seat.first.money
        own = report.filled_quantity
        own_money = own * report.avg_fill_price if own else 0.0
        if self._own_in_tape:
            volume, money = max(0.0, volume - own), money - own_money
        return replace(
            report,
            decision_price=seat.arrival_price if seat.decision_price is None else seat.decision_price,
            arrival_price=seat.arrival_price,
            end_price=seat.end_price,
            benchmark_vwap=_ratio(money, volume),
            benchmark_vwap_own=_ratio(money + own_money, volume + own) if volume > 0 else math.nan,
            benchmark_twap=_ratio(last.mid - seat.first.mid, seconds),
            spread_bps=1e4 * _ratio(last.spread - seat.first.spread, seconds),
            market_volume=volume if seconds > 0 else math.nan,
        )


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else math.nan
