"""Feeds and orders for the tests of the event-driven market, and everything that came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from core.contracts import FillEvent, OrderClosed, OrderIntent
from core.instrument import Instrument
from execution.config import FillConfig
from execution.ticks.feed import TickFeed
from execution.ticks.latency import Latency
from execution.ticks.market import TickMarket
from execution.ticks.post import VenueEvent
from execution.ticks.queue import QueueModel
from execution.ticks.rows import (
    ASK_LEVEL,
    BEST_ASK,
    BEST_BID,
    BID_LEVEL,
    NO_BOOK,
    SHOWS,
    TRADE,
    Content,
    Rows,
)
from tests.naive_ticks import Heard, Naive, Row, Wish

MS = 1_000_000
INSTRUMENT = Instrument("X/Y", tick="0.01", lot="1", maker_fee_bps=1.0, taker_fee_bps=5.0)
CONTENTS: tuple[Content, ...] = ("trades", "quotes and trades", "book and trades")
FILLS = FillConfig(max_participation=0.25)


def feed_of(content: Content, rows: Sequence[Row]) -> TickFeed:
    kinds = (np.int8, np.int64, np.int64, np.float64, np.int8)
    columns = (np.array([row[at] for row in rows], kind) for at, kind in enumerate(kinds))
    return TickFeed("X/Y", content, Rows._make(columns))


def trade(ms: int, ticks: int, quantity: float, aggressor: int = 0) -> Row:
    return (TRADE, ms * MS, ticks, quantity, aggressor)


def quote(ms: int, bid: int, ask: int, bid_lots: float = 100.0, ask_lots: float = 100.0) -> list[Row]:
    return [(BEST_BID, ms * MS, bid, bid_lots, 0), (BEST_ASK, ms * MS, ask, ask_lots, 0)]


def bid(ms: int, ticks: int, quantity: float) -> Row:
    return (BID_LEVEL, ms * MS, ticks, quantity, 0)


def ask(ms: int, ticks: int, quantity: float) -> Row:
    return (ASK_LEVEL, ms * MS, ticks, quantity, 0)


@dataclass
class Talk:
    """All that was heard, with when."""

    heard: list[tuple[int, VenueEvent]] = field(default_factory=list)

    @property
    def fills(self) -> list[FillEvent]:
        return [event for _, event in self.heard if isinstance(event, FillEvent)]

    @property
    def closes(self) -> list[OrderClosed]:
        return [event for _, event in self.heard if isinstance(event, OrderClosed)]

    def filled(self, name: str) -> int:
        return sum(round(fill.qty) for fill in self.fills if fill.order_id == name)


def intent_of(wish: Wish, instrument: Instrument = INSTRUMENT) -> OrderIntent:
    limit = None if wish.limit is None else instrument.price(wish.limit)
    return OrderIntent(
        wish.name, wish.sent_ns, "test", instrument.symbol, "buy" if wish.sign > 0 else "sell",
        "market" if limit is None else "limit", instrument.qty(wish.lots), limit, expires_ts_ns=wish.expires_ns,
    )  # fmt: skip


def cancel_of(wish: Wish, number: int, instrument: Instrument = INSTRUMENT) -> OrderIntent:
    order = intent_of(wish, instrument)
    return replace(
        order, intent_id=f"{wish.name}-c{number}", ts_local_ns=wish.cancel_ns or 0, action="cancel",
        target_intent_id=wish.name, expires_ts_ns=None,
    )  # fmt: skip


def market_of(feed: TickFeed, *, half_ticks: float = 0.0, fills: FillConfig = FILLS, **more: Any) -> TickMarket:
    return TickMarket(feed, INSTRUMENT, **{"half_spread": half_ticks * 0.01, "fills": fills, "window": 256, **more})


def play(market: TickMarket, wishes: Sequence[Wish], until_ns: int | None = None) -> Talk:
    """Sends the wishes and their cancels when they say, and listens until everything is over."""
    talk = Talk()
    todo = [(wish.sent_ns, 0, at, wish) for at, wish in enumerate(wishes)]
    todo += [(wish.cancel_ns, 1, at, wish) for at, wish in enumerate(wishes) if wish.cancel_ns is not None]

    def listen(until: int) -> None:
        while True:
            now, events = market.run(until)
            if not events:
                return
            talk.heard += [(now, event) for event in events]

    for ts_ns, what, number, wish in sorted(todo, key=lambda one: one[:3]):
        listen(ts_ns)
        if what == 0:
            answer = market.submit(intent_of(wish, market.instrument), ts_ns)
        else:
            answer = market.cancel(cancel_of(wish, number, market.instrument), ts_ns)
        if answer is not None:
            talk.heard.append((ts_ns, answer))
    listen(until_ns if until_ns is not None else int(market.feed.end_ns) + 10**12)
    return talk


def as_heard(talk: Talk, instrument: Instrument = INSTRUMENT) -> list[Heard]:
    """In the words of the naive twin."""
    told: list[Heard] = []
    for now, event in talk.heard:
        if isinstance(event, FillEvent):
            lots = instrument.lots(event.qty)
            ticks = event.price / instrument.price(1)
            told.append((now, "fill", event.order_id, lots, ticks, event.liquidity, event.ts_fill_ns))
        else:
            lots = instrument.lots(event.cumulative_qty)
            told.append((now, event.status, event.intent_id, lots, 0.0, "", event.ts_closed_ns))
    return told


def alike(one: list[Heard], other: list[Heard]) -> None:
    """The same events; prices to 1e-9 of a tick, as the two round them in different places."""

    def rounded(told: list[Heard]) -> list[Any]:
        return sorted((h[0], h[1], h[2], h[3], round(h[4], 6), h[5], h[6]) for h in told)

    assert rounded(one) == rounded(other)


# ---- random ones


@st.composite
def feeds(draw: st.DrawFn, content: Content, most: int = 60) -> list[Row]:
    """Events around 100 ticks, near enough to each other that most of them concern somebody."""
    rows: list[Row] = []
    now = 10
    bid_ticks = 100
    for _ in range(draw(st.integers(1, most))):
        now += draw(st.sampled_from((0, 0, 1, 1, 2, 5)))
        quantity = draw(st.integers(1, 24)) / 2
        if content == "trades" or draw(st.booleans()):
            rows.append(trade(now, draw(st.integers(96, 105)), quantity, draw(st.sampled_from((-1, 0, 1)))))
        elif SHOWS[content] == 1:
            bid_ticks = draw(st.integers(97, 103))
            width = draw(st.integers(1, 3))
            emptied = draw(st.sampled_from((0, 0, 0, 0, 0, 0, 1, 2)))
            two = quote(now, bid_ticks, bid_ticks + width, quantity, draw(st.integers(0, 24)) / 2)
            if emptied:
                kind, ts_ns, _, _, _ = two[emptied - 1]
                two[emptied - 1] = (kind, ts_ns, 0, 0.0, 0)
            rows += two
        else:
            lots = draw(st.sampled_from((0.0, quantity, quantity)))
            if draw(st.booleans()):
                rows.append(bid(now, draw(st.integers(96, 102)), lots))
            else:
                rows.append(ask(now, draw(st.integers(99, 105)), lots))
    return rows


@st.composite
def wish_lists(draw: st.DrawFn, last_ms: int = 100, most: int = 6) -> list[Wish]:
    wishes = []
    for number in range(draw(st.integers(1, most))):
        sent = draw(st.integers(5, last_ms)) * MS
        limit = draw(st.one_of(st.none(), st.integers(96, 105)))
        expires = draw(st.one_of(st.none(), st.integers(1, 60)))
        cancels = draw(st.one_of(st.none(), st.integers(0, 60)))
        wishes.append(
            Wish(
                f"o{number}", sent, draw(st.sampled_from((1, -1))), draw(st.integers(1, 30)), limit,
                None if expires is None else sent + expires * MS, None if cancels is None else sent + cancels * MS,
            )
        )  # fmt: skip
    return wishes


QUEUES = st.sampled_from(
    (QueueModel(), QueueModel(model="power", exponent=2.0), QueueModel(model="log"), QueueModel(queue_ahead=3.0))
)
LATENCIES = st.sampled_from((Latency(), Latency(order_ms=3, cancel_ms=2, response_ms=4), Latency(cancel_ms=7)))


def twin(content: Content, queue: QueueModel, latency: Latency, half_ticks: float) -> Naive:
    return Naive(
        shows=("nothing", "best", "levels")[SHOWS[content]],
        participation=FILLS.max_participation,
        half=half_ticks if SHOWS[content] == NO_BOOK else 0.0,
        queue=queue.model,
        exponent=queue.exponent,
        queue_ahead=queue.queue_ahead,
        order_ns=latency.order_ns,
        cancel_ns=latency.cancel_ns,
        response_ns=latency.response_ns,
    )


def mirrored(rows: Sequence[Row], axis: int = 201) -> list[Row]:
    """The feed seen in a mirror: what was bought is sold, prices go down where they went up."""
    kinds = {TRADE: TRADE, BEST_BID: BEST_ASK, BEST_ASK: BEST_BID, BID_LEVEL: ASK_LEVEL, ASK_LEVEL: BID_LEVEL}
    return [(kinds[k], ts, axis - ticks if ticks else 0, q, -s) for k, ts, ticks, q, s in rows]


def mirrored_wishes(wishes: Sequence[Wish], axis: int = 201) -> list[Wish]:
    return [replace(wish, sign=-wish.sign, limit=None if wish.limit is None else axis - wish.limit) for wish in wishes]
