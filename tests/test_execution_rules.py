"""The arithmetic that all algorithms share: exact, monotone, and inside 64 bits at its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.instrument import MAX_LOTS
from execution import iceberg, pov, rules, twap, volume, vwap
from execution.kernel import KERNELS, kernel
from execution.plan import (
    MAX_HORIZON_MS,
    MAX_RATIO_PPM,
    MAX_SLICES,
    MAX_TAPE_LOTS,
    NO_MARKET,
    Completion,
    Curve,
    Plan,
    Policy,
    Style,
    View,
)
from tests import golden

PLANS = st.builds(
    Plan,
    side=st.sampled_from([1, -1]),
    quantity=st.integers(1, MAX_LOTS),
    horizon_ms=st.integers(1, MAX_HORIZON_MS),
    slices=st.integers(1, MAX_SLICES),
)


CURVE = Curve()


def plan(**fields: Any) -> Plan:
    return Plan(
        **{
            "side": 1,
            "quantity": 100,
            "horizon_ms": 1000,
            "slices": 10,
            "nominal": 10,
            "style": Style.LIMIT,
            **fields,
        }
    )


def child_lots(made: Plan, due: int, view: View) -> int:
    """The next child, with the room that its slice has."""
    return rules.child_lots(made, due, rules.slice_room(made, CURVE, view, 0), view)


@pytest.mark.parametrize("row", [row for row in golden.rows("twap_slices.csv") if row["min_lots"] == "1"])
def test_slice_sizes_are_those_of_the_table(row: dict[str, str]) -> None:
    quantity, slices = int(row["quantity"]), min(int(row["slices"]), int(row["quantity"]))
    made = Plan(side=1, quantity=quantity, horizon_ms=7_777, slices=slices)
    totals = [twap.due(made, CURVE, View(now_ms=rules.slice_start_ms(made, CURVE, index))) for index in range(slices)]
    assert np.diff([0, *totals]).tolist() == [int(size) for size in row["sizes"].split()]


@given(PLANS, st.integers(0, MAX_SLICES))
def test_a_slice_has_begun_at_its_start_and_not_a_millisecond_before(made: Plan, index: int) -> None:
    index %= min(made.slices, made.horizon_ms)
    start = rules.slice_start_ms(made, CURVE, index)
    assert 0 <= start < made.horizon_ms
    assert rules.slices_begun(made, CURVE, start) >= index + 1
    assert rules.slices_begun(made, CURVE, start - 1) <= index


@given(PLANS, st.integers(-1000, 2 * MAX_HORIZON_MS), st.integers(0, 10**6))
def test_what_is_due_never_falls_and_ends_at_the_quantity(made: Plan, now_ms: int, later: int) -> None:
    due, then = (twap.due(made, CURVE, View(now_ms=at)) for at in (now_ms, now_ms + later))
    assert 0 <= due <= then <= made.quantity
    assert twap.due(made, CURVE, View(now_ms=made.horizon_ms)) == made.quantity
    assert twap.due(made, CURVE, View(now_ms=-1)) == 0
    last = rules.slice_start_ms(made, CURVE, made.slices - 1)
    assert twap.due(made, CURVE, View(now_ms=last)) == made.quantity  # pitfall 32


@given(PLANS, st.integers(0, MAX_HORIZON_MS))
def test_what_is_due_is_never_more_than_one_slice_ahead_of_the_clock(made: Plan, now_ms: int) -> None:
    due = twap.due(made, CURVE, View(now_ms=now_ms))
    now_ms = min(now_ms, made.horizon_ms)
    assert made.quantity * now_ms - made.horizon_ms < due * made.horizon_ms
    assert (due - 1) * made.slices * made.horizon_ms <= made.quantity * (now_ms * made.slices + made.horizon_ms)


@given(
    quantity=st.integers(1, 300),
    filled=st.integers(0, 300),
    open_lots=st.integers(0, 300),
    due=st.integers(0, 300),
    min_lots=st.integers(1, 50),
    sent=st.integers(0, 100),
    nominal=st.integers(1, 50),
    catch_up=st.integers(1, 4),
)
def test_a_child_never_exceeds_what_is_free_and_is_never_below_the_minimum(
    quantity: int, filled: int, open_lots: int, due: int, min_lots: int, sent: int, nominal: int, catch_up: int
) -> None:
    made = plan(quantity=quantity, min_lots=min_lots, nominal=nominal, catch_up=catch_up)
    view = View(filled=filled, open_lots=open_lots, sent_in_slice=sent)
    lots = child_lots(made, due, view)
    free = quantity - filled - open_lots
    assert lots == 0 or min_lots <= lots <= free  # pitfall 8
    assert lots < max(0, min(due - filled - open_lots, catch_up * nominal - sent)) + min_lots  # pitfall 13
    if lots:
        rest = free - lots
        assert rest == 0 or rest >= min_lots  # pitfall 4


@pytest.mark.parametrize(("due", "lots"), [(29, 0), (30, 30), (31, 60), (60, 60)])
def test_a_rest_that_no_venue_would_take_goes_with_this_child(due: int, lots: int) -> None:
    made = plan(quantity=60, min_lots=30, nominal=30)  # pitfall 4
    assert child_lots(made, due, View()) == lots


def test_nothing_is_due_twice() -> None:
    assert child_lots(plan(), 30, View(filled=10, open_lots=20)) == 0  # pitfall 8
    assert child_lots(plan(), 30, View(filled=40)) == 0


def test_an_extension_counts_its_intervals_on_but_not_its_slices() -> None:
    made = plan(completion=Completion.EXTEND, extend_ms=1000)
    assert [rules.slices_begun(made, CURVE, at) for at in (-1, 0, 99, 100, 999, 1000, 1950)] == [0, 1, 1, 2, 10, 10, 10]
    assert [rules.intervals_begun(made, CURVE, at) for at in (-1, 0, 99, 100, 999, 1000, 1950)] == [
        0,
        1,
        1,
        2,
        10,
        11,
        20,
    ]


def test_data_are_stale_when_older_than_the_limit_and_when_there_are_none() -> None:
    made = plan(stale_ms=500)
    assert not rules.blind(made, View(now_ms=1000, market_ms=500))
    assert rules.blind(made, View(now_ms=1000, market_ms=499))
    assert rules.blind(made, View(now_ms=0, market_ms=NO_MARKET))
    assert not rules.blind(plan(stale_ms=0), View(now_ms=10**9, market_ms=NO_MARKET))


@pytest.mark.parametrize(
    ("side", "bid", "ask", "limit", "ticks"),
    [
        (1, 99, 101, 0, 100),
        (1, 99, 102, 0, 100),
        (-1, 99, 102, 0, 101),
        (1, 99, 102, 98, 98),
        (1, 99, 102, 105, 100),
        (-1, 99, 102, 103, 103),
        (-1, 99, 102, 95, 101),
        (1, 100, 100, 0, 100),
        (-1, 100, 100, 0, 100),
    ],
)
def test_a_resting_child_is_at_the_mid_on_our_side_and_within_the_limit(
    side: int, bid: int, ask: int, limit: int, ticks: int
) -> None:
    assert rules.rest_ticks(plan(side=side, limit_ticks=limit), View(bid_ticks=bid, ask_ticks=ask), 0) == ticks


@given(st.integers(1, 10**9), st.integers(0, 10**6), st.integers(0, 10**9))
def test_resting_prices_mirror_each_other(bid: int, width: int, limit: int) -> None:
    ask, pivot = bid + width, 2 * 10**9
    buys = rules.rest_ticks(plan(side=1, limit_ticks=limit), View(bid_ticks=bid, ask_ticks=ask), 0)
    mirrored = View(bid_ticks=pivot - ask, ask_ticks=pivot - bid)
    sells = rules.rest_ticks(plan(side=-1, limit_ticks=pivot - limit if limit else 0), mirrored, 0)
    assert buys == pivot - sells
    assert buys <= (bid + ask) / 2


CLIPS = [
    # free, display, shown, minimum, draw: lots
    (100, 20, 0, 1, 0.0, 20),
    (100, 20, 10, 1, 0.0, 10),
    (100, 20, 11, 1, 0.0, 0),  # more than half of it is left
    (15, 20, 0, 1, 0.0, 15),
    (0, 20, 0, 1, 0.0, 0),
    (100, 20, 0, 1, 0.9, 11),  # 20 less 45 %
    (100, 20, 10, 1, 0.9, 1),  # and never so small that it would be refilled at once
    (100, 20, 0, 15, 0.9, 15),  # nor too small for the venue
    (100, 20, 10, 15, 0.0, 0),  # ten do not make an order
    (100, 10, 0, 15, 0.0, 0),
    (25, 20, 0, 10, 0.0, 15),  # leaves ten, and not five that nobody takes
    (20, 15, 0, 10, 0.0, 10),
    (19, 15, 0, 10, 0.0, 15),  # nine are not enough for two
    (19, 20, 0, 10, 0.9, 19),  # goes with this one, where the display allows it
    (18, 20, 5, 10, 0.0, 15),  # it does not
    (30, 40, 0, 10, 0.9, 30),
    (32, 40, 0, 10, 0.9, 22),  # ten remain, which is an order
]


@pytest.mark.parametrize(("free", "display", "shown", "minimum", "draw", "lots"), CLIPS)
def test_the_size_of_a_clip(free: int, display: int, shown: int, minimum: int, draw: float, lots: int) -> None:
    made = plan(quantity=free + shown + 5, min_lots=minimum, refill_ppm=500_000, jitter_ppm=500_000)
    assert rules.clip_lots(made, display, shown, View(filled=5, open_lots=shown), draw) == lots


PRICES = [
    # style, side, bid, ask, level, limit, rests
    (Style.PEG, 1, 99, 102, 0, 0, 99),
    (Style.PEG, -1, 99, 102, 0, 0, 102),
    (Style.PEG, 1, 99, 102, 2, 0, 93),
    (Style.PEG, -1, 99, 102, 2, 0, 108),
    (Style.PEG, 1, 99, 102, 0, 98, 98),
    (Style.PEG, 1, 99, 102, 1, 98, 96),
    (Style.PEG, -1, 99, 102, 0, 103, 103),
    (Style.REST_THEN_CROSS, 1, 99, 102, 0, 0, 99),
    (Style.REST_THEN_CROSS, -1, 99, 102, 0, 0, 102),
    (Style.FIXED, 1, 99, 102, 0, 95, 95),
    (Style.FIXED, -1, 99, 102, 0, 95, 95),
    (Style.FIXED, 1, 99, 102, 1, 95, 92),
    (Style.FIXED, -1, 99, 102, 1, 95, 98),
    (Style.PEG, 1, 2, 4, 3, 0, 1),
]


@pytest.mark.parametrize(("style", "side", "bid", "ask", "level", "limit", "ticks"), PRICES)
def test_where_a_child_rests(style: Style, side: int, bid: int, ask: int, level: int, limit: int, ticks: int) -> None:
    made = plan(style=style, side=side, limit_ticks=limit, level_ticks=3)
    assert rules.rest_ticks(made, View(bid_ticks=bid, ask_ticks=ask), level) == ticks


@pytest.mark.parametrize(
    ("side", "bid", "ask", "spreads", "limit", "ticks"),
    [
        (1, 99, 102, 0, 0, 0),
        (1, 99, 102, 0, 105, 105),
        (1, 99, 102, 2, 0, 108),
        (-1, 99, 102, 2, 0, 93),
        (1, 99, 102, 2, 105, 105),
        (1, 99, 102, 2, 110, 108),
        (-1, 99, 102, 2, 95, 95),
        (-1, 99, 102, 2, 90, 93),
        (1, 99, 99, 2, 0, 101),
        (-1, 99, 99, 2, 0, 97),
        (-1, 3, 6, 2, 0, 1),
    ],
)
def test_how_far_a_crossing_child_may_go(side: int, bid: int, ask: int, spreads: int, limit: int, ticks: int) -> None:
    made = plan(side=side, cross_spreads=spreads, limit_ticks=limit)
    assert rules.cross_ticks(made, View(bid_ticks=bid, ask_ticks=ask)) == ticks


@pytest.mark.parametrize(("child", "strayed"), [(100, False), (99, False), (101, False), (98, True), (102, True)])
def test_a_child_has_strayed_at_the_hysteresis_and_not_before(child: int, strayed: bool) -> None:
    assert rules.has_strayed(plan(repeg_ticks=2), child, 100) is strayed


def test_the_crossing_part_of_a_slice_begins_at_its_share() -> None:
    made = plan(rest_ppm=650_000)
    assert [rules.cross_start_ms(made, CURVE, index) for index in range(3)] == [65, 165, 265]
    shifted = Curve(starts_ms=(0, 150, 200))
    assert [rules.cross_start_ms(made, shifted, index) for index in range(2)] == [97, 182]


def test_shifted_slices_begin_when_the_curve_says() -> None:
    made = plan(slices=4, horizon_ms=400)
    shifted = Curve(starts_ms=(0, 130, 250, 310))
    moments = [-1, 0, 99, 129, 130, 249, 250, 309, 310, 399, 400, 500]
    assert [rules.slices_begun(made, shifted, at) for at in moments] == [0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4]
    assert rules.slice_start_ms(made, shifted, 4) == 400


@pytest.mark.parametrize(
    ("sent", "last", "index", "room"),
    [(0, 1000, 1, 30), (10, 1000, 1, 20), (0, 40, 1, 10), (4, 40, 1, 6), (0, 0, 1, 0), (0, 0, 0, 30)],
)
def test_a_slice_has_room_for_the_catch_up_and_within_the_participation(
    sent: int, last: int, index: int, room: int
) -> None:
    made = plan(catch_up=3, nominal=10, cap_ppm=250_000)
    assert rules.slice_room(made, CURVE, View(sent_in_slice=sent, last=last), index) == room


def test_a_plan_that_foresees_volume_has_room_for_what_is_coming() -> None:
    made = plan(catch_up=3, nominal=100, cap_ppm=250_000, feed_forward=1)
    expected = Curve(volume=(400, 1200))
    assert rules.slice_room(made, expected, View(), 0) == 100
    assert rules.slice_room(made, expected, View(counted=400, last=400), 1) == 200
    assert rules.slice_room(made, expected, View(counted=400, last=1000), 1) == 250  # the market is ahead of it


# ---------------------------------------------------------------- 64 bits


class Int64Fields:
    """A plan or a view whose integers are numpy's, which raise in this suite where they overflow."""

    def __init__(self, source: Plan | View) -> None:
        for name in type(source).__dataclass_fields__:
            setattr(self, name, np.int64(getattr(source, name)))


