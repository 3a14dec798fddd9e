"""Where a resting order stands in its queue, and what that makes of its chance to fill."""

from __future__ import annotations

import math

import pytest

from core import chance
from execution.ticks.queue import QueueModel, front_after_change
from tests import golden
from tests.naive_ticks import Row, Wish
from tests.ticks import MS, ask, bid, feed_of, market_of, play, trade

MODELS = {
    "risk_averse": QueueModel(),
    "x1": QueueModel(model="power", exponent=1.0),
    "x2": QueueModel(model="power", exponent=2.0),
    "x3": QueueModel(model="power", exponent=3.0),
    "log": QueueModel(model="log"),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_front_moves_as_worked_out_by_hand(name: str) -> None:
    model = MODELS[name]
    front, before, traded = 100.0, 100.0, 0.0
    for row in golden.rows("queue_fronts.csv"):
        value = float(row["value"])
        if row["kind"] == "trade":
            front, traded = front - value, traded + value
        else:
            front = front_after_change(model.code, model.exponent, front, before, value, traded)
            before, traded = value, 0.0
        assert front == pytest.approx(float(row[name]), abs=1e-6)


@pytest.mark.parametrize(("name", "lots"), [("risk_averse", 5), ("x1", 10), ("x2", 10), ("x3", 10), ("log", 10)])
def test_the_market_fills_what_the_same_history_says(name: str, lots: int) -> None:
    rows: list[Row] = [bid(0, 100, 100.0), ask(0, 110, 100.0)]
    rows += [trade(2, 100, 30.0, -1), bid(3, 100, 60.0), bid(4, 100, 120.0), bid(5, 100, 90.0)]
    rows += [trade(6, 100, 20.0, -1), bid(7, 100, 50.0), trade(8, 100, 45.0, -1)]
    for feed in (rows, [(k + 1 if k == 3 else k - 1 if k == 4 else k, ts, 210 - p, q, -s) for k, ts, p, q, s in rows]):
        sign = 1 if feed is rows else -1
        market = market_of(feed_of("book and trades", feed), queue=MODELS[name], compiled=False)
        got = play(market, [Wish("o", 1 * MS, sign, 10, 100 if sign > 0 else 110)])
        assert got.filled("o") == lots
        assert {fill.liquidity for fill in got.fills} == {"maker"}


def test_a_queue_of_prints_fills_as_often_as_the_binomial_says() -> None:
    # G32: x = 10, T = 300, p = .05: P(Bin(T, p) >= x) = .93503
    runs = 2000
    draw = chance.generator(7, "prints")
    rows: list[Row] = []
    wishes = []
    for run in range(runs):
        start = run * 1000
        prints = int(draw.binomial(300, 0.05))
        rows.append(trade(start, 105, 1.0))  # so that the order does not meet the market when it arrives
        rows += [trade(start + 1 + at, 100, 1.0, -1) for at in range(prints)]
        wishes.append(Wish(f"o{run}", start * MS, 1, 1, 100, expires_ns=(start + 900) * MS))
    market = market_of(feed_of("trades", rows), queue=QueueModel(queue_ahead=9.0))
    got = play(market, wishes)
    hits = len(got.fills)
    assert hits / runs == pytest.approx(0.93503, abs=3 * math.sqrt(0.93503 * 0.06497 / runs))


def test_a_queue_that_flows_out_at_random_fills_as_often_as_the_poisson_law_says() -> None:
    # G32: outflow Poisson of mean 120, 100 ahead, 10 of ours: P(any) .965332, P(full) .830859
    runs = 2000
    draw = chance.generator(8, "outflow")
    rows: list[Row] = []
    wishes = []
    for run in range(runs):
        start = run * 1000
        rows += [trade(start, 105, 1.0), trade(start + 1, 100, float(draw.poisson(120)), -1)]
        wishes.append(Wish(f"o{run}", start * MS, 1, 10, 100, expires_ns=(start + 900) * MS))
    got = play(market_of(feed_of("trades", rows), queue=QueueModel(queue_ahead=100.0)), wishes)
    any_fill = len(got.fills) / runs
    full = sum(fill.qty == 10 for fill in got.fills) / runs
    assert any_fill == pytest.approx(0.965332, abs=3 * math.sqrt(0.965332 * 0.034668 / runs))
    assert full == pytest.approx(0.830859, abs=3 * math.sqrt(0.830859 * 0.169141 / runs))


def test_a_model_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="model must be"):
        QueueModel(model="optimist")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="queue_ahead must be at least 0"):
        QueueModel(queue_ahead=-1.0)
