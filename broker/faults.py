"""A venue that goes wrong on purpose: what a network and an exchange do to orders, by chance that is data.

`FaultyVenue` stands in front of a venue of the shape of `broker.paper.PaperVenue` and loses, delays, repeats, reorders
and refuses what passes, each as often as its `Faults` say. What it did is in `log`. The venue behind it stays the
truth; a question that is answered is answered truly, but for orders too young to be found.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, NamedTuple, Protocol

from broker.base import BrokerUnavailableError, VenueOrder
from core import checks
from core.chance import Dice
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent
from core.instrument import Instrument
from execution.events import OrderUnknown

SECOND: Final = 1_000_000_000
News = OrderEvent | FillEvent | OrderClosed
Told = News | OrderUnknown


class PlayedVenue(Protocol):
    """A venue that is played by the clock: `broker.paper.PaperVenue`."""

    def submit(self, intent: OrderIntent, now_ns: int) -> Sequence[News]: ...
    def cancel(self, intent: OrderIntent, now_ns: int) -> Sequence[News]: ...
    def run(self, until_ns: int) -> tuple[int, Sequence[News]]: ...
    def order(self, intent_id: str) -> VenueOrder | None: ...
    def open_orders(self) -> Sequence[VenueOrder]: ...
    def fills_since(self, ts_ns: int) -> Sequence[FillEvent]: ...
    def restore(self, lines: Iterable[Mapping[str, Any]]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often what happens, 0 never, 1 always; and for how long, in nanoseconds.

    lost_request    a request never arrives, and its sender hears that nobody knows
    late_request    it arrives up to `arrival_ns` later; its sender hears nothing, or that nobody knows
    lost_answer     it arrives, but the answer is lost, and its sender hears that nobody knows
    silence         the same, but the sender is not even told so
    rejected        the venue rejects the order
    cut_fill        a fill comes as two
    told_full       what has filled wholly is also closed, as many exchanges say it
    lost_news       an acceptance, a fill or a close is never told
    late_news       it is told up to `delay_ns` later, after what came behind it
    repeated_news   it is told twice
    hidden          an order is not found for `arrival_ns` after it was sent
    forgotten       an order that is not open any more is not found; its fills are
    unavailable     a question is not answered
    outage          a request or question begins a time of up to `outage_ns` in which nothing is answered or told
    """

    lost_request: float = 0.0
    late_request: float = 0.0
    lost_answer: float = 0.0
    silence: float = 0.0
    rejected: float = 0.0
    cut_fill: float = 0.0
    told_full: float = 0.0
    lost_news: float = 0.0
    late_news: float = 0.0
    repeated_news: float = 0.0
    hidden: float = 0.0
    forgotten: float = 0.0
    unavailable: float = 0.0
    outage: float = 0.0
    arrival_ns: int = 5 * SECOND
    delay_ns: int = 60 * SECOND
    outage_ns: int = 120 * SECOND

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name.endswith("_ns"):
                checks.not_negative(each.name, getattr(self, each.name))
            else:
                checks.between(each.name, getattr(self, each.name), 0, 1)


NONE: Final = Faults()


class Struck(NamedTuple):
    """A fault that happened: when, which, and to what."""

    ts_ns: int
    fault: str
    subject: str


