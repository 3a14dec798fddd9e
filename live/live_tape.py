"""A market as it came in, poll by poll: a tape that grows, and that is the same tape when it is played again.

Lines of the tape's own journal, each on disk before the trader acts on it:

    opened   the feed began: exchange, symbol, and the instrument as the exchange describes it
    market   what one poll brought: trades [ts_ns, price, qty, side, id] and the best quote [ts_ns, bid, ask, sizes];
             `missed`: trades before these are missing
    gap      the trader was not there from `since` to `t`: what happened in the market in between is not known

What is heard at `t` counts as known from `t` on, however old it is; a line's `t` is later than everything that the
trader has done before. So the trader decides the same when the tape is played to it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from core import topics
from core.contracts import OHLCVBar, QuoteEvent, TradeEvent, sign
from core.instrument import Instrument
from execution.config import FillConfig
from execution.stored import instrument_facts
from execution.ticks.feed import OFF_GRID, LiveFeed
from execution.ticks.market import TickMarket
from execution.ticks.rows import BEST_ASK, BEST_BID, TRADE
from execution.ticks.venue import latency_of, queue_of
from execution.timed import TimedMarket
from live.dealings import Data
from live.engine import Log
from live.replay import Moment

OPENED: Final = "opened"
MARKET: Final = "market"
GAP: Final = "gap"
MINUTE_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What a poll brought. `quote.ts_ns` 0: nobody says when it was made. `missed`: trades before these are missing."""

    trades: tuple[TradeEvent, ...] = ()
    quote: QuoteEvent | None = None
    missed: bool = False


def opening(exchange: str, instrument: Instrument, now_ns: int) -> dict[str, Any]:
    """The first line of a tape."""
    facts = instrument_facts(instrument)
    return {"k": OPENED, "t": now_ns, "exchange": exchange, "symbol": instrument.symbol, "instrument": facts}


