"""How the market's volume enters a plan: nothing is lost, nothing counts twice, spikes are spread, levels foreseen."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution import pov, volume
from execution.plan import MAX_RATIO_PPM, MAX_TAPE_LOTS, Curve, Plan, View

NOTHING = Curve()


def plan(**fields: Any) -> Plan:
    return Plan(**{"side": 1, "quantity": 10_000, "horizon_ms": 10_000, "slices": 10, "nominal": 1000, **fields})


def played(made: Plan, volumes: list[int]) -> list[View]:
    """The view as each slice begins, after slices of these volumes."""
    view, tape, found = View(), 0, []
    for over, lots in enumerate([0, *volumes]):
        tape += lots
        volume.begin_slice(made, view, over, tape)
        found.append(View(tape=view.tape, last=view.last, counted=view.counted, held=view.held))
    return found


# ---------------------------------------------------------------- counting


def test_without_a_spike_rule_all_volume_counts_at_once() -> None:
    views = played(plan(), [100, 50, 9000, 0, 7])
    assert [view.counted for view in views] == [0, 100, 150, 9150, 9150, 9157]
    assert [view.last for view in views] == [0, 100, 50, 9000, 0, 7]
    assert {view.held for view in views} == {0}


def test_a_spike_beyond_so_many_ordinary_slices_is_held_and_comes_back_over_the_next_ones() -> None:
    views = played(plan(spike=5, spike_slices=3), [100, 100, 1400, 100, 100, 100])
    assert [view.last for view in views] == [0, 100, 100, 1400, 100, 100, 100]
    assert [view.held for view in views][:4] == [0, 0, 0, 900]  # all that is beyond 5 * 100
    assert [view.counted for view in views][:4] == [0, 100, 200, 700]
    assert views[4].counted - views[3].counted == 100 + 300  # a third of it
    assert views[4].held == 600
    shares = [after.counted - before.counted for before, after in pairwise(views[3:])]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(("lots", "held"), [(500, 0), (501, 1)])
def test_a_spike_begins_behind_the_threshold(lots: int, held: int) -> None:
    assert played(plan(spike=5), [100, lots])[-1].held == held


def test_the_smallest_market_and_the_smallest_threshold_have_spikes_too() -> None:
    assert played(plan(spike=2), [1, 100])[-1].held == 98
    assert played(plan(spike=1), [100, 101])[-1].held == 1


def test_the_first_slices_are_no_spikes_because_nothing_says_what_is_ordinary() -> None:
    assert [view.held for view in played(plan(spike=2), [10_000])] == [0, 0]
    assert [view.held for view in played(plan(spike=2), [0, 0, 10_000])] == [0] * 4


def test_the_ordinary_slice_is_the_average_of_those_before() -> None:
    assert played(plan(spike=2), [100, 200, 301])[-1].held == 1  # 2 * (100 + 200) / 2


@given(st.lists(st.integers(0, 10**6), max_size=40), st.integers(0, 10), st.integers(1, 5), st.lists(st.integers(0, 9)))
def test_nothing_is_lost_counted_and_held_are_the_tape(
    volumes: list[int], spike: int, spread: int, calm: list[int]
) -> None:
    made = plan(spike=spike, spike_slices=spread)
    for before, after in pairwise(played(made, volumes + calm)):
        assert after.counted + after.held == after.tape
        assert after.counted >= before.counted
        assert after.held >= 0
        assert after.sent_in_slice == 0


@given(st.integers(1, 10**6), st.integers(1, 10))
def test_what_is_held_comes_back_in_the_end(excess: int, spread: int) -> None:
    view = View(tape=excess, held=excess)
    made = plan(spike=5, spike_slices=spread)
    for over in range(2, 400):
        volume.begin_slice(made, view, over, excess)
    assert (view.held, view.counted) == (0, excess)


def test_a_tape_that_runs_backwards_takes_nothing_back() -> None:
    view = View()
    for over, tape in enumerate([0, 100, 70, 100, 130]):
        volume.begin_slice(plan(), view, over, tape)
    assert (view.tape, view.counted, view.last) == (130, 130, 30)


def test_more_tape_than_rules_can_count_is_cut_off() -> None:
    view = View()
    volume.begin_slice(plan(), view, 1, MAX_TAPE_LOTS + 5)  # pitfall 38
    assert (view.tape, view.counted) == (MAX_TAPE_LOTS, MAX_TAPE_LOTS)


def test_a_new_slice_has_nothing_sent_in_it() -> None:
    view = View(sent_in_slice=7)
    volume.begin_slice(plan(), view, 1, 0)
    assert view.sent_in_slice == 0


# ---------------------------------------------------------------- foreseeing

EXPECTED = Curve(volume=(100, 300, 600, 1000))


@pytest.mark.parametrize(
    ("counted", "over", "persist", "lots"),
    [
        (0, 0, 500_000, 100),  # nothing is known yet
        (100, 1, 500_000, 200),  # as expected
        (200, 1, 0, 200),  # a surprise that does not go on
        (200, 1, 500_000, 300),  # that goes on by half
        (200, 1, 1_000_000, 400),
        (50, 1, 1_000_000, 100),
        (150, 2, 1_000_000, 150),
        (600, 3, 500_000, 400),
        (600, 4, 500_000, 0),  # there is no such slice
    ],
)
def test_the_next_volume_is_what_is_expected_at_the_level_of_the_day(
    counted: int, over: int, persist: int, lots: int
) -> None:
    assert volume.next_volume(plan(persist_ppm=persist), EXPECTED, View(counted=counted), over) == lots


def test_a_single_slice_has_its_expectation() -> None:
    assert volume.next_volume(plan(), Curve(volume=(70,)), View(), 0) == 70


def test_a_level_is_bounded_on_both_sides() -> None:
    made = plan(persist_ppm=1_000_000)
    levels = [volume.level(made, EXPECTED, View(counted=counted), 1) for counted in (0, 1, 10**6, 10**9)]
    assert levels[0] == levels[1] > 0
    assert levels[2] == levels[3] == pytest.approx(1 / levels[0])


def test_a_level_is_one_where_nothing_was_expected() -> None:
    assert volume.level(plan(), Curve(volume=(0, 5)), View(counted=9), 1) == 1


def test_without_an_expectation_the_next_slice_is_like_the_average_of_those_before() -> None:
    assert volume.next_volume(plan(), NOTHING, View(counted=0), 0) == 0
    assert volume.next_volume(plan(), NOTHING, View(counted=301), 3) == 100


def test_no_forecast_is_more_than_rules_can_count() -> None:
    wild = Curve(volume=(1, MAX_TAPE_LOTS))  # pitfall 38
    made = plan(persist_ppm=1_000_000)
    assert volume.next_volume(made, wild, View(counted=MAX_TAPE_LOTS), 1) == MAX_TAPE_LOTS


# ---------------------------------------------------------------- caps and thin volume


def test_the_cap_is_a_ratio_of_a_slice_less_what_was_sent_in_it() -> None:
    made = plan(cap_ppm=250_000)
    assert volume.volume_room(made, View(sent_in_slice=30), 1000) == 220
    assert volume.volume_room(made, View(sent_in_slice=30), 0) == -30


@pytest.mark.parametrize(
    ("minimum", "over", "last", "thin"),
    [
        (0, 3, 0, False),
        (1, 1, 0, True),
        (100, 0, 0, False),
        (100, 1, 99, True),
        (100, 1, 100, False),
        (100, 2, 0, True),
    ],
)
def test_a_slice_is_thin_below_the_minimum_once_one_is_over(minimum: int, over: int, last: int, thin: bool) -> None:
    assert volume.is_thin(plan(min_volume=minimum), View(last=last), over) is thin


# ---------------------------------------------------------------- POV's rule


def due(made: Plan, curve: Curve, **view: int) -> int:
    return pov.due(made, curve, View(**view))


def test_pov_owes_the_ratio_of_what_others_traded() -> None:
    made = plan(ratio_ppm=250_000)
    assert due(made, NOTHING, now_ms=5000, counted=1000) == 250
    assert due(made, NOTHING, now_ms=5000, counted=1003) == 250  # floor
    assert due(made, NOTHING, now_ms=5000, counted=10**9) == 10_000  # never more than the quantity
    assert due(made, NOTHING, now_ms=-1, counted=1000) == 0


def test_pov_feeds_forward_what_the_coming_slice_should_trade() -> None:
    made = plan(ratio_ppm=250_000, feed_forward=1, persist_ppm=0)
    curve = Curve(volume=tuple(range(400, 4400, 400)))
    assert due(made, curve, now_ms=0) == 100
    assert due(made, curve, now_ms=1000, counted=1000) == 350
    assert due(made, NOTHING, now_ms=1000, counted=1000) == 500  # the average of one slice


def test_pov_in_a_hurry_does_now_what_the_slices_to_come_could_not_take() -> None:
    made = plan(ratio_ppm=100_000, cap_ppm=250_000, hurry=1, quantity=1000)
    slow = plan(ratio_ppm=100_000, cap_ppm=250_000, quantity=1000)
    # 5 slices are over at 100 each; the 4 behind the present one can take 4 * 100 / 4
    assert due(slow, NOTHING, now_ms=5000, counted=500) == 50
    assert due(made, NOTHING, now_ms=5000, counted=500) == 900
    assert due(made, NOTHING, now_ms=9000, counted=500) == 1000
    assert due(made, NOTHING, now_ms=0) == 0  # nothing is known yet
    assert due(made, NOTHING, now_ms=5000, counted=50_000) == 1000
    assert due(plan(ratio_ppm=100_000, cap_ppm=250_000, hurry=1, quantity=10), NOTHING, now_ms=1000, counted=90) == 9


@given(
    st.integers(0, MAX_TAPE_LOTS), st.integers(0, MAX_TAPE_LOTS), st.integers(0, 10_000), st.integers(1, MAX_RATIO_PPM)
)
def test_more_volume_never_owes_less(counted: int, more: int, now_ms: int, ratio: int) -> None:
    made = plan(ratio_ppm=ratio)
    one, two = sorted((counted, more))
    owed = [due(made, NOTHING, now_ms=now_ms, counted=lots) for lots in (one, two)]
    assert 0 <= owed[0] <= owed[1] <= made.quantity
