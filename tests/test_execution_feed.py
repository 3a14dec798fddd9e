"""Market data as parents see it, and the prints that do not count."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import OHLCVBar, QuoteEvent, TradeEvent
from core.instrument import Instrument
from execution.events import Market
from execution.feed import Feed, Prints, is_block
from tests.naive import MINUTE_NS, START_NS

SYMBOL = "ATOM/USDT"
SECOND = 1_000_000_000


def feed(daily_volume: float | None = None, spread_bps: float | None = None) -> Feed:
    return Feed(Instrument(SYMBOL, tick="0.01", lot="0.1", spread_bps=spread_bps), daily_volume)


def quote(bid: float, ask: float, seconds: float = 0) -> QuoteEvent:
    return QuoteEvent(SYMBOL, bid, ask, START_NS + round(seconds * SECOND))


def trade(qty: float, price: float = 10.0, seconds: float = 0, name: str | None = None) -> TradeEvent:
    return TradeEvent(SYMBOL, price, qty, START_NS + round(seconds * SECOND), trade_id=name)


def bar(number: int, volume: float, close: float = 10.0) -> OHLCVBar:
    opens = START_NS + number * MINUTE_NS
    return OHLCVBar(SYMBOL, opens, opens + MINUTE_NS, close, close, close, close, volume)


@pytest.mark.parametrize(
    ("qty", "median", "daily", "block"),
    [
        (21.0, 1.0, 1000.0, True),  # 20 prints and 10 of the day
        (20.0, 1.0, 1000.0, False),  # not beyond 20 prints
        (21.0, 1.0, 2100.0, False),  # not beyond 1 % of the day
        (21.1, 1.0, 2100.0, True),
        (1e9, math.nan, 1000.0, False),
        (1e9, 1.0, math.nan, False),
    ],
)
def test_a_block_is_beyond_twenty_median_prints_and_one_percent_of_the_day(
    qty: float, median: float, daily: float, block: bool
) -> None:
    assert is_block(qty, median, daily) is block


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=40), st.integers(0, 600))
def test_the_median_is_that_of_the_newest_prints(sizes: list[float], before: int) -> None:
    prints = Prints()
    assert math.isnan(prints.median)
    everything = [float(n) for n in range(1, before + 1)] + sizes
    for size in everything:
        prints.add(size)
    assert prints.median == pytest.approx(statistics.median(everything[-501:]))


def test_a_block_does_not_count_as_volume_where_the_daily_volume_is_known() -> None:
    filtered, plain = feed(daily_volume=1000.0), feed()
    for one in (filtered, plain):
        for _ in range(5):
            one.on(trade(1.0))
        one.on(trade(25.0))
        one.on(trade(1.0))
    assert filtered.market is not None
    assert plain.market is not None
    assert (filtered.market.tape_lots, plain.market.tape_lots) == (60, 310)


def test_quotes_give_the_prices_and_trades_the_tape() -> None:
    one = feed()
    assert one.on(quote(9.99, 10.01))
    assert not one.on(trade(0.3, price=10.05, seconds=1))  # volume is no news: no price has moved
    assert one.market == Market(START_NS, 999, 1001, 3)
    assert one.on(quote(10.0, 10.02, seconds=2))
    assert one.market == Market(START_NS + 2 * SECOND, 1000, 1002, 3)
    assert one.mid == pytest.approx(10.01)


def test_quotes_off_the_grid_widen_to_it() -> None:
    one = feed()
    one.on(quote(9.996, 10.003))
    assert one.market == Market(START_NS, 999, 1001, 0)


def test_bars_give_both_where_there_is_nothing_else() -> None:
    one = feed(spread_bps=20.0)
    assert one.on(bar(0, 5.0, close=10.0))
    assert one.market == Market(START_NS + MINUTE_NS, 999, 1001, 50)


def test_a_tape_of_trades_is_not_counted_again_in_bars() -> None:
    one = feed()
    one.on(trade(2.0, name="1"))
    one.on(bar(0, 2.0))
    assert one.market is not None
    assert one.market.tape_lots == 20


def test_repeated_trades_and_bars_count_once() -> None:
    one = feed()
    for _ in range(3):
        one.on(bar(0, 5.0))
    for _ in range(3):
        one.on(trade(1.0, name="7"))
    assert one.market is not None
    assert one.market.tape_lots == 60


def test_late_prices_change_nothing_but_late_volume_counts() -> None:
    one = feed()
    one.on(bar(1, 5.0, close=11.0))
    assert not one.on(bar(0, 4.0, close=10.0))
    assert one.market == Market(START_NS + 2 * MINUTE_NS, 1100, 1100, 90)
    assert not one.on(bar(0, 4.0, close=10.0))
    one.on(quote(9.0, 9.1, seconds=300))
    assert not one.on(quote(8.0, 8.1, seconds=299))
    assert one.mid == pytest.approx(9.05)


def test_tenths_add_up_to_whole_lots() -> None:
    one = feed()  # pitfall 7
    for _ in range(1000):
        one.on(trade(0.1))
    assert one.market is not None
    assert one.market.tape_lots == 1000


def test_marks_are_sums_of_what_stood_how_long() -> None:
    one = feed()
    assert math.isnan(one.mid)
    one.on(quote(9.99, 10.01))
    before = one.marks(START_NS)
    one.on(quote(10.99, 11.01, seconds=3))
    one.on(trade(2.0, price=11.0, seconds=3))
    after = one.marks(START_NS + 4 * SECOND)
    assert after.seconds - before.seconds == 4
    assert (after.mid - before.mid) / 4 == pytest.approx((3 * 10 + 11) / 4)
    assert (after.volume - before.volume, after.money - before.money) == (2.0, 22.0)
    assert one.marks(START_NS) == after  # time never runs backwards