class LiveTape:
    """Begins with the lines that were recorded before; `take` and `slept` add to them."""

    def __init__(self, lines: Sequence[Mapping[str, Any]], log: Log, fills: FillConfig) -> None:
        """Raises ValueError where the first line does not open a tape."""
        if not lines or lines[0]["k"] != OPENED:
            raise ValueError("a tape begins with a line that opens it")
        first = lines[0]
        self.instrument = Instrument(**first["instrument"])
        self.exchange = str(first["exchange"])
        self.first_ns = int(first["t"])
        self.last_ns: int | None = None
        self.newest_ns = self.first_ns  # of the newest line
        self.known: deque[str] = deque(maxlen=10_000)  # ids of the newest trades
        self.trades = 0
        self.gaps: list[tuple[int, int]] = []
        self.missed = 0
        self.refused = 0  # prices and quotes that cannot be meant
        self._log = log
        self._quote_ns = 0
        symbol = self.instrument.symbol
        self._feed = LiveFeed(symbol, "quotes and trades")
        self._market = TickMarket(
            self._feed, self.instrument, fills=fills, queue=queue_of(fills), latency=latency_of(fills)
        )
        self.market: TimedMarket = self._market
        self._trade_topic, self._quote_topic, self._bar_topic = (
            topics.trades(symbol),
            topics.quotes(symbol),
            topics.bars(symbol),
        )
        self._moments = _Growing()
        self._minute: _Minute | None = None
        self._closed: tuple[int, OHLCVBar] | None = None
        self._bars: list[OHLCVBar] = []
        for line in lines[1:]:
            self._add(line)

    # ---- what comes in

    def take(self, batch: Batch, now_ns: int, after_ns: int) -> None:
        """Writes down what came in, and gives it out after everything that has been done up to `after_ns`."""
        trades = [one for one in batch.trades if self._is_on_grid(one.price)]
        quote = batch.quote
        if quote is not None and not (self._is_on_grid(quote.bid) and self._is_on_grid(quote.ask)):
            quote = None
        self.refused += len(batch.trades) - len(trades) + (batch.quote is not None and quote is None)
        at_ns = max(now_ns, after_ns + 1, self.newest_ns + 1)
        if quote is not None:
            seen_ns = min(quote.ts_ns or at_ns, at_ns)
            if seen_ns < self._quote_ns:
                quote = None  # an older one came later
        if not trades and quote is None and not batch.missed:
            return
        line: dict[str, Any] = {
            "k": MARKET,
            "t": at_ns,
            "trades": [[one.ts_ns, one.price, one.qty, one.side, one.trade_id] for one in trades],
            "quote": None if quote is None else [seen_ns, quote.bid, quote.ask, quote.bid_qty, quote.ask_qty],
        }
        self._write(line | ({"missed": True} if batch.missed else {}))

    def slept(self, since_ns: int, now_ns: int) -> int:
        """The trader was not there since its journal ended; returns for how many nanoseconds."""
        since_ns = max(since_ns, self.newest_ns)
        at_ns = max(now_ns, since_ns + 1)
        self._write({"k": GAP, "t": at_ns, "since": since_ns})
        return at_ns - since_ns

    # ---- as a tape

    def moments(self) -> Iterator[Moment]:
        """Those that are there; a later call of `next` may find more."""
        return self._moments

    def bar_at(self, ts_ns: int) -> OHLCVBar | None:
        """The whole minute that turned out to be over at this moment."""
        return self._closed[1] if self._closed is not None and self._closed[0] == ts_ns else None

    def look(self, ts_ns: int) -> Sequence[tuple[str, Data]]:  # noqa: ARG002 - between two polls nothing becomes known
        return ()

    def minutes(self) -> list[OHLCVBar]:
        """Every minute so far, as its polls showed it; of one without a trade the middle of its first quote."""
        at_hand = [] if self._minute is None else [self._minute.bar(self.instrument.symbol)]
        return [*self._bars, *at_hand]

    # ---- inside

    def _is_on_grid(self, price: float) -> bool:
        ticks = price / self.instrument.price(1)
        return abs(ticks - round(ticks)) <= OFF_GRID

    def _write(self, line: dict[str, Any]) -> None:
        self._log.append(line)
        self._log.sync()
        self._add(line)

    def _add(self, line: Mapping[str, Any]) -> None:
        """The simulated market has it from its time on; the trader hears of it then."""
        at_ns = self.newest_ns = int(line["t"])
        if line["k"] == GAP:
            since_ns = int(line["since"])
            self.gaps.append((since_ns, at_ns))
            self._moments.add(Moment(at_ns, self._wake_up, slept_ns=since_ns))
            return
        push = self._market.push
        for _, price, qty, side, name in line["trades"]:
            push(TRADE, at_ns, price, qty, 0 if side is None else sign(side))
            if name is not None:
                self.known.append(name)
        self.trades += len(line["trades"])
        self.missed += bool(line.get("missed"))
        if line["quote"] is not None:
            self._quote_ns, bid, ask, bid_qty, ask_qty = line["quote"]
            push(BEST_BID, at_ns, bid, bid_qty)
            push(BEST_ASK, at_ns, ask, ask_qty)
        self._moments.add(Moment(at_ns, lambda: self._news(line)))

    def _wake_up(self) -> list[tuple[str, Data]]:
        if self._minute is not None:
            self._minute.whole = False
        return []

    def _news(self, line: Mapping[str, Any]) -> list[tuple[str, Data]]:
        symbol, at_ns = self.instrument.symbol, int(line["t"])
        news: list[tuple[str, Data]] = [
            (self._trade_topic, TradeEvent(symbol, price, qty, ts_ns, side, name))
            for ts_ns, price, qty, side, name in line["trades"]
        ]
        self._turn(line, at_ns)
        if line["quote"] is not None:
            ts_ns, bid, ask, bid_qty, ask_qty = line["quote"]
            news.append((self._quote_topic, QuoteEvent(symbol, bid, ask, ts_ns, bid_qty, ask_qty)))
        bar = self.bar_at(at_ns)
        return news if bar is None else [*news, (self._bar_topic, bar)]

    def _turn(self, line: Mapping[str, Any], at_ns: int) -> None:
        """Minutes as they were heard: one is over with the first poll after it."""
        opens_ns = at_ns // MINUTE_NS * MINUTE_NS
        minute = self._minute
        if minute is not None and minute.opens_ns < opens_ns:
            bar = minute.bar(self.instrument.symbol)
            self._bars.append(bar)
            if minute.whole:
                self._closed = (at_ns, bar)
            minute = None
        for _, price, qty, _, _ in line["trades"]:
            minute = self._minute_of(minute, opens_ns, price)
            minute.add(price, qty)
        if minute is None and line["quote"] is not None:
            minute = self._minute_of(None, opens_ns, (line["quote"][1] + line["quote"][2]) / 2)
        self._minute = minute

    def _minute_of(self, minute: _Minute | None, opens_ns: int, price: float) -> _Minute:
        """The one at hand, or a new one: whole where the one before it was heard as well."""
        if minute is not None:
            return minute
        before = self._bars[-1].ts_close_ns if self._bars else self.first_ns
        return _Minute(opens_ns, price, price, price, price, whole=before == opens_ns)


@dataclass(slots=True)
class _Minute:
    opens_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    whole: bool = True

    def add(self, price: float, qty: float) -> None:
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += qty

    def bar(self, symbol: str) -> OHLCVBar:
        ends_ns = self.opens_ns + MINUTE_NS
        return OHLCVBar(symbol, self.opens_ns, ends_ns, self.open, self.high, self.low, self.close, self.volume)


class _Growing:
    """An iterator that has nothing at the moment, and may have more later."""

    def __init__(self) -> None:
        self._moments: deque[Moment] = deque()

    def add(self, moment: Moment) -> None:
        self._moments.append(moment)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Moment:
        if not self._moments:
            raise StopIteration
        return self._moments.popleft()