@pytest.mark.parametrize("slices", [1, 7, 99_999, MAX_SLICES])
@pytest.mark.parametrize("side", [1, -1])
def test_every_product_of_the_rules_fits_64_bits_at_the_bounds(slices: int, side: int) -> None:
    # pitfall 38
    made = plan(
        side=side,
        quantity=MAX_LOTS,
        horizon_ms=MAX_HORIZON_MS,
        slices=slices,
        nominal=MAX_LOTS,
        catch_up=1000,
        limit_ticks=2**40,
        completion=Completion.EXTEND,
        extend_ms=MAX_HORIZON_MS,
        stale_ms=MAX_HORIZON_MS,
    )
    for now_ms in (0, 1, MAX_HORIZON_MS - 1, MAX_HORIZON_MS, 2 * MAX_HORIZON_MS):
        for market_ms in (NO_MARKET, -(10**15), now_ms):
            view = View(now_ms=now_ms, bid_ticks=2**40, ask_ticks=2**40 + 1, market_ms=market_ms)
            wide_plan: Any = Int64Fields(made)
            wide_view: Any = Int64Fields(view)
            index: Any = np.int64(slices - 1)
            with np.errstate(all="raise"):
                due = twap.due(wide_plan, CURVE, wide_view)
                assert due == twap.due(made, CURVE, view)
                assert child_lots(wide_plan, due, wide_view) == child_lots(made, int(due), view)
                assert rules.slice_start_ms(wide_plan, CURVE, index) == rules.slice_start_ms(made, CURVE, slices - 1)
                assert rules.rest_ticks(wide_plan, wide_view, 0) == rules.rest_ticks(made, view, 0)
                assert rules.blind(wide_plan, wide_view) == rules.blind(made, view)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("slices", [2, 99_999, MAX_SLICES])
