"""A ready-made plan, played child by child at its times."""

from __future__ import annotations

import pytest

from core.contracts import FillEvent, OrderClosed, OrderIntent, RiskDecision
from core.ids import cancel_id, child_id
from execution.children import Parent, child_meta
from execution.contracts import ExecutionAlgorithm
from execution.events import Event, Step, Wake
from execution.scheduled import ScheduledParent
from tests.naive import START_NS

SECOND = 1_000_000_000


class Plan:
    """30 units in three children at 0, 10 and 20 s of 30, driven by hand."""

    def __init__(self, quantities: tuple[float, ...] = (10, 10, 10), total: float = 30) -> None:
        algo = ExecutionAlgorithm("TWAP", "ATOM/USDT", "buy", total, 30)
        parent = Parent(
            execution_id="x-1",
            strategy_id="tester",
            parent_intent_id="p-1",
            algo_type="TWAP",
            symbol="ATOM/USDT",
            side="buy",
            total_quantity=total,
            start_ns=START_NS,
        )
        planned = [
            OrderIntent(
                child_id("x-1", n), 0, "tester", "ATOM/USDT", "buy", "market", quantity,
                meta=child_meta(parent, n, START_NS + n * 10 * SECOND),
            )
            for n, quantity in enumerate(quantities)
        ]  # fmt: skip
        self.parent = ScheduledParent(algo, parent, planned)
        self.now_ns = START_NS

    def over(self) -> bool:
        return self.parent.ended

    def on(self, event: Event) -> Step:
        return self.parent.on(event, self.now_ns)

    def at(self, seconds: float) -> list[str]:
        self.now_ns = START_NS + round(seconds * SECOND)
        return [intent.intent_id for intent in self.on(Wake()).commands]

    def fill(self, n: int, qty: float = 10, name: str = "f") -> Step:
        child = child_id("x-1", n)
        return self.on(FillEvent(f"{child}-{name}", child, "ATOM/USDT", "buy", qty, 100.0, self.now_ns, fee=0.1))

    def close(self, n: int, status: str = "cancelled", filled: float = 0, reason: str | None = None) -> Step:
        return self.on(OrderClosed(child_id("x-1", n), "sim", status, filled, self.now_ns, reason))  # type: ignore[arg-type]

    def deny(self, intent_id: str, reason: str = "too big") -> Step:
        return self.on(RiskDecision(intent_id, False, reason))


def test_each_child_is_sent_at_its_time_and_once() -> None:  # pitfalls 19, 20
    plan = Plan()
    assert plan.at(0) == ["x-1-0"]
    assert plan.at(0) == []
    assert plan.at(9.999) == []
    assert plan.at(10) == ["x-1-1"]
    assert plan.at(25) == ["x-1-2"]


def test_it_asks_to_be_woken_for_the_next_child_and_for_the_end() -> None:
    plan = Plan()
    assert plan.on(Wake()).wake_ns == START_NS + 10 * SECOND
    plan.at(25)
    assert plan.on(Wake()).wake_ns == START_NS + 30 * SECOND


def test_a_sent_child_carries_the_time_at_which_it_was_sent() -> None:
    plan = Plan()
    plan.now_ns += 3 * SECOND
    (intent,) = plan.on(Wake()).commands
    assert intent.ts_local_ns == START_NS + 3 * SECOND
    assert intent.meta["scheduled_ts_ns"] == START_NS


def test_all_filled_is_completed() -> None:
    plan = Plan()
    for n in range(3):
        plan.at(10 * n)
        plan.fill(n)
    report = plan.parent.report()
    assert plan.over()
    assert (report.status, report.filled_quantity, report.slices_completed, report.slices_total) == (
        "completed",
        30,
        3,
        3,
    )
    assert (report.end_ts_ns, report.unfilled_reason) == (START_NS + 20 * SECOND, None)
    assert report.total_fees == pytest.approx(0.3)


def test_a_fill_counts_once() -> None:
    plan = Plan()
    plan.at(0)
    plan.fill(0, 4)
    plan.fill(0, 4)
    assert plan.parent.report().filled_quantity == 4


def test_what_is_open_at_the_end_is_cancelled_and_the_report_waits_for_the_answers() -> None:  # pitfall 16
    plan = Plan()
    plan.at(0)
    plan.fill(0, 4)
    plan.at(10)
    plan.at(20)
    assert plan.at(30) == [cancel_id(child_id("x-1", n), 1) for n in range(3)]
    plan.close(0, filled=4)
    plan.close(1)
    assert not plan.over()
    assert plan.close(2).commands == ()
    assert plan.over()
    report = plan.parent.report()
    assert (report.status, report.filled_quantity, report.remaining_quantity) == ("cancelled", 4, 26)
    assert report.unfilled_reason == "end of horizon"


def test_a_child_whose_time_was_missed_is_not_sent_after_the_end() -> None:  # pitfall 16
    plan = Plan()
    plan.at(0)
    plan.fill(0)
    assert plan.at(30) == []
    assert plan.over()


def test_a_refused_cancel_is_tried_again_a_second_later_and_not_at_once() -> None:  # pitfall 14
    plan = Plan((30,))
    plan.at(0)
    assert plan.at(30) == ["x-1-0-c1"]
    step = plan.deny("x-1-0-c1", "too many cancels")
    assert step.commands == ()
    assert step.wake_ns == START_NS + 31 * SECOND
    assert plan.at(31) == ["x-1-0-c2"]
    plan.close(0)
    assert plan.over()
    assert plan.parent.report().denials == ("x-1-0-c1: too many cancels",)


def test_when_every_child_was_refused_it_ends_at_once_and_says_why() -> None:  # pitfall 14
    plan = Plan()
    for n in range(3):
        assert plan.at(10 * n) == [f"x-1-{n}"]
        plan.deny(f"x-1-{n}")
    report = plan.parent.report()
    assert plan.over()
    assert (report.status, report.unfilled_reason, len(report.denials)) == ("cancelled", "too big", 3)


def test_when_some_are_filled_and_the_others_rejected_nothing_is_left_to_wait_for() -> None:
    plan = Plan((10, 10))
    plan.at(0)
    plan.fill(0)
    plan.at(10)
    plan.close(1, "rejected", reason="below the minimum")
    assert plan.over()
    assert plan.parent.report().unfilled_reason == "below the minimum"


def test_a_plan_of_more_than_the_parent_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the planned children must not exceed 30 ATOM/USDT, were 30\.1"):
        Plan((10, 10, 10.1))


def test_a_plan_of_less_than_the_parent_ends_with_the_rest_undone() -> None:
    plan = Plan((10,))
    plan.at(0)
    plan.fill(0)
    report = plan.parent.report()
    assert (report.status, report.remaining_quantity) == ("cancelled", 20)
    assert report.unfilled_reason == "the plan holds no more"
