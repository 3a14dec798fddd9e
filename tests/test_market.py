"""The simulated market on bars: what fills, when, at what price, and what can never happen."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.bars import Bars
from core.contracts import Side, sign
from core.errors import DataError
from core.instrument import Instrument
from execution.config import FillConfig
from execution.slippage import LinearSlippageModel, PowerLawSlippageModel, SlippageModel, SquareRootSlippageModel
from tests.markets import (
    ALL,
    IMPACT,
    INSTRUMENT,
    SYMBOL,
    Order,
    bars_of,
    flat,
    known,
    limits,
    market_of,
    mirrored,
    orders,
    play,
    tapes,
)
from tests.naive import MINUTE_NS, START_NS

TENTH = FillConfig(max_participation=0.1)
SIDES: tuple[Side, ...] = ("buy", "sell")
MODELS = (None, IMPACT, LinearSlippageModel(0.2), SquareRootSlippageModel(0.0))

# ---------------------------------------------------------------- takers


def test_a_market_order_pays_the_open_half_the_spread_and_the_taker_fee() -> None:
    outcome = play(market_of(flat(3), half=0.05), [Order(1, "buy", 10)])
    (k, fill), *more = outcome.fills
    assert not more
    assert (k, fill.qty, fill.price, fill.liquidity) == (1, 10, 100.05, "taker")
    assert fill.ts_fill_ns == START_NS + MINUTE_NS
    assert fill.fee == pytest.approx(10 * 100.05 * 5e-4)
    assert fill.meta["half_spread"] == 0.05
    assert fill.meta["impact"] == pytest.approx(0)
    assert fill.meta["k"] == "o0"


def test_an_order_of_a_later_moment_waits_for_the_next_bar() -> None:  # pitfall 24
    market = market_of(bars_of([(100, 101, 99, 100.5, 1000), (102, 103, 101, 102, 1000)]))
    intent = Order(0, "buy", 10).intent("o0", START_NS + 1)
    market.open(0)
    assert market.submit(intent, START_NS + 1) is None
    assert market.close(0) == []
    (fill,) = market.open(1)
    assert fill.price == 102  # type: ignore[union-attr]


def test_a_large_market_order_takes_its_share_of_every_bar_until_it_is_done() -> None:  # pitfalls 20, 21
    outcome = play(market_of(flat(12), fills=TENTH), [Order(0, "buy", 1000)])
    assert outcome.by_bar() == dict.fromkeys(range(10), 100)


def test_orders_share_one_budget_of_the_bar() -> None:  # pitfall 22
    outcome = play(
        market_of(flat(3), fills=TENTH), [Order(0, "buy", 70), Order(0, "sell", 70), Order(0, "buy", 70, 120)]
    )
    assert outcome.by_bar() == {0: 100, 1: 100, 2: 10}
    assert [sum(fill.qty for fill in outcome.of(number)) for number in range(3)] == [70, 70, 70]
    assert outcome.of(0)[0].qty == 70  # it came first


def test_a_bar_without_volume_fills_nothing() -> None:
    bars = bars_of([(100, 101, 99, 100, 0), (100, 101, 99, 100, 500)])
    outcome = play(
        market_of(bars, slippage=IMPACT), [Order(0, "buy", 10), Order(0, "buy", 10, 110), Order(0, "sell", 5, 90)]
    )
    assert {k for k, _ in outcome.fills} == {1}


@pytest.mark.parametrize("side", SIDES)
def test_a_limit_that_crosses_pays_spread_and_impact_like_a_market_order(side: Side) -> None:  # pitfall 22
    far = 120.0 if side == "buy" else 80.0
    (plain,) = play(market_of(flat(2), slippage=IMPACT, half=0.05), [Order(0, side, 300)]).of(0)
    (limit,) = play(market_of(flat(2), slippage=IMPACT, half=0.05), [Order(0, side, 300, far)]).of(0)
    assert (limit.price, limit.liquidity, limit.fee) == (plain.price, "taker", plain.fee)
    assert sign(side) * (plain.price - 100) > 0.05


@pytest.mark.parametrize("volumes", [(0.0, 1000.0, 1000.0), (1000.0, 1000.0, 1000.0)])
def test_a_limit_that_crosses_goes_on_paying_in_the_bars_to_which_it_is_left_over(volumes: tuple[float, ...]) -> None:
    bars = bars_of([(100, 100, 100, 100, volume) for volume in volumes])
    outcome = play(market_of(bars, half=0.05, fills=TENTH), [Order(0, "buy", 150, 120)])
    assert all(fill.price == 100.05 and fill.liquidity == "taker" for fill in outcome.of(0))
    assert outcome.filled() == 150


def test_a_limit_stops_taking_where_its_own_impact_would_go_beyond_it() -> None:
    free = play(market_of(flat(1), slippage=IMPACT, half=0.05), [Order(0, "buy", 900)]).of(0)
    (bound,) = play(market_of(flat(1), slippage=IMPACT, half=0.05), [Order(0, "buy", 900, 100.06)]).of(0)
    assert free[0].qty == 900
    assert 0 < bound.qty < 900
    assert bound.price <= 100.06 < free[0].price
    (more,) = play(market_of(flat(1), slippage=IMPACT, half=0.05), [Order(0, "buy", bound.qty + 1)]).of(0)
    assert more.price > 100.06


def test_nobody_who_joins_pushes_an_order_beyond_its_limit() -> None:
    """All takers of a bar pay one price: a market order that came later must not spoil the price of a limit."""
    outcome = play(market_of(flat(2), slippage=IMPACT), [Order(0, "buy", 100, 100.03), Order(0, "buy", 800)])
    assert [fill.price <= 100.03 for fill in outcome.of(0) if fill.liquidity == "taker"] in ([], [True])
    assert outcome.of(1)[0].qty == 800


def test_nobody_buys_what_our_own_impact_has_made_worthless() -> None:
    crushing = LinearSlippageModel(5000.0, volatility=1.0)
    with pytest.raises(DataError, match=r"would take the price to -\d+.*lower impact_coefficient.*max_participation"):
        play(market_of(flat(1), slippage=crushing), [Order(0, "sell", 900)])


def test_buying_and_selling_at_once_moves_nothing() -> None:
    outcome = play(market_of(flat(1), slippage=IMPACT, half=0.05), [Order(0, "buy", 200), Order(0, "sell", 200)])
    assert [fill.price for _, fill in outcome.fills] == [100.05, 99.95]


def test_an_order_that_comes_when_the_open_is_over_does_not_trade_as_if_it_had_rested() -> None:
    """A fill at the open may make its parent send at once; a price that crosses waits for the next open."""
    market = market_of(flat(2), half=0.05)
    market.open(0)
    assert market.submit(Order(0, "buy", 10, 120).intent("o0", START_NS), START_NS) is None
    assert market.close(0) == []
    (fill,) = market.open(1)
    assert (fill.price, fill.liquidity) == (100.05, "taker")  # type: ignore[union-attr]


# ---------------------------------------------------------------- resting orders


def test_a_resting_order_fills_at_its_limit_for_the_maker_fee_and_without_slippage() -> None:
    bars = bars_of([(100, 101, 98, 100, 1000)])
    outcome = play(market_of(bars, slippage=IMPACT, half=0.05), [Order(0, "buy", 10, 99)])
    (fill,) = outcome.of(0)
    assert (fill.price, fill.liquidity, fill.ts_fill_ns) == (99, "maker", START_NS + MINUTE_NS)
    assert (fill.meta["half_spread"], fill.meta["impact"]) == (0, 0)
    assert fill.fee == pytest.approx(10 * 99 * 1e-4)


def test_a_resting_order_gets_the_part_of_the_volume_that_traded_beyond_it() -> None:
    bars = bars_of([(100, 101, 97, 100, 1000)])  # a quarter of the range lies below 98
    assert play(market_of(bars), [Order(0, "buy", 1000, 98)]).filled() == 250
    assert play(market_of(bars, fills=TENTH), [Order(0, "buy", 1000, 98)]).filled() == 25


def test_a_touch_is_not_a_fill_unless_the_rule_says_so() -> None:  # pitfall 21
    bars = bars_of([(100, 101, 99, 100, 1000)])
    touch = FillConfig(max_participation=1.0, limit_rule="touch")
    assert play(market_of(bars), [Order(0, "buy", 10, 99)]).filled() == 0
    assert play(market_of(bars, fills=touch), [Order(0, "buy", 10, 99)]).filled() == 4  # 1 tick of 201


def test_a_limit_does_not_fill_at_the_close_where_the_market_never_was() -> None:  # pitfall 21
    outcome = play(market_of(flat(5, reach=1.0)), [Order(0, "buy", 1_000_000, 98), Order(0, "buy", 1_000_000, 99.5)])
    assert outcome.filled(0) == 0
    assert all(fill.price == 99.5 for fill in outcome.of(1))
    assert outcome.filled(1) <= 5 * 1000


def test_a_million_against_a_volume_of_a_hundred_gets_its_share_of_a_hundred() -> None:  # pitfall 21
    outcome = play(market_of(flat(4, volume=100), fills=TENTH), [Order(0, "buy", 1_000_000, 110)])
    assert outcome.by_bar() == dict.fromkeys(range(4), 10)


def test_a_gap_over_an_order_that_rested_fills_at_the_open() -> None:
    bars = bars_of([(100, 100.5, 99.5, 100, 1000), (95, 96, 94, 95, 1000)], pauses=(0, 285))
    (fill,) = play(market_of(bars), [Order(0, "buy", 10, 99)]).of(0)
    assert (fill.price, fill.liquidity) == (95, "maker")


def test_an_order_that_did_not_rest_before_a_gap_gets_no_gift() -> None:
    """It is known only when the lower market opens: it takes there, spread and all."""
    bars = bars_of([(100, 100.5, 99.5, 100, 1000), (95, 96, 94, 95, 1000)], pauses=(0, 285))
    (fill,) = play(market_of(bars, half=0.05), [Order(1, "buy", 10, 99)]).of(0)
    assert (fill.price, fill.liquidity) == (95.05, "taker")


def test_the_better_limit_rests_in_front() -> None:
    bars = bars_of([(100, 100, 97, 98, 100)])
    outcome = play(market_of(bars, fills=TENTH), [Order(0, "buy", 10, 99), Order(0, "buy", 5, 99.5)])
    assert (outcome.filled(0), outcome.filled(1)) == (3, 5)  # together 10 % of what traded below 99.5


# ---------------------------------------------------------------- life and death of an order


def test_an_order_that_expires_in_an_outage_is_gone_when_the_market_opens_again() -> None:
    bars = bars_of([(100, 100, 100, 100, 10), (90, 91, 89, 90, 1000)], pauses=(0, 60))
    outcome = play(market_of(bars), [Order(0, "buy", 50, minutes=5), Order(0, "buy", 50, 95, minutes=5)])
    assert outcome.filled() == 10
    assert outcome.closes["o0"].status == "expired"
    assert (outcome.closes["o0"].cumulative_qty, outcome.closes["o1"].cumulative_qty) == (10, 0)
    assert outcome.closes["o0"].ts_closed_ns == START_NS + 5 * MINUTE_NS


def test_an_order_whose_time_ends_inside_a_bar_rests_no_more_in_it() -> None:
    bars = bars_of([(100, 101, 98, 100, 1000)] * 2)
    outcome = play(market_of(bars), [Order(0, "buy", 10, 99, minutes=0.5), Order(0, "buy", 10, 99, minutes=1)])
    assert outcome.filled(0) == 0
    assert outcome.closes["o0"].ts_closed_ns == START_NS + MINUTE_NS // 2
    assert outcome.filled(1) == 10


def test_a_cancel_takes_the_order_out_and_says_what_it_had_filled() -> None:
    market = market_of(flat(3), fills=TENTH)
    intent = Order(0, "buy", 150).intent("o0", START_NS)
    market.submit(intent, START_NS)
    market.open(0)
    market.close(0)
    cancel = replace(intent, intent_id="c", action="cancel", target_intent_id="o0")
    closed = market.cancel(cancel, START_NS + MINUTE_NS)
    assert closed is not None
    assert (closed.status, closed.cumulative_qty, closed.intent_id) == ("cancelled", 100, "o0")
    assert not market.busy
    assert market.cancel(cancel, START_NS + MINUTE_NS) is None
    assert market.open(1) == market.close(1) == []


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order(0, "buy", 1), "quantity 1, worth 100.00, is below the minimum of 5 and 100 of notional"),
        (Order(0, "buy", 4.9, 100), "quantity 4.9, worth 490.00, is below the minimum of 5 and 100 of notional"),
        (Order(0, "buy", 20, 0.09), "quantity 20, worth 1.80, is below the minimum of 5 and 100 of notional"),
        (Order(0, "buy", 20.05), "quantity 20.05 is off the lot of 0.1"),
        (Order(0, "buy", 20, 99.123), "price 99.123 is off the tick of 0.01"),
    ],
)
def test_the_venues_filters_hold_in_the_simulation_too(order: Order, reason: str) -> None:  # pitfall 26
    strict = Instrument(SYMBOL, tick="0.01", lot="0.1", min_qty="5", min_notional=100)
    market = market_of(flat(1), instrument=strict)
    outcome = play(market, [order])
    closed = outcome.closes["o0"]
    assert (closed.status, closed.cumulative_qty, closed.reason) == ("rejected", 0, reason)
    assert not outcome.fills
    assert not market.busy


def test_exactly_the_venues_minimum_is_enough() -> None:
    strict = Instrument(SYMBOL, tick="0.01", lot="0.1", min_qty="0.3", min_notional=30)
    outcome = play(market_of(flat(1), instrument=strict), [Order(0, "buy", 0.3)])
    assert outcome.filled() == 0.3


# ---------------------------------------------------------------- our own impact


def test_what_we_did_moves_what_our_later_orders_meet_and_wears_off() -> None:
    market = market_of(flat(400), slippage=IMPACT)
    assert market.mid(-1) == 100
    play(market, [Order(0, "buy", 1000)])
    early, late = (market.mid(k) for k in (1, 399))
    assert 100 < late < early


def test_a_price_we_pushed_up_is_farther_from_our_resting_orders() -> None:
    bars = flat(2, reach=0.02)
    waits = Order(1, "buy", 10, 99.99)
    assert play(market_of(bars, slippage=IMPACT), [waits]).filled() == 10
    assert play(market_of(bars, slippage=IMPACT), [Order(0, "buy", 900), waits]).filled(1) == 0


def test_slices_of_one_parent_cost_as_much_as_the_model_says_of_the_whole() -> None:
    """Slices that trade at one rate pay 2/3 of Y * sigma * sqrt(Q / V), however many there are (golden G35)."""
    whole = 0.5 * 0.04 * math.sqrt(120_000 / 1_440_000) * 2 / 3
    for slices in (1, 4, 120):
        bars = flat(slices, volume=240_000 / slices)
        every = [Order(k, "buy", 120_000 / slices) for k in range(slices)]
        outcome = play(market_of(bars, slippage=IMPACT, permanent_share=0.0), every)
        paid = -outcome.cash() / outcome.filled() / 100 - 1
        # rate 1/2 over half the volume time; the propagator sees the rate, not the number of slices
        assert paid == pytest.approx(whole, rel=1e-4)


def test_a_model_of_your_own_is_charged_against_each_bar_and_remembers_nothing() -> None:
    class Cents(SlippageModel):
        def calculate_slippage(
            self, order_size: float, market_volume: float, bid_ask_spread: float, reference_price: float
        ) -> float:
            assert (market_volume, bid_ask_spread) == (1000, 0)
            return order_size / 100

    outcome = play(market_of(flat(2), slippage=Cents()), [Order(0, "buy", 100), Order(1, "sell", 50)])
    assert [fill.price for _, fill in outcome.fills] == [101, 99.5]


def test_a_market_of_unknown_volatility_pays_the_models_own_formula() -> None:
    bars = flat(2)
    conditions = known(bars, volatility=math.nan)
    outcome = play(market_of(bars, slippage=IMPACT, conditions=conditions), [Order(0, "buy", 10), Order(1, "buy", 10)])
    assert [fill.price for _, fill in outcome.fills] == pytest.approx([105, 105])  # 0.5 * sqrt(1 %)


# ---------------------------------------------------------------- laws


def venues() -> st.SearchStrategy[tuple[PowerLawSlippageModel | None, float, FillConfig]]:
    fills = st.builds(
        FillConfig,
        max_participation=st.sampled_from((0.1, 0.33, 1.0)),
        limit_rule=st.sampled_from(("through", "touch")),
    )
    return st.tuples(st.sampled_from(MODELS), st.sampled_from((0.0, 0.005, 0.3)), fills)


@given(tapes(), orders(), venues())
def test_the_books_balance_whatever_is_sent(
    bars: Bars, sent: list[Order], venue: tuple[SlippageModel | None, float, FillConfig]
) -> None:
    slippage, half, fills = venue
    market = market_of(bars, slippage=slippage, half=half, fills=fills)
    outcome = play(market, sent)

    for k, qty in outcome.by_bar().items():
        assert qty <= fills.max_participation * bars.volume[k] * (1 + 1e-9)
        assert bars.volume[k] > 0
    for number, order in enumerate(sent):
        if order.bar >= len(bars):
            continue
        filled, name = outcome.filled(number), f"o{number}"
        assert filled <= order.qty
        closed = outcome.closes.get(name)
        if closed is not None:
            assert closed.cumulative_qty == filled
            assert filled < order.qty
        working = name in market._working
        assert working == (closed is None and filled < order.qty)
        assert len({fill.fill_id for fill in outcome.of(number)}) == len(outcome.of(number))
    for k, fill in outcome.fills:
        intent = outcome.intents[fill.order_id]
        assert fill.side == intent.side
        assert intent.ts_local_ns <= fill.ts_fill_ns <= (intent.expires_ts_ns or fill.ts_fill_ns)
        assert fill.ts_fill_ns == (bars.ts_open_ns if fill.liquidity == "taker" else bars.ts_close_ns)[k]
        side = sign(fill.side)
        if intent.limit_price is not None:
            assert side * (intent.limit_price - fill.price) >= -1e-9
        if fill.liquidity == "taker":
            paid = fill.meta["half_spread"] + fill.meta["impact"]
            assert fill.meta["half_spread"] == half
            assert fill.price == pytest.approx(bars.open[k] + side * paid, abs=1e-9)
        else:
            assert (fill.meta["half_spread"], fill.meta["impact"]) == (0, 0)
        if slippage is None:
            assert bars.low[k] - half - 1e-9 <= fill.price <= bars.high[k] + half + 1e-9
        bps = INSTRUMENT.taker_fee_bps if fill.liquidity == "taker" else INSTRUMENT.maker_fee_bps
        assert fill.fee == pytest.approx(fill.qty * fill.price * bps / 1e4)


@given(tapes(), orders(most=4), venues(), st.integers(1, 12))
def test_nothing_that_happens_later_changes_what_happened(
    bars: Bars, sent: list[Order], venue: tuple[SlippageModel | None, float, FillConfig], cut: int
) -> None:  # pitfall 24
    assume(cut < len(bars))
    slippage, half, fills = venue
    known_all = known(bars)
    whole = play(market_of(bars, slippage=slippage, half=half, fills=fills, conditions=known_all), sent)
    part = play(market_of(bars[:cut], slippage=slippage, half=half, fills=fills), [o for o in sent if o.bar < cut])
    names = {f"o{n}": f"o{m}" for m, n in enumerate(n for n, o in enumerate(sent) if o.bar < cut)}
    before = [(k, names[fill.order_id], fill.qty, fill.price) for k, fill in whole.fills if k < cut]
    assert before == [(k, fill.order_id, fill.qty, fill.price) for k, fill in part.fills]


@given(tapes(), orders(), venues())
def test_the_same_orders_have_the_same_fate_twice(
    bars: Bars, sent: list[Order], venue: tuple[SlippageModel | None, float, FillConfig]
) -> None:
    slippage, half, fills = venue
    first, second = (play(market_of(bars, slippage=slippage, half=half, fills=fills), sent) for _ in range(2))
    assert (first.fills, first.closes) == (second.fills, second.closes)


@given(tapes(), orders(), st.sampled_from((0.1, 1.0)), st.sampled_from(("through", "touch")))
def test_selling_is_buying_in_a_mirror(bars: Bars, sent: list[Order], share: float, rule: str) -> None:
    """Without impact, which is relative to a price that the mirror changes."""
    fills = FillConfig(max_participation=share, limit_rule=rule)  # type: ignore[arg-type]
    assume(min(bars.low) > 1)
    other: dict[Side, Side] = {"buy": "sell", "sell": "buy"}
    turned = [
        replace(
            o, side=other[o.side], limit=None if o.limit is None else INSTRUMENT.price(20_000 - round(o.limit * 100))
        )
        for o in sent
    ]
    right = play(market_of(bars, half=0.02, fills=fills), sent)
    left = play(market_of(mirrored(bars), half=0.02, fills=fills), turned)
    assert [(k, f.order_id, f.qty, f.liquidity) for k, f in right.fills] == [
        (k, f.order_id, f.qty, f.liquidity) for k, f in left.fills
    ]
    assert [200 - f.price for _, f in right.fills] == pytest.approx([f.price for _, f in left.fills])


@given(tapes(), orders(ends=False, most=3), st.sampled_from((0.1, 0.3)), st.sampled_from((0.3, 0.5, 1.0)))
def test_a_larger_share_of_the_volume_never_fills_less(bars: Bars, sent: list[Order], low: float, high: float) -> None:
    less = play(market_of(bars, fills=FillConfig(max_participation=low)), sent)
    more = play(market_of(bars, fills=FillConfig(max_participation=high)), sent)
    assert more.filled() >= less.filled()


@given(tapes(), orders(ends=False, most=3), st.integers(2, 10))
def test_more_volume_never_fills_less(bars: Bars, sent: list[Order], times: int) -> None:
    busier = replace(bars, volume=bars.volume * times)
    assert play(market_of(busier, fills=TENTH), sent).filled() >= play(market_of(bars, fills=TENTH), sent).filled()


@given(tapes(), st.sampled_from(SIDES), st.integers(1, 2000), limits(), limits(), st.sampled_from((0.1, 1.0)))
def test_a_limit_that_gives_more_never_fills_less_or_later(
    bars: Bars, side: Side, qty: int, one: float | None, two: float | None, share: float
) -> None:
    fills = FillConfig(max_participation=share)
    bounds = [math.inf * sign(side) if limit is None else limit for limit in (one, two)]
    eager, shy = (one, two) if sign(side) * (bounds[0] - bounds[1]) >= 0 else (two, one)
    gives, keeps = (play(market_of(bars, half=0.02, fills=fills), [Order(0, side, qty, o)]) for o in (eager, shy))
    done_first = done_second = 0.0
    for k in range(len(bars)):
        done_first += gives.by_bar().get(k, 0)
        done_second += keeps.by_bar().get(k, 0)
        assert done_first >= done_second


@given(tapes(), st.sampled_from(SIDES), st.integers(2, 900), limits(), st.data(), venues())
def test_two_orders_for_one_get_the_same_quantity_at_the_same_cost(
    bars: Bars,
    side: Side,
    qty: int,
    limit: float | None,
    data: st.DataObject,
    venue: tuple[SlippageModel | None, float, FillConfig],
) -> None:
    slippage, half, fills = venue
    part = data.draw(st.integers(1, qty - 1))
    one = play(market_of(bars, slippage=slippage, half=half, fills=fills), [Order(0, side, qty, limit)])
    halves = [Order(0, side, part, limit), Order(0, side, qty - part, limit)]
    two = play(market_of(bars, slippage=slippage, half=half, fills=fills), halves)
    assert one.by_bar() == two.by_bar()
    assert one.cash() == pytest.approx(two.cash(), rel=1e-12)


@given(
    st.lists(st.integers(-900, 900), min_size=1, max_size=10),
    st.sampled_from((0.0, 1 / 3, 1.0)),
    st.sampled_from((IMPACT, LinearSlippageModel(0.2))),
)
def test_a_round_trip_by_takers_never_pays_even_without_a_spread(
    quantities: list[int], permanent: float, model: SlippageModel
) -> None:
    """In a market that stands still nobody can move the price and profit from it."""
    sent = [Order(k, "buy" if qty > 0 else "sell", abs(qty)) for k, qty in enumerate(quantities) if qty]
    held = sum(quantities)
    if held:
        back: Side = "sell" if held > 0 else "buy"
        sent.append(Order(len(quantities), back, abs(held)))
    bars = flat(len(quantities) + 12)
    outcome = play(market_of(bars, slippage=model, permanent_share=permanent), sent)
    assert outcome.filled() == sum(order.qty for order in sent)
    assert outcome.cash() <= 1e-9 * (1 + outcome.filled() * 100)


@given(tapes(pauses=False), orders(most=4), venues(), st.sets(st.integers(0, 12)))
def test_looking_at_the_market_in_idle_bars_changes_nothing(
    bars: Bars, sent: list[Order], venue: tuple[SlippageModel | None, float, FillConfig], looks: set[int]
) -> None:
    slippage, half, fills = venue
    quiet = market_of(bars, slippage=slippage, half=half, fills=fills)
    watched = market_of(bars, slippage=slippage, half=half, fills=fills)
    close = watched.close

    def close_and_look(k: int) -> object:
        events = close(k)
        if k in looks and k + 1 < len(bars):
            watched.quote(k)
        return events

    watched.close = close_and_look  # type: ignore[method-assign, assignment]
    first, second = play(quiet, sent), play(watched, sent)
    assert (first.fills, first.closes) == (second.fills, second.closes)


def test_the_default_rules_are_the_careful_ones() -> None:
    assert FillConfig() == FillConfig(max_participation=0.1, limit_rule="through", assumed_spread_bps=5.0)
    assert ALL.max_participation == 1.0
