"""The event-driven market on recorded ones: Binance BTC, 2024-08-08, trades, best prices and full depth."""

from __future__ import annotations

import polars as pl
import pytest

from core.instrument import Instrument
from execution.config import FillConfig
from execution.ticks.feed import TickFeed
from execution.ticks.market import TickMarket
from execution.ticks.rows import TRADE
from tests.naive_ticks import Wish
from tests.real_data import real
from tests.ticks import play

MARKETS = {
    "binance_usdm": Instrument("BTC/USDT", "binance_usdm", tick="0.1", lot="0.001"),
    "binance_coinm": Instrument("BTC/USD", "binance_coinm", tick="0.1", lot="1"),
    "binance_spot": Instrument("BTC/USDT", "binance_spot", tick="0.01", lot="0.00001"),
}


def frame(what: str, market: str) -> pl.DataFrame:
    """Rows of one market on one clock: the exchange's, where all three streams have it, else the recorder's."""
    table = pl.read_parquet(real(f"binance_btc_3markets_20240808_{what}.parquet")).filter(pl.col("market") == market)
    clock = pl.col("recv_ts_ns") if market == "binance_spot" else pl.col("trade_time_ms") * 1_000_000
    if what == "depth" and market != "binance_spot":
        clock = pl.coalesce(pl.col("trade_time_ms"), pl.col("event_time_ms")) * 1_000_000
    return table.with_columns(clock.alias("ts_ns"))


def trades(market: str) -> pl.DataFrame:
    side = pl.when(pl.col("is_buyer_maker")).then(pl.lit("sell")).otherwise(pl.lit("buy")).alias("side")
    return frame("trades", market).with_columns(side)


def quotes(market: str) -> pl.DataFrame:
    names = {"bid_px": "bid", "ask_px": "ask"}
    return frame("bbo", market).rename(names)


def depth(market: str) -> pl.DataFrame:
    """Changes that the snapshot already holds are left out, and it comes first: it was asked for while they came in."""
    table = frame("depth", market).with_columns(pl.col("side").replace_strict({"b": "bid", "a": "ask"}))
    snapshot = table.filter("is_snapshot")
    changes = table.filter(~pl.col("is_snapshot"), pl.col("final_update_id_u") > snapshot["final_update_id_u"].max())
    return pl.concat([snapshot.with_columns(ts_ns=pl.lit(table["ts_ns"].min()), seq=pl.lit(0).cast(pl.Int64)), changes])


@pytest.fixture(scope="module", params=MARKETS)
def market(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_book_put_together_from_depth_has_the_best_prices_that_the_exchange_published(market: str) -> None:
    venue = MARKETS[market]
    book = TickFeed.of(venue, trades=trades(market), depth=depth(market))
    best = TickFeed.of(venue, trades=trades(market), quotes=quotes(market))
    seen = [TickMarket(feed, venue, fills=FillConfig()) for feed in (book, best)]
    agree, asked, crossed = 0, 0, 0
    first, last = max(book.start_ns, best.start_ns), min(book.end_ns, best.end_ns)
    for now in range(first + 5_000_000_000, last, 500_000_000):
        for one in seen:
            one.run(now)
        deep, top = (one.view(now) for one in seen)
        asked += 1
        crossed += deep.bid_ticks >= deep.ask_ticks
        agree += abs(deep.bid_ticks - top.bid_ticks) <= 20 and abs(deep.ask_ticks - top.ask_ticks) <= 20
        assert deep.tape_lots == top.tape_lots
    assert crossed == 0
    assert agree / asked > 0.9


def test_orders_in_a_recorded_market_fill_within_what_was_there(market: str) -> None:
    # pitfalls 20 to 22, on data that nobody made up
    venue = MARKETS[market]
    feed = TickFeed.of(venue, trades=trades(market), quotes=quotes(market))
    probe = TickMarket(feed, venue, fills=FillConfig())
    wishes = []
    for number in range(60):
        sent = feed.start_ns + (10 + 5 * number) * 1_000_000_000
        probe.run(sent)
        seen = probe.view(sent)
        sign = 1 if number % 2 else -1
        limit = None if number % 3 == 0 else (seen.bid_ticks if sign > 0 else seen.ask_ticks)
        wishes.append(Wish(f"o{number}", sent, sign, 50, limit, expires_ns=sent + 10_000_000_000))
    talk = play(TickMarket(feed, venue, fills=FillConfig()), wishes)
    traded = feed.rows.kind == TRADE
    low, high = feed.rows.price_ticks[traded].min(), feed.rows.price_ticks[traded].max()
    assert {fill.liquidity for fill in talk.fills} == {"maker", "taker"}
    for wish in wishes:
        fills = [fill for fill in talk.fills if fill.order_id == wish.name]
        assert sum(venue.lots(fill.qty) for fill in fills) <= wish.lots
        for fill in fills:
            assert wish.sent_ns <= fill.ts_fill_ns < (wish.expires_ns or 0)
            assert low - 200 <= fill.price / venue.price(1) <= high + 200
            assert wish.limit is None or wish.sign * (fill.price - venue.price(wish.limit)) <= 0
    takers = [fill for fill in talk.fills if fill.liquidity == "taker"]
    assert all(fill.meta["half_spread"] > 0 and fill.meta["impact"] >= -1e-9 for fill in takers)


def test_the_compiled_loop_and_the_plain_one_agree_on_a_recorded_market() -> None:
    market = "binance_coinm"
    venue = MARKETS[market]
    feed = TickFeed.of(venue, trades=trades(market), depth=depth(market)).until(1_723_161_290 * 10**9)
    middle = int(feed.rows.price_ticks[feed.rows.kind == TRADE][0])
    wishes = [
        Wish(
            f"o{n}",
            feed.start_ns + (5 + n) * 10**9,
            1 if n % 2 else -1,
            40,
            None if n % 5 == 0 else middle + (n % 7) - 3,
        )
        for n in range(20)
    ]
    told = [play(TickMarket(feed, venue, fills=FillConfig(), compiled=fast), wishes) for fast in (True, False)]
    assert told[0] == told[1]
    assert told[0].fills
