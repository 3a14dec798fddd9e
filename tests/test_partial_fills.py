"""Fills in parts: each is booked to position, cash and fees, and the one that completes an order ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.contracts import Side, sign
from tests.backtests import PLAIN, Scripted, Wish, backtest, check_account, flat, twap_config
from tests.markets import Order, market_of, play
from tests.markets import flat as flat_market


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_parts_are_booked_one_by_one_and_an_exact_fill_leaves_no_order_behind(side: Side) -> None:  # pitfall 23
    bars = flat_market(6, volume=100.0)
    market = market_of(bars)
    outcome = play(market, [Order(0, side, 250.0), Order(3, side, 100.0)])
    assert [fill.qty for fill in outcome.of(0)] == [100.0, 100.0, 50.0], "three bars of 100 each"
    assert sum(fill.qty for fill in outcome.of(1)) == 100.0, "the whole of a bar, exactly"
    assert not market.busy, "an order that is filled is gone"
    cancel = replace(outcome.intents["o1"], intent_id="o1-c1", action="cancel", target_intent_id="o1")
    assert market.cancel(cancel, 0) is None, "and there is nothing to take back"


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_the_account_follows_every_part(side: Side) -> None:  # pitfall 23
    bars = flat(20, price=10.0, volume=100.0)
    instrument = type(PLAIN)(PLAIN.symbol, tick="0.01", lot="1", taker_fee_bps=10.0)
    config = twap_config("market", 2, max_participation=0.1)
    result = backtest(bars, Scripted(Wish(0, side, 45.0, 900, slices=2)), execution=config, instrument=instrument)
    assert [fill.qty for fill in result.fills].count(10.0) >= 4, "ten lots of a bar at the most"
    assert sum(fill.qty for fill in result.fills) == 45.0
    assert result.position[-1] == sign(side) * 45.0
    assert sum(fill.fee for fill in result.fills) == pytest.approx(45.0 * 10.0 * 10e-4)
    check_account(result, bars, 10_000.0)
