"""One symbol's market as parents see it, out of quotes, trades and bars in any mixture."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from typing import Final, NamedTuple

from core.contracts import OHLCVBar, QuoteEvent, TradeEvent
from core.instrument import Instrument
from execution.events import Market

BLOCK_MEDIANS: Final = 20.0
BLOCK_SHARE_OF_DAY: Final = 0.01
_MEDIAN_OF: Final = 501  # the newest prints
_REMEMBERED: Final = 10_000  # ids of prints and bars, against repeated messages


def is_block(qty: float, median_print: float, daily_volume: float) -> bool:
    """Whether a print is too large to have been open to everybody: qty > max(20 * median print, 1 % of daily volume).

    All in base quantity. NaN in `median_print` or `daily_volume`, where one is not known, makes nothing a block.
    """
    return qty > BLOCK_MEDIANS * median_print and qty > BLOCK_SHARE_OF_DAY * daily_volume


class Prints:
    """The median size of the newest 501 prints; NaN before the first."""

    def __init__(self) -> None:
        self._newest: deque[float] = deque()
        self._sorted: list[float] = []

    @property
    def median(self) -> float:
        n = len(self._sorted)
        return (self._sorted[(n - 1) // 2] + self._sorted[n // 2]) / 2 if n else math.nan

    def add(self, qty: float) -> None:
        self._newest.append(qty)
        insort(self._sorted, qty)
        if len(self._newest) > _MEDIAN_OF:
            del self._sorted[bisect_left(self._sorted, self._newest.popleft())]


class Marks(NamedTuple):
    """Sums since the feed began; the difference of two is what happened in between.

    `volume` and `money` of the tape, `mid` and `spread` (as a part of the mid) times the seconds that they stood.
    """

    seconds: float = 0.0
    volume: float = 0.0
    money: float = 0.0
    mid: float = 0.0
    spread: float = 0.0


NO_MARKS: Final = Marks()


class Feed:
    """Takes market data and says what the market is: `market`, None while nothing is known.

    Prices are those of quotes; without any, of trades and bars, half of `instrument.spread_bps` to either side. The
    tape is that of trades; without any, of bars. Repeated messages count once (trades by their ids, bars by their
    times), and older ones than what is known change no price. With `daily_volume`, blocks do not count: `is_block`.
    """

    def __init__(self, instrument: Instrument, daily_volume: float | None = None) -> None:
        self.instrument = instrument
        self.market: Market | None = None
        self._daily_volume = math.nan if daily_volume is None else daily_volume
        self._half = (instrument.spread_bps or 0.0) / 2e4
        self._quoted = False
        self._traded = False
        self._lots = 0.0
        self._prints = Prints()
        self._seen: OrderedDict[str | int, None] = OrderedDict()
        self._marks = NO_MARKS  # as of when the newest prices began
        self._priced_ns: int | None = None
        self._asked_ns = 0

    @property
    def mid(self) -> float:
        """NaN while nothing is known."""
        if self.market is None:
            return math.nan
        return self.instrument.price(self.market.bid_ticks + self.market.ask_ticks) / 2

    def marks(self, now_ns: int) -> Marks:
        """The sums as of now, or of the latest time that was asked for; the same whoever else has asked."""
        self._asked_ns = max(now_ns, self._asked_ns)
        return self._sums(self._asked_ns)

    def _sums(self, now_ns: int) -> Marks:
        was = self._marks
        if self.market is None or self._priced_ns is None or now_ns <= self._priced_ns:
            return was
        seconds = (now_ns - self._priced_ns) / 1e9
        spread = self.instrument.price(self.market.ask_ticks - self.market.bid_ticks) / self.mid
        return was._replace(
            seconds=was.seconds + seconds, mid=was.mid + self.mid * seconds, spread=was.spread + spread * seconds
        )

    def on(self, event: QuoteEvent | TradeEvent | OHLCVBar) -> bool:
        """Takes one; True where prices are news, and not only volume."""
        if isinstance(event, QuoteEvent):
            return self._on_quote(event)
        return self._on_trade(event) if isinstance(event, TradeEvent) else self._on_bar(event)

    def _on_quote(self, quote: QuoteEvent) -> bool:
        self._quoted = True
        return self._price(quote.ts_ns, self.instrument.ticks(quote.bid), self.instrument.ticks_up(quote.ask))

    def _on_trade(self, trade: TradeEvent) -> bool:
        if trade.trade_id is not None and self._repeated(trade.trade_id):
            return False
        self._traded = True
        block = is_block(trade.qty, self._prints.median, self._daily_volume)
        self._prints.add(trade.qty)
        if not block:
            self._count(trade.qty, trade.price)
        return not self._quoted and self._around(trade.ts_ns, trade.price)

    def _on_bar(self, bar: OHLCVBar) -> bool:
        if self._repeated(bar.ts_close_ns):
            return False
        if not self._traded:
            self._count(bar.volume, (bar.high + bar.low + bar.close) / 3)
        return not self._quoted and self._around(bar.ts_close_ns, bar.close)

    def _around(self, ts_ns: int, price: float) -> bool:
        half = self._half * price
        return self._price(ts_ns, self.instrument.ticks(price - half), self.instrument.ticks_up(price + half))

    def _price(self, ts_ns: int, bid_ticks: int, ask_ticks: int) -> bool:
        if self.market is not None and ts_ns < self.market.ts_ns:
            return False
        self._marks, self._priced_ns = self._sums(ts_ns), max(ts_ns, self._priced_ns or 0)
        self.market = Market(ts_ns, bid_ticks, ask_ticks, self._tape_lots())
        return True

    def _count(self, qty: float, price: float) -> None:
        """Adds to the tape; prices stay, and so does the time from which they are."""
        self._lots += qty / self.instrument.qty(1)
        self._marks = self._marks._replace(volume=self._marks.volume + qty, money=self._marks.money + qty * price)
        if self.market is not None:
            was = self.market
            self.market = Market(was.ts_ns, was.bid_ticks, was.ask_ticks, self._tape_lots())

    def _tape_lots(self) -> int:
        return int(self._lots * (1 + 1e-12))  # sums of lots that are whole but for their rounding

    def _repeated(self, key: str | int) -> bool:
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False
