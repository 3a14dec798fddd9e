"""The broker's side of a trader split over processes, without waiting: a paper venue that answers by client order id.

Its journal is the truth about every order. Before anything is obeyed it is written down; what the venue says goes into
an outbox, and how much of that has been told is written down as well. So the venue is made again as it was, and what
may not have been told is told again. Who asks of an id that is known gets the answer that was given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from broker.base import WIRE_ID, VenueOrder
from broker.paper import PaperVenue, VenueNews
from core import topics
from core.bus import Said
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent
from core.epochs import Fence, without_epochs
from live import entries
from live.engine import Log
from live.replay import Moment
from live.tape import Tape

SHUT: Final = "shut"  # an order id that is not taken, now or ever, and why
TOLD: Final = "told"  # so many news have been published, and the market up to a moment
FENCE: Final = "fence"  # a process of a kind has begun: older ones are over
KILLED: Final = "the kill switch was tripped before it was sent"


class Tripped(Protocol):
    """The kill switch: `risk.kill.KillSwitch`."""

    def tripped(self) -> bool: ...


class _Venue(PaperVenue):
    """Hands on everything that it says, also while it is being made again."""

    def __init__(self, *arguments: Any, say: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._say = say

    def submit(self, intent: OrderIntent, now_ns: int) -> list[VenueNews]:
        return self._heard(super().submit(intent, now_ns))

    def cancel(self, intent: OrderIntent, now_ns: int) -> list[VenueNews]:
        return self._heard(super().cancel(intent, now_ns))

    def run(self, until_ns: int) -> tuple[int, list[VenueNews]]:
        heard_ns, news = super().run(until_ns)
        return heard_ns, self._heard(news)

    def _heard(self, news: list[VenueNews]) -> list[VenueNews]:
        for one in news:
            self._say(one)
        return news


class Books:
    """One account at a paper venue. `play` and `obey` in order of time; `unsaid` is what the bus has not heard.

    max_age_s  an order older than this was meant for another market and is not taken; None: whatever its age
    """

    def __init__(self, name: str, tape: Tape, journal: Log, kill: Tripped, *, max_age_s: float | None = None) -> None:
        self.now_ns = tape.first_ns
        self._name = name
        self._symbol = tape.market.instrument.symbol
        self._journal = journal
        self._kill = kill
        self._max_age_ns = None if max_age_s is None else round(max_age_s * 1e9)
        self._moments = tape.moments()
        self._next = next(self._moments, None)
        self._newest: Moment | None = None  # that has been given out
        self._shown_ns = -1  # up to here the market has been given out
        self._told_shown_ns = -1  # and this is written down
        self._ran_ns = 0  # up to here the venue has been played
        self._answers: dict[str, list[VenueNews]] = {}
        self._unsaid: deque[VenueNews] = deque()
        self._told = 0
        self._withdrawals = 0
        self._fence = Fence()
        self._venue = _Venue(name, tape.market, note=self._note, say=self._say)

    # ---- its life

    def restore(self, journal: Iterable[Mapping[str, Any]]) -> None:
        """From its own journal, before anything else. Raises ValueError where the market is another one."""
        told = 0
        for entry in journal:
            self.now_ns = max(self.now_ns, int(entry["t"]))
            match entry["k"]:
                case entries.VENUE:
                    self._venue.restore([entry])
                    self._ran_ns = max(self._ran_ns, int(entry["until"]))
                case kind if kind == SHUT:
                    self._say(OrderClosed(**entry["closed"]))
                case kind if kind == FENCE:
                    self._fence.raise_to(entry["of"], int(entry["epoch"]))
                case kind if kind == TOLD:
                    told, self._shown_ns = int(entry["count"]), int(entry["shown"])
                    self._told_shown_ns = self._shown_ns
        for _ in range(told):
            self._unsaid.popleft()
        self._told = told
        while self._next is not None and self._next.ts_ns <= self._shown_ns:
            self._newest = self._next
            self._next = next(self._moments, None)

    @property
    def next_ns(self) -> int | None:
        """When the market has news next; None: never."""
        return None if self._next is None else self._next.ts_ns

    def play(self, now_ns: int) -> Iterator[Said]:
        """The venue and the market up to now; the market's news, to be published in this order."""
        while self._next is not None and self._next.ts_ns <= now_ns:
            moment = self._next
            self._run(moment.ts_ns)
            yield from _news(moment)
            self._newest = moment
            self._shown_ns = moment.ts_ns
            self._next = next(self._moments, None)
        self._run(now_ns)

    def newest(self) -> list[Said]:
        """The market's newest news once more, after a restart."""
        return [] if self._newest is None else list(_news(self._newest))

    # ---- what it is asked

    def obey(self, intent: OrderIntent) -> Sequence[Said]:
        """An order or a cancel, as of the last `play`; what was said before of an order that was here before."""
        if intent.action == "cancel":
            return self._cancel(str(intent.target_intent_id), intent)
        if intent.intent_id in self._answers:
            return self._again(intent.intent_id)
        if self._kill.tripped():
            self._shut(intent.intent_id, "cancelled", KILLED)
        elif (replaced := self._fence.refuses(intent)) is not None:
            self._shut(intent.intent_id, "cancelled", f"R20 {replaced}")
        elif self._is_old(intent):
            self._shut(intent.intent_id, "expired", "it was too old when it arrived")
        elif intent.symbol != self._symbol:
            self._shut(intent.intent_id, "rejected", f"symbol {intent.symbol} is not traded here: {self._symbol} is")
        elif not WIRE_ID.fullmatch(intent.intent_id):
            self._shut(intent.intent_id, "rejected", "this is no client order id: 1 to 32 of a-z, 0-9 and - are")
        else:
            self._venue.submit(without_epochs(intent), self.now_ns)
        return ()

    def fence(self, kind: str, epoch: int) -> None:
        """A process of this kind has begun: what older ones send is not obeyed any more."""
        if self._fence.raise_to(kind, epoch):
            self._journal.append({"k": FENCE, "t": self.now_ns, "of": kind, "epoch": epoch})

    def ask(self, intent_id: str) -> Sequence[Said]:
        """What has become of an order. One that has never come is never taken from now on, so this answer is final."""
        if intent_id not in self._answers:
            self._shut(intent_id, "cancelled", "it has never arrived")
            return ()
        return self._again(intent_id)

    def withdraw_all(self) -> None:
        """After a kill: nothing stays open, whoever is alive to ask for it."""
        for order in self._venue.open_orders():
            self._withdrawals += 1
            self._venue.cancel(self._killing(order), self.now_ns)

    # ---- what it says

    def unsaid(self) -> list[Said]:
        """News that may not have been published, oldest first."""
        return [_said(news, again=False) for news in self._unsaid]

    def told(self, count: int) -> None:
        """So many of them have been, and all that `play` gave; it is known again after a restart."""
        if count == 0 and self._shown_ns == self._told_shown_ns:
            return
        for _ in range(count):
            self._unsaid.popleft()
        self._told += count
        self._told_shown_ns = self._shown_ns
        self._journal.append({"k": TOLD, "t": self.now_ns, "count": self._told, "shown": self._shown_ns})

    @property
    def open_orders(self) -> list[VenueOrder]:
        return self._venue.open_orders()

    def order(self, intent_id: str) -> VenueOrder | None:
        return self._venue.order(intent_id)

    def fills(self) -> list[FillEvent]:
        """All there ever were, in order of time."""
        return self._venue.fills_since(0)

    # ---- inside

    def _run(self, until_ns: int) -> None:
        self.now_ns = max(self.now_ns, until_ns)
        self._ran_ns = max(self._ran_ns, until_ns)
        heard_ns, events = self._venue.run(self._ran_ns)
        while heard_ns < self._ran_ns or events:
            heard_ns, events = self._venue.run(self._ran_ns)

    def _cancel(self, target: str, intent: OrderIntent) -> Sequence[Said]:
        """Of an order that is over nothing is said: its last word has been."""
        order = self._venue.order(target)
        if order is not None and order.is_open:
            self._venue.cancel(intent, self.now_ns)
        elif target not in self._answers:
            self._shut(target, "cancelled", "it was withdrawn before it came")
        return ()

    def _is_old(self, intent: OrderIntent) -> bool:
        if intent.expires_ts_ns is not None and intent.expires_ts_ns <= self.now_ns:
            return True
        return self._max_age_ns is not None and self.now_ns - intent.ts_local_ns > self._max_age_ns

    def _shut(self, intent_id: str, status: Literal["cancelled", "expired", "rejected"], reason: str) -> None:
        closed = OrderClosed(intent_id, self._name, status, 0.0, self.now_ns, reason)
        self._journal.append({"k": SHUT, "t": self.now_ns, "closed": closed.to_dict()})
        self._say(closed)

    def _say(self, news: VenueNews) -> None:
        name = news.order_id if isinstance(news, FillEvent) else news.intent_id
        self._answers.setdefault(name, []).append(news)
        self._unsaid.append(news)

    def _again(self, intent_id: str) -> list[Said]:
        return [_said(news, again=True) for news in self._answers[intent_id]]

    def _note(self, line: dict[str, Any]) -> None:
        self._journal.append({"k": entries.VENUE, **line})

    def _killing(self, order: VenueOrder) -> OrderIntent:
        """Side and price do not matter to a cancel."""
        return OrderIntent(
            f"kill-{self._withdrawals}", self.now_ns, "kill", order.symbol, "buy", "market", order.qty,
            action="cancel", target_intent_id=order.intent_id,
        )  # fmt: skip


def _news(moment: Moment) -> Iterator[Said]:
    for number, (topic, message) in enumerate(moment.news()):
        yield Said(topic, message.to_dict(), f"{topic}/{moment.ts_ns}/{number}")


def _said(news: VenueNews, *, again: bool) -> Said:
    match news:
        case FillEvent():
            topic, name = topics.FILLS, f"{news.order_id}/{news.fill_id}"
        case OrderEvent():
            topic, name = topics.ACCEPTED, news.intent_id
        case OrderClosed():
            topic, name = topics.CLOSED, news.intent_id
    return Said(topic, news.to_dict(), None if again else f"{topic}/{name}")
