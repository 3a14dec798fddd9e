"""Public trades and best quotes of an exchange, polled through ccxt in a thread of its own.

Whatever the network does, the trader goes on meanwhile: it answers requests, looks at the kill switch, and finds its
prices growing old. A poll that fails is repeated with growing pauses, for ever; trades of the time in between are asked
for again by their time and known by their ids, so that each counts once, and a hole that cannot be filled is named.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from core.contracts import QuoteEvent, TradeEvent
from core.errors import DataError
from core.instrument import Instrument
from live.live_tape import Batch
from live.settings import CcxtFeed
from research.exchange import MS_NS, Source, open_exchange

PAGE: Final = 500
MOST_PAGES: Final = 20
OVERLAP_MS: Final = 5_000  # asked for again each time: a trade may be published behind a newer one
WINDOW_MS: Final = 1_800_000  # some exchanges answer for an hour from `since` on, and no further
MOST_PAUSE_S: Final = 30.0
REMEMBERED: Final = 20_000
_NONSENSE: Final = (ValueError, TypeError, LookupError, ArithmeticError)  # an answer that is not what it should be


class Exchange:
    """One symbol's market at one exchange. Not for more than one thread at a time."""

    def __init__(self, settings: CcxtFeed, known: Iterable[str] = ()) -> None:
        """`known`: ids of trades heard before. Raises ConfigError without ccxt, or for an exchange that it lacks."""
        self._settings = settings
        self._client = open_exchange(settings.exchange, settings.endpoint)
        self._client.timeout = round(settings.timeout_seconds * 1000)
        self._known: OrderedDict[str, None] = OrderedDict.fromkeys(known)
        self._last_ms: int | None = None
        self._answered = True  # the last answer had trades, known ones too

    def instrument(self) -> Instrument:
        """What the exchange says of the symbol.

        Raises DataError where it does not have it, does not answer, or does not say what grid its prices have.
        """
        source = Source(self._client, self._settings.symbol)
        facts = source.facts()
        if missing := [name for name in ("tick", "lot") if name not in facts]:
            raise DataError(f"{self._settings.exchange} does not say the {' and '.join(missing)} of {source.symbol}")
        return Instrument(source.symbol, venue=self._settings.exchange, **facts)

    def poll(self) -> Batch:
        """What is new. The first one only finds where the trades are: what traded before is of no use.

        Raises what ccxt raises, and ValueError, TypeError or LookupError for an answer without sense.
        """
        trades, missed = self._trades()
        quote = self._quote()
        if self._last_ms is not None and quote is None and not self._answered:
            raise ValueError("the answer shows neither trades nor prices")  # ccxt reads nothing out of a web page
        return Batch(tuple(trades), quote, missed)

    def close(self) -> None:
        self._client.session.close()

    def _trades(self) -> tuple[list[TradeEvent], bool]:
        symbol = self._settings.symbol
        if self._last_ms is None:
            for one in sorted(self._client.fetch_trades(symbol, None, PAGE), key=_time):
                self._is_new(one)
                self._last_ms = int(one["timestamp"])
            return [], False
        asked_ms = self._last_ms - OVERLAP_MS
        since_ms = max(asked_ms, self._client.milliseconds() - WINDOW_MS)
        new: list[TradeEvent] = []
        overlaps = since_ms > asked_ms
        for _ in range(MOST_PAGES):
            answer = sorted(self._client.fetch_trades(symbol, since_ms, PAGE), key=_time)
            fresh = [one for one in answer if self._is_new(one)]
            self._answered = bool(answer)
            overlaps = overlaps or len(fresh) < len(answer) or not answer
            new += map(self._event, fresh)
            if answer:
                self._last_ms = max(self._last_ms, int(answer[-1]["timestamp"]))
            if len(answer) < PAGE or not fresh:
                return new, not overlaps
            since_ms = int(answer[-1]["timestamp"])
        return new, True  # more than it can be asked for: some are left out

    def _is_new(self, trade: Mapping[str, Any]) -> bool:
        """Once for each trade; one without an id is known by its time, price, quantity and side."""
        name = trade["id"] or "/".join(str(trade[key]) for key in ("timestamp", "price", "amount", "side"))
        if name in self._known:
            return False
        self._known[str(name)] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True

    def _event(self, trade: Mapping[str, Any]) -> TradeEvent:
        side = trade["side"] if trade["side"] in ("buy", "sell") else None
        name = None if trade["id"] is None else str(trade["id"])
        price, qty = float(trade["price"]), float(trade["amount"])
        return TradeEvent(self._settings.symbol, price, qty, int(trade["timestamp"]) * MS_NS, side, name)

    def _quote(self) -> QuoteEvent | None:
        """The best prices; None where one side is empty, or they are crossed: then there is no reference."""
        book = self._client.fetch_order_book(self._settings.symbol)
        if not book["bids"] or not book["asks"]:
            return None
        (bid, bid_qty), (ask, ask_qty) = (map(float, book[side][0][:2]) for side in ("bids", "asks"))
        if not (math.isfinite(bid_qty) and math.isfinite(ask_qty) and 0 < bid <= ask < math.inf):
            return None
        return QuoteEvent(self._settings.symbol, bid, ask, (book["timestamp"] or 0) * MS_NS, bid_qty, ask_qty)


class Poller:
    """Asks an exchange again and again in a thread; what came waits in `batches`, which any thread may empty.

    connect   makes the exchange; in the thread, as it may take its time
    wake      called from the thread when something has come
    said      called from the thread with a line for people: when the feed is lost, and when it is back
    """

    def __init__(self, connect: Callable[[], Exchange], poll_s: float) -> None:
        self.batches: deque[Batch] = deque()
        self.fails = 0  # polls that failed since the last that did not
        self._connect = connect
        self._poll_s = poll_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, wake: Callable[[], object], said: Callable[[str], object]) -> None:
        self._thread = threading.Thread(target=self._run, args=(wake, said), name="ccxt feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more from here on; a request that is under way is not waited for."""
        self._stop.set()

    def _run(self, wake: Callable[[], object], said: Callable[[str], object]) -> None:
        import ccxt

        exchange: Exchange | None = None
        pause_s = 0.0
        while not self._stop.wait(pause_s):
            try:
                exchange = exchange or self._connect()
                batch = exchange.poll()
            except (ccxt.BaseError, *_NONSENSE) as error:
                self.fails += 1
                pause_s = min(MOST_PAUSE_S, self._poll_s * 2 ** min(self.fails, 10))
                if self.fails == 1 and not self._stop.is_set():
                    said(f"the exchange does not answer as it should: {' '.join(str(error).split())[:200]}; trying on")
                continue
            if self._stop.is_set():
                break
            if self.fails:
                said("the exchange answers again")
            self.fails, pause_s = 0, self._poll_s
            self.batches.append(batch)
            wake()
        if exchange is not None:
            exchange.close()


def _time(trade: Mapping[str, Any]) -> tuple[int, int, str]:
    """ccxt sorts ids as text, so that trade 10 comes before trade 9 of the same millisecond."""
    name = str(trade["id"] or "")
    return int(trade["timestamp"]), len(name), name
