"""A book prepared as its best prices: the same fills for orders that stay there, and the same market."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from execution.ticks.prepared import best_of
from execution.ticks.rows import ASK_LEVEL, BEST_ASK, BEST_BID, BID_LEVEL, TRADE
from tests.naive_ticks import Row, Wish
from tests.ticks import MS, alike, as_heard, ask, bid, feed_of, feeds, market_of, play, trade

WINDOW = 256


def best_rows_of(rows: list[Row]) -> list[Row]:
    found = best_of(feed_of("book and trades", rows), window=WINDOW).rows
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_only_the_best_prices_and_the_trades_are_left() -> None:
    rows = [bid(1, 99, 5), bid(1, 98, 7), ask(1, 101, 4), trade(2, 101, 1, 1), bid(3, 97, 9), bid(4, 99, 0)]
    assert best_rows_of(rows) == [
        (BEST_BID, 1 * MS, 99, 5, 0),
        (BEST_ASK, 1 * MS, 101, 4, 0),
        (TRADE, 2 * MS, 101, 1, 1),
        (BEST_BID, 4 * MS, 98, 7, 0),
    ]


def test_a_level_that_becomes_the_best_offers_what_its_trades_have_left() -> None:
    rows = [ask(1, 101, 4), ask(1, 102, 6), trade(2, 102, 2, 1), ask(3, 101, 0)]
    assert best_rows_of(rows)[-1] == (BEST_ASK, 3 * MS, 102, 4, 0)


def test_a_side_that_empties_has_no_price() -> None:
    assert best_rows_of([bid(1, 99, 5), bid(2, 99, 0)])[-1] == (BEST_BID, 2 * MS, 0, 0, 0)


def test_a_feed_without_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="only a feed of price levels can be prepared, this one has trades"):
        best_of(feed_of("trades", [trade(1, 100, 1)]))


def uncrossed(rows: list[Row]) -> list[Row]:
    """Bids from 93 to 99 and asks from 100 on: behind a crossed best price, levels would be reached that it hides."""
    moved = {BID_LEVEL: -3, ASK_LEVEL: 1}
    return [(kind, ts_ns, ticks + moved.get(kind, 0), lots, side) for kind, ts_ns, ticks, lots, side in rows]


@given(feeds("book and trades"), st.integers(10, 100), st.sampled_from((1, -1)), st.booleans(), st.integers(1, 30))
def test_an_order_that_stays_at_the_best_price_fills_as_in_the_whole_book(
    rows: list[Row], at_ms: int, sign: int, takes: bool, lots: int
) -> None:
    rows = uncrossed(rows)
    whole = feed_of("book and trades", rows)
    prepared = best_of(whole, window=WINDOW)
    side = sign if not takes else -sign
    news = [row for row in best_rows_of(rows) if row[0] == (BEST_BID if side > 0 else BEST_ASK)]
    now_ns = at_ms * MS
    before = [row for row in news if row[1] <= now_ns]
    assume(before and before[-1][2] > 0)
    limit = before[-1][2]
    ends_ns = next((row[1] for row in news if row[1] > now_ns and row[2] != limit), None)
    wish = Wish("o", now_ns, sign, lots, limit, cancel_ns=now_ns) if takes else Wish(
        "o", now_ns, sign, lots, limit, expires_ns=ends_ns
    )  # fmt: skip
    alike(as_heard(play(market_of(whole), [wish])), as_heard(play(market_of(prepared), [wish])))


@given(feeds("book and trades"))
def test_best_prices_and_tape_are_those_of_the_book_at_every_event(rows: list[Row]) -> None:
    whole = feed_of("book and trades", rows)
    one, other = market_of(whole), market_of(best_of(whole, window=WINDOW))
    known = False
    for moment in sorted({row[1] for row in rows}):
        one.run(moment)
        other.run(moment)
        known = known or any(row[1] <= moment for row in best_rows_of(rows))
        if known:
            assert one.view(moment).tape_lots == other.view(moment).tape_lots
            assert list(one._player.view.best) == list(other._player.view.best)
