"""Feeds from frames: the order of rows, snapshots as changes, and what cannot be meant."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pytest

from core.errors import DataError
from core.instrument import Instrument
from execution.ticks.feed import TickFeed
from execution.ticks.rows import ASK_LEVEL, BEST_ASK, BEST_BID, BID_LEVEL, TRADE

VENUE = Instrument("X/Y", tick="0.1", lot="0.001")


def trades(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"ts_ns": [1, 2], "price": [10.0, 10.1], "qty": [0.003, 0.0015], **columns})


def depth(*rows: tuple[int, str, float, float, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["ts_ns", "side", "price", "qty", "is_snapshot"], orient="row")


def listed(feed: TickFeed) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in feed.rows), strict=True))


def test_trades_come_before_the_quotes_of_the_same_time() -> None:
    quotes = pl.DataFrame(
        {"ts_ns": [1, 2], "bid": [10.0, 10.1], "ask": [10.1, None], "bid_qty": [1.0, 2.0], "ask_qty": [3.0, None]}
    )
    feed = TickFeed.of(VENUE, trades=trades(side=["sell", None]), quotes=quotes)
    assert feed.content == "quotes and trades"
    assert listed(feed) == [
        (TRADE, 1, 100, 3.0, -1),
        (BEST_BID, 1, 100, 1000.0, 0),
        (BEST_ASK, 1, 101, 3000.0, 0),
        (TRADE, 2, 101, 1.5, 0),
        (BEST_BID, 2, 101, 2000.0, 0),
        (BEST_ASK, 2, 0, 0.0, 0),
    ]


def test_rows_are_put_in_order_of_time_and_pandas_is_as_good_as_polars() -> None:
    table = pd.DataFrame({"ts_ns": [5, 3], "price": [10.0, 10.2], "qty": [1.0, 2.0]})
    assert [row[1:3] for row in listed(TickFeed.of(VENUE, trades=table))] == [(3, 102), (5, 100)]


def test_a_snapshot_tells_what_changed_and_what_is_gone() -> None:
    feed = TickFeed.of(
        VENUE,
        depth=depth(
            (1, "bid", 9.9, 0.001, True), (1, "bid", 9.8, 0.002, True), (1, "ask", 10.0, 0.003, True),
            (2, "ask", 10.1, 0.004, False), (2, "bid", 9.8, 0.0, False),
            (3, "bid", 9.9, 0.005, True), (3, "ask", 10.1, 0.004, True),
        ),
    )  # fmt: skip
    assert [(kind, ts, ticks, lots) for kind, ts, ticks, lots, _ in listed(feed)] == [
        (BID_LEVEL, 1, 99, 1.0), (BID_LEVEL, 1, 98, 2.0), (ASK_LEVEL, 1, 100, 3.0),
        (ASK_LEVEL, 2, 101, 4.0), (BID_LEVEL, 2, 98, 0.0),
        (BID_LEVEL, 3, 99, 5.0), (ASK_LEVEL, 3, 101, 4.0), (ASK_LEVEL, 3, 100, 0.0),
    ]  # fmt: skip


def test_a_feed_can_be_cut_short() -> None:
    feed = TickFeed.of(VENUE, trades=trades())
    assert len(feed.until(2)) == 1
    assert (feed.start_ns, feed.end_ns) == (1, 2)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"price": [10.0, 10.05]}, "trades row 1: price is off the tick of 0.1: give the instrument a finer tick, was"),
        ({"price": [10.0, None]}, "trades row 1: price is missing"),
        ({"price": [float("nan"), 1.0]}, "trades row 0: price must be a number, was nan"),
        ({"price": [-10.0, 1.0]}, "trades row 0: price must be above 0, was -10.0"),
        ({"qty": [1.0, 0.0]}, "trades row 1: qty must be above 0, was 0.0"),
        ({"side": ["buy", "long"]}, "trades row 1: side must be 'buy' or 'sell', was 'long'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        TickFeed.of(VENUE, trades=trades(**columns))


def test_a_missing_column_a_crossed_quote_and_an_empty_period_are_named() -> None:
    with pytest.raises(DataError, match="trades: column qty is missing; there are ts_ns, price"):
        TickFeed.of(VENUE, trades=trades().drop("qty"))
    crossed = pl.DataFrame({"ts_ns": [1], "bid": [10.1], "ask": [10.0], "bid_qty": [1.0], "ask_qty": [1.0]})
    with pytest.raises(DataError, match=r"quotes row 0: bid 10\.1 is above ask 10\.0"):
        TickFeed.of(VENUE, quotes=crossed)
    with pytest.raises(DataError, match="the trades of X/Y have no rows in this period"):
        TickFeed.of(VENUE, trades=trades().clear())
    with pytest.raises(DataError, match="depth row 0: side must be 'bid' or 'ask', was 'buy'"):
        TickFeed.of(VENUE, depth=depth((1, "buy", 9.9, 1.0, False)))


def test_a_feed_needs_something_and_one_book_only() -> None:
    with pytest.raises(ValueError, match="a feed needs trades, quotes or depth"):
        TickFeed.of(VENUE)
    with pytest.raises(ValueError, match="not from both"):
        TickFeed.of(VENUE, quotes=trades(), depth=trades())