class FaultyVenue:
    """In front of `venue`; fills are cut on the lots of `instrument`. `faults` may be replaced at any time."""

    def __init__(self, venue: PlayedVenue, instrument: Instrument, faults: Faults, *seed: object) -> None:
        self.faults = faults
        self.log: list[Struck] = []
        self._venue = venue
        self._instrument = instrument
        self._draw = Dice("faulty venue", *seed)
        self._now_ns = 0
        self._posted = 0
        self._mail: list[tuple[int, int, OrderIntent | News]] = []  # intents are on their way in, news on their way out
        self._out_until_ns = 0
        self._sent_ns: dict[str, int] = {}
        self._rejected: dict[str, OrderClosed] = {}
        self._cut: dict[tuple[str, str], tuple[FillEvent, ...]] = {}
        self._told: dict[str, float] = {}
        self._wanted: dict[str, OrderIntent] = {}

    # ---- a venue

    def submit(self, intent: OrderIntent, now_ns: int) -> list[Told]:
        self._sent_ns.setdefault(intent.intent_id, now_ns)
        return self._request(intent, now_ns)

    def cancel(self, intent: OrderIntent, now_ns: int) -> list[Told]:
        """Nothing is known of a cancel whose answer is lost, and of its order neither."""
        return self._request(intent, now_ns)

    def run(self, until_ns: int) -> tuple[int, list[News]]:
        """Plays on to `until_ns`, or to the first moment with news; requests arrive on the way."""
        while True:
            self._now_ns = max(self._now_ns, until_ns)
            limit_ns = min(until_ns, self._mail[0][0]) if self._mail else until_ns
            heard_ns, news = self._venue.run(limit_ns)
            told = self._tell(news, heard_ns)
            if told:
                return heard_ns, told
            if news or heard_ns < limit_ns:
                continue
            if not self._mail or self._mail[0][0] > until_ns:
                return until_ns, []
            at_ns = max(self._mail[0][0], heard_ns)
            arrived = [heapq.heappop(self._mail)[2] for _ in range(self._due(at_ns))]
            told = []
            for one in arrived:
                if isinstance(one, OrderIntent):
                    told += self._tell(self._obey(one, at_ns), at_ns)
                elif not self._is_out(at_ns):
                    told.append(one)
            if told:
                return at_ns, told

    def order(self, intent_id: str) -> VenueOrder | None:
        """Raises BrokerUnavailableError."""
        self._must_answer(intent_id)
        sent_ns = self._sent_ns.get(intent_id)
        young = sent_ns is not None and self._now_ns < sent_ns + self.faults.arrival_ns
        if young and self._strikes("hidden", intent_id):
            return None
        if intent_id in self._rejected:
            if self._strikes("forgotten", intent_id):
                return None
            intent, closed = self._wanted[intent_id], self._rejected[intent_id]
            return VenueOrder(intent_id, intent.symbol, "rejected", intent.qty, 0.0, (), closed.reason)
        found = self._venue.order(intent_id)
        if found is None or (not found.is_open and self._strikes("forgotten", intent_id)):
            return None
        return self._as_told(found)

    def open_orders(self) -> list[VenueOrder]:
        """Raises BrokerUnavailableError."""
        self._must_answer("open orders")
        return [self._as_told(order) for order in self._venue.open_orders()]

    def fills_since(self, ts_ns: int) -> list[FillEvent]:
        """Raises BrokerUnavailableError."""
        self._must_answer("fills")
        return [piece for fill in self._venue.fills_since(ts_ns) for piece in self._pieces(fill)]

    def restore(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """The venue behind it as it was; what was under way then is lost."""
        self._venue.restore(lines)

    # ---- for whoever looks on

    @property
    def under_way(self) -> list[OrderIntent]:
        """Requests that have been sent and will still arrive."""
        return [one for _, _, one in self._mail if isinstance(one, OrderIntent)]

    @property
    def next_ns(self) -> int | None:
        """When something arrives next, the market apart."""
        return self._mail[0][0] if self._mail else None

    # ---- inside

    def _request(self, intent: OrderIntent, now_ns: int) -> list[Told]:
        self._now_ns = max(self._now_ns, now_ns)
        subject = intent.target_intent_id if intent.action == "cancel" else intent.intent_id
        unknown: list[Told] = [OrderUnknown(str(subject))]
        self._maybe_outage(intent.intent_id)
        if self._is_out(now_ns) or self._strikes("lost_request", intent.intent_id):
            return unknown
        if self._strikes("late_request", intent.intent_id):
            self._post(now_ns + 1 + self._draw(max(1, self.faults.arrival_ns - 1)), intent)
            return unknown if self._draw(2) else []
        news = self._obey(intent, now_ns)
        if self._strikes("lost_answer", intent.intent_id):
            return unknown
        if self._strikes("silence", intent.intent_id):
            return []
        return [*self._tell(news, now_ns)]

    def _obey(self, intent: OrderIntent, now_ns: int) -> Sequence[News]:
        if intent.action == "cancel":
            return self._venue.cancel(intent, now_ns)
        if intent.intent_id in self._rejected:
            return []
        if self._strikes("rejected", intent.intent_id):
            self._wanted[intent.intent_id] = intent
            venue = self._instrument.venue
            closed = OrderClosed(intent.intent_id, venue, "rejected", 0.0, now_ns, "the venue has had enough of it")
            self._rejected[intent.intent_id] = closed
            return [closed]
        self._wanted[intent.intent_id] = intent
        return self._venue.submit(intent, now_ns)

    def _tell(self, news: Sequence[News], now_ns: int) -> list[News]:
        """What is heard at once; the rest is on its way, or nobody will hear of it."""
        told: list[News] = []
        for one in news:
            for piece in self._with_full_close(one, now_ns):
                subject = piece.fill_id if isinstance(piece, FillEvent) else piece.intent_id
                if self._is_out(now_ns) or self._strikes("lost_news", subject):
                    continue
                for _ in range(2 if self._strikes("repeated_news", subject) else 1):
                    if self._strikes("late_news", subject):
                        self._post(now_ns + 1 + self._draw(max(1, self.faults.delay_ns)), piece)
                    else:
                        told.append(piece)
        return told

    def _with_full_close(self, one: News, now_ns: int) -> list[News]:
        if not isinstance(one, FillEvent):
            return [one]
        pieces: list[News] = [*self._pieces(one)]
        intent = self._wanted.get(one.order_id)
        if intent is not None:
            filled = self._told[one.order_id] = self._told.get(one.order_id, 0.0) + one.qty
            if filled >= intent.qty * (1 - 1e-9) and self._strikes("told_full", one.order_id):
                pieces.append(OrderClosed(one.order_id, self._instrument.venue, "filled", intent.qty, now_ns))
        return pieces

    def _pieces(self, fill: FillEvent) -> tuple[FillEvent, ...]:
        """The fill as it is told and listed; the same whenever somebody asks."""
        key = (fill.order_id, fill.fill_id)
        pieces = self._cut.get(key)
        if pieces is None:
            lots = self._instrument.lots(fill.qty)
            pieces = (fill,)
            if lots > 1 and self._strikes("cut_fill", fill.fill_id):
                first = 1 + self._draw(lots - 1)
                fee = fill.fee * first / lots
                pieces = (
                    replace(fill, fill_id=f"{fill.fill_id}-a", qty=self._instrument.qty(first), fee=fee),
                    replace(
                        fill, fill_id=f"{fill.fill_id}-b", qty=self._instrument.qty(lots - first), fee=fill.fee - fee
                    ),
                )
            self._cut[key] = pieces
        return pieces

    def _as_told(self, order: VenueOrder) -> VenueOrder:
        return replace(order, fills=tuple(piece for fill in order.fills for piece in self._pieces(fill)))

    def _must_answer(self, subject: str) -> None:
        self._maybe_outage(subject)
        if self._is_out(self._now_ns) or self._strikes("unavailable", subject):
            raise BrokerUnavailableError(f"the venue does not answer on {subject}")

    def _maybe_outage(self, subject: str) -> None:
        if not self._is_out(self._now_ns) and self._strikes("outage", subject):
            self._out_until_ns = self._now_ns + 1 + self._draw(max(1, self.faults.outage_ns))

    def _is_out(self, now_ns: int) -> bool:
        return now_ns < self._out_until_ns and self.faults.outage > 0

    def _strikes(self, fault: str, subject: str) -> bool:
        often: float = getattr(self.faults, fault)
        if often == 0.0 or self._draw(1 << 30) >= often * (1 << 30):
            return False
        self.log.append(Struck(self._now_ns, fault, subject))
        return True

    def _post(self, at_ns: int, one: OrderIntent | News) -> None:
        self._posted += 1
        heapq.heappush(self._mail, (at_ns, self._posted, one))

    def _due(self, at_ns: int) -> int:
        return sum(1 for ns, _, _ in self._mail if ns <= at_ns)
