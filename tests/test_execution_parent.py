"""The parent-order machine: what it sends and when, whatever the venue, the gate and the bus do to it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import FillEvent, OrderClosed, OrderEvent, OrderIntent, RiskDecision, Side
from core.instrument import Instrument
from execution.contracts import ExecutionAlgorithm
from execution.events import Amend, Cancel, Event, OrderUnknown, Pause, Resume, Wake
from execution.progress import END_OF_HORIZON
from execution.states import ENDED, MOVES, State, check_move
from execution.twap import TWAPExecutor
from tests import golden
from tests.naive import START_NS
from tests.parents import (
    MS,
    REACHABLE,
    SECOND,
    SYMBOL,
    Play,
    filled_at_once,
    is_sorted,
    never_filled,
    parent_of,
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


# ---------------------------------------------------------------- refusals


def test_refusals_are_retried_after_doubling_waits_and_then_the_parent_fails_with_the_reason() -> None:
    play = Play(twap(retries=3, retry_seconds=1))  # pitfall 14
    play.deny(play.sent[0], "notional 100 above 50")
    for moment in (1, 3, 7):
        assert play.at(moment - 0.001).new == ()
        assert play.wake_ns == START_NS + moment * SECOND
        play.at(moment)
        assert len(play.new) == 1
        play.deny(play.new[0], "notional 100 above 50")
    assert play.state == State.FAILED
    assert play.times == [0, 1, 3, 7]
    report = play.parent.report()
    assert (report.status, report.unfilled_reason) == ("failed", "notional 100 above 50")
    assert report.denials == tuple(f"x-1-{n}: notional 100 above 50" for n in range(4))
    assert play.parent.on(Wake(), play.now_ns + SECOND).wake_ns is None


def test_a_fill_starts_the_count_of_refusals_anew() -> None:
    play = Play(twap(retries=1))
    play.close(0, 4, "rejected", "busy").fill(0, 4).at(1)
    assert play.sizes == [10, 6]
    play.fill(1).at(10).close(2, 0, "rejected", "busy").at(11)
    assert play.state == State.WORKING
    play.close(3, 0, "rejected", "busy")
    assert play.state == State.FAILED
    assert play.parent.report().unfilled_reason == "rejected by the venue: busy"


def test_without_retries_the_first_refusal_fails() -> None:
    play = Play(twap(retries=0))
    assert play.deny(play.sent[0]).state == State.FAILED


def test_a_failing_parent_waits_for_its_other_children() -> None:
    play = Play(twap(retries=0))
    play.at(10).deny(play.sent[1])
    assert play.state == State.CLOSING
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0"]
    play.fill(0, 3).close(0, 3)
    assert play.state == State.FAILED
    assert play.parent.report().filled_quantity == 3


def test_a_denial_after_our_cancel_request_is_the_last_word_too() -> None:
    play = Play(twap(10, 10, slices=1))  # pitfall 14: the cancel of an order that never was finds nothing to close
    play.on(Cancel())
    play.deny(play.sent[0])
    assert play.state == State.CANCELLED


def test_a_denial_of_an_unknown_child_is_evidence() -> None:
    play = Play(twap(10, 10, slices=1))
    play.unknown(0).on(Cancel()).deny(play.sent[0])
    assert play.state == State.CANCELLED


def test_a_repeated_denial_counts_once() -> None:
    play = Play(twap(retries=1))
    play.deny(play.sent[0]).deny(play.sent[0]).deny(play.sent[0])
    assert play.state == State.WORKING
    assert play.parent.report().denials == ("x-1-0: too big",)


def test_orders_that_expire_at_the_end_are_no_refusals() -> None:
    play = Play(twap(order_type="limit", retries=0))
    for second in range(10, 100, 10):
        play.at(second)
    assert len(play.sent) == 10
    play.now_ns = START_NS + 100 * SECOND  # the venue's clock is a little ahead of our wake-up
    for number in range(10):
        play.close(number, 0, "expired")
    report = play.parent.report()
    assert (report.status, report.unfilled_reason) == ("cancelled", END_OF_HORIZON)


def test_a_denied_cancel_is_asked_for_again_under_a_new_id() -> None:
    play = Play(twap(10, 10, slices=1))
    play.at(10)
    play.deny(play.cancels[0], "rate")
    assert play.new == ()
    assert play.wake_ns == START_NS + 11 * SECOND
    assert play.at(10.5).new == ()
    play.at(11)
    assert [cancel.intent_id for cancel in play.cancels] == ["x-1-0-c1", "x-1-0-c2"]
    play.deny(play.cancels[0], "rate")  # an old answer, once more
    assert play.at(12.9).new == ()
    play.at(13)  # nobody has answered the second one
    assert [cancel.intent_id for cancel in play.cancels] == ["x-1-0-c1", "x-1-0-c2", "x-1-0-c3"]
    assert play.parent.report().denials == ("x-1-0-c1: rate",)
    play.close(0, 0)
    assert play.state == State.CANCELLED


def test_a_cancel_that_we_asked_for_is_no_refusal_even_if_its_order_was_unknown_meanwhile() -> None:
    play = Play(twap(retries=0))
    play.on(Pause()).unknown(0).close(0, 0)
    assert play.state == State.PAUSED
    play.on(Resume())
    assert play.state == State.WORKING


# ---------------------------------------------------------------- the end


def test_resting_children_are_cancelled_at_the_end_of_the_horizon() -> None:
    parent = twap(order_type="limit")  # pitfall 16
    played = play_out(parent, never_filled)
    cancels = [intent for intent in played.commands if intent.action == "cancel"]
    assert [cancel.target_intent_id for cancel in cancels] == [f"x-1-{n}" for n in range(10)]
    assert {cancel.ts_local_ns for cancel in cancels} == {START_NS + 100 * SECOND}
    report = parent.report()
    assert (report.status, report.unfilled_reason) == ("cancelled", END_OF_HORIZON)
    assert report.end_ts_ns == START_NS + 100 * SECOND


def test_complete_crosses_the_rest_before_the_end() -> None:
    play = Play(twap(order_type="limit", completion="complete"))
    for second in range(10, 100, 10):
        play.at(second)
    assert play.wake_ns == START_NS + 95 * SECOND  # half a slice before the end
    play.at(95)
    assert play.state == State.CROSSING
    assert len(play.cancels) == 10
    play.fill(0, 5)  # wins the race against its cancel
    for number in range(10):
        play.close(number, 5 if number == 0 else 0)
    assert [(intent.type, intent.qty) for intent in play.sent[10:]] == [("market", 95)]
    play.fill(10)
    assert play.state == State.COMPLETED


def test_crossing_waits_for_what_is_unknown() -> None:
    play = Play(twap(10, 10, slices=1, order_type="limit", completion="complete"))
    play.unknown(0).at(6)
    assert play.state == State.CROSSING
    assert len(play.sent) == 1
    play.close(0, 0).at(7)
    assert len(play.sent) == 2


def test_crossing_keeps_to_the_limit_of_the_parent() -> None:
    play = Play(twap(10, 10, slices=1, order_type="limit", completion="complete", limit_price=9.99))
    play.at(6).close(0, 0)
    assert [(intent.type, intent.limit_price) for intent in play.sent] == [("limit", 9.99), ("limit", 9.99)]


def test_extend_works_on_after_the_horizon_and_ends_after_the_extension() -> None:
    play = Play(twap(order_type="limit", completion="extend", extend_seconds=50))
    for second in range(10, 100, 10):
        play.at(second)
    for number in range(9):
        play.fill(number)
    play.close(9, 0, "cancelled").at(101)
    assert play.sizes == [10] * 11
    assert play.sent[-1].expires_ts_ns == START_NS + 150 * SECOND
    play.at(150)
    assert play.state == State.CLOSING
    play.close(10, 0)
    assert play.state == State.CANCELLED


def test_an_extension_makes_up_for_all_that_was_missed_at_the_capped_pace() -> None:
    play = Play(twap(completion="extend", extend_seconds=100))
    play.fill(0).on(Pause())
    play.at(100).on(Resume())
    for second in range(101, 200):
        while play.new and len(play.sent) > 1 and play.new[-1].action == "new":
            play.fill(len(play.sent) - 1)
        play.at(second)
    assert play.state == State.COMPLETED
    assert max(play.sizes) == 30


def test_no_child_is_sent_at_or_after_the_end() -> None:
    play = Play(twap(), sees_market=False)
    play.at(100)
    assert play.sizes == []
    assert play.state == State.CANCELLED


def test_cancel_by_request_keeps_the_reason() -> None:
    play = Play(twap())
    play.on(Cancel("the desk is closing")).close(0, 0)
    assert play.state == State.CANCELLED
    assert play.parent.report().unfilled_reason == "the desk is closing"


def test_cancel_before_the_start_ends_at_once() -> None:
    play = Play(twap(start_ns=START_NS + SECOND))
    assert play.on(Cancel()).state == State.CANCELLED


# ---------------------------------------------------------------- pause, resume, stale data


def test_a_pause_pulls_what_rests_and_a_resume_sends_it_again() -> None:
    play = Play(twap(order_type="limit"))
    play.on(Pause())
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0"]
    play.close(0, 0)
    play.at(5)
    assert play.sizes == [10]
    play.on(Resume())
    assert play.sizes == [10, 10]


def test_a_pause_may_leave_the_children_in_the_market() -> None:
    play = Play(twap(pull_on_pause=False))
    play.on(Pause())
    assert play.cancels == []
    play.fill(0)
    assert play.parent.children.filled == 10


def test_a_pause_that_lasts_to_the_end_says_so_in_the_report() -> None:
    play = Play(twap())
    play.fill(0).on(Pause("news at noon")).at(100)
    assert play.parent.report().unfilled_reason == "news at noon"


def test_without_market_data_nothing_is_sent_until_there_is_some() -> None:
    play = Play(twap(), sees_market=False)
    play.at(0)
    assert play.state == State.PAUSED
    assert play.listens()
    play.at(5).market()
    assert play.state == State.WORKING
    assert not play.listens()
    assert not play.parent.listens
    assert play.sizes == [10]


def test_stale_data_pause_and_fresh_data_resume() -> None:
    play = Play(twap(stale_seconds=15))
    play.fill(0).at(10)
    assert play.sizes == [10, 10]
    play.fill(1).at(20)
    assert play.state == State.PAUSED
    assert play.cancels == []
    play.market(age_s=16)
    assert play.state == State.PAUSED
    play.market()
    assert play.sizes == [10, 10, 10]


def test_a_resume_does_not_help_against_stale_data() -> None:
    play = Play(twap(), sees_market=False)
    play.at(0).on(Resume())
    assert play.state == State.PAUSED
    assert play.listens()


def test_a_pause_by_request_is_not_lifted_by_market_data() -> None:
    play = Play(twap(), sees_market=False)
    play.at(0).on(Pause()).market()
    assert play.state == State.PAUSED
    assert play.on(Resume()).sizes == [10]


def test_older_market_data_do_not_replace_newer() -> None:
    play = Play(twap(20, 100, slices=2, order_type="limit"))
    play.at(50 - 0.001).market(1099, 1101)
    play.market(899, 901, age_s=1)
    play.at(50)
    assert [intent.limit_price for intent in play.sent] == [10.0, 11.0]


@pytest.mark.parametrize("sides", [(0, 1), (0, 1001), (999, 0)])
def test_a_market_with_one_side_is_no_market(sides: tuple[int, int]) -> None:
    play = Play(twap(order_type="limit"), sees_market=False)
    play.market(*sides)
    assert play.sent == []
    assert play.market().sent[0].limit_price == 10.0


# ---------------------------------------------------------------- amendments


def test_an_amended_quantity_is_worked_over_the_time_that_is_left() -> None:
    play = Play(twap())
    play.fill(0).at(10).fill(1).at(50)
    play.fill(2)
    done = play.parent.children.filled
    play.on(Amend(quantity=done + 20))
    for second in range(51, 101):
        if play.new and play.new[-1].action == "new":
            play.fill(len(play.sent) - 1)
        play.at(second)
    assert play.state == State.COMPLETED
    assert play.parent.report().total_quantity == done + 20 == sum(play.sizes)


def test_an_amendment_waits_until_nothing_is_open() -> None:
    play = Play(twap())  # pitfall 10
    play.at(10).on(Amend(quantity=50))
    assert play.state == State.AMENDING
    assert len(play.cancels) == 2
    play.fill(0, 3)
    play.close(0, 5)  # two lots are still on their way
    play.close(1, 0)
    assert play.state == State.AMENDING
    play.fill(0, 2)
    assert play.state == State.WORKING
    assert (play.parent.plan.quantity, play.parent.plan.horizon_ms) == (45, 90_000)


def test_an_amended_end_moves_the_schedule() -> None:
    play = Play(twap())
    play.fill(0).on(Amend(end_ns=START_NS + 200 * SECOND))
    assert play.parent.plan.horizon_ms == 200_000
    assert play.sent[-1].expires_ts_ns == START_NS + 200 * SECOND


def test_an_amended_limit_prices_the_next_child() -> None:
    play = Play(twap(order_type="limit"))
    play.on(Amend(limit_ticks=950)).close(0, 0)
    assert play.sent[-1].limit_price == 9.5


def test_several_amendments_at_once_are_one() -> None:
    play = Play(twap())
    play.on(Amend(quantity=50)).on(Amend(end_ns=START_NS + 30 * SECOND)).on(Amend(limit_ticks=1200))
    play.close(0, 0)
    plan = play.parent.plan
    assert (plan.quantity, plan.horizon_ms, plan.limit_ticks) == (50, 30_000, 1200)


@pytest.mark.parametrize(
    ("amendment", "text"),
    [
        (Amend(end_ns=START_NS - SECOND), "horizon_ms"),
        (Amend(end_ns=START_NS + 10**6 * SECOND), "horizon_ms"),
        (Amend(quantity=10**12), "quantity"),
    ],
)
def test_an_impossible_amendment_ends_the_parent_and_says_why(amendment: Amend, text: str) -> None:
    play = Play(twap())
    play.on(amendment).close(0, 0)
    report = play.parent.report()
    assert report.status == "cancelled"
    assert report.unfilled_reason is not None
    assert report.unfilled_reason.startswith("cannot be amended: ")
    assert text in report.unfilled_reason


def test_an_amendment_below_the_minimum_of_the_venue_ends_the_parent() -> None:
    play = Play(twap(100, 100, slices=3, min_qty=30))
    play.fill(0).on(Amend(quantity=50))
    assert play.state == State.CANCELLED
    assert "minimum of 30" in str(play.parent.report().unfilled_reason)


def test_an_amendment_to_what_is_done_completes() -> None:
    play = Play(twap())
    play.fill(0).on(Amend(quantity=10))
    assert play.state == State.COMPLETED
    assert play.parent.report().fill_rate == 1


@pytest.mark.parametrize("quantity", [0, -5])
def test_an_amendment_to_nothing_is_refused(quantity: int) -> None:
    with pytest.raises(ValueError, match="quantity"):
        Amend(quantity=quantity)


def test_an_amendment_before_the_start_does_not_bring_the_start_forward() -> None:
    later = START_NS + 60 * SECOND  # pitfall 19
    play = Play(twap(start_ns=later))
    play.on(Amend(quantity=50))
    for second in (1, 30, 59):
        assert play.at(second).sizes == []
    assert play.wake_ns == later
    assert play.at(60).sizes == [5]
    assert play.parent.plan.horizon_ms == 100_000


def test_an_amendment_does_not_end_a_pause() -> None:
    play = Play(twap())
    play.fill(0).on(Pause("lunch")).on(Amend(quantity=50))
    assert play.state == State.PAUSED
    play.at(40)
    assert play.sizes == [10]
    play.on(Resume())
    assert len(play.sizes) == 2


def test_a_pause_during_an_amendment_is_not_lost() -> None:
    play = Play(twap())
    play.on(Amend(quantity=50)).on(Pause("lunch")).close(0, 0)
    assert play.state == State.PAUSED
    assert play.sizes == [10]
    assert play.on(Resume()).state == State.WORKING


def test_an_amendment_whose_time_runs_out_still_ends() -> None:
    play = Play(twap())
    play.at(50).on(Amend(quantity=90)).at(100)
    assert play.state == State.AMENDING
    play.fill(0, 2)
    for number in range(len(play.sent)):
        play.close(number, 2 if number == 0 else 0)
    assert play.state == State.CANCELLED


def test_requests_after_the_end_change_nothing() -> None:
    play = Play(twap(10, 10, slices=1))
    play.fill(0)
    for event in (Pause(), Resume(), Amend(quantity=50), Cancel()):
        play.on(event)
        assert play.state == State.COMPLETED
        assert play.new == ()
    assert play.parent.report().total_quantity == 10


# ---------------------------------------------------------------- the table of states


def test_an_illegal_move_raises_and_names_the_legal_ones() -> None:
    with pytest.raises(RuntimeError, match="from working to pending; legal: amending, closing"):
        check_move(State.WORKING, State.PENDING)
    with pytest.raises(RuntimeError, match="it has ended"):
        check_move(State.COMPLETED, State.WORKING)


@pytest.mark.parametrize("old", list(State))
@pytest.mark.parametrize("new", list(State))
def test_the_table_alone_says_what_is_legal(old: State, new: State) -> None:
    if new in MOVES[old]:
        assert check_move(old, new) is new
    else:
        with pytest.raises(RuntimeError):
            check_move(old, new)


def test_nothing_leads_out_of_an_end_and_every_state_leads_to_one() -> None:
    for state in State:
        assert (not MOVES[state]) == (state in ENDED)
        assert REACHABLE[state] & ENDED


# ---------------------------------------------------------------- rest first, then cross


def resting(**params: Any) -> Play:
    """A hundred lots in ten slices that rest for the first 65 % of their ten seconds; the market is 9.99 to 10.01."""
    return Play(parent_of("TWAP", **{"order_type": "limit_then_cross", **params}))


def last(play: Play) -> tuple[str, float, float | None]:
    return play.sent[-1].type, play.sent[-1].qty, play.sent[-1].limit_price


@pytest.mark.parametrize(("side", "price"), [("buy", 9.99), ("sell", 10.01)])
def test_a_slice_rests_at_the_near_touch_first(side: Side, price: float) -> None:
    play = resting(side=side)
    assert last(play) == ("limit", 10, price)
    assert play.listens()


@pytest.mark.parametrize(("side", "price"), [("buy", 10.05), ("sell", 9.95)])
def test_then_it_crosses_with_a_limit_some_spreads_beyond_the_far_touch(side: Side, price: float) -> None:
    play = resting(side=side)
    assert play.wake_ns == START_NS + 6500 * MS
    assert play.at(6.499).cancels == []
    play.at(6.5)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0"]
    assert play.sizes == [10]  # not before it is certain what the resting one has done: pitfall 9
    play.fill(0, 4).close(0, 4)
    assert last(play) == ("limit", 6, price)
    play.fill(1)
    assert play.at(9.9).sizes == [10, 6]


def test_a_cross_without_a_cap_is_a_market_order() -> None:
    play = resting(cross_spreads=0)
    play.at(6.5).close(0, 0)
    assert last(play) == ("market", 10, None)


@pytest.mark.parametrize(
    ("side", "limit", "rests", "crosses"),
    [("buy", 10.02, 9.99, 10.02), ("buy", 9.5, 9.5, 9.5), ("buy", 11, 9.99, 10.05), ("sell", 9.98, 10.01, 9.98)],
)
def test_resting_and_crossing_keep_to_the_limit_of_the_parent(
    side: Side, limit: float, rests: float, crosses: float
) -> None:
    play = resting(side=side, limit_price=limit)
    assert play.sent[0].limit_price == rests
    play.at(6.5).close(0, 0)
    assert play.sent[1].limit_price == crosses


def test_a_wide_spread_makes_a_wide_cap_and_a_locked_market_a_cap_of_ticks() -> None:
    wide = resting(cross_spreads=1)
    wide.market(990, 1010)
    wide.at(6.5).close(0, 0)
    assert wide.sent[-1].limit_price == 10.3
    locked = resting(cross_spreads=3)
    locked.market(1000, 1000)
    locked.at(6.5).close(0, 0)
    assert locked.sent[-1].limit_price == 10.03


def test_a_resting_child_follows_the_touch_with_hysteresis() -> None:
    play = resting(repeg_ticks=2)
    play.at(1).market(1000, 1002)
    assert play.cancels == []
    play.market(1001, 1003)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0"]
    play.market(1005, 1007)
    assert len(play.cancels) == 1  # asked once
    play.close(0, 0)
    assert last(play) == ("limit", 10, 10.05)
    play.market(1003, 1005)
    assert len(play.cancels) == 2


def test_what_has_crossed_does_not_follow_the_touch() -> None:
    play = resting()
    play.at(6.5).close(0, 0)
    play.market(1001, 1003)
    assert len(play.cancels) == 1


def test_lots_that_come_back_after_the_crossing_time_cross_at_once() -> None:
    play = resting()
    play.at(6.5).close(0, 0).close(1, 3, "cancelled").fill(1, 3)
    play.at(8)
    assert last(play) == ("limit", 7, 10.05)


def test_the_next_slice_rests_again() -> None:
    play = resting()
    play.at(6.5).close(0, 0).fill(1).at(10)
    assert play.sizes == [10, 10, 10]
    assert last(play) == ("limit", 10, 9.99)
    play.at(16.5)
    assert [cancel.target_intent_id for cancel in play.cancels] == ["x-1-0", "x-1-2"]


@pytest.mark.parametrize(("share", "moment"), [(0.0, 0.0), (0.25, 2.5), (1.0, None)])
def test_the_part_of_the_slice_that_rests_is_a_parameter(share: float, moment: float | None) -> None:
    play = resting(rest_share=share)
    if moment is None:
        assert play.at(9.999).at(10).cancels == []
    elif moment == 0:
        assert last(play) == ("limit", 10, 10.05)
    else:
        assert play.wake_ns == START_NS + round(moment * SECOND)


def test_a_perfect_market_at_the_touch_never_pays_the_spread() -> None:
    parent = parent_of("TWAP", order_type="limit_then_cross")
    played = play_out(parent, filled_at_once)
    assert [intent.limit_price for intent in played.commands] == [9.99] * 10
    assert parent.state is State.COMPLETED


def test_a_market_where_nothing_rests_to_be_filled_is_done_by_crossing() -> None:
    parent = parent_of("TWAP", order_type="limit_then_cross")

    def takers_only(intent: OrderIntent, now_ns: int) -> list[tuple[int, Event]]:
        if intent.action == "cancel" or intent.limit_price == 9.99:
            return never_filled(intent, now_ns)
        return filled_at_once(intent, now_ns)

    played = play_out(parent, takers_only)
    assert parent.state is State.COMPLETED
    crossed = [intent for intent in played.commands if intent.limit_price == 10.05 and intent.action == "new"]
    assert [(intent.ts_local_ns - START_NS) / SECOND for intent in crossed] == [6.5 + 10 * k for k in range(10)]


def test_before_its_start_it_does_nothing_even_after_a_pause() -> None:
    play = resting(start_ns=START_NS + 10 * SECOND)  # pitfall 19
    play.on(Pause()).on(Resume()).at(9.9)
    assert play.sent == []
    assert play.at(10).sizes == [10]


def test_what_a_close_gives_back_is_what_was_not_filled_and_no_more() -> None:
    play = Play(twap(catch_up=1))
    play.fill(0).at(55)  # fifty lots late, ten of them allowed
    play.close(1, 4).fill(1, 4).at(57)
    assert play.sizes == [10, 10, 6]
    play.fill(2)
    assert play.at(59).sizes == [10, 10, 6]


def test_a_close_in_a_later_slice_gives_nothing_back_to_it() -> None:
    play = Play(twap(catch_up=1))
    play.at(10).close(0, 0).at(12)
    assert play.sizes == [10, 10]
    assert play.at(20).sizes == [10, 10, 10]


def test_an_unknown_order_that_has_been_closed_stays_closed() -> None:
    play = Play(twap(10, 10, slices=1))
    play.close(0, 7).unknown(0).on(Pause())
    assert play.cancels == []  # its fills are on their way, there is nothing to cancel


def test_crossing_takes_a_rest_of_exactly_the_minimum() -> None:
    play = Play(twap(20, 20, slices=2, min_qty=10, order_type="limit", completion="complete"))
    play.fill(0).at(10).close(1, 0).at(15)
    assert play.state == State.CROSSING
    assert play.sizes == [10, 10, 10]


def test_in_an_extension_what_is_left_crosses_without_resting_again() -> None:
    play = resting(completion="extend", extend_seconds=50, stale_seconds=0, slice_count=1)
    play.at(65).close(0, 0).close(1, 0).at(100)
    assert play.at(101).sent[-1].limit_price == 10.05
    play.close(len(play.sent) - 1, 0).at(120)
    assert {intent.limit_price for intent in play.sent[1:]} == {10.05}


# ---------------------------------------------------------------- slices that should not be seen


def randomised(quantity: float = 1000, seconds: int = 100, **params: Any) -> list[OrderIntent]:
    params = {"order_type": "market", "randomize_time": 0.5, "randomize_size": 0.2, "stale_seconds": 0, **params}
    return play_out(parent_of("TWAP", quantity, seconds, **params), filled_at_once).commands


def test_random_slices_depend_on_the_seed_and_on_nothing_else() -> None:
    def drawn(seed: int) -> list[tuple[float, int]]:
        return [(intent.qty, intent.ts_local_ns) for intent in randomised(seed=seed)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_random_times_shift_all_but_the_first_slice_by_a_part_of_the_interval() -> None:
    intents = randomised(randomize_size=0.0)
    offsets = [(intent.ts_local_ns - START_NS) / SECOND - 10 * k for k, intent in enumerate(intents)]
    assert offsets[0] == 0
    assert all(0 <= offset < 5.001 for offset in offsets)
    assert len(set(offsets)) > 5
    assert [intent.qty for intent in intents] == [100] * 10


def test_random_sizes_vary_by_a_part_and_their_sum_is_exact() -> None:
    sizes = [intent.qty for intent in randomised(randomize_time=0.0)]
    assert sum(sizes) == 1000
    assert len(set(sizes)) > 5
    assert 1000 * 0.8 / 12 - 1 <= min(sizes) <= 100 <= max(sizes) <= 1000 * 1.2 / 8 + 1


def test_random_sizes_use_all_of_the_part_that_they_may_vary_by() -> None:
    parent = parent_of("TWAP", 10**9, 1000, slice_count=1000, randomize_size=0.9)
    targets = parent.curve.targets
    sizes = [after - before for before, after in pairwise((0, *targets))]
    mean = sum(sizes) / len(sizes)
    assert 0.09 < min(sizes) / mean < 0.14
    assert 1.86 < max(sizes) / mean < 1.96
    assert parent.plan.nominal == max(sizes)


@pytest.mark.parametrize("catch_up", [1, 3])
def test_random_slices_are_no_catching_up(catch_up: int) -> None:
    intents = randomised(randomize_size=0.9, catch_up=catch_up)
    assert sum(intent.qty for intent in intents) == 1000


@settings(max_examples=150)
@given(
    quantity=st.integers(1, 10**6),
    horizon_s=st.integers(1, 3600),
    slices=st.integers(1, 60),
    time=st.floats(0, 0.5),
    size=st.floats(0, 0.99),
    seed=st.integers(0, 10**6),
)
def test_random_slices_keep_order_and_sum_and_begin_before_the_end(
    quantity: int, horizon_s: int, slices: int, time: float, size: float, seed: int
) -> None:
    parent = parent_of(
        "TWAP", quantity, horizon_s, slice_count=slices, randomize_time=time, randomize_size=size, seed=seed
    )
    starts, targets = parent.curve.starts_ms, parent.curve.targets
    if not starts:
        assert time == size == 0
        return
    assert starts[0] == 0
    assert is_sorted(starts)
    assert starts[-1] < horizon_s * 1000  # pitfall 32
    assert is_sorted(targets)
    assert targets[-1] == quantity


def test_the_last_slice_begins_before_the_end_even_in_slices_of_a_millisecond() -> None:
    for seed in range(20):
        parent = parent_of("TWAP", 1000, 1, slice_count=1000, randomize_time=0.5, seed=seed)  # pitfall 32
        assert parent.curve.starts_ms[-1] < 1000


# ---------------------------------------------------------------- participation


def test_a_cap_on_participation_holds_back_and_catches_up_when_the_market_trades() -> None:
    play = Play(twap(100, 100, max_participation=0.5))  # half of all volume: as much as others
    assert play.sizes == [10]  # no volume has been seen
    play.fill(0)
    for second, tape in ((10, 4), (20, 4), (30, 104)):
        play.now_ns = START_NS + second * SECOND
        play.market(tape=tape)
        if play.new:
            play.fill(len(play.sent) - 1)
    assert play.sizes == [10, 4, 26]


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
