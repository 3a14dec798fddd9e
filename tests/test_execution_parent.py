"""The parent-order machine: what it sends and when, whatever the venue, the gate and the bus do to it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import FillEvent, OrderClosed, OrderEvent, RiskDecision, Side
from core.instrument import Instrument
from execution.contracts import ExecutionAlgorithm
from execution.events import OrderUnknown, Pause, Resume
from execution.progress import END_OF_HORIZON
from execution.states import State
from execution.twap import TWAPExecutor
from tests import golden
from tests.naive import START_NS
from tests.parents import (
    MS,
    SECOND,
    SYMBOL,
    Play,
    filled_at_once,
    play_out,
    twap,
)

# ---------------------------------------------------------------- slices: how much, and when


@pytest.mark.parametrize("row", golden.rows("twap_slices.csv"), ids=lambda row: f"{row['quantity']} in {row['slices']}")
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_perfect_fills_send_the_sizes_of_the_table_and_nothing_is_lost(row: dict[str, str], side: Side) -> None:
    # pitfall 1, pitfall 2, pitfall 4
    quantity = int(row["quantity"])
    parent = twap(quantity, 100, side=side, slices=int(row["slices"]), min_qty=int(row["min_lots"]))
    played = play_out(parent, filled_at_once)
    assert [intent.qty for intent in played.commands] == [int(size) for size in row["sizes"].split()]
    assert parent.state is State.COMPLETED
    report = parent.report()
    assert report.filled_quantity == report.total_quantity == quantity
    assert report.remaining_quantity == 0
    assert report.slices_completed == report.slices_total == len(played.commands)


def test_two_lots_over_five_slices_are_two_children_half_an_horizon_apart_and_no_burst() -> None:
    play = Play(twap(2, 100, slices=5))  # pitfall 1
    assert play.sizes == [1]
    play.fill(0)
    for second in range(1, 50):
        assert play.at(second).sizes == [1]
    assert play.at(50).sizes == [1, 1]


def test_the_first_slice_is_sent_at_the_start_and_the_last_one_before_the_end() -> None:
    played = play_out(twap(100, 100), filled_at_once)  # pitfall 2, pitfall 32
    assert [(intent.ts_local_ns - START_NS) // SECOND for intent in played.commands] == list(range(0, 100, 10))
    assert all(intent.meta["scheduled_ts_ns"] == intent.ts_local_ns for intent in played.commands)


def test_a_remainder_does_not_add_a_slice() -> None:
    for quantity in (99, 100, 101):  # pitfall 31
        played = play_out(twap(quantity, 60, slices=3), filled_at_once)
        assert [(intent.ts_local_ns - START_NS) // SECOND for intent in played.commands] == [0, 20, 40]


def test_nothing_is_sent_before_the_start() -> None:
    later = START_NS + 30 * SECOND  # pitfall 19
    play = Play(twap(start_ns=later))
    assert play.state == State.PENDING
    assert play.wake_ns == later
    for second in (1, 15, 29.999):
        assert play.at(second).sizes == []
    assert play.at(30).sizes == [10]


def test_a_slice_begins_at_the_first_millisecond_and_the_wake_up_is_exactly_then() -> None:
    play = Play(twap(7, 10, slices=7))
    assert play.wake_ns == START_NS + 1429 * MS  # 10,000 / 7 = 1428.57
    play.fill(0)
    assert play.at(1.428).sizes == [1]
    assert play.at(1.429).sizes == [1, 1]


def test_every_child_carries_its_execution_its_slice_and_never_the_size_of_the_parent() -> None:
    played = play_out(twap(1003, 70, slices=7), filled_at_once)
    for index, intent in enumerate(played.commands):
        assert intent.meta["execution_id"] == "x-1"
        assert intent.meta["slice_id"] == f"x-1_{index}"
        assert intent.meta["slice_idx"] == index
        assert intent.intent_id == f"x-1-{index}"
        assert 1003 not in intent.meta.values()
        assert intent.expires_ts_ns == START_NS + 70 * SECOND


def test_fractions_of_lots_are_whole_lots() -> None:
    parent = twap(0.3, 30, slices=3, lot="0.1")  # pitfall 3, pitfall 7, pitfall 31
    played = play_out(parent, filled_at_once)
    assert [intent.qty for intent in played.commands] == [0.1, 0.1, 0.1]
    assert parent.report().filled_quantity == 0.3


def test_what_is_left_is_a_clean_number_and_no_float_residue() -> None:
    play = Play(twap(0.3, 30, slices=3, lot="0.1"))  # pitfall 7
    play.fill(0)
    assert play.parent.report().remaining_quantity == 0.2


def test_less_than_one_lot_is_declared_dust() -> None:
    parent = twap(1000, 100, slices=5, lot="7")  # pitfall 4; 142 lots of 7 are 994
    play_out(parent, filled_at_once)
    report = parent.report()
    assert (report.status, report.filled_quantity, report.remaining_quantity) == ("completed", 994, 6)
    assert report.unfilled_reason is not None
    assert "less than one lot of 7" in report.unfilled_reason


def test_a_rest_below_the_minimum_goes_with_the_child_before_it() -> None:
    play = Play(twap(100, 100, slices=3, min_qty=30, catch_up=1))  # pitfall 4
    play.fill(0).at(40).fill(1, 17).close(1, 17)
    assert play.sizes == [33, 33]
    play.at(70)  # 50 are left and 34 are allowed, but nobody would take the 16 behind them
    assert play.sizes == [33, 33, 50]


def test_lots_that_came_back_wait_until_they_are_enough_for_an_order() -> None:
    play = Play(twap(100, 100, slices=3, min_qty=30))  # pitfall 4
    play.fill(0, 30).close(0, 30).at(30)
    assert play.sizes == [33]
    assert play.at(40).sizes == [33, 36]


def test_a_rest_that_would_be_below_the_minimum_is_never_left_behind() -> None:
    play = Play(twap(65, 100, slices=2, min_qty=30))  # pitfall 4
    play.fill(0, 31).close(0, 31)  # of 32
    play.at(50)
    assert play.sizes == [32, 34]


# ---------------------------------------------------------------- fills, closes, evidence


def test_all_sent_is_not_done() -> None:
    play = Play(twap(10, 10, slices=1))  # pitfall 15
    assert play.sizes == [10]
    report = play.accept(0).parent.report()
    assert (report.status, report.filled_quantity, report.done) == ("running", 0, False)
    play.fill(0, 9)
    assert play.parent.report().status == "running"
    play.fill(0, 1)
    assert play.parent.report().status == "completed"


def test_the_next_slice_does_not_count_open_lots_twice() -> None:
    play = Play(twap())  # pitfall 8
    play.at(10)
    play.fill(0, 5)
    play.at(20)
    assert play.sizes == [10, 10, 10]
    assert play.parent.children.filled + play.parent.children.reserved == 30


def test_a_child_that_the_venue_cancels_goes_back_to_the_parent() -> None:
    play = Play(twap())  # pitfall 11
    play.fill(0, 4).close(0, 4, reason="self trade")
    assert play.sizes == [10]  # waits before it tries again
    assert play.at(1).sizes == [10, 6]
    play.fill(1)
    played = [play.at(second).fill(len(play.sent) - 1) for second in range(10, 100, 10)]
    assert played
    assert play.state == State.COMPLETED


def test_a_close_frees_nothing_before_its_fills_have_come() -> None:
    play = Play(twap(10, 10, slices=1))  # pitfall 37
    play.close(0, 7)  # the fills are still on their way
    assert play.parent.children.reserved == 7
    play.at(1)
    assert play.sizes == [10, 3]
    play.fill(0, 4, fill_id="a").fill(0, 4, fill_id="a").fill(0, 3, fill_id="b")
    assert (play.parent.children.filled, play.parent.children.reserved) == (7, 3)
    play.fill(1)
    assert play.state == State.COMPLETED


def test_a_fill_after_a_cancel_request_counts() -> None:
    play = Play(twap(10, 10, slices=1))  # pitfall 9
    play.at(10)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0"]
    assert play.state == State.CLOSING
    play.fill(0, 6)
    assert not play.parent.ended
    play.close(0, 6)
    report = play.parent.report()
    assert (report.status, report.filled_quantity, report.unfilled_reason) == ("cancelled", 6, END_OF_HORIZON)


def test_a_fill_that_wins_the_race_against_the_cancel_completes_the_parent() -> None:
    play = Play(twap(10, 10, slices=1))  # pitfall 9
    play.at(10).fill(0)
    assert play.state == State.COMPLETED
    assert play.parent.report().unfilled_reason is None


def test_a_fill_after_the_end_is_still_heard() -> None:
    play = Play(twap(10, 10, slices=1))
    play.at(10).close(0, 0)
    assert play.state == State.CANCELLED
    play.fill(0, 2)
    assert play.state == State.CANCELLED
    assert play.parent.report().filled_quantity == 2


def test_events_of_other_executions_change_nothing() -> None:
    play = Play(twap())  # pitfall 17, pitfall 18
    before = play.parent.report()
    for event in (
        FillEvent("f", "x-2-0", SYMBOL, "buy", 5, 10.0, play.now_ns),
        OrderClosed("x-2-0", "sim", "cancelled", 0.0, play.now_ns),
        OrderEvent("x-2-0", "sim", "w", SYMBOL, "buy", "market", 5, play.now_ns),
        RiskDecision("x-2-0", False, "no"),
        OrderUnknown("x-2-0"),
    ):
        play.on(event)
    assert play.parent.report() == before
    assert play.sizes == [10]


def test_unknown_lots_stay_reserved_until_there_is_evidence() -> None:
    play = Play(twap(10, 10, slices=1))
    play.unknown(0)
    for second in (1, 5, 10, 60):
        play.at(second)
        assert play.parent.children.reserved == 10
    assert play.sizes == [10]
    assert not play.parent.ended
    play.close(0, 0)
    assert play.state == State.CANCELLED


def test_a_fill_of_an_unknown_child_is_evidence_that_it_is_open() -> None:
    play = Play(twap(10, 10, slices=1))
    play.unknown(0).fill(0, 1)
    play.at(10)
    assert [cancel.qty for cancel in play.cancels] == [9]


def test_time_does_not_run_backwards() -> None:
    play = Play(twap())
    play.at(50).at(20)
    assert play.parent.view.now_ms == 50_000


# ---------------------------------------------------------------- catch-up


def test_a_gap_is_caught_up_with_three_nominal_slices_per_slice() -> None:
    play = Play(twap(100, 100, slices=10))  # pitfall 13
    play.fill(0)
    play.at(75)  # seven slices late
    assert play.new[0].qty == 30
    play.fill(1)
    assert play.at(79).sizes == [10, 30]
    play.at(80).fill(2)
    assert play.at(90).sizes == [10, 30, 30, 30]


@pytest.mark.parametrize(("catch_up", "sizes"), [(1, [10, 10, 10, 10]), (2, [10, 20, 20, 20])])
def test_the_cap_of_the_catch_up_is_a_parameter(catch_up: int, sizes: list[int]) -> None:
    play = Play(twap(100, 100, catch_up=catch_up))
    play.fill(0)
    for number, second in enumerate((75, 80, 90), start=1):
        play.at(second).fill(number)
    assert play.sizes == sizes


def test_after_a_pause_the_catch_up_is_capped_too() -> None:
    play = Play(twap())  # pitfall 13
    play.fill(0).on(Pause())
    play.at(60)
    assert play.sizes == [10]
    play.on(Resume())
    assert play.sizes == [10, 30]


def test_lots_that_come_back_may_be_sent_again_in_their_slice() -> None:
    play = Play(twap(10, 10, slices=1, catch_up=1))
    play.close(0, 0, "rejected").at(1)
    play.close(1, 4, "cancelled").fill(1, 4).at(5)
    assert play.sizes == [10, 10, 6]


# ---------------------------------------------------------------- wake-ups and seeds


@settings(max_examples=100)
@given(quantity=st.integers(1, 500), slices=st.integers(1, 20), moments=st.lists(st.integers(1, 9_999), max_size=15))
def test_lost_and_late_wake_ups_lose_no_lots(quantity: int, slices: int, moments: list[int]) -> None:
    play = Play(twap(quantity, 10, slices=slices, catch_up=1000))  # pitfall 2
    for moment in [*sorted(moments), 9_999]:
        play.at(moment / 1000)
    assert sum(play.sizes) == quantity


def test_the_same_parent_makes_the_same_children_with_another_seed_and_symbol_only_their_ids_differ() -> None:
    def ids(seed: int) -> list[str]:
        executor = TWAPExecutor("tester", 3, "market", seed=seed, instrument=Instrument(SYMBOL, lot="1"))
        parent = executor.start(ExecutionAlgorithm("TWAP", SYMBOL, "buy", 9.0, 9), start_ns=START_NS)
        return [intent.intent_id for intent in play_out(parent, filled_at_once).commands]

    assert ids(1) == ids(1)
    assert not set(ids(1)) & set(ids(2))  # pitfall 18
