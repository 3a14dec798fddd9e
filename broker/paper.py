"""The paper venue: a simulated market behind the manners of a real one.

It takes each client order id once, acknowledges or rejects, remembers every order and every fill, and answers questions
about them. Every request is written down before it is obeyed, and every batch of news before it is told, with how far
the market had been played by then: from these lines and the same market the venue can be made again, as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from broker.base import VenueOrder, wire_id
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent
from execution.timed import TimedMarket

VenueNews = OrderEvent | FillEvent | OrderClosed


class _Account:
    """An order as the venue knows it."""

    __slots__ = ("closed", "fills", "intent")

    def __init__(self, intent: OrderIntent) -> None:
        self.intent = intent
        self.fills: tuple[FillEvent, ...] = ()
        self.closed: OrderClosed | None = None

    def seen(self) -> VenueOrder:
        filled = sum(fill.qty for fill in self.fills)
        if self.closed is not None:
            status: Any = self.closed.status
        else:
            status = "filled" if filled >= self.intent.qty * (1 - 1e-9) else "open"
        return VenueOrder(
            self.intent.intent_id,
            self.intent.symbol,
            status,
            self.intent.qty,
            filled,
            self.fills,
            None if self.closed is None else self.closed.reason,
        )


class PaperVenue:
    """Plays a market by the clock and keeps its books. `note` gets a line before anything is obeyed or told."""

    def __init__(
        self, name: str, market: TimedMarket, *, note: Callable[[dict[str, Any]], None] = lambda _line: None
    ) -> None:
        self.name = name
        self.market = market
        self._note = note
        self._orders: dict[str, _Account] = {}
        self._batches = 0  # of news that the market has given
        self._until_ns = 0  # to which it was to be played
        self._reached_ns = 0  # where it is: news stop it
        self._told: list[VenueNews] = []  # the newest batches, all of one moment
        self._told_ns = 0

    def submit(self, intent: OrderIntent, now_ns: int) -> list[VenueNews]:
        """Accepts or rejects. An id that was used before is refused and changes nothing.

        Raises ValueError for an id that cannot be sent.
        """
        wire_id(intent.intent_id)
        if intent.intent_id in self._orders:
            return []
        self._written(intent, now_ns)
        account = self._orders[intent.intent_id] = _Account(intent)
        refusal = self.market.submit(intent, now_ns)
        if refusal is not None:
            account.closed = refusal
            return [refusal]
        return [OrderEvent.of(intent, self.name, now_ns)]

    def cancel(self, intent: OrderIntent, now_ns: int) -> list[VenueNews]:
        """Takes an order out of the market; of one that is not there any more nothing is said."""
        self._written(intent, now_ns)
        answer = self.market.cancel(intent, now_ns)
        if answer is None:
            return []
        self._close(answer)
        return [answer]

    def run(self, until_ns: int) -> tuple[int, list[VenueNews]]:
        """Plays on to `until_ns`, or to the first moment with news of our orders."""
        self._until_ns = until_ns
        heard_ns, events = self.market.run(until_ns)
        self._reached_ns = heard_ns
        news: list[VenueNews] = []
        for event in events:
            if isinstance(event, FillEvent):
                self._orders[event.order_id].fills += (event,)
            else:
                self._close(event)
            news.append(event)
        if news:
            self._told = [*self._told, *news] if heard_ns == self._told_ns else news
            self._told_ns = heard_ns
            self._batches += 1
            self._written(None, heard_ns)
        return heard_ns, news

    def order(self, intent_id: str) -> VenueOrder | None:
        """None for an id that never came."""
        account = self._orders.get(intent_id)
        return None if account is None else account.seen()

    def open_orders(self) -> list[VenueOrder]:
        seen = [account.seen() for account in self._orders.values()]
        return [order for order in seen if order.is_open]

    def told(self, ts_ns: int) -> list[VenueNews]:
        """What `run` gave at this moment, in order, as far as it is the newest at which it gave something."""
        return list(self._told) if ts_ns == self._told_ns else []

    def fills_since(self, ts_ns: int) -> list[FillEvent]:
        fills = [fill for account in self._orders.values() for fill in account.fills if fill.ts_fill_ns >= ts_ns]
        return sorted(fills, key=lambda fill: fill.ts_fill_ns)

    def restore(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Brings a venue on to where it was when it wrote the last of these lines.

        Raises ValueError where the market does not do what it did then.
        """
        noted, self._note = self._note, lambda _line: None
        try:
            for line in lines:
                while self._batches < line["batches"]:
                    before = (self._batches, self._until_ns)
                    self.run(int(line["until"]))
                    if before == (self._batches, self._until_ns):
                        raise ValueError(f"at {line['t']} the venue had news that this market does not give")
                while self._reached_ns < min(int(line["until"]), int(line["t"])):
                    self.run(min(int(line["until"]), int(line["t"])))
                if line["intent"] is not None:
                    intent = OrderIntent.from_dict(line["intent"])
                    obey = self.submit if intent.action == "new" else self.cancel
                    obey(intent, int(line["t"]))
        finally:
            self._note = noted

    def _written(self, intent: OrderIntent | None, now_ns: int) -> None:
        self._note({"t": now_ns, "until": self._until_ns, "batches": self._batches, "intent": intent})

    def _close(self, closed: OrderClosed) -> None:
        self._orders[closed.intent_id].closed = closed


def positions(fills: Sequence[FillEvent]) -> dict[str, float]:
    """Signed base quantity by symbol."""
    held: dict[str, float] = {}
    for fill in fills:
        held[fill.symbol] = held.get(fill.symbol, 0.0) + (fill.qty if fill.side == "buy" else -fill.qty)
    return held