@pytest.mark.parametrize("counted", [0, 1, MAX_TAPE_LOTS])
@pytest.mark.parametrize("ratio", [1, 333_333, MAX_RATIO_PPM])
def test_every_product_with_volume_fits_64_bits_at_the_bounds(side: int, slices: int, counted: int, ratio: int) -> None:
    # pitfall 38
    made = plan(
        side=side,
        quantity=MAX_LOTS,
        horizon_ms=MAX_HORIZON_MS,
        slices=slices,
        nominal=MAX_LOTS,
        catch_up=1000,
        style=Style.REST_THEN_CROSS,
        ratio_ppm=ratio,
        cap_ppm=ratio,
        min_volume=MAX_LOTS,
        feed_forward=1,
        hurry=1,
        spike=1000,
        spike_slices=1,
        reweight=1,
        stray_ppm=1_000_000,
        settle_ppm=1_000_000,
        persist_ppm=1_000_000,
        display=MAX_LOTS,
        refill_ppm=1_000_000,
        jitter_ppm=900_000,
        levels=5,
        level_ticks=1_000_000,
        rest_ppm=1_000_000,
        cross_spreads=1000,
        repeg_ticks=1_000_000,
    )
    few = min(slices, 100)
    steps = [MAX_TAPE_LOTS * k // few for k in range(few + 1)]
    curve = Curve(targets=(*[MAX_LOTS] * slices,), volume=(*steps[1:], *[MAX_TAPE_LOTS] * (slices - few)))
    wide_curve = Curve(targets=np.array(curve.targets), volume=np.array(curve.volume))  # type: ignore[arg-type]
    wide_plan: Any = Int64Fields(made)
    for now_ms in (0, MAX_HORIZON_MS // slices + 1, MAX_HORIZON_MS - 1, 2 * MAX_HORIZON_MS):
        view = View(
            now_ms=now_ms, bid_ticks=2**40, ask_ticks=2**41, tape=counted, counted=counted, last=counted, held=counted
        )
        for over in (0, 1, slices - 1, slices):

            def wide(value: int | None = None, source: View = view) -> Any:
                return Int64Fields(source) if value is None else np.int64(value)

            with np.errstate(all="raise"):
                for rule in (twap.due, vwap.due, pov.due, iceberg.due):
                    assert rule(wide_plan, wide_curve, wide()) == rule(made, curve, view)
                assert volume.next_volume(wide_plan, wide_curve, wide(), wide(over)) == volume.next_volume(
                    made, curve, view, over
                )
                assert rules.slice_room(wide_plan, wide_curve, wide(), wide(over)) == rules.slice_room(
                    made, curve, view, over
                )
                assert volume.is_thin(wide_plan, wide(), wide(over)) == volume.is_thin(made, view, over)
                assert rules.cross_start_ms(wide_plan, CURVE, wide(over)) == rules.cross_start_ms(made, CURVE, over)
                assert rules.cross_ticks(wide_plan, wide()) == rules.cross_ticks(made, view)
                assert rules.rest_ticks(wide_plan, wide(), wide(4)) == rules.rest_ticks(made, view, 4)
                assert rules.clip_lots(wide_plan, wide(MAX_LOTS), wide(MAX_LOTS), wide(), 0.99) == rules.clip_lots(
                    made, MAX_LOTS, MAX_LOTS, view, 0.99
                )
                begun: Any = wide()
                volume.begin_slice(wide_plan, begun, wide(over), wide(2 * MAX_TAPE_LOTS))
            plain = View(**{name: getattr(view, name) for name in View.__dataclass_fields__})
            volume.begin_slice(made, plain, over, 2 * MAX_TAPE_LOTS)
            for name in View.__dataclass_fields__:
                assert getattr(begun, name) == getattr(plain, name)


def test_numpy_would_have_noticed_an_overflow() -> None:
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        np.int64(MAX_LOTS) * np.int64(MAX_HORIZON_MS * 1_000_000)


def test_kernels_are_registered_and_stay_plain_functions() -> None:
    assert {rules.slices_begun, rules.child_lots, rules.blind, rules.rest_ticks, twap.due} <= set(KERNELS)

    def double(value: int) -> int:
        return 2 * value

    before = len(KERNELS)
    try:
        assert kernel(double) is double
        assert KERNELS[before:] == [double]
    finally:
        del KERNELS[before:]


# ---------------------------------------------------------------- plans and policies


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"side": 0}, "side must be one of"),
        ({"quantity": 0}, "quantity in lots"),
        ({"quantity": MAX_LOTS + 1}, "quantity in lots"),
        ({"horizon_ms": 0}, "horizon_ms"),
        ({"horizon_ms": MAX_HORIZON_MS + 1}, "horizon_ms"),
        ({"slices": 0}, "slices"),
        ({"slices": MAX_SLICES + 1}, "slices"),
        ({"min_lots": 0}, "min_lots"),
        ({"catch_up": 0}, "catch_up"),
    ],
)
def test_a_plan_outside_its_bounds_is_refused(fields: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plan(**fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"completion": "finish"}, "completion must be one of cancel, complete, extend, was 'finish'"),
        ({"completion": "extend"}, "extend_seconds must be above 0"),
        ({"extend_seconds": -1}, "extend_seconds"),
        ({"completion_seconds": 0}, "completion_seconds"),
        ({"catch_up": 0}, "catch_up"),
        ({"retries": -1}, "retries"),
        ({"retry_seconds": 0}, "retry_seconds"),
        ({"stale_seconds": float("nan")}, "stale_seconds"),
    ],
)
def test_a_policy_outside_its_bounds_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Policy(**fields)


def test_the_end_of_a_plan_includes_its_extension_only_where_it_extends() -> None:
    assert plan(extend_ms=500).end_ms == 1000
    assert plan(extend_ms=500, completion=Completion.EXTEND).end_ms == 1500
