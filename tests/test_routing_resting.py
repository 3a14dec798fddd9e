"""Children that rest, on a symbol with several venues: where they go, what each venue teaches, and exact quantities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.chance import generator
from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision
from core.instrument import Instrument
from execution.contracts import AlgoType
from execution.desk import Worked
from execution.events import Cancel, Market, Step, Wake
from execution.executors import executor
from execution.routing.censored import Floats, allocate
from execution.routing.depths import Depths
from execution.routing.health import VenueHealth
from execution.routing.ledger import RESTED, Memory
from execution.routing.legs import Venued
from execution.routing.venue_choice import BestVenue
from tests.naive import START_NS
from tests.talk import algorithm

SYMBOL = "ATOM/USDT"
SECOND = 1_000_000_000
DEPTHS = ((0.05, 3), (0.3, 8), (0.5, 30), (0.35, 40), (0.95, 2))  # chance of nothing, mean depth of a geometric


def at(venue: str, **told: Any) -> Instrument:
    return Instrument(SYMBOL, venue, **{"tick": "0.01", "lot": "1", **told})


def child(qty: float, name: str = "c", **meta: Any) -> OrderIntent:
    return OrderIntent(name, START_NS, "tester", SYMBOL, "buy", "limit", qty, 10.0, meta=meta)


def rest(depths: Depths, venue: str, sent: float, filled: float, times: int = 1, **told: Any) -> None:
    for _ in range(times):
        depths.rested(child(sent, venue=venue), filled, START_NS, **told)


def shares(depths: Depths, qty: float, usable: list[str], draws: int = 40) -> dict[str, float]:
    """How much of a child each venue gets, over some draws."""
    found = dict.fromkeys(usable, 0.0)
    for number in range(draws):
        for venue, part in depths.legs(child(qty, f"c-{number}"), usable):
            found[venue] += part / qty / draws
    return found


def machine(
    kind: AlgoType = "TWAP", quantity: float = 50, name: str = "x", seconds: int = 100, **params: Any
) -> Worked:
    made = executor(kind, "tester", instrument=at("sim"), stale_seconds=0.0)
    told = {"order_type": "limit", **params} if kind != "Iceberg" else params
    return made.start(algorithm(kind, quantity, seconds, **told), start_ns=START_NS, price=10.0, execution_id=name)


# ---- where they go


def test_a_child_rests_where_orders_have_filled() -> None:
    depths = Depths([at("deep"), at("dry")])
    rest(depths, "deep", 50, 50, 30)
    rest(depths, "dry", 50, 0, 30)
    assert shares(depths, 50, ["deep", "dry"])["deep"] > 0.9
    assert depths.legs(child(50), ["dry"]) == [("dry", 50.0)]  # the only one that is usable


def test_rebates_and_markouts_decide_between_venues_that_fill_alike() -> None:
    def choice(first: dict[str, Any], second: dict[str, Any], **markouts: float) -> dict[str, float]:
        depths = Depths([at("a", **first), at("b", **second)], markouts=lambda _symbol: markouts)
        for venue in ("a", "b"):
            rest(depths, venue, 50, 50, 20)
            rest(depths, venue, 50, 20, 20)
        return shares(depths, 50, ["a", "b"])

    assert choice({"maker_fee_bps": 2.0}, {"maker_fee_bps": -1.0})["b"] > 0.55
    assert choice({}, {}, a=3.0, b=float("nan"))["b"] > 0.55
    assert choice({"maker_fee_bps": 50.0}, {})["b"] > 0.9  # worth next to nothing: taking is cheaper


def test_what_was_withdrawn_early_says_only_that_there_was_as_much() -> None:
    early, late = (Depths([at("a"), at("b")]) for _ in range(2))
    for depths, told in ((early, True), (late, False)):
        rest(depths, "a", 50, 10, 40, early=told)
        rest(depths, "b", 50, 25, 40)
    assert shares(early, 45, ["a", "b"])["a"] > shares(late, 45, ["a", "b"])["a"] + 0.05


def test_parts_are_on_their_venues_grids_and_above_their_minima() -> None:
    depths = Depths([at("fine", lot="0.1"), at("coarse", lot="5"), at("rich", min_notional=250.0)])
    for number in range(50):
        legs = dict(depths.legs(child(47.3, f"c-{number}"), ["fine", "coarse", "rich"]))
        assert sum(round(10 * qty) for qty in legs.values()) == 473
        assert legs.get("coarse", 0.0) % 5 == 0
        assert legs.get("rich", 25.0) >= 25
    assert depths.legs(child(0.3), ["coarse"]) == [("coarse", 0.3)]  # it will say why not


@given(
    st.lists(st.sampled_from(("0.1", "0.5", "1", "7")), min_size=1, max_size=4),
    st.lists(st.floats(0, 400), min_size=4, max_size=4),
    st.integers(1, 3000),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 90), st.floats(0, 1)), max_size=20),
)
@settings(deadline=None, max_examples=60)
def test_whatever_has_been_seen_the_parts_are_the_child(
    lots: list[str], minima: list[float], tenths: int, seen: list[tuple[int, int, float]]
) -> None:
    venues = [at(f"v{n}", lot=lot, min_notional=minima[n]) for n, lot in enumerate(["0.1", *lots][:4])]
    depths = Depths(venues)
    for number, sent, share in seen:
        rest(depths, f"v{number % len(venues)}", sent, int(sent * share))
    legs = depths.legs(child(tenths / 10), [one.venue for one in venues])
    assert sum(round(10 * qty) for _, qty in legs) == tenths
    assert len({venue for venue, _ in legs}) == len(legs)
    if len(legs) > 1:
        for venue, qty in legs:
            assert next(one for one in venues if one.venue == venue).accepts(qty, 10.0)


def test_what_was_learnt_is_written_down_and_read_back_exactly() -> None:
    memory = Memory()
    depths = Depths([at("a"), at("b")], ledger=memory)
    rest(depths, "a", 80, 33, 5)
    rest(depths, "b", 80, 80, 5)
    again = Depths([at("a"), at("b")])
    for entry in memory.entries:
        assert entry["k"] == RESTED
        again.restore(entry)
    for number in range(20):
        assert again.legs(child(77, f"c-{number}"), ["a", "b"]) == depths.legs(child(77, f"c-{number}"), ["a", "b"])


def test_an_instrument_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="one for each symbol and venue"):
        Depths([at("a"), at("a")])
    with pytest.raises(ValueError, match="usable must name a venue"):
        Depths([at("a")]).legs(child(5), [])


# ---- through a parent


class Desk:
    """A parent whose children rest at several venues, told by hand."""

    def __init__(self, parent: Worked, depths: Depths, *, health: VenueHealth | None = None) -> None:
        self.memory = Memory()
        self.health = health or VenueHealth(depths.venues(SYMBOL))
        self.parent = Venued(parent, at("sim"), BestVenue(self.health, depths=depths))

    def on(self, event: Any, seconds: float = 0) -> Step:
        return self.parent.on(event, START_NS + round(seconds * SECOND))

    def start(self) -> tuple[OrderIntent, ...]:
        return self.on(Market(START_NS, 999, 1001)).commands + self.on(Wake()).commands

    def accepted(self, intent: OrderIntent) -> None:
        self.on(OrderEvent(intent.intent_id, "v", "w", SYMBOL, "buy", "limit", intent.qty, START_NS))

    def filled(self, intent: OrderIntent, qty: float) -> None:
        name = f"{intent.intent_id}-f"
        self.on(FillEvent(name, intent.intent_id, SYMBOL, "buy", qty, 10.0, START_NS, 0.0, "maker"))

    def closed(self, intent: OrderIntent, filled: float, status: Any = "cancelled", seconds: float = 100) -> Step:
        return self.on(OrderClosed(intent.intent_id, "v", status, filled, START_NS, None), seconds)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("TWAP", {"slice_count": 1}),
        ("IS", {"slice_count": 1, "half_life_seconds": 1000.0}),
        ("Iceberg", {"visible_ratio": 1.0, "price": "peg"}),
    ],
)
def test_children_that_rest_are_split_and_their_parent_sees_one(kind: AlgoType, params: dict[str, Any]) -> None:
    memory = Memory()
    depths = Depths([at("a"), at("b")], ledger=memory)
    desk = Desk(machine(kind, **params), depths)
    legs = desk.start()
    assert {leg.type for leg in legs} == {"limit"}
    assert sum(leg.qty for leg in legs) == 50
    assert [leg.meta["venue"] for leg in legs] == ["a", "b"]
    for leg in legs:
        desk.accepted(leg)
        desk.filled(leg, leg.qty)
        desk.filled(leg, leg.qty)  # told twice, counted once
    report = desk.parent.report()
    assert (report.filled_quantity, report.remaining_quantity) == (50, 0)
    assert [(one["venue"], one["sent"], one["filled"]) for one in memory.entries] == [
        (leg.meta["venue"], leg.qty, leg.qty) for leg in legs
    ]


def test_an_order_that_is_rejected_or_denied_teaches_nothing_and_its_venue_is_left_out_for_a_while() -> None:
    memory = Memory()
    desk = Desk(machine(slice_count=1, retries=3, retry_seconds=1.0), Depths([at("a"), at("b")], ledger=memory))
    first, second = desk.start()
    desk.closed(first, 0.0, "rejected", seconds=0)
    desk.on(RiskDecision(second.intent_id, False, "limit"))
    assert memory.entries == []
    assert desk.health.usable(START_NS) == ["b"]
    assert desk.health.usable(START_NS + 6 * SECOND) == ["a", "b"]
    sent: list[OrderIntent] = []
    for second_ in range(1, 5):
        sent += desk.on(Wake(), second_).commands
    assert [(one.meta["venue"], one.qty) for one in sent] == [("b", 50)]
    desk.filled(sent[0], 50)
    assert desk.parent.report().filled_quantity == 50


def test_a_parent_that_is_cancelled_teaches_only_what_was_filled() -> None:
    memory = Memory()
    desk = Desk(machine(slice_count=1), Depths([at("a"), at("b")], ledger=memory))
    first, second = desk.start()
    desk.filled(first, 3)
    cancels = desk.on(Cancel()).commands
    assert {cancel.target_intent_id for cancel in cancels} == {first.intent_id, second.intent_id}
    desk.closed(first, 3)
    desk.closed(second, 0.0)
    assert [(one["venue"], one["sent"], one["filled"]) for one in memory.entries] == [("a", 3, 3), ("b", 0, 0)]
    assert desk.parent.report().filled_quantity == 3


def test_a_venue_that_does_not_have_the_symbol_gets_nothing() -> None:
    other = replace(at("other"), symbol="BTC/USDT")
    desk = Desk(machine(slice_count=1), Depths([other, at("a")]), health=VenueHealth(["other", "a"]))
    (leg,) = desk.start()
    assert (leg.meta["venue"], leg.qty) == ("a", 50)


def true_tails(lots: int = 50) -> list[Floats]:
    return [np.asarray((1 - nothing) * (1 - 1 / depth) ** np.arange(lots), float) for nothing, depth in DEPTHS]


@pytest.mark.slow
def test_parents_learn_where_hidden_depth_is_and_get_what_an_oracle_would() -> None:
    tails, venues = true_tails(), [at(f"v{n}") for n in range(len(DEPTHS))]
    oracle = allocate(tails, 50)[1]
    reached = []
    for seed in range(4):
        depths, chance = Depths(venues, seed=seed), generator("hidden depth", seed)
        for number in range(1500):
            desk = Desk(machine(slice_count=1, name=f"x-{seed}-{number}"), depths)
            legs = desk.start()
            assert sum(leg.qty for leg in legs) == 50
            expected, got = 0.0, 0.0
            for leg in legs:
                venue = int(leg.meta["venue"][1:])
                nothing, depth = DEPTHS[venue]
                there = 0 if chance.random() < nothing else int(chance.geometric(1 / depth))
                expected += float(tails[venue][: int(leg.qty)].sum())
                desk.accepted(leg)
                if there:
                    desk.filled(leg, min(there, leg.qty))
                    got += min(there, leg.qty)
            for cancel in desk.on(Wake(), 100).commands:
                leg = next(one for one in legs if one.intent_id == cancel.target_intent_id)
                desk.closed(leg, leg.qty - cancel.qty)
            assert desk.parent.report().filled_quantity == got
            if number >= 1400:
                reached.append(expected / oracle)
    assert np.mean(reached) >= 0.98
