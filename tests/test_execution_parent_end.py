"""The parent order at its end, in a pause, without market data, amended; and the table of its states."""

from __future__ import annotations

import pytest

from execution.events import Amend, Cancel, Pause, Resume
from execution.progress import END_OF_HORIZON
from execution.states import ENDED, MOVES, State, check_move
from tests.naive import START_NS
from tests.parents import (
    REACHABLE,
    SECOND,
    Play,
    never_filled,
    play_out,
    twap,
)

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
