"""The venue as it is, whatever anybody hears of it: a witness in front of the paper venue."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broker.base import VenueOrder
from broker.paper import PaperVenue, VenueNews
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, sign
from tests.markets import INSTRUMENT


class Truth:
    """Passes everything on to the venue and keeps what happened there. Quantities are lots."""

    def __init__(self, venue: PaperVenue) -> None:
        self.arrivals: Counter[str] = Counter()  # of new orders by their id
        self.owner: dict[str, str] = {}
        self.left: dict[str, int] = {}  # open orders
        self.filled: defaultdict[str, int] = defaultdict(int)  # by execution
        self.fills: dict[str, FillEvent] = {}
        self._venue = venue

    def submit(self, intent: OrderIntent, now_ns: int) -> list[VenueNews]:
        self.arrivals[intent.intent_id] += 1
        news = self._venue.submit(intent, now_ns)
        if any(isinstance(one, OrderEvent) for one in news):
            self.owner[intent.intent_id] = str(intent.meta["execution_id"])
            self.left[intent.intent_id] = INSTRUMENT.lots(intent.qty)
        return news

    def cancel(self, intent: OrderIntent, now_ns: int) -> list[VenueNews]:
        news = self._venue.cancel(intent, now_ns)
        self._watch(news)
        return news

    def run(self, until_ns: int) -> tuple[int, list[VenueNews]]:
        heard_ns, news = self._venue.run(until_ns)
        self._watch(news)
        return heard_ns, news

    def order(self, intent_id: str) -> VenueOrder | None:
        return self._venue.order(intent_id)

    def open_orders(self) -> list[VenueOrder]:
        return self._venue.open_orders()

    def fills_since(self, ts_ns: int) -> list[FillEvent]:
        return self._venue.fills_since(ts_ns)

    def restore(self, lines: Iterable[Mapping[str, Any]]) -> None:
        raise AssertionError("this venue never restarts")

    @property
    def position(self) -> float:
        return sum(sign(fill.side) * fill.qty for fill in self.fills.values())

    @property
    def cash(self) -> float:
        return cash_of(self.fills.values())

    def open_lots(self, execution_id: str) -> int:
        return sum(lots for name, lots in self.left.items() if self.owner[name] == execution_id)

    def _watch(self, news: Sequence[VenueNews]) -> None:
        for one in news:
            if isinstance(one, FillEvent):
                lots = INSTRUMENT.lots(one.qty)
                assert one.fill_id not in self.fills
                self.fills[one.fill_id] = one
                self.filled[self.owner[one.order_id]] += lots
                self.left[one.order_id] -= lots
                if self.left[one.order_id] == 0:
                    del self.left[one.order_id]
            elif isinstance(one, OrderClosed):
                self.left.pop(one.intent_id, None)


def cash_of(fills: Iterable[FillEvent]) -> float:
    """Money in less money out, fees taken off."""
    return -sum(sign(fill.side) * fill.qty * fill.price + fill.fee for fill in fills)
