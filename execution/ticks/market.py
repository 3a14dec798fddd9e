"""The simulated market of one symbol on its events: trades, quotes and trades, or an order book and trades.

    market.submit(intent, now_ns)
    now_ns, events = market.run(until_ns)

`run` plays the market up to a time, but stops when something of ours is heard. At one moment the market moves first;
then what of ours arrives acts. With latency, orders and cancels arrive later than they are sent, and fills and closes
are heard later than they happen: a cancel can lose the race against a fill.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from core.bars import Bars
from core.contracts import FillEvent, OrderClosed, OrderIntent, QuoteEvent, TradeEvent, sign
from core.frozen import FrozenDict
from core.instrument import Instrument
from execution.config import FillConfig
from execution.events import Market
from execution.fills import paid, quoted_ticks
from execution.filters import refusal_of, whole_steps
from execution.pressure import Pressure
from execution.ticks.book import ASK, BID, NO_ASK, NO_BID, SHOWN, TRADED, level_at
from execution.ticks.feed import LiveFeed, TickFeed, on_grid
from execution.ticks.impact import Impact
from execution.ticks.latency import Latency
from execution.ticks.match import half_of, mid_of
from execution.ticks.orders import Rules
from execution.ticks.own import FAR, Own, OwnOrders
from execution.ticks.player import Player
from execution.ticks.post import ARRIVES, CANCELS, EXPIRES, NEVER, Post, VenueEvent
from execution.ticks.queue import QueueModel
from execution.ticks.rows import BEST_ASK, BEST_BID, NO_BOOK, TRADE, clean
from execution.ticks.sight import GivenSpread, HalfSpread, best_prices, middle_of_trades

WINDOW: Final = 2**17  # ticks of an order book that are kept
DEFAULT_QUEUE: Final = QueueModel()
NO_LATENCY: Final = Latency()


class TickMarket:
    """A venue that fills our orders from a feed.

    half_spread  where trades are all that the feed has, in price units: a number, an array of one per bar of `bars`,
                 or a function of the time in ns, asked once a minute
    pressure     the memory of our impact, on `bars`: one-minute bars made of the feed's trades, the ones that it was
                 made with. None: prices are what is displayed
    window       ticks of an order book that are kept around its best prices, a power of two
    compiled     whether machine code plays the feed; None: a `TickFeed` yes, a `LiveFeed` no. Same answers

    The `meta` of every fill says what of its price is `half_spread` and what is `impact`, in price units and positive
    when they cost. Of `FillConfig` only `max_participation` is read, where the feed shows no book.
    """

    def __init__(
        self,
        feed: TickFeed | LiveFeed,
        instrument: Instrument,
        *,
        half_spread: HalfSpread = 0.0,
        pressure: Pressure | None = None,
        bars: Bars | None = None,
        fills: FillConfig,
        queue: QueueModel = DEFAULT_QUEUE,
        latency: Latency = NO_LATENCY,
        window: int = WINDOW,
        compiled: bool | None = None,
    ) -> None:
        if window < 4 or window & (window - 1):
            raise ValueError(f"window must be a power of two and at least 4, was {window}")
        self.feed = feed
        self.instrument = instrument
        self.now_ns = 0
        self._spread = GivenSpread(half_spread, bars)
        self._latency = latency
        self._impact = Impact(instrument, pressure, bars if pressure is not None else None)
        self._tick = instrument.price(1)
        self._shows = feed.shows
        rules = Rules(queue.code, queue.exponent, fills.max_participation, queue.queue_ahead)
        fast = isinstance(feed, TickFeed) if compiled is None else compiled
        self._own = OwnOrders()
        self._player = Player(feed, self._own, rules, latency.response_ns, window=window, compiled=fast)
        self._seen = self._player  # the market as far as we can see it
        if latency.feed_ms:
            self._seen = Player(feed, OwnOrders(), rules, 0, window=window, compiled=fast)
        self._half_until_ns = 0
        self._viewed_ns = -1
        self._viewed: Market | None = None  # at that time
        self._turns_ns = 0  # when the displacement or the given spread may change next
        self._post = Post(latency.response_ns)

    @property
    def busy(self) -> bool:
        """Whether anything of ours is in the market, on its way there, or on its way back."""
        return len(self._own) > 0 or self._post.busy

    @property
    def response_ns(self) -> int:
        """How long after it happened something is heard."""
        return self._latency.response_ns

    # ---- what is sent

    def submit(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None:
        """Sends an order; gives back its close where the venue's filters reject it and no message takes time."""
        self._reach(now_ns)
        near = intent.limit_price if intent.limit_price is not None else self.mid(now_ns)
        lots, limit = whole_steps(self.instrument, intent)
        reason = refusal_of(self.instrument, intent, near, lots, limit)
        if reason is not None:
            arrives = now_ns + self._latency.order_ns
            closed = OrderClosed(intent.intent_id, self.instrument.venue, "rejected", 0.0, arrives, reason)
            return self._answer(closed, at_once=not (self._latency.order_ms or self._latency.response_ms))
        own = Own(intent, BID if sign(intent.side) > 0 else ASK, lots, limit)
        if self._latency.order_ms:
            self._post.send(now_ns + self._latency.order_ns, ARRIVES, own)
        else:
            self._arrive(own)
        return None

    def cancel(self, intent: OrderIntent, now_ns: int) -> OrderClosed | None:
        """Asks to take an order out. The close is given back where no message takes time, else heard later.

        An order that is not in the market when the cancel arrives, or not yet, is not closed by it: no answer.
        """
        self._reach(now_ns)
        target = intent.target_intent_id or ""
        if self._latency.cancel_ms:
            self._post.send(now_ns + self._latency.cancel_ns, CANCELS, target)
            return None
        return self._cancel(target)

    # ---- what happens

    def run(self, until_ns: int, *, whole: bool = False) -> tuple[int, list[VenueEvent]]:
        """Plays the market up to and including `until_ns`, or to the first moment at which something of ours is heard.

        `whole`: fills that leave something of their order do not stop it; they are heard with what comes next, in order
        of time, if need be at a moment at which nothing else happens. For callers who would do nothing about them.

        Returns the time reached and what has been heard by then. Raises ValueError for a time before the one reached.
        """
        self._check_time(until_ns)
        while True:
            events = self._post.hear(self.now_ns)
            if events:
                return self.now_ns, events
            if self.now_ns == until_ns:
                return until_ns, []
            self._step(until_ns, whole)

    def _reach(self, now_ns: int) -> None:
        """Something is sent at this time: the market has come so far. What is heard on the way stays to be heard."""
        self._check_time(now_ns)
        while self.now_ns < now_ns:
            self._step(now_ns)

    def _check_time(self, now_ns: int) -> None:
        if now_ns < self.now_ns:
            raise ValueError(f"the market has come to {self.now_ns} and cannot go back to {now_ns}")

    def _step(self, until_ns: int, whole: bool = False) -> None:
        """Goes on to the next moment at which something of ours happens or is heard, at most to `until_ns`."""
        target = min(until_ns, max(self._post.next_ns(whole), self.now_ns))
        if len(self._own):
            self._turn(self.now_ns + 1)
            if self._turns_ns <= target:
                target = self._turns_ns - 1
        self._play(target, whole)
        while (due := self._post.due(self.now_ns)) is not None:
            what, whom = due
            if isinstance(whom, str):
                self._cancel(whom)
            elif what == ARRIVES:
                self._arrive(whom)
            elif self._own.get(whom.intent.intent_id) is whom:
                self._own.remove(whom)
                self._expire(whom)

    def _play(self, target: int, whole: bool) -> None:
        player, fills = self._player, self._own.filled
        if not player.played(target):
            player.play(target, whole=whole)
        while fills.size[0]:
            for at in range(fills.size[0]):
                if not whole or fills.left[at] == 0:
                    target = min(target, fills.ts_ns[at] + self._latency.response_ns)
                    break
            self._collect(whole)
            if player.played(target):
                break
            player.play(target, whole=whole)
        self.now_ns = target
        if isinstance(self.feed, LiveFeed):
            self._forget(self.feed)

    def _forget(self, feed: LiveFeed) -> None:
        played = min(self._player.row, self._seen.row) - 1
        if played >= 1000:
            feed.forget(played)
            for player in {id(one): one for one in (self._player, self._seen)}.values():
                player.row -= played

    def _turn(self, now_ns: int) -> None:
        """The minute of this time begins, if it has not and it matters."""
        if now_ns < self._turns_ns:
            return
        if self._impact.turn(now_ns):
            for own in self._own:
                if own.limit_ticks is not None:
                    self._displace(own)
        if self._shows == NO_BOOK and now_ns >= self._half_until_ns:
            half, self._half_until_ns = self._spread.at(now_ns)
            self._player.half = half / self._tick
        turns = self._impact.next_ns
        self._turns_ns = NEVER if turns is None else turns
        if self._shows == NO_BOOK:
            self._turns_ns = min(self._turns_ns, self._half_until_ns)

    # ---- what arrives

    def _arrive(self, own: Own) -> None:
        expires = own.intent.expires_ts_ns
        if expires is not None:
            if expires <= self.now_ns:
                self._expire(own)
                return
            self._post.send(expires - 1, EXPIRES, own)
        self._turn(self.now_ns)
        limit = own.sign * FAR if own.limit_ticks is None else self._impact.undisplaced(own.sign, own.limit_ticks)
        self._own.add(own, limit, *self._queue(own.side, limit))
        columns, slot = self._own.view, own.slot
        if self._shows == NO_BOOK:
            if columns.credit[0] and not any(columns.taker[other.slot] for other in self._own if other is not own):
                columns.credit[0] = 0.0
            columns.taker[slot] = self._takes_prints(own.sign, limit)
            return
        best = self._player.view.best[1 - own.side]
        if own.limit_ticks is None:
            columns.taker[slot] = 1
            self._cross(own)
        elif NO_BID < best < NO_ASK and own.sign * (limit - best) >= 0:
            kept = own.lots - self._affordable(own, best)
            columns.left[slot] -= kept
            columns.taker[slot] = 1
            self._cross(own)
            columns.taker[slot] = 0
            columns.left[slot] += kept

    def _cross(self, own: Own) -> None:
        """Takes what is displayed up to its limit."""
        while not self._player.walk(own.slot, own.side, self.now_ns):
            self._collect()
        self._collect()

    def _affordable(self, own: Own, best: int) -> int:
        """How many lots it may take before the model's own charge is beyond its limit."""
        book, limit = self._player.view, own.intent.limit_price
        assert limit is not None
        return self._impact.affordable(own.sign, limit, own.lots, mid_of(book, best), half_of(book))

    def _queue(self, side: int, limit: int) -> tuple[float, float]:
        """Lots ahead of an order that arrives now, and what its level displays; infinite where nobody says."""
        if self._shows == NO_BOOK:
            return self._player.rules.queue_ahead, 0.0
        book = self._player.view
        at = level_at(book, side, limit)
        if at >= 0:
            shown = max(book.cells[at, SHOWN] - book.cells[at, TRADED], 0.0)
            return shown, shown
        improves = limit > book.best[BID] if side == BID else limit < book.best[ASK]
        return (0.0, 0.0) if improves else (math.inf, 0.0)

    def _takes_prints(self, sign_: int, limit: int) -> int:
        """Where no book is shown: whether an order meets the other side; before the first trade nobody knows."""
        ticks, aggressor = self._player.view.last
        half = self._player.half
        return int(ticks == 0 or sign_ * (limit - (ticks - aggressor * half + sign_ * half)) >= -1e-9)

    def _displace(self, own: Own) -> None:
        """Our impact has moved the market under an order: it goes to the back of the queue at its place there."""
        assert own.limit_ticks is not None
        limit = self._impact.undisplaced(own.sign, own.limit_ticks)
        columns, slot = self._own.view, own.slot
        if limit == columns.limit[slot]:
            return
        front, shown = self._queue(own.side, limit)
        if front > columns.front[slot]:
            columns.front[slot] = front
        columns.shown[slot], columns.traded[slot] = shown, 0.0
        self._own.move(own, limit)
        if self._shows != NO_BOOK:
            self._cross(own)

    def _cancel(self, target: str) -> OrderClosed | None:
        own = self._own.get(target)
        if own is None:
            return None
        self._own.remove(own)
        at_once = not (self._latency.cancel_ms or self._latency.response_ms)
        return self._answer(self._closed(own, "cancelled", self.now_ns), at_once=at_once)

    def _expire(self, own: Own) -> None:
        self._answer(self._closed(own, "expired", own.intent.expires_ts_ns or 0), at_once=False)

    # ---- what is heard

    def _answer(self, closed: OrderClosed, *, at_once: bool) -> OrderClosed | None:
        """Gives a close back, or tells it later."""
        if at_once:
            return closed
        self._post.tell(closed, max(closed.ts_closed_ns, self.now_ns))
        return None

    def _closed(self, own: Own, status: Any, ts_ns: int) -> OrderClosed:
        filled = self.instrument.qty(own.filled)
        return OrderClosed(own.intent.intent_id, self.instrument.venue, status, filled, ts_ns)

    def _collect(self, whole: bool = False) -> None:
        """Fills that the loop has written down are told; `whole`: those of a part of an order by themselves."""
        fills = self._own.filled
        for at in range(fills.size[0]):
            own = self._own.at(fills.slot[at])
            fill = self._fill(
                own,
                fills.lots[at],
                fills.ticks[at],
                fills.taker[at] == 1,
                fills.ts_ns[at],
                fills.mid[at],
                fills.half[at],
            )
            self._post.tell(fill, fill.ts_fill_ns, part=whole and own.filled < own.lots)
            if own.filled == own.lots:
                self._own.remove(own)
        fills.size[0] = 0

    def _fill(self, own: Own, lots: int, ticks: int, takes: bool, ts_ns: int, mid: float, half: float) -> FillEvent:
        own.filled += lots
        own.fills += 1
        intent, venue = own.intent, self.instrument
        half_price = impact = 0.0
        if takes:
            level = None if self._shows == NO_BOOK else ticks
            price, half_price, impact = self._impact.price(intent, own.sign, lots, level, mid, half)
        else:
            assert intent.limit_price is not None
            price = intent.limit_price
        self._impact.traded(own.sign * lots)
        qty = venue.qty(lots)
        fee_bps = venue.taker_fee_bps if takes else venue.maker_fee_bps
        return FillEvent(
            f"{intent.intent_id}-f{own.fills}",
            intent.intent_id,
            intent.symbol,
            intent.side,
            qty,
            paid(intent.symbol, qty, price),
            ts_ns,
            venue.notional(qty, price) * fee_bps / 1e4,
            "taker" if takes else "maker",
            FrozenDict(intent.meta, half_spread=half_price, impact=impact),
        )

    # ---- what is seen

    def view(self, now_ns: int) -> Market:
        """Best prices and tape as we see them at this time, our own impact included.

        The market must have come to this time; before its first event the first price of the feed counts as known.
        """
        if now_ns == self._viewed_ns == self.now_ns and self._viewed is not None:
            return self._viewed
        mid, half, exact = self._sight(now_ns)
        if exact is not None and self._impact.shift == 0:
            bid, ask = exact
        else:
            bid, ask = quoted_ticks(mid * self._tick * (1 + self._impact.shift), half * self._tick, self._tick)
        as_of_ns = min(now_ns - self._latency.feed_ns, max(self.feed.end_ns, 0)) if len(self.feed) else now_ns
        viewed = Market(as_of_ns, bid, ask, int(self._seen.view.tape[0] + 1e-9))
        if isinstance(self.feed, TickFeed):  # nothing more can happen at a moment that has been played
            self._viewed_ns, self._viewed = now_ns, viewed
        return viewed

    def mid(self, now_ns: int) -> float:
        """The middle of the market as we see it at this time, our own impact included."""
        return self._sight(now_ns)[0] * self._tick * (1 + self._impact.shift)

    def _sight(self, now_ns: int) -> tuple[float, float, tuple[int, int] | None]:
        """Mid and half the spread in ticks, without our impact; best bid and ask where they are shown."""
        self._reach(now_ns)
        self._turn(now_ns)
        seen = self._seen
        if seen is not self._player:
            seen.play(now_ns - self._latency.feed_ns)
        if self._shows == NO_BOOK:
            half = self._spread.at(now_ns - self._latency.feed_ns)[0] / self._tick
            return middle_of_trades(seen.view, self.feed, half), half, None
        bid, ask = best_prices(seen.view, self.feed)
        return (bid + ask) / 2, (ask - bid) / 2, (bid, ask)

    # ---- live

    def push(self, kind: int, ts_ns: int, price: float, qty: float, side: int = 0) -> None:
        """Adds an event to a `LiveFeed`: kinds and the sign of `side` as in `execution.ticks.rows`. `run` plays it.

        Raises DataError for a price off the grid, ValueError where the feed is not one that grows.
        """
        if not isinstance(self.feed, LiveFeed):
            raise ValueError("only a LiveFeed can be pushed to")
        ticks = on_grid(self.instrument, np.array([price]), "event", "price", empty=kind != TRADE)
        lots = clean(np.array([qty / self.instrument.qty(1)]))
        self.feed.append(kind, ts_ns, int(ticks[0]), float(lots[0]), side)

    def hear(self, event: TradeEvent | QuoteEvent) -> None:
        """Adds a trade or a quote to a `LiveFeed`."""
        if isinstance(event, TradeEvent):
            self.push(TRADE, event.ts_ns, event.price, event.qty, 0 if event.side is None else sign(event.side))
        else:
            self.push(BEST_BID, event.ts_ns, event.bid, event.bid_qty)
            self.push(BEST_ASK, event.ts_ns, event.ask, event.ask_qty)
