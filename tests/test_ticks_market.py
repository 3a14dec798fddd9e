"""What fills from trades, from quotes and from books: one rule at a time, on feeds that fit on a line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.contracts import QuoteEvent, TradeEvent
from core.instrument import Instrument
from execution.config import FillConfig
from execution.pressure import Pressure
from execution.slippage import SquareRootSlippageModel
from execution.ticks.feed import LiveFeed
from execution.ticks.latency import Latency
from execution.ticks.market import TickMarket
from execution.ticks.rows import BID_LEVEL, TRADE, Content
from tests.markets import bars_of, known
from tests.naive_ticks import Row, Wish
from tests.ticks import (
    FILLS,
    INSTRUMENT,
    MS,
    Talk,
    ask,
    bid,
    cancel_of,
    feed_of,
    intent_of,
    market_of,
    play,
    quote,
    trade,
)


def played(content: Content, rows: list[Row], *wishes: Wish, **more: Any) -> Talk:
    return play(market_of(feed_of(content, rows), compiled=False, **more), wishes)


def prices(talk: Talk) -> list[tuple[float, float]]:
    return [(fill.qty, round(fill.price, 6)) for fill in talk.fills]


BOOK = [bid(0, 100, 10.0), bid(0, 99, 10.0), ask(0, 101, 10.0), ask(0, 102, 5.0), ask(0, 103, 20.0)]


# ---- takers and the book


def test_a_market_order_walks_the_displayed_levels_and_each_level_is_a_fill() -> None:
    got = played("book", BOOK, Wish("o", MS, 1, 12))
    assert prices(got) == [(10.0, 1.01), (2.0, 1.02)]
    assert [fill.fill_id for fill in got.fills] == ["o-f1", "o-f2"]
    assert [round(fill.meta["half_spread"], 9) for fill in got.fills] == [0.005, 0.005]
    assert [round(fill.meta["impact"], 9) for fill in got.fills] == [0.0, 0.01]  # pitfall 22: size costs
    assert [fill.fee for fill in got.fills] == [pytest.approx(q * p * 5e-4) for q, p in prices(got)]


def test_a_limit_order_takes_up_to_its_limit_and_rests_with_what_is_left() -> None:
    got = played("book", [*BOOK, ask(5, 102, 9.0), ask(6, 101, 13.0)], Wish("o", MS, 1, 30, 102))
    assert prices(got) == [(10.0, 1.01), (5.0, 1.02), (4.0, 1.02), (3.0, 1.02)]
    assert [fill.liquidity for fill in got.fills] == ["taker", "taker", "maker", "maker"]


def test_what_we_took_is_not_there_for_our_next_order() -> None:
    # pitfall 22: the same liquidity for two orders
    got = played("book", BOOK, Wish("a", MS, 1, 8), Wish("b", 2 * MS, 1, 8))
    assert prices(got) == [(8.0, 1.01), (2.0, 1.01), (5.0, 1.02), (1.0, 1.03)]


@pytest.mark.parametrize(
    ("news", "taken"),
    [
        ([], 0.0),
        ([ask(2, 101, 10.0)], 0.0),  # said again
        ([ask(2, 101, 4.0)], 0.0),  # shrinks
        ([ask(2, 101, 13.0)], 3.0),  # 3 added
        ([ask(2, 101, 0.0), ask(3, 101, 7.0)], 7.0),  # emptied: fresh
        ([ask(2, 101, 4.0), ask(3, 101, 10.0)], 6.0),
        ([ask(2, 101, 13.0), trade(3, 101, 2.0, 1)], 1.0),  # the public trades there too
    ],
)
def test_a_level_that_we_emptied_fills_us_again_only_with_what_is_added(news: list[Row], taken: float) -> None:
    content: Content = "book and trades"
    rows = [row for row in BOOK if row[2] not in (102, 103)]
    got = played(content, [*rows, *news], Wish("a", MS, 1, 10), Wish("b", 5 * MS, 1, 10, 101))
    assert got.filled("a") == 10
    assert got.filled("b") == taken


def test_a_market_order_waits_for_the_next_quote_where_only_the_best_is_shown() -> None:
    rows = [*quote(0, 100, 101, 10, 10), *quote(5, 100, 101, 10, 12), *quote(6, 100, 103, 10, 10)]
    got = played("quotes", rows, Wish("o", MS, 1, 15))
    assert prices(got) == [(10.0, 1.01), (2.0, 1.01), (3.0, 1.03)]
    assert [now // MS for now, _ in got.heard] == [1, 5, 6]
    assert {fill.liquidity for fill in got.fills} == {"taker"}


def test_a_price_that_stops_being_the_best_and_returns_is_fresh() -> None:
    rows = [*quote(0, 100, 101, 10, 10), *quote(2, 100, 102, 10, 0), *quote(3, 100, 101, 10, 10)]
    assert played("quotes", rows, Wish("a", MS, 1, 10), Wish("b", 4 * MS, 1, 10, 101)).filled("b") == 10


# ---- makers and the queue


def test_a_resting_order_waits_for_the_queue_that_was_there_before_it() -> None:
    # pitfall 21: a limit order is not filled because its price was seen
    rows = [*BOOK, trade(2, 100, 6.0, -1), bid(2, 100, 4.0), trade(3, 100, 6.0, -1), bid(3, 100, 1.0)]
    got = played("book and trades", rows, Wish("o", MS, 1, 5, 100))
    assert prices(got) == [(2.0, 1.0)]
    assert [fill.liquidity for fill in got.fills] == ["maker"]
    assert got.fills[0].fee == pytest.approx(2 * 1.0 * 1e-4)
    assert got.fills[0].meta["half_spread"] == got.fills[0].meta["impact"] == 0


def test_an_order_that_improves_the_best_price_is_first() -> None:
    rows = [bid(0, 100, 10.0), ask(0, 103, 10.0), trade(2, 101, 3.0, -1)]
    assert played("book and trades", rows, Wish("o", MS, 1, 5, 101)).filled("o") == 3


def test_our_own_orders_queue_behind_each_other_and_share_a_print_once() -> None:
    # pitfall 22
    rows = [bid(0, 100, 2.0), ask(0, 103, 10.0), trade(3, 100, 9.0, -1)]
    got = played("book and trades", rows, Wish("a", MS, 1, 5, 100), Wish("b", 2 * MS, 1, 5, 100))
    assert (got.filled("a"), got.filled("b")) == (5, 2)


def test_a_trade_beyond_our_price_fills_us_up_to_its_quantity() -> None:
    rows = [*BOOK, trade(2, 98, 4.0, -1)]
    assert prices(played("book and trades", rows, Wish("o", MS, 1, 9, 99))) == [(4.0, 0.99)]


def test_an_opposite_price_that_reaches_ours_fills_us_at_our_price() -> None:
    rows = [*quote(0, 100, 105), *quote(2, 97, 99, 10, 6)]
    assert prices(played("quotes", rows, Wish("o", MS, 1, 9, 100))) == [(6.0, 1.0)]


def test_a_level_that_was_never_shown_has_the_queue_that_it_shows_first() -> None:
    rows = [*quote(0, 100, 105), *quote(2, 99, 105, 7, 10), trade(3, 99, 6.0, -1), trade(4, 99, 3.0, -1)]
    assert prices(played("quotes and trades", rows, Wish("o", MS, 1, 9, 99))) == [(2.0, 0.99)]


def test_broken_lots_add_up_to_whole_ones() -> None:
    rows = [bid(0, 90, 1.0), ask(0, 110, 1.0), *[trade(2 + at, 100, 0.4, -1) for at in range(6)]]
    got = played("book and trades", rows, Wish("a", MS, 1, 2, 100), Wish("b", MS, 1, 2, 100))
    assert [(fill.order_id, fill.qty, fill.ts_fill_ns // MS) for fill in got.fills] == [("a", 1.0, 4), ("a", 1.0, 6)]


# ---- trades alone


def test_takers_join_prints_and_pay_their_own_side_of_the_spread() -> None:
    rows = [trade(0, 100, 1.0), trade(2, 102, 20.0, 1), trade(3, 98, 20.0, -1), trade(4, 100, 20.0)]
    got = played("trades", rows, Wish("o", MS, 1, 100), half_ticks=2.0)
    assert prices(got) == [(5.0, 1.02), (5.0, 1.02), (5.0, 1.02)]  # the mid is 100 three times


def test_all_takers_together_take_no_more_than_their_share() -> None:
    # pitfalls 20 and 21: neither all at the first print, nor more than it holds
    rows = [trade(0, 100, 1.0), *[trade(2 + at, 100, 6.0) for at in range(20)]]
    got = played("trades", rows, Wish("a", MS, 1, 11), Wish("b", MS, -1, 100))
    assert sum(fill.qty for fill in got.fills) == 30  # a quarter of 120
    for until in range(22):
        volume = 6.0 * max(0, until - 1)
        assert sum(fill.qty for fill in got.fills if fill.ts_fill_ns <= until * MS) <= 0.25 * volume + 1e-9


def test_without_a_book_a_limit_fills_only_when_the_market_trades_through_it() -> None:
    rows = [trade(0, 105, 1.0), trade(2, 100, 50.0, -1), trade(3, 99, 4.0, -1)]
    assert prices(played("trades", rows, Wish("o", MS, 1, 9, 100))) == [(4.0, 1.0)]


def test_a_taker_that_the_market_leaves_behind_rests_at_its_limit() -> None:
    rows = [trade(0, 100, 1.0), trade(2, 100, 40.0), trade(3, 103, 40.0), trade(4, 100, 40.0)]
    got = played("trades", rows, Wish("o", MS, 1, 30, 101))
    assert [(fill.qty, fill.price, fill.liquidity) for fill in got.fills] == [(10, 1.0, "taker"), (20, 1.01, "maker")]


# ---- messages and time


def test_an_order_meets_the_market_as_it_is_when_it_arrives() -> None:
    rows = [*quote(0, 100, 101), *quote(5, 100, 103)]
    got = played("quotes", rows, Wish("o", MS, 1, 5), latency=Latency(order_ms=10, response_ms=7))
    assert [
        (now // MS, fill.ts_fill_ns // MS, fill.price) for (now, _), fill in zip(got.heard, got.fills, strict=True)
    ] == [(18, 11, 1.03)]


def test_a_cancel_can_lose_the_race_against_a_fill() -> None:
    rows = [*quote(0, 100, 105), *quote(8, 97, 99, 10, 100)]
    wish = Wish("o", MS, 1, 5, 100, cancel_ns=5 * MS)
    late = played("quotes", rows, wish, latency=Latency(cancel_ms=5, response_ms=1))
    assert [(now // MS, type(event).__name__) for now, event in late.heard] == [(9, "FillEvent")]
    early = played("quotes", rows, wish, latency=Latency(cancel_ms=2, response_ms=1))
    assert [(now // MS, event.status) for now, event in early.heard] == [(8, "cancelled")]  # type: ignore[union-attr]
    assert early.heard[0][1].ts_closed_ns == 7 * MS  # type: ignore[union-attr]


def test_without_latency_a_cancel_is_answered_at_once_with_all_that_was_filled() -> None:
    rows = [*quote(0, 100, 101, 10, 3), *quote(9, 100, 101, 10, 3)]
    market = market_of(feed_of("quotes", rows), compiled=False)
    wish = Wish("o", MS, 1, 5, 101)
    market.run(MS)
    assert market.submit(intent_of(wish), MS) is None
    answer = market.cancel(cancel_of(wish, 1), MS)
    assert answer is not None
    assert (answer.status, answer.cumulative_qty) == ("cancelled", 3.0)
    assert [market.busy] == [True]  # the fill has not been heard yet
    assert [type(event).__name__ for event in market.run(2 * MS)[1]] == ["FillEvent"]
    assert [market.busy] == [False]
    assert market.cancel(cancel_of(wish, 2), 2 * MS) is None


def test_an_order_trades_until_its_time_is_over_and_not_then() -> None:
    rows = [*quote(0, 100, 105), *quote(9, 97, 99, 10, 2), *quote(10, 97, 99, 10, 100)]
    got = played("quotes", rows, Wish("o", MS, 1, 5, 100, expires_ns=10 * MS))
    assert [(now // MS, type(event).__name__) for now, event in got.heard] == [(9, "FillEvent"), (10, "OrderClosed")]
    assert got.closes[0].cumulative_qty == 2


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (Wish("o", MS, 1, 1, 100), "below the minimum"),
        (Wish("o", MS, 1, 5, 100), "below the minimum"),
    ],
)
def test_the_venue_refuses_what_its_filters_do_not_allow(wish: Wish, why: str) -> None:
    # pitfall 26; and nothing of it reaches the market
    small = replace(INSTRUMENT, min_qty="2", min_notional=6.0)
    market = TickMarket(feed_of("book", BOOK), small, fills=FILLS, compiled=False)
    market.run(MS)
    closed = market.submit(intent_of(wish), MS)
    assert closed is not None
    assert closed.status == "rejected"
    assert why in str(closed.reason)
    assert not market.busy


def test_with_latency_a_rejection_is_heard_when_it_comes() -> None:
    market = TickMarket(
        feed_of("book", BOOK), replace(INSTRUMENT, min_qty="2"), fills=FILLS, compiled=False,
        latency=Latency(order_ms=3, response_ms=4),
    )  # fmt: skip
    market.run(MS)
    assert market.submit(intent_of(Wish("o", MS, 1, 1, 100)), MS) is None
    now, (closed,) = market.run(100 * MS)
    assert (now // MS, closed.status) == (8, "rejected")  # type: ignore[union-attr]


def test_the_market_is_seen_as_it_was_a_feed_latency_ago() -> None:
    rows = [*quote(0, 100, 101), trade(3, 101, 5.0, 1), *quote(5, 102, 104), *quote(9, 102, 104)]
    market = market_of(feed_of("quotes and trades", rows), compiled=False, latency=Latency(feed_ms=2))
    market.run(4 * MS)
    assert market.view(4 * MS).tape_lots == 0
    market.run(6 * MS)
    seen = market.view(6 * MS)
    assert (seen.ts_ns // MS, seen.bid_ticks, seen.ask_ticks, seen.tape_lots) == (4, 100, 101, 5)
    assert market.mid(7 * MS) == pytest.approx(1.03)


def test_time_does_not_run_backwards() -> None:
    market = market_of(feed_of("book", BOOK), compiled=False)
    market.run(5 * MS)
    with pytest.raises(ValueError, match="cannot go back"):
        market.run(4 * MS)


# ---- impact


MINUTES = bars_of([(10.0, 10.0, 10.0, 10.0, 1000.0)] * 5)


def impacted(rows: list[Row], content: Content = "book and trades") -> TickMarket:
    bars = MINUTES
    pressure = Pressure(bars, SquareRootSlippageModel(0.5), 1 / 3, known(bars))
    start = int(bars.ts_open_ns[0])
    moved = [(kind, start + ts_ns, ticks, quantity, side) for kind, ts_ns, ticks, quantity, side in rows]
    return TickMarket(
        feed_of(content, moved), INSTRUMENT, pressure=pressure, bars=bars, fills=FILLS, compiled=False
    )  # fmt: skip


def test_what_we_bought_holds_the_price_up_for_our_next_order_and_size_is_paid_once() -> None:
    deep = [bid(0, 1000, 1e6), ask(0, 1001, 1e6), ask(0, 1002, 1e6)]
    market = impacted(deep)
    start = int(market.feed.rows.ts_ns[0])
    bars = MINUTES
    model = Pressure(bars, SquareRootSlippageModel(0.5), 1 / 3, known(bars))
    first = play(market, [Wish("a", start + MS, 1, 400)], start + 2 * MS)
    charge = model.charge(0, 400.0)
    assert charge > 0
    assert first.fills[0].price == pytest.approx(10.005 * (1 + charge) + 0.005)
    assert first.fills[0].meta["impact"] == pytest.approx(10.005 * charge)
    later = start + 60_000 * MS
    model.traded(0, 400.0)
    shift = model.displacement(1)
    assert shift > 0
    market.run(later)
    assert market.mid(later) == pytest.approx(10.005 * (1 + shift))
    second = play(market, [Wish("b", later, 1, 100)], later + MS)
    own = model.charge(1, 100.0) - model.carried(1)
    assert own > 0
    assert second.fills[0].price == pytest.approx(10.005 * (1 + shift + own) + 0.005)
    assert second.fills[0].price > 10.01


def test_many_small_fills_of_a_minute_pay_what_one_large_one_does() -> None:
    deep = [bid(0, 1000, 1e6), ask(0, 1001, 1e6)]

    def paid(*sizes: int) -> float:
        market = impacted(deep)
        start = int(market.feed.rows.ts_ns[0])
        wishes = [Wish(f"o{at}", start + (1 + at) * MS, 1, lots) for at, lots in enumerate(sizes)]
        return sum(fill.qty * fill.price for fill in play(market, wishes, start + 100 * MS).fills)

    assert paid(100, 100, 200) == pytest.approx(paid(400))


def test_walking_the_book_and_the_model_measure_the_same_thing_and_the_larger_counts() -> None:
    thin = [bid(0, 1000, 10.0), ask(0, 1001, 10.0), ask(0, 1101, 10.0)]
    market = impacted(thin)
    start = int(market.feed.rows.ts_ns[0])
    got = play(market, [Wish("o", start + MS, 1, 20)], start + 2 * MS)
    assert got.fills[1].price == pytest.approx(11.01)


def test_a_resting_order_stands_lower_in_a_market_that_we_have_pushed_up() -> None:
    rows = [bid(0, 1000, 10.0), ask(0, 1002, 1e6), trade(60_500, 1001, 50.0, -1)]
    wish = Wish("rest", 61_000 * MS, 1, 5, 1001)
    start = int(impacted(rows).feed.rows.ts_ns[0])
    rest = replace(wish, sent_ns=start + MS)
    quiet = play(impacted(rows), [rest], start + 70_000 * MS)
    assert quiet.filled("rest") == 5
    pushed = play(impacted(rows), [rest, Wish("push", start + 2 * MS, 1, 900)], start + 70_000 * MS)
    assert pushed.filled("push") == 900
    assert pushed.filled("rest") == 0


def test_two_markets_on_one_feed_share_nothing() -> None:
    # pitfalls 25 and 33
    feed = feed_of("book", BOOK)
    before = str(np.random.get_state())  # noqa: NPY002, TID251 - that nobody draws from it is what is tested
    markets = [market_of(feed, compiled=False) for _ in range(2)]
    first = play(markets[0], [Wish("o", MS, 1, 12)])
    second = play(markets[1], [Wish("o", MS, 1, 12)])
    assert first == second
    assert str(np.random.get_state()) == before  # noqa: NPY002, TID251


# ---- live


def test_a_market_that_is_pushed_event_by_event_answers_like_one_that_is_replayed() -> None:
    rows = [*quote(1, 100, 101, 10, 10), trade(3, 101, 5.0, 1), *quote(3, 100, 101, 10, 5), trade(4, 99, 5.0, -1)]
    wish = Wish("o", 2 * MS, 1, 8, 100)
    replayed = play(market_of(feed_of("quotes and trades", rows), compiled=False), [wish], 10 * MS)
    feed = LiveFeed("X/Y", "quotes and trades")
    market = TickMarket(feed, INSTRUMENT, fills=FILLS)
    live = Talk()
    for event in (
        QuoteEvent("X/Y", 1.0, 1.01, 1 * MS, 10, 10),
        TradeEvent("X/Y", 1.01, 5, 3 * MS, "buy"),
        QuoteEvent("X/Y", 1.0, 1.01, 3 * MS, 10, 5),
        TradeEvent("X/Y", 0.99, 5, 4 * MS, "sell"),
    ):
        market.hear(event)
        now, events = market.run(event.ts_ns)
        live.heard += [(now, one) for one in events]
        if event.ts_ns == 1 * MS:
            market.run(2 * MS)
            assert market.submit(intent_of(wish), 2 * MS) is None
    assert live == replayed
    assert live.fills


def test_a_long_live_feed_forgets_what_it_has_played() -> None:
    feed = LiveFeed("X/Y", "trades")
    market = TickMarket(feed, INSTRUMENT, fills=FILLS, half_spread=0.01)
    for at in range(1, 5001):
        market.push(TRADE, at * MS, 1.0, 2.0, 1)
        market.run(at * MS)
    assert len(feed.rows.ts_ns) <= 2048
    assert market.view(5000 * MS).tape_lots == 10_000


def test_only_a_live_feed_is_pushed_to() -> None:
    with pytest.raises(ValueError, match="only a LiveFeed"):
        market_of(feed_of("book", BOOK), compiled=False).push(BID_LEVEL, 1, 1.0, 1.0)


def test_the_window_of_a_book_follows_its_best_price() -> None:
    rows = [bid(0, 1000, 5.0), ask(0, 1001, 5.0)]
    rows += [
        row
        for at in range(1, 60)
        for row in (ask(at, 1001 + at, 5.0), bid(at, 1000 + at, 5.0), ask(at, 1000 + at, 0.0))
    ]
    market = TickMarket(
        feed_of("book", rows), Instrument("X/Y", tick="0.01", lot="1"), fills=FillConfig(), window=16, compiled=False
    )
    market.run(100 * MS)
    seen = market.view(100 * MS)
    assert (seen.bid_ticks, seen.ask_ticks) == (1059, 1060)
