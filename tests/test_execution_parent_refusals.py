"""The parent order where the venue, or risk, refuses or closes what it sent."""

from __future__ import annotations

from execution.events import Cancel, Pause, Resume, Wake
from execution.progress import END_OF_HORIZON
from execution.states import State
from tests.naive import START_NS
from tests.parents import (
    SECOND,
    Play,
    twap,
)

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
