"""Venues: the cheapest split of what is taken, how much to rest where, hidden depth, health, and children in legs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from core.chance import generator
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision, Side
from core.instrument import Instrument
from execution.desk import Worked
from execution.events import Cancel, Market, Step, Wake
from execution.routing.censored import Floats, Hazards, allocate, tail
from execution.routing.health import FIRST_WAIT_NS, MOST_WAIT_NS, VenueHealth
from execution.routing.legs import Venued
from execution.routing.resting import Prices, Venues, one_venue, several_venues
from execution.routing.taking import Book, Level, drift_bps, split
from execution.routing.venue_choice import BestVenue
from execution.twap import TWAPExecutor
from tests import golden
from tests.naive import START_NS
from tests.talk import algorithm

SYMBOL = "ATOM/USDT"
SECOND = 1_000_000_000
ROWS = golden.rows("routing.csv")


def words(row: dict[str, str]) -> dict[str, str]:
    return {name: text for name, _, text in (word.partition("=") for word in row["inputs"].split())}


def given_rows(*what: str) -> pytest.MarkDecorator:
    rows = [row for row in ROWS if row["what"] in what]
    assert rows
    return pytest.mark.parametrize("row", rows, ids=lambda row: f"{row['what']} {row['inputs']}")


def expected(row: dict[str, str]) -> Any:
    return pytest.approx(float(row["expected"]), abs=float(row["tolerance"]))


def at(venue: str, fee: float = 0.0, lot: str = "1", minimum: float = 0.0) -> Instrument:
    return Instrument(SYMBOL, venue, tick="0.01", lot=lot, taker_fee_bps=fee, min_notional=minimum)


def book(venue: str, *levels: tuple[float, float], ts_ns: int = 0, drift: float = 0.0, **told: Any) -> Book:
    return Book(at(venue, **told), tuple(Level(*level) for level in levels), ts_ns, drift)


# ---- taking


@given_rows("all_in")
def test_all_in_prices(row: dict[str, str]) -> None:
    told = words(row)
    side: Side = "buy" if told["side"] == "buy" else "sell"
    assert book("a", fee=float(told["fee_bps"])).all_in(float(told["price"]), side) == expected(row)


@given_rows("drift")
def test_what_waiting_for_a_venue_costs(row: dict[str, str]) -> None:
    told = words(row)
    assert drift_bps(float(told["volatility"]), float(told["latency_ms"])) == expected(row)


def test_a_venue_with_a_better_price_and_a_high_fee_comes_second() -> None:
    found = split("buy", 8, [book("dear", (100.00, 5), fee=10), book("cheap", (100.05, 5), (100.08, 5), fee=1)])
    assert {leg.venue: leg.qty for leg in found.legs} == {"cheap": 8}
    assert found.cost == pytest.approx((5 * 100.05 + 3 * 100.08) * 1.0001)
    assert found.left == 0


def test_a_slow_venue_pays_for_its_latency() -> None:
    quick, slow = book("quick", (100.01, 5)), book("slow", (100.00, 5), drift=2.0)
    assert [leg.venue for leg in split("buy", 5, [slow, quick]).legs] == ["quick"]
    sellers = [book("slow", (100.00, 5), drift=2.0), book("quick", (99.99, 5))]
    assert [leg.venue for leg in split("sell", 5, sellers).legs] == ["quick"]


def test_lots_are_whole_and_a_leg_below_a_venues_minimum_goes_elsewhere() -> None:
    fine, coarse = book("fine", (10.02, 100), lot="0.1"), book("coarse", (10.00, 7), lot="5")
    found = split("buy", 7.3, [fine, coarse])
    assert {leg.venue: leg.qty for leg in found.legs} == {"fine": 2.3, "coarse": 5.0}
    small = book("small", (10.00, 3), minimum=50.0)
    moved = split("buy", 7, [small, book("other", (10.02, 100))])
    assert {leg.venue: leg.qty for leg in moved.legs} == {"other": 7.0}
    assert moved.dropped == ("small",)
    nowhere = split("buy", 3, [small])
    assert (nowhere.legs, nowhere.left) == ((), 3)


levels = st.lists(st.tuples(st.integers(9_900, 10_100), st.integers(1, 20)), max_size=4)


@given(
    st.lists(st.tuples(levels, st.sampled_from((0.0, 1.0, 7.5, 30.0))), min_size=1, max_size=4),
    st.integers(1, 120),
    st.sampled_from(("buy", "sell")),
)
def test_the_worst_level_taken_is_no_dearer_than_the_best_one_left(
    told: list[tuple[list[tuple[int, int]], float]], quantity: int, side: Side
) -> None:
    books = []
    for number, (rows, fee) in enumerate(told):
        shown = sorted(rows, reverse=side == "sell")
        books.append(book(f"v{number}", *((price / 100, float(qty)) for price, qty in shown), fee=fee))
    found = split(side, quantity, books)
    taken = {leg.venue: leg.qty for leg in found.legs}
    assert sum(taken.values()) + found.left == quantity
    worst, best_left, cost = -math.inf, math.inf, 0.0
    for one in books:
        rest = taken.get(one.venue, 0.0)
        for level in one.levels:
            all_in = one.all_in(level.price, side)
            here = min(rest, level.qty)
            rest -= here
            cost += here * all_in
            if here:
                worst = max(worst, all_in)
            if here < level.qty:
                best_left = min(best_left, all_in)
    assert worst <= best_left
    assert found.cost == pytest.approx(cost)
    assert found.left == max(0, quantity - sum(level.qty for one in books for level in one.levels))


# ---- resting


def outflow(text: str) -> Any:
    name, *numbers = text.split(":")
    told = [float(number) for number in numbers]
    if name == "expon":
        return stats.expon(scale=told[0])
    return stats.norm(*told) if name == "norm" else stats.poisson(*told)


@given_rows("threshold_low", "threshold_high", "rest", "cost")
def test_one_venue_is_the_closed_form(row: dict[str, str]) -> None:
    told = words(row)
    prices = Prices(half_spread=0.02, take_fee=0.003, rebate=0.002, shortfall=float(told["shortfall"]))
    found = one_venue(1000, float(told["queue"]), outflow(told["outflow"]), prices)
    name = {"threshold_low": "low", "threshold_high": "high"}.get(row["what"], row["what"])
    assert getattr(found, name) == expected(row)
    assert found.rest + found.take == 1000


TWO = Venues(
    capacities=np.array([(0, 0), (300, 0), (600, 200), (900, 500), (0, 800), (400, 400)], float),
    rebates=(0.002, 0.003),
    half_spread=0.02,
    take_fee=0.003,
    shortfall=0.06,
    over=0.06,
    theta=0.0005,
)


@given_rows("two_venues")
def test_costs_of_two_venues(row: dict[str, str]) -> None:
    told = words(row)
    assert TWO.cost(1000, float(told["take"]), [float(one) for one in told["rests"].split(":")]) == expected(row)


def test_two_venues_rest_more_than_the_order_where_that_is_best() -> None:
    take, rests, cost = several_venues(1000, TWO, step=10)
    assert (take, rests) == (200, (600, 800))
    assert cost == pytest.approx(7.15)


def test_the_search_over_venues_finds_what_trying_everything_finds() -> None:
    chance = generator("resting")
    for _ in range(6):
        some = Venues(
            capacities=np.asarray(chance.integers(0, 12, (5, 2)) * 10.0, float),
            rebates=(0.002, 0.004),
            half_spread=0.02,
            take_fee=0.003,
            shortfall=float(chance.choice([0.03, 0.06, 0.2])),
            over=float(chance.choice([0.0, 0.06])),
            theta=0.0005,
        )
        grid = range(0, 110, 10)
        best = min(some.cost(100, take, (one, two)) for take in grid for one in grid for two in grid)
        assert several_venues(100, some, step=10)[2] == pytest.approx(best)


# ---- hidden depth

SENT, FILLED = (5, 5, 3, 3, 2, 2, 1, 4), (5, 2, 3, 0, 2, 1, 1, 4)
DEPTHS = ((0.05, 3), (0.3, 8), (0.5, 30), (0.35, 40), (0.95, 2))  # chance of nothing, mean depth of a geometric


@given_rows("tail")
def test_tails_by_kaplan_and_meier(row: dict[str, str]) -> None:
    assert tail(SENT, FILLED, 5)[int(words(row)["level"]) - 1] == expected(row)


@given_rows("allocated")
def test_each_lot_goes_where_it_is_likeliest_to_fill(row: dict[str, str]) -> None:
    given, filled = allocate([tail(SENT, FILLED, 5), np.array([0.9, 0.5, 0.2, 0.1, 0.05])], 6)
    assert {"A": given[0], "B": given[1], "expected": filled}[words(row)["venue"]] == expected(row)


def true_tails(lots: int = 50) -> list[Floats]:
    return [np.asarray((1 - nothing) * (1 - 1 / depth) ** np.arange(lots), float) for nothing, depth in DEPTHS]


@given_rows("hidden")
def test_the_oracle_of_the_learning_test(row: dict[str, str]) -> None:
    tails = true_tails()
    given, filled = allocate(tails, 50)
    figures = dict(zip("ABCDE", map(float, given), strict=True))
    figures["fill"] = filled / 50
    figures["even"] = sum(float(one[:10].sum()) for one in tails) / 50
    figures["single"] = max(float(one.sum()) for one in tails) / 50
    assert figures[words(row)["venue"]] == expected(row)


def test_a_venue_that_fills_all_says_nothing_of_its_end() -> None:
    hazards = Hazards(1, 10)
    for _ in range(50):
        hazards.observe(0, 3, 3)
    (seen,) = hazards.expected()
    assert seen[2] > 0.99
    hazards.observe(0, 10, 3)
    (seen,) = hazards.expected()
    assert seen[3] < 0.5
    with pytest.raises(ValueError, match="filled must be 0 to 2, was 3"):
        hazards.observe(0, 2, 3)


@pytest.mark.slow
def test_it_learns_where_hidden_depth_is() -> None:
    tails = true_tails()
    oracle = allocate(tails, 50)[1]
    shares = []
    for seed in range(30):
        hazards, chance = Hazards(5, 50), generator("hidden depth", seed)
        for round_ in range(1500):
            given, _ = allocate(hazards.sample(chance), 50)
            for venue, (sent, (nothing, depth)) in enumerate(zip(given, DEPTHS, strict=True)):
                if sent:
                    there = 0 if chance.random() < nothing else int(chance.geometric(1 / depth))
                    hazards.observe(venue, sent, min(sent, there))
            if round_ >= 1400:
                shares.append(sum(float(tails[venue][:sent].sum()) for venue, sent in enumerate(given)) / oracle)
    assert np.mean(shares) >= 0.98


# ---- health


def test_a_venue_that_refuses_waits_longer_each_time_and_is_tried_again() -> None:
    health = VenueHealth(["a", "b"])
    health.refused("a", 0, "closed")
    assert health.usable(0) == ["b"]
    assert health.trouble("a", 0) == "refused: closed; again in 5 s"
    assert health.usable(FIRST_WAIT_NS) == ["a", "b"]
    health.refused("a", FIRST_WAIT_NS, "closed")
    assert health.usable(2 * FIRST_WAIT_NS) == ["b"]
    assert health.usable(3 * FIRST_WAIT_NS) == ["a", "b"]
    for _ in range(20):
        health.refused("a", 0, "closed")
    assert health.usable(MOST_WAIT_NS) == ["a", "b"]
    health.worked("a")
    health.refused("a", 0, "closed")
    assert health.usable(FIRST_WAIT_NS) == ["a", "b"]


def test_a_venue_that_is_silent_or_down_is_left_out_until_it_is_heard_of() -> None:
    health = VenueHealth(["a", "b"], stale_seconds=10)
    assert health.usable(0) == ["a", "b"]  # nobody has said anything of them yet
    health.heard("a", 0)
    assert health.trouble("a", 11 * SECOND) == "silent for 11 s"
    health.heard("a", 11 * SECOND)
    health.down("a", "maintenance")
    assert health.trouble("a", 11 * SECOND) == "maintenance"
    health.up("a")
    assert health.usable(11 * SECOND) == ["a", "b"]


# ---- legs


def machine(seconds: int = 100, quantity: float = 100, **params: Any) -> Worked:
    executor = TWAPExecutor("tester", instrument=at("sim"))
    told = {"slice_count": 1, "order_type": "market", "stale_seconds": 0.0, **params}
    return executor.start(algorithm("TWAP", quantity, seconds, **told), start_ns=START_NS, price=10.0, execution_id="x")


def shown() -> list[Book]:
    return [book("a", (10.00, 60), ts_ns=START_NS), book("b", (10.01, 500), ts_ns=START_NS)]


class Desk:
    """A parent over two venues, told by hand."""

    def __init__(self, parent: Worked | None = None, *, books: bool = True, **scores: float) -> None:
        self.health = VenueHealth(["a", "b"])
        choice = BestVenue(
            self.health, scores=lambda _symbol: scores, books=lambda _symbol, _side: shown() if books else []
        )
        self.parent = Venued(parent or machine(), at("sim"), choice)

    def on(self, event: Any, seconds: float = 0) -> Step:
        return self.parent.on(event, START_NS + round(seconds * SECOND))

    def start(self) -> tuple[OrderIntent, ...]:
        return self.on(Market(START_NS, 999, 1001)).commands + self.on(Wake()).commands


def fill(intent: OrderIntent, qty: float, name: str = "f") -> FillEvent:
    return FillEvent(f"{intent.intent_id}-{name}", intent.intent_id, SYMBOL, intent.side, qty, 10.0, START_NS, 0.0)


def closed(intent: OrderIntent, filled: float, status: Any = "cancelled", reason: str | None = None) -> OrderClosed:
    return OrderClosed(intent.intent_id, "v", status, filled, START_NS, reason)


def test_a_market_child_is_split_and_its_parent_sees_one() -> None:
    desk = Desk()
    first, second = desk.start()
    assert [(one.intent_id, one.qty, one.meta["venue"]) for one in (first, second)] == [
        ("x-0-v1", 60.0, "a"),
        ("x-0-v2", 40.0, "b"),
    ]
    assert {one.meta["execution_id"] for one in (first, second)} == {"x"}
    for leg in (first, second):
        desk.on(OrderEvent(leg.intent_id, "v", "w", SYMBOL, "buy", "market", leg.qty, START_NS))
        desk.on(fill(leg, leg.qty))
        desk.on(fill(leg, leg.qty))  # told twice, counted once
        desk.on(closed(leg, leg.qty, "filled"))
    report = desk.parent.report()
    assert (report.status, report.filled_quantity) == ("completed", 100)
    assert len(report.fills) == 2


def test_a_split_child_closes_when_all_its_legs_have() -> None:
    desk = Desk(machine(retries=0))
    first, second = desk.start()
    desk.on(fill(first, 60))
    desk.on(closed(first, 60, "filled"))
    assert desk.parent.report().status == "running"
    desk.on(closed(second, 0.0, "rejected", "no such symbol"))
    report = desk.parent.report()
    assert report.filled_quantity == 60
    assert desk.health.usable(START_NS) == ["a"]  # b refused


def test_a_request_to_cancel_a_split_child_goes_to_every_open_leg() -> None:
    desk = Desk()
    first, second = desk.start()
    desk.on(fill(first, 60))
    desk.on(closed(first, 60, "filled"))
    (cancel,) = desk.on(Cancel()).commands
    assert (cancel.target_intent_id, cancel.meta["venue"], cancel.qty) == (second.intent_id, "b", 40)
    desk.on(closed(second, 15.0))
    desk.on(fill(second, 15.0))
    report = desk.parent.report()
    assert (report.status, report.filled_quantity) == ("cancelled", 75)


def test_a_split_child_that_the_gate_denies_in_all_its_legs_is_denied() -> None:
    desk = Desk(machine(retries=0))
    legs = desk.start()
    for leg in legs:
        desk.on(RiskDecision(leg.intent_id, False, "limit"))
    report = desk.parent.report()
    assert report.denials == ("x-0: limit",)
    assert report.filled_quantity == 0


def test_a_child_goes_to_the_venue_with_the_best_score_and_elsewhere_while_that_refuses() -> None:
    desk = Desk(machine(retries=3, retry_seconds=1.0), books=False, a=3.0, b=1.0)
    (child,) = desk.start()
    assert child.meta["venue"] == "b"
    step = desk.on(closed(child, 0.0, "rejected", "closed for the day"))
    assert step.wake_ns is not None
    (again,) = desk.on(Wake(), (step.wake_ns - START_NS) / SECOND).commands
    assert (again.meta["venue"], again.qty) == ("a", 100)
    assert again.intent_id != child.intent_id


def test_where_no_venue_is_left_the_parent_tries_again_later_and_nothing_is_lost_or_doubled() -> None:
    desk = Desk(machine(retries=3, retry_seconds=1.0), books=False)
    desk.health.down("a", "gone")
    desk.health.down("b", "gone")
    assert desk.start() == ()
    assert not desk.parent.ended
    desk.health.up("b")
    now = 0.0
    sent: list[OrderIntent] = []
    while not sent and now < 100:
        now += 1.0
        sent += desk.on(Wake(), now).commands
    (child,) = sent
    assert (child.meta["venue"], child.qty) == ("b", 100)
    desk.on(fill(child, 100), now)
    assert desk.parent.report().filled_quantity == 100
