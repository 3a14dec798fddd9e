"""Fills of a part of an order, booked at its end: everybody hears and does what he would have, one fill at a time."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision, Side
from core.errors import DataError
from core.instrument import Instrument
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm, ExecutionReport
from execution.executors import executor
from execution.parent import ParentOrder
from execution.slippage import SquareRootSlippageModel
from execution.ticks.desk import TickDesk
from execution.ticks.post import VenueEvent
from execution.ticks.rows import Content
from execution.ticks.venue import TickVenue, tick_venue
from tests.naive import START_NS
from tests.ticks import feed_of, feeds, quote, trade

MS = 1_000_000
SYMBOL = "X/Y"
INSTRUMENT = Instrument(SYMBOL, tick="0.1", lot="1", spread_bps=20.0, maker_fee_bps=1.0, taker_fee_bps=5.0)
HEARD = tuple[str, Any]


class Impatient(TickDesk):
    """Stops at every fill."""

    fills_at_once = 0

    def _all_patient(self) -> bool:
        return False


class Counting(TickDesk):
    """How many fills were booked with others."""

    fills_at_once = 0

    def _booked(self, events: list[VenueEvent]) -> list[VenueEvent]:
        left = super()._booked(events)
        self.fills_at_once += len(events) - len(left)
        return left


class Listener:
    """A gate that writes down what it hears, in order, and refuses what its test says."""

    def __init__(self, refused: frozenset[int]) -> None:
        self.heard: list[HEARD] = []
        self.refused = refused
        self.asked = 0

    def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
        self.heard.append((f"asked at {now_ns}", intent))
        self.asked += 1
        allowed = self.asked not in self.refused
        return RiskDecision(intent.intent_id, allowed, None if allowed else "not today")

    def on_fill(self, fill: FillEvent) -> None:
        self.heard.append(("fill", fill))

    def on_closed(self, closed: OrderClosed) -> None:
        self.heard.append(("closed", closed))

    def on_parent(self, execution_id: str, symbol: str, side: Side, qty: float) -> None:
        self.heard.append(("parent", (execution_id, symbol, side, qty)))

    def on_price(self, symbol: str, bid: float, ask: float, ts_ns: int) -> None:
        self.heard.append(("price", (symbol, bid, ask, ts_ns)))


def played(
    kind: type[Impatient] | type[Counting],
    place: TickVenue,
    parents: list[ParentOrder],
    refused: frozenset[int] = frozenset(),
) -> tuple[list[HEARD], list[tuple[FillEvent, int]], list[ExecutionReport], int]:
    gate = Listener(refused)
    fills: list[tuple[FillEvent, int]] = []
    reports: list[ExecutionReport] = []
    desk = kind(
        place.market(), place.tape, gate, place.settings, lambda fill, at: fills.append((fill, at)), reports.append
    )
    for parent in parents:
        desk.start(parent, parent.parent.start_ns)
    last_ns = max(place.feed.end_ns + place.latency.response_ns, *(parent.parent.start_ns for parent in parents), 0)
    desk.run(last_ns)
    desk.finish(last_ns)
    return gate.heard, fills, reports, desk.fills_at_once


def working(
    algo_type: AlgoType, place: TickVenue, start_ns: int, number: int, qty: int, *, seconds: int = 2, **params: Any
) -> ParentOrder:
    worker = executor(algo_type, "tester", instrument=INSTRUMENT, volumes=place.volumes)
    side: Side = "sell" if number % 2 else "buy"
    algo = ExecutionAlgorithm(algo_type, SYMBOL, side, qty, seconds, params)
    return worker.start(algo, start_ns=start_ns, execution_id=f"x-{number}", price=10.0)


def later(rows: list[Any], by: int = 1) -> list[Any]:
    """From `START_NS` on, and further apart, so that a parent of two seconds sees many of them."""
    return [(kind, START_NS + by * ts_ns, ticks, lots, side) for kind, ts_ns, ticks, lots, side in rows]


MARKET = {"order_type": "market", "slice_count": 4}
LIMIT = {"order_type": "limit", "slice_count": 3}
KINDS: tuple[tuple[AlgoType, dict[str, Any]], ...] = (
    ("TWAP", MARKET),
    ("TWAP", LIMIT),
    ("TWAP", {**MARKET, "catch_up": 1}),
    ("VWAP", MARKET),
    ("IS", MARKET),
    ("POV", {"target_pov": 0.3, "slice_count": 4}),
    ("TWAP", {"order_type": "limit_then_cross", "slice_count": 3}),
)
LATENCY = FillConfig(max_participation=0.2, order_latency_ms=13, cancel_latency_ms=29, response_latency_ms=37)


@settings(max_examples=150)
@given(
    st.data(),
    st.sampled_from((FillConfig(max_participation=0.1), FillConfig(max_participation=0.5), LATENCY)),
    st.lists(
        st.tuples(st.sampled_from((*KINDS, *KINDS[:1] * 4)), st.integers(0, 900), st.integers(1, 60)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from((None, 0.3)),
    st.frozensets(st.integers(1, 12), max_size=3),
)
def test_booking_parts_of_orders_at_their_ends_changes_nothing(
    data: st.DataObject,
    fills: FillConfig,
    wanted: list[tuple[tuple[AlgoType, dict[str, Any]], int, int]],
    impact: float | None,
    refused: frozenset[int],
) -> None:
    content: Content = data.draw(st.sampled_from(("trades", "trades", "quotes and trades")))
    first = [] if content == "trades" else quote(0, 99, 101)
    model = None if impact is None else SquareRootSlippageModel(impact)
    rows = later([*first, trade(0, 100, 3.0, 1), *data.draw(feeds(content, most=60))], by=40)
    place = tick_venue(feed_of(content, rows), INSTRUMENT, model, fills=fills)

    def tried(kind: type[Impatient] | type[Counting]) -> Any:
        parents = []
        for number, ((algo_type, params), wait_ms, qty) in enumerate(sorted(wanted, key=lambda one: one[1])):
            try:
                start_ns = START_NS + wait_ms * MS
                parents.append(working(algo_type, place, start_ns, number, qty, **params))
            except ValueError:  # too little for the rule
                continue
        try:
            return played(kind, place, parents, refused)[:3]
        except DataError as error:  # so much in so thin a market that its price would fall below zero
            return str(error)

    assert repr(tried(Counting)) == repr(tried(Impatient))


def test_an_order_that_many_prints_fill_is_heard_at_its_end() -> None:
    """A print a second, a lot of each: an order of ten is ten fills, nine of which stop nobody."""
    rows = later([trade(1000 * second, 100, 10.0, 1) for second in range(100)])
    place = tick_venue(feed_of("trades", rows), INSTRUMENT, None, fills=FillConfig(max_participation=0.1))
    told = [
        played(kind, place, [working("TWAP", place, START_NS, 0, 20, seconds=60, slice_count=2, order_type="market")])
        for kind in (Counting, Impatient)
    ]
    assert told[0][:3] == told[1][:3]
    assert len(told[0][1]) == 20
    assert [told[0][3], told[1][3]] == [18, 0]
    assert [at for _, at in told[0][1]] == [fill.ts_fill_ns for fill, _ in told[0][1]]
    (report,) = told[0][2]
    assert report.filled_quantity == 20
